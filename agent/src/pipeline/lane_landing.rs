//! What an attempt's outcome means for its lane and the sink: done, again, in halves, parked, buried.
//!
//! The verdicts themselves are `deliver/response.rs`'s; here they are carried out and told to the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deliver::Delivering;
use super::lane::{Lane, Park, Rested, STORE};
use super::lane_attempt::{Ended, Outcome};
use super::lane_door::Door;
use super::lane_work::{Piece, Work};
use crate::deliver::{Refusal, Trouble, Verdict, Whole};
use crate::record::{Bitmap, DeadLetter, Timestamp};
use crate::store::StoreError;

/// A request that failed so often while others of its lane passed is sent in halves.
const FAILURES_MAX: u32 = 5;
/// A single document that failed so often while others of its lane passed is a dead letter.
const FAILURES_OF_ONE: u32 = 20;
/// A single document of this size that is "too large" is, whatever else the sink takes.
const LARGE: u64 = 64 << 10;

impl<D: Door> Delivering<D> {
    /// Carries out an outcome.
    pub(super) async fn land(&mut self, outcome: Outcome, now: Instant) {
        let slot = if outcome.work.probe { &mut self.sink.probing } else { &mut self.sink.flying };
        let full = *slot >= self.sink.concurrency.limit();
        *slot = slot.saturating_sub(1);
        let index = outcome.index.clone();
        let Some(mut lane) = self.lanes.remove(&index) else { return };
        lane.flying = lane.flying.saturating_sub(1);
        outcome.damaged.iter().for_each(|key| lane.forget(*key));
        let mut rested = Rested::default();
        for (piece, left) in outcome.arrived {
            self.acknowledged(0, piece.count() - left.count());
            lane.finish(piece, Some(left), Vec::new(), &mut rested);
        }
        let (latency, raw, wire) = (outcome.latency, outcome.raw_bytes, outcome.wire_bytes);
        match outcome.ended {
            Ended::Nothing => {}
            Ended::AllDone => {
                let count = outcome.work.count();
                self.passed(&mut lane, raw, wire);
                self.sink.concurrency.answered(latency, raw, full, now);
                self.acknowledged(count, 0);
                lane.guard.well(count);
                for piece in outcome.work.pieces {
                    lane.finish(piece, None, Vec::new(), &mut rested);
                }
            }
            Ended::Items { verdicts, dead } => {
                if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Done | Verdict::Duplicate)) {
                    self.sink.concurrency.answered(latency, raw, full, now);
                }
                self.items(&mut lane, outcome.work, &verdicts, dead, (raw, wire), &mut rested, now);
            }
            Ended::Buried(dead) => self.buried(&mut lane, outcome.work, dead, &mut rested),
            Ended::Whole(whole) => self.whole(&mut lane, outcome.work, whole, (raw, wire), &mut rested, now),
        }
        if lane.is_parked_for_the_store() && rested.dead.is_empty() && !rested.settled.is_empty() {
            unpark(&mut lane);
        }
        lane.more |= !rested.back.is_empty() || rested.settled.iter().any(|settled| settled.still_owed.is_some());
        self.lanes.insert(index.clone(), lane);
        self.tell(index, rested, now).await;
    }

    /// Tells the store what came to rest.
    async fn tell(&mut self, index: Arc<str>, rested: Rested, now: Instant) {
        if !rested.back.is_empty() {
            self.shared.door.give_back(rested.back);
        }
        if rested.settled.is_empty() {
            return;
        }
        let (door, dead) = (self.shared.door.clone(), rested.dead.len() as u64);
        let told = tokio::task::spawn_blocking(move || door.settle(rested.settled, rested.dead)).await;
        match told {
            Ok(Ok(receipt)) => {
                self.receipts.spawn(async move { (index, dead, receipt.await.unwrap_or(Err(StoreError::Stopped))) });
            }
            Ok(Err(error)) => self.unsettled(&index, &error, now),
            Err(_) => {}
        }
    }

    /// A settlement is durable, or can't be. (One that is lost in a crash means that documents are sent again, as
    /// no-ops; it is waited for because of its dead letters, and to count what is owed when it has been applied.)
    pub(super) fn receipt(&mut self, index: &Arc<str>, dead: u64, result: Result<(), StoreError>) {
        match result {
            Ok(()) if dead == 0 => {}
            Ok(()) => {
                self.shared.metrics.dead_letters.inc_by(dead);
                self.lanes.get_mut(index).filter(|lane| lane.is_parked_for_the_store()).into_iter().for_each(unpark);
            }
            Err(error) => self.unsettled(index, &error, Instant::now()),
        }
    }

    fn unsettled(&mut self, index: &Arc<str>, error: &StoreError, now: Instant) {
        let reason = format!("the store did not take what became of documents: {error}");
        let refusal = Refusal { kind: STORE.to_owned(), reason, status: 0 };
        if let Some(lane) = self.lanes.get_mut(index) {
            park(lane, refusal, now);
        }
    }

    /// What a lane owes can't be read now: it is tried again later, and the operator sees why it waits.
    pub(super) fn unreadable(&mut self, index: &Arc<str>, error: &StoreError, now: Instant) {
        let reason = format!("what is owed can't be read: {error}");
        let refusal = Refusal { kind: STORE.to_owned(), reason, status: 0 };
        if let Some(lane) = self.lanes.get_mut(index) {
            park(lane, refusal, now);
        }
    }

    fn acknowledged(&self, done: u32, duplicates: u32) {
        let metrics = &self.shared.metrics;
        metrics.acknowledged_records.inc_by(u64::from(done + duplicates));
        metrics.duplicate_records.inc_by(u64::from(duplicates));
        metrics.last_acknowledged_seconds.set(Timestamp::now().0 / 1000);
    }

    /// Something of a lane was done and nothing was wrong with the lane.
    fn passed(&mut self, lane: &mut Lane, raw: u64, wire: u64) {
        lane.passes += 1;
        lane.troubled = 0;
        if lane.parked.is_some() && !lane.is_parked_for_the_store() {
            unpark(lane);
        }
        let unparked = self.sink.passed(raw, wire);
        let over = self.sink.complaints.went_well(&lane.index);
        if unparked || over.is_some() {
            let unsaid = over.filter(|unsaid| *unsaid > 0);
            tracing::info!(index = %lane.index, unsaid, "delivering again");
        }
    }

    /// An answer that speaks of single documents.
    #[expect(clippy::too_many_arguments, reason = "the parts of one outcome")]
    fn items(
        &mut self,
        lane: &mut Lane,
        mut work: Work,
        verdicts: &[Verdict],
        dead: Vec<DeadLetter>,
        size: (u64, u64),
        rested: &mut Rested,
        now: Instant,
    ) {
        let tally = Tally::of(verdicts);
        self.acknowledged(tally.done, tally.duplicates);
        self.shared.metrics.rejected_429.inc_by(u64::from(tally.rejected));
        let systemic = guarded(lane, verdicts, tally.done + tally.duplicates);
        let halt = systemic.as_ref().map(|refusal| refusal.kind.as_str());
        let mut dead = dead.into_iter();
        let mut rest = verdicts;
        let mut left = Vec::new();
        for piece in std::mem::take(&mut work.pieces) {
            let (own, others) = rest.split_at((piece.count() as usize).min(rest.len()));
            rest = others;
            let (piece, still, dead) = sort(piece, own, &mut dead, halt);
            left.extend(lane.finish(piece, still, dead, rested));
        }
        work.pieces = left;
        let trouble = systemic.or_else(|| first_park(verdicts));
        if trouble.is_none() && tally.done + tally.duplicates + tally.refused > 0 {
            self.passed(lane, size.0, size.1);
            work.backoff.reset();
        }
        if tally.rejected > 0 {
            self.sink.concurrency.refused(now);
        }
        if let Some(refusal) = trouble {
            self.shared.state.failed(&refusal.to_string());
            park(lane, refusal, now);
            lane.release(work.pieces, rested);
            lane.release_waiting(rested);
        } else if !work.pieces.is_empty() {
            self.again(lane, work, Duration::ZERO, rested, now);
        }
    }

    /// A work is tried again after its backoff, or after `wait` if that is longer.
    fn again(&mut self, lane: &mut Lane, mut work: Work, wait: Duration, rested: &mut Rested, now: Instant) {
        self.shared.metrics.retries.inc();
        let at = now + work.backoff.next().max(wait);
        // Dead letters wait for the rest of their member, but not for long.
        if lane.has_dead(&work) && work.backoff.tries() > 2 {
            lane.rests_until = Some(at);
            lane.release(work.pieces, rested);
        } else if lane.parked.is_some() {
            lane.release(work.pieces, rested);
        } else {
            work.not_before = Some(at);
            lane.waiting.push_back(work);
        }
    }

    /// One verdict for all documents of a request.
    fn whole(
        &mut self,
        lane: &mut Lane,
        work: Work,
        whole: Whole,
        size: (u64, u64),
        rested: &mut Rested,
        now: Instant,
    ) {
        match whole {
            Whole::Retry { trouble, wait, reason, status } => {
                self.shared.state.failed(&reason);
                let about = (trouble != Trouble::Unreachable).then_some(&lane.index);
                if let Some(unsaid) = self.sink.complaints.failed(about, &reason, now) {
                    let unsaid = (unsaid > 0).then_some(unsaid);
                    tracing::warn!(index = %lane.index, %reason, unsaid, "a bulk request will be sent again");
                }
                self.shared.metrics.rejected_429.inc_by(u64::from(status == 429));
                self.retry(lane, work, trouble, wait, reason, rested, now);
            }
            Whole::Halve { too_large, refusal } => {
                self.shared.state.failed(&refusal.to_string());
                self.sink.reached();
                if too_large {
                    self.sink.too_large(size.0, size.1);
                }
                self.halve(lane, work, refusal, too_large, size.0, rested, now);
            }
            Whole::ParkSink(refusal) => {
                self.shared.state.failed(&refusal.to_string());
                self.park_sink(refusal, now);
                lane.release(work.pieces, rested);
            }
            Whole::ParkLane(refusal) => {
                self.shared.state.failed(&refusal.to_string());
                self.sink.reached();
                park(lane, refusal, now);
                lane.release(work.pieces, rested);
                lane.release_waiting(rested);
            }
        }
    }

    fn park_sink(&mut self, refusal: Refusal, now: Instant) {
        let text = refusal.to_string();
        if self.sink.park(refusal, now) {
            let job = self.shared.state.job();
            tracing::error!(%job, reason = %text, "parked: nothing is sent until this is put right; it is tried again now and then");
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one verdict")]
    fn retry(
        &mut self,
        lane: &mut Lane,
        mut work: Work,
        trouble: Trouble,
        wait: Option<Duration>,
        reason: String,
        rested: &mut Rested,
        now: Instant,
    ) {
        match trouble {
            Trouble::Unreachable if self.shared.client.all_resting() => self.sink.unreachable(now),
            Trouble::Unreachable => {}
            Trouble::Rejected => {
                self.sink.reached();
                self.sink.concurrency.refused(now);
            }
            Trouble::Failed => {
                self.sink.concurrency.refused(now);
                lane.troubled += 1;
                if work.failures == 0 {
                    work.passes_then = lane.passes;
                }
                work.failures += 1;
            }
        }
        for park in self.sink.parked.as_mut().into_iter().chain(&mut lane.parked) {
            park.later(wait, now);
        }
        let others_pass = lane.passes > work.passes_then;
        let one = work.count() == 1;
        if work.failures >= FAILURES_MAX && others_pass && !one {
            match lane.halve(work) {
                Ok((first, second)) => lane.waiting.extend([first, second]),
                Err(work) => self.again(lane, *work, wait.unwrap_or_default(), rested, now),
            }
        } else if one && work.failures >= FAILURES_OF_ONE && lane.passes > work.passes_then + u64::from(FAILURES_OF_ONE)
        {
            let refusal = Refusal { kind: "request_failed".to_owned(), reason, status: 0 };
            self.bury(lane, work, refusal, rested, now);
        } else if wait == Some(Duration::ZERO) || self.sink.down.is_some_and(|until| until > now) {
            // New credentials: at once. A sink that can't be reached is held back as a whole.
            self.shared.metrics.retries.inc();
            lane.waiting.push_front(work);
        } else {
            self.again(lane, work, wait.unwrap_or_default(), rested, now);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one verdict")]
    fn halve(
        &mut self,
        lane: &mut Lane,
        mut work: Work,
        refusal: Refusal,
        too_large: bool,
        raw: u64,
        rested: &mut Rested,
        now: Instant,
    ) {
        let since = *work.refused_at.get_or_insert(self.sink.passes);
        let mut single = match lane.halve(work) {
            Ok((first, second)) => {
                lane.waiting.push_front(second);
                lane.waiting.push_front(first);
                if self.sink.parked.is_some() {
                    self.park_sink(refusal, now);
                }
                return;
            }
            Err(single) => *single,
        };
        if self.sink.passes > since || too_large && raw >= LARGE {
            let kind = if too_large { "too_large".to_owned() } else { refusal.kind };
            let reason = if too_large { format!("{raw} bytes: {}", refusal.reason) } else { refusal.reason };
            return self.bury(lane, single, Refusal { kind, reason, status: refusal.status }, rested, now);
        }
        // Nothing else has passed: it may be the sink that refuses everything.
        if self.sink.parked.is_some() || self.sink.suspect() {
            self.park_sink(refusal, now);
            lane.release(single.pieces, rested);
        } else {
            single.not_before = Some(now + single.backoff.next());
            lane.waiting.push_back(single);
        }
    }

    /// A single document becomes a dead letter, unless that has become a habit.
    fn bury(&mut self, lane: &mut Lane, work: Work, refusal: Refusal, rested: &mut Rested, now: Instant) {
        lane.guard.refused(&refusal.kind);
        if let Some(refusal) = habit(lane, &refusal) {
            park(lane, refusal, now);
            lane.release(work.pieces, rested);
            return lane.release_waiting(rested);
        }
        // The lane is not in the map at this moment: its count is kept here.
        lane.flying += 1;
        self.launch(lane.index.clone(), work, true, Some(refusal));
    }

    fn buried(&mut self, lane: &mut Lane, work: Work, dead: Vec<DeadLetter>, rested: &mut Rested) {
        let mut dead = dead.into_iter();
        for piece in work.pieces {
            let own = dead.by_ref().take(piece.count() as usize).collect();
            lane.finish(piece, None, own, rested);
        }
    }
}

/// How many documents of an answer got which verdict.
#[derive(Default)]
struct Tally {
    done: u32,
    duplicates: u32,
    rejected: u32,
    refused: u32,
}

impl Tally {
    fn of(verdicts: &[Verdict]) -> Tally {
        let mut tally = Tally::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Done => tally.done += 1,
                Verdict::Duplicate => tally.duplicates += 1,
                Verdict::Retry { rejected: true } => tally.rejected += 1,
                Verdict::Refused(_) => tally.refused += 1,
                Verdict::Retry { .. } | Verdict::Compare | Verdict::Outdated(_) | Verdict::Parked(_) => {}
            }
        }
        tally
    }
}

/// Parks a lane, or notes that another try has failed.
fn park(lane: &mut Lane, refusal: Refusal, now: Instant) {
    if let Some(park) = &mut lane.parked {
        return park.again(refusal, now);
    }
    tracing::error!(index = %lane.index, reason = %refusal, "parked: its documents wait until this is put right; they are tried again now and then");
    lane.parked = Some(Park::new(refusal, now));
}

fn unpark(lane: &mut Lane) {
    lane.parked = None;
    lane.guard.forget();
    tracing::info!(index = %lane.index, "delivering to this index again");
}

fn first_park(verdicts: &[Verdict]) -> Option<Refusal> {
    verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Parked(refusal) => Some(Refusal::clone(refusal)),
        _ => None,
    })
}

/// Shows the verdicts to the lane's guard; what it says if half of its documents would be dead letters.
fn guarded(lane: &mut Lane, verdicts: &[Verdict], well: u32) -> Option<Refusal> {
    lane.guard.well(well);
    let mut last = None;
    for verdict in verdicts {
        if let Verdict::Refused(refusal) = verdict {
            lane.guard.refused(&refusal.kind);
            last = Some(refusal);
        }
    }
    habit(lane, last?)
}

fn habit(lane: &Lane, sample: &Refusal) -> Option<Refusal> {
    let (kind, count, seen) = lane.guard.systemic()?;
    let reason = format!(
        "{count} of the last {seen} documents would be dead letters of this kind, as after a mistake in a template: {}",
        sample.reason
    );
    Some(Refusal { kind: kind.to_owned(), reason, status: sample.status })
}

/// What is left of a piece after its verdicts, and its dead letters. `halt`: refusals of this kind stay owed.
fn sort(
    mut piece: Piece,
    verdicts: &[Verdict],
    dead: &mut impl Iterator<Item = DeadLetter>,
    halt: Option<&str>,
) -> (Piece, Option<Bitmap>, Vec<DeadLetter>) {
    let mut left = Bitmap::none(piece.owed.items);
    let mut own = Vec::new();
    for (number, verdict) in piece.numbers().into_iter().zip(verdicts) {
        match verdict {
            Verdict::Done | Verdict::Duplicate => {}
            Verdict::Refused(refusal) => match dead.next() {
                Some(letter) if halt != Some(refusal.kind.as_str()) => own.push(letter),
                _ => left.set(number),
            },
            Verdict::Retry { rejected } => {
                piece.sent |= !rejected;
                left.set(number);
            }
            Verdict::Compare | Verdict::Outdated(_) | Verdict::Parked(_) => left.set(number),
        }
    }
    (piece, Some(left), own)
}
