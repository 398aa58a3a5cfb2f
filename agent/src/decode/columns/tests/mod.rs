//! What decoding into columns promises, table by table.

use super::*;
use crate::plan::{FilePlan, SourcePlan};
use crate::record::{Piece, SourceId};

mod csv;
mod json;
mod random;

const NOW: Timestamp = Timestamp(1_795_248_060_123);

fn table(format: TableFormat, columns: &[(&str, Type)]) -> TablePlan {
    let column = |(i, (name, ty)): (usize, &(&str, Type))| TableColumn {
        name: (*name).to_owned(),
        ty: ty.clone(),
        from: ColumnFrom::Field(i),
    };
    TablePlan {
        name: "t".to_owned(),
        source: SourcePlan::File(FilePlan::default()),
        format,
        columns: columns.iter().enumerate().map(column).collect(),
        physical: columns.len(),
        host: None,
    }
}

fn chunk(data: impl AsRef<[u8]>, piece: Piece) -> Chunk {
    Chunk { source: SourceId(7), path: "/var/log/a.log".into(), offset: 100, data: data.as_ref().to_vec(), piece }
}

fn lines(data: impl AsRef<[u8]>) -> Chunk {
    chunk(data, Piece::Lines)
}

fn decode(plan: &TablePlan, data: impl AsRef<[u8]>) -> (Batch, DecodeFacts) {
    let (batch, facts) = ColumnDecoder::new(plan, "h1").decode(&lines(data), NOW);
    sound(plan, &batch, &facts);
    (batch, facts)
}

/// The same at a source's beginning.
fn decode_first(plan: &TablePlan, data: impl AsRef<[u8]>) -> (Batch, DecodeFacts) {
    let chunk = Chunk { offset: 0, ..lines(data) };
    let (batch, facts) = ColumnDecoder::new(plan, "h1").decode(&chunk, NOW);
    sound(plan, &batch, &facts);
    (batch, facts)
}

/// Every record is accounted for, and every column has every row.
fn sound(plan: &TablePlan, batch: &Batch, facts: &DecodeFacts) {
    assert_eq!(facts.records, batch.rows as u64 + facts.blank + facts.skipped + facts.refused.len() as u64);
    assert_eq!(batch.columns.len(), plan.columns.len());
    for column in &batch.columns {
        assert_eq!(column.len(), batch.rows);
        assert!(column.nulls.as_ref().is_none_or(|nulls| nulls.len() == batch.rows));
    }
    assert_eq!(batch.origin.as_ref().unwrap().offsets.len(), batch.rows);
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn columns_that_the_source_knows_are_filled_for_every_row() {
    let mut plan = table(TableFormat::Raw, &[("line", Type::STRING)]);
    for (key, ty) in [
        ("path", Type::STRING),
        ("offset", Type::BigInt),
        ("host", Type::STRING),
        ("timestamp", Type::TimestampLtz(3)),
        ("timestamp", Type::BigInt),
        ("nothing", Type::STRING),
    ] {
        plan.columns.push(TableColumn { name: key.into(), ty, from: ColumnFrom::Metadata(key.into()) });
    }
    let (batch, facts) = decode(&plan, "one\r\n\ntwo\n");
    let row = |row: usize| batch.columns.iter().map(|c| c.value(row)).collect::<Vec<_>>();
    let rest = |offset| {
        let micros = Value::Int(NOW.0 * 1000);
        [text("/var/log/a.log"), Value::Int(offset), text("h1"), micros, Value::Int(NOW.0), Value::Null]
    };
    assert_eq!(row(0), [[text("one")].as_slice(), &rest(100)].concat());
    assert_eq!(row(1), [[text("")].as_slice(), &rest(105)].concat());
    assert_eq!(row(2), [[text("two")].as_slice(), &rest(106)].concat());
    assert_eq!(batch.origin.unwrap().offsets, [100, 105, 106]);
    assert_eq!((facts.records, facts.blank), (3, 0));
}

#[test]
fn the_plans_host_goes_before_the_machines() {
    let mut plan = table(TableFormat::Raw, &[]);
    plan.columns.push(TableColumn { name: "h".into(), ty: Type::STRING, from: ColumnFrom::Metadata("host".into()) });
    plan.host = Some("h9".into());
    assert_eq!(decode(&plan, "x\n").0.columns[0].value(0), text("h9"));
}

#[test]
fn raw_lines_are_text_with_replacements_or_the_bytes_as_they_are() {
    let plan = table(TableFormat::Raw, &[("line", Type::STRING)]);
    let (batch, facts) = decode(&plan, b"a\xffb\nc\n");
    assert_eq!(batch.columns[0].value(0), text("a\u{fffd}b"));
    assert_eq!(facts.invalid_utf8, 1);
    let (batch, _) = decode(&table(TableFormat::Raw, &[("line", Type::BYTES)]), b"a\xffb\n");
    assert_eq!(batch.columns[0].value(0), Value::Bytes(b"a\xffb".as_slice().into()));
    let (batch, facts) = decode(&table(TableFormat::Raw, &[("line", Type::Int)]), b"5\n");
    assert_eq!((batch.rows, facts.refused.len()), (0, 1));
}

#[test]
fn a_cut_line_is_no_record_of_a_structured_format_and_an_unfinished_one_may_be() {
    let columns = [("a", Type::Int)];
    let json = table(TableFormat::Json(JsonFormat::default()), &columns);
    let csv = table(TableFormat::Csv(CsvFormat::default()), &columns);
    let raw = table(TableFormat::Raw, &[("line", Type::STRING)]);
    let truncated = Part { truncated: true, ..Part::default() };
    let partial = Part { partial: true, ..Part::default() };
    let rest = Part { continues: Some(3), ..Part::default() };
    for (plan, data, part, rows) in [
        (&json, "{\"a\":1}", truncated, 0),
        (&json, "{\"a\":1}", rest, 0),
        (&json, "{\"a\":1}", partial, 1),
        (&json, "{\"a\":1", partial, 0),
        (&csv, "1", truncated, 0),
        (&csv, "1", rest, 0),
        (&csv, "1", partial, 1),
        (&raw, "x", truncated, 1),
        (&raw, "x", rest, 1),
    ] {
        let (batch, facts) = ColumnDecoder::new(plan, "h").decode(&chunk(data, Piece::Part(part)), NOW);
        sound(plan, &batch, &facts);
        assert_eq!((batch.rows, facts.refused.len()), (rows, 1 - rows), "{data} {part:?}");
        assert!(facts.refused.iter().all(|r| r.offset == 100 && r.bytes == (0..data.len()) && !r.reason.is_empty()));
    }
}
