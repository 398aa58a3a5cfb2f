//! What the store's thread does with each wish: commits that may have to wait, settlements with their dead
//! letters, damaged members, and what `when_full` drops.
//!
//! Promises: a step is kept whole or refused whole; dead letters are there before the documents stop being
//! owed; what is dropped is counted in the frame that drops it.

use std::time::Instant;

use crate::plan::WhenFull;
use crate::record::DeadLetter;

use super::commit::{Draft, RETRY_EVERY, Unwritten, Writer, answer};
use super::dead_letters::Refused;
use super::identity::io_error;
use super::inbox::{Op, Reply};
use super::lanes::Flight;
use super::{Commit, Settled, StoreError, quota, segment};

impl Writer {
    pub(super) fn take(&mut self, op: Op) -> Result<(), StoreError> {
        match op {
            Op::Commit { pipeline, commit, crcs, replayed, receipt } => {
                let Commit { members, rows, dead } = commit;
                let queued = members.iter().map(|m| m.gzip.len() as u64).sum();
                let (counters, settled) = (None, Vec::new());
                let receipt = Some(receipt);
                let mut draft = Draft {
                    pipeline,
                    members,
                    crcs,
                    rows,
                    settled,
                    replayed,
                    counters,
                    dead,
                    queued,
                    receipt,
                    dropping: 0,
                };
                self.drop_newest(&mut draft);
                match self.stalled.get_mut(&pipeline).filter(|queue| !queue.is_empty()) {
                    Some(queue) => queue.push_back(draft),
                    None => self.try_commit(draft)?,
                }
                self.drop_oldest(pipeline)
            }
            Op::Settle { pipeline, settled, dead, receipt } => self.settle(pipeline, settled, dead, receipt),
            Op::Harmed { pipeline, seq, member } => self.harmed(pipeline, seq, member),
            Op::SetBack { pipeline, reply } => self.set_back(pipeline, reply),
            Op::BeginAnew { pipeline, rows, reply } => {
                let begun = self.begin_anew(pipeline, rows.into_iter().collect());
                answer(reply, begun.map_err(io_error(&self.shared.dirs.root)));
                Ok(())
            }
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
            Err(Unwritten { draft, error }) => {
                let why = (!quota::no_space(&error)).then(|| format!("can't write to the buffer: {error}"));
                if why.is_none() {
                    self.space.refuse();
                }
                self.stall(*draft, why);
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
    pub(super) fn retry(&mut self) -> Result<(), StoreError> {
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
                    Err(Unwritten { mut draft, error }) => {
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

    pub(super) fn keep_copy(&self, flight: &Flight) {
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
                let kept = (of.live_bytes + of.queued_bytes).saturating_sub(of.dropping_bytes);
                let over = kept.saturating_sub(plan.max_bytes);
                if over == 0 {
                    return Ok(());
                }
                state.take_oldest(pipeline, over)
            };
            let flights = match found {
                Ok(flights) if flights.is_empty() => return Ok(()),
                Ok(flights) => flights,
                Err(segment) => match self.shared.load(segment) {
                    Ok(()) => continue,
                    Err(error @ StoreError::Gone(_)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, "what is oldest can't be dropped now");
                        return Ok(());
                    }
                },
            };
            let dropping = flights.iter().map(|f| u64::from(f.entry.gzip_len)).sum::<u64>();
            let counters = {
                let mut state = self.shared.state();
                let items: u64 = flights.iter().map(|f| state.owed_items(f)).sum();
                let Some(of) = state.of(pipeline) else { return Ok(()) };
                of.counters.dropped_items += items;
                of.counters.dropped_bytes += dropping;
                of.dropping_bytes += dropping;
                Some(of.counters)
            };
            let settled = flights.into_iter().map(|flight| (flight, None)).collect();
            let draft = Draft { pipeline, settled, counters, dropping, ..Draft::default() };
            if let Err(Unwritten { draft, .. }) = self.append_surely(draft) {
                self.keep_undropped(&draft);
                return Ok(());
            }
        }
    }

    /// The drop could not be written: everything stays owed.
    fn keep_undropped(&mut self, draft: &Draft) {
        let mut state = self.shared.state();
        let items: u64 = draft.settled.iter().map(|(f, _)| state.owed_items(f)).sum();
        draft.settled.iter().for_each(|(f, _)| state.land(f.entry.seq, f.entry.member));
        if let Some(of) = state.of(draft.pipeline) {
            of.counters.dropped_items -= items;
            of.counters.dropped_bytes -= draft.dropping;
            of.dropping_bytes -= draft.dropping;
        }
    }

    pub(super) fn look_at_disk(&mut self) {
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
