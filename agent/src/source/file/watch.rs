//! File events: they tell at once of new, renamed and deleted files, and that an idle file has grown.
//!
//! Only a hint: everything is also found by listing folders and looking at sizes, so where watching is
//! impossible (no watches left, a network file system) nothing is lost but time. Events of data in files that
//! are looked at often anyway are dropped as early as notify lets us.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{EventKind, ModifyKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::stat::is_remote;
use super::table;
use crate::source::Waker;

/// More changed paths than this in one look, and everything is listed again instead.
const MOST_PATHS: usize = 16_384;

/// The kernel's events of a set of folders.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    inbox: Arc<Mutex<Inbox>>,
    watched: HashSet<PathBuf>,
}

/// What has happened since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Names that came, went or were moved.
    pub(super) names: HashSet<PathBuf>,
    /// Files whose content changed.
    pub(super) grown: HashSet<PathBuf>,
    /// Events were lost: anything may have happened.
    pub(super) rescan: bool,
}

#[derive(Debug, Default)]
struct Inbox {
    changes: Changes,
    /// Hashes of the places of files that are looked at often: nobody needs to be told that they grow.
    active: HashSet<u64>,
}

impl Watch {
    /// `wanted` is false where the job says so. A watcher that can't be had is logged once and done without.
    pub(super) fn open(wanted: bool, waker: Waker) -> Watch {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let mut watch = Watch { watcher: None, inbox: Arc::clone(&inbox), watched: HashSet::new() };
        if !wanted {
            return watch;
        }
        let opened = RecommendedWatcher::new(
            move |event| {
                if lock(&inbox).put(event) {
                    waker.wake();
                }
            },
            notify::Config::default(),
        );
        match opened {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => tracing::warn!(%error, "no file events: folders are listed on a timer alone"),
        }
        watch
    }

    pub(super) fn folder(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.watched.contains(folder) || is_remote(folder) {
            return;
        }
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.to_path_buf());
            }
            Err(error) => match &error.kind {
                ErrorKind::PathNotFound => {}
                ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::NotFound => {}
                _ => {
                    // No watches left, or none to be had: half a watch would only look like a whole one.
                    tracing::warn!(%error, folder = %folder.display(), "no file events: folders are listed on a timer alone");
                    self.watcher = None;
                    self.watched.clear();
                }
            },
        }
    }

    /// The folder is gone; its watch ended with it.
    pub(super) fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder)
            && let Some(watcher) = &mut self.watcher
            && let Err(error) = watcher.unwatch(folder)
        {
            tracing::debug!(%error, folder = %folder.display(), "the folder's watch had ended");
        }
    }

    pub(super) fn is_watching(&self, folder: &Path) -> bool {
        self.watched.contains(folder)
    }

    /// Whether data events of the file at `place` are wanted.
    pub(super) fn listen(&self, place: &Path, wanted: bool) {
        if self.watcher.is_none() {
            return;
        }
        let mut inbox = lock(&self.inbox);
        if wanted {
            inbox.active.remove(&table::hash(place));
            // A first scan makes every file active once.
            if inbox.active.len() < inbox.active.capacity() / 8 {
                inbox.active.shrink_to_fit();
            }
        } else {
            inbox.active.insert(table::hash(place));
        }
    }

    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut lock(&self.inbox).changes)
    }
}

impl Inbox {
    /// True if somebody should have a look.
    fn put(&mut self, event: notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else {
            self.changes.rescan = true;
            return true;
        };
        if event.need_rescan() {
            self.changes.rescan = true;
            return true;
        }
        let into = match event.kind {
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_) | ModifyKind::Any) => {
                if event.paths.iter().all(|path| self.active.contains(&table::hash(path))) {
                    return false;
                }
                &mut self.changes.grown
            }
            _ => &mut self.changes.names,
        };
        if into.len() + event.paths.len() > MOST_PATHS {
            into.clear();
            self.changes.rescan = true;
            return true;
        }
        let known = into.len();
        into.extend(event.paths);
        into.len() > known
    }
}

/// A panic can't leave the inbox worse than a lost event would, so poison is passed over.
fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}
