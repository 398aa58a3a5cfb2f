//! What all lanes of a pipeline share: how much may fly, what size, and whether the sink takes anything at all.
//!
//! Pure: time is an argument. What it learns is not kept over a restart: a limit of the server that was raised is
//! found then, and learning it again costs a few refused requests.

use std::time::{Duration, Instant};

use super::lane::Park;
use super::lane_complaints::Complaints;
use crate::deliver::{Backoff, Concurrency, Refusal};
use crate::plan::BulkPlan;
use crate::store::Limit;

const DOWN_FIRST: Duration = Duration::from_millis(100);
const DOWN_MAX: Duration = Duration::from_secs(10);
/// Documents refused on their own, one after another with nothing passing between them, that make it the sink's
/// fault and not theirs.
const SUSPECTS_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) concurrency: Concurrency,
    pub(super) parked: Option<Park>,
    /// Answers so far in which something was done.
    pub(super) passes: u64,
    /// Requests in flight within the usual number, and outside it.
    pub(super) flying: usize,
    pub(super) probing: usize,
    /// No host could be reached; nothing is sent before this.
    pub(super) down: Option<Instant>,
    down_backoff: Backoff,
    suspects: u32,
    pub(super) complaints: Complaints,
    max_raw: u64,
    learned_raw: Option<u64>,
    learned_wire: Option<u64>,
    /// The largest that has passed.
    passed_raw: u64,
    passed_wire: u64,
}

impl Sink {
    pub(super) fn new(bulk: &BulkPlan) -> Sink {
        Sink {
            concurrency: Concurrency::new(bulk.max_in_flight),
            parked: None,
            passes: 0,
            flying: 0,
            probing: 0,
            down: None,
            down_backoff: Backoff::new(DOWN_FIRST, DOWN_MAX),
            suspects: 0,
            complaints: Complaints::default(),
            max_raw: bulk.max_bytes,
            learned_raw: None,
            learned_wire: None,
            passed_raw: 0,
            passed_wire: 0,
        }
    }

    /// What a request may hold.
    pub(super) fn limit(&self) -> Limit {
        Limit {
            raw_bytes: self.learned_raw.map_or(self.max_raw, |learned| learned.min(self.max_raw)),
            wire_bytes: self.learned_wire.unwrap_or(u64::MAX),
        }
    }

    pub(super) fn learned(&self) -> (Option<u64>, Option<u64>) {
        (self.learned_raw, self.learned_wire)
    }

    /// A request of this size was too large. Which of the two lengths the server looked at is unknown: both
    /// halve, but never below what has passed.
    pub(super) fn too_large(&mut self, raw: u64, wire: u64) {
        let limit = self.limit();
        self.learned_raw = Some((raw / 2).max(self.passed_raw).min(limit.raw_bytes));
        self.learned_wire = Some((wire / 2).max(self.passed_wire).min(limit.wire_bytes));
    }

    /// Something was done. `true` if that ends a park.
    pub(super) fn passed(&mut self, raw: u64, wire: u64) -> bool {
        self.passes += 1;
        self.suspects = 0;
        self.passed_raw = self.passed_raw.max(raw);
        self.passed_wire = self.passed_wire.max(wire);
        self.reached();
        self.parked.take().is_some()
    }

    /// A host answered.
    pub(super) fn reached(&mut self) {
        self.down = None;
        self.down_backoff.reset();
    }

    /// No host could be reached.
    pub(super) fn unreachable(&mut self, now: Instant) {
        if self.down.is_none_or(|until| until <= now) {
            self.down = Some(now + self.down_backoff.next());
        }
    }

    /// One more document was refused on its own by a refusal of the whole request, and nothing has passed since.
    /// `true` if that is no longer the documents' fault.
    pub(super) fn suspect(&mut self) -> bool {
        self.suspects += 1;
        self.suspects >= SUSPECTS_MAX
    }

    /// Parks, or notes that another try has failed. `true` if it was not parked.
    pub(super) fn park(&mut self, refusal: Refusal, now: Instant) -> bool {
        if let Some(park) = &mut self.parked {
            park.again(refusal, now);
            return false;
        }
        self.parked = Some(Park::new(refusal, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_learned_downwards_but_not_below_what_has_passed() {
        let mut sink = Sink::new(&BulkPlan::default());
        assert_eq!((sink.limit().raw_bytes, sink.limit().wire_bytes), (8 << 20, u64::MAX));
        sink.too_large(8 << 20, 1 << 20);
        sink.too_large(4 << 20, 500_000);
        assert_eq!((sink.limit().raw_bytes, sink.limit().wire_bytes), (2 << 20, 250_000));
        sink.passed(1_900_000, 240_000);
        sink.too_large(1 << 20, 100_000);
        assert_eq!((sink.limit().raw_bytes, sink.limit().wire_bytes), (1_900_000, 240_000));
    }

    #[test]
    fn suspects_are_cleared_by_whatever_passes() {
        let mut sink = Sink::new(&BulkPlan::default());
        assert!(!sink.suspect() && !sink.suspect());
        assert!(!sink.passed(1, 1));
        assert!(!sink.suspect() && !sink.suspect() && sink.suspect());
    }
}
