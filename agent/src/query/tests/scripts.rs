//! Scripts whose final rows a real Flink 1.20.1 has computed from the same input (`flink/rows.jsonl`).

use std::collections::{BTreeMap, HashMap};

use super::build::context;
use super::random::Random;
use crate::query::{Engine, Program};
use crate::record::{Batch, ChangeKind, Changes, Column, Identity, Origin, SourceId, Type, Value};
use crate::sql::plan::Query;
use crate::sql::{bind, front};

const SCRIPTS: &str = include_str!("flink/scripts.txt");
const INPUT: &str = include_str!("flink/input.csv");
const ROWS: &str = include_str!("flink/rows.jsonl");

const TABLE: &str = "CREATE TABLE t (k STRING, n INT, ts TIMESTAMP(3), i INT, d DOUBLE, m DECIMAL(10,2), b BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector'='filesystem', 'path'='/t.csv', 'format'='csv', 'csv.null-literal'='NULL');
CREATE VIEW w AS SELECT k, window_time AS rt, COUNT(*) AS c
  FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY k, window_start, window_end, window_time;";

fn query(columns: &str, select: &str) -> Query {
    let text = format!("{TABLE}\nCREATE TABLE s ({columns}) WITH ('connector'='print');\nINSERT INTO s {select};");
    let script = front::parse(&text, &|_| None).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
    bind::bind(&script).unwrap_or_else(|e| panic!("{text}\n{e:?}"))
}

/// A field of the input as a value of its column.
fn field(name: &str, text: &str) -> Value {
    match name {
        _ if text == "NULL" => Value::Null,
        "k" => Value::Text(text.into()),
        "ts" => {
            let at: jiff::civil::DateTime = text.parse().unwrap();
            Value::Int(at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond())
        }
        "d" => Value::Double(text.parse().unwrap()),
        "m" => Value::Decimal((text.parse::<f64>().unwrap() * 100.0).round() as i128),
        "b" => Value::Bool(text == "true"),
        _ => Value::Int(text.parse().unwrap()),
    }
}

const NAMES: [&str; 7] = ["k", "n", "ts", "i", "d", "m", "b"];

/// All scans' batches of some lines.
fn batches(query: &Query, lines: &[(u64, &str)]) -> Vec<Batch> {
    let batch = |scan: &crate::sql::plan::Scan| {
        let mut columns: Vec<Column> = scan.columns.iter().map(|c| Column::of(&c.ty, lines.len())).collect();
        for (_, line) in lines {
            let values: HashMap<&str, &str> = NAMES.into_iter().zip(line.split(',')).collect();
            for (column, of) in columns.iter_mut().zip(&scan.columns) {
                column.push(&field(&of.name, values[of.name.as_str()]));
            }
        }
        let offsets = lines.iter().map(|(offset, _)| *offset).collect();
        let origin = Some(Origin { source: SourceId(1), offsets, places: Vec::new(), ordinals: Vec::new() });
        Batch { columns, rows: lines.len(), origin }
    };
    query.scans.iter().map(batch).collect()
}

/// What the sink holds in the end: rows by id.
fn run(query: &Query, cuts: &mut Random) -> Vec<Vec<Value>> {
    let program = std::sync::Arc::new(Program::new(query).unwrap());
    let mut engine = Engine::new(program.clone()).unwrap();
    let mut sink = BTreeMap::new();
    let mut blobs: Vec<Vec<u8>> = Vec::new();
    let mut cx = context(0);
    let lines: Vec<(u64, &str)> = INPUT.lines().enumerate().map(|(i, line)| (i as u64, line)).collect();
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(1 + cuts.below(20) as usize));
        rest = later;
        for (scan, batch) in batches(query, now).into_iter().enumerate() {
            engine.apply(program.prepare(scan, batch, &mut cx), &mut cx);
        }
        if rest.is_empty() {
            engine.finish(&mut cx);
        }
        let result = engine.step(blobs.len() as u64 + 1, &mut cx);
        assert!(result.refused.is_empty(), "{:?}", result.refused);
        assert_eq!(result.counts.late, 0);
        result.changes.iter().for_each(|changes| fold(changes, &mut sink));
        blobs.push(result.delta);
        engine = Engine::new(program.clone()).unwrap();
        assert!(blobs.iter().all(|blob| engine.load(blob)));
    }
    sink.into_values().collect()
}

fn fold(changes: &Changes, sink: &mut BTreeMap<String, Vec<Value>>) {
    for row in 0..changes.batch.rows {
        let id = match &changes.identity {
            Identity::Given(ids) => ids.text(row).to_string(),
            Identity::Origin => {
                let origin = changes.batch.origin.as_ref().unwrap();
                format!("{}/{}", origin.offsets[row], origin.ordinals.get(row).unwrap_or(&0))
            }
        };
        let values = changes.batch.columns.iter().map(|column| column.value(row)).collect();
        match changes.kinds.of(row) {
            ChangeKind::Delete => assert!(sink.remove(&id).is_some(), "nothing to delete"),
            ChangeKind::Insert => assert!(sink.insert(id, values).is_none(), "one id for two rows"),
            ChangeKind::Upsert => drop(sink.insert(id, values)),
        }
    }
}

/// A value as it is printed in `rows.jsonl`, numbers to six places.
fn printed(value: &Value, ty: &Type) -> String {
    match (value, ty) {
        (Value::Null, _) => "null".into(),
        (Value::Int(at), Type::Timestamp(_)) => {
            jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(*at).unwrap()).to_string()
        }
        (Value::Int(x), _) => format!("{:.6}", *x as f64),
        (Value::Double(x), _) => format!("{x:.6}"),
        (Value::Decimal(x), Type::Decimal(_, scale)) => format!("{:.6}", *x as f64 / 10_f64.powi((*scale).into())),
        (Value::Text(text), _) => text.to_string(),
        (Value::Bool(x), _) => x.to_string(),
        other => panic!("{other:?}"),
    }
}

fn printed_json(value: &serde_json::Value, ty: &Type) -> String {
    match (value, ty) {
        (serde_json::Value::Number(n), _) => format!("{:.6}", n.as_f64().unwrap()),
        (serde_json::Value::String(text), Type::Timestamp(_)) => {
            text.parse::<jiff::civil::DateTime>().unwrap().to_string()
        }
        (serde_json::Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

#[test]
fn final_rows_are_those_of_a_real_flink() {
    let mut expected: HashMap<String, Vec<serde_json::Value>> = HashMap::new();
    for line in ROWS.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        expected.entry(row["q"].as_str().unwrap().to_string()).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for (number, line) in SCRIPTS.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let [name, columns, select] = line.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..] else { panic!() };
        let query = query(columns, select);
        let fields = &query.nodes[query.outputs[0].input].fields;
        let mut got: Vec<String> = run(&query, &mut Random(number as u64))
            .iter()
            .map(|row| row.iter().zip(fields).map(|(v, f)| printed(v, &f.ty)).collect::<Vec<_>>().join(" | "))
            .collect();
        let json = |row: &serde_json::Value| {
            let cells = fields.iter().map(|f| printed_json(&row[f.name.as_str()], &f.ty));
            cells.collect::<Vec<_>>().join(" | ")
        };
        let mut want: Vec<String> = expected.get(name).into_iter().flatten().map(json).collect();
        got.sort();
        want.sort();
        if got != want {
            wrong.push(format!("{name}\n  got  {}\n  want {}", got.join("\n       "), want.join("\n       ")));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
