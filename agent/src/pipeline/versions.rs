//! External versions: they only grow, over restarts too, whatever the machine's clock does, and pass those that somebody
//! else has given. For rows that are encoded without a state the highest is kept in a row of the pipeline's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::{Row, Timestamp};
use crate::source::Source;

/// Rows of the pipeline itself; those of its sources have their place there (see `source::place`).
pub(super) const OWN_ROWS: usize = 255;
const ROW: u64 = (OWN_ROWS as u64) << 56 | 1;

/// The step of a query that this commit's positions are of.
const STEP_ROW: u64 = (OWN_ROWS as u64) << 56 | 2;

/// Whether a row stays when a query begins anew: versions must go on growing.
pub(super) fn outlives_reset(key: u64) -> bool {
    key == ROW
}

pub(super) fn step_row(step: u64) -> Row {
    Row { key: STEP_ROW, value: Some(step.to_le_bytes().into()) }
}

pub(super) fn step_of(rows: &[(u64, Box<[u8]>)]) -> Option<u64> {
    let (_, value) = rows.iter().find(|(key, _)| *key == STEP_ROW)?;
    value.as_ref().try_into().ok().map(u64::from_le_bytes)
}

/// Whether a row is the pipeline's own, and none of its sources'.
pub(super) fn is_own(key: u64) -> bool {
    key >> 56 == OWN_ROWS as u64
}

/// The row to go on with after commits were lost: what the pipeline drew stays drawn; a source's rows go back.
pub(super) fn rewind(key: u64, before: Option<&[u8]>, latest: &[u8]) -> Option<Box<[u8]>> {
    if is_own(key) { Some(latest.into()) } else { Source::rewind(key, before, latest) }
}

/// What versions there are, shared by whoever draws them and whoever hears of others'.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The highest version issued or found in the index, and the highest issued.
    highest: AtomicU64,
    issued: AtomicU64,
}

/// A clock as it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockMark {
    pub(super) highest: u64,
    pub(super) issued: u64,
}

impl Clock {
    pub(super) fn new(mark: ClockMark) -> Clock {
        Clock { highest: AtomicU64::new(mark.highest), issued: AtomicU64::new(mark.issued) }
    }

    /// The first of `count` versions drawn at `now_us`: all higher than any before.
    pub(super) fn draw(&self, now_us: u64, count: u64) -> u64 {
        let first = |last: u64| now_us.max(last + 1);
        let next = |last: u64| Some(first(last).saturating_add(count.max(1) - 1));
        let drawn = self.highest.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).map_or(now_us, first);
        self.issued.fetch_max(drawn.saturating_add(count.max(1) - 1), Ordering::AcqRel);
        drawn
    }

    /// The highest version of ours.
    pub(super) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Acquire)
    }

    /// Somebody else has given this one: the next are higher.
    pub(super) fn overtake(&self, version: u64) {
        self.highest.fetch_max(version, Ordering::AcqRel);
    }

    pub(super) fn mark(&self) -> ClockMark {
        ClockMark { highest: self.highest.load(Ordering::Acquire), issued: self.issued() }
    }
}

impl ClockMark {
    fn encode(self) -> Box<[u8]> {
        [self.highest.to_le_bytes(), self.issued.to_le_bytes()].concat().into()
    }

    fn decode(bytes: &[u8]) -> Option<ClockMark> {
        let (highest, issued) = bytes.split_first_chunk::<8>()?;
        let issued = issued.try_into().ok().map(u64::from_le_bytes)?;
        Some(ClockMark { highest: u64::from_le_bytes(*highest), issued })
    }
}

#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Drawn at all: the rows of some sink have ids that come again.
    wanted: bool,
    clock: Arc<Clock>,
}

impl Versions {
    /// `rows`: those of the last commit.
    pub(super) fn new(wanted: bool, rows: &[(u64, Box<[u8]>)]) -> Versions {
        let kept = rows.iter().find(|(key, _)| *key == ROW).and_then(|(_, value)| ClockMark::decode(value));
        Versions { wanted, clock: Arc::new(Clock::new(kept.unwrap_or_default())) }
    }

    pub(super) fn clock(&self) -> Arc<Clock> {
        self.clock.clone()
    }

    /// The first of at least `count` versions; 0 where none are wanted.
    pub(super) fn draw(&self, count: impl FnOnce() -> u64) -> u64 {
        if !self.wanted {
            return 0;
        }
        self.clock.draw(u64::try_from(Timestamp::now().0).unwrap_or(0).saturating_mul(1000), count())
    }

    /// What to commit with rows that have these versions.
    pub(super) fn row(&self) -> Option<Row> {
        self.wanted.then(|| Row { key: ROW, value: Some(self.clock.mark().encode()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_drawn_before_damage_are_not_drawn_again() {
        assert_eq!(rewind(ROW, Some(&[1; 8]), &[2; 8]), Some([2; 8].into()));
        assert_eq!(rewind(ROW, None, &[2; 8]), Some([2; 8].into()));
    }

    #[test]
    fn versions_grow_over_restarts_even_if_the_clock_goes_back() {
        let ahead = u64::MAX / 2;
        let rows = vec![(ROW, ClockMark { highest: ahead, issued: ahead }.encode())];
        let versions = Versions::new(true, &rows);
        assert_eq!((versions.draw(|| 10), versions.draw(|| 1)), (ahead + 1, ahead + 11));
        let Some(Row { key, value: Some(value) }) = versions.row() else { panic!() };
        assert_eq!(Versions::new(true, &[(key, value)]).draw(|| 1), ahead + 12);
        assert_eq!((Versions::new(false, &rows).draw(|| 9), Versions::default().row()), (0, None));
    }

    #[test]
    fn a_version_of_somebody_else_is_passed_and_none_of_ours_also_after_a_restart() {
        let versions = Versions::new(true, &[]);
        let ours = versions.draw(|| 5) + 4;
        versions.clock().overtake(ours + 1_000_000_000);
        let Some(Row { key, value: Some(value) }) = versions.row() else { panic!() };
        let again = Versions::new(true, &[(key, value)]);
        assert_eq!((versions.clock().issued(), again.clock().issued()), (ours, ours));
        assert_eq!(again.draw(|| 1), ours + 1_000_000_001);
        let clock = Clock::new(ClockMark { highest: 50, issued: 50 });
        assert_eq!((clock.draw(40, 5), clock.draw(40, 1), clock.draw(60, 0)), (51, 56, 60));
    }
}
