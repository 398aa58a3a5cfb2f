//! Whatever the text is: it ends in a script or in errors, soon, and without a stack overflow.

use proptest::prelude::*;

use super::super::parse;
use super::{SEED, errors, variables};

const GOOD: &[&str] = &[
    SEED,
    "CREATE TABLE s (a INT, r ROW<x ARRAY<MAP<STRING, INT>>, y INT>, ts TIMESTAMP(3), b AS CAST(a AS STRING), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'json');",
    "CREATE VIEW v AS SELECT JSON_VALUE(c, '$.a' RETURNING INT DEFAULT 1 ON ERROR) AS j, MAP['k', a] FROM s WHERE a IN (1, 2);",
    "INSERT INTO t SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end EMIT WITHOUT DELAY;",
    "INSERT INTO t SELECT a FROM (SELECT a, ROW_NUMBER() OVER (PARTITION BY a ORDER BY ts) AS rn FROM s /*+ OPTIONS('a'='b') */) WHERE rn = 1;",
    "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN ((x)) THEN 1 END FROM s; END; SET 'a.b' = 'c';",
    "CREATE TABLE u (z INT) WITH ('p' = '${size}') LIKE s (INCLUDING ALL EXCLUDING OPTIONS);",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    ">>",
    "<>",
    ",",
    ";",
    "'",
    "`",
    "\"",
    "=",
    ".",
    "-",
    "--",
    "/*",
    "*/",
    "/*+",
    "${",
    "}",
    "${size}",
    "SELECT",
    "FROM",
    "CREATE TABLE",
    "WITH",
    "LIKE",
    "CAST(",
    "AS",
    "ROW<",
    "MAP[",
    "JSON_VALUE(",
    "TABLE",
    "EMIT WITH",
    "INTERVAL",
    "WATERMARK FOR",
    "BEGIN STATEMENT SET",
    "END",
    "SET",
    "CASE",
    "WHEN",
    "NOT",
    "IN (",
    "0x",
    "1e",
    "é",
    "😀",
    "\u{0}",
    "\n",
    "\r\n",
    "\u{feff}",
    "NULL",
    "PRIMARY KEY",
    "OVER (",
    "LATERAL",
    "UNNEST(",
];

/// Cuts, doubles and puts things into a good script.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(PIECES));
    (prop::collection::vec(prop::sample::select(GOOD), 1..4), prop::collection::vec(edit, 1..6)).prop_map(
        |(parts, edits)| {
            let mut text: Vec<char> = parts.concat().chars().collect();
            for (from, length, kind, piece) in edits {
                let at = from.index(text.len() + 1);
                let end = (at + length.index(20)).min(text.len());
                match kind {
                    0 => drop(text.drain(at..end)),
                    1 => drop(text.splice(at..at, piece.chars())),
                    2 => drop(text.splice(at..end, piece.chars())),
                    _ => {
                        let copy: Vec<char> = text[at..end].to_vec();
                        drop(text.splice(at..at, copy));
                    }
                }
            }
            text.into_iter().collect()
        },
    )
}

fn random() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn a_mutated_script_ends_in_a_script_or_in_errors_at_places_that_it_has(text in mutated()) {
        if let Err(errors) = parse(&text, &variables) {
            prop_assert!(!errors.is_empty());
            let lines = u32::try_from(text.split('\n').count()).unwrap();
            for error in errors {
                prop_assert!((1..=lines).contains(&error.place.line) && error.place.column > 0, "{text}\n{error:?}");
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    #[test]
    fn a_heap_of_words_and_signs_ends_in_a_script_or_in_errors(text in random()) {
        drop(parse(&text, &variables));
    }

    #[test]
    fn any_text_ends_in_a_script_or_in_errors(text in any::<String>()) {
        drop(parse(&text, &variables));
    }
}

#[test]
fn nesting_without_end_is_refused_and_does_not_overflow_the_stack() {
    let n = 3_000;
    for (open, close) in [
        ("(", ")"),
        ("ROW(", ")"),
        ("CASE WHEN ", " THEN 1 END"),
        ("NOT ", ""),
        ("- ", ""),
        ("CAST(", " AS INT)"),
        ("ARRAY[", "]"),
        ("a + ", ""),
        ("a AND ", ""),
        ("MAP['a', ", "]"),
        ("JSON_VALUE(", ", '$')"),
        ("a.", ""),
        ("EXISTS (SELECT ", ")"),
        ("CASE a WHEN 1 THEN 2 ELSE ", " END"),
        ("a || ", ""),
        ("a COLLATE ", ""),
    ] {
        let text = format!("INSERT INTO t SELECT {}1{} FROM s", open.repeat(n), close.repeat(n));
        drop(parse(&text, &variables));
        let text = format!("INSERT INTO t SELECT {}1 FROM s", open.repeat(n));
        drop(parse(&text, &variables));
    }
    for text in [
        format!("INSERT INTO t SELECT a FROM {}s{}", "(".repeat(n), ")".repeat(n)),
        format!("INSERT INTO t {}SELECT 1{}", "(".repeat(30), ")".repeat(30)),
        format!("INSERT INTO t SELECT a FROM {}s", "(SELECT a FROM ".repeat(30)),
        format!("INSERT INTO t SELECT a FROM {}s WHER{}", "(SELECT a FROM ".repeat(30), ")".repeat(30)),
        format!("INSERT INTO t SELECT a FROM {}s WHER x{}", "(".repeat(35), ")".repeat(35)),
        format!("INSERT INTO t {}SELECT 1", "SELECT 1 UNION ALL ".repeat(n)),
        format!("CREATE TABLE t (a {}INT{}) WITH (x = y)", "ARRAY<".repeat(n), ">".repeat(n)),
        format!("CREATE TABLE t (a INT{}) WITH (x = y)", " ARRAY".repeat(n)),
        format!("CREATE TABLE t (a {}INT{}) WITH (x = y)", "ROW(a ".repeat(n), ")".repeat(n)),
    ] {
        drop(parse(&text, &variables));
    }
}

#[test]
fn an_open_comment_behind_letters_of_two_bytes_is_said() {
    assert!(errors("é /* ; */ /*")[0].message.contains("never closed"));
}

#[test]
fn a_script_longer_than_anybody_writes_is_refused() {
    let found = errors(&"SET 'a' = 'b';\n".repeat(100_000));
    assert!(found[0].message.contains("longer than"), "{found:?}");
}
