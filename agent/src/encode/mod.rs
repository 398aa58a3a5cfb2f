//! Documents become gzip members of bulk body: action lines with stable ids, the index chosen, compressed.
//!
//! Promises: pure; an id is a function of job, agent, source and offset alone; a member holds documents of one
//! index and is cut at [`MEMBER_BYTES`]; no document can name an index outside the configured prefix.
//! Does not know what a document means beyond the fields that index and routing name.
//! Rows of a query go another way: `rows` makes items of them.

mod index;
mod lookup;
mod members;
#[allow(dead_code, reason = "the columns way is not joined yet")]
mod rows;

use std::io;
use std::sync::Arc;

use crate::plan::{ElasticsearchPlan, Routing};
use crate::record::{Member, SourceId};
use index::Namer;
use members::Members;

#[allow(unused_imports, reason = "the columns way is not joined yet")]
pub(crate) use members::{MEMBER_BYTES, Scratch};
#[allow(unused_imports, reason = "the columns way is not joined yet")]
pub(crate) use rows::{EncodedRows, Item, RowEncoder, UnencodedRow};

const CREATE: &[u8] = b"{\"create\":{\"_id\":\"";
const INDEX: &[u8] = b"{\"index\":{\"_id\":\"";

/// Stands in an id where the agent does, if several agents share a source.
pub(crate) const SHARED: &str = "sls";

/// What encoding needs to know of a job. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// `JOB.AGENT.`
    head: String,
    /// `JOB.sls.`
    shared_head: String,
    namer: Namer,
    routing: Option<String>,
    level: u32,
}

/// One batch being encoded.
pub(crate) struct Encoding<'a> {
    encoder: &'a Encoder,
    /// `{"create":{"_id":"JOB.AGENT.SOURCE.`, or `JOB.sls.SOURCE.CURSOR.`
    action: Vec<u8>,
    /// Documents replace those that have their ids.
    replace: bool,
    members: Members<'a>,
}

impl Encoder {
    pub(crate) fn new(job: &str, agent: &str, plan: &ElasticsearchPlan) -> Encoder {
        let routing = match &plan.routing {
            Some(Routing::Field(field)) => Some(field.clone()),
            Some(Routing::Literal(_)) | None => None, // a literal one is a request parameter
        };
        Encoder {
            head: format!("{job}.{agent}."),
            shared_head: format!("{job}.{SHARED}."),
            namer: Namer::new(&plan.index),
            routing,
            level: plan.bulk.compression,
        }
    }

    pub(crate) fn begin<'a>(&'a self, scratch: &'a mut Scratch) -> Encoding<'a> {
        Encoding { encoder: self, action: Vec::new(), replace: false, members: Members::new(scratch, self.level) }
    }
}

impl Encoding<'_> {
    /// Whether the documents of sources named from now on replace those that have their ids.
    pub(crate) fn replace(&mut self, replace: bool) {
        self.replace = replace;
    }

    fn verb(&mut self) {
        self.action.clear();
        self.action.extend_from_slice(if self.replace { INDEX } else { CREATE });
    }

    /// The documents that follow are of this source.
    pub(crate) fn source(&mut self, source: SourceId) {
        self.verb();
        self.action.extend_from_slice(self.encoder.head.as_bytes());
        self.action.extend_from_slice(source.0.to_string().as_bytes());
        self.action.push(b'.');
    }

    /// The documents that follow are of this log group of a Logstore; their offsets are their numbers in it. No agent
    /// is in their ids: whoever reads them makes the same ones.
    pub(crate) fn log_group(&mut self, source: SourceId, cursor: u64) {
        self.verb();
        self.action.extend_from_slice(self.encoder.shared_head.as_bytes());
        crate::record::push_number(source.0, &mut self.action);
        self.action.push(b'.');
        crate::record::push_number(cursor, &mut self.action);
        self.action.push(b'.');
    }

    /// Adds one document. `offset` makes its id; `render` appends the document (one line without newline) and
    /// returns its time for the index's date, if it has one.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn document(&mut self, offset: u64, render: impl FnOnce(&mut Vec<u8>) -> Option<i64>) -> io::Result<()> {
        if let (Namer::Fixed(index), None) = (&self.encoder.namer, &self.encoder.routing) {
            let action = &self.action;
            return self.members.item(index, |body| {
                push_action(action, offset, None, body);
                render(body);
                body.push(b'\n');
            });
        }
        self.routed(offset, render)
    }

    /// The way for documents whose index or routing is known only when they are rendered.
    fn routed(&mut self, offset: u64, render: impl FnOnce(&mut Vec<u8>) -> Option<i64>) -> io::Result<()> {
        let mut document = std::mem::take(&mut self.members.scratch.document);
        document.clear();
        let time_ms = render(&mut document);
        let index: Arc<str> = self.encoder.namer.name(&document, time_ms);
        let routing = self.encoder.routing.as_ref().and_then(|path| lookup::text(&document, path));
        let action = &self.action;
        let added = self.members.item(&index, |body| {
            push_action(action, offset, routing.as_deref(), body);
            body.extend_from_slice(&document);
            body.push(b'\n');
        });
        self.members.scratch.document = document;
        added
    }

    /// Closes what is open and returns the members, each index's in order.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn finish(self) -> io::Result<Vec<Member>> {
        self.members.finish()
    }
}

fn push_action(head: &[u8], offset: u64, routing: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    crate::record::push_number(offset, out);
    match routing {
        None => out.extend_from_slice(b"\"}}\n"),
        Some(routing) => {
            out.extend_from_slice(b"\",\"routing\":");
            out.extend_from_slice(serde_json::Value::from(routing).to_string().as_bytes());
            out.extend_from_slice(b"}}\n");
        }
    }
}

#[cfg(test)]
mod tests;
