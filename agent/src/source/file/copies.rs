//! Truncation, and the copies that it leaves: `copytruncate`, `.gz`, files moved from another file system.
//!
//! When a file was truncated its content may live on in a copy in the same folder. What is missing is read from
//! there under the old source's number; the truncated file is a new source from 0. Where no copy is found, the
//! gap is the last size seen minus the position.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileSource;
use super::fingerprint;
use super::gzip;
use super::look::{name_of, open};
use super::recognise::{MEANINGFUL, common_prefix};
use super::rows::Kind;
use super::stat::Stat;
use super::table::Slot;
use super::tracked::{Open, State, Tracked};
use crate::record::GapReason;

/// So many files of the folder are compared with the source whose content is looked for.
const MOST_COMPARED: usize = 64;

/// Where the content of a source was found.
enum Copy {
    /// Nobody follows this file, or it is not decided yet what it is.
    Free(PathBuf, Stat, Kind),
    /// So many bytes of it are shipped as a source of its own.
    Shipped(u64),
}

impl FileSource {
    /// The entry's file no longer holds what was shipped of it.
    pub(super) fn truncated(&mut self, slot: Slot) {
        let open = self.table.get_mut(slot).open.take();
        self.open_files -= usize::from(open.is_some());
        let entry = self.table.get(slot);
        let (place, identity) = (entry.place().to_path_buf(), entry.identity);
        tracing::info!(
            path = %place.display(), source = entry.source.0, offset = entry.position.offset, known = entry.known,
            "file was truncated or written anew"
        );
        self.table.forget_identity(slot);
        self.table.forget_place(slot);
        self.table.change(slot, |entry| {
            entry.size = entry.known;
            // It was changed since; the copy may be older.
            entry.mtime = 0;
            entry.state = State::Missing { since: 0 };
        });
        if let Ok(stat) = Stat::of(&place)
            && stat.is_file()
            && stat.identity.may_be(identity)
        {
            self.next_generation(slot, &place, &stat);
        } else if let Some(open) = open {
            self.next_generation_elsewhere(slot, open);
        }
        self.find_content(slot, GapReason::Truncated);
    }

    /// The file at `place` goes on as a source of its own, from 0.
    pub(super) fn next_generation(&mut self, old: Slot, place: &Path, stat: &Stat) {
        let mut entry = Tracked::new(&self.table.get(old).path.clone(), stat.identity);
        if *entry.path != *place {
            entry.place = Some(place.into());
        }
        // Its size counts as not seen yet, so that the first look takes its head.
        entry.grown_at = self.now;
        entry.kind = if stat.size > 0 && is_compressed(place) { Kind::Gzip } else { Kind::Plain };
        if self.once {
            entry.end = stat.size;
        }
        let slot = self.table.insert(entry);
        self.mint(slot);
        self.looks.at(&mut self.table, slot, self.now);
    }

    /// As [`FileSource::next_generation`] where the file was renamed or deleted since it was written anew: the
    /// descriptor leads to it.
    fn next_generation_elsewhere(&mut self, old: Slot, open: Box<Open>) {
        let Ok(stat) = Stat::of_open(&*open.file) else { return };
        if let Some(place) = name_of(&open.file, &stat) {
            return self.next_generation(old, &place, &stat);
        }
        if stat.size == 0 {
            return;
        }
        let mut entry = Tracked::new(&self.table.get(old).path.clone(), stat.identity);
        entry.state = State::Nameless;
        entry.grown_at = self.now;
        entry.open = Some(Box::new(Open { file: open.file, gzip: None }));
        if self.once {
            entry.end = stat.size;
        }
        let slot = self.table.insert(entry);
        self.open_files += 1;
        self.nameless.push(slot);
        self.mint(slot);
        self.looks.at(&mut self.table, slot, self.now);
    }

    /// Looks for the content of a source whose file is gone; nothing is counted as lost yet. `last`: the source is
    /// not waited for any longer.
    pub(super) fn find_copy_of_missing(&mut self, slot: Slot, last: bool) {
        // Any file might begin with so few bytes.
        if self.table.get(slot).head.len() < MEANINGFUL {
            return;
        }
        match self.copy_of(slot) {
            Some(Copy::Free(path, stat, kind)) => self.adopt(slot, &path, &stat, kind),
            Some(Copy::Shipped(upto)) if last || upto >= self.table.get(slot).known => {
                self.finish_shipped(slot, upto, GapReason::Vanished);
            }
            Some(Copy::Shipped(_)) | None => {}
        }
    }

    /// Reads on in a copy, or counts what is missing.
    fn find_content(&mut self, slot: Slot, reason: GapReason) {
        match self.copy_of(slot) {
            Some(Copy::Free(path, stat, kind)) => self.adopt(slot, &path, &stat, kind),
            Some(Copy::Shipped(upto)) => self.finish_shipped(slot, upto, reason),
            None => self.finish(slot, reason),
        }
    }

    /// The first `upto` bytes of the source's content are another source's now.
    fn finish_shipped(&mut self, slot: Slot, upto: u64, reason: GapReason) {
        let entry = self.table.get(slot);
        let from = upto.max(entry.position.offset);
        self.gap(slot, from, entry.known.saturating_sub(from), reason);
        self.table.change(slot, |entry| entry.known = entry.position.offset);
        self.finish(slot, reason);
    }

    /// The source goes on in this file.
    pub(super) fn adopt(&mut self, slot: Slot, path: &Path, stat: &Stat, kind: Kind) {
        tracing::info!(source = self.table.get(slot).source.0, path = %path.display(), "source goes on in a copy");
        if let Some(other) = self.table.at_inode(stat.identity)
            && other != slot
        {
            if self.table.get(other).is_minted() {
                // Its inode is this file's now, so its own file is gone.
                self.lost(other);
            } else {
                self.drop_entry(other);
            }
        }
        let (once, now) = (self.once, self.now);
        self.table.change(slot, |entry| {
            entry.state = State::Live;
            entry.kind = kind;
            entry.size = stat.size;
            entry.mtime = stat.mtime;
            entry.examined = if kind == Kind::Gzip { 0 } else { entry.position.offset };
            // What was seen of the source stays owed: the copy may be cut short, or not be finished.
            entry.filling = kind == Kind::Plain && stat.size < entry.known;
            entry.end = if once { stat.size } else { u64::MAX };
            entry.grown_at = now;
        });
        self.table.set_identity(slot, stat.identity);
        self.moved(slot, path);
        self.want_reading(slot);
        self.ensure_open(slot);
    }

    /// The new file `new` is the continuation of `old`.
    pub(super) fn continue_with(&mut self, old: Slot, new: Slot) {
        let entry = self.table.get(new);
        if entry.state == State::Nameless {
            return self.continue_with_nameless(old, new);
        }
        let place = entry.place().to_path_buf();
        let (kind, identity) = (entry.kind, entry.identity);
        match Stat::of(&place) {
            Ok(stat) if stat.identity.may_be(identity) => self.adopt(old, &place, &stat, kind),
            _ => self.looks.at(&mut self.table, new, self.now + 20),
        }
    }

    /// As [`FileSource::continue_with`] where `new` has lost its name: the descriptor is all there is of it.
    fn continue_with_nameless(&mut self, old: Slot, new: Slot) {
        let entry = self.table.get_mut(new);
        let (kind, identity, size, mtime) = (entry.kind, entry.identity, entry.size, entry.mtime);
        let Some(open) = entry.open.take() else { return self.lost(new) };
        self.drop_entry(new);
        self.nameless.retain(|slot| *slot != new);
        let (once, now) = (self.once, self.now);
        self.table.change(old, |entry| {
            entry.state = State::Nameless;
            entry.kind = kind;
            entry.size = size;
            entry.mtime = mtime;
            entry.examined = if kind == Kind::Gzip { 0 } else { entry.position.offset };
            entry.end = if once { size } else { u64::MAX };
            entry.grown_at = now;
            entry.open = Some(open);
        });
        self.table.set_identity(old, identity);
        self.nameless.push(old);
        self.want_reading(old);
        self.looks.at(&mut self.table, old, now);
        self.mark(old);
    }

    /// The likeliest file of the folder that holds what was shipped of the source, and what follows: one that has
    /// all that was seen, if there is one.
    fn copy_of(&mut self, slot: Slot) -> Option<Copy> {
        let entry = self.table.get(slot);
        if entry.kind != Kind::Plain || entry.head.len == 0 {
            return None;
        }
        let (mut free, mut shipped): (Option<Copy>, Option<u64>) = (None, None);
        let owes = entry.owed() > 0;
        for (path, stat) in self.files_beside(slot) {
            let same = |other: &Slot| self.table.get(*other).identity.may_be(stat.identity);
            let follower = self.table.at_inode(stat.identity).filter(same);
            if follower == Some(slot) {
                continue;
            }
            let decided = follower.is_some_and(|other| self.table.get(other).is_minted());
            let entry = self.table.get(slot);
            let older = stat.mtime < entry.mtime;
            if older || (decided && !owes) || !entry.is_evident(&path) {
                continue;
            }
            let Some(kind) = self.holds_content(&path, &stat, slot) else { continue };
            let upto = if kind == Kind::Plain { stat.size } else { u64::MAX };
            if decided {
                shipped = shipped.max(Some(upto));
            } else if upto >= entry.known {
                return Some(Copy::Free(path, stat, kind));
            } else if free.is_none() {
                free = Some(Copy::Free(path, stat, kind));
            }
        }
        free.or(shipped.map(Copy::Shipped))
    }

    /// Files of the source's folder, those first whose names are most like its own.
    fn files_beside(&self, slot: Slot) -> Vec<(PathBuf, Stat)> {
        let entry = self.table.get(slot);
        let Some(folder) = entry.place().parent() else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_by_cached_key(|path| (usize::MAX - common_prefix(path, &entry.path), path.clone()));
        paths.truncate(MOST_COMPARED);
        let stats = paths.into_iter().filter_map(|path| Stat::of(&path).ok().map(|stat| (path, stat)));
        stats.filter(|(_, stat)| stat.is_file() && stat.size > 0).collect()
    }

    /// The file begins as the source did and has its bytes before the position. Of a compressed file only the
    /// head is compared here, the tail when it is decompressed.
    fn holds_content(&self, path: &Path, stat: &Stat, slot: Slot) -> Option<Kind> {
        let entry = self.table.get(slot);
        let file = Arc::new(open(path).ok()?);
        let head = fingerprint::read_head(&file, stat.size).ok()?;
        if head.starts_with(&gzip::MAGIC) {
            return entry.head.begins(&gzip::head(&file).ok()?.0).then_some(Kind::Gzip);
        }
        let whole = stat.size >= entry.position.offset && entry.head.begins(&head);
        (whole && fingerprint::has_tail(&file, entry.position.offset, entry.tail).ok()?).then_some(Kind::Plain)
    }
}

fn is_compressed(path: &Path) -> bool {
    let head = open(path).and_then(|file: File| fingerprint::read_range(&file, 0, gzip::MAGIC.len()));
    head.is_ok_and(|head| head == gzip::MAGIC)
}
