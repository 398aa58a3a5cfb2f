//! Values as JSON in a document, as Flink's json format writes them, and as text in ids and index names.
//!
//! In documents: DECIMAL as a plain number, BYTES as base64, timestamps as the plan says (LTZ in UTC with a Z), an
//! interval as its number of months or milliseconds. NaN and the infinities, which JSON does not have, are null and
//! counted (Flink writes them as text, which Elasticsearch refuses in a numeric field). TIME keeps its fraction.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::record::escape::escape;
use crate::record::{Column, Data, Type, Value, print};

/// How documents are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) omit_nulls: bool,
    pub(super) iso_timestamps: bool,
}

/// Why a row has no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NullKey;

/// Appends a column's value, which is not NULL. `not_finite` counts numbers that JSON does not have.
pub(super) fn push_json(
    column: &Column,
    ty: &Type,
    row: usize,
    style: Style,
    not_finite: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), NullKey> {
    match &column.data {
        Data::Bool(v) => push_bool(v.get(row).copied().unwrap_or_default(), out),
        Data::Int(v) => push_int(v.get(row).copied().unwrap_or_default(), ty, style, out),
        Data::Float(v) => push_float(v.get(row).copied().unwrap_or_default(), not_finite, out),
        Data::Double(v) => push_double(v.get(row).copied().unwrap_or_default(), not_finite, out),
        Data::Decimal(v) => print::push_decimal(v.get(row).copied().unwrap_or_default(), scale(ty), out),
        Data::Text(v) => push_quoted(v.get(row), out),
        Data::Bytes(v) => push_base64(v.get(row), out),
        Data::Values(v) => return push_value(v.get(row).unwrap_or(&Value::Null), ty, style, not_finite, out),
    }
    Ok(())
}

fn push_value(value: &Value, ty: &Type, style: Style, not_finite: &mut u64, out: &mut Vec<u8>) -> Result<(), NullKey> {
    match (value, ty) {
        (Value::Null, _) => out.extend_from_slice(b"null"),
        (Value::Bool(x), _) => push_bool(*x, out),
        (Value::Int(x), ty) => push_int(*x, ty, style, out),
        (Value::Float(x), _) => push_float(*x, not_finite, out),
        (Value::Double(x), _) => push_double(*x, not_finite, out),
        (Value::Decimal(x), ty) => print::push_decimal(*x, scale(ty), out),
        (Value::Text(text), _) => push_quoted(text.as_bytes(), out),
        (Value::Bytes(bytes), _) => push_base64(bytes, out),
        (Value::Array(elements), ty) => {
            let of = if let Type::Array(of) = ty { of } else { &Type::Null };
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                comma(i, out);
                push_value(element, of, style, not_finite, out)?;
            }
            out.push(b']');
        }
        (Value::Map(entries), ty) => {
            let (key, of): (&Type, &Type) = match ty {
                Type::Map(key, of) => (key, of),
                Type::Multiset(key) => (key, &Type::Int),
                _ => (&Type::Null, &Type::Null),
            };
            push_map(entries, key, of, style, not_finite, out)?;
        }
        (Value::Row(values), ty) => {
            let fields: &[(String, Type)] = if let Type::Row(fields) = ty { fields } else { &[] };
            push_row(values, fields, style, not_finite, out)?;
        }
    }
    Ok(())
}

fn push_map(
    entries: &[(Value, Value)],
    key_type: &Type,
    of: &Type,
    style: Style,
    not_finite: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), NullKey> {
    out.push(b'{');
    let mut name = Vec::new();
    for (i, (key, value)) in entries.iter().enumerate() {
        if *key == Value::Null {
            return Err(NullKey);
        }
        comma(i, out);
        name.clear();
        push_text_of(key, key_type, &mut name);
        push_quoted(&name, out);
        out.push(b':');
        push_value(value, of, style, not_finite, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn push_row(
    values: &[Value],
    fields: &[(String, Type)],
    style: Style,
    not_finite: &mut u64,
    out: &mut Vec<u8>,
) -> Result<(), NullKey> {
    out.push(b'{');
    let mut written = 0;
    for (value, (name, ty)) in values.iter().zip(fields) {
        if *value == Value::Null && style.omit_nulls {
            continue;
        }
        comma(written, out);
        written += 1;
        push_quoted(name.as_bytes(), out);
        out.push(b':');
        push_value(value, ty, style, not_finite, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn comma(i: usize, out: &mut Vec<u8>) {
    if i > 0 {
        out.push(b',');
    }
}

/// A JSON string.
pub(super) fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

fn push_bool(x: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if x { b"true" } else { b"false" });
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    push_quoted(STANDARD.encode(bytes).as_bytes(), out);
}

fn push_float(x: f32, not_finite: &mut u64, out: &mut Vec<u8>) {
    if x.is_finite() { print::push_float(x, out) } else { push_not_finite(not_finite, out) }
}

fn push_double(x: f64, not_finite: &mut u64, out: &mut Vec<u8>) {
    if x.is_finite() { print::push_double(x, out) } else { push_not_finite(not_finite, out) }
}

fn push_not_finite(not_finite: &mut u64, out: &mut Vec<u8>) {
    *not_finite += 1;
    out.extend_from_slice(b"null");
}

fn scale(ty: &Type) -> u8 {
    if let Type::Decimal(_, scale) = ty { *scale } else { 0 }
}

/// What lies in `Data::Int`.
fn push_int(x: i64, ty: &Type, style: Style, out: &mut Vec<u8>) {
    let separator = if style.iso_timestamps { b'T' } else { b' ' };
    if !matches!(ty, Type::Date | Type::Time(_) | Type::Timestamp(_) | Type::TimestampLtz(_)) {
        return print::push_integer(if *ty == Type::IntervalTime { x / 1000 } else { x }, out);
    }
    out.push(b'"');
    match ty {
        Type::Date => print::push_date(x, out),
        Type::Time(_) => print::push_time(x, out),
        _ => print::push_timestamp(x, separator, out),
    }
    if matches!(ty, Type::TimestampLtz(_)) {
        out.push(b'Z');
    }
    out.push(b'"');
}

/// Appends a column's value, which is not NULL, as Java's `toString` gives it: what ids and index names are made of.
pub(super) fn push_text(column: &Column, ty: &Type, row: usize, out: &mut Vec<u8>) {
    match &column.data {
        Data::Text(v) => out.extend_from_slice(v.get(row)),
        Data::Int(v) => push_int_text(v.get(row).copied().unwrap_or_default(), ty, out),
        _ => push_text_of(&column.value(row), ty, out),
    }
}

fn push_text_of(value: &Value, ty: &Type, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Int(x) => push_int_text(*x, ty, out),
        Value::Float(x) => print::push_float(*x, out),
        Value::Double(x) => print::push_double(*x, out),
        Value::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        other => {
            // Flink takes no nested keys; as JSON they are at least told apart. A NULL map key inside cannot be.
            let style = Style { omit_nulls: false, iso_timestamps: false };
            if push_value(other, ty, style, &mut 0, out).is_err() {
                out.extend_from_slice(b"null");
            }
        }
    }
}

/// Java's `LocalDateTime.toString` and its kin: seconds only if they are not zero, fractions by threes.
fn push_int_text(x: i64, ty: &Type, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000_000;
    match ty {
        Type::Date => print::push_date(x, out),
        Type::Time(_) => push_java_time(x, out),
        Type::Timestamp(_) | Type::TimestampLtz(_) => {
            print::push_date(x.div_euclid(DAY), out);
            out.push(b'T');
            push_java_time(x.rem_euclid(DAY), out);
        }
        Type::IntervalTime => print::push_integer(x / 1000, out),
        _ => print::push_integer(x, out),
    }
}

fn push_java_time(micros: i64, out: &mut Vec<u8>) {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    print::push_padded(seconds / 3600, 2, out);
    out.push(b':');
    print::push_padded(seconds / 60 % 60, 2, out);
    if micros.is_multiple_of(60_000_000) {
        return;
    }
    out.push(b':');
    print::push_padded(seconds % 60, 2, out);
    match micros % 1_000_000 {
        0 => {}
        fraction if fraction % 1000 == 0 => {
            out.push(b'.');
            print::push_padded(fraction / 1000, 3, out);
        }
        fraction => {
            out.push(b'.');
            print::push_padded(fraction, 6, out);
        }
    }
}
