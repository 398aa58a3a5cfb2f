//! The first loop: source → decode → encode → commit, on a thread of its own.
//!
//! Promises: batches are committed in the order in which they were read, each with the positions behind it;
//! while there is no room, nothing is read but the source is still looked at (rotation goes on).

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::codec::{Batch, Codec, Encoded, Pool};
use super::notices::Notices;
use crate::metrics::PipelineMetrics;
use crate::record::{Chunk, Refused, Row, Step, Timestamp};
use crate::source::{Source, SourceError, Waker};
use crate::store::{self, Commit, Receipt, Room, StoreError};

/// A batch is handed to the workers when it has so many bytes of lines.
const BATCH_BYTES: usize = 1 << 20;
/// A batch with so many bytes of lines tells how well they compress.
const TELLING_BYTES: usize = 64 << 10;
/// Rows without lines (a rename, a finished file) wait this long for company.
const ROWS_LINGER: Duration = Duration::from_secs(1);
/// How often a full pipeline asks for room.
const ROOM_LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("encoding failed: {0}")]
    Encode(#[from] std::io::Error),
    #[error("the encoding threads have ended")]
    Pool,
}

/// What others may ask of the loop, and what it tells them.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) stop: AtomicBool,
    /// Commit at once what has been gathered.
    pub(super) flush: AtomicBool,
    /// Everything read is durable (the loop has ended, or nothing waits).
    pub(super) settled: AtomicBool,
    pub(super) read: AtomicU64,
    pub(super) total: AtomicU64,
    /// Loop turns: whoever watches for progress compares two readings.
    pub(super) turns: AtomicU64,
    /// What a bounded run could not read.
    pub(super) unreadable: OnceLock<Vec<PathBuf>>,
}

pub(super) struct Ingest {
    pub(super) job: String,
    pub(super) source: Source,
    pub(super) door: store::Pipeline,
    pub(super) codec: Arc<Codec>,
    pub(super) pool: Arc<Pool>,
    pub(super) linger: Duration,
    /// End when the source has been read to its present end.
    pub(super) once: bool,
    pub(super) max_waiting: usize,
    /// What the pipeline may owe, in compressed bytes.
    pub(super) max_owed: u64,
    pub(super) signals: Arc<Signals>,
    pub(super) metrics: PipelineMetrics,
}

/// What has been gathered for the next commit.
#[derive(Default)]
struct Gathered {
    chunks: Vec<Chunk>,
    refused: Vec<Refused>,
    rows: HashMap<u64, Option<Box<[u8]>>>,
    bytes: usize,
    since: Option<Instant>,
}

struct Running {
    ingest: Ingest,
    waker: Waker,
    gathered: Gathered,
    /// Batches with the workers, oldest first.
    waiting: VecDeque<Waiting>,
    /// Receipt of the newest commit: it is durable when this one is.
    receipt: Option<Receipt>,
    /// Compressed bytes for each byte of lines, as the last batch of a telling size had it.
    ratio: f64,
    notices: Notices,
}

/// A batch that the workers have.
struct Waiting {
    answer: Receiver<std::io::Result<Encoded>>,
    /// To commit with it.
    rows: Vec<Row>,
    /// Bytes of its lines.
    bytes: usize,
}

impl Ingest {
    /// Runs until told to stop, or with `once` until the end; everything read is durable then.
    ///
    /// # Errors
    /// What the source, the workers or the store can't go on after. Nothing that was committed is lost.
    pub(super) fn run(self) -> Result<(), IngestError> {
        let waker = self.source.waker();
        let notices = Notices::new(self.job.clone());
        let mut running = Running {
            ingest: self,
            waker,
            gathered: Gathered::default(),
            waiting: VecDeque::new(),
            receipt: None,
            ratio: 1.0,
            notices,
        };
        running.turn_until_end()?;
        running.drain()
    }
}

impl Running {
    fn turn_until_end(&mut self) -> Result<(), IngestError> {
        loop {
            self.ingest.signals.turns.fetch_add(1, Ordering::Relaxed);
            self.commit_ready()?;
            if self.ingest.signals.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let now = Instant::now();
            self.notices.room(self.ingest.door.room());
            let room = self.has_room();
            let busy = self.waiting.len() >= self.ingest.max_waiting;
            let budget = if room && !busy { BATCH_BYTES.saturating_sub(self.gathered.bytes) } else { 0 };
            let step = self.ingest.source.poll(budget, now)?;
            let idle = self.gather(step, now);
            let flush = self.ingest.signals.flush.swap(false, Ordering::AcqRel);
            if !busy && self.due(now, flush) {
                self.dispatch();
                continue;
            }
            if self.ingest.once && self.ingest.source.finished() && budget > 0 && idle {
                self.ingest.signals.unreadable.get_or_init(|| self.ingest.source.unreadable());
                return Ok(());
            }
            self.tell();
            if idle || budget == 0 {
                self.wait(now, room);
            }
        }
    }

    /// Batches under way count as if they were owed already; one is always allowed.
    fn has_room(&self) -> bool {
        let lines = self.gathered.bytes + self.waiting.iter().map(|batch| batch.bytes).sum::<usize>();
        let under_way = (lines as f64 * self.ratio) as u64;
        let fits = self.waiting.is_empty() || self.ingest.door.owed_bytes() + under_way < self.ingest.max_owed;
        fits && self.ingest.door.room() == Room::Yes
    }

    fn tell(&self) {
        let signals = &self.ingest.signals;
        let progress = self.ingest.source.progress();
        signals.read.store(progress.read, Ordering::Relaxed);
        signals.total.store(progress.total, Ordering::Relaxed);
        let settled = self.gathered.since.is_none() && self.waiting.is_empty() && self.receipt.is_none();
        signals.settled.store(settled, Ordering::Release);
    }

    fn wait(&mut self, now: Instant, room: bool) {
        let mut until = self.ingest.source.next_look(now);
        if let Some(since) = self.gathered.since {
            let linger = if self.gathered.bytes > 0 { self.ingest.linger } else { ROWS_LINGER };
            until = until.min(since + linger);
        }
        if !room || self.receipt.is_some() {
            until = until.min(now + ROOM_LOOK);
        }
        if self.waiting.len() >= self.ingest.max_waiting {
            until = now + ROOM_LOOK; // the workers wake us
        }
        self.ingest.source.wait(until);
    }

    /// Adds what a look brought; says whether it brought nothing.
    fn gather(&mut self, step: Step, now: Instant) -> bool {
        let Step { chunks, rows, gaps, refused } = step;
        self.notices.gaps(&gaps, now);
        let idle = chunks.is_empty() && rows.is_empty() && refused.is_empty();
        if idle {
            return true;
        }
        self.gathered.since.get_or_insert(now);
        self.gathered.bytes += chunks.iter().map(|c| c.data.len()).sum::<usize>();
        self.gathered.bytes += refused.iter().map(|r| r.head.data.len()).sum::<usize>();
        self.gathered.chunks.extend(chunks);
        self.gathered.refused.extend(refused);
        self.gathered.rows.extend(rows.into_iter().map(|row| (row.key, row.value)));
        false
    }

    fn due(&self, now: Instant, flush: bool) -> bool {
        let Some(since) = self.gathered.since else { return false };
        let linger = if self.gathered.bytes > 0 { self.ingest.linger } else { ROWS_LINGER };
        let ended = self.ingest.once && self.ingest.source.finished();
        flush || ended || self.gathered.bytes >= BATCH_BYTES * 3 / 4 || now.duration_since(since) >= linger
    }

    /// Hands what was gathered to the workers.
    fn dispatch(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        if gathered.since.is_none() {
            return;
        }
        let bytes = gathered.bytes;
        let rows = gathered.rows.into_iter().map(|(key, value)| Row { key, value }).collect();
        let batch = Batch { chunks: gathered.chunks, refused: gathered.refused };
        let answer = self.ingest.pool.submit(&self.ingest.codec, batch, Timestamp::now(), self.waker.clone());
        self.waiting.push_back(Waiting { answer, rows, bytes });
    }

    /// Commits the batches that the workers have finished, in order.
    fn commit_ready(&mut self) -> Result<(), IngestError> {
        while let Some(batch) = self.waiting.front() {
            let encoded = match batch.answer.try_recv() {
                Ok(encoded) => encoded?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(IngestError::Pool),
            };
            if let Some(batch) = self.waiting.pop_front() {
                self.commit(encoded, batch)?;
            }
        }
        self.look_at_receipt()
    }

    fn commit(&mut self, encoded: Encoded, batch: Waiting) -> Result<(), IngestError> {
        let metrics = &self.ingest.metrics;
        metrics.committed_records.inc_by(encoded.members.iter().map(|m| u64::from(m.items)).sum());
        let bytes = encoded.members.iter().map(|m| m.gzip.len() as u64).sum();
        if batch.bytes >= TELLING_BYTES {
            self.ratio = bytes as f64 / batch.bytes as f64;
        }
        metrics.committed_bytes.inc_by(bytes);
        metrics.dead_letters.inc_by(encoded.dead.len() as u64);
        for buffer in encoded.buffers {
            self.ingest.source.recycle(buffer);
        }
        let commit = Commit { members: encoded.members, rows: batch.rows, dead: encoded.dead };
        self.receipt = Some(self.ingest.door.commit(commit)?);
        Ok(())
    }

    fn look_at_receipt(&mut self) -> Result<(), IngestError> {
        use tokio::sync::oneshot::error::TryRecvError;
        let Some(receipt) = &mut self.receipt else { return Ok(()) };
        match receipt.try_recv() {
            Ok(durable) => {
                self.receipt = None;
                Ok(durable?)
            }
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Closed) => Err(StoreError::Stopped.into()),
        }
    }

    /// Commits what is under way and waits until it is durable.
    fn drain(&mut self) -> Result<(), IngestError> {
        self.dispatch();
        while let Some(batch) = self.waiting.pop_front() {
            let encoded = batch.answer.recv().map_err(|_| IngestError::Pool)??;
            self.commit(encoded, batch)?;
        }
        if let Some(receipt) = self.receipt.take() {
            receipt.blocking_recv().map_err(|_| StoreError::Stopped)??;
        }
        self.tell();
        Ok(())
    }
}
