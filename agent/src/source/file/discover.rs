//! Finds files: lists folders where something may have changed, and enters new ones at once.
//!
//! A folder whose modification time has not moved since it was listed has the same names as then, so a rescan
//! of idle folders costs one `stat` each; every tenth rescan lists everything all the same.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::FileSource;
use super::stat::Stat;
use super::table::Slot;
use super::tracked::State;
use crate::record::Timestamp;

/// Two changes within this may leave the same modification time.
const GRAIN_NS: i64 = 100_000_000;
/// So many things that are no files are named in the log.
const MOST_SAID: usize = 1000;

/// What is known of the folders that were listed.
#[derive(Debug, Default)]
pub(super) struct Folders {
    known: HashMap<PathBuf, Folder>,
    /// What has a wanted name and is no file.
    pub(super) no_files: HashSet<PathBuf>,
    rescans: u64,
}

#[derive(Debug, Default)]
struct Folder {
    mtime: i64,
    /// Listed late enough after `mtime` to have seen everything that it stands for.
    settled: bool,
    below: Vec<PathBuf>,
}

/// Files that are being looked for, by inode.
pub(super) type Sought = HashMap<u64, Slot>;

impl FileSource {
    /// Looks through every folder; `all`: also those that seem unchanged.
    pub(super) fn scan(&mut self, all: bool) {
        self.folders.rescans += 1;
        let all = all || self.folders.rescans.is_multiple_of(10);
        let mut seen = HashSet::new();
        let roots: Vec<PathBuf> = self.globs.roots().map(Path::to_path_buf).collect();
        for root in roots {
            self.walk(&root, all, &mut seen);
        }
    }

    /// Looks through one folder and those below it.
    pub(super) fn walk(&mut self, folder: &Path, all: bool, seen: &mut HashSet<(u64, u64)>) {
        let mut waiting = vec![folder.to_path_buf()];
        while let Some(folder) = waiting.pop() {
            let stat = match Stat::of(&folder) {
                Ok(stat) if stat.is_folder() => stat,
                _ => {
                    self.missing_folder(&folder);
                    continue;
                }
            };
            // Links may lead in circles.
            if !seen.insert((stat.identity.dev, stat.identity.ino)) {
                continue;
            }
            match self.folders.known.get(&folder) {
                Some(known) if !all && known.settled && known.mtime == stat.mtime => {
                    waiting.extend(known.below.iter().cloned());
                }
                _ => waiting.extend(self.list(&folder, stat.mtime, &Sought::new())),
            }
        }
    }

    /// Lists one folder, follows what is new in it and finds files of `sought`. Gives the folders to enter.
    pub(super) fn list(&mut self, folder: &Path, mtime: i64, sought: &Sought) -> Vec<PathBuf> {
        // Watched first: what comes between the two is seen twice, not missed.
        self.watch.folder(folder);
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, folder = %folder.display(), "folder can't be listed");
                return Vec::new();
            }
        };
        let listed_at = Timestamp::now().0 * 1_000_000;
        let mut below = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if self.globs.descends(&path) {
                    below.push(path);
                }
            } else if kind.is_symlink() {
                if Stat::of(&path).is_ok_and(|stat| stat.is_folder()) {
                    if self.globs.descends(&path) {
                        below.push(path);
                    }
                } else {
                    self.name_seen(&path);
                }
            } else if kind.is_file() {
                if sought.contains_key(&entry.ino()) {
                    self.name_seen(&path);
                } else {
                    self.entry_seen(&path, entry.ino());
                }
            } else {
                self.name_seen(&path);
            }
        }
        let settled = mtime + GRAIN_NS < listed_at;
        self.folders.known.insert(folder.to_path_buf(), Folder { mtime, settled, below: below.clone() });
        below
    }

    /// A plain file in a listing: most are followed already and need no further look.
    fn entry_seen(&mut self, path: &Path, ino: u64) {
        if let Some(slot) = self.table.at_place(path)
            && self.table.get(slot).identity.ino == ino
            && self.table.get(slot).state != State::Stored
        {
            // Without events nobody else tells that the number was given to a new file.
            if !path.parent().is_some_and(|folder| self.watch.is_watching(folder)) {
                self.looks.by(&mut self.table, slot, self.now);
            }
            return;
        }
        if self.globs.wants(path) {
            self.name_seen(path);
        }
    }

    /// Something may have happened to the name `path`: it came, went or changed hands.
    pub(super) fn name_seen(&mut self, path: &Path) {
        if let Some(slot) = self.table.at_place(path) {
            self.looks.by(&mut self.table, slot, self.now);
        }
        match Stat::of(path) {
            Ok(stat) if stat.is_file() => self.found(path, &stat),
            Ok(stat) if stat.is_folder() => {
                if self.globs.descends(path) {
                    self.walk(path, true, &mut HashSet::new());
                }
            }
            Ok(stat) => self.no_file(path, stat.kind),
            Err(_) => {
                if self.folders.known.contains_key(path) {
                    self.missing_folder(path);
                }
            }
        }
    }

    /// A pipe, a socket or a device has a wanted name: it is left alone, which is said once.
    fn no_file(&mut self, path: &Path, kind: FileType) {
        if self.globs.wants(path)
            && self.folders.no_files.len() < MOST_SAID
            && self.folders.no_files.insert(path.into())
        {
            tracing::warn!(path = %path.display(), ?kind, "not a file: it is not followed");
        }
    }

    /// The nearest folder above is watched, so that its coming is heard of.
    fn missing_folder(&mut self, folder: &Path) {
        self.folders.known.remove(folder);
        self.watch.forget(folder);
        if let Some(above) = folder.ancestors().skip(1).find(|above| above.is_dir()) {
            self.watch.folder(above);
        }
    }
}
