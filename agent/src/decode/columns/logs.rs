//! Logs of Log Service as columns: fields are found by their names, texts are cast to the columns' types.
//!
//! A missing field is NULL; a text that is none of its column's type is NULL as well, and counted. Of several fields
//! with one name the last counts. Differences from Flink's casts: an integer may have blanks around it; a timestamp may
//! be written as seconds or milliseconds since 1970, or with a `T`.

use super::scalar::{self, Got, Rules, Scalar};
use super::{Builder, ColumnDecoder, DecodeFacts, RefusedRecord, temporal};
use crate::plan::{ColumnFrom, LengthCheck, LogFormat, TableColumn};
use crate::record::log_group::{self, LogGroup, LogTime};
use crate::record::{Batch, Chunk, Column, Data, Origin, Type, Value};

/// What a table asks of a log.
#[derive(Debug)]
pub(super) struct Logs {
    format: LogFormat,
    /// Ordinary columns that the table declares.
    physical: usize,
    attributes: Vec<Attribute>,
}

/// A column that is no field of the log.
#[derive(Debug)]
struct Attribute {
    column: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Topic,
    Source,
    Timestamp,
    /// All tags, as a MAP.
    Tags,
    Tag(Vec<u8>),
    /// Not known to a Logstore.
    Nothing,
}

/// What is the same for all logs of a chunk, and what is used again from log to log.
struct Rows<'a> {
    builders: Vec<Builder>,
    offsets: Vec<u64>,
    places: Vec<u32>,
    contents: Vec<(&'a [u8], &'a [u8])>,
    slots: Vec<Option<&'a [u8]>>,
    facts: DecodeFacts,
}

impl Logs {
    pub(super) fn new(format: LogFormat, physical: usize, columns: &[TableColumn]) -> Logs {
        let attribute = |(column, of): (usize, &TableColumn)| {
            let ColumnFrom::Metadata(key) = &of.from else { return None };
            let what = match key.as_str() {
                "__topic__" => What::Topic,
                "__source__" => What::Source,
                "__timestamp__" => What::Timestamp,
                "__tag__" => What::Tags,
                key => key.strip_prefix("__tag__:").map_or(What::Nothing, |tag| What::Tag(tag.as_bytes().to_vec())),
            };
            Some(Attribute { column, what })
        };
        let attributes = columns.iter().enumerate().filter_map(attribute).collect();
        Logs { format, physical, attributes }
    }
}

impl ColumnDecoder {
    /// The rows of a chunk of log groups in order, with their origin.
    pub(super) fn logs(&self, logs: &Logs, chunk: &Chunk) -> (Batch, DecodeFacts) {
        let capacity = chunk.data.len() / 128 + 1;
        let mut rows = Rows {
            builders: self.columns.iter().map(|column| Builder::new(column, capacity)).collect(),
            offsets: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            contents: Vec::new(),
            slots: vec![None; self.fields.len()],
            facts: DecodeFacts::default(),
        };
        for (cursor, (_, group)) in (chunk.offset..).zip(log_group::groups(&chunk.data)) {
            for (place, log) in (0_u32..).zip(group.logs()) {
                rows.facts.records += 1;
                let time = log_group::contents(log, &mut rows.contents);
                if self.row_of_log(logs, &mut rows, (cursor, place), log) {
                    self.attributes(logs, &mut rows.builders, &group, time);
                    rows.offsets.push(cursor);
                    rows.places.push(place);
                }
            }
        }
        let Rows { builders, offsets, places, facts, .. } = rows;
        let columns: Vec<Column> = builders.into_iter().map(Builder::finish).collect();
        let count = offsets.len();
        let origin = Origin { source: chunk.source, offsets, places, ordinals: Vec::new() };
        (Batch { columns, rows: count, origin: Some(origin) }, facts)
    }

    /// Adds a log's fields to their columns. False: it is no row.
    fn row_of_log(&self, logs: &Logs, rows: &mut Rows<'_>, at: (u64, u32), log: &[u8]) -> bool {
        let found = rows.contents.len();
        match logs.format.length_check {
            LengthCheck::SkipShort if found < logs.physical => rows.facts.skipped += 1,
            LengthCheck::Skip if found != logs.physical => rows.facts.skipped += 1,
            LengthCheck::Refuse if found != logs.physical => {
                let reason = format!("the log has {found} fields, the table {}", logs.physical);
                let refused = RefusedRecord { offset: at.0, place: at.1, bytes: 0..0, text: shown(log), reason };
                rows.facts.refused.push(refused);
            }
            _ => {
                self.fields_of_log(rows, logs.format.debug);
                return true;
            }
        }
        false
    }

    fn fields_of_log(&self, rows: &mut Rows<'_>, debug: bool) {
        let Rows { builders, contents, slots, facts, .. } = rows;
        slots.fill(None);
        for (key, value) in contents.iter() {
            for (field, slot) in self.fields.iter().zip(slots.iter_mut()) {
                if self.name(field).as_bytes() == *key {
                    *slot = Some(value);
                }
            }
        }
        let mut invalid = false;
        for (field, slot) in self.fields.iter().zip(slots.iter()) {
            let Some(builder) = builders.get_mut(field.column) else { continue };
            let Some(bytes) = slot else {
                builder.null();
                continue;
            };
            let valid = simdutf8::basic::from_utf8(bytes);
            invalid |= valid.is_err();
            let text = valid.map_or_else(|_| String::from_utf8_lossy(bytes), |text| text.into());
            if !builder.add(|data, ty| append(data, ty, &text, bytes)) {
                builder.null();
                facts.null_fields += 1;
                if debug && facts.example.is_none() {
                    facts.example = Some(self.unreadable(field, &text));
                }
            }
        }
        facts.invalid_utf8 += u64::from(invalid);
    }

    fn attributes(&self, logs: &Logs, builders: &mut [Builder], group: &LogGroup<'_>, time: LogTime) {
        for Attribute { column, what } in &logs.attributes {
            let Some(builder) = builders.get_mut(*column) else { continue };
            let added = match what {
                What::Topic => builder.add(|data, ty| append_bytes(data, ty, group.topic)),
                What::Source => builder.add(|data, ty| append_bytes(data, ty, group.source)),
                What::Tag(key) => match group.tag(key) {
                    Some(value) => builder.add(|data, ty| append_bytes(data, ty, value)),
                    None => false,
                },
                What::Timestamp => builder.add(|data, ty| {
                    let text = time.seconds.to_string();
                    append(data, ty, &text, text.as_bytes())
                }),
                What::Tags => builder.add(|data, ty| append_tags(data, ty, group)),
                What::Nothing => false,
            };
            if !added {
                builder.null();
            }
        }
    }
}

fn append_bytes(data: &mut Data, ty: &Type, bytes: &[u8]) -> Got {
    append(data, ty, &String::from_utf8_lossy(bytes), bytes)
}

fn append_tags(data: &mut Data, ty: &Type, group: &LogGroup<'_>) -> Got {
    let (Data::Values(values), Type::Map(..)) = (data, ty) else { return Got::Wrong };
    let text = |bytes: &[u8]| Value::Text(String::from_utf8_lossy(bytes).into());
    values.push(Value::Map(group.tags.iter().map(|(key, value)| (text(key), text(value))).collect()));
    Got::Value
}

/// Appends a text to a column of type `ty`.
fn append(data: &mut Data, ty: &Type, text: &str, bytes: &[u8]) -> Got {
    match (data, ty) {
        (Data::Text(texts), _) => {
            texts.push(text.as_bytes());
            Got::Value
        }
        (Data::Bytes(values), _) => {
            values.push(bytes);
            Got::Value
        }
        (Data::Bool(values), _) => match boolean(text) {
            Some(value) => {
                values.push(value);
                Got::Value
            }
            None => Got::Wrong,
        },
        (Data::Int(values), Type::Timestamp(precision) | Type::TimestampLtz(precision)) => match moment(text) {
            Some(micros) => {
                values.push(temporal::truncate(micros, *precision));
                Got::Value
            }
            None => Got::Wrong,
        },
        (data, _) => scalar::append(data, ty, &Scalar::Text(text.trim().into()), Rules::Csv),
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    if is(&["true", "t", "yes", "y", "1"]) {
        return Some(true);
    }
    is(&["false", "f", "no", "n", "0"]).then_some(false)
}

/// Microseconds since 1970. Whole numbers are seconds, or milliseconds if they are large.
fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        let unit = if number < 100_000_000_000 { 1_000_000 } else { 1000 };
        return number.checked_mul(unit);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    temporal::sql_timestamp(text).or_else(|| temporal::iso_timestamp(text))
}

/// A log's own fields as a JSON object.
fn shown(log: &[u8]) -> String {
    let mut contents = Vec::new();
    log_group::contents(log, &mut contents);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = contents.iter().map(|(key, value)| (text(key), serde_json::Value::from(text(value))));
    serde_json::Value::Object(fields.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Secret, SlsPlan, SlsReach, SourcePlan, TableFormat, TablePlan};
    use crate::record::log_group::write;
    use crate::record::{Piece, SourceId, Timestamp};

    fn table(check: LengthCheck, columns: &[(&str, Type, bool)]) -> TablePlan {
        let column = |(place, (name, ty, attribute)): (usize, &(&str, Type, bool))| TableColumn {
            name: (*name).to_owned(),
            ty: ty.clone(),
            from: if *attribute { ColumnFrom::Metadata((*name).to_owned()) } else { ColumnFrom::Field(place) },
        };
        let reach = SlsReach::new("http://h", Secret::literal("a"), Secret::literal("b"));
        TablePlan {
            name: "t".to_owned(),
            source: SourcePlan::Sls(Box::new(SlsPlan::new(reach, "p", "l"))),
            format: TableFormat::Log(LogFormat { length_check: check, debug: true }),
            columns: columns.iter().enumerate().map(column).collect(),
            physical: columns.iter().filter(|(_, _, attribute)| !attribute).count(),
            host: None,
        }
    }

    fn decode(table: &TablePlan, data: Vec<u8>) -> (Batch, DecodeFacts) {
        let chunk = Chunk { source: SourceId(9), path: "p/l/0".into(), offset: 700, data, piece: Piece::LogGroups };
        ColumnDecoder::new(table, "host").decode(&chunk, Timestamp(0))
    }

    fn list() -> Vec<u8> {
        let mut list = Vec::new();
        let logs: &[write::Log<'_>] = &[
            (1_700_000_000, None, &[(b"a", b"x"), (b"n", b" 42 "), (b"t", b"1700000000123"), (b"a", b"last")]),
            (1_700_000_001, None, &[(b"n", b"no number"), (b"t", b"2023-11-14 22:13:20"), (b"a", b"\xff")]),
        ];
        write::group("top", "src", &[("__receive_time__", "1700000002"), ("k", "v")], logs, &mut list);
        write::group("", "", &[], &[(7, None, &[(b"other", b"1")])], &mut list);
        list
    }

    const TEXT: Type = Type::Varchar(u32::MAX);

    #[test]
    fn fields_are_found_by_name_and_cast_and_attributes_are_beside_them() {
        let map = Type::Map(Box::new(TEXT), Box::new(TEXT));
        let columns = [
            ("n", Type::Int, false),
            ("a", TEXT, false),
            ("t", Type::Timestamp(3), false),
            ("__topic__", TEXT, true),
            ("__timestamp__", Type::BigInt, true),
            ("__tag__", map, true),
            ("__tag__:k", TEXT, true),
            ("__source__", TEXT, false),
        ];
        let (batch, facts) = decode(&table(LengthCheck::Pad, &columns), list());
        assert_eq!((batch.rows, facts.records, facts.null_fields, facts.invalid_utf8), (3, 3, 1, 1));
        assert_eq!(facts.example.as_deref(), Some("field \"n\": no number is no INT"));
        let row = |row: usize| batch.columns.iter().map(|column| column.value(row)).collect::<Vec<_>>();
        let text = |text: &str| Value::Text(text.into());
        let tags = Value::Map(vec![(text("__receive_time__"), text("1700000002")), (text("k"), text("v"))]);
        let at = Value::Int(1_700_000_000_123_000);
        let seconds = Value::Int(1_700_000_000);
        let expected = vec![Value::Int(42), text("last"), at, text("top"), seconds, tags, text("v"), Value::Null];
        assert_eq!(row(0), expected, "__source__ without HEADER is a field like others");
        assert_eq!(row(1)[..3], [Value::Null, text("\u{fffd}"), Value::Int(1_700_000_000_000_000)]);
        assert_eq!((row(2)[0].clone(), row(2)[3].clone(), row(2)[6].clone()), (Value::Null, text(""), Value::Null));
        let origin = batch.origin.unwrap();
        assert_eq!((origin.offsets, origin.places), (vec![700, 700, 701], vec![0, 1, 0]));
    }

    #[test]
    fn a_log_with_more_or_fewer_fields_is_what_length_check_says() {
        let columns = [("a", TEXT, false), ("n", TEXT, false), ("t", TEXT, false)];
        let rows = |check| {
            let (batch, facts) = decode(&table(check, &columns), list());
            assert_eq!(batch.rows as u64 + facts.skipped + facts.refused.len() as u64, 3);
            (batch.rows, facts.skipped, facts.refused.len())
        };
        assert_eq!(rows(LengthCheck::Pad), (3, 0, 0));
        assert_eq!(rows(LengthCheck::SkipShort), (2, 1, 0));
        assert_eq!(rows(LengthCheck::Skip), (1, 2, 0));
        assert_eq!(rows(LengthCheck::Refuse), (1, 0, 2));
        let (_, facts) = decode(&table(LengthCheck::Refuse, &columns), list());
        assert_eq!((facts.refused[1].text.as_str(), facts.refused[1].offset), (r#"{"other":"1"}"#, 701));
    }

    #[test]
    fn texts_become_values_of_their_types_or_nothing() {
        assert_eq!((boolean("TRUE"), boolean("0"), boolean("maybe")), (Some(true), Some(false), None));
        assert_eq!((moment("1700000000"), moment("")), (Some(1_700_000_000_000_000), None));
        assert_eq!(moment("2023-11-14T22:13:20Z"), Some(1_700_000_000_000_000));
        for (ty, text, value) in [
            (Type::BigInt, "-5", Value::Int(-5)),
            (Type::Double, "1.5e3", Value::Double(1500.0)),
            (Type::Decimal(10, 2), "12.345", Value::Decimal(1235)),
            (Type::Date, "2023-11-14", Value::Int(19675)),
            (Type::Varbinary(u32::MAX), "raw", Value::Bytes((*b"raw").into())),
        ] {
            let mut data = Data::of(&ty, 1);
            assert_eq!(append(&mut data, &ty, text, text.as_bytes()), Got::Value, "{ty}");
            assert_eq!(Column { data, nulls: None }.value(0), value, "{ty}");
        }
        assert_eq!(append(&mut Data::of(&Type::Int, 1), &Type::Int, "", b""), Got::Wrong);
    }
}
