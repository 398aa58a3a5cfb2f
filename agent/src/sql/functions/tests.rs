//! The functions against Flink's own answers (`golden/*.tsv`, see `golden/Golden.java`), against the vendor's
//! documentation (`golden/vendor.tsv`), and against themselves: no values make them panic, and a column gives what its
//! rows give one by one.

use sqlparser::ast;

use crate::record::{Batch, Type, Value};
use crate::sql::eval::eval;
use crate::sql::expr::{Context, Expr};
use crate::sql::plan::Settings;
use crate::sql::{bind, front};

mod random;
mod refusals;

/// Differences from Flink that are meant, or that only literals show.
const DIFFERENT: &str = include_str!("golden/different.txt");

/// A script with a view of this expression, and the expression itself.
fn bound(text: &str, zone: &str, legacy: bool) -> Result<(Expr, Settings), String> {
    let sql = format!(
        "SET 'table.local-time-zone' = '{zone}'; SET 'table.exec.legacy-cast-behaviour' = '{}';
         CREATE TABLE s (x INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'json');
         CREATE VIEW v AS SELECT {text} AS x FROM s;",
        if legacy { "enabled" } else { "disabled" }
    );
    let said = |errors: Vec<crate::sql::script::SqlError>| {
        errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let script = front::parse(&sql, &|_| None).map_err(said)?;
    let ast::SetExpr::Select(select) = &*script.views[0].query.body else { panic!("no SELECT") };
    let ast::SelectItem::ExprWithAlias { expr, .. } = &select.projection[0] else { panic!("no alias") };
    let expr = bind::expression(&script, expr).map_err(said)?;
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    Ok((expr, Settings { zone, legacy_cast: legacy, ..Settings::default() }))
}

/// Its value, and whether the row is one that Flink would fail for.
fn value_of(expr: &Expr, settings: &Settings) -> (Value, bool) {
    let mut context = Context::new(1_600_000_000_000_000, settings.zone.clone());
    let column = eval(expr, &Batch { rows: 1, ..Batch::default() }, &mut context);
    (column.value(0), !context.errors.is_empty())
}

/// As the golden files have it.
fn written(value: &Value, ty: &Type) -> String {
    let list = |parts: Vec<String>, open: &str, close: &str| format!("{open}{}{close}", parts.join(", "));
    let cast = |to: &Type| {
        let expr = Expr::literal(value.clone(), ty.clone());
        let cast = crate::sql::cast::cast(expr, to, crate::sql::cast::Strictness::Strict).unwrap();
        match value_of(&cast, &Settings::default()).0 {
            Value::Text(text) => text.into_string(),
            other => format!("{other:?}"),
        }
    };
    match (value, ty) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Bool(x), _) => x.to_string(),
        (Value::Text(text), _) => {
            let text = text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
            format!("'{text}'")
        }
        (Value::Bytes(bytes), _) => {
            format!("x'{}'", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())
        }
        (Value::Int(x), Type::Time(_)) => written_time(*x),
        (Value::Int(x), Type::Timestamp(_)) => written_stamp(*x),
        (Value::Int(x), Type::TimestampLtz(_)) => format!("{}Z", written_stamp(*x)),
        (Value::Int(x), Type::IntervalMonths) => format!("P{x}M"),
        (Value::Int(x), Type::IntervalTime) => format!("PT{}H", x / 3_600_000_000),
        (Value::Array(items), Type::Array(of)) => list(items.iter().map(|item| written(item, of)).collect(), "[", "]"),
        (Value::Map(entries), Type::Map(k, v)) => {
            let mut parts: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}={}", written(key, k), written(value, v))).collect();
            parts.sort();
            list(parts, "{", "}")
        }
        (Value::Row(values), Type::Row(fields)) => {
            list(values.iter().zip(fields).map(|(value, (_, ty))| written(value, ty)).collect(), "(", ")")
        }
        _ => cast(&Type::STRING),
    }
}

fn written_time(micros: i64) -> String {
    let mut out = Vec::new();
    crate::sql::calendar::write_time(micros, 6, &mut out);
    String::from_utf8(out).unwrap()
}

fn written_stamp(micros: i64) -> String {
    let mut out = Vec::new();
    crate::sql::calendar::write_timestamp(micros, 6, &mut out);
    String::from_utf8(out).unwrap()
}

/// Types are held against one another without lengths of texts and without NOT NULL inside.
fn same_type(ours: &Type, flink: &str) -> bool {
    let plain = |text: &str| {
        let text = text.replace(" NOT NULL", "").replace("INTERVAL SECOND(3)", "INTERVAL DAY TO SECOND");
        let text = text.replace("INTERVAL MONTH", "INTERVAL YEAR TO MONTH");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['C', 'V', 'B']) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let word: &str = &from[..from.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(from.len())];
            rest = &from[word.len()..];
            let (name, length) = match word {
                "CHAR" | "VARCHAR" => ("STRING", true),
                "BINARY" | "VARBINARY" => ("BYTES", true),
                word => (word, false),
            };
            out.push_str(name);
            if length && let Some(end) = rest.strip_prefix('(').and_then(|rest| rest.find(')')) {
                rest = &rest[end + 2..];
            }
        }
        out + rest
    };
    plain(&ours.to_string()) == plain(flink)
}

/// What is wrong with one line; `None`: nothing.
fn wrong(line: &str, zone: &str, legacy: bool) -> Option<String> {
    let parts: Vec<&str> = line.split('\t').collect();
    let [text, ty, answer] = parts.as_slice() else { return Some(format!("{line}: not three columns")) };
    if DIFFERENT.lines().any(|known| known == *text) || *ty == "REFUSED" {
        return None;
    }
    let (expr, settings) = match bound(text, zone, legacy) {
        Ok(bound) => bound,
        Err(_) if *ty == "ERROR" => return None,
        Err(said) => return Some(format!("{text}: refused: {said}")),
    };
    let (value, failed) = value_of(&expr, &settings);
    let ours = written(&value, &expr.ty);
    if *ty == "ERROR" {
        // A NULL that Flink's collecting sink would not take is an error there.
        return (value != Value::Null).then(|| format!("{text}: {ours}, Flink fails: {answer}"));
    }
    if failed {
        return Some(format!("{text}: failed, Flink gives {answer}"));
    }
    if !same_type(&expr.ty, ty) {
        return Some(format!("{text}: of type {}, in Flink {ty}", expr.ty));
    }
    (ours != *answer).then(|| format!("{text}: {ours}, Flink gives {answer}"))
}

fn check(golden: &str) {
    let (mut zone, mut legacy) = ("UTC".to_owned(), false);
    let mut found = Vec::new();
    let mut count = 0;
    for line in golden.lines() {
        if let Some(name) = line.strip_prefix("#zone ") {
            zone = name.trim().to_owned();
        } else if let Some(on) = line.strip_prefix("#legacy ") {
            legacy = on.trim() == "true";
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            count += 1;
            found.extend(wrong(line, &zone, legacy));
        }
    }
    assert!(found.is_empty(), "{} of {count} differ:\n{}", found.len(), found.join("\n"));
}

#[test]
fn arithmetic_and_mathematics_are_flinks() {
    check(include_str!("golden/numbers.tsv"));
}

#[test]
fn logic_and_patterns_are_flinks() {
    check(include_str!("golden/logic.tsv"));
}

#[test]
fn casts_are_flinks() {
    check(include_str!("golden/casts.tsv"));
}

#[test]
fn functions_of_texts_are_flinks() {
    check(include_str!("golden/text.tsv"));
}

#[test]
fn functions_of_times_are_flinks() {
    check(include_str!("golden/time.tsv"));
}

#[test]
fn json_and_collections_are_flinks() {
    check(include_str!("golden/json.tsv"));
}

#[test]
fn functions_that_flink_lacks_are_the_vendors() {
    check(include_str!("golden/vendor.tsv"));
}

#[test]
fn types_have_flinks_names_but_for_not_null() {
    for (text, name) in [
        ("x", "INT"),
        ("CAST(x AS DECIMAL(10,2))", "DECIMAL(10, 2)"),
        ("CAST(x AS VARCHAR(5))", "VARCHAR(5)"),
        ("CAST(x AS STRING)", "STRING"),
        ("CAST('a' AS BYTES)", "BYTES"),
        ("'abc'", "CHAR(3)"),
        ("RAND()", "DOUBLE"),
        ("1.5", "DECIMAL(2, 1)"),
        ("TIMESTAMP '2020-01-01 00:00:00'", "TIMESTAMP(0)"),
        ("ARRAY[1]", "ARRAY<INT>"),
        ("MAP['a', 1]", "MAP<CHAR(1), INT>"),
        ("INTERVAL '1' DAY", "INTERVAL SECOND(3)"),
        ("INTERVAL '1' MONTH", "INTERVAL MONTH"),
        ("CURRENT_TIMESTAMP", "TIMESTAMP_LTZ(3)"),
        ("NULL", "NULL"),
    ] {
        let sql =
            format!("TYPEOF({text})").replace("(x", "(CAST(1 AS INT)").replace("TYPEOF(CAST(1 AS INT) ", "TYPEOF(x ");
        let (expr, settings) = bound(&sql, "UTC", false).unwrap_or_else(|said| panic!("{sql}: {said}"));
        assert_eq!(value_of(&expr, &settings).0, Value::Text(name.into()), "{sql}");
    }
}

#[test]
fn every_row_draws_numbers_of_its_own() {
    for (text, rows) in [("UUID()", 1000), ("RAND()", 1000), ("RAND(1)", 1000)] {
        let (expr, settings) = bound(text, "UTC", false).unwrap();
        let mut context = Context::new(0, settings.zone);
        let batch = Batch { rows, ..Batch::default() };
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let column = eval(&expr, &batch, &mut context);
            seen.extend((0..rows).map(|row| format!("{:?}", column.value(row))));
        }
        assert_eq!(seen.len(), 2 * rows, "{text}");
    }
    let (expr, settings) = bound("RAND_INTEGER(3)", "UTC", false).unwrap();
    let column = eval(&expr, &Batch { rows: 100, ..Batch::default() }, &mut Context::new(0, settings.zone));
    let seen: std::collections::BTreeSet<String> = (0..100).map(|row| format!("{:?}", column.value(row))).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["Int(0)", "Int(1)", "Int(2)"]);
}
