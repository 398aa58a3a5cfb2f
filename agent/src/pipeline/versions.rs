//! External versions for rows that are encoded without a state: they only grow, over restarts too, whatever the
//! machine's clock does. The highest one is kept in a row of the pipeline's own.

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

/// The row to go on with after commits were lost: what the pipeline drew stays drawn; a source's rows go back.
pub(super) fn rewind(key: u64, before: Option<&[u8]>, latest: &[u8]) -> Option<Box<[u8]>> {
    if key >> 56 == OWN_ROWS as u64 { Some(latest.into()) } else { Source::rewind(key, before, latest) }
}

#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Drawn at all: the rows of some sink have ids that come again.
    wanted: bool,
    last: u64,
}

impl Versions {
    /// `rows`: those of the last commit.
    pub(super) fn new(wanted: bool, rows: &[(u64, Box<[u8]>)]) -> Versions {
        let kept = rows.iter().find(|(key, _)| *key == ROW).and_then(|(_, value)| value.as_ref().try_into().ok());
        Versions { wanted, last: kept.map_or(0, u64::from_le_bytes) }
    }

    /// The first of at least `count` versions; 0 where none are wanted.
    pub(super) fn draw(&mut self, count: impl FnOnce() -> u64) -> u64 {
        if !self.wanted {
            return 0;
        }
        let count = count();
        let first = u64::try_from(Timestamp::now().0).unwrap_or(0).saturating_mul(1000).max(self.last + 1);
        self.last = first.saturating_add(count.max(1) - 1);
        first
    }

    /// What to commit with rows that have these versions.
    pub(super) fn row(&self) -> Option<Row> {
        self.wanted.then(|| Row { key: ROW, value: Some(self.last.to_le_bytes().into()) })
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
        let rows = vec![(ROW, ahead.to_le_bytes().into())];
        let mut versions = Versions::new(true, &rows);
        assert_eq!((versions.draw(|| 10), versions.draw(|| 1)), (ahead + 1, ahead + 11));
        let Some(Row { key, value: Some(value) }) = versions.row() else { panic!() };
        assert_eq!(Versions::new(true, &[(key, value)]).draw(|| 1), ahead + 12);
        assert_eq!((Versions::new(false, &rows).draw(|| 9), Versions::default().row()), (0, None));
    }
}
