//! The store: one log of commits in segment files, and sled as its materialised view.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BufferPlan, Durability};
use crate::record::{Bitmap, DeadLetter, Member, Row};

/// How to open a store.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    /// A segment is sealed when it has so many bytes (64 MiB).
    pub(crate) segment_bytes: u64,
    /// Reading stops while the file system has less free than this.
    pub(crate) min_free_bytes: u64,
    /// Size of the ballast file (64 MiB).
    pub(crate) ballast_bytes: u64,
    /// The agent id set in the config; else a random one, made with the data directory.
    pub(crate) agent_id: Option<String>,
    /// What tells this machine from its clone (e.g. the text of /etc/machine-id).
    pub(crate) machine: String,
}

/// Why a store can't be opened or can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    #[error("{0} is in use by another splashdam process")]
    Locked(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{0} was written by a newer version of splashdam")]
    Version(PathBuf),
    /// The stored bytes of this request are damaged; they were quarantined and counted.
    #[error("stored request {seq}/{member} is damaged")]
    Damaged { seq: u64, member: u16 },
    #[error("the store has stopped")]
    Stopped,
}

/// The open store. Cheap to clone; the last clone does not close it, [`Store::close`] does.
#[derive(Clone)]
pub(crate) struct Store {}

/// One atomic step of a pipeline: all of it becomes durable or nothing.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) members: Vec<Member>,
    pub(crate) rows: Vec<Row>,
    pub(crate) dead: Vec<DeadLetter>,
}

/// Resolves (by `.await` or `blocking_recv`) when the step is behind the durable frontier.
pub(crate) type Receipt = tokio::sync::oneshot::Receiver<Result<(), StoreError>>;

/// Whether a pipeline may commit more input now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    /// The pipeline's quota is used up.
    Full,
    /// The disk is (nearly) full; shipping goes on.
    DiskFull,
    /// The pipeline can't go on until an operator decides (the text says why).
    Parked(String),
}

/// One stored member with documents still owed.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) seq: u64,
    pub(crate) member: u16,
    /// Items in the stored member, owed or not.
    pub(crate) items: u32,
    pub(crate) raw_len: u32,
    pub(crate) gzip_len: u32,
    /// Which items are still owed. `None`: all.
    pub(crate) owed: Option<Bitmap>,
    /// It may have been sent before (by an earlier process, or it is a replay).
    pub(crate) sent_before: bool,
    /// Where it lies now; the store may move it, so ask [`Pipeline::read`], not the disk.
    pub(crate) place: Place,
}

/// (segment number, byte offset of the gzip bytes)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// What became of a member that was handed out.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) seq: u64,
    pub(crate) member: u16,
    /// What is still owed of it. `None`: nothing, it is done.
    pub(crate) still_owed: Option<Bitmap>,
}

/// What a lane owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) index: Arc<str>,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

/// What one `next` may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) raw_bytes: u64,
    pub(crate) wire_bytes: u64,
}

/// What the store says of itself to an operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// Empty: well. Else one line per thing someone must know (quarantined segments, rebuilt view, full disk).
    pub(crate) degraded: Vec<String>,
    pub(crate) segments: u64,
    pub(crate) disk_bytes: u64,
}

/// One pipeline's door to the store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pipeline {}

impl Store {
    /// Opens or makes the store in `options.dir` (blocking), recovers, and starts the store's thread.
    pub(crate) fn open(_options: Options) -> Result<Store, StoreError> {
        unimplemented!()
    }
    /// `[a-z0-9]{10}` unless the config says otherwise.
    pub(crate) fn agent_id(&self) -> Arc<str> {
        unimplemented!()
    }
    /// The door of pipeline `id`; what an earlier process left behind is behind it.
    pub(crate) fn pipeline(&self, _id: &str, _buffer: &BufferPlan) -> Result<Pipeline, StoreError> {
        unimplemented!()
    }
    /// Pipelines that have something owed or remembered, whether a job runs for them or not.
    pub(crate) fn pipelines(&self) -> Vec<String> {
        unimplemented!()
    }
    pub(crate) fn health(&self) -> Health {
        unimplemented!()
    }
    /// Syncs what was committed, applies it to sled, ends the thread. Blocking, at most `within`.
    pub(crate) fn close(&self, _within: Duration) -> Result<(), StoreError> {
        unimplemented!()
    }
}

impl Pipeline {
    /// The pipeline's rows as the last commit left them.
    pub(crate) fn rows(&self) -> Vec<(u64, Box<[u8]>)> {
        unimplemented!()
    }
    /// Hands a step to the store's thread. Waits only while its (bounded) channel is full.
    pub(crate) fn commit(&self, _commit: Commit) -> Result<Receipt, StoreError> {
        unimplemented!()
    }
    pub(crate) fn room(&self) -> Room {
        unimplemented!()
    }
    /// Live bytes of this pipeline.
    pub(crate) fn owed_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Lanes with something durable and owed, in flight or not.
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        unimplemented!()
    }
    /// The oldest durable members of a lane that are not handed out, in order, as many as fit `limit` (at
    /// least one). They are handed out until settled or given back.
    pub(crate) fn next(&self, _index: &str, _limit: Limit) -> Vec<Owed> {
        unimplemented!()
    }
    /// The gzip bytes of a member, checked. Blocking: not for an async thread.
    pub(crate) fn read(&self, _owed: &Owed) -> Result<Vec<u8>, StoreError> {
        unimplemented!()
    }
    /// Back to where they were in the lane, for another try.
    pub(crate) fn give_back(&self, _owed: Vec<Owed>) {
        unimplemented!()
    }
    /// Records what became of handed-out members, dead letters first. Members with `still_owed` go back into
    /// the lane as well (marked sent). Waits only while the channel is full.
    pub(crate) fn settle(&self, _settled: Vec<Settled>, _dead: Vec<DeadLetter>) -> Result<Receipt, StoreError> {
        unimplemented!()
    }
    /// Waits until something new is owed or room has come back since the last call.
    pub(crate) async fn changed(&self) {
        unimplemented!()
    }
    /// The number of dead letters and their bytes on disk.
    pub(crate) fn dead_letter_count(&self) -> (u64, u64) {
        unimplemented!()
    }
    /// Dead letters in order of arrival, with a number each (stable until dropped). Blocking.
    pub(crate) fn dead_letters(&self, _from: u64, _limit: usize) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        unimplemented!()
    }
    /// Forgets dead letters. Blocking until durable.
    pub(crate) fn drop_dead_letters(&self, _numbers: &[u64]) -> Result<u64, StoreError> {
        unimplemented!()
    }
    /// Owes dead letters again (as `sent_before` members) and forgets them, in one commit. Blocking until durable.
    pub(crate) fn replay_dead_letters(&self, _numbers: &[u64]) -> Result<u64, StoreError> {
        unimplemented!()
    }
}
