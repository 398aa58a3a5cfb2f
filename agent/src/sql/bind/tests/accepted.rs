use super::plan;
#[test]
fn try_it() {
    let file = std::env::var("SQL").unwrap();
    match plan(&std::fs::read_to_string(file).unwrap()) {
        Ok(p) => println!("{p}"),
        Err(e) => e.iter().for_each(|e| println!("{}:{} {} {}", e.place.line, e.place.column, e.length, e.message)),
    }
}
