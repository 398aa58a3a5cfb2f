//! The store: one log of commits in segment files, and sled as its materialised view.
//!
//! Promises: a commit is durable whole or not at all; nothing is handed out before it is durable; what is
//! settled is not handed out again, and its space is given back; after a kill, a power cut, a full disk or a
//! damaged file the store opens and says what is missing. It does not read what it stores, and does not know
//! Elasticsearch.

mod base;
mod bytes;
mod commit;
mod dead_letters;
mod frame;
mod fs;
mod identity;
mod inbox;
mod lanes;
mod ledger;
mod open;
mod quota;
mod recover;
mod recover_damage;
mod recover_rows;
mod retain;
mod segment;
mod set_back;
mod steps;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use frame::Counters;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dead_letters::DeadLog;
use fs::Fs;
use identity::{Dirs, io_error};
use inbox::{Inbox, Op};
use lanes::{Next, State};
use tokio::sync::oneshot;

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
    /// What a row becomes when a pipeline is set back behind damage.
    pub(crate) rewind: Rewind,
}

/// (key, the row before the damage, the latest known) → the row to go on with. It sees to it that what is read
/// again gets the same ids, and that nothing else does.
pub(crate) type Rewind = fn(u64, Option<&[u8]>, &[u8]) -> Option<Box<[u8]>>;

/// Why a store can't be opened or can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    #[error("{0} is in use by another splashdam process")]
    Locked(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error(
        "the data directory {} was written by a newer version of splashdam (its format is {found}, this version knows \
         those up to {known}). Nothing in it was changed: install the newer version again, and all goes on. (In \
         another data directory this version would ship everything anew, as new documents.)",
        dir.display()
    )]
    Newer { dir: PathBuf, found: u32, known: u32 },
    /// The stored bytes of this request are damaged; its pipeline is to be set back.
    #[error("stored request {seq}/{member} is damaged")]
    Damaged { seq: u64, member: u16 },
    /// Nothing of the step was kept; what it would have settled stays owed.
    #[error("the dead letters of {pipeline} use all of their {max_bytes} bytes: replay or drop some")]
    DeadLettersFull { pipeline: String, max_bytes: u64 },
    #[error("the data directory {0} was removed or replaced while it was in use: what it held is lost")]
    Gone(PathBuf),
    #[error("the store has stopped")]
    Stopped,
}

/// The lane of members that a pipeline keeps for itself, to read them when it is opened again: a query's state. They
/// are no requests, are not counted as owed, and stay until the pipeline settles them. (No index has such a name.)
pub(crate) const STATE_LANE: &str = "#state";

/// Compressed bytes of members that are owed to somebody; a query's state is not.
fn owed_bytes_of(members: &[Member]) -> u64 {
    members.iter().filter(|member| *member.index != *STATE_LANE).map(|member| member.gzip.len() as u64).sum()
}

/// The open store. Cheap to clone; the last clone does not close it, [`Store::close`] does.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

/// One atomic step of a pipeline: all of it becomes durable or nothing.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) members: Vec<Member>,
    pub(crate) rows: Vec<Row>,
    pub(crate) dead: Vec<DeadLetter>,
}

/// Resolves (by `.await` or [`wait`]) when the step is behind the durable frontier.
pub(crate) type Receipt = oneshot::Receiver<Result<(), StoreError>>;

/// Waits for what the store's thread answers. Blocking.
///
/// # Errors
/// The answer, or that the store has stopped.
pub(crate) fn wait<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.blocking_recv().unwrap_or(Err(StoreError::Stopped))
}

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

/// One pipeline's door to the store. Cheap to clone; every clone hears of every change.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    number: u32,
    /// The change that [`Pipeline::changed`] told of last.
    seen: AtomicU64,
}

/// What the store's thread and its callers have in common.
struct Shared {
    options: Options,
    dirs: Dirs,
    fs: Arc<dyn Fs>,
    agent_id: Arc<str>,
    state: Mutex<State>,
    dead: Mutex<DeadLog>,
    inbox: Inbox,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dead(&self) -> MutexGuard<'_, DeadLog> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.notify_all();
    }

    /// Waits until the thread has ended. False: it has not within that time.
    fn wait(&self, within: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.end.wait_timeout_while(ended, within, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Store {
    /// Opens or makes the store in `options.dir` (blocking), recovers, and starts the store's thread.
    pub(crate) fn open(options: Options) -> Result<Store, StoreError> {
        open::open(options, Arc::new(fs::OsFs))
    }

    /// `[a-z0-9]{10}` unless the config says otherwise.
    pub(crate) fn agent_id(&self) -> Arc<str> {
        self.shared.agent_id.clone()
    }

    /// The door of pipeline `id`; what an earlier process left behind is behind it.
    pub(crate) fn pipeline(&self, id: &str, buffer: &BufferPlan) -> Result<Pipeline, StoreError> {
        let mut state = self.shared.state();
        if state.stopped {
            return Err(StoreError::Stopped);
        }
        let number = state.pipeline(id);
        if let Some(pipeline) = state.of(number) {
            pipeline.plan = Some(buffer.clone());
        }
        drop(state);
        Ok(Pipeline { shared: self.shared.clone(), number, seen: AtomicU64::new(0) })
    }

    /// Pipelines that have something owed or remembered, whether a job runs for them or not.
    pub(crate) fn pipelines(&self) -> Vec<String> {
        let dead = self.shared.dead();
        let state = self.shared.state();
        let numbered = state.pipelines.iter().zip(0..);
        let kept = numbered.filter(|(p, n)| p.live_bytes > 0 || !p.rows.is_empty() || dead.bytes(*n) > 0);
        kept.map(|(p, _)| p.name.to_string()).collect()
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.shared.state();
        let mut degraded: Vec<String> = state.notes.values().chain(&state.damage).cloned().collect();
        if state.disk_full {
            degraded.push(format!("the disk is full: {}", self.shared.dirs.root.display()));
        }
        let disk_bytes = state.segments.values().map(|s| s.bytes).sum();
        Health { degraded, segments: state.segments.len() as u64, disk_bytes }
    }

    /// Why the store has stopped by itself, if it has. Nothing that waits for it goes on.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.state().failure.clone()
    }

    /// Syncs what was committed, applies it to sled, ends the thread. Blocking, at most `within`.
    pub(crate) fn close(&self, within: Duration) -> Result<(), StoreError> {
        self.shared.inbox.close();
        if !self.shared.wait(within) {
            return Err(io_error(&self.shared.dirs.root)(std::io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }
}

impl Clone for Pipeline {
    fn clone(&self) -> Pipeline {
        let seen = AtomicU64::new(self.seen.load(Ordering::Relaxed));
        Pipeline { shared: self.shared.clone(), number: self.number, seen }
    }
}

impl Pipeline {
    /// The pipeline's rows as the last commit left them.
    pub(crate) fn rows(&self) -> Vec<(u64, Box<[u8]>)> {
        let mut state = self.shared.state();
        let rows = state.of(self.number).map(|p| p.rows.iter().map(|(k, v)| (*k, v.clone())).collect());
        rows.unwrap_or_default()
    }

    /// Hands a step to the store's thread. Waits only while its (bounded) channel is full. A step that finds the
    /// disk or the dead letters full waits in the store, with those behind it, until there is room.
    pub(crate) fn commit(&self, commit: Commit) -> Result<Receipt, StoreError> {
        self.commit_replay(commit, Vec::new())
    }

    fn commit_replay(&self, commit: Commit, replayed: Vec<u64>) -> Result<Receipt, StoreError> {
        let crcs = commit.members.iter().map(|m| crc32c::crc32c(&m.gzip)).collect();
        let bytes = owed_bytes_of(&commit.members);
        if let Some(pipeline) = self.shared.state().of(self.number) {
            pipeline.queued_bytes += bytes;
        }
        let (receipt, receiver) = oneshot::channel();
        self.shared.inbox.put(Op::Commit { pipeline: self.number, commit, crcs, replayed, receipt })?;
        Ok(receiver)
    }

    pub(crate) fn room(&self) -> Room {
        let state = self.shared.state();
        state.pipelines.get(self.number as usize).map_or(Room::Yes, |pipeline| quota::room(&state, pipeline))
    }

    /// Live bytes of this pipeline.
    pub(crate) fn owed_bytes(&self) -> u64 {
        self.shared.state().of(self.number).map_or(0, |p| p.live_bytes + p.queued_bytes)
    }

    /// What was dropped and quarantined since the data directory was made.
    pub(crate) fn counters(&self) -> Counters {
        self.shared.state().of(self.number).map(|p| p.counters).unwrap_or_default()
    }

    /// Lanes with something durable and owed, in flight or not.
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        self.shared.state().lanes_of(self.number)
    }

    /// The oldest durable members of a lane that are not handed out, in order, as many as fit `limit` (at
    /// least one). They are handed out until settled or given back. Blocking: reads a segment's index (at most
    /// 700 KB) when the lane comes to a segment that was sealed long ago.
    pub(crate) fn next(&self, index: &str, limit: Limit) -> Result<Vec<Owed>, StoreError> {
        loop {
            // Bound first: the lock must be free again when the index is read.
            let next = self.shared.state().next(self.number, index, limit);
            match next {
                Next::Owed(owed) => return Ok(owed),
                Next::Load(segment, trailer) => self.shared.load((segment, trailer))?,
            }
        }
    }

    /// The same where a thread must not wait for a file. `None`: a segment's index must be read first, so ask
    /// [`Pipeline::next`] on another thread.
    pub(crate) fn next_at_hand(&self, index: &str, limit: Limit) -> Option<Vec<Owed>> {
        match self.shared.state().next(self.number, index, limit) {
            Next::Owed(owed) => Some(owed),
            Next::Load(..) => None,
        }
    }

    /// The gzip bytes of a member that is handed out, checked. Blocking: not for an async thread.
    ///
    /// # Errors
    /// `Damaged`: the member was set aside, and is not handed out again; see [`Pipeline::set_back`]. (One of
    /// [`STATE_LANE`] stays: what is behind it means nothing without it.)
    pub(crate) fn read(&self, owed: &Owed) -> Result<Vec<u8>, StoreError> {
        self.shared.read(self.number, owed)
    }

    /// Members were found that can't be read: whoever commits should set the pipeline back.
    pub(crate) fn is_damaged(&self) -> bool {
        self.shared.state().of(self.number).is_some_and(|p| !p.harmed.is_empty())
    }

    /// Goes back to before what can't be read, or counts it where that is not possible; then it is not owed any
    /// more. True: [`Pipeline::rows`] are others now, and the source goes on from them. Everything that was read
    /// must be committed before. Blocking until durable.
    ///
    /// # Errors
    /// The rows could not be read or kept; everything is as it was, and can be tried again.
    pub(crate) fn set_back(&self) -> Result<bool, StoreError> {
        self.ask(|reply| Op::SetBack { pipeline: self.number, reply })
    }

    /// Lets a pipeline go on with `rows` that has lost its own. False: it has not, and keeps them. Blocking until
    /// durable.
    ///
    /// # Errors
    /// The rows could not be kept; everything is as it was.
    pub(crate) fn begin_anew(&self, rows: Vec<(u64, Box<[u8]>)>) -> Result<bool, StoreError> {
        self.ask(|reply| Op::BeginAnew { pipeline: self.number, rows, reply })
    }

    /// Back to where they were in the lane, for another try.
    pub(crate) fn give_back(&self, owed: Vec<Owed>) {
        let mut state = self.shared.state();
        owed.iter().for_each(|o| state.land(o.seq, o.member));
        state.notify(self.number);
    }

    /// All that is handed out goes back into its lane: for who takes the pipeline over from a former run in the same
    /// process that has ended. (What was found damaged stays with [`Pipeline::set_back`].)
    pub(crate) fn reclaim(&self) {
        let mut state = self.shared.state();
        state.reclaim(self.number);
        state.notify(self.number);
    }

    /// Records what became of handed-out members, dead letters first. Members with `still_owed` go back into
    /// the lane as well (marked sent). Waits only while the channel is full. If the receipt brings an error
    /// (`DeadLettersFull`, or `Io` on a full disk) everything stays owed as it was and can be taken again: the
    /// lane should rest before it tries.
    pub(crate) fn settle(&self, settled: Vec<Settled>, dead: Vec<DeadLetter>) -> Result<Receipt, StoreError> {
        let (receipt, receiver) = oneshot::channel();
        self.shared.inbox.put(Op::Settle { pipeline: self.number, settled, dead, receipt })?;
        Ok(receiver)
    }

    /// All commits up to this one are durable, whoever made them.
    pub(crate) fn frontier(&self) -> u64 {
        self.shared.state().frontier
    }

    /// Of no commit before this one anything is owed any more; the commit itself may be one that owes something (or,
    /// where nothing is owed, one that is not durable yet).
    pub(crate) fn owed_from(&self) -> u64 {
        self.shared.state().owed_from(self.number)
    }

    /// Waits until something new is owed or room has come back since the last call.
    pub(crate) async fn changed(&self) {
        let changes = self.shared.state().of(self.number).map(|p| p.changes.subscribe());
        let Some(mut changes) = changes else { return };
        let seen = self.seen.load(Ordering::Relaxed);
        if let Ok(now) = changes.wait_for(|n| *n != seen).await {
            self.seen.store(*now, Ordering::Relaxed);
        }
    }

    /// The number of dead letters and their bytes on disk.
    pub(crate) fn dead_letter_count(&self) -> (u64, u64) {
        let dead = self.shared.dead();
        (dead.count(self.number), dead.bytes(self.number))
    }

    /// Dead letters in order of arrival, with a number each (stable until dropped). Blocking.
    pub(crate) fn dead_letters(&self, from: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        self.shared.dead().list(self.number, from, limit).map_err(io_error(&self.shared.dirs.dead))
    }

    /// Forgets dead letters. Blocking until durable.
    pub(crate) fn drop_dead_letters(&self, numbers: &[u64]) -> Result<u64, StoreError> {
        self.ask(|reply| Op::DropDead { pipeline: self.number, numbers: numbers.to_vec(), reply })
    }

    /// Owes dead letters again (as `sent_before` members) and forgets them, in one commit. Blocking until
    /// durable. Letters without a document to send are left alone; says how many were replayed.
    pub(crate) fn replay_dead_letters(&self, numbers: &[u64]) -> Result<u64, StoreError> {
        let dead = self.shared.dirs.dead.clone();
        let mut letters = Vec::with_capacity(numbers.len());
        for number in numbers {
            let listed = self.shared.dead().list(self.number, *number, 1).map_err(io_error(&dead))?;
            letters.extend(listed.into_iter().filter(|(n, letter)| n == number && !letter.action.is_empty()));
        }
        letters.sort_unstable_by_key(|(number, _)| *number);
        letters.dedup_by_key(|(number, _)| *number);
        if letters.is_empty() {
            return Ok(0);
        }
        let replayed: Vec<u64> = letters.iter().map(|(number, _)| *number).collect();
        let count = replayed.len() as u64;
        let members = dead_letters::members(letters.into_iter().map(|(_, letter)| letter)).map_err(io_error(&dead))?;
        wait(self.commit_replay(Commit { members, ..Commit::default() }, replayed)?)?;
        Ok(count)
    }

    /// Has the store's thread do something and waits for the answer.
    fn ask<T>(&self, op: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Op) -> Result<T, StoreError> {
        let (reply, receiver) = oneshot::channel();
        self.shared.inbox.put(op(reply))?;
        wait(receiver)
    }
}

#[cfg(test)]
pub(crate) use tests::{open_on, sim};
