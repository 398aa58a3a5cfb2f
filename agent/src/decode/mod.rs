//! Bytes become documents: a chunk's records are rendered as JSON, one after the other, without a row in between.
//! What a query reads goes another way: `columns` makes batches of it.
//!
//! Promises: pure (no I/O, no clock), nothing allocated per record on the common path, every rendered document
//! is one line of valid JSON in valid UTF-8. Does not know about ids, indices or requests.

#[allow(dead_code, reason = "the columns way is not joined yet")]
mod columns;
mod frame;
mod json;
mod logs;
mod raw;
mod records;
mod when;

#[allow(unused_imports, reason = "the columns way is not joined yet")]
pub(crate) use columns::{ColumnDecoder, DecodeFacts, RefusedRecord};
pub(crate) use records::{Record, records};

use crate::plan::{DecodePlan, Format};
use crate::record::{Chunk, Timestamp};
use frame::Added;

/// What rendering a document brought to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Invalid UTF-8 was replaced by U+FFFD.
    pub(crate) invalid_utf8: bool,
    /// The record is not of the declared format and was shipped as `message` with an `error`.
    pub(crate) undecodable: bool,
    /// The event's time in milliseconds; `None` where the record should have one and it can't be read.
    pub(crate) time_ms: Option<i64>,
}

/// Why a record has no time, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untimed {
    /// Where a time is looked for.
    pub(crate) field: String,
    /// What is there instead, as JSON, shortened; `None`: nothing.
    pub(crate) found: Option<String>,
    pub(crate) expected: String,
}

/// Longest value that is quoted, in characters.
const QUOTED: usize = 80;

/// A job's decoder. Shared by all workers; what changes per chunk is in [`Decoding`].
#[derive(Debug)]
pub(crate) struct Decoder {
    plan: DecodePlan,
    host: String,
}

/// A decoder that has been told which chunk comes next and what time it is.
#[derive(Debug)]
pub(crate) struct Decoding<'a> {
    plan: &'a DecodePlan,
    added: Added,
    now: Timestamp,
    /// The whole chunk is valid UTF-8, so its records need not be looked at one by one.
    valid: bool,
}

impl Decoder {
    /// `host` is this machine's name, unless the plan has another.
    pub(crate) fn new(plan: &DecodePlan, host: &str) -> Decoder {
        let host = plan.host.clone().unwrap_or_else(|| host.to_owned());
        Decoder { plan: plan.clone(), host }
    }

    /// Prepares what is constant over a chunk. `now` becomes `@timestamp` where nothing better is known.
    pub(crate) fn begin(&self, chunk: &Chunk, now: Timestamp) -> Decoding<'_> {
        Decoding {
            plan: &self.plan,
            added: Added::new(&self.plan, &self.host, &chunk.path, now),
            now,
            valid: simdutf8::basic::from_utf8(&chunk.data).is_ok(),
        }
    }
}

impl Decoding<'_> {
    /// Appends one document (one line, without newline) to `out`.
    pub(crate) fn document(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Facts {
        if self.valid || simdutf8::basic::from_utf8(record.bytes).is_ok() {
            return self.render(record, out);
        }
        let text = String::from_utf8_lossy(record.bytes);
        let replaced = Record { bytes: text.as_bytes(), ..*record };
        Facts { invalid_utf8: true, ..self.render(&replaced, out) }
    }

    /// Why a record has no time (`Facts::time_ms` is `None`). Looks at it once more, so only for an example.
    pub(crate) fn untimed(&self, record: &Record<'_>) -> Untimed {
        let text = String::from_utf8_lossy(record.bytes);
        let (field, found) = json::time_found(self.plan, &self.added, &Record { bytes: text.as_bytes(), ..*record });
        let quote = |value: String| match value.char_indices().nth(QUOTED) {
            Some((at, _)) => format!("{}…", &value[..at]),
            None => value,
        };
        Untimed { field, found: found.map(quote), expected: when::expected(&self.plan.timestamp_formats) }
    }

    fn render(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Facts {
        match self.plan.format {
            Format::Raw => {
                raw::document(&self.added, record, None, out);
                Facts { invalid_utf8: false, undecodable: false, time_ms: Some(self.now.0) }
            }
            Format::Json => json::document(self.plan, &self.added, self.now, record, out),
        }
    }
}

#[cfg(test)]
mod tests;
