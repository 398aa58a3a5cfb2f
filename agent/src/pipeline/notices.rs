//! What the ingest loop tells the log: what there is to read, passed-over bytes, why reading waits, records
//! without a readable time. Repeats are summed up.

use std::time::{Duration, Instant};

use splashdam_api::words::bytes;

use super::codec::Untimed;
use crate::record::{Gap, GapReason};
use crate::source::{Progress, Source};
use crate::store::Room;

/// Between two lines about passed-over bytes.
const EVERY: Duration = Duration::from_secs(10);

/// Between two lines about records without a readable time: it is a mistake in a job, or in what writes the log.
const UNTIMED_EVERY: Duration = Duration::from_secs(600);

/// What is not said yet. (The source itself logs bytes that are lost.)
#[derive(Debug)]
pub(super) struct Notices {
    job: String,
    looked: bool,
    said: Option<Instant>,
    long_bytes: u64,
    nul_bytes: u64,
    untimed_said: Option<Instant>,
    untimed: u64,
    room: Room,
    full: bool,
}

impl Notices {
    pub(super) fn new(job: String) -> Notices {
        Notices {
            job,
            looked: false,
            said: None,
            long_bytes: 0,
            nul_bytes: 0,
            untimed_said: None,
            untimed: 0,
            room: Room::Yes,
            full: false,
        }
    }

    /// Says once what there is to read, after the first look.
    pub(super) fn first_look(&mut self, source: &Source, files: u64) {
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        let job = &self.job;
        match source {
            Source::Several(sources) if sources.are_stdin() => tracing::info!(%job, "reading standard input"),
            Source::File(_) | Source::Several(_) => {
                let Progress { read, total } = source.progress();
                tracing::info!(%job, files, unread = %bytes(total.max(read)), "reading");
            }
            Source::Stdin(_) => tracing::info!(%job, "reading standard input"),
        }
    }

    /// Says once that a query's state is as large as it may be, with what to do, and once that it is not any more.
    pub(super) fn full(&mut self, why: Option<&str>) {
        let job = &self.job;
        match (std::mem::replace(&mut self.full, why.is_some()), why) {
            (false, Some(why)) => tracing::warn!(%job, "reading stops: {why}"),
            (true, None) => tracing::info!(%job, "the query's state has room again, reading goes on"),
            _ => {}
        }
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

    /// Says that records have no readable time, with one of them as an example. Gives how many, if it does.
    pub(super) fn untimed(&mut self, untimed: &Untimed, now: Instant) -> Option<u64> {
        self.untimed += untimed.records;
        if self.untimed_said.is_some_and(|said| now.duration_since(said) < UNTIMED_EVERY) {
            return None;
        }
        self.untimed_said = Some(now);
        let records = std::mem::take(&mut self.untimed);
        let (example, instead) = (&untimed.example, &untimed.instead);
        let found = example.found.as_deref().unwrap_or("nothing");
        tracing::warn!(job = %self.job, field = %example.field, %found, expected = %example.expected, records, %instead, "records have no readable time");
        Some(records)
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
    use crate::decode;

    #[test]
    fn records_without_a_time_are_told_at_once_and_then_summed_up() {
        let mut notices = Notices::new("a".to_owned());
        let begin = Instant::now();
        let example = decode::Untimed { field: "t".to_owned(), found: None, expected: "RFC 3339".to_owned() };
        let untimed = Untimed { records: 7, example, instead: "the time of reading".to_owned() };
        assert_eq!(notices.untimed(&untimed, begin), Some(7));
        let said: Vec<u64> =
            (1..=1200).filter_map(|second| notices.untimed(&untimed, begin + Duration::from_secs(second))).collect();
        assert_eq!(said, [4200, 4200], "once in ten minutes");
    }

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
