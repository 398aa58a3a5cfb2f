//! Documents become gzip members of bulk body: action lines with stable ids, the index chosen, compressed.
//!
//! Promises: pure; an id is a function of job, agent, source and offset alone; a member holds documents of one
//! index and is cut at [`MEMBER_BYTES`]; no document can name an index outside the configured prefix.
//! Does not know what a document means beyond the fields that index and routing name.

mod index;
mod lookup;

use std::io;
use std::sync::Arc;

use crate::plan::{ElasticsearchPlan, Routing};
use crate::record::gzip::Compressor;
use crate::record::{Member, SourceId};
use index::Namer;

/// A member is closed when it has so many bytes before compression.
pub(crate) const MEMBER_BYTES: usize = 2 << 20;
/// Most indices open at once in one batch; beyond it all are closed.
const OPEN_INDICES: usize = 64;

/// What encoding needs to know of a job. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// `{"create":{"_id":"JOB.AGENT.`
    head: String,
    namer: Namer,
    routing: Option<String>,
    level: u32,
}

/// One batch being encoded.
pub(crate) struct Encoding<'a> {
    encoder: &'a Encoder,
    scratch: &'a mut Scratch,
    /// `{"create":{"_id":"JOB.AGENT.SOURCE.`
    action: Vec<u8>,
    open: Vec<Body>,
    done: Vec<Member>,
}

struct Body {
    index: Arc<str>,
    items: u32,
    raw: Vec<u8>,
}

/// Buffers that a worker keeps from batch to batch.
#[derive(Default)]
pub(crate) struct Scratch {
    compressor: Option<(u32, Compressor)>,
    bodies: Vec<Vec<u8>>,
    document: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(job: &str, agent: &str, plan: &ElasticsearchPlan) -> Encoder {
        let routing = match &plan.routing {
            Some(Routing::Field(field)) => Some(field.clone()),
            Some(Routing::Literal(_)) | None => None, // a literal one is a request parameter
        };
        Encoder {
            head: format!("{{\"create\":{{\"_id\":\"{job}.{agent}."),
            namer: Namer::new(&plan.index),
            routing,
            level: plan.bulk.compression,
        }
    }

    pub(crate) fn begin<'a>(&'a self, scratch: &'a mut Scratch) -> Encoding<'a> {
        Encoding { encoder: self, scratch, action: Vec::new(), open: Vec::new(), done: Vec::new() }
    }
}

impl Encoding<'_> {
    /// The documents that follow are of this source.
    pub(crate) fn source(&mut self, source: SourceId) {
        self.action.clear();
        self.action.extend_from_slice(self.encoder.head.as_bytes());
        self.action.extend_from_slice(source.0.to_string().as_bytes());
        self.action.push(b'.');
    }

    /// Adds one document. `offset` makes its id; `render` appends the document (one line without newline) and
    /// returns its time for the index's date, if it has one.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn document(&mut self, offset: u64, render: impl FnOnce(&mut Vec<u8>) -> Option<i64>) -> io::Result<()> {
        if let (Namer::Fixed(index), None) = (&self.encoder.namer, &self.encoder.routing) {
            if self.open.is_empty() {
                let raw = self.scratch.bodies.pop().unwrap_or_default();
                self.open.push(Body { index: index.clone(), items: 0, raw });
            }
            let Some(body) = self.open.first_mut() else { return Ok(()) };
            push_action(&self.action, offset, None, &mut body.raw);
            render(&mut body.raw);
            body.raw.push(b'\n');
            body.items += 1;
            return if body.raw.len() >= MEMBER_BYTES { self.close(0) } else { Ok(()) };
        }
        self.routed(offset, render)
    }

    /// The way for documents whose index or routing is known only when they are rendered.
    fn routed(&mut self, offset: u64, render: impl FnOnce(&mut Vec<u8>) -> Option<i64>) -> io::Result<()> {
        let mut document = std::mem::take(&mut self.scratch.document);
        document.clear();
        let time_ms = render(&mut document);
        let index = self.encoder.namer.name(&document, time_ms);
        let routing = self.encoder.routing.as_ref().and_then(|path| lookup::text(&document, path));
        let at = self.body_for(index)?;
        if let Some(body) = self.open.get_mut(at) {
            push_action(&self.action, offset, routing.as_deref(), &mut body.raw);
            body.raw.extend_from_slice(&document);
            body.raw.push(b'\n');
            body.items += 1;
        }
        self.scratch.document = document;
        if self.open.get(at).is_some_and(|b| b.raw.len() >= MEMBER_BYTES) { self.close(at) } else { Ok(()) }
    }

    fn body_for(&mut self, index: Arc<str>) -> io::Result<usize> {
        if let Some(at) = self.open.iter().position(|body| body.index == index) {
            return Ok(at);
        }
        if self.open.len() >= OPEN_INDICES {
            self.close_all()?;
        }
        let raw = self.scratch.bodies.pop().unwrap_or_default();
        self.open.push(Body { index, items: 0, raw });
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, at: usize) -> io::Result<()> {
        let mut body = self.open.swap_remove(at);
        let level = self.encoder.level;
        if self.scratch.compressor.as_ref().is_none_or(|(l, _)| *l != level) {
            self.scratch.compressor = Some((level, Compressor::new(level)));
        }
        if let Some((_, compressor)) = &mut self.scratch.compressor {
            let gzip = compressor.compress(&body.raw)?;
            let raw_len = body.raw.len() as u32;
            self.done.push(Member { index: body.index, items: body.items, raw_len, gzip, sent_before: false });
        }
        body.raw.clear();
        body.raw.shrink_to(2 * MEMBER_BYTES);
        if self.scratch.bodies.len() < 2 {
            self.scratch.bodies.push(body.raw);
        }
        Ok(())
    }

    fn close_all(&mut self) -> io::Result<()> {
        while !self.open.is_empty() {
            self.close(self.open.len() - 1)?;
        }
        Ok(())
    }

    /// Closes what is open and returns the members, each index's in order.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn finish(mut self) -> io::Result<Vec<Member>> {
        self.close_all()?;
        Ok(self.done)
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
