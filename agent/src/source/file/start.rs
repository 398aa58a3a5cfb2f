//! Where the files of a job's first scan begin, as its `start` wants it: always at the start of a line.

use std::sync::Arc;

use super::FileSource;
use super::fingerprint;
use super::rows::Kind;
use super::table::Slot;
use crate::plan::Start;
use crate::record::{Mode, Position};

impl FileSource {
    /// Where the job's `start` wants the files of its first scan to begin.
    pub(super) fn begin_at_start(&mut self, slot: Slot, head: &[u8]) {
        let entry = self.table.get(slot);
        let back = match self.plan.start {
            Start::Beginning => return,
            Start::End => 0,
            Start::Last(bytes) => bytes,
        };
        if entry.kind == Kind::Gzip {
            // A compressed file is a rotated one: it lies before the end of the log.
            return self.table.change(slot, |entry| entry.examined = entry.size);
        }
        let size = entry.size;
        let Some(open) = &entry.open else { return };
        let file = Arc::clone(&open.file);
        let begin = match line_start(&file, size, back, self.plan.lines.max_line_bytes) {
            Ok(begin) => begin,
            Err(error) => {
                self.warn(slot, &error, "file can't be read");
                return;
            }
        };
        debug_assert!(head.len() as u64 <= size);
        let tail = fingerprint::read_tail(&file, begin).unwrap_or_default();
        self.table.change(slot, |entry| {
            entry.position = Position { offset: begin, mode: Mode::LineStart };
            entry.examined = begin;
            entry.tail = tail;
        });
    }
}

/// The first line start within the last `back` bytes; where there is none, the start of the last line.
fn line_start(file: &std::fs::File, size: u64, back: u64, longest: u64) -> std::io::Result<u64> {
    if back >= size {
        return Ok(0);
    }
    const BLOCK: u64 = 64 << 10;
    let mut at = size - back;
    // The byte before may be the newline that makes this a line start.
    let mut from = at - 1;
    while from < size {
        let block = fingerprint::read_range(file, from, BLOCK as usize)?;
        if let Some(newline) = memchr::memchr(b'\n', &block)
            && from + (newline as u64) < size
        {
            return Ok(from + newline as u64 + 1);
        }
        if block.is_empty() {
            break;
        }
        from += block.len() as u64;
    }
    let lowest = at.saturating_sub(longest);
    while at > lowest {
        let begin = at.saturating_sub(BLOCK).max(lowest);
        let block = fingerprint::read_range(file, begin, (at - begin) as usize)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(begin + newline as u64 + 1);
        }
        at = begin;
    }
    Ok(at)
}
