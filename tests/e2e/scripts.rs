//! Scripts with the real binary from files to documents: the final rows are those of Flink 1.20.1 over the same input.

use std::collections::BTreeSet;

use e2e::agent::{Agent, Room};
use e2e::endpoint::Endpoint;
use e2e::flink;
use e2e::scripts::{self, Results, Script};

/// Runs all scripts as jobs of one agent to the end of their input; gives what is in the sinks.
pub(crate) fn run(room: &Room, tables: &str, all: &[Script]) -> Results {
    let endpoint = Endpoint::start();
    let job = |(n, script): (usize, &Script)| {
        room.file(&format!("jobs/{n:03}-{}.sql", script.slug()), script.job(tables, &endpoint.url()))
    };
    let jobs: Vec<_> = all.iter().enumerate().map(job).collect();
    Agent::new(room, &jobs).once_well();
    all.iter().flat_map(|script| script.found(&endpoint)).collect()
}

/// Places whose rows differ, with what was found and what was wanted.
pub(crate) fn differing(found: &Results, wanted: &Results) -> Vec<(String, String)> {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    let different = found.iter().filter(|(place, rows)| wanted[*place] != **rows);
    let show = |place: &String, rows: &[String]| {
        let only = |a: &[String], b: &[String]| {
            let lines = a.iter().filter(|row| !b.contains(row)).take(8).map(|row| format!("\n    {row}"));
            lines.collect::<String>()
        };
        let wanted = &wanted[place];
        format!("  found{}\n  wanted{}", only(rows, wanted), only(wanted, rows))
    };
    different.map(|(place, rows)| (place.clone(), show(place, rows))).collect()
}

/// Scripts of which `different.txt` says that and why their rows differ.
pub(crate) fn known_to_differ() -> BTreeSet<String> {
    let text = std::fs::read_to_string(scripts::folder().join("different.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| line.split_once('|').unwrap().0.trim().to_owned()).collect()
}

#[test]
fn final_rows_are_those_of_a_real_flink() {
    let room = Room::new();
    let (tables, all) = (scripts::tables(&room.logs()), scripts::all());
    assert!(all.len() >= 100);
    let found = run(&room, &tables, &all);
    let rows = |folder: std::path::PathBuf| std::fs::read_to_string(folder.join("rows.jsonl")).unwrap();
    let wanted = flink::recorded(&all, &(rows(scripts::folder()) + &rows(scripts::inner_folder())));
    let known = known_to_differ();
    let (expected, wrong): (Vec<_>, Vec<_>) =
        differing(&found, &wanted).into_iter().partition(|(place, _)| known.contains(place));
    let text: Vec<String> = wrong.iter().map(|(place, text)| format!("{place}\n{text}")).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), text.join("\n"));
    let differ: BTreeSet<String> = expected.into_iter().map(|(place, _)| place).collect();
    assert_eq!(differ, known, "different.txt names what does not differ");
}
