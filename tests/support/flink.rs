//! A real Flink, run by the script `flink-sql` beside the workspace, as the judge of what a script's final rows are.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::value::RawValue;

use crate::scripts::{Results, Script};
use crate::services::{scripts, skip};

/// What Flink's settings are before each script.
const RESET: &str = "SET 'table.exec.legacy-cast-behaviour' = 'disabled';\nSET 'table.local-time-zone' = 'UTC';\n";

/// A script as Flink's: each INSERT is a SELECT whose first column says where its rows belong.
fn statements(script: &Script) -> String {
    let mut text = RESET.to_owned();
    let mut views = Vec::new();
    let mut tables = Vec::new();
    for statement in &script.statements {
        if statement.starts_with("SET ") {
            text += &format!("{statement};\n");
        } else if let Some(rest) = statement.strip_prefix("CREATE VIEW ") {
            views.push(rest.split(' ').next().unwrap());
            text += &format!("{statement};\n");
        } else if let Some(rest) = statement.strip_prefix("CREATE TABLE ") {
            tables.push(rest.split(' ').next().unwrap());
            text += &format!("{statement};\n");
        }
    }
    for (sink, query) in script.inserts() {
        let names: Vec<&str> = sink.columns.iter().map(|(name, _)| name.as_str()).collect();
        let place = format!("{}/{}", script.name, sink.name).replace('\'', "''");
        text += &format!("SELECT '{place}' AS q, x.* FROM ({query}) AS x ({});\n", names.join(", "));
    }
    views.iter().rev().for_each(|view| text += &format!("DROP VIEW {view};\n"));
    tables.iter().for_each(|table| text += &format!("DROP TABLE {table};\n"));
    text
}

/// A row of Flink's: where it belongs, how it changes that, and its JSON.
struct Change {
    place: String,
    takes_back: bool,
    json: String,
}

fn change(line: &str) -> Change {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let text = |name: &str| serde_json::from_str::<String>(fields[name].get()).unwrap();
    Change { place: text("q"), takes_back: ["-U", "-D"].contains(&text("op").as_str()), json: line.to_owned() }
}

/// The final rows of scripts over `tables`, as Flink's JSON lines, and in the form that is compared. The error is what it
/// said in vain. `None`, after a skip line, where Flink can't be had.
pub fn run(tables: &str, all: &[Script], folder: &Path) -> Option<Result<(Vec<String>, Results), String>> {
    let program = scripts().join("flink-sql");
    if !program.exists() {
        skip("flink-sql", &format!("{} is not there", program.display()));
        return None;
    }
    let file = folder.join("flink.sql");
    std::fs::write(&file, tables.to_owned() + &all.iter().map(statements).collect::<String>()).unwrap();
    let output = Command::new(program).arg(&file).stdin(Stdio::null()).output().expect("the script starts");
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let mut lines: Vec<(String, String, String)> = Vec::new();
    let mut results = Results::new();
    let sinks: BTreeMap<String, &crate::scripts::Sink> =
        all.iter().flat_map(|s| s.sinks.iter().map(move |sink| (format!("{}/{}", s.name, sink.name), sink))).collect();
    sinks.keys().for_each(|place| drop(results.insert(place.clone(), Vec::new())));
    for line in String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.starts_with('{')) {
        let change = change(line);
        let row = sinks[&change.place].row(&change.json);
        if change.takes_back {
            let at = lines.iter().rposition(|(place, known, _)| *place == change.place && *known == row);
            lines.remove(at.unwrap_or_else(|| panic!("{line} was never there")));
        } else {
            lines.push((change.place, row, change.json));
        }
    }
    lines.sort();
    for (place, row, _) in &lines {
        results.get_mut(place).unwrap().push(row.clone());
    }
    Some(Ok((lines.into_iter().map(|(_, _, json)| json).collect(), results)))
}

/// Rows that were recorded as Flink's JSON lines, by `script/sink`.
pub fn recorded(all: &[Script], lines: &str) -> Results {
    let mut by_place: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines.lines() {
        by_place.entry(change_place(line)).or_default().push(line);
    }
    let mut results = Results::new();
    for (script, sink) in all.iter().flat_map(|script| script.sinks.iter().map(move |sink| (script, sink))) {
        let place = format!("{}/{}", script.name, sink.name);
        // The agent's own tests have one sink for each script and name the script alone.
        let lines = by_place.get(&place).or_else(|| by_place.get(&script.name));
        let mut rows: Vec<String> = lines.into_iter().flatten().map(|line| sink.row(line)).collect();
        rows.sort();
        results.insert(place, rows);
    }
    results
}

fn change_place(line: &str) -> String {
    let row: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    row["q"].as_str().unwrap().to_owned()
}
