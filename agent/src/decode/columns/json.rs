//! A JSON line's wanted fields become values, as Flink's json format has it (its parser of 1.20).
//!
//! Differences from Flink: text behind the object is a mistake (Flink would pass over it), an array or object is no
//! BOOLEAN (there it is false), and of a key that comes twice the last always wins.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scalar::{self, Got, Rules, Scalar};
use crate::record::escape::escape;
use crate::record::{Data, Type, Value, print};

/// How values inside of nested ones are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) rules: Rules,
    pub(super) fail_on_missing_field: bool,
    pub(super) ignore_parse_errors: bool,
}

/// Appends the value with this (valid) JSON text to a column.
pub(super) fn append(data: &mut Data, ty: &Type, json: &str, options: Options) -> Got {
    if let (Data::Int(numbers), Type::BigInt, Ok(number)) = (&mut *data, ty, json.parse()) {
        numbers.push(number);
        return Got::Value;
    }
    if let Some(scalar) = scalar(json) {
        return scalar::append(data, ty, &scalar, options.rules);
    }
    match data {
        Data::Text(texts) => match compact(json) {
            Some(text) => {
                texts.push(&text);
                Got::Value
            }
            None => Got::Wrong,
        },
        Data::Values(_) if *ty == Type::Null => Got::Null,
        Data::Values(values) => match nested(ty, json, options) {
            Some(value) => {
                values.push(value);
                Got::Value
            }
            None => Got::Wrong,
        },
        _ => Got::Wrong,
    }
}

/// As [`append`], for a string without escapes, by its text.
#[inline]
pub(super) fn append_plain(data: &mut Data, ty: &Type, text: &str, options: Options) -> Got {
    if let Data::Text(texts) = data {
        texts.push(text.as_bytes());
        return Got::Value;
    }
    scalar::append(data, ty, &Scalar::Text(text.into()), options.rules)
}

/// The inside of a JSON string.
fn quoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// `None`: an array or an object.
fn scalar(json: &str) -> Option<Scalar<'_>> {
    if let Some(inner) = quoted(json) {
        return Some(Scalar::Text(if inner.contains('\\') { unescape(inner).into() } else { inner.into() }));
    }
    match json.as_bytes().first()? {
        b'{' | b'[' => None,
        b'n' => Some(Scalar::Null),
        b't' => Some(Scalar::Bool(true)),
        b'f' => Some(Scalar::Bool(false)),
        _ if json.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => Some(Scalar::Float(json)),
        _ => Some(Scalar::Int(json)),
    }
}

/// The text of a JSON string's inside. Half of a surrogate pair becomes U+FFFD (Flink: a question mark).
fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (c, length) = match escape.as_bytes().get(1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode(escape),
            Some(other) => (char::from(*other), 2),
            None => ('\\', 1),
        };
        out.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of `\uXXXX` or `\uXXXX\uXXXX`, and the length of what was taken.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(high) = unit(0) else { return (char::REPLACEMENT_CHARACTER, 6) };
    if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (high, unit(6)) {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// A value of a nested type. With `ignore_parse_errors` what can't be read inside of it is NULL there.
fn nested(ty: &Type, json: &str, options: Options) -> Option<Value> {
    match ty {
        Type::Array(of) => {
            let elements: Elements<'_> = read(json)?;
            elements.0.iter().map(|json| inner(of, json.get(), options)).collect::<Option<_>>().map(Value::Array)
        }
        Type::Map(key, of) => entries(key, of, json, options),
        Type::Multiset(key) => entries(key, &Type::Int, json, options),
        Type::Row(fields) => {
            let members: Members<'_> = read(json)?;
            let field = |(name, ty): &(String, Type)| match members.0.iter().find(|(key, _)| key == name) {
                Some((_, json)) => inner(ty, json.get(), options),
                None if options.fail_on_missing_field => None,
                None => Some(Value::Null),
            };
            fields.iter().map(field).collect::<Option<_>>().map(Value::Row)
        }
        _ => None,
    }
}

fn inner(ty: &Type, json: &str, options: Options) -> Option<Value> {
    let value = match scalar(json) {
        Some(scalar) => scalar::value(ty, &scalar, options.rules),
        None if *ty == Type::Null => Some(Value::Null),
        None if matches!(ty, Type::Char(_) | Type::Varchar(_)) => {
            compact(json).and_then(|text| String::from_utf8(text).ok()).map(|text| Value::Text(text.into()))
        }
        None => nested(ty, json, options),
    };
    value.or(options.ignore_parse_errors.then_some(Value::Null))
}

/// Flink takes maps with keys of text only.
fn entries(key: &Type, of: &Type, json: &str, options: Options) -> Option<Value> {
    if !matches!(key, Type::Char(_) | Type::Varchar(_)) {
        return None;
    }
    let members: Members<'_> = read(json)?;
    let entry = |(key, json): &(Cow<'_, str>, &RawValue)| {
        inner(of, json.get(), options).map(|value| (Value::Text(key.as_ref().into()), value))
    };
    members.0.iter().map(entry).collect::<Option<_>>().map(Value::Map)
}

/// An array or object as text: without white space, floats as Java prints them, as Jackson's `toString` has it.
/// `None` if it is nested deeper than 128.
fn compact(json: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    push_compact(json, 128, &mut out)?;
    Some(out)
}

fn push_compact(json: &str, depth: u32, out: &mut Vec<u8>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match scalar(json) {
        Some(Scalar::Text(text)) => push_quoted(&text, out),
        Some(Scalar::Float(text)) => print::push_double(text.parse().ok()?, out),
        Some(Scalar::Int("-0")) => out.push(b'0'),
        Some(other) => out.extend_from_slice(other.text().as_bytes()),
        None if json.starts_with('{') => {
            let members: Members<'_> = read(json)?;
            out.push(b'{');
            for (i, (key, value)) in members.0.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_quoted(key, out);
                out.push(b':');
                push_compact(value.get(), depth, out)?;
            }
            out.push(b'}');
        }
        None => {
            let elements: Elements<'_> = read(json)?;
            out.push(b'[');
            for (i, value) in elements.0.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_compact(value.get(), depth, out)?;
            }
            out.push(b']');
        }
    }
    Some(())
}

fn push_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text.as_bytes(), out);
    out.push(b'"');
}

fn read<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// An array's elements as JSON text.
#[derive(serde::Deserialize)]
struct Elements<'a>(#[serde(borrow)] Vec<&'a RawValue>);

/// An object's members as JSON text, in order; of a key that comes twice the last value, in the first one's place.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Up to so many members are searched one by one.
const FEW_MEMBERS: usize = 16;

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        // only large objects need an index
        let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let inner = quoted(key.get()).unwrap_or_default();
            let key: Cow<'de, str> = if inner.contains('\\') { unescape(inner).into() } else { inner.into() };
            let next = members.len();
            let place = if next < FEW_MEMBERS {
                members.iter().position(|(other, _)| *other == key).unwrap_or(next)
            } else {
                if places.is_empty() {
                    places.extend(members.iter().enumerate().map(|(i, (key, _))| (key.clone(), i)));
                }
                *places.entry(key.clone()).or_insert(next)
            };
            match members.get_mut(place) {
                Some(member) => member.1 = value,
                None => members.push((key, value)),
            }
        }
        Ok(Members(members))
    }
}
