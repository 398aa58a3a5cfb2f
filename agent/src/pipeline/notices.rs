//! What the ingest loop tells the log: passed-over bytes, and why reading waits. Repeats are summed up.

use std::time::{Duration, Instant};

use crate::record::{Gap, GapReason};
use crate::store::Room;

/// Between two lines about passed-over bytes.
const EVERY: Duration = Duration::from_secs(10);

/// What is not said yet. (The source itself logs bytes that are lost.)
#[derive(Debug)]
pub(super) struct Notices {
    job: String,
    said: Option<Instant>,
    long_bytes: u64,
    nul_bytes: u64,
    room: Room,
}

impl Notices {
    pub(super) fn new(job: String) -> Notices {
        Notices { job, said: None, long_bytes: 0, nul_bytes: 0, room: Room::Yes }
    }

    pub(super) fn gaps(&mut self, gaps: &[Gap], now: Instant) {
        for gap in gaps {
            match gap.reason {
                GapReason::LongLine => self.long_bytes += gap.bytes,
                GapReason::NulHole => self.nul_bytes += gap.bytes,
                GapReason::Truncated
                | GapReason::Vanished
                | GapReason::VanishedCompressed
                | GapReason::BadCompression => {}
            }
        }
        let due = self.said.is_none_or(|said| now.duration_since(said) >= EVERY);
        if due && self.long_bytes + self.nul_bytes > 0 {
            self.said = Some(now);
            let (long_bytes, nul_bytes) = (std::mem::take(&mut self.long_bytes), std::mem::take(&mut self.nul_bytes));
            tracing::warn!(job = %self.job, long_bytes, nul_bytes, "passed over: ends of lines longer than max_line_bytes, runs of NUL bytes");
        }
    }

    /// Says when reading begins to wait, and when it goes on.
    pub(super) fn room(&mut self, room: Room) {
        if room == self.room {
            return;
        }
        let job = &self.job;
        match &room {
            Room::Yes => tracing::info!(%job, "reading goes on"),
            Room::Full => tracing::warn!(%job, "the buffer is full: reading waits until something is acknowledged"),
            Room::DiskFull => tracing::warn!(%job, "the disk is full: reading waits for space, shipping goes on"),
            Room::Parked(why) => tracing::error!(%job, %why, "reading waits for an operator"),
        }
        self.room = room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_over_bytes_are_summed_up_between_two_lines() {
        let mut notices = Notices::new("a".to_owned());
        let begin = Instant::now();
        let gap = Gap { path: "/a".into(), from: 0, bytes: 3, reason: GapReason::NulHole };
        notices.gaps(&[gap.clone(), gap.clone()], begin);
        assert_eq!((notices.nul_bytes, notices.said), (0, Some(begin)));
        notices.gaps(&[gap], begin + EVERY / 2);
        assert_eq!(notices.nul_bytes, 3);
        notices.gaps(&[], begin + EVERY);
        assert_eq!(notices.nul_bytes, 0);
    }
}
