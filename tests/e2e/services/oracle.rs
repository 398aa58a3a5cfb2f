//! A real Flink beside Splashdam: what was recorded of it is still what it says, and so are generated scripts' rows.

use e2e::agent::Room;
use e2e::services::wanted;
use e2e::sql_random::Case;
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

/// `SPLASHDAM_SQL_SEEDS=a-b` for more of them; the naive engine, which CI holds Splashdam against, is held against Flink.
#[test]
fn generated_scripts_have_the_naive_engines_rows_in_a_real_flink() {
    if !wanted("flink, generated scripts") {
        return;
    }
    let mut wrong = Vec::new();
    for part in crate::scripts::seeds(10).chunks(50) {
        let room = Room::new();
        let cases: Vec<Case> = part.iter().map(|seed| Case::new(*seed)).collect();
        // One run for all: each case has a table of its own, which is called t while its statements are run.
        let scripts: Vec<scripts::Script> = cases
            .iter()
            .map(|case| {
                let mut script = case.script.clone();
                script
                    .statements
                    .insert(0, crate::scripts::table(&room, case).trim_end_matches([';', '\n']).to_owned());
                script
            })
            .collect();
        let Some(answer) = flink::run("", &scripts, room.path()) else { return };
        let (_, found) = answer.unwrap_or_else(|said| panic!("seeds {part:?}: {said}"));
        let expected = cases.iter().flat_map(|case| case.results.clone()).collect();
        wrong.extend(crate::scripts::differing(&found, &expected));
        eprintln!("{} scripts up to seed {} compared", part.len(), part[part.len() - 1]);
    }
    let text: Vec<String> = wrong.iter().map(|(place, text)| format!("{place}\n{text}")).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
}
