//! A query's rows become bulk items: action lines with stable ids, and JSON documents of the sink's columns.
//!
//! Promises: pure; an id is a function of the key's values, or of where the row came from, and nothing else; a row
//! that can have no item is handed back with the reason; no row can name an index outside the configured prefix.
//! Does not know what a row means, or when it is sent.

mod id;
mod index;
mod pattern;
mod value;

use std::io;
use std::sync::Arc;

use super::members::{Members, Scratch};
use crate::plan::{RowsPlan, UpdateMode};
use crate::record::{ChangeKind, Changes, Member, Timestamp, push_number};
use id::Ids;
use index::{Last, Namer};
use value::{Style, push_quoted};

/// What encoding needs to know of an output. Shared by all workers.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    plan: RowsPlan,
    ids: Ids,
    namer: Namer,
    /// `"NAME":` of each column.
    names: Vec<Vec<u8>>,
    style: Style,
}

/// One bulk item that is kept in memory to be put into a request later. Lines have no newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) index: Arc<str>,
    pub(crate) id: Box<str>,
    pub(crate) action: Vec<u8>,
    /// `None`: a deletion has none.
    pub(crate) document: Option<Vec<u8>>,
}

/// What a batch of rows became.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedRows {
    pub(crate) members: Vec<Member>,
    /// Rows without an item: each becomes a dead letter.
    pub(crate) refused: Vec<UnencodedRow>,
    /// NaN and infinities that became null.
    pub(crate) not_finite: u64,
}

/// A row that can't be a bulk item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnencodedRow {
    /// Which call of [`Rows::changes`] it was in, counted from 0.
    pub(crate) changes: usize,
    pub(crate) row: usize,
    pub(crate) reason: String,
    /// Its document, where one could be made.
    pub(crate) document: Vec<u8>,
}

/// Rows being encoded.
pub(crate) struct Rows<'a> {
    encoder: &'a RowEncoder,
    members: Members<'a>,
    last: Last,
    seen: usize,
    encoded: EncodedRows,
    lines: Lines,
}

/// An item's lines and its id, memory that is used again.
#[derive(Default)]
struct Lines {
    id: Vec<u8>,
    action: Vec<u8>,
    /// Empty for a deletion.
    document: Vec<u8>,
}

impl RowEncoder {
    /// `output`: what tells this output's ids from those of the script's others; `None` where it is the only one.
    /// (Two outputs that write to one index must have different names here.)
    pub(crate) fn new(job: &str, agent: &str, output: Option<&str>, plan: &RowsPlan) -> RowEncoder {
        let name = |(name, _): &(String, _)| {
            let mut out = Vec::with_capacity(name.len() + 3);
            push_quoted(name.as_bytes(), &mut out);
            out.push(b':');
            out
        };
        RowEncoder {
            ids: Ids::new(job, agent, output, &plan.key_delimiter),
            namer: Namer::new(&plan.index),
            names: plan.columns.iter().map(name).collect(),
            style: Style { omit_nulls: plan.omit_nulls, iso_timestamps: plan.iso_timestamps },
            plan: plan.clone(),
        }
    }

    pub(crate) fn begin<'a>(&'a self, scratch: &'a mut Scratch) -> Rows<'a> {
        Rows {
            encoder: self,
            members: Members::new(scratch, self.plan.compression),
            last: None,
            seen: 0,
            encoded: EncodedRows::default(),
            lines: Lines::default(),
        }
    }

    /// One row as an item, for keeping. `version` as in [`Rows::changes`]; `not_finite` is counted up.
    ///
    /// # Errors
    /// Why the row can't be an item.
    pub(crate) fn item(
        &self,
        changes: &Changes,
        row: usize,
        version: u64,
        now: Timestamp,
        not_finite: &mut u64,
    ) -> Result<Item, String> {
        let mut lines = Lines::default();
        self.lines(changes, row, version, &mut lines, not_finite)?;
        let index = self.namer.name(&self.plan, &changes.batch, row, now, &mut None);
        let document = (!lines.document.is_empty()).then_some(lines.document);
        let id = String::from_utf8_lossy(&lines.id).into();
        Ok(Item { index, id, action: lines.action, document })
    }

    /// One row's document, for people to read.
    pub(crate) fn shown(&self, changes: &Changes, row: usize) -> Vec<u8> {
        let mut document = Vec::new();
        if let Err(reason) = self.document(changes, row, &mut 0, &mut document) {
            return reason.into_bytes();
        }
        document
    }

    /// Where rows go that have no index of their own.
    pub(crate) fn fallback(&self) -> &str {
        self.namer.fallback()
    }

    /// Writes a row's lines, without newlines.
    fn lines(
        &self,
        changes: &Changes,
        row: usize,
        version: u64,
        lines: &mut Lines,
        not_finite: &mut u64,
    ) -> Result<(), String> {
        let Lines { id, action, document } = lines;
        id.clear();
        action.clear();
        document.clear();
        let kind = changes.kinds.of(row);
        let verb = self.verb(kind);
        if verb != Verb::Delete {
            let update = verb == Verb::Update;
            document.extend_from_slice(if update { b"{\"doc\":" } else { b"" });
            if let Err(reason) = self.document(changes, row, not_finite, document) {
                document.clear();
                return Err(reason);
            }
            document.extend_from_slice(if update { b",\"doc_as_upsert\":true}" } else { b"" });
        }
        self.ids.push(&self.plan, changes, row, id)?;
        action.extend_from_slice(match verb {
            Verb::Create => b"{\"create\":{\"_id\":",
            Verb::Index => b"{\"index\":{\"_id\":",
            Verb::Update => b"{\"update\":{\"_id\":",
            Verb::Delete => b"{\"delete\":{\"_id\":",
        });
        push_quoted(id, action);
        self.push_routing(changes, row, action);
        if verb == Verb::Index || verb == Verb::Delete && self.plan.update == UpdateMode::Full {
            action.extend_from_slice(b",\"version\":");
            push_number(version, action);
            action.extend_from_slice(b",\"version_type\":\"external_gte\"");
        }
        if let (Verb::Update, Some(times)) = (verb, self.plan.retry_on_conflict) {
            action.extend_from_slice(b",\"retry_on_conflict\":");
            push_number(times.into(), action);
        }
        action.extend_from_slice(b"}}");
        Ok(())
    }

    /// Rows that come once are created; what has a key, or replaces an earlier row, goes by the update mode.
    fn verb(&self, kind: ChangeKind) -> Verb {
        match (kind, self.plan.update) {
            (ChangeKind::Delete, _) => Verb::Delete,
            (ChangeKind::Insert, _) if self.plan.key.is_empty() => Verb::Create,
            (_, UpdateMode::Full) => Verb::Index,
            (_, UpdateMode::Inc) => Verb::Update,
        }
    }

    fn document(&self, changes: &Changes, row: usize, not_finite: &mut u64, out: &mut Vec<u8>) -> Result<(), String> {
        out.push(b'{');
        let start = out.len();
        let columns = changes.batch.columns.iter().zip(&self.plan.columns).zip(&self.names);
        for ((column, (name, ty)), quoted) in columns {
            let null = column.is_null(row);
            if null && self.style.omit_nulls {
                continue;
            }
            if out.len() > start {
                out.push(b',');
            }
            out.extend_from_slice(quoted);
            if null {
                out.extend_from_slice(b"null");
            } else if value::push_json(column, ty, row, self.style, not_finite, out).is_err() {
                return Err(format!("column \"{name}\" is a map with a NULL key"));
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// The routing columns' texts joined by commas; NULL is the text `null`.
    fn push_routing(&self, changes: &Changes, row: usize, out: &mut Vec<u8>) {
        if self.plan.routing.is_empty() {
            return;
        }
        let mut routing = Vec::new();
        for (i, number) in self.plan.routing.iter().enumerate() {
            if i > 0 {
                routing.push(b',');
            }
            let column = changes.batch.columns.get(*number).filter(|column| !column.is_null(row));
            match (column, self.plan.columns.get(*number)) {
                (Some(column), Some((_, ty))) => value::push_text(column, ty, row, &mut routing),
                _ => routing.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b",\"routing\":");
        push_quoted(&routing, out);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Index,
    Update,
    Delete,
}

impl Rows<'_> {
    /// Adds changes of this output. Where documents are versioned, row *i* has the version `version + i`: of two rows
    /// with one key the later one stays whatever is sent again. So the next version to give is `version` + rows.
    /// `now` is the commit's time, for index names made of it.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn changes(&mut self, changes: &Changes, version: u64, now: Timestamp) -> io::Result<()> {
        let encoder = self.encoder;
        for row in 0..changes.batch.rows {
            let version = version.saturating_add(row as u64);
            let not_finite = &mut self.encoded.not_finite;
            if let Err(reason) = encoder.lines(changes, row, version, &mut self.lines, not_finite) {
                let document = self.lines.document.clone();
                self.encoded.refused.push(UnencodedRow { changes: self.seen, row, reason, document });
                continue;
            }
            let index = encoder.namer.name(&encoder.plan, &changes.batch, row, now, &mut self.last);
            let Lines { action, document, .. } = &self.lines;
            self.members.item(&index, |body| {
                body.extend_from_slice(action);
                body.push(b'\n');
                if !document.is_empty() {
                    body.extend_from_slice(document);
                    body.push(b'\n');
                }
            })?;
        }
        self.seen += 1;
        Ok(())
    }

    /// Closes what is open.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn finish(mut self) -> io::Result<EncodedRows> {
        self.encoded.members = self.members.finish()?;
        Ok(self.encoded)
    }
}

#[cfg(test)]
mod tests;
