//! Reads the files that have unread bytes, in turn, fair by bytes.
//!
//! Every read takes the bytes before the position along and compares them with what was shipped, so that a
//! truncation between two looks is noticed whatever was written since.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::sync::Arc;

use rustix::fs::SeekFrom;

use super::fingerprint::{self, HEAD, Print, TAIL};
use super::gzip;
use super::rows::Kind;
use super::schedule::ACTIVE;
use super::table::Slot;
use super::tracked::{State, Tick};
use super::{FileSource, SPARE};
use crate::record::{Chunk, GapReason, Mode, Piece};
use crate::source::emit::{account, add_gap};
use crate::source::lines::{self, Cut};

/// Most bytes of one file in its turn, alone and among many.
const TURN: usize = 1 << 20;
const TURN_AMONG_MANY: usize = 256 << 10;
const MANY: usize = 8;
/// A turn costs at least so much of the budget, so that many tiny files do not make a poll endless.
const TURN_COST: usize = 512;
/// Buffers of this capacity and more are worth keeping.
pub(super) const RECYCLED: usize = 64 << 10;

impl FileSource {
    pub(super) fn read_ready(&mut self, budget: usize) {
        let mut left = budget;
        while left > 0 {
            let Some(slot) = self.ready.pop_front() else { break };
            let entry = self.table.get_mut(slot);
            entry.queued = false;
            if !matches!(entry.state, State::Live | State::Nameless) || !self.ensure_open(slot) {
                continue;
            }
            let share = if self.ready.len() >= MANY { TURN_AMONG_MANY } else { TURN };
            let taken = match self.table.get(slot).kind {
                Kind::Plain => self.turn(slot, share.min(left)),
                Kind::Gzip => self.turn_compressed(slot, share.min(left)),
            };
            match taken {
                Ok(taken) => {
                    self.table.get_mut(slot).warned = false;
                    left = left.saturating_sub(taken.max(TURN_COST));
                }
                Err(error) => {
                    self.warn(slot, &error, "file can't be read");
                    left = left.saturating_sub(TURN_COST);
                }
            }
        }
    }

    /// One turn of a plain file. Gives the bytes read.
    fn turn(&mut self, slot: Slot, share: usize) -> io::Result<usize> {
        let longest = usize::try_from(self.plan.lines.max_line_bytes).unwrap_or(usize::MAX).saturating_add(8);
        let mut share = share;
        let mut total = 0;
        loop {
            let entry = self.table.get(slot);
            let Some(open) = &entry.open else { return Ok(total) };
            let (position, tail, limit) = (entry.position, entry.tail, entry.limit());
            let unread = limit.saturating_sub(position.offset);
            let flush = self.flush_due(slot).is_some_and(|due| due <= self.now);
            let file = Arc::clone(&open.file);
            let want = usize::try_from(unread).unwrap_or(usize::MAX).min(share);
            let mut data = self.buffer(want);
            let before = read_behind(&file, position.offset, tail, &mut data)?;
            total += data.len();
            let Some(before) = before.filter(|before| Print::of(before) == tail) else {
                self.truncated(slot);
                return Ok(total);
            };
            if !self.grow_head(slot, &file)? {
                return Ok(total);
            }
            self.table.change(slot, |entry| entry.known = entry.known.max(entry.size));
            let whole = data.len() as u64 == unread;
            let cut = lines::cut(&self.plan.lines, position, &data, flush && whole);
            if cut.consumed == 0 && data.len() < want {
                // It is shorter than it was: there is nothing to read before it was looked at.
                self.recycle(data);
                self.looks.by(&mut self.table, slot, self.now + Tick::from(ACTIVE));
                return Ok(total);
            }
            if cut.consumed == 0 && !whole && want < longest {
                // Not even one line: as much as the longest line may need, whatever the budget.
                share = longest;
                self.recycle(data);
                continue;
            }
            if cut.consumed == 0 && flush && whole && self.once && data.first() == Some(&b'\r') {
                // A lone carriage return is all that is left: half of a line ending is no record.
                self.table.change(slot, |entry| entry.end = position.offset);
                return Ok(total);
            }
            if cut.consumed == 0 && position.mode == Mode::LineStart && !data.is_empty() && data[0] == 0 {
                self.recycle(data);
                if !self.pass_nuls(slot, &file, limit)? {
                    return Ok(total);
                }
                continue;
            }
            self.hand_out(slot, &cut, &before, data, whole);
            return Ok(total);
        }
    }

    /// Puts what was cut into the step and moves the position behind it.
    fn hand_out(&mut self, slot: Slot, cut: &Cut, before: &[u8], mut data: Vec<u8>, whole: bool) {
        let entry = self.table.get(slot);
        let (source, base) = (entry.source, entry.position.offset);
        let path: Arc<str> = entry.path.to_string_lossy().into();
        let upto = base + data.len() as u64;
        let tail = Print::tail_of(before, &data[..cut.consumed]);
        account(cut, &data, base, (source, &path), &self.metrics, &mut self.step);
        let chunk = |offset: usize, data: Vec<u8>, piece: Piece| Chunk {
            source,
            path: Arc::clone(&path),
            offset: base + offset as u64,
            data,
            piece,
        };
        // The first run of lines keeps the buffer; what else there is, is short or rare, and copied.
        let keeps = cut.pieces.first().is_some_and(|(range, piece)| range.start == 0 && *piece == Piece::Lines);
        let copied = cut.pieces.iter().skip(usize::from(keeps));
        let mut others: Vec<Chunk> =
            copied.map(|(range, piece)| chunk(range.start, data[range.clone()].to_vec(), *piece)).collect();
        if let Some((range, piece)) = cut.pieces.first().filter(|_| keeps) {
            data.truncate(range.end);
            self.step.chunks.push(chunk(0, data, *piece));
        } else {
            self.recycle(data);
        }
        self.step.chunks.append(&mut others);
        self.read += cut.consumed as u64;
        self.table.change(slot, |entry| {
            entry.position = cut.position;
            entry.tail = tail;
            entry.examined = if whole { upto } else { cut.position.offset };
        });
        if cut.consumed > 0 {
            self.mark(slot);
        }
        self.want_reading_after(slot);
        if self.open_files > self.most_open && self.table.get(slot).state == State::Live {
            self.close(slot);
        }
    }

    /// Goes to the end of the queue if there is more; a part that waits is flushed in time.
    fn want_reading_after(&mut self, slot: Slot) {
        let entry = self.table.get_mut(slot);
        if entry.limit() > entry.examined.max(entry.position.offset) {
            if !entry.queued {
                entry.queued = true;
                self.ready.push_back(slot);
            }
        } else if let Some(due) = self.flush_due(slot) {
            self.looks.by(&mut self.table, slot, due.max(self.now + 1));
            if self.once && entry_waits(self.table.get(slot)) {
                self.want_reading(slot);
            }
        } else if self.table.get(slot).state == State::Nameless {
            self.looks.by(&mut self.table, slot, self.now + 1);
        }
    }

    /// Checks the head where that is needed, and extends its print while it is short. False: the head is another one, and that was dealt with.
    pub(super) fn grow_head(&mut self, slot: Slot, file: &File) -> io::Result<bool> {
        let entry = self.table.get(slot);
        let have = entry.head.len();
        // Where the tail is short, the head has to tell whether the content is still the same.
        let grows = have < HEAD && entry.size > have as u64;
        if !grows && (entry.tail.len() == TAIL || have == 0) {
            return Ok(true);
        }
        let head = fingerprint::read_head(file, entry.size)?;
        if !entry.head.begins(&head) {
            self.truncated(slot);
            return Ok(false);
        }
        if have < gzip::MAGIC.len() && head.starts_with(&gzip::MAGIC) && entry.position.offset == 0 {
            self.table.change(slot, |entry| entry.kind = Kind::Gzip);
            self.want_reading(slot);
            return Ok(false);
        }
        if grows {
            self.table.set_head(slot, &head);
        }
        Ok(true)
    }

    /// Passes over NULs at a line start: holes by asking the file system, others by reading. False: nothing
    /// follows them yet.
    fn pass_nuls(&mut self, slot: Slot, file: &File, limit: u64) -> io::Result<bool> {
        let entry = self.table.get(slot);
        let from = entry.position.offset;
        let last = self.once || entry.state == State::Nameless;
        let mut at = from;
        let mut block = self.buffer(TURN);
        let found = loop {
            match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => at = data.min(limit),
                Err(rustix::io::Errno::NXIO) => at = limit,
                Err(_) => {}
            }
            if at >= limit {
                break false;
            }
            let want = ((limit - at) as usize).min(block.len());
            let read = std::os::unix::fs::FileExt::read_at(file, &mut block[..want], at)?;
            let nuls = lines::leading_nuls(&block[..read]);
            at += nuls as u64;
            if nuls < read {
                break true;
            }
            if read == 0 {
                break false;
            }
        };
        self.recycle(block);
        if !found && !last {
            self.table.change(slot, |entry| entry.examined = limit);
            return Ok(false);
        }
        let tail = fingerprint::read_tail(file, at)?;
        let path: Arc<str> = self.table.get(slot).path.to_string_lossy().into();
        add_gap(&mut self.step, &path, from, at - from, GapReason::NulHole);
        self.metrics.nul_bytes.inc_by(at - from);
        self.read += at - from;
        self.table.change(slot, |entry| {
            entry.position.offset = at;
            entry.tail = tail;
            entry.examined = at;
        });
        self.mark(slot);
        Ok(found)
    }

    /// A buffer of `len` bytes, a used one if it is large.
    pub(super) fn buffer(&mut self, len: usize) -> Vec<u8> {
        let mut buffer = if len >= RECYCLED { self.spare.pop().unwrap_or_default() } else { Vec::new() };
        buffer.resize(len, 0);
        debug_assert!(self.spare.len() <= SPARE);
        buffer
    }
}

fn entry_waits(entry: &super::tracked::Tracked) -> bool {
    entry.examined > entry.position.offset
}

/// Fills `data` from `offset`, cut to what is there, and gives the bytes before it that `tail` covers. `None`:
/// the file ends before them.
fn read_behind(file: &File, offset: u64, tail: Print, data: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut before = [0; TAIL];
    let before = &mut before[..tail.len()];
    let want = before.len() + data.len();
    let mut filled = 0;
    while filled < want {
        let from = offset - tail.len() as u64 + filled as u64;
        let result = if filled < before.len() {
            let mut parts = [IoSliceMut::new(&mut before[filled..]), IoSliceMut::new(data)];
            rustix::io::preadv(file, &mut parts, from)
        } else {
            rustix::io::pread(file, &mut data[filled - before.len()..], from)
        };
        match result {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if filled < before.len() {
        data.clear();
        return Ok(None);
    }
    data.truncate(filled - before.len());
    Ok(Some(before.to_vec()))
}
