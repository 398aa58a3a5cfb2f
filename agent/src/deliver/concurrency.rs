//! How many requests may be in flight: additive increase, multiplicative decrease, on latency and refusals.
//!
//! Pure: time is an argument. The number it gives is between 1 and the plan's `max_in_flight`.

use std::time::{Duration, Instant};

/// Latency beyond this multiple of what is usual counts as a sign of overload.
const SLOW: f64 = 2.5;
/// Differences below this are noise, whatever the multiple.
const SLACK_SECONDS: f64 = 0.25;
/// Weight of the newest latency in the running mean.
const WEIGHT: f64 = 0.1;
/// At most one decrease in this time: answers of one moment are one sign.
const HOLD: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: f64,
    max: f64,
    /// Usual seconds per request, scaled to its size.
    usual: Option<f64>,
    decreased: Option<Instant>,
}

impl Concurrency {
    pub(crate) fn new(max_in_flight: usize) -> Concurrency {
        let max = max_in_flight.max(1) as f64;
        Concurrency { limit: max.min(2.0), max, usual: None, decreased: None }
    }

    /// Requests that may be in flight now.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A request of `raw_bytes` was answered well. `full`: as many as allowed were in flight, so that more
    /// might help.
    pub(crate) fn answered(&mut self, latency: Duration, raw_bytes: u64, full: bool, now: Instant) {
        // A request costs something of its own and something for its bytes; 1 MiB weighs like a request.
        let seconds = latency.as_secs_f64() / (1.0 + raw_bytes as f64 / f64::from(1 << 20));
        let usual = *self.usual.get_or_insert(seconds);
        self.usual = Some(usual + WEIGHT * (seconds - usual));
        if latency.as_secs_f64() > SLACK_SECONDS && seconds > usual * SLOW {
            self.decrease(now);
        } else if full {
            self.limit = (self.limit + 1.0 / self.limit).min(self.max);
        }
    }

    /// The cluster said that it is too much (429, 503) or gave no answer.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.decrease(now);
    }

    fn decrease(&mut self, now: Instant) {
        if self.decreased.is_some_and(|at| now.duration_since(at) < HOLD) {
            return;
        }
        self.decreased = Some(now);
        self.limit = (self.limit / 2.0).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_by_one_a_round_halves_on_refusal_and_stays_in_its_bounds() {
        let start = Instant::now();
        let mut aimd = Concurrency::new(8);
        assert_eq!(aimd.limit(), 2);
        for _ in 0..200 {
            aimd.answered(Duration::from_millis(20), 1 << 20, true, start);
        }
        assert_eq!(aimd.limit(), 8);
        aimd.refused(start);
        aimd.refused(start); // the same moment: one sign
        assert_eq!(aimd.limit(), 4);
        for round in 1..10 {
            aimd.refused(start + HOLD * round);
        }
        assert_eq!(aimd.limit(), 1);
        assert_eq!(Concurrency::new(0).limit(), 1);
    }

    #[test]
    fn it_does_not_grow_while_it_is_not_used() {
        let mut aimd = Concurrency::new(8);
        for _ in 0..100 {
            aimd.answered(Duration::from_millis(20), 1 << 20, false, Instant::now());
        }
        assert_eq!(aimd.limit(), 2);
    }

    #[test]
    fn much_slower_answers_make_it_smaller_but_larger_requests_do_not() {
        let start = Instant::now();
        let mut aimd = Concurrency::new(4);
        for _ in 0..50 {
            aimd.answered(Duration::from_millis(100), 1 << 20, true, start);
        }
        assert_eq!(aimd.limit(), 4);
        aimd.answered(Duration::from_millis(450), 8 << 20, true, start);
        assert_eq!(aimd.limit(), 4);
        aimd.answered(Duration::from_secs(2), 1 << 20, true, start);
        assert_eq!(aimd.limit(), 2);
    }
}
