//! The store's thread: takes steps, appends them as frames, syncs, and only then lets anyone know.
//!
//! Promises: nothing is published, acknowledged or handed out before its sync; a failed sync is never tried
//! again on the same file; what can't be written for want of space waits and is tried again; the thread sleeps
//! when there is nothing to do.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plan::{Durability, WhenFull};
use crate::record::{Bitmap, DeadLetter, Member, Row};

use super::dead_letters::Refused;
use super::frame::{Counters, Entry, Head, Kind, LaneSum, Mark, MemberMeta, Meta};
use super::identity::io_error;
use super::inbox::{Op, Reply};
use super::lanes::{Flight, Segment, row_bytes};
use super::quota::{self, Space};
use super::segment::{self, Active, MEMBERS_MAX};
use super::view::View;
use super::{Commit, Settled, Shared, StoreError};

/// Under `Durability::Group` there is one sync in so much time.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// And one when this much is waiting for it: it is kept in memory until then.
const UNSYNCED_MAX: u64 = 8 << 20;
/// What could not be written is tried again after this long.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(500);

/// One frame before it is written, kept until it is durable.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) pipeline: u32,
    pub(super) members: Vec<Member>,
    pub(super) crcs: Vec<u32>,
    pub(super) rows: Vec<Row>,
    pub(super) settled: Vec<(Flight, Option<Bitmap>)>,
    pub(super) replayed: Vec<u64>,
    pub(super) counters: Option<Counters>,
    pub(super) dead: Vec<DeadLetter>,
    /// Bytes that count as queued until this is durable.
    pub(super) queued: u64,
    pub(super) receipt: Option<Reply<()>>,
}

struct Pending {
    draft: Draft,
    seq: u64,
    bodies_at: u64,
    first_ordinal: u32,
}

/// The store's thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Active,
    /// The sequence of the active segment's head.
    pub(super) head_seq: u64,
    /// The next frame's sequence.
    pub(super) seq: u64,
    pub(super) frontier: u64,
    pending: Vec<Pending>,
    pending_bytes: u64,
    /// Something was appended since the last sync (a head is not pending).
    unsynced: bool,
    last_sync: Instant,
    /// Commits that wait for space, by pipeline, in order.
    stalled: BTreeMap<u32, VecDeque<Draft>>,
    retry_at: Option<Instant>,
    pub(super) space: Space,
    pub(super) view: Option<View>,
    pub(super) applied: u64,
    pub(super) next_view: Instant,
    /// The data directory is ours until this is dropped.
    pub(super) lock: Option<File>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, active: Active, space: Space, view: Option<View>, lock: File) -> Writer {
        let (frontier, born) = {
            let state = shared.state();
            (state.frontier, state.born)
        };
        Writer {
            head_seq: active.first_seq,
            seq: born.max(active.last_seq + 1),
            frontier,
            shared,
            active,
            pending: Vec::new(),
            pending_bytes: 0,
            unsynced: false,
            last_sync: Instant::now() - SYNC_EVERY,
            stalled: BTreeMap::new(),
            retry_at: None,
            space,
            view,
            applied: 0,
            next_view: Instant::now(),
            lock: Some(lock),
        }
    }

    /// Makes a head that was just written durable, before anyone relies on it.
    pub(super) fn begin(&mut self, applied: u64) -> Result<(), StoreError> {
        self.applied = applied;
        self.unsynced = true;
        self.sync()
    }

    /// Runs until the store is closed, or until it can't keep its promises any more.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            tracing::error!(%error, "the store has stopped");
            let mut state = self.shared.state();
            state.notes.insert("stopped", format!("the store has stopped: {error}"));
        }
        self.shared.inbox.stop();
        {
            let mut state = self.shared.state();
            state.stopped = true;
            state.notify_all();
        }
        self.stalled.clear();
        self.pending.clear();
        self.view = None;
        self.lock = None;
        self.shared.done();
    }

    fn work(&mut self) -> Result<(), StoreError> {
        self.tidy()?;
        loop {
            let (ops, closing) = self.shared.inbox.take(self.due());
            for op in ops {
                self.take(op)?;
            }
            if self.retry_at.is_some_and(|at| at <= Instant::now()) {
                self.retry()?;
            }
            if self.sync_due(closing) {
                self.sync()?;
                self.tidy()?;
            }
            self.apply(closing);
            self.look_at_disk();
            if closing {
                return Ok(());
            }
        }
    }

    /// When the thread has something to do of its own accord.
    fn due(&self) -> Option<Instant> {
        let sync = self.unsynced.then(|| self.last_sync + SYNC_EVERY);
        [sync, self.retry_at, self.view_due()].into_iter().flatten().min()
    }

    fn sync_due(&self, closing: bool) -> bool {
        self.unsynced
            && (closing
                || self.shared.options.durability != Durability::Group
                || self.pending_bytes >= UNSYNCED_MAX
                || self.last_sync.elapsed() >= SYNC_EVERY)
    }

    fn take(&mut self, op: Op) -> Result<(), StoreError> {
        match op {
            Op::Commit { pipeline, commit, crcs, replayed, receipt } => {
                let Commit { members, rows, dead } = commit;
                let queued = members.iter().map(|m| m.gzip.len() as u64).sum();
                let (counters, settled) = (None, Vec::new());
                let receipt = Some(receipt);
                let mut draft =
                    Draft { pipeline, members, crcs, rows, settled, replayed, counters, dead, queued, receipt };
                self.drop_newest(&mut draft);
                match self.stalled.get_mut(&pipeline).filter(|queue| !queue.is_empty()) {
                    Some(queue) => queue.push_back(draft),
                    None => self.try_commit(draft)?,
                }
                self.drop_oldest(pipeline)
            }
            Op::Settle { pipeline, settled, dead, receipt } => self.settle(pipeline, settled, dead, receipt),
            Op::Quarantine { pipeline, seq, member } => self.quarantine(pipeline, seq, member),
            Op::DropDead { pipeline, numbers, reply } => {
                let result = self.shared.dead().forget(pipeline, &numbers);
                answer(reply, result.map_err(io_error(&self.shared.dirs.dead)));
                self.retry()
            }
        }
    }

    /// Writes a commit, or lets it wait for space.
    fn try_commit(&mut self, mut draft: Draft) -> Result<(), StoreError> {
        let pipeline = draft.pipeline;
        let dead = std::mem::take(&mut draft.dead);
        match self.bury(pipeline, &dead) {
            Ok(()) => {}
            Err(refused) => {
                draft.dead = dead;
                let why = self.refusal(pipeline, &refused);
                self.stall(draft, why);
                return Ok(());
            }
        }
        match self.append(draft) {
            Ok(()) => Ok(()),
            Err((draft, error)) => {
                let why = (!quota::no_space(&error)).then(|| format!("can't write to the buffer: {error}"));
                if why.is_none() {
                    self.space.refuse();
                }
                self.stall(draft, why);
                Ok(())
            }
        }
    }

    fn stall(&mut self, draft: Draft, why: Option<String>) {
        let mut state = self.shared.state();
        match why {
            Some(why) => {
                if let Some(pipeline) = state.of(draft.pipeline) {
                    pipeline.parked = Some(why);
                }
            }
            None => state.disk_full = true,
        }
        drop(state);
        self.stalled.entry(draft.pipeline).or_default().push_front(draft);
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
    }

    /// Tries again what could not be written.
    fn retry(&mut self) -> Result<(), StoreError> {
        self.retry_at = None;
        let waiting: Vec<u32> = self.stalled.keys().copied().collect();
        for pipeline in waiting {
            let mut queue = self.stalled.remove(&pipeline).unwrap_or_default();
            if let Some(state) = self.shared.state().of(pipeline) {
                state.parked = None;
            }
            while let Some(draft) = queue.pop_front() {
                self.try_commit(draft)?;
                if let Some(refused) = self.stalled.get_mut(&pipeline) {
                    refused.append(&mut queue);
                }
            }
            self.shared.state().notify(pipeline);
        }
        if self.shared.state().disk_full {
            self.retry_at = Some(Instant::now() + RETRY_EVERY);
        }
        Ok(())
    }

    /// Keeps dead letters; they are synced before the frame that goes with them.
    fn bury(&mut self, pipeline: u32, dead: &[DeadLetter]) -> Result<(), Refused> {
        if dead.is_empty() {
            return Ok(());
        }
        let (name, max) = {
            let mut state = self.shared.state();
            let Some(pipeline) = state.of(pipeline) else { return Ok(()) };
            let max = pipeline.plan.as_ref().map_or(u64::MAX, |plan| plan.dead_letters_max_bytes);
            (pipeline.name.clone(), max)
        };
        match self.shared.dead().append(pipeline, &name, dead, max) {
            Err(Refused::Io(error)) if quota::no_space(&error) && self.space.drop_ballast() => {
                self.shared.state().disk_full = true;
                self.shared.dead().append(pipeline, &name, dead, max)?;
            }
            result => {
                result?;
            }
        }
        self.unsynced = true;
        Ok(())
    }

    /// A line for the operator, or `None` if only the disk is full.
    fn refusal(&mut self, pipeline: u32, refused: &Refused) -> Option<String> {
        match refused {
            Refused::Full => Some(self.dead_letters_full(pipeline).to_string()),
            Refused::Io(error) if quota::no_space(error) => {
                self.space.refuse();
                None
            }
            Refused::Io(error) => Some(format!("can't keep dead letters: {error}")),
        }
    }

    fn dead_letters_full(&self, pipeline: u32) -> StoreError {
        let mut state = self.shared.state();
        let pipeline = state.of(pipeline);
        let max_bytes = pipeline.as_ref().and_then(|p| p.plan.as_ref()).map_or(0, |p| p.dead_letters_max_bytes);
        StoreError::DeadLettersFull { pipeline: pipeline.map_or_else(String::new, |p| p.name.to_string()), max_bytes }
    }

    fn settle(
        &mut self,
        pipeline: u32,
        settled: Vec<Settled>,
        dead: Vec<DeadLetter>,
        receipt: Reply<()>,
    ) -> Result<(), StoreError> {
        let error = match self.bury(pipeline, &dead) {
            Ok(()) => {
                let marks = {
                    let state = self.shared.state();
                    let flight = |s: Settled| Some((state.flight(s.seq, s.member)?, s.still_owed));
                    settled.iter().cloned().filter_map(flight).collect()
                };
                let draft = Draft { pipeline, settled: marks, receipt: Some(receipt), ..Draft::default() };
                match self.append_surely(draft) {
                    Ok(()) => return Ok(()),
                    Err((mut draft, error)) => {
                        let Some(receipt) = draft.receipt.take() else { return Ok(()) };
                        answer(receipt, Err(StoreError::Io { path: self.shared.dirs.segments.clone(), error }));
                        self.keep_owed(pipeline, &settled);
                        return Ok(());
                    }
                }
            }
            Err(Refused::Full) => self.dead_letters_full(pipeline),
            Err(Refused::Io(error)) => StoreError::Io { path: self.shared.dirs.dead.clone(), error },
        };
        self.keep_owed(pipeline, &settled);
        answer(receipt, Err(error));
        Ok(())
    }

    /// The verdicts could not be kept: the documents stay owed and go out again, under the same ids.
    fn keep_owed(&mut self, pipeline: u32, settled: &[Settled]) {
        let mut state = self.shared.state();
        settled.iter().for_each(|s| state.land(s.seq, s.member));
        state.notify(pipeline);
    }

    /// Counts a damaged member and settles it: its bytes can't be sent.
    fn quarantine(&mut self, pipeline: u32, seq: u64, member: u16) -> Result<(), StoreError> {
        let (flight, counters) = {
            let mut state = self.shared.state();
            let Some(flight) = state.flight(seq, member) else { return Ok(()) };
            let items = state.owed_items(&flight);
            let segment = flight.segment;
            state.notes.insert("quarantine", format!("stored requests were damaged, the last in segment {segment}"));
            let Some(pipeline) = state.of(pipeline) else { return Ok(()) };
            pipeline.counters.quarantined_items += items;
            (flight, pipeline.counters)
        };
        self.keep_copy(&flight);
        let settled = vec![(flight, None)];
        let draft = Draft { pipeline, settled, counters: Some(counters), ..Draft::default() };
        if let Err((_, error)) = self.append_surely(draft) {
            tracing::warn!(%error, "a damaged request stays in its segment");
        }
        Ok(())
    }

    fn keep_copy(&self, flight: &Flight) {
        let (segment, offset) = (flight.segment, flight.entry.offset);
        let to = self.shared.dirs.quarantine.join(format!("{segment:08}-{offset}.member"));
        let copied = self.shared.fs.open(&segment::path(&self.shared.dirs.segments, segment)).and_then(|disk| {
            let mut bytes = vec![0; flight.entry.gzip_len as usize];
            disk.read_at(offset, &mut bytes)?;
            self.shared.fs.create(&to)?.write_at(0, &[&bytes])
        });
        if let Err(error) = copied {
            tracing::warn!(%error, path = %to.display(), "a damaged request could not be copied");
        }
    }

    /// `when_full = "drop_newest"`: what does not fit is counted instead of written.
    fn drop_newest(&mut self, draft: &mut Draft) {
        let mut state = self.shared.state();
        let Some(pipeline) = state.of(draft.pipeline) else { return };
        let Some(plan) = pipeline.plan.as_ref().filter(|p| p.when_full == WhenFull::DropNewest) else { return };
        // `queued_bytes` has this commit in it already.
        if draft.queued == 0 || pipeline.live_bytes + pipeline.queued_bytes <= plan.max_bytes {
            return;
        }
        pipeline.counters.dropped_items += draft.members.iter().map(|m| u64::from(m.items)).sum::<u64>();
        pipeline.counters.dropped_bytes += draft.queued;
        pipeline.queued_bytes -= draft.queued;
        draft.counters = Some(pipeline.counters);
        draft.queued = 0;
        draft.members.clear();
        draft.crcs.clear();
    }

    /// `when_full = "drop_oldest"`: settles the oldest members until the rest fits, none that is in flight.
    fn drop_oldest(&mut self, pipeline: u32) -> Result<(), StoreError> {
        loop {
            let found = {
                let mut state = self.shared.state();
                let Some(of) = state.of(pipeline) else { return Ok(()) };
                let Some(plan) = of.plan.as_ref().filter(|p| p.when_full == WhenFull::DropOldest) else {
                    return Ok(());
                };
                let over = (of.live_bytes + of.queued_bytes).saturating_sub(plan.max_bytes);
                if over == 0 {
                    return Ok(());
                }
                state.take_oldest(pipeline, over)
            };
            let flights = match found {
                Ok(flights) if flights.is_empty() => return Ok(()),
                Ok(flights) => flights,
                Err(segment) => {
                    self.shared.load(segment)?;
                    continue;
                }
            };
            let counters = {
                let mut state = self.shared.state();
                let items: u64 = flights.iter().map(|f| state.owed_items(f)).sum();
                let Some(of) = state.of(pipeline) else { return Ok(()) };
                of.counters.dropped_items += items;
                of.counters.dropped_bytes += flights.iter().map(|f| u64::from(f.entry.gzip_len)).sum::<u64>();
                Some(of.counters)
            };
            let settled = flights.into_iter().map(|flight| (flight, None)).collect();
            if let Err((draft, _)) = self.append_surely(Draft { pipeline, settled, counters, ..Draft::default() }) {
                let mut state = self.shared.state();
                draft.settled.iter().for_each(|(f, _)| state.land(f.entry.seq, f.entry.member));
                return Ok(());
            }
            // What is being dropped counts as live until its frame is durable.
            self.sync()?;
        }
    }

    /// Appends a frame that frees space: it may take the ballast's.
    pub(super) fn append_surely(&mut self, draft: Draft) -> Result<(), (Draft, io::Error)> {
        match self.append(draft) {
            Err((draft, error)) if quota::no_space(&error) => {
                self.space.refuse();
                self.shared.state().disk_full = true;
                self.retry_at.get_or_insert(Instant::now() + RETRY_EVERY);
                if self.space.drop_ballast() { self.append(draft) } else { Err((draft, error)) }
            }
            result => result,
        }
    }

    /// Appends one frame. On an error the draft comes back, and the log is as it was.
    fn append(&mut self, draft: Draft) -> Result<(), (Draft, io::Error)> {
        if let Err(error) = self.make_way(&draft) {
            return Err((draft, error));
        }
        let meta = self.meta(&draft);
        let bodies: Vec<&[u8]> = draft.members.iter().map(|m| m.gzip.as_slice()).collect();
        let seq = self.seq;
        let at = match self.active.append(Kind::Commit, seq, self.frontier, &meta.encode(), &bodies) {
            Ok(at) => at,
            Err(error) => return Err((draft, error)),
        };
        let first_ordinal = self.active.ordinals;
        self.active.ordinals += draft.members.len() as u32;
        if !draft.rows.is_empty() {
            let bytes = draft.rows.iter().map(row_bytes).sum::<u64>();
            let name = meta.lanes.into_iter().next().map(|(name, _)| name).unwrap_or_default();
            *self.active.rows.entry(name).or_default() += bytes;
        }
        self.seq += 1;
        self.unsynced = true;
        self.pending_bytes += bodies.iter().map(|b| b.len() as u64).sum::<u64>();
        self.pending.push(Pending { draft, seq, bodies_at: at, first_ordinal });
        Ok(())
    }

    /// Opens a new segment if the newest is full or broken.
    fn make_way(&mut self, draft: &Draft) -> io::Result<()> {
        let full = self.active.len >= self.shared.options.segment_bytes || self.active.ordinals as usize >= MEMBERS_MAX;
        if self.active.broken {
            return self.roll(false);
        }
        // Settlements are small and make room: they go on in a full segment while the disk has no room for
        // another.
        let roomy = self.space.free() >= self.shared.options.min_free_bytes;
        if !full || (draft.members.is_empty() && !roomy) {
            return Ok(());
        }
        if !roomy {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.roll(true)
    }

    fn meta(&self, draft: &Draft) -> Meta {
        let state = self.shared.state();
        let name = state.pipelines.get(draft.pipeline as usize).map_or("", |p| &p.name);
        let mut lanes = vec![(name.to_owned(), String::new())];
        let mut members = Vec::with_capacity(draft.members.len());
        for (i, m) in draft.members.iter().enumerate() {
            let known = lanes.iter().skip(1).position(|(_, index)| **index == *m.index);
            let lane = known.map_or(lanes.len(), |i| i + 1);
            if known.is_none() {
                lanes.push((name.to_owned(), m.index.to_string()));
            }
            members.push(MemberMeta {
                ordinal: self.active.ordinals + i as u32,
                seq: self.seq,
                member: i as u16,
                lane: lane as u16,
                sent_before: m.sent_before,
                items: m.items,
                raw_len: m.raw_len,
                gzip_len: m.gzip.len() as u32,
                crc: draft.crcs.get(i).copied().unwrap_or_default(),
            });
        }
        let mark = |(flight, still): &(Flight, Option<Bitmap>)| Mark {
            segment: flight.segment,
            ordinal: flight.entry.ordinal,
            still: still.clone().filter(|still| !still.is_empty()),
        };
        let settled = draft.settled.iter().map(mark).collect();
        let (rows, replayed) = (draft.rows.clone(), draft.replayed.clone());
        Meta { lanes, members, rows, settled, replayed, counters: draft.counters }
    }

    /// Makes what was appended durable and publishes it.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if !self.unsynced {
            return Ok(());
        }
        self.last_sync = Instant::now();
        if self.shared.options.durability != Durability::Os {
            self.shared.dead().sync().map_err(io_error(&self.shared.dirs.dead))?;
            if let Err(error) = self.active.disk.sync() {
                tracing::error!(%error, segment = self.active.number, "a sync failed: writing elsewhere");
                self.rescue()?;
            }
        }
        self.unsynced = false;
        self.frontier = self.seq - 1;
        self.publish();
        Ok(())
    }

    /// After a failed sync nobody knows what the file has: all that is behind the frontier is written again
    /// into a new segment.
    fn rescue(&mut self) -> Result<(), StoreError> {
        let segments = self.shared.dirs.segments.clone();
        self.active.broken = true;
        self.seq = self.frontier + 1;
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.roll(false).map_err(io_error(&segments))?;
        for Pending { draft, .. } in pending {
            self.append(draft).map_err(|(_, error)| io_error(&segments)(error))?;
        }
        self.active.disk.sync().map_err(io_error(&segments))
    }

    /// Everything pending is durable: it may be seen, sent and acknowledged.
    fn publish(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let mut receipts = Vec::with_capacity(pending.len());
        let mut replayed = Vec::new();
        let mut state = self.shared.state();
        for Pending { mut draft, seq, bodies_at, first_ordinal } in pending {
            let mut at = bodies_at;
            for (i, m) in draft.members.iter().enumerate() {
                let lane = state.lane(draft.pipeline, &m.index);
                let entry = Entry {
                    seq,
                    offset: at,
                    ordinal: first_ordinal + i as u32,
                    lane,
                    items: m.items,
                    raw_len: m.raw_len,
                    gzip_len: m.gzip.len() as u32,
                    crc: draft.crcs.get(i).copied().unwrap_or_default(),
                    member: i as u16,
                    sent_before: m.sent_before,
                };
                at += m.gzip.len() as u64;
                state.add(self.active.number, entry);
            }
            for (flight, still) in draft.settled {
                let (seq, member) = (flight.entry.seq, flight.entry.member);
                let partial = still.as_ref().is_some_and(|still| !still.is_empty());
                state.settle(flight.segment, &flight.entry, still);
                if partial { state.land(seq, member) } else { state.end_flight(seq, member) }
            }
            state.add_rows(self.active.number, draft.pipeline, draft.rows);
            if let Some(pipeline) = state.of(draft.pipeline) {
                pipeline.queued_bytes -= draft.queued;
            }
            state.notify(draft.pipeline);
            receipts.extend(draft.receipt.take());
            if !draft.replayed.is_empty() {
                replayed.push((draft.pipeline, draft.replayed));
            }
        }
        state.frontier = self.frontier;
        if let Some(segment) = state.segments.get_mut(&self.active.number) {
            (segment.bytes, segment.last_seq) = (self.active.len, self.active.last_seq);
        }
        drop(state);
        for (pipeline, numbers) in replayed {
            if let Err(error) = self.shared.dead().forget(pipeline, &numbers) {
                tracing::warn!(%error, "replayed dead letters are still listed");
            }
        }
        receipts.into_iter().for_each(|receipt| answer(receipt, Ok(())));
    }

    /// Begins a new segment; the one before is sealed unless it is broken.
    pub(super) fn roll(&mut self, seal: bool) -> io::Result<()> {
        if seal && let Err(error) = self.sync() {
            return Err(io::Error::other(error.to_string()));
        }
        let next = open_segment(&self.shared, self.active.number + 1, self.seq, self.frontier)?;
        self.head_seq = self.seq;
        self.seq += 1;
        self.unsynced = true;
        let mut old = std::mem::replace(&mut self.active, next);
        if seal && !old.broken {
            self.seal(&mut old);
        }
        Ok(())
    }

    fn seal(&mut self, old: &mut Active) {
        let (entries, sums) = self.shared.state().index_of(old.number);
        let sealed = old.seal(&entries, sums).and_then(|()| segment::read_summary(&*old.disk));
        match sealed {
            Ok(Some((trailer, _))) => self.shared.state().sealed(old.number, old.len, trailer),
            Ok(None) => {}
            // It is scanned at the next open, and its entries stay in memory until then.
            Err(error) => tracing::warn!(%error, segment = old.number, "a segment could not be sealed"),
        }
    }

    fn look_at_disk(&mut self) {
        let full = self.space.is_full() || self.stalled_for_space();
        let mut state = self.shared.state();
        if full && !state.disk_full {
            tracing::warn!("the disk is full: reading stops, shipping goes on");
        }
        if state.disk_full && !full {
            state.notify_all();
        }
        state.disk_full = full;
        drop(state);
        if full {
            self.retry_at.get_or_insert(Instant::now() + RETRY_EVERY);
        }
    }

    fn stalled_for_space(&self) -> bool {
        let mut state = self.shared.state();
        self.stalled.keys().any(|pipeline| state.of(*pipeline).is_some_and(|p| p.parked.is_none()))
    }
}

/// Creates segment `number`, beginning with what must outlive the segments before it.
pub(super) fn open_segment(shared: &Shared, number: u64, seq: u64, frontier: u64) -> io::Result<Active> {
    let path = segment::path(&shared.dirs.segments, number);
    let mut active = Active::new(number, shared.fs.create(&path)?);
    let head = shared.state().head(seq - 1);
    let begun = shared
        .fs
        .sync_dir(&shared.dirs.segments)
        .and_then(|()| active.append(Kind::Head, seq, frontier, &head.encode(), &[]));
    if let Err(error) = begun {
        if let Err(left) = shared.fs.unlink(&path) {
            tracing::debug!(%left, "an empty segment is left behind");
        }
        return Err(error);
    }
    let segment = Segment { bytes: active.len, last_seq: seq, entries: Some(Vec::new()), ..Segment::default() };
    shared.state().segments.insert(number, segment);
    Ok(active)
}

/// Nobody may be waiting any more: that is fine.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    if reply.send(result).is_err() {
        tracing::trace!("nobody waits for this receipt");
    }
}
