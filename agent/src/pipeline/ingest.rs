//! The first loop: source → decode → encode → commit, on a thread of its own.
//!
//! Promises: batches are committed in the order in which they were read, each with the positions behind it;
//! while there is no room, nothing is read but the source is still looked at (rotation goes on).

mod again;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::allowance::{Allowance, BATCH_BYTES, UnderWay};
use super::arrivals::Arrivals;
use super::codec::{Encoded, Pool, Work};
use super::gathered::{Beside, Gathered};
use super::notices::Notices;
use super::query_outputs::{Sinks, print};
use super::query_stage::{QueryStage, Stepped};
use super::resets::{Order, Overwrites};
use super::tap::Ring;
use super::versions::Versions;
use crate::metrics::PipelineMetrics;
use crate::plan::{BufferPlan, WhenFull};
use crate::record::{Row, Step, Timestamp};
use crate::source::{Source, SourceError, Waker, sls::SlsWatch};
use crate::store::{self, Commit, Receipt, Room, StoreError};

/// How often a full pipeline asks for room.
const ROOM_LOOK: Duration = Duration::from_millis(50);
/// A query is told at least this often that time passes.
const TICK: Duration = Duration::from_secs(1);
/// How often a query that has read everything looks whether all of it has arrived.
const REST_LOOK: Duration = Duration::from_millis(10);

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
    /// An operator wants nothing to be read for now.
    pub(super) paused: AtomicBool,
    /// The state of a query that is to read more is as large as it may be.
    pub(super) full: AtomicBool,
    /// Why nothing more may be read, until an operator decides.
    pub(super) parked: Mutex<Option<String>>,
    /// When records were last seen to be dropped by a full buffer, in milliseconds of unix time. 0: not in this run.
    pub(super) dropped_at: AtomicI64,
    /// Somebody wants something read again.
    pub(super) reset: Mutex<Option<Order>>,
    pub(super) reset_wanted: AtomicBool,
    /// To look at Logstores from outside.
    pub(super) watches: Vec<SlsWatch>,
    /// Loop turns: whoever watches for progress compares two readings.
    pub(super) turns: AtomicU64,
    /// What passes, for whoever watches.
    pub(super) tap: Ring,
}

pub(super) struct Ingest {
    pub(super) job: String,
    pub(super) source: Source,
    pub(super) door: store::Pipeline,
    pub(super) work: Arc<Work>,
    /// A query's state, if it has one.
    pub(super) query: Option<Box<QueryStage>>,
    /// Where the versions of rows come from that are encoded without a state.
    pub(super) versions: Versions,
    /// What is read again to replace what is there.
    pub(super) overwrites: Overwrites,
    pub(super) sinks: Sinks,
    pub(super) pool: Arc<Pool>,
    pub(super) linger: Duration,
    /// End when the source has been read to its present end.
    pub(super) once: bool,
    pub(super) max_waiting: usize,
    pub(super) buffer: BufferPlan,
    pub(super) signals: Arc<Signals>,
    pub(super) metrics: PipelineMetrics,
}

struct Running {
    ingest: Ingest,
    waker: Waker,
    gathered: Gathered,
    /// Batches with the workers, oldest first.
    waiting: VecDeque<Waiting>,
    /// Commits that are not durable yet, oldest first.
    receipts: VecDeque<(Receipt, Committed)>,
    allowance: Allowance,
    arrivals: Arrivals,
    notices: Notices,
    /// Going back is not tried before this.
    set_back_due: Instant,
}

/// A commit that is not durable yet.
struct Committed {
    /// The query's step, if it has a state.
    step: u64,
    /// When its making began.
    begun: Instant,
    /// What standard output is told once nothing can take it back.
    printed: Vec<u8>,
    /// Of the source, if it wants to know what becomes of them.
    rows: Vec<Row>,
}

/// A batch that the workers have.
struct Waiting {
    answer: Receiver<std::io::Result<Encoded>>,
    /// To commit with it.
    beside: Beside,
}

impl Ingest {
    /// Runs until told to stop, or with `once` until the end; everything read is durable then.
    ///
    /// # Errors
    /// What the source, the workers or the store can't go on after. Nothing that was committed is lost.
    pub(super) fn run(self) -> Result<(), IngestError> {
        let waker = self.source.waker();
        let notices = Notices::new(self.job.clone());
        let allowance = Allowance::new(self.buffer.max_bytes);
        let arrivals = Arrivals::new(&self.source, &self.door);
        let mut running = Running {
            ingest: self,
            waker,
            gathered: Gathered::default(),
            waiting: VecDeque::new(),
            receipts: VecDeque::new(),
            allowance,
            arrivals,
            notices,
            set_back_due: Instant::now(),
        };
        if let Some(stage) = &mut running.ingest.query {
            // What there is to read is found before any of it is.
            let now = Instant::now();
            let step = running.ingest.source.poll(0, now)?;
            stage.begin(&running.ingest.source, now);
            running.gather(step, now);
        }
        loop {
            running.turn_until_end()?;
            running.drain()?;
            if running.is_set_back_due() {
                running.set_back()?;
            } else if let Some(order) = running.ordered() {
                let outcome = running.reset(&order);
                order.done(outcome.as_ref().map_err(ToString::to_string).copied());
                outcome?;
            } else if running.is_over() {
                running.rest()?;
                if !running.wait_for_damage() {
                    running.look_at_dropped();
                    running.notices.dropped_at_last();
                    running.arrivals.look_now(running.delivered(), &mut running.ingest.source, &running.ingest.door);
                    running.ingest.source.close();
                    return Ok(());
                }
            }
        }
    }
}

impl Running {
    fn turn_until_end(&mut self) -> Result<(), IngestError> {
        loop {
            self.ingest.signals.turns.fetch_add(1, Ordering::Relaxed);
            self.commit_ready()?;
            self.commit_due()?;
            if self.stopped() || self.is_set_back_due() || self.is_reset_due() {
                return Ok(());
            }
            let now = Instant::now();
            self.notices.room(self.full().map_or_else(|| self.ingest.door.room(), Room::Parked));
            self.look_at_dropped();
            self.notices.dropped(now);
            let room = self.room();
            let busy = self.waiting.len() >= self.ingest.max_waiting;
            let budget = if busy { 0 } else { room };
            let step = self.ingest.source.poll(budget, now)?;
            self.notices.first_look(&self.ingest.source, self.ingest.metrics.files.get().unsigned_abs());
            let idle = self.gather(step, now);
            let flush = self.ingest.signals.flush.swap(false, Ordering::AcqRel);
            // Nothing more is added to it, and what becomes of it tells how much more there may be.
            let full = room == 0 && self.waiting.is_empty() && self.gathered.bytes() > 0;
            if !busy && (full || self.due(now, flush)) {
                self.dispatch();
                continue;
            }
            let looked = budget > 0 || self.ingest.query.as_ref().is_some_and(|stage| stage.full().is_some());
            if self.ended() && looked && idle {
                return Ok(());
            }
            self.tell();
            if idle || budget == 0 {
                self.wait(now, room > 0);
            }
        }
    }

    /// A run with an end has read all there is.
    fn ended(&self) -> bool {
        self.ingest.once && self.ingest.source.finished()
    }

    /// Why a query that is to read more can't: its state is as large as it may be.
    fn full(&self) -> Option<String> {
        self.ingest.query.as_ref().filter(|_| !self.ended()).and_then(|stage| stage.full())
    }

    /// Bytes of lines that there is room for. With nothing under way it goes on whatever is owed where something is
    /// dropped for it, and in a query: what that makes of a batch is told by its own limits.
    fn room(&self) -> usize {
        let stage = self.ingest.query.as_deref();
        let paused = self.ingest.signals.paused.load(Ordering::Acquire);
        if paused || self.ingest.door.room() != Room::Yes || stage.is_some_and(|stage| stage.full().is_some()) {
            return 0;
        }
        let in_memory = stage.map_or(0, |stage| stage.upserts().bytes());
        let (encoding, gathered) =
            (self.waiting.iter().map(|batch| batch.beside.bytes).sum::<usize>(), self.gathered.bytes());
        let state = stage.map_or(usize::MAX, |stage| stage.budget(encoding + gathered));
        let BufferPlan { max_bytes, when_full, .. } = self.ingest.buffer;
        let goes_on = if stage.is_some() { in_memory < max_bytes } else { when_full != WhenFull::Block };
        if goes_on && self.waiting.is_empty() {
            return BATCH_BYTES.saturating_sub(gathered).min(state);
        }
        self.allowance.lines(self.ingest.door.owed_bytes() + in_memory, UnderWay { encoding, gathered }).min(state)
    }

    fn look_at_dropped(&mut self) {
        let at = Timestamp::now();
        if self.notices.note_dropped(self.ingest.door.counters().dropped_items, at) {
            self.ingest.signals.dropped_at.store(at.0, Ordering::Relaxed);
        }
    }

    fn tell(&self) {
        let signals = &self.ingest.signals;
        let progress = self.ingest.source.progress();
        signals.read.store(progress.read, Ordering::Relaxed);
        signals.total.store(progress.total, Ordering::Relaxed);
        let settled = self.gathered.is_empty()
            && self.waiting.is_empty()
            && self.receipts.is_empty()
            && self.ingest.query.as_ref().is_none_or(|stage| !stage.pending());
        if settled && self.ingest.door.owed_bytes() == 0 {
            self.ingest.overwrites.rest(|source| self.read_to(source));
        }
        let full = self.full();
        signals.full.store(full.is_some(), Ordering::Release);
        if let Ok(mut parked) = signals.parked.lock() {
            *parked = full.or_else(|| self.ingest.source.parked());
        }
        signals.settled.store(settled, Ordering::Release);
    }

    fn wait(&mut self, now: Instant, room: bool) {
        let mut until = self.ingest.source.next_look(now);
        if let Some(due) = self.gathered.due(self.ingest.linger) {
            until = until.min(due);
        }
        let left = self.ingest.query.as_ref().is_some_and(|stage| stage.upserts().left() > 0);
        let owed = !self.receipts.is_empty() || self.arrivals.some() || left;
        if !room || owed || self.ingest.query.as_ref().is_some_and(|stage| stage.pending()) {
            until = until.min(now + ROOM_LOOK);
        }
        if self.ingest.query.is_some() {
            until = until.min(now + TICK);
        }
        if self.waiting.len() >= self.ingest.max_waiting {
            until = now + ROOM_LOOK; // the workers wake us
        }
        self.ingest.source.wait(until);
    }

    /// Adds what a look brought; says whether it brought nothing.
    fn gather(&mut self, step: Step, now: Instant) -> bool {
        self.notices.gaps(&step.gaps, now);
        self.gathered.add(step, now)
    }

    fn due(&self, now: Instant, flush: bool) -> bool {
        let Some(due) = self.gathered.due(self.ingest.linger) else { return false };
        flush || self.ended() || self.gathered.is_whole() || now >= due
    }

    /// Hands what was gathered to the workers.
    fn dispatch(&mut self) {
        let Some((batch, beside)) = self.gathered.take(&mut self.ingest.versions, &mut self.ingest.overwrites) else {
            return;
        };
        let answer = self.ingest.pool.submit(&self.ingest.work, batch, Timestamp::now(), self.waker.clone());
        self.waiting.push_back(Waiting { answer, beside });
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
                self.commit(encoded, batch.beside)?;
            }
        }
        self.look_at_receipts()
    }

    fn commit(&mut self, encoded: Encoded, beside: Beside) -> Result<(), IngestError> {
        let Encoded { ready, prepared, untimed, buffers } = encoded;
        buffers.into_iter().for_each(|buffer| self.ingest.source.recycle(buffer));
        let bytes = ready.members.iter().map(|m| m.gzip.len() as u64).sum();
        if let Some(untimed) = &untimed {
            self.notices.untimed(untimed, Instant::now());
        }
        self.allowance.learn(beside.bytes, bytes);
        if let Some(stage) = &mut self.ingest.query {
            stage.take(ready, prepared, beside.rows, beside.bytes, Instant::now());
            stage.finished(beside.finished);
            return self.commit_due();
        }
        let metrics = &self.ingest.metrics;
        metrics.committed_records.inc_by(ready.members.iter().map(|m| u64::from(m.items)).sum());
        metrics.committed_bytes.inc_by(bytes);
        metrics.dead_letters.inc_by(ready.dead.len() as u64);
        let mut rows = beside.rows;
        rows.extend(self.ingest.versions.row());
        let commit = Commit { members: ready.members, rows, dead: ready.dead };
        self.hand_in(commit, (0, Instant::now()), ready.printed)
    }

    fn hand_in(&mut self, commit: Commit, step: (u64, Instant), printed: Vec<u8>) -> Result<(), IngestError> {
        let rows = self.arrivals.of(&commit.rows);
        self.ingest.signals.tap.members(&commit.members);
        let receipt = self.ingest.door.commit(commit)?;
        let (step, begun) = step;
        self.receipts.push_back((receipt, Committed { step, begun, printed, rows }));
        Ok(())
    }

    /// Commits what a query has, if it is time.
    fn commit_due(&mut self) -> Result<(), IngestError> {
        let waiting = !self.waiting.is_empty();
        let Some(stage) = &mut self.ingest.query else { return Ok(()) };
        let now = Instant::now();
        stage.pass_time(&self.ingest.source, now);
        if stage.due(now, waiting, self.receipts.len()) { self.commit_step(now) } else { Ok(()) }
    }

    fn commit_step(&mut self, now: Instant) -> Result<(), IngestError> {
        let Some(stage) = &mut self.ingest.query else { return Ok(()) };
        let Stepped { commit, step, printed } = stage.step(now, &self.ingest.signals.tap)?;
        self.hand_in(commit, (step, now), printed)
    }

    fn look_at_receipts(&mut self) -> Result<(), IngestError> {
        use tokio::sync::oneshot::error::TryRecvError;
        while let Some((receipt, _)) = self.receipts.front_mut() {
            match receipt.try_recv() {
                Ok(durable) => durable?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return Err(StoreError::Stopped.into()),
            }
            if let Some((_, commit)) = self.receipts.pop_front() {
                self.durable(commit)?;
            }
        }
        self.arrivals.look(self.delivered(), &mut self.ingest.source, &self.ingest.door, Instant::now());
        Ok(())
    }

    /// Up to which step all of a query's results have arrived, apart from those that lie in the store.
    fn delivered(&self) -> Option<u64> {
        self.ingest.query.as_ref().map(|stage| stage.upserts().delivered())
    }

    fn durable(&mut self, commit: Committed) -> Result<(), IngestError> {
        let Committed { step, begun, printed, rows } = commit;
        print(&printed);
        self.arrivals.durable(rows, step, &mut self.ingest.source, &self.ingest.door);
        match &mut self.ingest.query {
            Some(stage) => Ok(stage.durable(step, begun)?),
            None => Ok(()),
        }
    }

    fn stopped(&self) -> bool {
        self.ingest.signals.stop.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.stopped() || (self.ingest.once && self.ingest.source.finished())
    }

    /// After the end of a bounded source: waits until nothing is owed any more (false), or until something of it
    /// turns out to be damaged and is to be read again (true).
    fn wait_for_damage(&mut self) -> bool {
        while !self.stopped() && self.ingest.sinks.any_owed(&self.ingest.door.lanes()) {
            self.ingest.signals.turns.fetch_add(1, Ordering::Relaxed);
            if self.is_set_back_due() {
                return true;
            }
            self.arrivals.look(self.delivered(), &mut self.ingest.source, &self.ingest.door, Instant::now());
            self.ingest.source.wait(Instant::now() + ROOM_LOOK);
        }
        false
    }

    /// Commits what is under way and waits until it is durable.
    fn drain(&mut self) -> Result<(), IngestError> {
        self.dispatch();
        while let Some(batch) = self.waiting.pop_front() {
            let encoded = batch.answer.recv().map_err(|_| IngestError::Pool)??;
            self.commit(encoded, batch.beside)?;
        }
        let ended = self.ingest.once && self.ingest.source.finished();
        if let Some(stage) = self.ingest.query.as_mut().filter(|_| ended) {
            stage.finish();
        }
        if self.ingest.query.as_ref().is_some_and(|stage| stage.pending()) {
            self.commit_step(Instant::now())?;
        }
        while let Some((receipt, commit)) = self.receipts.pop_front() {
            store::wait(receipt)?;
            self.durable(commit)?;
        }
        self.notices.passed_over(Instant::now());
        self.tell();
        Ok(())
    }

    /// A bounded query stays until all that it owes has arrived, and writes that down.
    fn rest(&mut self) -> Result<(), IngestError> {
        while let Some(stage) = &mut self.ingest.query {
            if self.ingest.signals.stop.load(Ordering::Acquire) || stage.delivered() {
                return self.drain();
            }
            self.ingest.signals.turns.fetch_add(1, Ordering::Relaxed);
            if stage.wants_walk() && self.receipts.is_empty() {
                self.commit_step(Instant::now())?;
            }
            self.look_at_receipts()?;
            self.ingest.source.wait(Instant::now() + REST_LOOK);
        }
        Ok(())
    }
}
