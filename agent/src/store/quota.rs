//! What a pipeline may still commit, and how much of the disk is left.
//!
//! The disk's limits: below `min_free_bytes` reading stops (`Room::DiskFull`) while shipping goes on. The
//! ballast is a reserved file that is given up when even a settlement can't be written, or before sled is
//! opened on a full disk; reading resumes only after it was made again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plan::WhenFull;

use super::Room;
use super::fs::Fs;
use super::lanes::{PipelineState, State};

/// sled is neither opened nor written with less than this free.
pub(super) const SLED_FREE_MIN: u64 = 32 << 20;

/// Whether `pipeline` may commit more input.
pub(super) fn room(state: &State, pipeline: &PipelineState) -> Room {
    if let Some(why) = pipeline.lost.as_ref().or(pipeline.parked.as_ref()) {
        return Room::Parked(why.clone());
    }
    if state.disk_full {
        return Room::DiskFull;
    }
    let Some(plan) = &pipeline.plan else { return Room::Yes };
    let used = pipeline.live_bytes + pipeline.queued_bytes;
    if plan.when_full == WhenFull::Block && used >= plan.max_bytes { Room::Full } else { Room::Yes }
}

/// True for the errors that mean "no space".
pub(super) fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// The disk below the data directory.
pub(super) struct Space {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    ballast: PathBuf,
    ballast_bytes: u64,
    min_free_bytes: u64,
    has_ballast: bool,
    /// A write failed for want of space since the last time there was enough.
    refused: bool,
}

impl Space {
    pub(super) fn new(fs: Arc<dyn Fs>, root: &Path, ballast_bytes: u64, min_free_bytes: u64) -> Space {
        let ballast = root.join("ballast");
        let found = fs.open(&ballast).and_then(|disk| disk.len());
        let has_ballast = ballast_bytes == 0 || found.is_ok_and(|len| len >= ballast_bytes);
        Space { fs, root: root.to_path_buf(), ballast, ballast_bytes, min_free_bytes, has_ballast, refused: false }
    }

    /// Bytes free; plenty if the file system can't say.
    pub(super) fn free(&self) -> u64 {
        self.fs.free_bytes(&self.root).unwrap_or(u64::MAX)
    }

    /// Gives up the ballast. False: there is none.
    pub(super) fn drop_ballast(&mut self) -> bool {
        let had = self.has_ballast && self.ballast_bytes > 0;
        self.has_ballast = self.ballast_bytes == 0;
        had && self.fs.unlink(&self.ballast).is_ok()
    }

    /// Notes that a write met a full disk.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether the disk is full for new input. Makes the ballast again when there is room for it.
    pub(super) fn is_full(&mut self) -> bool {
        let mut free = self.free();
        if !self.has_ballast && free >= self.min_free_bytes.saturating_add(self.ballast_bytes) {
            match self.make_ballast() {
                Ok(()) => free = self.free(),
                Err(_) => return true,
            }
        }
        let full = !self.has_ballast || free < self.min_free_bytes || (self.refused && free == 0);
        self.refused &= full;
        full
    }

    fn make_ballast(&mut self) -> io::Result<()> {
        let made = self.fs.create(&self.ballast).and_then(|disk| {
            disk.allocate(self.ballast_bytes)?;
            disk.sync()
        });
        if let Err(error) = made {
            if let Err(left) = self.fs.unlink(&self.ballast) {
                tracing::debug!(%left, "the unfinished ballast can't be removed");
            }
            return Err(error);
        }
        self.has_ballast = true;
        Ok(())
    }
}
