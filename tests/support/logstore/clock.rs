//! The server's two clocks, both movable, so that no test has to wait for hours.
//!
//! One says when data came in, which data are too old and which members are gone: tests let time pass on it. The other is what
//! the server believes the time to be when it judges a request's date and writes its own: tests make it wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Both, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    passed_ms: i64,
    skew_ms: i64,
}

impl Clock {
    /// The time by which data and members grow old.
    pub(super) fn millis(self) -> i64 {
        since_epoch() + self.passed_ms
    }

    /// The same in seconds.
    pub(super) fn seconds(self) -> i64 {
        self.millis().div_euclid(1000)
    }

    /// What the server takes the time to be, in seconds.
    pub(super) fn told_seconds(self) -> i64 {
        (since_epoch() + self.skew_ms).div_euclid(1000)
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.passed_ms += i64::try_from(time.as_millis()).unwrap();
    }

    pub(super) fn skew(&mut self, seconds: i64) {
        self.skew_ms = seconds * 1000;
    }
}

fn since_epoch() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
