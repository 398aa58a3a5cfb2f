//! Scripts are bound; what comes of them is read as `explain` prints it, and refusals as people read them.
//!
//! `plans/*.txt` hold cases: a name after `== `, a script, a line `--`, what comes of it. `@t` stands for the common
//! source table, `@s columns` for a sink of the current dialect, `@T` and `@S columns` for those of the legacy one.
//! With `BLESS` in the environment the answers are written anew, to be read before they are kept.

use std::fmt::Write;
use std::path::Path;

use crate::sql::script::SqlError;
use crate::sql::{explain, front};

mod never_panics;
mod valid;

const SOURCE: &str = "CREATE TABLE t (
  a INT, b INT, c STRING, d DOUBLE, n DECIMAL(10, 2), ms BIGINT, tags ARRAY<STRING>, r ROW<x INT, y STRING>,
  m MAP<STRING, INT>, items ARRAY<ROW<sku STRING, qty INT>>, ts TIMESTAMP(3), p AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'json');";
const LEGACY: &str = "CREATE TABLE t (a INT, b INT, c VARCHAR, ts TIMESTAMP, WATERMARK FOR ts AS withOffset(ts, 5000)
) WITH (type = 'file', path = '/x', format = 'json');";

/// Fills in the tables that `@` stands for.
fn filled(script: &str) -> String {
    let line = |line: &str| match line.split_once(' ').unwrap_or((line, "")) {
        ("@t", _) => SOURCE.replace('\n', " "),
        ("@T", _) => LEGACY.replace('\n', " "),
        ("@s", columns) => {
            format!("CREATE TABLE s ({columns}) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'h', 'index' = 'i');")
        }
        ("@S", columns) => {
            format!("CREATE TABLE s ({columns}) WITH (type = 'elasticsearch', endPoint = 'h', index = 'i');")
        }
        _ => line.to_owned(),
    };
    script.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The plan of a script, or its errors.
fn plan(script: &str) -> Result<String, Vec<SqlError>> {
    let script = front::parse(&filled(script), &|_| None)?;
    let query = super::bind(&script)?;
    valid::check(&query);
    Ok(explain::explain(&query))
}

/// What a reader sees of it.
fn answer(script: &str) -> String {
    match plan(script) {
        Ok(plan) => plan,
        Err(errors) => errors.iter().fold(String::new(), |mut text, e| {
            writeln!(text, "{}:{} ({}) {}", e.place.line, e.place.column, e.length, e.message).unwrap();
            text
        }),
    }
}

/// Holds each case of a file against its answer.
fn check(file: &str, accepted: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/bind/tests/plans").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut blessed = String::new();
    let (mut wrong, mut unexpected) = (Vec::new(), Vec::new());
    for case in text.split("\n== ").map(|case| case.trim_start_matches("== ")) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (script, expected) = rest.split_once("\n--\n").unwrap_or((rest.trim_end(), ""));
        let answer = answer(script);
        if plan(script).is_ok() != accepted {
            unexpected.push(format!("{name}: {answer}"));
        }
        if answer.trim_end() != expected.trim_end() {
            wrong.push(format!("{name}\nexpected\n{expected}\nfound\n{answer}"));
        }
        write!(blessed, "== {name}\n{script}\n--\n{answer}\n").unwrap();
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, blessed.trim_end().to_owned() + "\n").unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn queries_become_the_plans_that_are_written_down() {
    let files = ["rows.txt", "groups.txt", "windows.txt", "ranks.txt", "scripts.txt", "legacy.txt"];
    files.iter().for_each(|file| check(file, true));
}

#[test]
fn what_is_not_supported_is_refused_by_name_with_its_place() {
    check("refused.txt", false);
    check("refused_queries.txt", false);
}
