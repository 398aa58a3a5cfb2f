//! Mistakes that people make, with the line and column that they are told, and what is said.

use super::errors;

/// (script, line, column, length, a part of what is said); one error each.
const MISTAKES: &[(&str, u32, u32, u32, &str)] = &[
    ("INSERT INOT t SELECT a FROM s", 1, 8, 4, "did you mean INTO?"),
    ("INSERT INTO t SELCT a FROM s", 1, 15, 5, "did you mean SELECT?"),
    ("INSERT INTO t SELECT a FORM s", 1, 24, 4, "did you mean FROM?"),
    ("INSERT INTO t SELECT a FROM s WHER b = 1", 1, 31, 4, "did you mean WHERE?"),
    ("INSERT INTO t SELECT a, COUNT(*) FROM s GRUOP BY a", 1, 41, 5, "did you mean GROUP?"),
    ("INSERT INTO t SELECT a FROM (SELECT b FORM s) WHERE 1 = 1", 1, 39, 4, "did you mean FROM?"),
    ("INSERT INTO t SELECT a, FROM s", 1, 25, 4, ""),
    ("INSERT INTO t SELECT a b c FROM s", 1, 26, 1, "comma"),
    ("INSERT INTO t SELECT (a + b FROM s", 1, 22, 1, "never closed"),
    ("INSERT INTO t SELECT a + b) FROM s", 1, 27, 1, "never opened"),
    ("INSERT INTO t SELECT 'a FROM s", 1, 22, 1, "never closed"),
    ("INSERT INTO t SELECT a /* FROM s", 1, 24, 1, "never closed"),
    ("INSERT INTO t SELECT \"a\" FROM s", 1, 22, 1, "'x' for a text"),
    ("INSERT INTO t SELECT ‘a' FROM s", 1, 22, 1, "write '"),
    ("INSERT INTO t SELECT a， b FROM s", 1, 23, 1, "write ,"),
    ("INSERT OVERWRITE t SELECT a FROM s", 1, 8, 9, "INSERT OVERWRITE"),
    ("INSERT INTO c.d.t SELECT a FROM s", 1, 13, 1, "catalogs"),
    ("INSERT INTO t SELECT CAST(a AS STRNG) FROM s", 1, 32, 5, "did you mean STRING?"),
    ("INSERT INTO t SELECT a FROM (SELECT CAST(a AS TIMESTAMP(9)) AS a FROM s)", 1, 57, 1, "nanoseconds"),
    ("INSERT INTO t SELECT a FROM s EMIT STREAM", 1, 36, 6, "WITH DELAY"),
    ("INSERT INTO t SELECT MAP['a'] FROM s", 1, 22, 3, "key without a value"),
    ("SELECT a FROM s", 1, 1, 6, "INSERT INTO"),
    ("CREATE FUNCTION f AS 'x.Y'", 1, 8, 8, "functions of one's own"),
    ("CREATE CATALOG c WITH ('a'='b')", 1, 8, 7, "no catalogs"),
    ("CRAETE TABLE t (a INT)", 1, 1, 6, "did you mean CREATE?"),
    ("CREATE TABEL t (a INT)", 1, 8, 5, "did you mean TABLE?"),
    ("DROP TABLE t", 1, 1, 4, "nothing is dropped"),
    ("USE CATALOG c", 1, 1, 3, "no catalogs"),
    ("ADD JAR 'x.jar'", 1, 1, 3, "jars"),
    ("CREATE TABLE t (a INT, b STRING", 1, 16, 1, "never closed"),
    ("CREATE TABLE t (a INT b STRING) WITH ('a'='b')", 1, 23, 1, "comma missing"),
    ("CREATE TABLE t (a INT,) WITH ('a'='b')", 1, 22, 1, "take the comma out"),
    ("CREATE TABLE t (a INTT) WITH ('a'='b')", 1, 19, 4, "did you mean INT?"),
    ("CREATE TABLE t (a TEXT) WITH ('a'='b')", 1, 19, 4, "did you mean STRING?"),
    ("CREATE TABLE t (a TIMESTAMP(9)) WITH ('a'='b')", 1, 29, 1, "nanoseconds"),
    ("CREATE TABLE t (a DECIMAL(40,2)) WITH ('a'='b')", 1, 27, 2, "1 to 38"),
    ("CREATE TABLE t (a ARRAY) WITH ('a'='b')", 1, 24, 1, "ARRAY<STRING>"),
    ("CREATE TABLE t (a INT, a STRING) WITH ('a'='b')", 1, 24, 1, "two columns a"),
    ("CREATE TABLE t (abc INT, PRIMARY KEY (abd)) WITH ('a'='b')", 1, 39, 3, "did you mean abc?"),
    ("CREATE TABLE t (a INT DEFAULT 1) WITH ('a'='b')", 1, 23, 7, "no DEFAULT"),
    ("CREATE TABLE t (a INT, PRIMARY KEY (a) ENFORCED) WITH ('a'='b')", 1, 40, 8, "NOT ENFORCED"),
    ("CREATE TABLE t (a INT, PERIOD FOR SYSTEM_TIME) WITH ('a'='b')", 1, 24, 6, "dimension"),
    ("CREATE TABLE t (a INT) WITH ('a' 'b')", 1, 34, 3, "\"=\" and the value of a"),
    ("CREATE TABLE t (a INT) WITH ('a' = 'b' 'c' = 'd')", 1, 40, 3, "comma missing"),
    ("CREATE TABLE t (a INT) WITH ('a' = )", 1, 36, 1, "the value of a"),
    ("CREATE TABLE t (a INT) WITH ('a' = 'b', 'a' = 'c')", 1, 41, 3, "given twice"),
    ("CREATE TABLE t (a INT) WIHT ('a' = 'b')", 1, 24, 4, "WITH"),
    ("CREATE TABLE t (a INT) AS SELECT 1", 1, 24, 2, "INSERT INTO"),
    ("CREATE TABLE t WITH ('a'='b') LIKE u", 1, 36, 1, "no table u"),
    ("CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR tx AS tx) WITH ('a'='b')", 1, 48, 2, "did you mean ts?"),
    ("BEGIN STATEMENT SET;\nINSERT INTO t SELECT 1;", 1, 1, 5, "no END"),
    ("END;", 1, 1, 3, "ends nothing"),
    ("SET;", 1, 4, 0, "SET 'key' = 'value'"),
    ("INSERT INTO t SELECT ${missing}", 1, 22, 10, "no value"),
    ("INSERT INTO t SELECT a\nFROM s\n  WHERE a >\nGROUP BY a", 4, 1, 5, "expression"),
    ("INSERT INTO t SELECT 1\nINSERT INTO u SELECT 2", 2, 1, 6, "; missing"),
];

#[test]
fn a_mistake_is_said_with_its_place_and_what_was_meant() {
    let mut wrong = String::new();
    for (script, line, column, length, part) in MISTAKES {
        let found = errors(script);
        let right = found.iter().any(|e| {
            let at = (e.place.line, e.place.column) == (*line, *column);
            at && (*length == 0 || e.length == *length) && e.message.contains(part)
        });
        if !right || found.len() > 1 {
            wrong.push_str(&format!("{script}\n  wanted {line}:{column} ({length}) {part}\n  found {found:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn all_errors_of_a_script_are_said_at_once() {
    let script = "
CREATE TABLE s (
  a INTT,
  b ROW<x STRNG>,
  c INT
  d INT
) WITH (
  'connector' 'x',
  'path' = 'y'
);
INSERT INOT t SELECT a FROM s;
DROP TABLE x;
INSERT INTO t SELECT a FORM s;
";
    let lines: Vec<u32> = errors(script).iter().map(|e| e.place.line).collect();
    assert_eq!(lines, [3, 4, 6, 8, 11, 12, 13], "{:?}", errors(script));
}

#[test]
fn what_stands_before_an_open_quote_is_read_as_well() {
    let script = "DROP TABLE x;\nCREATE TABLE t (a INT) WITH (\n  'a' = 'b,\n  'c' = 'd'\n);\nINSERT INTO t SELECT 1";
    let places: Vec<_> = errors(script).iter().map(|e| (e.place.line, e.place.column)).collect();
    assert_eq!(places, [(1, 1), (3, 9)]);
}

#[test]
fn a_message_never_repeats_a_text_in_quotes() {
    for script in [
        "CREATE TABLE t (a INT) WITH ('password' = 'hunter2' 'x')",
        "CREATE TABLE t (a INT) WITH (accessKey 'hunter2')",
        "INSERT INTO t SELECT a + 'hunter2' 'hunter2' FROM s WHERE",
        "SET 'a' 'hunter2'",
        "INSERT INTO t SELECT * FROM s WHERE 'hunter2' 'hunter2'",
    ] {
        let said = format!("{:?}", errors(script));
        assert!(!said.contains("hunter2"), "{said}");
    }
}
