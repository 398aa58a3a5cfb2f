//! How long to wait before the next try: backoff with full jitter, and what `Retry-After` asks for.
//!
//! There is no attempt limit anywhere in this room: a backoff grows to its ceiling and stays there.

use std::time::Duration;

use crate::record::{Timestamp, fill_random};

/// Nobody may make us wait longer than this, whatever `Retry-After` says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Doubling ceilings from `first` to `max`; every wait is a random part of its ceiling, so that many agents
/// that lost the same cluster do not come back at the same instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max, tries: 0 }
    }

    /// The next wait: between a tenth of the ceiling and the ceiling.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.tries.min(20)).min(self.max);
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(0.1 + 0.9 * random())
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }
}

/// A number in 0.0..1.0. Without a source of randomness it is 1: the longest wait, never a hot loop.
fn random() -> f64 {
    let mut bytes = [0; 8];
    fill_random(&mut bytes).map_or(1.0, |()| (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64)
}

/// The wait that a `Retry-After` header asks for, in seconds or as a date; at most ten minutes.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_millisecond();
        Duration::from_millis(at.saturating_sub(now.0).max(0).unsigned_abs())
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_ceiling_and_are_never_zero() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for ceiling in [100, 200, 400, 800, 1600, 2000, 2000, 2000] {
            let wait = backoff.next().as_millis();
            assert!((10..=ceiling).contains(&wait), "{wait} of {ceiling}");
        }
        backoff.tries = u32::MAX;
        assert!(backoff.next() <= Duration::from_secs(2));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }

    #[test]
    fn retry_after_is_understood_in_seconds_and_as_a_date_and_is_bounded() {
        let now = Timestamp(1_445_412_470_000); // 2015-10-21T07:27:50Z
        assert_eq!(retry_after(" 3 ", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999", now), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
