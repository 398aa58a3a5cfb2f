//! A line that is a JSON object: validated, and shipped with its own bytes plus the added fields.
//!
//! Promises: no tree is built; where the line already has an added key, the line's wins (two of a kind would be
//! a 400 from Elasticsearch). A line that is no object is shipped as `message` with an `error`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::frame::{self, Added};
use super::records::Record;
use super::{Facts, raw, when};
use crate::plan::DecodePlan;
use crate::record::Timestamp;

/// Which added keys a line has already, and where its time is.
#[derive(Default)]
struct Seen<'a> {
    timestamp: Option<&'a RawValue>,
    log: bool,
    constant: u128,
    /// The configured timestamp field's value and `true`, or that of its path's first segment and `false`.
    time: Option<(&'a RawValue, bool)>,
    empty: bool,
}

pub(crate) fn document(
    plan: &DecodePlan,
    added: &Added,
    now: Timestamp,
    record: &Record<'_>,
    out: &mut Vec<u8>,
) -> Facts {
    let line = record.bytes.trim_ascii();
    let seen = match scan(line, plan, added) {
        Ok(seen) => seen,
        Err(error) => {
            raw::document(added, record, Some(&error), out);
            return Facts { invalid_utf8: false, undecodable: true, time_ms: None };
        }
    };
    let time_ms = event_time(plan, &seen, now);
    out.push(b'{');
    let start = out.len();
    if seen.timestamp.is_none() {
        match time_ms.filter(|ms| *ms != now.0) {
            Some(ms) => out.extend_from_slice(&frame::timestamp(Timestamp(ms))),
            None => out.extend_from_slice(&added.timestamp),
        }
        out.push(b',');
    }
    if !seen.log {
        added.push_log(record, out);
        out.push(b',');
    }
    for (i, (_, text)) in added.constant.iter().enumerate() {
        if seen.constant >> i.min(127) & 1 == 0 {
            out.extend_from_slice(text);
            out.push(b',');
        }
    }
    if seen.empty && out.len() > start {
        out.pop();
    }
    // A newline inside an object can't be: the line was cut at newlines; `\r` inside is legal white space.
    out.extend_from_slice(&line[1..]);
    Facts { invalid_utf8: false, undecodable: false, time_ms }
}

/// The event's time: the configured field, else the line's own `@timestamp`, else the time of the commit.
fn event_time(plan: &DecodePlan, seen: &Seen<'_>, now: Timestamp) -> Option<i64> {
    match (&plan.timestamp_field, seen.time, seen.timestamp) {
        (Some(path), Some((value, whole)), _) => {
            let value = if whole { value } else { descend(value, path)? };
            when::parse(value, &plan.timestamp_formats)
        }
        (Some(_), None, _) => None,
        (None, _, Some(value)) => when::parse(value, &[]),
        (None, _, None) => Some(now.0),
    }
}

/// The field in which a line's time is looked for, and what is there: for a person who wonders why it has none.
pub(crate) fn time_found(plan: &DecodePlan, added: &Added, record: &Record<'_>) -> (String, Option<String>) {
    let field = plan.timestamp_field.as_deref().unwrap_or("@timestamp");
    let seen = scan(record.bytes.trim_ascii(), plan, added).unwrap_or_default();
    let value = match (&plan.timestamp_field, seen.time) {
        (None, _) => seen.timestamp,
        (Some(_), Some((value, true))) => Some(value),
        (Some(path), Some((value, false))) => descend(value, path),
        (Some(_), None) => None,
    };
    (field.to_owned(), value.map(|value| value.get().to_owned()))
}

/// Follows the segments of a dotted path behind the first.
fn descend<'a>(value: &'a RawValue, path: &str) -> Option<&'a RawValue> {
    path.split('.').skip(1).try_fold(value, |value, segment| {
        let object: HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(value.get()).ok()?;
        object.get(segment).copied()
    })
}

fn scan<'a>(line: &'a [u8], plan: &'a DecodePlan, added: &'a Added) -> Result<Seen<'a>, String> {
    let mut parser = serde_json::Deserializer::from_slice(line);
    let seen = parser.deserialize_map(Object { plan, added }).map_err(|e| e.to_string())?;
    parser.end().map_err(|e| e.to_string())?;
    Ok(seen)
}

/// Visits a line's top-level keys; values are validated and passed over.
struct Object<'a> {
    plan: &'a DecodePlan,
    added: &'a Added,
}

/// What a top-level key is to us.
#[derive(Default)]
struct Key {
    timestamp: bool,
    /// `Some(true)`: the configured timestamp field; `Some(false)`: the first segment of its path.
    time: Option<bool>,
    log: bool,
    constant: Option<usize>,
}

impl<'de> Visitor<'de> for Object<'de> {
    type Value = Seen<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen<'de>, A::Error> {
        let mut seen = Seen { empty: true, ..Seen::default() };
        while let Some(key) = map.next_key_seed(KeySeed(&self))? {
            seen.empty = false;
            seen.log |= key.log;
            if let Some(i) = key.constant {
                seen.constant |= 1 << i.min(127);
            }
            if !key.timestamp && key.time.is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            if key.timestamp {
                seen.timestamp = Some(value);
            }
            if let Some(whole) = key.time {
                seen.time = Some((value, whole));
            }
        }
        Ok(seen)
    }
}

/// Recognises a key without making a string of it.
struct KeySeed<'a, 'b>(&'b Object<'a>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_, '_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_, '_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        // `host.name` beside our `host` would be the same field twice
        let head = key.split('.').next().unwrap_or(key);
        let time = self.0.plan.timestamp_field.as_deref().and_then(|path| {
            if path == key { Some(true) } else { (path.split('.').next() == Some(key)).then_some(false) }
        });
        let constant = self.0.added.constant.iter().position(|(name, _)| name == key || name == head);
        Ok(Key { timestamp: key == "@timestamp", time, log: head == "log", constant })
    }
}
