//! Reads gzip files: whole, and as the continuation of a source that was a plain file.

use std::io;
use std::sync::Arc;

use super::FileSource;
use super::fingerprint::Print;
use super::gzip::{End, GzipReader};
use super::stat::Stat;
use super::table::Slot;
use super::tracked::State;
use crate::record::GapReason;
use crate::source::emit::emit;
use crate::source::lines;

/// Bytes decompressed in one turn on the way to a position.
const SKIP: usize = 8 << 20;
/// A compressed file that ends early may still be written: it has failed when it has not grown for so long.
const PATIENCE_MS: u64 = 10_000;

impl FileSource {
    /// One turn of a compressed file. Gives the bytes decompressed.
    pub(super) fn turn_compressed(&mut self, slot: Slot, share: usize) -> io::Result<usize> {
        let entry = self.table.get_mut(slot);
        let (offset, tail) = (entry.position.offset, entry.tail);
        let Some(open) = &mut entry.open else { return Ok(0) };
        let file = Arc::clone(&open.file);
        let mut reader = open.gzip.take().unwrap_or_else(|| GzipReader::new(file));
        if reader.offset() < offset {
            let reached = reader.skip(offset, SKIP)?;
            if !reached && reader.end().is_none() {
                self.put_back(slot, reader, true);
                return Ok(SKIP);
            }
            if reached && !has_tail(&reader, tail) || !reached && reader.end() == Some(End::Whole) {
                self.other_content(slot);
                return Ok(SKIP);
            }
        }
        let longest = usize::try_from(self.plan.lines.max_line_bytes).unwrap_or(usize::MAX).saturating_add(8);
        let mut want = share;
        loop {
            reader.fill(want)?;
            let flush = reader.end().is_some_and(|end| end == End::Whole || self.is_over(slot, end));
            let entry = self.table.get(slot);
            let cut = lines::cut(&self.plan.lines, entry.position, reader.rest(), flush);
            if cut.consumed == 0 && reader.end().is_none() && want < longest {
                want = longest;
                continue;
            }
            self.hand_out_decompressed(slot, &mut reader, &cut);
            break;
        }
        self.end_or_go_on(slot, reader);
        Ok(want)
    }

    fn hand_out_decompressed(&mut self, slot: Slot, reader: &mut GzipReader, cut: &lines::Cut) {
        let entry = self.table.get(slot);
        let path: Arc<str> = entry.path.to_string_lossy().into();
        let base = entry.position.offset;
        emit(cut, reader.rest(), base, (entry.source, &path), &self.metrics, &mut self.step);
        let tail = Print::tail_of(reader.before(), &reader.rest()[..cut.consumed]);
        reader.take(cut.consumed);
        self.read += cut.consumed as u64;
        self.table.change(slot, |entry| {
            entry.position = cut.position;
            entry.tail = tail;
        });
        if cut.consumed > 0 {
            self.mark(slot);
        }
    }

    fn end_or_go_on(&mut self, slot: Slot, reader: GzipReader) {
        match reader.end() {
            None => self.put_back(slot, reader, true),
            Some(End::Whole) => {
                let entry = self.table.get(slot);
                let (from, known) = (entry.position.offset, entry.known);
                self.gap(slot, from, known.saturating_sub(from), GapReason::Vanished);
                self.examined_to_the_end(slot);
            }
            Some(end) if self.is_over(slot, end) => {
                let entry = self.table.get(slot);
                let from = entry.position.offset;
                let left = entry.size.saturating_sub(reader.compressed()).max(entry.known.saturating_sub(from));
                tracing::warn!(path = %entry.path.display(), ?end, "compressed file can't be read to its end");
                self.gap(slot, from, left.max(1), GapReason::BadCompression);
                self.examined_to_the_end(slot);
            }
            // Begun again when it has grown: what was handed out is decompressed once more and passed over.
            Some(_) => {
                let due = self.table.get(slot).grown_at + PATIENCE_MS;
                self.looks.by(&mut self.table, slot, due);
            }
        }
    }

    /// Nothing will be added that could mend this end.
    fn is_over(&self, slot: Slot, end: End) -> bool {
        let entry = self.table.get(slot);
        let waited = self.now >= entry.grown_at + PATIENCE_MS;
        end != End::Early || self.once || waited || entry.state == State::Nameless
    }

    fn put_back(&mut self, slot: Slot, reader: GzipReader, more: bool) {
        let compressed = reader.compressed();
        self.table.change(slot, |entry| {
            entry.examined = compressed.min(entry.size.saturating_sub(1));
            if let Some(open) = &mut entry.open {
                open.gzip = Some(reader);
            }
            entry.queued |= more;
        });
        self.ready.push_back(slot);
    }

    fn examined_to_the_end(&mut self, slot: Slot) {
        self.table.change(slot, |entry| {
            entry.examined = entry.size;
            entry.known = entry.position.offset;
        });
        self.mark(slot);
    }

    /// It begins as the source did, but goes on otherwise: it is a source of its own, and this one is gone.
    fn other_content(&mut self, slot: Slot) {
        self.close(slot);
        let entry = self.table.get(slot);
        let (place, identity) = (entry.place().to_path_buf(), entry.identity);
        tracing::info!(path = %place.display(), source = entry.source.0, "compressed file has another content");
        self.table.forget_identity(slot);
        self.table.forget_place(slot);
        // What is unread of the file is the new source's; what was seen of the old one is owed.
        self.table.change(slot, |entry| entry.examined = entry.size);
        self.finish(slot, GapReason::Vanished);
        if let Ok(stat) = Stat::of(&place)
            && stat.identity.may_be(identity)
        {
            self.next_generation(slot, &place, &stat);
        }
    }
}

fn has_tail(reader: &GzipReader, tail: Print) -> bool {
    let before = reader.before();
    before.len() >= tail.len() && Print::of(&before[before.len() - tail.len()..]) == tail
}
