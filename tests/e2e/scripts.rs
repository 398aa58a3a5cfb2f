//! Scripts with the real binary from files to documents: the final rows are those of Flink 1.20.1 over the same input.

use std::collections::BTreeSet;

use e2e::agent::{Agent, Room};
use e2e::endpoint::Endpoint;
use e2e::flink;
use e2e::scripts::{self, Results, Script};
use e2e::sql_random::Case;

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

/// How many rows came late, as the last line of a run says.
pub(crate) fn late(log: &str) -> u64 {
    let before = log.rsplit_once(" came late").map_or("", |(before, _)| before);
    before.rsplit(' ').next().unwrap_or("").replace(',', "").parse().unwrap_or(0)
}

/// The seeds to be run: `SPLASHDAM_SQL_SEEDS=a-b,c`, else the first `count`.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    let Ok(text) = std::env::var("SPLASHDAM_SQL_SEEDS") else { return (0..count).collect() };
    let number = |text: &str| text.parse::<u64>().expect("SPLASHDAM_SQL_SEEDS=a-b,c");
    let range = |text: &str| {
        let (a, b) = text.split_once('-').unwrap_or((text, text));
        number(a)..=number(b)
    };
    text.split(',').flat_map(range).collect()
}

/// The tables of a case over its own file.
pub(crate) fn table(room: &Room, case: &Case) -> String {
    let file = room.file(&format!("logs/{}.csv", case.script.slug()), &case.csv);
    case.table.replace("FILE", file.to_str().unwrap())
}

#[test]
fn generated_scripts_give_what_the_naive_engine_gives() {
    for part in seeds(60).chunks(60) {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        let cases: Vec<Case> = part.iter().map(|seed| Case::new(*seed)).collect();
        let job = |case: &Case| {
            let text = case.script.job(&table(&room, case), &endpoint.url());
            room.file(&format!("jobs/{}.sql", case.script.slug()), text)
        };
        let jobs: Vec<_> = cases.iter().map(job).collect();
        let mut agent = Agent::new(&room, &jobs);
        agent.once_well();
        for case in &cases {
            let wrong = differing(&case.script.found(&endpoint), &case.results);
            let text: Vec<String> = wrong.iter().map(|(place, text)| format!("{place}\n{text}")).collect();
            assert!(wrong.is_empty(), "{}\n{}", text.join("\n"), case.script.job(&case.table, ""));
        }
        let expected = cases.iter().map(|case| case.late).sum::<u64>();
        assert_eq!(late(&agent.log()), expected, "{}", agent.log());
    }
}
