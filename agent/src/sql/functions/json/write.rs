//! SQL values as JSON.

use crate::record::{Type, Value};
use crate::sql::calendar::{self, DAY};
use crate::sql::cast::text;
use crate::sql::decimal;

/// A text as a JSON string.
pub(crate) fn string(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in value.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04X}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// A value of a type. Times are ISO 8601 texts, binary values base64.
pub(super) fn value(value: &Value, ty: &Type, out: &mut Vec<u8>) {
    match (value, ty) {
        (Value::Null, _) => out.extend_from_slice(b"null"),
        (Value::Bool(x), _) => out.extend_from_slice(if *x { b"true" } else { b"false" }),
        (Value::Int(x), Type::Date) => quoted(out, |out| calendar::write_date(*x, out)),
        (Value::Int(x), Type::Time(_)) => quoted(out, |out| calendar::write_time(*x, 0, out)),
        (Value::Int(x), Type::Timestamp(_)) => quoted(out, |out| timestamp(*x, out)),
        (Value::Int(x), Type::TimestampLtz(_)) => quoted(out, |out| {
            timestamp(*x, out);
            out.push(b'Z');
        }),
        (Value::Int(x), _) => out.extend_from_slice(x.to_string().as_bytes()),
        (Value::Float(x), _) => text::write_single(*x, out),
        (Value::Double(x), _) => text::write_double(*x, out),
        (Value::Decimal(x), Type::Decimal(_, s)) => {
            let mut text = Vec::new();
            decimal::write(*x, *s, &mut text);
            if *s > 0 {
                text.truncate(text.iter().rposition(|b| *b != b'0').map_or(0, |at| at + 1));
            }
            out.extend_from_slice(text.strip_suffix(b".").unwrap_or(&text));
        }
        (Value::Text(x), _) => string(x, out),
        (Value::Bytes(x), _) => {
            use base64::Engine as _;
            string(&base64::engine::general_purpose::STANDARD.encode(x), out);
        }
        (Value::Array(items), Type::Array(of)) => list(out, items, |item, out| self::value(item, of, out)),
        (Value::Map(entries), Type::Map(key, of)) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| crate::sql::functions::order(&a.0, &b.0));
            object(out, &sorted, |entry, out| {
                match &entry.0 {
                    Value::Text(name) => string(name, out),
                    other => quoted(out, |out| self::value(other, key, out)),
                }
                out.push(b':');
                self::value(&entry.1, of, out);
            });
        }
        (Value::Row(values), Type::Row(fields)) => {
            let both: Vec<_> = values.iter().zip(fields).collect();
            object(out, &both, |(item, (name, of)), out| {
                string(name, out);
                out.push(b':');
                self::value(item, of, out);
            });
        }
        _ => out.extend_from_slice(b"null"),
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// As many fraction digits as are needed.
fn timestamp(micros: i64, out: &mut Vec<u8>) {
    calendar::write_date(micros.div_euclid(DAY), out);
    out.push(b'T');
    let clock = micros.rem_euclid(DAY);
    let precision = if clock % 1_000_000 == 0 {
        0
    } else if clock % 1000 == 0 {
        3
    } else {
        6
    };
    calendar::write_time(clock, precision, out);
}

fn list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    surrounded(out, items, *b"[]", write);
}

fn object<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    surrounded(out, items, *b"{}", write);
}

fn surrounded<T>(out: &mut Vec<u8>, items: &[T], [open, close]: [u8; 2], write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}
