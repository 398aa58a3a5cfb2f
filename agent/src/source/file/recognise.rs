//! Decides which stored source a file is, or that it is a source of its own.
//!
//! Device, inode and birth time settle most cases; where they are new, head and tail tell. Two files that both
//! live are different files; but a new one that has the content of another may be a copy that is about to
//! replace it, so it is held for a while.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileSource;
use super::fingerprint;
use super::gzip;
use super::rows::Kind;
use super::stat::Stat;
use super::table::{Slot, State, Tracked};
use crate::plan::Start;
use crate::record::{Mode, Position};

/// So many new files are decided on in one look.
const MOST_DECIDED: usize = 2048;
/// So many sources that begin alike are compared with a new file, those with the most similar names first.
const MOST_COMPARED: usize = 32;
/// Files whose names are not related are taken for copies only if they repeat at least this much: short files
/// are easily equal by chance, and to pass over one would be a loss.
const EVIDENCE: u64 = 256;
/// Fewer first bytes than this say nothing.
pub(super) const MEANINGFUL: usize = 32;
/// A file that may be a copy waits at most so many times `hold` while it grows.
const MOST_HOLDS: u64 = 60;

/// What a new file is.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Own,
    /// The continuation of this source, whose file is gone or was truncated.
    Continues(Slot),
    /// It has the content of a source whose file lives.
    PerhapsCopy,
    /// It has the content of a source whose file was deleted and is still being read.
    Copy,
    /// Looking at the others showed what it is.
    Settled,
}

impl FileSource {
    /// A regular file lies at `path`.
    pub(super) fn found(&mut self, path: &Path, stat: &Stat) {
        if let Some(slot) = self.table.at_inode(stat.identity) {
            if self.table.get(slot).identity.may_be(stat.identity) {
                return self.seen_again(slot, path);
            }
            // The number was given to another file: the one that we knew is gone.
            self.lost(slot);
            // It may be a copy of that one, and has been taken for it.
            if self.table.at_inode(stat.identity).is_some() {
                return;
            }
        } else if let Some(slot) = self.table.at_place(path)
            && self.table.get(slot).state == State::Stored
            && self.table.get(slot).identity.btime != 0
            && self.table.get(slot).identity.is_likely(stat.identity)
        {
            // The machine was started again and numbers its devices otherwise.
            self.table.set_identity(slot, stat.identity);
            return self.seen_again(slot, path);
        }
        let late = self.once && self.counters.first_scan_done && self.first_scan.is_none();
        if late || !self.globs.wants(path) {
            return;
        }
        let mut entry = Tracked::new(path, stat.identity);
        entry.place = linked_place(path).map(Into::into);
        entry.size = stat.size;
        entry.mtime = stat.mtime;
        entry.grown_at = self.now;
        if self.once {
            entry.end = stat.size;
        }
        if let Some(folder) = entry.place.as_deref().and_then(Path::parent) {
            self.watch.folder(folder);
        }
        let slot = self.table.insert(entry);
        self.looks.at(&mut self.table, slot, self.now);
        if stat.size > 0 {
            self.newcomers.push(slot);
        }
    }

    /// A file that is known lies at `path`, perhaps under another name than before.
    fn seen_again(&mut self, slot: Slot, path: &Path) {
        let entry = self.table.get(slot);
        let known_place = entry.place() == path;
        match entry.state {
            State::Stored | State::Adrift => {
                let place = linked_place(path).unwrap_or_else(|| path.to_path_buf());
                let moved = entry.place() != place;
                let once = self.once;
                self.table.set_place(slot, &place);
                self.table.change(slot, |entry| {
                    entry.state = State::Live;
                    if once && entry.end == u64::MAX {
                        entry.end = Stat::of(&place).map_or(u64::MAX, |stat| stat.size);
                    }
                });
                if moved {
                    self.mark(slot);
                }
                if let Some(folder) = place.parent() {
                    self.watch.folder(folder);
                }
                self.looks.at(&mut self.table, slot, self.now);
            }
            State::Live | State::Held { .. } if !known_place => {
                let same = Stat::of(entry.place()).is_ok_and(|stat| stat.identity.may_be(entry.identity));
                // A second name of a file that still has its first one is not a second file.
                if !same {
                    let held = entry.state;
                    self.moved(slot, path);
                    self.table.get_mut(slot).state = held;
                }
            }
            State::Nameless => self.moved(slot, path),
            State::Live | State::Held { .. } => self.looks.by(&mut self.table, slot, self.now),
            State::Missing { .. } | State::Gone { .. } | State::Free => {}
        }
    }

    pub(super) fn decide_newcomers(&mut self) {
        let mut newcomers = std::mem::take(&mut self.newcomers);
        newcomers.sort_unstable();
        newcomers.dedup();
        // The rows of a hundred thousand files found at once must not become one commit.
        let later = newcomers.split_off(newcomers.len().min(MOST_DECIDED));
        for slot in newcomers {
            let entry = self.table.get(slot);
            if !entry.is_minted() && matches!(entry.state, State::Live | State::Nameless | State::Held { .. }) {
                self.decide(slot);
            }
        }
        self.newcomers.extend(later);
        if self.newcomers.is_empty() && self.first_scan.take().is_some() && !self.counters.first_scan_done {
            self.counters.first_scan_done = true;
            self.counters_dirty = true;
        }
    }

    fn decide(&mut self, slot: Slot) {
        if !self.ensure_open(slot) {
            return self.looks.after(&mut self.table, slot, self.now, false);
        }
        let (head, early) = match self.read_first(slot) {
            Ok(first) => first,
            Err(error) => {
                self.warn(slot, &error, "file can't be read");
                return self.looks.after(&mut self.table, slot, self.now, false);
            }
        };
        if !self.counters.first_scan_done && self.first_scan.is_some_and(|end| slot < end) {
            self.begin_at_start(slot, &head);
            return self.own(slot, &head);
        }
        if early {
            return self.hold(slot, &head);
        }
        match self.origin(slot, &head) {
            Origin::Own => self.own(slot, &head),
            Origin::Continues(old) => self.continue_with(old, slot),
            Origin::PerhapsCopy => self.hold(slot, &head),
            Origin::Copy => self.keep_holding(slot),
            Origin::Settled => {}
        }
    }

    /// The first bytes of the content, after finding out whether it is compressed; and whether it is too early to
    /// tell, because so little of it can be decompressed.
    fn read_first(&mut self, slot: Slot) -> std::io::Result<(Vec<u8>, bool)> {
        let entry = self.table.get(slot);
        let Some(open) = &entry.open else { return Ok((Vec::new(), true)) };
        let file = Arc::clone(&open.file);
        let head = fingerprint::read_head(&file, entry.size)?;
        if !head.starts_with(&gzip::MAGIC) {
            return Ok((head.clone(), !head.is_empty() && gzip::MAGIC.starts_with(&head)));
        }
        self.table.change(slot, |entry| entry.kind = Kind::Gzip);
        gzip::head(&file)
    }

    fn own(&mut self, slot: Slot, head: &[u8]) {
        self.table.set_head(slot, head);
        self.table.change(slot, |entry| {
            if entry.state != State::Nameless {
                entry.state = State::Live;
            }
            if entry.kind == Kind::Plain {
                entry.known = entry.size;
            }
        });
        self.mint(slot);
        self.want_reading(slot);
        if !self.table.get(slot).queued || self.open_files > self.most_open {
            self.close_unless_nameless(slot);
        }
        self.looks.by(&mut self.table, slot, self.now + 1);
    }

    fn close_unless_nameless(&mut self, slot: Slot) {
        if self.table.get(slot).state != State::Nameless {
            self.close(slot);
        }
    }

    fn hold(&mut self, slot: Slot, head: &[u8]) {
        let now = self.now;
        let entry = self.table.get(slot);
        let since = if let State::Held { since } = entry.state { since } else { now };
        let grown_at = entry.grown_at;
        let over = now >= grown_at.max(since) + self.hold_ms() || now >= since + MOST_HOLDS * self.hold_ms();
        let hurry = self.once || entry.state == State::Nameless || self.open_files >= self.most_open / 2;
        if over || hurry {
            return self.own(slot, head);
        }
        self.table.change(slot, |entry| entry.state = State::Held { since });
        self.looks.at(&mut self.table, slot, now + 100);
    }

    /// The other's descriptor has all that this file has; what it has more is read when the other is finished.
    fn keep_holding(&mut self, slot: Slot) {
        let now = self.now;
        if self.table.get(slot).state != State::Nameless {
            self.table.change(slot, |entry| entry.state = State::Held { since: now });
        }
        self.looks.at(&mut self.table, slot, now + 100);
    }

    /// A held file: has it grown, is it still there, is the file that it resembles?
    pub(super) fn look_at_held(&mut self, slot: Slot) {
        let entry = self.table.get(slot);
        match Stat::of(entry.place()) {
            Ok(stat) if stat.identity.may_be(entry.identity) => {
                let now = self.now;
                self.table.change(slot, |entry| {
                    if entry.size != stat.size {
                        entry.grown_at = now;
                    }
                    entry.size = stat.size;
                    entry.mtime = stat.mtime;
                });
                self.newcomers.push(slot);
            }
            // Nobody copies a log to delete the copy: it is read for its own sake.
            _ => {
                self.table.get_mut(slot).state = State::Live;
                self.leave(slot);
                self.newcomers.push(slot);
            }
        }
    }

    fn origin(&mut self, slot: Slot, head: &[u8]) -> Origin {
        let (mut perhaps, mut copy) = (false, false);
        let namesakes = self.look_at_namesakes(slot);
        let entry = self.table.get(slot);
        if entry.is_minted() || entry.state == State::Free {
            return Origin::Settled;
        }
        for other in self.candidates(slot, head, namesakes) {
            // A file that was truncated a moment ago would be compared with what it is no longer.
            if matches!(self.table.get(other).state, State::Live | State::Nameless) {
                self.look(other);
                let entry = self.table.get(slot);
                if entry.is_minted() || entry.state == State::Free {
                    return Origin::Settled;
                }
            }
            if self.table.get(other).state == State::Adrift {
                // It is gone or was renamed; at the next look we know.
                perhaps = true;
                continue;
            }
            let entry = self.table.get(other);
            let gone = matches!(entry.state, State::Gone { .. } | State::Missing { .. });
            match self.same_content(slot, head, other) {
                Ok(true) if gone => return Origin::Continues(other),
                Ok(true) if self.table.get(other).state == State::Nameless => copy = true,
                Ok(true) => perhaps = true,
                Ok(false) => {}
                Err(error) => self.warn(slot, &error, "file can't be compared"),
            }
        }
        match (copy, perhaps) {
            (true, _) => Origin::Copy,
            (false, true) => Origin::PerhapsCopy,
            (false, false) => Origin::Own,
        }
    }

    /// An idle file may have grown since it was looked at, and then been copied: files whose names the new one's
    /// name seems to be made of (`a.log` for `a.log.1` and `a-2026.log`) are looked at first.
    fn look_at_namesakes(&mut self, slot: Slot) -> Vec<Slot> {
        let place = self.table.get(slot).place().to_path_buf();
        let mut namesakes = Vec::new();
        let Some(name) = place.file_name().and_then(|name| name.to_str()) else { return namesakes };
        let extension = place.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        for (end, _) in name.char_indices().skip(1) {
            let stem = &name[..end];
            for namesake in [place.with_file_name(stem), place.with_file_name(format!("{stem}.{extension}"))] {
                if let Some(other) = self.table.at_place(&namesake)
                    && other != slot
                    && self.table.get(other).state == State::Live
                {
                    self.look(other);
                    namesakes.push(other);
                }
            }
        }
        namesakes
    }

    /// Sources of the same folder that begin as `head` does, the likeliest first. Of the namesakes even those that
    /// too few bytes are there of to say that.
    fn candidates(&self, slot: Slot, head: &[u8], namesakes: Vec<Slot>) -> Vec<Slot> {
        let new = self.table.get(slot);
        let folder = new.place().parent();
        let mut found: Vec<(bool, usize, Slot)> = Vec::new();
        for other in self.table.alike(head).chain(namesakes) {
            let entry = self.table.get(other);
            let near = entry.place().parent() == folder || entry.path.parent() == folder;
            // The log that replaces a renamed one begins anew, however alike it begins.
            let successor = entry.state == State::Live && entry.path == new.path && entry.place.is_some();
            let known = !matches!(entry.state, State::Stored | State::Held { .. } | State::Free);
            if other != slot && entry.is_minted() && near && known && !successor {
                let lives = matches!(entry.state, State::Live | State::Nameless);
                found.push((lives, usize::MAX - common_prefix(&entry.path, &new.path), other));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().take(MOST_COMPARED).map(|(_, _, other)| other).collect()
    }

    /// As far as both can be read, the new file has the content of `other`.
    fn same_content(&mut self, slot: Slot, head: &[u8], other: Slot) -> std::io::Result<bool> {
        let (new, old) = (self.table.get(slot), self.table.get(other));
        let Some(open) = &new.open else { return Ok(false) };
        let gone = matches!(old.state, State::Gone { .. } | State::Missing { .. });
        let whole_head = head.len() >= old.head.len();
        if whole_head && !old.head.begins(head) {
            return Ok(false);
        }
        if !old.is_evident(new.place()) {
            return Ok(false);
        }
        if new.kind == Kind::Gzip {
            // The tail is compared when decompression has come so far.
            return Ok(old.kind == Kind::Plain && whole_head);
        }
        if old.kind == Kind::Gzip {
            return Ok(false);
        }
        let offset = old.position.offset;
        if gone {
            // The bytes before the position say nothing where there are none: the whole head must be there.
            if !whole_head {
                return Ok(false);
            }
            // What comes anew under the same name is no copy, unless it repeats a lot; and where nothing was
            // shipped or is owed, there is nothing to continue.
            let other_name = new.path != old.path && old.head.len() >= MEANINGFUL;
            let enough = offset >= EVIDENCE || (other_name && (offset > 0 || old.owed() > 0));
            return Ok(enough && new.size >= offset && fingerprint::has_tail(&open.file, offset, old.tail)?);
        }
        if offset > 0 && new.size >= offset {
            return fingerprint::has_tail(&open.file, offset, old.tail);
        }
        // A copy in the making: what there is of it must be what the other has at the same place.
        let upto = new.size.min(old.size);
        let file = Arc::clone(&open.file);
        let print = fingerprint::read_tail(&file, upto)?;
        self.ensure_open(other);
        match &self.table.get(other).open {
            Some(open) => fingerprint::has_tail(&open.file, upto, print),
            None => Ok(false),
        }
    }

    /// Where the job's `start` wants the files of its first scan to begin.
    fn begin_at_start(&mut self, slot: Slot, head: &[u8]) {
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

/// Where a symbolic link leads.
fn linked_place(path: &Path) -> Option<PathBuf> {
    let linked = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink());
    if linked { std::fs::canonicalize(path).ok() } else { None }
}

impl Tracked {
    /// That a file at `path` begins like this one means something: there is enough of it, or the name says so.
    pub(super) fn is_evident(&self, path: &Path) -> bool {
        let related = match (self.path.file_stem(), path.file_name()) {
            (Some(stem), Some(name)) => name.as_bytes().starts_with(stem.as_bytes()),
            _ => false,
        };
        self.position.offset >= EVIDENCE || related
    }
}

/// How many bytes of the file names agree from the beginning.
pub(super) fn common_prefix(a: &Path, b: &Path) -> usize {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    name(a).iter().zip(&name(b)).take_while(|(a, b)| a == b).count()
}
