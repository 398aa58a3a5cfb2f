//! What the ingest loop tells the log: what there is to read, passed-over bytes, why reading waits, records
//! without a readable time, records that a full buffer dropped. Repeats are summed up.

use std::time::{Duration, Instant};

use splashdam_api::words::bytes;

use super::codec::Untimed;
use crate::record::{Gap, GapReason, Timestamp};
use crate::source::{Progress, Source};
use crate::store::Room;

/// Between two lines about passed-over bytes.
const EVERY: Duration = Duration::from_secs(10);

/// The end of a long line comes in many pieces: so long after the first of them it is told how many bytes they are.
const GATHER: Duration = Duration::from_secs(1);

/// Between two lines about records without a readable time: it is a mistake in a job, or in what writes the log.
const UNTIMED_EVERY: Duration = Duration::from_secs(600);

/// Between two lines about records that were dropped.
const DROPPED_EVERY: Duration = Duration::from_secs(60);

/// What is not said yet. (The source itself logs bytes that are lost.)
#[derive(Debug)]
pub(super) struct Notices {
    job: String,
    looked: bool,
    said: Option<Instant>,
    /// When the first of the passed-over bytes came that are not told yet.
    unsaid_since: Option<Instant>,
    long_bytes: u64,
    nul_bytes: u64,
    untimed_said: Option<Instant>,
    untimed: u64,
    /// How many records had been dropped in all when it was last looked, if it was.
    dropped_seen: Option<u64>,
    /// How many of them are not said yet, and since when.
    dropped: u64,
    dropped_since: Option<Timestamp>,
    dropped_said: Option<Instant>,
    room: Room,
}

impl Notices {
    pub(super) fn new(job: String) -> Notices {
        Notices {
            job,
            looked: false,
            said: None,
            unsaid_since: None,
            long_bytes: 0,
            nul_bytes: 0,
            untimed_said: None,
            untimed: 0,
            dropped_seen: None,
            dropped: 0,
            dropped_since: None,
            dropped_said: None,
            room: Room::Yes,
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
            Source::Several(sources) if sources.are_logstores() => tracing::info!(%job, "reading Logstores"),
            Source::File(_) | Source::Several(_) => {
                let Progress { read, total } = source.progress();
                tracing::info!(%job, files, unread = %bytes(total.max(read)), "reading");
            }
            Source::Stdin(_) => tracing::info!(%job, "reading standard input"),
            Source::Sls(_) => tracing::info!(%job, "reading a Logstore"),
        }
    }

    /// Says how many bytes were passed over, some time after the first of them. Gives what it says: bytes of long
    /// lines and NULs.
    pub(super) fn gaps(&mut self, gaps: &[Gap], now: Instant) -> Option<(u64, u64)> {
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
        if self.long_bytes + self.nul_bytes == 0 {
            return None;
        }
        let since = *self.unsaid_since.get_or_insert(now);
        let due = self.said.map_or(since + GATHER, |said| (said + EVERY).max(since + GATHER));
        if now >= due { self.passed_over(now) } else { None }
    }

    /// Says at once what is not said yet: nothing will follow for now.
    pub(super) fn passed_over(&mut self, now: Instant) -> Option<(u64, u64)> {
        let (long_bytes, nul_bytes) = (std::mem::take(&mut self.long_bytes), std::mem::take(&mut self.nul_bytes));
        if long_bytes + nul_bytes == 0 {
            return None;
        }
        (self.said, self.unsaid_since) = (Some(now), None);
        tracing::warn!(job = %self.job, long_bytes, nul_bytes, "passed over: ends of lines longer than max_line_bytes, runs of NUL bytes");
        Some((long_bytes, nul_bytes))
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

    /// Takes note of how many records were dropped in all, ever; says whether they have become more.
    pub(super) fn note_dropped(&mut self, total: u64, at: Timestamp) -> bool {
        let more = total.saturating_sub(self.dropped_seen.unwrap_or(total));
        self.dropped_seen = Some(total);
        if more == 0 {
            return false;
        }
        self.dropped += more;
        self.dropped_since.get_or_insert(at);
        true
    }

    /// Says that records were dropped, if it is time to say so again. Gives how many, if it does.
    pub(super) fn dropped(&mut self, now: Instant) -> Option<u64> {
        if self.dropped_said.is_some_and(|said| now.duration_since(said) < DROPPED_EVERY) {
            return None;
        }
        let records = self.dropped_at_last()?;
        self.dropped_said = Some(now);
        Some(records)
    }

    /// Says what is not said yet of records that were dropped, since no other time will come.
    pub(super) fn dropped_at_last(&mut self) -> Option<u64> {
        let since = self.dropped_since.take()?.to_rfc3339();
        let records = std::mem::take(&mut self.dropped);
        tracing::warn!(job = %self.job, records, %since, "the buffer is full: records were dropped, as when_full says");
        Some(records)
    }

    /// Says when reading begins to wait, and when it goes on. (Why it is parked may have numbers in it that move on.)
    pub(super) fn room(&mut self, room: Room) {
        if std::mem::discriminant(&room) == std::mem::discriminant(&self.room) {
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
    fn the_end_of_a_long_line_is_told_whole_and_not_by_its_first_piece() {
        let mut notices = Notices::new("a".to_owned());
        let begin = Instant::now();
        let gap = |reason, bytes| [Gap { path: "/a".into(), from: 0, bytes, reason }];
        assert_eq!(notices.gaps(&gap(GapReason::LongLine, 8), begin), None);
        assert_eq!(notices.gaps(&gap(GapReason::LongLine, 30_000_000), begin + GATHER / 2), None);
        assert_eq!(notices.gaps(&[], begin + GATHER), Some((30_000_008, 0)));
        // Nothing comes after the end of a run that would have it told.
        assert_eq!(notices.gaps(&gap(GapReason::NulHole, 5), begin + GATHER), None);
        assert_eq!(notices.passed_over(begin + GATHER), Some((0, 5)));
        assert_eq!(notices.passed_over(begin + GATHER), None);
    }

    #[test]
    fn dropped_records_are_told_at_once_and_then_summed_up() {
        let mut notices = Notices::new("a".to_owned());
        let begin = Instant::now();
        // What earlier runs dropped is theirs.
        assert!(!notices.note_dropped(1000, Timestamp(0)));
        assert_eq!(notices.dropped(begin), None);
        let mut said = Vec::new();
        for second in 1..=150 {
            assert!(notices.note_dropped(1000 + second, Timestamp(second.cast_signed() * 1000)));
            said.extend(notices.dropped(begin + Duration::from_secs(second)));
        }
        assert_eq!(said, [1, 60, 60], "once in a minute");
        assert_eq!(notices.dropped_since, Some(Timestamp(122_000)));
        assert_eq!((notices.dropped_at_last(), notices.dropped_at_last()), (Some(29), None));
    }

    #[test]
    fn passed_over_bytes_are_summed_up_between_two_lines() {
        let mut notices = Notices::new("a".to_owned());
        let begin = Instant::now();
        let gap = Gap { path: "/a".into(), from: 0, bytes: 3, reason: GapReason::NulHole };
        assert_eq!(notices.gaps(&[gap.clone(), gap.clone()], begin), None);
        let said: Vec<(u64, u64)> = (1..=120)
            .filter_map(|second| notices.gaps(std::slice::from_ref(&gap), begin + Duration::from_secs(second)))
            .collect();
        assert_eq!(said.len(), 12, "once in ten seconds");
        assert_eq!((said[0], said[1]), ((0, 9), (0, 30)));
    }
}
