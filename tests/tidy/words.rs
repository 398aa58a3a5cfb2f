//! What is not written here.

use std::collections::HashMap;

use crate::sources::{self, Source};

fn product() -> Vec<Source> {
    sources::all().into_iter().filter(|source| !source.is_test()).collect()
}

/// Lines of the product's code (not tests) that contain `word`, except where `allowed` says.
fn lines_with(word: &str, allowed: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in product() {
        for (number, line) in source.product_lines() {
            if line.contains(word) && !allowed(&source, line) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_product_does_not_unwrap() {
    let unwraps = lines_with(".unwrap()", |_, _| false);
    assert!(unwraps.is_empty(), "{}", unwraps.join("\n"));
    let mut expects = Vec::new();
    for source in product() {
        let lines: Vec<&str> = source.code.lines().collect();
        for (number, line) in source.product_lines().filter(|(_, line)| line.contains(".expect(")) {
            // An attribute with the reason stands within the lines above.
            let above = &lines[number.saturating_sub(30)..number];
            if !above.iter().any(|line| line.contains("clippy::expect_used")) {
                expects.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(expects.is_empty(), "expect without a reason:\n{}", expects.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("// XX", "X"),
        concat!("TO", "DO"),
    ];
    let mut found = Vec::new();
    for source in sources::all() {
        for (number, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn everything_that_waits_has_a_limit() {
    for channel in ["unbounded_channel", "mpsc::unbounded", "std::sync::mpsc::channel", " channel()"] {
        let found = lines_with(channel, |_, _| false);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn writes_are_whole() {
    let found = lines_with("Write::write(", |_, _| false);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn only_the_corridor_reads_the_clock() {
    const HOMES: &[&str] =
        &["agent/src/record/time.rs", "agent/src/pipeline", "agent/src/commands", "agent/src/control"];
    // Looking at files includes comparing their times with the present, and a signed request holds the time at which it
    // is sent, by the one door there is.
    const SOURCES: &[&str] = &["agent/src/source/file/", "agent/src/source/sls/client.rs"];
    for (clock, sources) in [("SystemTime::now", false), ("Timestamp::now", true)] {
        let home = |source: &Source, _: &str| {
            let path = &source.path;
            let among = |homes: &[&str]| homes.iter().any(|home| path.starts_with(home));
            among(HOMES) || (sources && among(SOURCES)) || !path.starts_with("agent/src/")
        };
        let found = lines_with(clock, home);
        assert!(found.is_empty(), "the time is an argument:\n{}", found.join("\n"));
    }
}

#[test]
fn nothing_is_public_in_the_agent_but_its_door() {
    // The binary calls `commands`, the criterion benches call `bench`.
    const DOORS: &[&str] =
        &["agent/src/lib.rs", "agent/src/commands/mod.rs", "agent/src/commands/exit.rs", "agent/src/bench.rs"];
    let door = |source: &Source, _: &str| !source.path.starts_with("agent/src/") || DOORS.contains(&&*source.path);
    let found: Vec<String> =
        ["pub fn ", "pub struct ", "pub enum ", "pub mod "].iter().flat_map(|word| lines_with(word, door)).collect();
    assert!(found.is_empty(), "pub(crate) is enough:\n{}", found.join("\n"));
}

#[test]
fn a_trait_has_at_least_two_implementations() {
    let sources = sources::all();
    let mut traits: HashMap<String, String> = HashMap::new();
    for source in sources.iter().filter(|source| !source.path.starts_with("tests/")) {
        for (number, line) in source.code.lines().enumerate() {
            if let Some(name) = trait_name(line) {
                traits.insert(name, format!("{}:{}", source.path, number + 1));
            }
        }
    }
    let mut single = Vec::new();
    for (name, place) in traits {
        let marks = [format!(" {name} for "), format!("::{name} for ")];
        let impls = sources
            .iter()
            .flat_map(|source| source.code.lines())
            .filter(|line| line.trim_start().starts_with("impl") && marks.iter().any(|mark| line.contains(mark)))
            // One in a macro stands for several types.
            .map(|line| if line.contains(" for $") { 2 } else { 1 })
            .sum::<u32>();
        if impls < 2 {
            single.push(format!("{place}: trait {name} has {impls} implementation(s)"));
        }
    }
    assert!(single.is_empty(), "{}", single.join("\n"));
}

fn trait_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    let rest = ["trait ", "pub trait ", "pub(crate) trait ", "pub(super) trait "]
        .iter()
        .find_map(|head| line.strip_prefix(head))?;
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    (!name.is_empty()).then_some(name)
}
