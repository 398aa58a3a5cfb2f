//! A field's text or JSON scalar becomes a value of its column's type, as Flink's json and csv formats have it.
//!
//! Differences from Flink: a date has a year of four digits, digits are ASCII, a float is not hexadecimal; fractions
//! of a second finer than the type's precision are cut off here, Flink does so later.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{temporal, text};
use crate::record::{Data, Strings, Type, Value};

/// What a field holds that is no array and no object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// A JSON number without dot and exponent, as written.
    Int(&'a str),
    /// Another JSON number, as written.
    Float(&'a str),
    Text(Cow<'a, str>),
}

/// Which format's rules hold where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// `2026-11-21 08:01:00`, with a Z for TIMESTAMP_LTZ.
    Json,
    /// `2026-11-21T08:01:00`, with a Z for TIMESTAMP_LTZ.
    JsonIso,
    Csv,
}

/// What came of appending a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Value,
    /// It is NULL; nothing was appended.
    Null,
    /// It can't be read as this type; nothing was appended.
    Wrong,
}

impl Scalar<'_> {
    /// The text that Jackson's `getText` gives.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Null => Cow::Borrowed("null"),
            Scalar::Bool(true) => Cow::Borrowed("true"),
            Scalar::Bool(false) => Cow::Borrowed("false"),
            Scalar::Int(text) | Scalar::Float(text) => Cow::Borrowed(text),
            Scalar::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Appends a scalar to a column of type `ty`.
pub(super) fn append(data: &mut Data, ty: &Type, scalar: &Scalar<'_>, rules: Rules) -> Got {
    if *scalar == Scalar::Null {
        return Got::Null;
    }
    match data {
        Data::Bool(v) => push(v, boolean(scalar)),
        Data::Int(v) => push(v, integer(ty, scalar, rules)),
        Data::Float(v) => push(v, text::float(&scalar.text())),
        Data::Double(v) => push(v, text::float(&scalar.text())),
        Data::Decimal(v) => match decimal(ty, scalar, rules) {
            Some(Some(x)) => push(v, Some(x)),
            Some(None) => Got::Null,
            None => Got::Wrong,
        },
        Data::Text(v) => {
            v.push(scalar.text().as_bytes());
            Got::Value
        }
        Data::Bytes(v) => match bytes(scalar) {
            Some(bytes) => push_bytes(v, &bytes),
            None => Got::Wrong,
        },
        Data::Values(_) if *ty == Type::Null => Got::Null,
        Data::Values(_) => Got::Wrong,
    }
}

fn push<T>(to: &mut Vec<T>, value: Option<T>) -> Got {
    let Some(value) = value else { return Got::Wrong };
    to.push(value);
    Got::Value
}

fn push_bytes(to: &mut Strings, bytes: &[u8]) -> Got {
    to.push(bytes);
    Got::Value
}

/// A scalar as one value, for the inside of nested ones.
pub(super) fn value(ty: &Type, scalar: &Scalar<'_>, rules: Rules) -> Option<Value> {
    if *scalar == Scalar::Null {
        return Some(Value::Null);
    }
    match ty {
        Type::Null => Some(Value::Null),
        Type::Boolean => boolean(scalar).map(Value::Bool),
        Type::Float => text::float(&scalar.text()).map(Value::Float),
        Type::Double => text::float(&scalar.text()).map(Value::Double),
        Type::Decimal(..) => Some(decimal(ty, scalar, rules)?.map_or(Value::Null, Value::Decimal)),
        Type::Char(_) | Type::Varchar(_) => Some(Value::Text(scalar.text().into())),
        Type::Binary(_) | Type::Varbinary(_) => bytes(scalar).map(|bytes| Value::Bytes(bytes.into())),
        Type::Array(_) | Type::Map(..) | Type::Multiset(_) | Type::Row(_) => None,
        _ => integer(ty, scalar, rules).map(Value::Int),
    }
}

fn boolean(scalar: &Scalar<'_>) -> Option<bool> {
    match scalar {
        Scalar::Bool(x) => Some(*x),
        other => Some(text::boolean(&other.text())),
    }
}

fn decimal(ty: &Type, scalar: &Scalar<'_>, rules: Rules) -> Option<Option<i128>> {
    let Type::Decimal(precision, scale) = ty else { return None };
    let text = scalar.text();
    // csv takes the text as it is
    let text = if rules == Rules::Csv { &*text } else { text::trim(&text) };
    text::decimal(text, *precision, *scale)
}

fn bytes(scalar: &Scalar<'_>) -> Option<Vec<u8>> {
    let Scalar::Text(text) = scalar else { return None };
    STANDARD.decode(text.as_bytes()).or_else(|_| STANDARD_NO_PAD.decode(text.as_bytes())).ok()
}

/// Everything that lies in `Data::Int`.
fn integer(ty: &Type, scalar: &Scalar<'_>, rules: Rules) -> Option<i64> {
    let within = |x: i64, least: i64, greatest: i64| (least..=greatest).contains(&x).then_some(x);
    match ty {
        Type::TinyInt => within(whole(scalar)?, i8::MIN.into(), i8::MAX.into()),
        Type::SmallInt => within(whole(scalar)?, i16::MIN.into(), i16::MAX.into()),
        Type::Int | Type::IntervalMonths => match scalar {
            Scalar::Float(text) => truncated(text, i32::MIN.into(), i32::MAX.into()),
            _ => within(whole(scalar)?, i32::MIN.into(), i32::MAX.into()),
        },
        Type::BigInt => long(scalar),
        // Flink has milliseconds there
        Type::IntervalTime => long(scalar)?.checked_mul(1000),
        _ => moment(ty, scalar, rules),
    }
}

fn long(scalar: &Scalar<'_>) -> Option<i64> {
    match scalar {
        Scalar::Float(text) => truncated(text, i64::MIN as f64, i64::MAX as f64),
        _ => whole(scalar),
    }
}

fn whole(scalar: &Scalar<'_>) -> Option<i64> {
    match scalar {
        Scalar::Int(text) => text.parse().ok(),
        Scalar::Text(text) => text::integer(text),
        Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) => None,
    }
}

/// A number with a fraction loses it, if it is within the bounds before.
fn truncated(text: &str, least: f64, greatest: f64) -> Option<i64> {
    let x: f64 = text.parse().ok()?;
    (least..=greatest).contains(&x).then_some(x as i64)
}

fn moment(ty: &Type, scalar: &Scalar<'_>, rules: Rules) -> Option<i64> {
    let Scalar::Text(text) = scalar else { return None };
    let text = text.as_ref();
    match (ty, rules) {
        (Type::Date, Rules::Csv) => temporal::lenient_date(text),
        (Type::Date, _) => temporal::date(text),
        (Type::Time(p), Rules::Csv) => Some(temporal::truncate(temporal::iso_time(text)?, *p)),
        (Type::Time(p), _) => Some(temporal::truncate(temporal::time(text)?, *p)),
        (Type::Timestamp(p), Rules::JsonIso) => Some(temporal::truncate(temporal::iso_timestamp(text)?, *p)),
        (Type::Timestamp(p), _) => Some(temporal::truncate(temporal::sql_timestamp(trimmed(text, rules))?, *p)),
        (Type::TimestampLtz(p), _) => {
            let text = trimmed(text, rules).strip_suffix('Z')?;
            let iso = rules == Rules::JsonIso;
            let micros = if iso { temporal::iso_timestamp(text) } else { temporal::sql_timestamp(text) };
            Some(temporal::truncate(micros?, *p))
        }
        _ => None,
    }
}

/// csv trims timestamps, json does not.
fn trimmed(text: &str, rules: Rules) -> &str {
    if rules == Rules::Csv { text::trim(text) } else { text }
}
