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

use crate::plan::Durability;
use crate::record::{Bitmap, DeadLetter, Member, Row};

use super::frame::{Counters, Entry, Kind, Mark, MemberMeta, Meta};
use super::identity::{self, io_error};
use super::inbox::Reply;
use super::lanes::{Flight, Segment, row_bytes};
use super::quota::{self, Space};
use super::recover_damage::Repair;
use super::segment::{self, Active, MEMBERS_MAX};
use super::view::View;
use super::{Shared, StoreError};

/// Under `Durability::Group` there is one sync in so much time.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// And one when this much is waiting for it: it is kept in memory until then.
const UNSYNCED_MAX: u64 = 4 << 20;
/// So are as many frames, however small.
const UNSYNCED_FRAMES_MAX: usize = 4096;
/// Space is given back so long after the settlement that allows it.
pub(super) const TIDY_AFTER: Duration = Duration::from_millis(200);
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
    /// Bytes that count as live until this is durable, and that are being dropped.
    pub(super) dropping: u64,
    pub(super) receipt: Option<Reply<()>>,
}

/// A frame that could not be appended; the log is as it was.
pub(super) struct Unwritten {
    pub(super) draft: Box<Draft>,
    pub(super) error: io::Error,
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
    pub(super) unsynced: bool,
    last_sync: Instant,
    /// Commits that wait for space, by pipeline, in order.
    pub(super) stalled: BTreeMap<u32, VecDeque<Draft>>,
    pub(super) retry_at: Option<Instant>,
    /// Something that was to be durable is not, and can't be made so.
    failed: Option<String>,
    /// When space is given back next.
    pub(super) tidy_at: Option<Instant>,
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
            failed: None,
            tidy_at: None,
            space,
            view,
            applied: 0,
            next_view: Instant::now(),
            lock: Some(lock),
        }
    }

    /// Makes a head that was just written durable, before anyone relies on it.
    pub(super) fn begin(&mut self, applied: u64, unsealed: Vec<Active>, repair: Repair) -> Result<(), StoreError> {
        self.applied = applied;
        self.unsynced = true;
        self.sync()?;
        // Only a segment that was not sealed is looked through at open: so what was found in it comes first.
        if self.repair(repair)? {
            for mut old in unsealed {
                self.seal(&mut old);
            }
        }
        Ok(())
    }

    /// Runs until the store is closed, or until it can't keep its promises any more.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            tracing::error!(%error, "the store has stopped");
            let mut state = self.shared.state();
            state.notes.insert("stopped", format!("the store has stopped: {error}"));
            state.failure = Some(error.to_string());
        }
    }

    fn work(&mut self) -> Result<(), StoreError> {
        self.tidy_at = Some(Instant::now());
        loop {
            let (ops, closing) = self.shared.inbox.take(self.due());
            // Files without a name take what is written to them, and keep nothing.
            let root = &self.shared.dirs.root;
            if self.lock.as_ref().is_some_and(|lock| !identity::is_ours(root, lock)) {
                return Err(StoreError::Gone(root.clone()));
            }
            for op in ops {
                self.take(op)?;
            }
            if self.retry_at.is_some_and(|at| at <= Instant::now()) {
                self.retry()?;
            }
            if self.failed.is_some() || self.sync_due(closing) {
                self.sync()?;
                self.tidy_at.get_or_insert(Instant::now() + TIDY_AFTER);
            }
            if closing || self.tidy_at.is_some_and(|at| at <= Instant::now()) {
                self.tidy_at = None;
                self.tidy();
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
        [sync, self.retry_at, self.tidy_at, self.view_due()].into_iter().flatten().min()
    }

    fn sync_due(&self, closing: bool) -> bool {
        self.unsynced
            && (closing
                || self.shared.options.durability != Durability::Group
                || self.pending_bytes >= UNSYNCED_MAX
                || self.pending.len() >= UNSYNCED_FRAMES_MAX
                || self.last_sync.elapsed() >= SYNC_EVERY)
    }

    /// Appends a frame that frees space: it may take the ballast's.
    pub(super) fn append_surely(&mut self, draft: Draft) -> Result<(), Unwritten> {
        match self.append(draft) {
            Err(unwritten) if quota::no_space(&unwritten.error) => {
                self.space.refuse();
                self.shared.state().disk_full = true;
                self.retry_at.get_or_insert(Instant::now() + RETRY_EVERY);
                if self.space.drop_ballast() { self.append(*unwritten.draft) } else { Err(unwritten) }
            }
            result => result,
        }
    }

    /// Appends one frame. On an error the draft comes back, and the log is as it was.
    pub(super) fn append(&mut self, draft: Draft) -> Result<(), Unwritten> {
        let ready = match &self.failed {
            Some(why) => Err(io::Error::other(why.clone())),
            None => self.make_way(&draft),
        };
        if let Err(error) = ready {
            return Err(Unwritten { draft: Box::new(draft), error });
        }
        let meta = self.meta(&draft);
        let bodies: Vec<&[u8]> = draft.members.iter().map(|m| m.gzip.as_slice()).collect();
        let seq = self.seq;
        let at = match self.active.append(Kind::Commit, seq, self.frontier, &meta.encode(), &bodies) {
            Ok(at) => at,
            Err(error) => return Err(Unwritten { draft: Box::new(draft), error }),
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
            // What it has already is published as lying in it, so before there is another.
            self.sync().map_err(|error| io::Error::other(error.to_string()))?;
            return if self.active.broken { self.roll(false) } else { Ok(()) };
        }
        if !full {
            return Ok(());
        }
        let roomy = self.space.free() >= self.shared.options.min_free_bytes;
        if !roomy && draft.members.is_empty() {
            // Settlements are small and make room: they go on in a full segment.
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

    /// Makes what was appended durable and publishes it. After an error nothing more can be: what comes later must
    /// not be durable without it.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if let Some(why) = &self.failed {
            return Err(io_error(&self.shared.dirs.segments)(io::Error::other(why.clone())));
        }
        let synced = self.sync_or_rescue();
        self.failed = synced.as_ref().err().map(|error| match error {
            StoreError::Io { error, .. } => error.to_string(),
            other => other.to_string(),
        });
        synced
    }

    fn sync_or_rescue(&mut self) -> Result<(), StoreError> {
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
            self.append(draft).map_err(|unwritten| io_error(&segments)(unwritten.error))?;
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
                pipeline.dropping_bytes -= draft.dropping;
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
}

/// However the thread ends, by a panic too: nobody waits for it for ever, and the directory is free.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.inbox.stop();
        {
            let mut state = self.shared.state();
            state.stopped = true;
            state.notify_all();
        }
        // Their receipts say that they were not kept.
        self.stalled.clear();
        self.pending.clear();
        self.view = None;
        self.lock = None;
        self.shared.done();
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
