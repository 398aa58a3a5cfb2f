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
use super::table::Slot;
use super::tracked::{State, Tick, Tracked};

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
    /// It has the content of these sources, whose files live.
    PerhapsCopy(Vec<Slot>),
    /// It has the content of a source whose file was deleted and is still being read.
    Copy,
    /// Looking at the others showed what it is.
    Settled,
    /// What has become of one of the others is known at the next poll.
    Unclear,
}

/// How the content of a new file and that of a source compare, as far as both can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alike {
    Same,
    Other,
    /// The source's file no longer holds what was shipped of it, which has not been dealt with yet.
    Rewritten,
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
            // Before it is let go: was one of them written anew since it was last compared?
            Origin::PerhapsCopy(of) if self.hold_is_over(slot) && of.iter().any(|other| self.is_rewritten(*other)) => {
                self.newcomers.push(slot);
            }
            Origin::PerhapsCopy(_) => self.hold(slot, &head),
            Origin::Copy => self.keep_holding(slot),
            Origin::Unclear => self.newcomers.push(slot),
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
        if self.hold_is_over(slot) {
            return self.own(slot, head);
        }
        let since = self.held_since(slot);
        self.table.change(slot, |entry| entry.state = State::Held { since });
        self.looks.at(&mut self.table, slot, self.now + 100);
    }

    fn held_since(&self, slot: Slot) -> Tick {
        if let State::Held { since } = self.table.get(slot).state { since } else { self.now }
    }

    /// It is not waited for any longer, or can't be.
    fn hold_is_over(&self, slot: Slot) -> bool {
        let (entry, since) = (self.table.get(slot), self.held_since(slot));
        let quiet = self.now >= entry.grown_at.max(since) + self.hold_ms();
        let over = quiet || self.now >= since + MOST_HOLDS * self.hold_ms();
        over || self.once || entry.state == State::Nameless || self.open_files >= self.most_open / 2
    }

    /// The file of this source no longer holds what was shipped of it, which is dealt with at once; or it has just
    /// left its place, which is dealt with at the next poll.
    fn is_rewritten(&mut self, slot: Slot) -> bool {
        if self.table.get(slot).kind == Kind::Gzip {
            return false;
        }
        if !self.ensure_open(slot) {
            return self.table.get(slot).state == State::Adrift;
        }
        let rewritten = matches!(self.holds_shipped(slot), Ok(false));
        if rewritten {
            self.truncated(slot);
        }
        rewritten
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
        let (mut perhaps, mut copy, mut unclear) = (Vec::new(), false, false);
        let namesakes = self.look_at_namesakes(slot);
        let settled = |entry: &Tracked| entry.is_minted() || entry.state == State::Free;
        if settled(self.table.get(slot)) {
            return Origin::Settled;
        }
        for other in self.candidates(slot, head, namesakes) {
            // A file that was truncated a moment ago would be compared with what it is no longer.
            if matches!(self.table.get(other).state, State::Live | State::Nameless) {
                self.look(other);
                if settled(self.table.get(slot)) {
                    return Origin::Settled;
                }
            }
            let alike = self.compare(slot, head, other);
            match (alike, self.table.get(other).state) {
                // It is gone or was renamed; at the next poll we know.
                (_, State::Adrift) => unclear = true,
                (Ok(Alike::Rewritten), _) => {
                    self.truncated(other);
                    return if settled(self.table.get(slot)) { Origin::Settled } else { Origin::Unclear };
                }
                (Ok(Alike::Same), State::Gone { .. } | State::Missing { .. }) => return Origin::Continues(other),
                (Ok(Alike::Same), State::Nameless) => copy = true,
                (Ok(Alike::Same), _) => perhaps.push(other),
                (Ok(Alike::Other), _) => {}
                (Err(error), _) => {
                    self.warn(slot, &error, "file can't be compared");
                    perhaps.push(other);
                }
            }
        }
        match (unclear, copy) {
            (true, _) => Origin::Unclear,
            (false, true) => Origin::Copy,
            (false, false) if perhaps.is_empty() => Origin::Own,
            (false, false) => Origin::PerhapsCopy(perhaps),
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

    /// Has the new file the content of `other`?
    fn compare(&mut self, slot: Slot, head: &[u8], other: Slot) -> std::io::Result<Alike> {
        let alike = |same: bool| Ok(if same { Alike::Same } else { Alike::Other });
        let (new, old) = (self.table.get(slot), self.table.get(other));
        let Some(open) = &new.open else { return Ok(Alike::Other) };
        let (offset, file) = (old.position.offset, Arc::clone(&open.file));
        let gone = matches!(old.state, State::Gone { .. } | State::Missing { .. });
        let whole_head = head.len() >= old.head.len();
        // What never had a content that we know of is nobody's original.
        if old.head.len == 0 || (whole_head && !old.head.begins(head)) || !old.is_evident(new.place()) {
            return Ok(Alike::Other);
        }
        if new.kind == Kind::Gzip {
            // The tail is compared when decompression has come so far.
            let continues = !gone || offset > 0 || old.owed() > 0;
            return alike(old.kind == Kind::Plain && whole_head && continues);
        }
        if old.kind == Kind::Gzip {
            return Ok(Alike::Other);
        }
        if gone {
            // The bytes before the position say nothing where there are none: the whole head must be there.
            if !whole_head {
                return Ok(Alike::Other);
            }
            // What comes anew under the same name is no copy, unless it repeats a lot; and where nothing was
            // shipped or is owed, there is nothing to continue.
            let other_name = new.path != old.path && old.head.len() >= MEANINGFUL;
            let enough = offset >= EVIDENCE || (other_name && (offset > 0 || old.owed() > 0));
            return alike(enough && new.size >= offset && fingerprint::has_tail(&file, offset, old.tail)?);
        }
        if offset > 0 && new.size >= offset {
            return alike(fingerprint::has_tail(&file, offset, old.tail)?);
        }
        // A copy in the making: what there is of it must be what the other has at the same place.
        let upto = new.size.min(old.size);
        let print = fingerprint::read_tail(&file, upto)?;
        self.ensure_open(other);
        let Some(open) = &self.table.get(other).open else { return Ok(Alike::Same) };
        if fingerprint::has_tail(&open.file, upto, print)? {
            return Ok(Alike::Same);
        }
        Ok(if self.holds_shipped(other)? { Alike::Other } else { Alike::Rewritten })
    }
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
