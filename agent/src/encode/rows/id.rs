//! How an `_id` is spelled.
//!
//! Promises: two different keys never have one id, and what a key's id is depends on nothing else.
//! - One key column: its value's text as it is. Several: their texts joined by the delimiter. In all but the last one
//!   `%` and the delimiter's first character are written as `%XX`; so that the words below mean what they say, a last
//!   (or only) text that begins with `%` begins with `%25`.
//!   (Where the delimiter itself begins with `%`, `~` takes its place in all this.)
//! - NULL is `%null`. An only text that is empty is `%empty`, since Elasticsearch takes no empty id.
//! - No key: `JOB.AGENT.SOURCE.OFFSET[.ORDINAL]` for a record's rows (`JOB.sls.SOURCE.CURSOR.PLACE[.ORDINAL]` for a
//!   log's), `JOB.AGENT.TEXT` for those of a window, with
//!   `OUTPUT.` before it where another output before it may write to the same index.

use super::value;
use crate::plan::RowsPlan;
use crate::record::{Batch, Changes, Identity, push_number};

/// The longest id that Elasticsearch takes, in bytes.
const LONGEST: usize = 512;

/// Makes ids for one output.
#[derive(Debug)]
pub(super) struct Ids {
    /// `JOB.AGENT.` or `JOB.AGENT.OUTPUT.`
    head: Vec<u8>,
    delimiter: String,
    /// What escapes and words begin with: `%`, unless the delimiter does.
    mark: char,
}

impl Ids {
    pub(super) fn new(job: &str, agent: &str, output: Option<&str>, delimiter: &str) -> Ids {
        let mut head = format!("{job}.{agent}.").into_bytes();
        if let Some(output) = output {
            // told apart from a source's number and from what follows
            let first = output.bytes().next().is_some_and(|b| b.is_ascii_digit());
            for (i, byte) in output.bytes().enumerate() {
                let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                if plain && !(first && i == 0) { head.push(byte) } else { push_escaped('%', byte, &mut head) }
            }
            head.push(b'.');
        }
        // an empty delimiter would let keys run into each other
        let delimiter = if delimiter.is_empty() { "_" } else { delimiter };
        let mark = if delimiter.starts_with('%') { '~' } else { '%' };
        Ids { head, delimiter: delimiter.to_owned(), mark }
    }

    /// Appends a row's id.
    ///
    /// # Errors
    /// Why it can't have one.
    pub(super) fn push(&self, plan: &RowsPlan, changes: &Changes, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let start = out.len();
        if plan.key.is_empty() {
            self.push_identity(changes, row, out)?;
        } else {
            self.push_key(plan, &changes.batch, row, out);
        }
        let length = out.len() - start;
        if length > LONGEST {
            return Err(format!("its _id would have {length} bytes, Elasticsearch takes {LONGEST}"));
        }
        Ok(())
    }

    fn push_identity(&self, changes: &Changes, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&self.head);
        match &changes.identity {
            Identity::Given(texts) => out.extend_from_slice(texts.get(row)),
            Identity::Origin => {
                let origin = changes.batch.origin.as_ref();
                let offset = origin.and_then(|origin| Some((origin.source, *origin.offsets.get(row)?)));
                let Some((source, offset)) = offset else {
                    return Err("nothing is known of where it came from, and the sink has no key".to_owned());
                };
                push_number(source.0, out);
                out.push(b'.');
                push_number(offset, out);
                if let Some(place) = origin.and_then(|origin| origin.places.get(row)) {
                    out.push(b'.');
                    push_number((*place).into(), out);
                }
                let ordinal = origin.and_then(|origin| origin.ordinals.get(row)).copied().unwrap_or(0);
                if ordinal > 0 {
                    out.push(b'.');
                    push_number(ordinal.into(), out);
                }
            }
        }
        Ok(())
    }

    fn push_key(&self, plan: &RowsPlan, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        for (i, key) in plan.key.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(self.delimiter.as_bytes());
            }
            let (Some(column), Some((_, ty))) = (batch.columns.get(*key), plan.columns.get(*key)) else { continue };
            if column.is_null(row) {
                self.push_word("null", out);
                continue;
            }
            let from = out.len();
            value::push_text(column, ty, row, out);
            self.protect(from, i + 1 == plan.key.len(), out);
        }
        if out.len() == start {
            self.push_word("empty", out);
        }
    }

    fn push_word(&self, word: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(self.mark.encode_utf8(&mut [0; 4]).as_bytes());
        out.extend_from_slice(word.as_bytes());
    }

    /// Escapes what could be taken for something else in the text that begins at `from`.
    fn protect(&self, from: usize, last: bool, out: &mut Vec<u8>) {
        let first = self.delimiter.chars().next().unwrap_or('_');
        let text = std::str::from_utf8(out.get(from..).unwrap_or_default()).unwrap_or_default();
        let meant = |(i, c): (usize, char)| if last { i == 0 && c == self.mark } else { c == self.mark || c == first };
        if !text.char_indices().any(meant) {
            return;
        }
        let mut escaped = Vec::with_capacity(text.len() + 8);
        for (i, c) in text.char_indices() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                if meant((i, c)) { push_escaped(self.mark, byte, &mut escaped) } else { escaped.push(byte) }
            }
        }
        out.truncate(from);
        out.extend_from_slice(&escaped);
    }
}

fn push_escaped(mark: char, byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{mark}{byte:02X}").as_bytes());
}
