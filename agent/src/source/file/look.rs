//! One look at one file: has it grown, was it truncated, does it still lie where it was.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;

use super::fingerprint;
use super::rows::Kind;
use super::stat::Stat;
use super::table::Slot;
use super::tracked::{Open, State, Tick};
use super::{FileSource, REMEMBER_S};
use crate::record::GapReason;

/// A file that has not grown for so long is closed.
const QUIET_MS: Tick = 5_000;

impl FileSource {
    pub(super) fn look(&mut self, slot: Slot) {
        match self.table.get(slot).state {
            State::Live => self.look_at_place(slot),
            State::Nameless => self.look_at_descriptor(slot),
            State::Held { .. } => self.look_at_held(slot),
            State::Missing { since } => {
                let until = since + self.hold_ms();
                if self.now >= until {
                    self.find_copy_of_missing(slot, true);
                    if matches!(self.table.get(slot).state, State::Missing { .. }) {
                        self.finish(slot, GapReason::Vanished);
                    }
                } else {
                    self.looks.at(&mut self.table, slot, until);
                }
            }
            State::Gone { at } => self.forget_after_a_while(slot, at),
            State::Stored | State::Adrift | State::Free => {}
        }
    }

    fn look_at_place(&mut self, slot: Slot) {
        match Stat::of(self.table.get(slot).place()) {
            Ok(stat) if stat.is_file() && stat.identity.may_be(self.table.get(slot).identity) => {
                self.observe(slot, &stat);
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => self.leave(slot),
            Err(error) => {
                self.warn(slot, &error.into(), "file can't be looked at");
                self.looks.after(&mut self.table, slot, self.now, false);
            }
        }
    }

    fn look_at_descriptor(&mut self, slot: Slot) {
        let Some(open) = &self.table.get(slot).open else { return self.lost(slot) };
        match Stat::of_open(&*open.file) {
            Ok(stat) => {
                self.observe(slot, &stat);
                self.bound_deleted();
                let entry = self.table.get(slot);
                let quiet = self.once || self.now >= entry.grown_at + QUIET_MS;
                if quiet && entry.state == State::Nameless && entry.unread() == 0 && !entry.queued {
                    self.finish(slot, GapReason::Vanished);
                }
            }
            Err(_) => self.lost(slot),
        }
    }

    /// What is queued now is read (and compared with what was shipped) in this poll.
    fn reads_at_once(&self) -> bool {
        self.had_budget && self.ready.is_empty()
    }

    /// Takes in size and modification time of the file that is known to be this entry's.
    pub(super) fn observe(&mut self, slot: Slot, stat: &Stat) {
        let entry = self.table.get(slot);
        let (old_size, offset, kind) = (entry.size, entry.position.offset, entry.kind);
        let changed = stat.size != old_size;
        let touched = stat.mtime != entry.mtime;
        // What is unread may be another content by now; then what was seen of the old one is the gap.
        let later = old_size > offset || entry.head.len == 0 || !self.reads_at_once();
        let doubtful = kind == Kind::Plain && ((changed && later) || stat.size < old_size || (!changed && touched));
        let now = self.now;
        self.table.change(slot, |entry| {
            entry.size = stat.size;
            entry.mtime = stat.mtime;
            if changed {
                entry.grown_at = now;
            }
        });
        if !self.table.get(slot).is_minted() {
            if stat.size > 0 {
                self.newcomers.push(slot);
            }
            return self.watch_closely(slot, changed);
        }
        if kind == Kind::Plain && stat.size < offset {
            return self.truncated(slot);
        }
        if doubtful && !self.verify(slot, stat.size < old_size) {
            if matches!(self.table.get(slot).state, State::Live | State::Nameless) {
                self.watch_closely(slot, changed);
            }
            return;
        }
        self.stop_filling(slot);
        self.want_reading(slot);
        self.hold_or_close(slot);
        self.watch_closely(slot, changed);
    }

    /// A copy that has grown to what was seen of the source, or does not grow any more.
    fn stop_filling(&mut self, slot: Slot) {
        let entry = self.table.get(slot);
        if !entry.filling {
            return;
        }
        let (size, missing) = (entry.size, entry.known.saturating_sub(entry.size));
        let over = self.once || self.now >= entry.grown_at + self.hold_ms();
        if missing > 0 && !over {
            return;
        }
        self.gap(slot, size, missing, GapReason::Vanished);
        self.table.change(slot, |entry| {
            entry.known -= missing;
            entry.filling = false;
        });
        self.mark(slot);
    }

    /// Looks soon again at what changes, and asks for events of what does not.
    fn watch_closely(&mut self, slot: Slot, changed: bool) {
        let before = self.table.get(slot).interval;
        self.looks.after(&mut self.table, slot, self.now, changed);
        let entry = self.table.get(slot);
        let active = |interval: u32| interval > 0 && interval <= 200;
        if active(before) != active(entry.interval) {
            self.watch.listen(entry.place(), !active(entry.interval));
        }
        if let Some(due) = self.flush_due(slot) {
            self.looks.by(&mut self.table, slot, due.max(self.now + 1));
        }
    }

    /// Queues the file if there is something to read.
    pub(super) fn want_reading(&mut self, slot: Slot) {
        let due = self.flush_due(slot).is_some_and(|due| due <= self.now);
        let entry = self.table.get_mut(slot);
        let more = match entry.kind {
            Kind::Plain => entry.limit() > entry.examined.max(entry.position.offset),
            Kind::Gzip => entry.size != entry.examined,
        };
        if (more || due) && !entry.queued && entry.is_minted() {
            entry.queued = true;
            self.ready.push_back(slot);
        }
    }

    /// When an incomplete last line is to be shipped.
    pub(super) fn flush_due(&self, slot: Slot) -> Option<Tick> {
        let entry = self.table.get(slot);
        if entry.kind != Kind::Plain || entry.examined <= entry.position.offset {
            return None;
        }
        match self.plan.lines.partial_after {
            Some(_) if self.once => Some(self.now),
            Some(after) => Some(entry.grown_at + after.as_millis() as Tick),
            // A file without a name ends here: there is nothing to wait for.
            None if entry.state == State::Nameless => Some(entry.grown_at + QUIET_MS),
            None => None,
        }
    }

    /// Files with unread bytes stay open, so that they can be deleted under us; idle ones do not.
    fn hold_or_close(&mut self, slot: Slot) {
        let entry = self.table.get(slot);
        let wanted = entry.queued || entry.state == State::Nameless || self.now < entry.grown_at + QUIET_MS;
        match (&entry.open, wanted) {
            (None, true) if entry.queued && self.open_files < self.most_open => {
                self.ensure_open(slot);
            }
            (Some(_), false) => self.close(slot),
            _ => {}
        }
    }

    /// Opens the file if it is not open. False: it can't be read now.
    pub(super) fn ensure_open(&mut self, slot: Slot) -> bool {
        let entry = self.table.get(slot);
        if entry.open.is_some() {
            return true;
        }
        match open(entry.place()) {
            Ok(file) => {
                let same = Stat::of_open(&file).is_ok_and(|stat| stat.identity.may_be(entry.identity));
                if !same {
                    self.leave(slot);
                    return false;
                }
                self.table.get_mut(slot).open = Some(Box::new(Open { file: Arc::new(file), gzip: None }));
                self.open_files += 1;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.leave(slot);
                false
            }
            Err(error) => {
                self.warn(slot, &error, "file can't be opened");
                false
            }
        }
    }

    /// Compares the bytes before the position (and the head, where that is all there is) with what was shipped.
    /// `cut_off`: it was longer at the last look. False: they are others, and the entry has been dealt with.
    pub(super) fn verify(&mut self, slot: Slot, cut_off: bool) -> bool {
        if !self.ensure_open(slot) {
            return false;
        }
        match self.holds_shipped(slot) {
            Ok(true) => {
                let entry = self.table.get(slot);
                let (known, size) = (entry.known, entry.size);
                if size < known && cut_off {
                    // What is before the end is still there.
                    self.gap(slot, size.max(self.table.get(slot).position.offset), known - size, GapReason::Truncated);
                    self.mark(slot);
                }
                let entry = self.table.get_mut(slot);
                entry.known = if cut_off { size } else { size.max(known) };
                entry.filling &= !cut_off;
                entry.examined = entry.examined.min(size);
                if let Some(open) = &entry.open {
                    let file = Arc::clone(&open.file);
                    if !self.grow_head(slot, &file).unwrap_or(true) {
                        return false;
                    }
                }
                let entry = self.table.get_mut(slot);
                if size != known && !std::mem::replace(&mut entry.unsaved, true) {
                    self.unsaved.push(slot);
                }
                true
            }
            Ok(false) => {
                self.truncated(slot);
                false
            }
            Err(error) => {
                self.warn(slot, &error, "file can't be read");
                false
            }
        }
    }

    /// The open file has the bytes before the position and the head: what was shipped of it is still there.
    pub(super) fn holds_shipped(&self, slot: Slot) -> io::Result<bool> {
        let entry = self.table.get(slot);
        let Some(open) = &entry.open else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(fingerprint::has_tail(&open.file, entry.position.offset, entry.tail)?
            && entry.head.begins(&fingerprint::read_head(&open.file, entry.head.len.into())?))
    }

    /// The entry's file no longer lies at its place.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.table.forget_place(slot);
        let entry = self.table.get(slot);
        let Some(open) = &entry.open else {
            self.table.get_mut(slot).state = State::Adrift;
            return self.adrift.push(slot);
        };
        let Ok(stat) = Stat::of_open(&*open.file) else { return self.lost(slot) };
        // The kernel knows the name of an open file.
        if let Some(place) = name_of(&open.file, &stat) {
            self.moved(slot, &place);
        } else {
            self.table.get_mut(slot).state = State::Nameless;
            self.nameless.push(slot);
        }
        self.observe(slot, &stat);
        self.bound_deleted();
    }

    /// The file lies at another place now.
    pub(super) fn moved(&mut self, slot: Slot, place: &Path) {
        tracing::debug!(from = %self.table.get(slot).place().display(), to = %place.display(), "file was renamed");
        self.table.set_place(slot, place);
        self.table.get_mut(slot).state = State::Live;
        if let Some(folder) = place.parent() {
            self.watch.folder(folder);
        }
        self.looks.at(&mut self.table, slot, self.now);
        self.mark(slot);
    }

    /// Deleted files are held open only for so many unread bytes; what goes beyond is given up, the last one first.
    fn bound_deleted(&mut self) {
        let Self { nameless, table, .. } = self;
        nameless.retain(|slot| table.get(*slot).state == State::Nameless);
        let mut held: u64 = nameless.iter().map(|slot| table.get(*slot).unread()).sum();
        while held > self.plan.hold_deleted_bytes {
            let Some(slot) = self.nameless.pop() else { break };
            held -= self.table.get(slot).unread();
            self.table.forget_identity(slot);
            self.table.change(slot, |entry| {
                if entry.kind == Kind::Plain {
                    entry.known = entry.known.max(entry.size);
                }
            });
            self.finish(slot, GapReason::Vanished);
        }
    }

    /// Neither a place nor a descriptor leads to the file.
    pub(super) fn lost(&mut self, slot: Slot) {
        self.close(slot);
        self.table.forget_identity(slot);
        self.table.forget_place(slot);
        let entry = self.table.get(slot);
        if !entry.is_minted() {
            return self.drop_entry(slot);
        }
        self.table.get_mut(slot).state = State::Missing { since: self.now };
        let until = self.now + self.hold_ms();
        self.looks.at(&mut self.table, slot, until);
        // Even where nothing is owed as far as we saw: more may have been written before it went.
        self.find_copy_of_missing(slot, self.once);
        let entry = self.table.get(slot);
        if matches!(entry.state, State::Missing { .. }) && (self.once || entry.owed() == 0) {
            self.finish(slot, GapReason::Vanished);
        }
    }

    /// What is not handed out is counted; the source is remembered for a while, for copies that turn up late.
    pub(super) fn finish(&mut self, slot: Slot, reason: GapReason) {
        let entry = self.table.get(slot);
        let (from, owed) = (entry.position.offset, entry.owed());
        let compressed = entry.kind == Kind::Gzip && owed > entry.known.saturating_sub(from);
        let reason = match reason {
            GapReason::Vanished if compressed => GapReason::VanishedCompressed,
            reason => reason,
        };
        self.gap(slot, from, owed, reason);
        self.close(slot);
        self.table.forget_identity(slot);
        self.table.forget_place(slot);
        let at = self.unix_seconds();
        self.table.change(slot, |entry| {
            entry.known = entry.position.offset;
            entry.filling = false;
            entry.examined = entry.size;
            entry.state = State::Gone { at };
        });
        self.looks.at(&mut self.table, slot, self.now + Tick::from(REMEMBER_S) * 1000);
        self.mark(slot);
    }

    fn forget_after_a_while(&mut self, slot: Slot, at: u32) {
        let left = REMEMBER_S.saturating_sub(self.unix_seconds().saturating_sub(at));
        if left > 0 {
            return self.looks.at(&mut self.table, slot, self.now + Tick::from(left) * 1000);
        }
        let key = self.table.get(slot).source.0;
        self.step.rows.push(crate::record::Row { key, value: None });
        self.drop_entry(slot);
    }

    pub(super) fn drop_entry(&mut self, slot: Slot) {
        self.close(slot);
        self.newcomers.retain(|newcomer| *newcomer != slot);
        if self.table.get(slot).queued {
            self.ready.retain(|ready| *ready != slot);
        }
        if self.table.get(slot).dirty {
            self.dirty.retain(|dirty| *dirty != slot);
        }
        self.table.remove(slot);
    }

    pub(super) fn hold_ms(&self) -> Tick {
        self.plan.hold.as_millis() as Tick
    }

    /// Logged once for each file until it works again.
    pub(super) fn warn(&mut self, slot: Slot, error: &io::Error, what: &'static str) {
        let entry = self.table.get_mut(slot);
        if !std::mem::replace(&mut entry.warned, true) {
            tracing::warn!(%error, path = %entry.place().display(), "{what}");
        }
    }
}

/// Never waits (a FIFO would) and leaves the access time alone where that is allowed.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::open(path, flags | OFlags::NOATIME, FileMode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::open(path, flags, FileMode::empty())?.into()),
        result => Ok(result?.into()),
    }
}

/// The name of an open file, if it has one that leads to it.
pub(super) fn name_of(file: &File, stat: &Stat) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    if stat.unlinked {
        return None;
    }
    let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    Stat::of(&name).is_ok_and(|found| found.identity.may_be(stat.identity)).then_some(name)
}
