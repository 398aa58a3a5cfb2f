//! Tells a source how far what it handed out has arrived: which of its committed rows are durable, and which have
//! nothing owed before them any more. Only those may be acknowledged to whoever has the data (a consumer group).
//!
//! Promises: never too early. What is not known of each commit singly is taken together: rows count as settled when
//! nothing is owed up to the durable frontier that was seen after theirs. What is remembered is bounded.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::versions::OWN_ROWS;
use crate::record::{Row, SourceId};
use crate::source::{self, Source};
use crate::store;

/// More commits than this are remembered two as one.
const MOST: usize = 1024;
/// Between two looks at what is owed.
const EVERY: Duration = Duration::from_millis(100);

/// Rows that wait until nothing is owed before them.
#[derive(Debug)]
struct Waiting {
    /// The store's frontier, not before theirs.
    frontier: u64,
    /// The query's step that they belong to; 0 without a query.
    step: u64,
    rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Arrivals {
    wanted: bool,
    waiting: VecDeque<Waiting>,
    looked: Instant,
}

impl Arrivals {
    /// What was committed before is waited for as well.
    pub(super) fn new(source: &Source, door: &store::Pipeline) -> Arrivals {
        let mut arrivals = Arrivals { wanted: source.wants_news(), waiting: VecDeque::new(), looked: Instant::now() };
        arrivals.begin_again(door);
        arrivals
    }

    /// The rows are those of the store now, whatever was committed before.
    pub(super) fn begin_again(&mut self, door: &store::Pipeline) {
        self.waiting.clear();
        if self.wanted {
            let rows = door.rows().into_iter().map(|(key, value)| Row { key, value: Some(value) });
            let rows = rows.filter(is_of_source).collect();
            self.waiting.push_back(Waiting { frontier: door.frontier(), step: 0, rows });
        }
    }

    /// The rows of a commit that a source wants to hear of again.
    pub(super) fn of(&self, rows: &[Row]) -> Vec<Row> {
        if self.wanted { rows.iter().filter(|row| is_of_source(row)).cloned().collect() } else { Vec::new() }
    }

    /// A commit with these rows has become durable.
    pub(super) fn durable(&mut self, rows: Vec<Row>, step: u64, source: &mut Source, door: &store::Pipeline) {
        if rows.is_empty() {
            return;
        }
        source.settled(&rows, false);
        self.waiting.push_back(Waiting { frontier: door.frontier(), step, rows });
        if self.waiting.len() > MOST {
            self.thin();
        }
    }

    /// Something waits for what is owed.
    pub(super) fn some(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells the source what has arrived. `delivered`: up to which step all results of a query have.
    pub(super) fn look(&mut self, delivered: Option<u64>, source: &mut Source, door: &store::Pipeline, now: Instant) {
        if self.waiting.is_empty() || now.saturating_duration_since(self.looked) < EVERY {
            return;
        }
        self.looked = now;
        self.look_now(delivered, source, door);
    }

    /// As [`Arrivals::look`], even if it has just been looked.
    pub(super) fn look_now(&mut self, delivered: Option<u64>, source: &mut Source, door: &store::Pipeline) {
        if self.waiting.is_empty() {
            return;
        }
        let owed_from = door.owed_from();
        let arrived =
            |waiting: &Waiting| waiting.frontier < owed_from && delivered.is_none_or(|step| waiting.step <= step);
        while self.waiting.front().is_some_and(arrived) {
            if let Some(waiting) = self.waiting.pop_front() {
                source.settled(&waiting.rows, true);
            }
        }
    }

    /// Two neighbours become one that arrives when the later does.
    fn thin(&mut self) {
        let mut thinned = VecDeque::with_capacity(MOST);
        while let Some(mut first) = self.waiting.pop_front() {
            let Some(second) = self.waiting.pop_front() else {
                thinned.push_back(first);
                break;
            };
            let mut rows: HashMap<u64, Row> = first.rows.drain(..).map(|row| (row.key, row)).collect();
            rows.extend(second.rows.into_iter().map(|row| (row.key, row)));
            thinned.push_back(Waiting { rows: rows.into_values().collect(), ..second });
        }
        self.waiting = thinned;
    }
}

fn is_of_source(row: &Row) -> bool {
    source::place(SourceId(row.key)) != OWN_ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_commits_are_remembered_as_few_and_none_arrives_too_early() {
        let mut arrivals = Arrivals { wanted: true, waiting: VecDeque::new(), looked: Instant::now() };
        for n in 0..10_u64 {
            let rows = vec![Row { key: n % 2, value: Some(vec![n as u8].into()) }];
            arrivals.waiting.push_back(Waiting { frontier: n, step: n, rows });
        }
        arrivals.thin();
        let kept: Vec<(u64, usize)> = arrivals.waiting.iter().map(|w| (w.frontier, w.rows.len())).collect();
        assert_eq!(kept, [(1, 2), (3, 2), (5, 2), (7, 2), (9, 2)]);
        arrivals.thin();
        let last = arrivals.waiting.back().unwrap();
        assert_eq!((arrivals.waiting.len(), last.frontier), (3, 9));
        let mut rows = arrivals.waiting[0].rows.clone();
        rows.sort_by_key(|row| row.key);
        assert_eq!(rows.iter().map(|row| row.value.as_ref().unwrap()[0]).collect::<Vec<_>>(), [2, 3]);
    }
}
