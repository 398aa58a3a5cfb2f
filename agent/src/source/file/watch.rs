//! File events: they tell at once of new, renamed and deleted files, and that an idle file has grown.
//!
//! Only a hint: everything is also found by listing folders and looking at sizes, so where watching is
//! impossible (no watches left, a network file system) nothing is lost but time. Events of data in files that
//! are looked at often anyway are dropped as early as notify lets us.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{EventKind, ModifyKind, RenameMode};
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
    /// Files that changed; true: their content did.
    pub(super) grown: HashMap<PathBuf, bool>,
    /// Names that went; true: the content of what they led to had changed. What is in `grown` as well came later.
    pub(super) ended: HashMap<PathBuf, bool>,
    /// Events were lost: anything may have happened.
    pub(super) rescan: bool,
}

#[derive(Debug, Default)]
struct Inbox {
    changes: Changes,
    /// Hashes of the places of files that are held open and looked at often: nobody needs to be told that they grow.
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

    /// Whether there are any events at all.
    pub(super) fn has_events(&self) -> bool {
        self.watcher.is_some()
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
        let Changes { names, grown, ended, rescan } = &mut self.changes;
        let known = names.len() + grown.len();
        if known + event.paths.len() > MOST_PATHS {
            (*names, *grown, *ended, *rescan) = (HashSet::new(), HashMap::new(), HashMap::new(), true);
            return true;
        }
        match event.kind {
            EventKind::Access(_) => return false,
            EventKind::Modify(kind @ (ModifyKind::Data(_) | ModifyKind::Metadata(_) | ModifyKind::Any)) => {
                let content = !matches!(kind, ModifyKind::Metadata(_));
                for path in event.paths.into_iter().filter(|path| !self.active.contains(&table::hash(path))) {
                    *grown.entry(path).or_default() |= content;
                }
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                for path in event.paths {
                    let written = grown.remove(&path).unwrap_or(false);
                    *ended.entry(path.clone()).or_default() |= written;
                    names.insert(path);
                }
                return true;
            }
            _ => names.extend(event.paths),
        }
        names.len() + grown.len() > known
    }
}

/// A panic can't leave the inbox worse than a lost event would, so poison is passed over.
fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}
