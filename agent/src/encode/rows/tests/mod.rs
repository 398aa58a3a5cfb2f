//! What encoding rows promises, seen in the lines that Elasticsearch would read.

use super::*;
use crate::plan::{RowIndex, RowIndexPart};
use crate::record::{Batch, Column, Identity, Kinds, Origin, SourceId, Strings, Type, Value, gzip};

mod ids;
mod random;

const NOW: Timestamp = Timestamp(1_795_248_060_123);

fn plan(columns: &[(&str, Type)], key: &[usize]) -> RowsPlan {
    RowsPlan {
        columns: columns.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect(),
        key: key.to_vec(),
        key_delimiter: "_".into(),
        update: UpdateMode::Full,
        omit_nulls: false,
        index: RowIndex::Literal("i".into()),
        routing: Vec::new(),
        document_type: None,
        compression: 1,
        iso_timestamps: false,
        retry_on_conflict: None,
    }
}

/// Rows of source 3 at the offsets 0, 10, 20 …
fn changes(plan: &RowsPlan, kind: ChangeKind, rows: &[Vec<Value>]) -> Changes {
    let column = |(i, (_, ty)): (usize, &(String, Type))| {
        let mut column = Column::of(ty, rows.len());
        rows.iter().for_each(|row| column.push(&row[i]));
        column
    };
    let columns = plan.columns.iter().enumerate().map(column).collect();
    let offsets = (0..rows.len() as u64).map(|i| i * 10).collect();
    let origin = Some(Origin { source: SourceId(3), offsets, places: Vec::new(), ordinals: Vec::new() });
    let batch = Batch { columns, rows: rows.len(), origin };
    Changes { output: 0, batch, kinds: Kinds::All(kind), identity: Identity::Origin }
}

fn encode(plan: &RowsPlan, changes: &[Changes]) -> (Vec<(String, u32, String)>, EncodedRows) {
    let encoder = RowEncoder::new("job", "agent", None, plan);
    let mut scratch = Scratch::default();
    let mut rows = encoder.begin(&mut scratch);
    for changes in changes {
        rows.changes(changes, 1000, NOW).unwrap();
    }
    let encoded = rows.finish().unwrap();
    let body = |m: &Member| String::from_utf8(gzip::decompress(&m.gzip, u64::from(m.raw_len)).unwrap()).unwrap();
    (encoded.members.iter().map(|m| (m.index.to_string(), m.items, body(m))).collect(), encoded)
}

/// The lines of the one member that there is.
fn lines(plan: &RowsPlan, changes: &Changes) -> Vec<String> {
    let (members, encoded) = encode(plan, std::slice::from_ref(changes));
    assert_eq!(encoded.refused, []);
    assert_eq!(members.len(), 1);
    members[0].2.lines().map(str::to_owned).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn appended_rows_are_created_under_the_id_of_their_record() {
    let plan = plan(&[("a", Type::STRING), ("n", Type::BigInt)], &[]);
    let rows = [vec![text("x\"\n"), Value::Int(-1)], vec![Value::Null, Value::Int(2)]];
    let mut changes = changes(&plan, ChangeKind::Insert, &rows);
    changes.batch.origin.as_mut().unwrap().ordinals = vec![0, 4];
    let expected = [
        "{\"create\":{\"_id\":\"job.agent.3.0\"}}",
        "{\"a\":\"x\\\"\\n\",\"n\":-1}",
        "{\"create\":{\"_id\":\"job.agent.3.10.4\"}}",
        "{\"a\":null,\"n\":2}",
    ];
    assert_eq!(lines(&plan, &changes), expected);
    let omitting = RowsPlan { omit_nulls: true, ..plan };
    assert_eq!(lines(&omitting, &changes)[3], "{\"n\":2}");
}

#[test]
fn keyed_rows_replace_under_a_version_that_grows_within_the_batch() {
    let plan = plan(&[("a", Type::STRING), ("cnt", Type::BigInt)], &[0]);
    let rows = [vec![text("k"), Value::Int(1)], vec![text("k"), Value::Int(2)]];
    let mut changes = changes(&plan, ChangeKind::Upsert, &rows);
    changes.kinds = Kinds::Each(vec![ChangeKind::Upsert, ChangeKind::Delete]);
    assert_eq!(
        lines(&plan, &changes),
        [
            "{\"index\":{\"_id\":\"k\",\"version\":1000,\"version_type\":\"external_gte\"}}",
            "{\"a\":\"k\",\"cnt\":1}",
            "{\"delete\":{\"_id\":\"k\",\"version\":1001,\"version_type\":\"external_gte\"}}",
        ]
    );
    let inc = RowsPlan { update: UpdateMode::Inc, retry_on_conflict: Some(3), routing: vec![1, 0], ..plan };
    assert_eq!(
        lines(&inc, &changes),
        [
            "{\"update\":{\"_id\":\"k\",\"routing\":\"1,k\",\"retry_on_conflict\":3}}",
            "{\"doc\":{\"a\":\"k\",\"cnt\":1},\"doc_as_upsert\":true}",
            "{\"delete\":{\"_id\":\"k\",\"routing\":\"2,k\"}}",
        ]
    );
}

#[test]
fn values_are_written_as_flinks_json_format_does() {
    let row = Type::Row(vec![("x".into(), Type::Int), ("y".into(), Type::STRING)]);
    let micros = Value::Int(1_795_248_060_500_000);
    let cases = [
        (Type::Boolean, Value::Bool(true), "true"),
        (Type::TinyInt, Value::Int(-5), "-5"),
        (Type::Float, Value::Float(0.1), "0.1"),
        (Type::Double, Value::Double(1e10), "1.0E10"),
        (Type::Double, Value::Double(f64::NAN), "null"),
        (Type::Decimal(10, 3), Value::Decimal(-1250), "-1.250"),
        (Type::BYTES, Value::Bytes(b"hi".as_slice().into()), "\"aGk=\""),
        (Type::Date, Value::Int(20_778), "\"2026-11-21\""),
        (Type::Time(0), Value::Int(28_860_000_000), "\"08:01:00\""),
        (Type::Timestamp(3), micros.clone(), "\"2026-11-21 08:01:00.5\""),
        (Type::TimestampLtz(3), micros.clone(), "\"2026-11-21 08:01:00.5Z\""),
        (Type::IntervalTime, Value::Int(1_500_000), "1500"),
        (Type::Array(Box::new(Type::Date)), Value::Array(vec![Value::Int(0), Value::Null]), "[\"1970-01-01\",null]"),
        (
            Type::Map(Box::new(Type::STRING), Box::new(Type::Double)),
            Value::Map(vec![(text("a\""), Value::Double(f64::INFINITY)), (text("b"), Value::Double(2.0))]),
            "{\"a\\\"\":null,\"b\":2.0}",
        ),
        (Type::Multiset(Box::new(Type::Int)), Value::Map(vec![(Value::Int(7), Value::Int(2))]), "{\"7\":2}"),
        (row.clone(), Value::Row(vec![Value::Int(1), Value::Null]), "{\"x\":1,\"y\":null}"),
    ];
    for (ty, value, expected) in cases {
        let plan = plan(&[("v", ty.clone())], &[]);
        let changes = changes(&plan, ChangeKind::Insert, &[vec![value]]);
        assert_eq!(lines(&plan, &changes)[1], format!("{{\"v\":{expected}}}"), "{ty}");
        let (_, encoded) = encode(&plan, &[changes]);
        assert_eq!(
            encoded.not_finite,
            u64::from(expected.contains("null") && matches!(ty, Type::Double | Type::Map(..)))
        );
    }
    let mut plan = plan(&[("v", Type::Timestamp(3)), ("r", row)], &[]);
    plan.iso_timestamps = true;
    plan.omit_nulls = true;
    let changes = changes(&plan, ChangeKind::Insert, &[vec![micros, Value::Row(vec![Value::Int(1), Value::Null])]]);
    assert_eq!(lines(&plan, &changes)[1], "{\"v\":\"2026-11-21T08:01:00.5\",\"r\":{\"x\":1}}");
}

#[test]
fn a_row_that_can_be_no_item_is_handed_back_and_the_others_go_on() {
    let columns = [("k", Type::STRING), ("m", Type::Map(Box::new(Type::STRING), Box::new(Type::Int)))];
    let plan = plan(&columns, &[0]);
    let rows = [
        vec![text(&"x".repeat(513)), Value::Null],
        vec![text("a"), Value::Map(vec![(Value::Null, Value::Int(1))])],
        vec![text(&"é".repeat(256)), Value::Null],
    ];
    let upserts = changes(&plan, ChangeKind::Upsert, &rows);
    let (members, encoded) = encode(&plan, &[upserts.clone(), upserts.clone()]);
    assert_eq!(members[0].1, 2);
    let refused: Vec<_> = encoded.refused.iter().map(|r| (r.changes, r.row, &*r.reason)).collect();
    let long = "its _id would have 513 bytes, Elasticsearch takes 512";
    let null_key = "column \"m\" is a map with a NULL key";
    assert_eq!(refused, [(0, 0, long), (0, 1, null_key), (1, 0, long), (1, 1, null_key)]);
    assert!(encoded.refused[0].document.starts_with(b"{\"k\":\"xxx") && encoded.refused[1].document.is_empty());
    let encoder = RowEncoder::new("job", "agent", None, &plan);
    assert_eq!(encoder.item(&upserts, 0, 1, NOW, &mut 0), Err(long.to_owned()));
    let mut homeless = changes(&self::plan(&columns, &[]), ChangeKind::Insert, &rows[2..]);
    homeless.batch.origin = None;
    assert_eq!(encode(&self::plan(&columns, &[]), &[homeless]).1.refused.len(), 1);
}

#[test]
fn one_row_for_keeping_has_the_lines_that_a_batch_would_have() {
    let plan = plan(&[("a", Type::STRING), ("n", Type::Int)], &[0]);
    let mut changes =
        changes(&plan, ChangeKind::Upsert, &[vec![text("x"), Value::Int(1)], vec![text("y"), Value::Int(2)]]);
    changes.kinds = Kinds::Each(vec![ChangeKind::Upsert, ChangeKind::Delete]);
    let encoder = RowEncoder::new("job", "agent", None, &plan);
    let mut kept = Vec::new();
    for row in 0..2 {
        let item = encoder.item(&changes, row, 1000 + row as u64, NOW, &mut 0).unwrap();
        assert_eq!(&*item.index, "i");
        kept.extend([Some(item.action), item.document].into_iter().flatten());
    }
    let kept: Vec<String> = kept.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    assert_eq!(kept, lines(&plan, &changes));
}

#[test]
fn the_index_follows_columns_and_stays_within_its_prefix() {
    let mut plan = plan(&[("svc", Type::STRING), ("ts", Type::Timestamp(3)), ("ms", Type::BigInt)], &[]);
    let date = |column, pattern: &str, hours| RowIndexPart::Date {
        column,
        pattern: pattern.into(),
        zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(hours)),
    };
    plan.index = RowIndex::Template {
        parts: vec![
            RowIndexPart::Literal("logs-".into()),
            RowIndexPart::Column(0),
            RowIndexPart::Literal("-".into()),
            date(1, "yyyy.MM.dd", 0),
            RowIndexPart::Literal("-".into()),
            date(2, "HH", 8),
            RowIndexPart::Now { pattern: "-MMM".into(), zone: jiff::tz::TimeZone::UTC },
        ],
        prefix: "logs-".into(),
        fallback: "logs-fallback".into(),
    };
    let (micros, ms) = (Value::Int(1_795_248_060_500_000), Value::Int(1_795_248_060_500));
    let rows = [
        vec![text("Web"), micros.clone(), ms.clone()],
        vec![Value::Null, Value::Null, ms.clone()],
        vec![text("../x"), micros.clone(), ms.clone()],
        vec![text(""), micros.clone(), ms.clone()],
        vec![text("web"), Value::Int(i64::MAX), ms.clone()],
        vec![text("web"), micros.clone(), ms.clone()],
        vec![text(&"w".repeat(250)), micros.clone(), ms],
    ];
    let (members, _) = encode(&plan, &[changes(&plan, ChangeKind::Insert, &rows)]);
    let mut counts: Vec<_> = members.iter().map(|m| (m.0.as_str(), m.1)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("logs-fallback", 4), ("logs-null-null-16-nov", 1), ("logs-web-2026.11.21-16-nov", 2)]);
    plan.index =
        RowIndex::Template { parts: vec![RowIndexPart::Column(0)], prefix: String::new(), fallback: "f".into() };
    let rows = [".security", "-x", "a"].map(|name| vec![text(name), Value::Null, Value::Null]);
    let (members, _) = encode(&plan, &[changes(&plan, ChangeKind::Insert, &rows)]);
    let mut names: Vec<_> = members.iter().map(|m| (m.0.as_str(), m.1)).collect();
    names.sort_unstable();
    assert_eq!(names, [("a", 1), ("f", 2)]);
}

#[test]
fn members_are_cut_and_hold_every_row_once_in_order() {
    let plan = plan(&[("m", Type::STRING)], &[]);
    let rows = vec![vec![text(&"x".repeat(1 << 20))]; 5];
    let (members, _) = encode(&plan, &[changes(&plan, ChangeKind::Insert, &rows)]);
    assert_eq!(members.iter().map(|m| m.1).collect::<Vec<_>>(), [2, 2, 1]);
    let all: String = members.into_iter().map(|m| m.2).collect();
    let ids: Vec<&str> = all.lines().step_by(2).collect();
    assert_eq!(ids[4], "{\"create\":{\"_id\":\"job.agent.3.40\"}}");
    assert_eq!(ids.len(), 5);
}

#[test]
fn windows_have_ids_of_their_own_in_every_output() {
    let plan = plan(&[("n", Type::Int)], &[]);
    let mut given = Strings::default();
    given.push(b"00112233445566778899aabbccddeeff");
    let mut changes = changes(&plan, ChangeKind::Insert, &[vec![Value::Int(1)]]);
    changes.batch.origin = None;
    changes.identity = Identity::Given(given);
    assert_eq!(lines(&plan, &changes)[0], "{\"create\":{\"_id\":\"job.agent.00112233445566778899aabbccddeeff\"}}");
    changes.kinds = Kinds::All(ChangeKind::Upsert);
    let encoder = RowEncoder::new("job", "agent", Some("1 sink.a"), &plan);
    let item = encoder.item(&changes, 0, 5, NOW, &mut 0).unwrap();
    let id = "job.agent.%31%20sink%2Ea.00112233445566778899aabbccddeeff";
    let action = format!("{{\"index\":{{\"_id\":\"{id}\",\"version\":5,\"version_type\":\"external_gte\"}}}}");
    assert_eq!(String::from_utf8(item.action).unwrap(), action);
}
