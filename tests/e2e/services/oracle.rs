//! A real Flink beside Splashdam: what was recorded of it is still what it says.

use e2e::agent::Room;
use e2e::services::wanted;
use e2e::{flink, scripts};

/// With `SPLASHDAM_RECORD=1` the rows are written anew instead.
#[test]
fn recorded_rows_are_those_of_the_real_flink() {
    if !wanted("flink") {
        return;
    }
    let room = Room::new();
    let (tables, all) = (scripts::tables(&room.logs()), scripts::all());
    let Some(answer) = flink::run(&tables, &all, room.path()) else { return };
    let (lines, found) = answer.unwrap_or_else(|said| panic!("{said}"));
    let inner = scripts::inner_folder();
    let inner = std::fs::read_to_string(inner.join("rows.jsonl")).unwrap();
    let file = scripts::folder().join("rows.jsonl");
    if std::env::var("SPLASHDAM_RECORD").is_ok_and(|value| value == "1") {
        let known = |line: &&String| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let script = row["q"].as_str().unwrap().split('/').next().unwrap().to_owned();
            !inner.contains(&format!("{{\"q\": \"{script}\"")) && row["q"] != "nothing/s"
        };
        let ours: String = lines.iter().filter(known).map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, ours).unwrap();
    }
    let recorded = std::fs::read_to_string(file).unwrap() + &inner;
    let different = crate::scripts::differing(&found, &flink::recorded(&all, &recorded));
    let text: Vec<String> = different.iter().map(|(place, text)| format!("{place}\n{text}")).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
}
