//! A line of separated values becomes fields, as Flink's csv format has it (RFC 4180 with an escape character).
//!
//! A record is one line: a quoted field can't go on in the next one. Blanks belong to a field unless it is quoted;
//! those behind a closing quote are passed over. One empty field too many at the end is no mistake.

use super::scalar::{self, Got, Rules, Scalar};
use super::text::trim;
use crate::plan::CsvFormat;
use crate::record::{Data, Type, Value};

/// A format's characters as bytes.
#[derive(Debug)]
pub(super) struct Separators {
    delimiter: Vec<u8>,
    quote: Option<Vec<u8>>,
    escape: Option<Vec<u8>>,
}

/// The fields of one line; its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// From, to, and whether it is in `made` rather than in the line.
    spans: Vec<(u32, u32, bool)>,
    /// Texts of fields that are not in the line as they are.
    made: Vec<u8>,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The field's text.
    pub(super) fn get<'a>(&'a self, line: &'a str, i: usize) -> Option<&'a str> {
        let (from, to, made) = *self.spans.get(i)?;
        let span = from as usize..to as usize;
        if made { std::str::from_utf8(self.made.get(span)?).ok() } else { line.get(span) }
    }
}

impl Separators {
    pub(super) fn new(format: &CsvFormat) -> Separators {
        let bytes = |c: char| c.to_string().into_bytes();
        Separators {
            delimiter: bytes(format.delimiter),
            quote: format.quote.map(bytes),
            escape: format.escape.map(bytes),
        }
    }

    /// Cuts a line into fields.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn split(&self, line: &str, fields: &mut Fields) -> Result<(), String> {
        fields.spans.clear();
        fields.made.clear();
        let bytes = line.as_bytes();
        let mut at = 0;
        loop {
            let quoted = self.quote.as_ref().filter(|quote| starts(bytes, at, quote));
            at = match (quoted, &self.escape) {
                (Some(quote), _) => self.quoted(bytes, at + quote.len(), quote, fields)?,
                (None, Some(escape)) => self.escaped(bytes, at, escape, fields)?,
                (None, None) => {
                    let end = self.next_delimiter(bytes, at);
                    fields.spans.push((at as u32, end as u32, false));
                    end
                }
            };
            if at >= bytes.len() {
                return Ok(());
            }
            at += self.delimiter.len();
        }
    }

    /// Where the next delimiter begins, or the end of the line.
    fn next_delimiter(&self, bytes: &[u8], from: usize) -> usize {
        let first = self.delimiter.first().copied().unwrap_or_default();
        let rest = bytes.get(from..).unwrap_or_default();
        let found = memchr::memchr_iter(first, rest).find(|at| starts(bytes, from + at, &self.delimiter));
        found.map_or(bytes.len(), |at| from + at)
    }

    /// A field from behind its opening quote; returns where its delimiter (or the line's end) is.
    fn quoted(&self, bytes: &[u8], from: usize, quote: &[u8], fields: &mut Fields) -> Result<usize, String> {
        let start = fields.made.len();
        let mut at = from;
        loop {
            if self.escape.as_ref().is_some_and(|escape| starts(bytes, at, escape)) {
                at = self.unescape(bytes, at, fields)?;
            } else if starts(bytes, at, quote) {
                at += quote.len();
                if !starts(bytes, at, quote) {
                    break;
                }
                fields.made.extend_from_slice(quote);
                at += quote.len();
            } else {
                let Some(byte) = bytes.get(at) else { return Err("missing closing quote".to_owned()) };
                fields.made.push(*byte);
                at += 1;
            }
        }
        fields.spans.push((start as u32, fields.made.len() as u32, true));
        while let Some(byte) = bytes.get(at) {
            if starts(bytes, at, &self.delimiter) {
                break;
            }
            if *byte > b' ' {
                return Err("text behind a closing quote".to_owned());
            }
            at += 1;
        }
        Ok(at)
    }

    /// An unquoted field with escapes in it.
    fn escaped(&self, bytes: &[u8], from: usize, escape: &[u8], fields: &mut Fields) -> Result<usize, String> {
        let start = fields.made.len();
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            if starts(bytes, at, &self.delimiter) {
                break;
            }
            if starts(bytes, at, escape) {
                at = self.unescape(bytes, at, fields)?;
            } else {
                fields.made.push(*byte);
                at += 1;
            }
        }
        fields.spans.push((start as u32, fields.made.len() as u32, true));
        Ok(at)
    }

    /// An escape and what it protects; returns where it ends.
    fn unescape(&self, bytes: &[u8], at: usize, fields: &mut Fields) -> Result<usize, String> {
        let at = at + self.escape.as_ref().map_or(0, Vec::len);
        let Some(byte) = bytes.get(at) else { return Err("nothing behind an escape".to_owned()) };
        fields.made.push(match byte {
            b'0' => 0,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            other => *other,
        });
        Ok(at + 1)
    }
}

fn starts(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(with))
}

/// Appends a field to a column.
pub(super) fn append(data: &mut Data, ty: &Type, field: &str, format: &CsvFormat) -> Got {
    if is_null(field, format) {
        return Got::Null;
    }
    match data {
        Data::Values(values) if *ty != Type::Null => match nested(ty, field, format) {
            Some(Value::Null) => Got::Null,
            Some(value) => {
                values.push(value);
                Got::Value
            }
            None => Got::Wrong,
        },
        _ => scalar::append(data, ty, &Scalar::Text(field.into()), Rules::Csv),
    }
}

fn is_null(field: &str, format: &CsvFormat) -> bool {
    format.null_literal.as_deref() == Some(field)
}

/// An ARRAY or ROW of scalars in one field.
fn nested(ty: &Type, field: &str, format: &CsvFormat) -> Option<Value> {
    let elements: Vec<&str> = match &*format.element_delimiter {
        _ if trim(field).is_empty() => Vec::new(),
        "" => vec![field],
        delimiter => field.split(delimiter).collect(),
    };
    match ty {
        Type::Array(of) => {
            elements.iter().map(|element| inner(of, element, format)).collect::<Option<_>>().map(Value::Array)
        }
        Type::Row(_) if elements.is_empty() => Some(Value::Null),
        Type::Row(fields) if elements.len() >= fields.len() || format.ignore_parse_errors => {
            let field = |(i, (_, ty)): (usize, &(String, Type))| match elements.get(i) {
                Some(element) => inner(ty, element, format),
                None => Some(Value::Null),
            };
            fields.iter().enumerate().map(field).collect::<Option<_>>().map(Value::Row)
        }
        _ => None,
    }
}

fn inner(ty: &Type, element: &str, format: &CsvFormat) -> Option<Value> {
    if is_null(element, format) {
        return Some(Value::Null);
    }
    let value = scalar::value(ty, &Scalar::Text(element.into()), Rules::Csv);
    value.or(format.ignore_parse_errors.then_some(Value::Null))
}
