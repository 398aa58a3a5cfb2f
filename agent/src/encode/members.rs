//! Bulk items become gzip members: one body for each index, cut when it is large, compressed, its memory kept.
//!
//! Promises: pure; each index's members are in the order of its items. Does not know what an item says.

use std::io;
use std::sync::Arc;

use crate::record::Member;
use crate::record::gzip::Compressor;

/// A member is closed when it has so many bytes before compression.
pub(crate) const MEMBER_BYTES: usize = 2 << 20;
/// Most indices open at once in one batch; beyond it all are closed.
const OPEN_INDICES: usize = 64;

/// Buffers that a worker keeps from batch to batch.
#[derive(Default)]
pub(crate) struct Scratch {
    compressor: Option<(u32, Compressor)>,
    bodies: Vec<Vec<u8>>,
    /// For a document whose index is known only when it is rendered.
    pub(super) document: Vec<u8>,
}

/// The members that one batch becomes.
pub(super) struct Members<'a> {
    pub(super) scratch: &'a mut Scratch,
    level: u32,
    open: Vec<Body>,
    done: Vec<Member>,
}

struct Body {
    index: Arc<str>,
    items: u32,
    raw: Vec<u8>,
}

impl<'a> Members<'a> {
    /// `level`: gzip's, 1 to 9.
    pub(super) fn new(scratch: &'a mut Scratch, level: u32) -> Members<'a> {
        Members { scratch, level, open: Vec::new(), done: Vec::new() }
    }

    /// Adds one item to the body of `index`; `write` appends all its lines, each with its newline.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    #[inline]
    pub(super) fn item(&mut self, index: &Arc<str>, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let at = match self.open.first() {
            Some(body) if Arc::ptr_eq(&body.index, index) => 0,
            _ => self.body(index)?,
        };
        let Some(body) = self.open.get_mut(at) else { return Ok(()) };
        write(&mut body.raw);
        body.items += 1;
        if body.raw.len() >= MEMBER_BYTES { self.close(at) } else { Ok(()) }
    }

    fn body(&mut self, index: &Arc<str>) -> io::Result<usize> {
        if let Some(at) = self.open.iter().position(|body| body.index == *index) {
            return Ok(at);
        }
        if self.open.len() >= OPEN_INDICES {
            self.close_all()?;
        }
        let raw = self.scratch.bodies.pop().unwrap_or_default();
        self.open.push(Body { index: index.clone(), items: 0, raw });
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, at: usize) -> io::Result<()> {
        let mut body = self.open.swap_remove(at);
        let level = self.level;
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
    pub(super) fn finish(mut self) -> io::Result<Vec<Member>> {
        self.close_all()?;
        Ok(self.done)
    }
}
