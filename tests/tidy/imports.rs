//! Rooms do not know each other, and each external crate has its home.

use std::path::Path;

use crate::sources::{self, Source, workspace};

/// What everybody may import.
const FOR_ALL: &[&str] = &["record", "plan", "metrics"];

/// What else a room may import. `pipeline`, `control` and `commands` see all rooms; `lib.rs` and `main.rs` are doors.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("plan", &["sql"]),
    ("metrics", &[]),
    ("log", &["config"]),
    ("config", &["job"]),
    ("job", &["config", "sql"]),
    ("source", &[]),
    ("decode", &[]),
    ("encode", &[]),
    ("sql", &[]),
    ("query", &["sql"]),
    ("store", &[]),
    ("deliver", &[]),
];

const SEE_ALL: &[&str] = &["pipeline", "control", "commands", "bench", "lib", "main"];

/// Crates and where they live: prefixes of paths. What is not listed may be used anywhere.
const HOMES: &[(&str, &[&str])] = &[
    ("sled", &["agent/src/store/"]),
    ("crc32c", &["agent/src/store/"]),
    ("notify", &["agent/src/source/file/"]),
    ("globset", &["agent/src/source/file/", "agent/src/job/", "agent/src/commands/"]),
    ("hashbrown", &["agent/src/source/file/", "agent/src/query/"]),
    ("reqwest", &["agent/src/deliver/", "agent/src/source/sls/"]),
    ("rustls", &["agent/src/deliver/", "agent/src/source/sls/"]),
    ("flate2", &["agent/src/record/gzip.rs", "tests/"]),
    ("toml_edit", &["agent/src/job/", "agent/src/config"]),
    ("strsim", &["agent/src/job/", "agent/src/config", "agent/src/sql/"]),
    ("humantime", &["agent/src/job/", "agent/src/config", "cli/"]),
    ("clap", &["agent/src/main.rs", "agent/src/commands/", "cli/", "packaging/pages/", "tests/logstore/"]),
    ("clap_complete", &["packaging/pages/"]),
    ("clap_mangen", &["packaging/pages/"]),
    ("hyper", &["agent/src/control/", "agent/src/commands/demo", "agent/api/", "tests/"]),
    ("hyper_util", &["agent/src/control/", "agent/src/commands/demo", "agent/api/", "tests/"]),
    ("prometheus_client", &["agent/src/metrics.rs", "agent/src/pipeline/"]),
    ("sd_notify", &["agent/src/commands/"]),
    ("simdutf8", &["agent/src/decode/"]),
    ("sqlparser", &["agent/src/sql/"]),
    ("regex", &["agent/src/sql/"]),
    ("tar", &["agent/src/control/", "tests/"]),
    ("md5", &["agent/src/sql/", "agent/src/source/sls/", "tests/support/logstore/"]),
    ("sha1", &["agent/src/sql/", "agent/src/source/sls/", "tests/support/logstore/"]),
    ("hmac", &["agent/src/source/sls/", "tests/support/logstore/"]),
    ("lz4_flex", &["agent/src/source/sls/", "tests/support/logstore/"]),
    ("zstd", &["agent/src/source/sls/", "tests/support/logstore/"]),
    ("percent_encoding", &["tests/support/logstore/"]),
];

/// The room that a path of the agent belongs to: `agent/src/store/frame.rs` → `store`.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("agent/src/")?;
    inside.split('/').next()?.split('.').next()
}

/// Rooms named behind `crate::` in a line, also in braces.
fn imported(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, mark) in line.match_indices("crate::") {
        let rest = &line[at + mark.len()..];
        let (list, one) = match rest.strip_prefix('{') {
            Some(list) => (list.split('}').next().unwrap_or(""), ""),
            None => ("", rest),
        };
        let names = list.split(',').map(str::trim).chain([one]);
        let word = |name: &'_ str| name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        rooms.extend(names.map(|name| &name[..word(name)]).filter(|name| !name.is_empty()));
    }
    rooms
}

#[test]
fn rooms_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for source in sources::all() {
        let Some(room) = room(&source.path) else { continue };
        if SEE_ALL.contains(&room) {
            continue;
        }
        let Some((_, may)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room {room} is in no table; see tests/tidy/imports.rs", source.path));
            continue;
        };
        for (number, line) in source.product_lines() {
            for other in imported(line) {
                let own = other == room || FOR_ALL.contains(&other) || may.contains(&other);
                if !own && is_room(other) {
                    wrong.push(format!("{}:{number}: {room} may not import {other}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_room(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(room, _)| *room == name) || SEE_ALL.contains(&name)
}

#[test]
fn every_external_crate_has_its_home() {
    let mut wrong = Vec::new();
    for source in sources::all() {
        for (name, homes) in HOMES {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            for (number, line) in source.product_lines() {
                if uses(line, name) {
                    wrong.push(format!("{}:{number}: {name} lives in {}", source.path, homes.join(", ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `name::` or `use name;` as a path's first word.
fn uses(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let free = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        let behind = &line[at + name.len()..];
        let path = behind.starts_with("::") || (line.trim_start().starts_with("use ") && behind.starts_with(';'));
        free && path
    })
}

#[test]
fn pure_rooms_do_no_input_or_output_and_are_not_async() {
    const BANNED: &[&str] = &["std::fs", "std::net", "tokio::", "async fn", "Instant::now", "std::env", "std::thread"];
    let pure = |source: &Source| {
        let path = Path::new(&source.path);
        ["decode", "encode", "record", "sql", "query", "plan"]
            .iter()
            .any(|room| path.starts_with(format!("agent/src/{room}")))
            || source.path == "agent/src/plan.rs"
    };
    let mut wrong = Vec::new();
    for source in sources::all().iter().filter(|source| pure(source) && !source.is_test()) {
        for (number, line) in source.product_lines() {
            for banned in BANNED.iter().filter(|banned| line.contains(**banned)) {
                wrong.push(format!("{}:{number}: {banned} in a pure room", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_cli_compiles_neither_engine_nor_store() {
    let manifest = std::fs::read_to_string(workspace().join("cli/Cargo.toml")).unwrap();
    for heavy in ["splashdam.", "splashdam =", "sled", "reqwest", "flate2", "notify"] {
        assert!(!manifest.lines().any(|line| line.starts_with(heavy)), "cli/Cargo.toml depends on {heavy}");
    }
}

#[test]
fn imports_are_found_in_lists_and_paths() {
    assert_eq!(imported("use crate::{store, record::Row};"), ["store", "record"]);
    assert_eq!(imported("let x = crate::deliver::Client::new();"), ["deliver"]);
    assert!(uses("use sled;", "sled") && uses("let x = sled::open();", "sled"));
    assert!(!uses("let x = crate::sled::open();", "sled") && !uses("let assled::x", "sled"));
}
