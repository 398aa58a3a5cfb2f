//! Whatever the front end reads, binding ends in a plan or in errors.

use proptest::prelude::*;

use super::{answer, filled};

/// Pieces of scripts that are put together at random.
const PIECES: [&str; 60] = [
    "SELECT",
    "a",
    "b",
    "c",
    "ts",
    "p",
    "*",
    "t.*",
    ",",
    "FROM t",
    "FROM v",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "COUNT(*)",
    "SUM(a)",
    "SUM(SUM(a))",
    "MAX(c)",
    "TUMBLE(ts, INTERVAL '1' MINUTE)",
    "TUMBLE_START(ts, INTERVAL '1' MINUTE)",
    "HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
    "SESSION(ts, INTERVAL '1' MINUTE)",
    "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "FROM TABLE(SESSION(TABLE t PARTITION BY a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "window_start",
    "window_end",
    "window_time",
    "ROW_NUMBER() OVER (PARTITION BY a ORDER BY ts DESC) AS rn",
    "rn = 1",
    "AND",
    "OR",
    "NOT",
    "=",
    "+",
    "1",
    "'x'",
    "NULL",
    "(",
    ")",
    "CASE WHEN a = 1 THEN b END",
    "CAST(a AS STRING)",
    "UNION ALL",
    "UNION",
    "DISTINCT",
    "CROSS JOIN UNNEST(tags) AS u(x)",
    "LEFT JOIN UNNEST(items) AS u(x, y) ON TRUE",
    "JOIN t AS t2 ON t.a = t2.a",
    "AS x",
    "r.x",
    "m['k']",
    "tags[1]",
    "IN (1, 2)",
    "BETWEEN 1 AND 2",
    "LIKE 'x%'",
    "IS NULL",
    "FILTER (WHERE a > 1)",
    "LIMIT 1",
    "ORDER BY a",
    "COUNT(DISTINCT a)",
    "WITH q AS (SELECT a FROM t)",
];

/// Whole scripts that are changed at random.
fn scripts() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/bind/tests/plans");
    let files = std::fs::read_dir(folder).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let cases = texts.flat_map(|text| text.split("\n== ").map(str::to_owned).collect::<Vec<_>>());
    cases
        .filter_map(|case| case.split_once('\n').map(|(_, rest)| rest.split("\n--\n").next().unwrap().to_owned()))
        .collect()
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_query_of_random_pieces_panics(pieces in prop::collection::vec(0..PIECES.len(), 1..24)) {
        let query: Vec<&str> = pieces.iter().map(|i| PIECES[*i]).collect();
        let query = query.join(" ");
        answer(&format!("@t\n@s x INT, y STRING\nCREATE VIEW v AS SELECT {query};\nINSERT INTO s SELECT * FROM v;\nINSERT INTO s SELECT {query}"));
    }

    #[test]
    fn no_changed_script_panics(which in any::<prop::sample::Index>(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3u8), 1..5)) {
        let all = scripts();
        let script = filled(&all[which.index(all.len())]);
        let mut words: Vec<String> = script.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect();
        for (from, to, how) in cuts {
            let (from, to) = (from.index(words.len()), to.index(words.len()));
            match how {
                0 => { words.remove(from); words.push(String::new()); }
                1 => words.swap(from, to),
                _ => { let copy = words[from].clone(); words.insert(to, copy); }
            }
        }
        answer(&words.concat());
    }
}

#[test]
fn long_chains_and_deep_nests_end_in_an_answer() {
    let wrong = |query: &str| answer(&format!("@t\n@s x INT\nINSERT INTO s SELECT {query}"));
    let chain = |op: &str, n: usize| vec!["a"; n].join(op);
    wrong(&format!("{} FROM t", chain(" + ", 3000)));
    wrong(&format!("a FROM t WHERE {}", vec!["a = 1"; 3000].join(" AND ")));
    wrong(&format!("a FROM t WHERE {}", vec!["a = 1"; 3000].join(" OR ")));
    wrong(&format!("{}a{} FROM t", "(".repeat(200), ")".repeat(200)));
    let mut views = String::from("@t\n@s x INT\nCREATE VIEW v0 AS SELECT a FROM t;\n");
    for i in 1..150 {
        views.push_str(&format!("CREATE VIEW v{i} AS SELECT a + a AS a FROM v{};\n", i - 1));
    }
    answer(&format!("{views}INSERT INTO s SELECT a FROM v149"));
    let doubled = answer(&format!("{views}INSERT INTO s SELECT a FROM v40"));
    assert!(doubled.len() < 20_000, "{}", doubled.len());
}

/// A query made of a chain of subqueries that all are right: each step picks what comes on top.
fn chain(steps: &[(u8, u8, u8)]) -> String {
    // Columns of numbers that the query has; whether it has ts as a rowtime, its windows' columns, changing results.
    let (mut from, mut view) = ("t".to_owned(), String::new());
    let mut columns = vec!["a".to_owned(), "b".to_owned(), "ms".to_owned()];
    let (mut time, mut windows, mut changing) = (Some("ts".to_owned()), false, false);
    for (depth, (step, x, y)) in steps.iter().enumerate() {
        let pick = |n: u8| columns[usize::from(n) % columns.len()].clone();
        let (x, y) = (pick(*x), pick(*y));
        let keep: String = time.iter().map(|ts| format!(", {ts}")).collect();
        let keep = keep + if windows { ", window_start, window_end" } else { "" };
        let name = |i: usize| format!("x{depth}_{i}");
        from = match step % 8 {
            0 => format!("(SELECT *, {x} + {y} AS {} FROM {from})", name(0)),
            1 => format!("(SELECT {x} AS {}, {y} AS {}{keep} FROM {from})", name(0), name(1)),
            2 => format!("(SELECT * FROM {from} WHERE {x} > {y} AND {y} IS NOT NULL)"),
            3 if !changing => format!("(SELECT {x} AS {}, COUNT(*) AS {} FROM {from} GROUP BY {x})", name(0), name(1)),
            4 if !changing && time.is_some() && !windows => format!(
                "(SELECT {x} AS {}, SUM({y}) AS {}, TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) AS ts FROM {from} GROUP BY {x}, TUMBLE(ts, INTERVAL '1' MINUTE))",
                name(0),
                name(1)
            ),
            5 if !changing && windows => format!(
                "(SELECT {x} AS {}, MAX({y}) AS {}, window_start, window_end FROM {from} GROUP BY {x}, window_start, window_end)",
                name(0),
                name(1)
            ),
            6 if !changing => format!(
                "(SELECT {x} AS {}, {y} AS {} FROM {from} UNION ALL SELECT {y}, {x} FROM {from})",
                name(0),
                name(1)
            ),
            7 if !changing => format!(
                "(SELECT {x} AS {}, {y} AS {} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {x} ORDER BY {y} DESC) AS rn FROM {from}) WHERE rn = 1)",
                name(0),
                name(1)
            ),
            _ => continue,
        };
        match step % 8 {
            0 => columns.push(name(0)),
            2 => {}
            step => {
                columns = vec![name(0), name(1)];
                changing |= matches!(step, 3 | 7);
                if !matches!(step, 1 | 4) {
                    time = None;
                }
                windows &= matches!(step, 1 | 5);
            }
        }
        if depth == 1 && !windows && !changing && time.is_some() {
            // From here on the rows are in windows.
            view = format!("CREATE VIEW v AS SELECT * FROM {from};\n");
            from = "TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), INTERVAL '1' MINUTE))".to_owned();
            windows = true;
        }
    }
    let list: Vec<String> = columns.iter().map(|column| format!("CAST({column} AS INT)")).collect();
    let sink: Vec<String> = (0..columns.len()).map(|i| format!("c{i} INT")).collect();
    format!(
        "@t\nCREATE TABLE s ({}) WITH ('connector' = 'print');\n{view}INSERT INTO s SELECT {} FROM {from};\nINSERT INTO s SELECT {} FROM {from}",
        sink.join(", "),
        list.join(", "),
        list.iter().rev().cloned().collect::<Vec<_>>().join(", ")
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn right_queries_of_any_shape_are_accepted(steps in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..9)) {
        let script = chain(&steps);
        let errors = super::plan(&script).err();
        prop_assert!(errors.is_none(), "{script}\n{errors:?}");
    }
}
