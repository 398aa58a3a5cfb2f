//! What the rooms ask of the store's thread: a bounded queue.
//!
//! Promises: commits wait while too much is queued, settlements are hardly ever the reason; nothing is taken
//! after the close.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::record::DeadLetter;

use super::{Commit, Settled, StoreError};

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One wish.
pub(super) enum Op {
    Commit {
        pipeline: u32,
        commit: Commit,
        /// CRC32C of each member's bytes, computed on the caller's thread.
        crcs: Vec<u32>,
        /// Dead letters that are owed again by this commit.
        replayed: Vec<u64>,
        receipt: Reply<()>,
    },
    Settle {
        pipeline: u32,
        settled: Vec<Settled>,
        dead: Vec<DeadLetter>,
        receipt: Reply<()>,
    },
    /// The stored bytes of a handed-out member are damaged.
    Harmed {
        pipeline: u32,
        seq: u64,
        member: u16,
    },
    /// All that was read is committed: the pipeline goes back to before what is damaged.
    SetBack {
        pipeline: u32,
        reply: Reply<bool>,
    },
    /// A pipeline that has lost its rows goes on with these.
    BeginAnew {
        pipeline: u32,
        rows: Vec<(u64, Box<[u8]>)>,
        reply: Reply<bool>,
    },
    DropDead {
        pipeline: u32,
        numbers: Vec<u64>,
        reply: Reply<u64>,
    },
}

impl Op {
    fn bytes(&self) -> u64 {
        match self {
            Op::Commit { commit, .. } => {
                let members: usize = commit.members.iter().map(|m| m.gzip.len()).sum();
                let rows: usize = commit.rows.iter().map(|r| 32 + r.value.as_ref().map_or(0, |v| v.len())).sum();
                (members + rows) as u64 + dead_bytes(&commit.dead)
            }
            Op::Settle { dead, .. } => dead_bytes(dead),
            Op::Harmed { .. } | Op::SetBack { .. } | Op::BeginAnew { .. } | Op::DropDead { .. } => 0,
        }
    }
}

fn dead_bytes(dead: &[DeadLetter]) -> u64 {
    dead.iter().map(|d| (d.document.len() + d.reason.len() + 256) as u64).sum()
}

/// Commits wait while more than this is queued.
const BYTES_MAX: u64 = 4 << 20;
const OPS_MAX: usize = 1024;

#[derive(Default)]
struct Queue {
    ops: VecDeque<Op>,
    bytes: u64,
    closing: bool,
    stopped: bool,
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `op`, waiting while the queue is full.
    pub(super) fn put(&self, op: Op) -> Result<(), StoreError> {
        let bytes = op.bytes();
        let mut queue = self.lock();
        loop {
            if queue.closing || queue.stopped {
                return Err(StoreError::Stopped);
            }
            let fits = queue.ops.is_empty() || (queue.bytes + bytes <= BYTES_MAX && queue.ops.len() < OPS_MAX);
            if fits {
                break;
            }
            queue = self.emptied.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.bytes += bytes;
        queue.ops.push_back(op);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// All that is queued, as soon as there is something, and whether this is the end. Waits until `due`.
    pub(super) fn take(&self, due: Option<Instant>) -> (VecDeque<Op>, bool) {
        let mut queue = self.lock();
        while queue.ops.is_empty() && !queue.closing {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            queue = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
        queue.bytes = 0;
        let ops = std::mem::take(&mut queue.ops);
        let closing = queue.closing;
        drop(queue);
        self.emptied.notify_all();
        (ops, closing)
    }

    /// What is queued is still done, nothing more is taken.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_one();
        self.emptied.notify_all();
    }

    /// The thread is gone: what is queued is dropped.
    pub(super) fn stop(&self) {
        let mut queue = self.lock();
        queue.stopped = true;
        queue.ops.clear();
        drop(queue);
        self.emptied.notify_all();
    }
}
