//! The top level, names, and the head of every file.

use crate::sources::{self, workspace};

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "agent",
    "cli",
    "packaging",
    "systemd",
    "tests",
];

/// What git and cargo leave there, and what belongs to no version.
const NOT_OURS: &[&str] = &["target"];

const BAD_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "misc", "stuff"];

#[test]
fn the_top_level_holds_what_the_design_names_and_nothing_else() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(workspace()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()) && !NOT_OURS.contains(&name.as_str()) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not allowed at the top level: {wrong:?}");
}

#[test]
fn paths_use_the_fields_own_words() {
    let wrong: Vec<String> = sources::all()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split(['/', '.', '_']).any(|word| BAD_NAMES.contains(&word)))
        .collect();
    assert!(wrong.is_empty(), "these names say nothing: {wrong:?}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut wrong = Vec::new();
    for source in sources::all() {
        let head = source.text.lines().next().unwrap_or("");
        if !head.starts_with("//! ") || head.len() < 16 {
            wrong.push(format!("{}: {head:?}", source.path));
        }
    }
    assert!(wrong.is_empty(), "files without a //! that says what they are:\n{}", wrong.join("\n"));
}
