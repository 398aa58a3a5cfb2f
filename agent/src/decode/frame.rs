//! The fields that Splashdam adds to a document, rendered once for each chunk.

use super::records::Record;
use crate::plan::DecodePlan;
use crate::record::escape::escape;
use crate::record::{Timestamp, push_number};

/// The added top-level fields. `log` is cut where a record's offset goes.
#[derive(Debug)]
pub(crate) struct Added {
    /// `"@timestamp":"…"` with the time of the chunk.
    pub(crate) timestamp: Vec<u8>,
    /// `"log":{"file":{"path":"…"},"offset":`
    pub(crate) log: Vec<u8>,
    /// `host` and the constant fields: (name, `"name":value`).
    pub(crate) constant: Vec<(String, Vec<u8>)>,
    /// All of `constant`, each with a comma before it.
    pub(crate) constants: Vec<u8>,
}

impl Added {
    pub(crate) fn new(plan: &DecodePlan, host: &str, path: &str, now: Timestamp) -> Added {
        let mut constant = Vec::with_capacity(plan.fields.len() + 1);
        if !plan.fields.iter().any(|(name, _)| name == "host") {
            constant.push(("host".to_owned(), pair("host", &serde_json::json!({ "name": host }))));
        }
        constant.extend(plan.fields.iter().map(|(name, value)| (name.clone(), pair(name, value))));
        let constants = constant.iter().flat_map(|(_, text)| [b",".as_slice(), text].concat()).collect();
        let mut log = b"\"log\":{\"file\":{\"path\":\"".to_vec();
        escape(path.as_bytes(), &mut log);
        log.extend_from_slice(b"\"},\"offset\":");
        Added { timestamp: timestamp(now), log, constant, constants }
    }

    /// Appends `"log":{…}` for one record.
    pub(crate) fn push_log(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.log);
        push_number(record.offset, out);
        let part = record.part;
        if part.partial || part.truncated {
            let flag: &[u8] = if part.partial { b",\"flags\":[\"partial\"]" } else { b",\"flags\":[\"truncated\"]" };
            out.extend_from_slice(flag);
        }
        if let Some(start) = part.continues {
            out.extend_from_slice(b",\"continues\":");
            push_number(start, out);
        }
        out.push(b'}');
    }
}

/// `"@timestamp":"2026-01-31T12:34:56.789Z"`
pub(crate) fn timestamp(at: Timestamp) -> Vec<u8> {
    format!("\"@timestamp\":\"{}\"", at.to_rfc3339()).into_bytes()
}

fn pair(name: &str, value: &serde_json::Value) -> Vec<u8> {
    let mut out = vec![b'"'];
    escape(name.as_bytes(), &mut out);
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value.to_string().as_bytes());
    out
}
