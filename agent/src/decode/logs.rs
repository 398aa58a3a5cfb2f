//! Logs of Log Service: each becomes one JSON document with all its fields flattened.
//!
//! A document has `@timestamp`, the constant fields of the job, `__topic__`, `__source__`, `__tag__:KEY` for each tag,
//! `__time__` (unix seconds), `__time_ns_part__` if the log has it, and the log's own fields as texts. It is a function
//! of the log and the job alone: no host, no time of reading, so that every agent makes the same one. Where two fields
//! have one name the last one counts (two of a kind would be a 400 from Elasticsearch).

use std::collections::HashMap;

use super::{Decoder, Facts, QUOTED, Untimed, frame, when};
use crate::plan::DecodePlan;
use crate::record::escape::escape;
use crate::record::log_group::{self, LogGroup, LogTime};
use crate::record::{Timestamp, push_number};

/// Logs with more fields are searched for repeated names by hashing.
const FEW: usize = 48;

/// A decoder that has been told which log group comes next.
#[derive(Debug)]
pub(crate) struct GroupDecoding<'a> {
    plan: &'a DecodePlan,
    /// What all logs of the group have: (name, `"name":value`).
    fixed: Vec<(Vec<u8>, Vec<u8>)>,
    /// All of them, each with a comma behind it.
    joined: Vec<u8>,
    /// Which bytes the names of fixed fields begin with.
    firsts: [bool; 256],
    /// The fixed fields have invalid UTF-8, which was replaced.
    invalid: bool,
    contents: Vec<(&'a [u8], &'a [u8])>,
}

impl Decoder {
    /// Prepares what is the same for all logs of a group.
    pub(crate) fn group<'a>(&'a self, group: &LogGroup<'a>) -> GroupDecoding<'a> {
        let mut decoding = GroupDecoding {
            plan: &self.plan,
            fixed: Vec::new(),
            joined: Vec::new(),
            firsts: [false; 256],
            invalid: false,
            contents: Vec::new(),
        };
        for (name, value) in &self.plan.fields {
            let mut text = string(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value.to_string().as_bytes());
            decoding.fixed.push((name.clone().into_bytes(), text));
        }
        decoding.fix(b"__topic__", group.topic);
        decoding.fix(b"__source__", group.source);
        for (key, value) in &group.tags {
            decoding.fix(&[b"__tag__:", *key].concat(), value);
        }
        for (name, text) in &decoding.fixed {
            decoding.joined.extend_from_slice(text);
            decoding.joined.push(b',');
            if let Some(first) = name.first() {
                decoding.firsts[usize::from(*first)] = true;
            }
        }
        for name in OWN {
            decoding.firsts[usize::from(name[0])] = true;
        }
        decoding
    }
}

const TIMESTAMP: &[u8] = b"@timestamp";
const TIME: &[u8] = b"__time__";
const NANOS: &[u8] = b"__time_ns_part__";
const OWN: [&[u8]; 3] = [TIMESTAMP, TIME, NANOS];

impl<'a> GroupDecoding<'a> {
    fn fix(&mut self, name: &[u8], value: &[u8]) {
        self.fixed.retain(|(other, _)| other != name);
        let mut text = Vec::with_capacity(name.len() + value.len() + 8);
        self.invalid |= push_field(name, value, &mut text);
        self.fixed.push((name.to_vec(), text));
    }

    /// Appends a log as one document (one line, without newline) to `out`.
    pub(crate) fn document(&mut self, log: &'a [u8], out: &mut Vec<u8>) -> Facts {
        let mut contents = std::mem::take(&mut self.contents);
        let time = log_group::contents(log, &mut contents);
        drop_repeated(&mut contents);
        let own_ms = milliseconds(time);
        let time_ms = match &self.plan.timestamp_field {
            Some(field) => self.event_time(field, &contents),
            None => Some(own_ms),
        };
        let mut invalid = self.invalid;
        out.push(b'{');
        let clash = contents.iter().any(|(key, _)| key.first().is_none_or(|first| self.firsts[usize::from(*first)]));
        let has = |name: &[u8]| clash && contents.iter().any(|(key, _)| covers(key, name));
        if !has(TIMESTAMP) {
            out.extend_from_slice(&frame::timestamp(Timestamp(time_ms.unwrap_or(own_ms))));
            out.push(b',');
        }
        if clash {
            for (_, text) in self.fixed.iter().filter(|(name, _)| !has(name)) {
                out.extend_from_slice(text);
                out.push(b',');
            }
        } else {
            out.extend_from_slice(&self.joined);
        }
        if !has(TIME) {
            out.extend_from_slice(b"\"__time__\":");
            push_number(time.seconds.into(), out);
            out.push(b',');
        }
        if let Some(nanos) = time.nanos.filter(|_| !has(NANOS)) {
            out.extend_from_slice(b"\"__time_ns_part__\":");
            push_number(nanos.into(), out);
            out.push(b',');
        }
        for (key, value) in &contents {
            invalid |= push_field(key, value, out);
            out.push(b',');
        }
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
        self.contents = contents;
        Facts { invalid_utf8: invalid, undecodable: false, time_ms }
    }

    /// Why a log has no time (`Facts::time_ms` is `None`). Looks at it once more, so only for an example.
    pub(crate) fn untimed(&self, log: &'a [u8]) -> Untimed {
        let mut contents = Vec::new();
        log_group::contents(log, &mut contents);
        let field = self.plan.timestamp_field.clone().unwrap_or_default();
        let found = contents.iter().rev().find(|(key, _)| *key == field.as_bytes());
        let found = found.map(|(_, value)| String::from_utf8_lossy(value).chars().take(QUOTED).collect());
        Untimed { field, found, expected: when::expected(&self.plan.timestamp_formats) }
    }

    fn event_time(&self, field: &str, contents: &[(&[u8], &[u8])]) -> Option<i64> {
        let (_, value) = contents.iter().find(|(key, _)| *key == field.as_bytes())?;
        when::parse_text(std::str::from_utf8(value).ok()?, &self.plan.timestamp_formats)
    }
}

/// `host.name` beside our `host` would be the same field twice.
fn covers(key: &[u8], name: &[u8]) -> bool {
    key == name || key.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'.'))
}

fn milliseconds(time: LogTime) -> i64 {
    i64::from(time.seconds) * 1000 + i64::from(time.nanos.unwrap_or(0) / 1_000_000)
}

/// Keeps the last of several fields with one name.
fn drop_repeated(contents: &mut Vec<(&[u8], &[u8])>) {
    if contents.len() <= FEW {
        let repeated = |at: usize| contents[at + 1..].iter().any(|(key, _)| *key == contents[at].0);
        if (0..contents.len()).any(repeated) {
            let keep: Vec<_> = (0..contents.len()).filter(|at| !repeated(*at)).map(|at| contents[at]).collect();
            *contents = keep;
        }
        return;
    }
    let last: HashMap<&[u8], usize> = contents.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
    if last.len() < contents.len() {
        let mut at = 0..;
        contents.retain(|(key, _)| at.next() == last.get(key).copied());
    }
}

/// `"key":"value"`; true if invalid UTF-8 was replaced.
fn push_field(key: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    let mut invalid = push_string(key, out);
    out.push(b':');
    invalid |= push_string(value, out);
    invalid
}

fn push_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.push(b'"');
    let valid = simdutf8::basic::from_utf8(text).is_ok();
    if valid {
        escape(text, out);
    } else {
        escape(String::from_utf8_lossy(text).as_bytes(), out);
    }
    out.push(b'"');
    !valid
}

fn string(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::log_group::write;

    fn documents(plan: &DecodePlan, list: &[u8]) -> Vec<(serde_json::Value, Facts)> {
        let decoder = Decoder::new(plan, "this-machine");
        let mut documents = Vec::new();
        for (_, group) in log_group::groups(list) {
            let mut decoding = decoder.group(&group);
            for log in group.logs() {
                let mut out = Vec::new();
                let facts = decoding.document(log, &mut out);
                assert!(!out.contains(&b'\n'));
                documents.push((serde_json::from_slice(&out).unwrap(), facts));
            }
        }
        documents
    }

    fn one(plan: &DecodePlan, contents: &[(&[u8], &[u8])]) -> (serde_json::Value, Facts) {
        let mut list = Vec::new();
        let tags = [("__receive_time__", "1700000002")];
        write::group("t", "10.0.0.1", &tags, &[(1_700_000_000, Some(7_000_001), contents)], &mut list);
        documents(plan, &list).remove(0)
    }

    #[test]
    fn a_log_is_a_document_with_all_that_the_service_knows_and_nothing_of_who_read_it() {
        let (document, facts) = one(&DecodePlan::default(), &[(b"a", b"x\"y"), (b"b.c", b"")]);
        assert_eq!(
            document,
            serde_json::json!({
                "@timestamp": "2023-11-14T22:13:20.007Z", "__topic__": "t", "__source__": "10.0.0.1",
                "__tag__:__receive_time__": "1700000002", "__time__": 1_700_000_000, "__time_ns_part__": 7_000_001,
                "a": "x\"y", "b.c": "",
            })
        );
        let time_ms = Some(1_700_000_000_007);
        assert_eq!(facts, Facts { invalid_utf8: false, undecodable: false, time_ms });
    }

    #[test]
    fn of_fields_with_one_name_the_last_is_kept_whoever_set_it() {
        let fields = vec![("env".to_owned(), serde_json::json!({"x": 1})), ("kept".to_owned(), serde_json::json!(2))];
        let plan = DecodePlan { fields, ..DecodePlan::default() };
        let log: &[(&[u8], &[u8])] =
            &[(b"a", b"1"), (b"env.x", b"theirs"), (b"a", b"2"), (b"__topic__", b"own"), (b"@timestamp", b"when")];
        let (document, _) = one(&plan, log);
        assert_eq!((&document["a"], &document["__topic__"]), (&"2".into(), &"own".into()));
        assert_eq!((&document["env"], &document["env.x"]), (&serde_json::Value::Null, &"theirs".into()));
        assert_eq!((&document["kept"], &document["@timestamp"]), (&2.into(), &"when".into()));
        let names: Vec<String> = (0..100).map(|i| format!("k{}", i % 90)).collect();
        let values: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let many: Vec<(&[u8], &[u8])> =
            names.iter().zip(&values).map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
        let (document, _) = one(&DecodePlan::default(), &many);
        assert_eq!((&document["k0"], &document["k89"]), (&"90".into(), &"89".into()));
    }

    #[test]
    fn invalid_utf8_is_replaced_and_counted() {
        let (document, facts) = one(&DecodePlan::default(), &[(b"a\xff", b"b\xfe")]);
        assert_eq!((&document["a\u{fffd}"], facts.invalid_utf8), (&"b\u{fffd}".into(), true));
    }

    #[test]
    fn the_time_may_be_in_a_field() {
        let plan = DecodePlan { timestamp_field: Some("when".to_owned()), ..DecodePlan::default() };
        let (document, facts) = one(&plan, &[(b"when", b"2026-11-21T08:01:00Z")]);
        assert_eq!(
            (&document["@timestamp"], facts.time_ms),
            (&"2026-11-21T08:01:00.000Z".into(), Some(1_795_248_060_000))
        );
        let (document, facts) = one(&plan, &[(b"when", b"yesterday")]);
        assert_eq!((&document["@timestamp"], facts.time_ms), (&"2023-11-14T22:13:20.007Z".into(), None));
    }
}
