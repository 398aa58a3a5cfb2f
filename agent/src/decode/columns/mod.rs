//! A chunk's records become a batch of just the columns that a query reads: the beginning of the columns way.
//!
//! Promises: pure; every record is a row, or blank, or counted as passed over, or handed back with the reason why it
//! can't be read (to become a dead letter), never silent; only the fields that are read are converted. Values follow
//! Flink's json, csv and raw formats; where they differ, the file of the format says so.
//! Does not compute, filter or order anything.

mod build;
mod csv;
mod json;
mod logs;
mod scalar;
mod scan;
mod temporal;
mod text;

use std::borrow::Cow;
use std::ops::Range;

use splashdam_api::words::plural;

use super::records::{Record, records};
use crate::plan::{ColumnFrom, CsvFormat, JsonFormat, TableColumn, TableFormat, TablePlan};
use crate::record::{Batch, Chunk, Column, Data, Origin, Part, Piece, Timestamp, Type, Value};
use build::Builder;
use scalar::{Got, Rules};

/// A table's decoder. Shared by all workers.
#[derive(Debug)]
pub(crate) struct ColumnDecoder {
    columns: Vec<TableColumn>,
    /// The batch's columns that are fields of the record, with their place in it.
    fields: Vec<Field>,
    format: Format,
    host: String,
}

#[derive(Debug)]
struct Field {
    /// Its number in the batch.
    column: usize,
    /// Its number among the record's fields.
    place: usize,
}

#[derive(Debug)]
enum Format {
    Json { names: scan::Names, options: json::Options },
    Csv { format: CsvFormat, separators: csv::Separators, physical: usize },
    Raw,
    Logs(logs::Logs),
}

/// What decoding a chunk brought to light. Records are `batch.rows + blank + skipped + refused.len()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DecodeFacts {
    pub(crate) records: u64,
    /// Records without any text (json, csv), comments, and a first line that names the columns.
    pub(crate) blank: u64,
    /// Records that are none of the format, passed over because parse errors are ignored.
    pub(crate) skipped: u64,
    /// Fields that can't be read as their column's type, NULL because parse errors are ignored.
    pub(crate) null_fields: u64,
    /// Records in which invalid UTF-8 was replaced by U+FFFD.
    pub(crate) invalid_utf8: u64,
    pub(crate) refused: Vec<RefusedRecord>,
    /// One of the fields that can't be read, if the table wants to know.
    pub(crate) example: Option<String>,
}

/// A record that can't be read: it becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRecord {
    /// The record's offset in its source, and which one there it is.
    pub(crate) offset: u64,
    pub(crate) place: u32,
    /// Its bytes in the chunk's data; empty for a log.
    pub(crate) bytes: Range<usize>,
    /// A log's fields as JSON.
    pub(crate) text: String,
    pub(crate) reason: String,
}

/// How one record ended.
enum Row {
    Added,
    Blank,
    /// None of the format: the reason.
    Bad(String),
}

/// What is used again from record to record.
#[derive(Default)]
struct Scratch {
    slots: Vec<scan::Slot>,
    memory: scan::Memory,
    fields: csv::Fields,
    null_fields: u64,
}

impl ColumnDecoder {
    /// `host` is this machine's name, unless the plan has another.
    pub(crate) fn new(plan: &TablePlan, host: &str) -> ColumnDecoder {
        let place = |(column, of): (usize, &TableColumn)| match of.from {
            ColumnFrom::Field(place) => Some(Field { column, place }),
            ColumnFrom::Metadata(_) => None,
        };
        let fields: Vec<Field> = plan.columns.iter().enumerate().filter_map(place).collect();
        let format = match &plan.format {
            TableFormat::Json(format) => {
                let names = fields.iter().filter_map(|field| plan.columns.get(field.column)).map(|c| c.name.as_str());
                Format::Json { names: scan::Names::new(names), options: options(format) }
            }
            TableFormat::Csv(format) => Format::Csv {
                format: format.clone(),
                separators: csv::Separators::new(format),
                physical: plan.physical,
            },
            TableFormat::Raw => Format::Raw,
            TableFormat::Log(format) => Format::Logs(logs::Logs::new(*format, plan.physical, &plan.columns)),
        };
        let host = plan.host.clone().unwrap_or_else(|| host.to_owned());
        ColumnDecoder { columns: plan.columns.clone(), fields, format, host }
    }

    /// The rows of a chunk in order, with their origin. `now` is the time at which they were read.
    pub(crate) fn decode(&self, chunk: &Chunk, now: Timestamp) -> (Batch, DecodeFacts) {
        if let Format::Logs(logs) = &self.format {
            return self.logs(logs, chunk);
        }
        let capacity = match chunk.piece {
            Piece::Lines | Piece::LogGroups => chunk.data.len() / 128 + 1,
            Piece::Part(_) => 1,
        };
        let valid = simdutf8::basic::from_utf8(&chunk.data).ok();
        let mut builders: Vec<Builder> = self.columns.iter().map(|column| Builder::new(column, capacity)).collect();
        let mut offsets = Vec::with_capacity(capacity);
        let mut facts = DecodeFacts::default();
        let mut scratch = Scratch::default();
        if let Format::Json { names, .. } = &self.format {
            scratch.slots.resize(names.len(), scan::Slot::default());
        }
        let mut first = chunk.offset == 0;
        for record in records(chunk) {
            facts.records += 1;
            if std::mem::replace(&mut first, false) && self.has_header() {
                facts.blank += 1;
                continue;
            }
            let from = (record.offset - chunk.offset) as usize;
            let bytes = from..from + record.bytes.len();
            let line: Cow<'_, str> = match valid.and_then(|text| text.get(bytes.clone())) {
                Some(line) => Cow::Borrowed(line),
                None => String::from_utf8_lossy(record.bytes),
            };
            facts.invalid_utf8 += u64::from(matches!(line, Cow::Owned(_)));
            match self.row(&line, &record, &mut builders, &mut scratch) {
                Row::Added => offsets.push(record.offset),
                Row::Blank => facts.blank += 1,
                Row::Bad(reason) => {
                    builders.iter_mut().for_each(|builder| builder.truncate(offsets.len()));
                    if self.ignores_errors() {
                        facts.skipped += 1;
                    } else {
                        let refused =
                            RefusedRecord { offset: record.offset, place: 0, bytes, text: String::new(), reason };
                        facts.refused.push(refused);
                    }
                }
            }
        }
        facts.null_fields = scratch.null_fields;
        let mut columns: Vec<Column> = builders.into_iter().map(Builder::finish).collect();
        self.fill_metadata(&mut columns, chunk, &offsets, now);
        let rows = offsets.len();
        let origin = Origin { source: chunk.source, offsets, places: Vec::new(), ordinals: Vec::new() };
        (Batch { columns, rows, origin: Some(origin) }, facts)
    }

    /// The first record of a source names the columns.
    fn has_header(&self) -> bool {
        matches!(&self.format, Format::Csv { format, .. } if format.header)
    }

    fn ignores_errors(&self) -> bool {
        match &self.format {
            Format::Json { options, .. } => options.ignore_parse_errors,
            Format::Csv { format, .. } => format.ignore_parse_errors,
            Format::Raw | Format::Logs(_) => false,
        }
    }

    /// Adds one record's fields to their columns. On [`Row::Bad`] some may have been added.
    fn row(&self, line: &str, record: &Record<'_>, builders: &mut [Builder], scratch: &mut Scratch) -> Row {
        if !matches!(self.format, Format::Raw) {
            if let Some(reason) = torn(record.part) {
                return Row::Bad(reason.to_owned());
            }
            if line.trim_ascii_start().is_empty() {
                return Row::Blank;
            }
        }
        match &self.format {
            Format::Json { names, options } => self.json(line, names, *options, builders, scratch),
            Format::Csv { format, separators, physical } => {
                if format.allow_comments && line.starts_with('#') {
                    return Row::Blank;
                }
                let Scratch { fields, null_fields, .. } = scratch;
                if let Err(reason) = separators.split(line, fields) {
                    return Row::Bad(reason);
                }
                self.csv(line, format, *physical, fields, builders, null_fields)
            }
            Format::Raw => self.raw(line, record, builders),
            Format::Logs(_) => Row::Blank, // a log is no line
        }
    }

    fn json(
        &self,
        line: &str,
        names: &scan::Names,
        options: json::Options,
        builders: &mut [Builder],
        scratch: &mut Scratch,
    ) -> Row {
        let Scratch { slots, memory, null_fields, .. } = scratch;
        if scan::scan(line, names, slots, memory).is_none()
            && let Err(error) = scan::parse(line, names, slots)
        {
            return Row::Bad(error.to_string());
        }
        for (field, slot) in self.fields.iter().zip(slots.iter()) {
            let Some(builder) = builders.get_mut(field.column) else { continue };
            let Some(json) = slot.of(line) else {
                if options.fail_on_missing_field {
                    return Row::Bad(format!("field \"{}\" is missing", self.name(field)));
                }
                builder.null();
                continue;
            };
            let added = match slot.plain(line) {
                Some(text) => builder.add(|data, ty| json::append_plain(data, ty, text, options)),
                None => builder.add(|data, ty| json::append(data, ty, json, options)),
            };
            if !added {
                if !options.ignore_parse_errors {
                    return Row::Bad(self.unreadable(field, json));
                }
                builder.null();
                *null_fields += 1;
            }
        }
        Row::Added
    }

    fn csv(
        &self,
        line: &str,
        format: &CsvFormat,
        physical: usize,
        found: &csv::Fields,
        builders: &mut [Builder],
        null_fields: &mut u64,
    ) -> Row {
        let count = found.len();
        let one_empty_more = count == physical + 1 && found.get(line, physical).is_some_and(|f| f.trim().is_empty());
        if count > physical && !one_empty_more || count < physical && !format.ignore_parse_errors {
            return Row::Bad(format!("{} expected, found {count}", plural(physical as u64, "field")));
        }
        for field in &self.fields {
            let Some(builder) = builders.get_mut(field.column) else { continue };
            let Some(text) = found.get(line, field.place) else {
                builder.null();
                continue;
            };
            if !builder.add(|data, ty| csv::append(data, ty, text, format)) {
                if !format.ignore_parse_errors {
                    return Row::Bad(self.unreadable(field, text));
                }
                builder.null();
                *null_fields += 1;
            }
        }
        Row::Added
    }

    /// The whole line as text, or its bytes as they are.
    fn raw(&self, line: &str, record: &Record<'_>, builders: &mut [Builder]) -> Row {
        for field in &self.fields {
            let Some(builder) = builders.get_mut(field.column) else { continue };
            let append = |data: &mut Data, _: &Type| match data {
                Data::Text(texts) => {
                    texts.push(line.as_bytes());
                    Got::Value
                }
                Data::Bytes(bytes) => {
                    bytes.push(record.bytes);
                    Got::Value
                }
                _ => Got::Wrong,
            };
            if !builder.add(append) {
                return Row::Bad("the raw format gives STRING or BYTES only".to_owned());
            }
        }
        Row::Added
    }

    fn name(&self, field: &Field) -> &str {
        self.columns.get(field.column).map_or("", |column| &column.name)
    }

    fn unreadable(&self, field: &Field, text: &str) -> String {
        let ty = self.columns.get(field.column).map(|column| column.ty.to_string()).unwrap_or_default();
        let shown: String = text.chars().take(100).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        let hint = self.columns.get(field.column).and_then(|column| self.hint(&column.ty, text)).unwrap_or_default();
        format!("field \"{}\": {shown}{more} is no {ty}{hint}", self.name(field))
    }

    /// How a time that is none as the table is declared could be read.
    fn hint(&self, ty: &Type, text: &str) -> Option<String> {
        let iso = match &self.format {
            Format::Json { options, .. } => Some(matches!(options.rules, Rules::JsonIso)),
            Format::Csv { .. } | Format::Logs(_) => None,
            Format::Raw => return None,
        };
        temporal::hint(ty, text.trim_matches('"').trim(), iso)
    }

    /// Columns that the source knows rather than the record, all rows at once.
    fn fill_metadata(&self, columns: &mut [Column], chunk: &Chunk, offsets: &[u64], now: Timestamp) {
        for (column, of) in columns.iter_mut().zip(&self.columns) {
            let ColumnFrom::Metadata(key) = &of.from else { continue };
            *column = Column::of(&of.ty, offsets.len());
            let mut value = Value::Null;
            for (row, offset) in offsets.iter().enumerate() {
                if row == 0 || key == "offset" {
                    value = metadata(key, &of.ty, chunk, &self.host, *offset, now);
                }
                column.push(&value);
            }
        }
    }
}

fn options(format: &JsonFormat) -> json::Options {
    json::Options {
        rules: if format.iso_timestamps { Rules::JsonIso } else { Rules::Json },
        fail_on_missing_field: format.fail_on_missing_field,
        ignore_parse_errors: format.ignore_parse_errors,
    }
}

/// Why a record that is not a whole line can't be trusted to be one of a structured format. One without its newline
/// yet is taken: a last line often has none, and a half-written one is seldom of the format.
fn torn(part: Part) -> Option<&'static str> {
    if part.truncated {
        return Some("the line is longer than the longest allowed and was cut");
    }
    part.continues.map(|_| "the rest of a line whose beginning was read before")
}

/// NULL where the declared type can't hold it.
fn metadata(key: &str, ty: &Type, chunk: &Chunk, host: &str, offset: u64, now: Timestamp) -> Value {
    let text = |text: &str| match ty {
        Type::Char(_) | Type::Varchar(_) => Value::Text(text.into()),
        _ => Value::Null,
    };
    let number = |x: i64| match ty {
        Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => Value::Int(x),
        _ => text(&x.to_string()),
    };
    match (key, ty) {
        ("path", _) => text(&chunk.path),
        ("host", _) => text(host),
        ("offset", _) => number(offset as i64),
        ("timestamp", Type::Timestamp(p) | Type::TimestampLtz(p)) => {
            Value::Int(temporal::truncate(now.0.saturating_mul(1000), *p))
        }
        ("timestamp", _) => number(now.0),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
