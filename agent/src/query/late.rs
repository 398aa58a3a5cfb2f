//! Rows that came too late for every window that they belong to. How many there were since the state began is a row of
//! that state, so that no kill and no reload counts one twice or forgets it. What such a row says is handed over where it
//! is wanted, and not kept.

use std::collections::{BTreeMap, HashMap};

use super::flow::Flow;
use super::groups::Span;
use super::program::Program;
use super::{codec, rows};
use crate::record::{Batch, Column, Data, Origin};

/// The late rows of one operator.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Since the state began; up to the last step; as it is stored.
    total: u64,
    told: u64,
    stored: u64,
    /// Of the flow that is being taken in.
    rows: Vec<LateRow>,
}

/// A row of a flow that came too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LateRow {
    pub(super) row: u32,
    /// The last of its windows (a session's: the one that it would have made), and the watermark before the row; times
    /// on the wall.
    pub(super) span: Span,
    pub(super) mark: i64,
}

impl Late {
    pub(super) fn add(&mut self, row: LateRow) {
        self.total += 1;
        self.rows.push(row);
    }

    /// The rows added since the last call.
    pub(super) fn take_rows(&mut self) -> Vec<LateRow> {
        std::mem::take(&mut self.rows)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Those since the last call.
    pub(super) fn news(&mut self) -> u64 {
        self.total - std::mem::replace(&mut self.told, self.total)
    }

    /// Writes the number, if it is another than what is stored, or as part of a base.
    pub(super) fn write(&mut self, node: usize, base: bool, out: &mut Vec<u8>) {
        if self.total == 0 || (!base && self.total == self.stored) {
            return;
        }
        let mut key = Vec::with_capacity(4);
        codec::put_varint(node as u64, &mut key);
        key.push(rows::LATE);
        let mut value = vec![rows::VERSION];
        codec::put_varint(self.total, &mut value);
        codec::put_entry(&key, Some(&value), out);
        if !base {
            self.stored = self.total;
        }
    }

    /// Takes what [`Late::write`] wrote.
    pub(super) fn load(&mut self, value: &[u8]) -> Option<()> {
        let (&rows::VERSION, mut value) = value.split_first()? else { return None };
        let total = codec::varint(&mut value)?;
        (self.total, self.told, self.stored) = (total, total, total);
        Some(())
    }
}

/// The rows of a batch that none of their windows has taken so far, each with the last window that it missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    spans: BTreeMap<u32, Span>,
}

impl Missed {
    /// Takes out the rows that are too late for a window, which takes none once the watermark is at `gone`. The windows
    /// of a row come in the order of their ends.
    pub(super) fn sort_out(&mut self, rows: &mut Vec<u32>, span: Span, gone: i64, marks: &[i64]) {
        rows.retain(|row| {
            let in_time = marks.get(*row as usize).is_none_or(|mark| *mark < gone);
            if !in_time {
                self.spans.insert(*row, span);
            } else if !self.spans.is_empty() {
                self.spans.remove(row);
            }
            in_time
        });
    }

    /// The rows, ascending.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (u32, Span)> {
        self.spans.into_iter()
    }
}

/// Rows that came too late for the windows of an operator, as they were read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LateRows {
    /// The operator, and the scan that the rows are of.
    pub(crate) node: usize,
    pub(crate) scan: usize,
    /// The numbers of the sink tables that want them.
    pub(crate) to: Vec<usize>,
    /// Start and end of the last window that each missed, the watermark that it met, all TIMESTAMP(3); then the columns of
    /// the scan. The origin tells rows of one record apart.
    pub(crate) batch: Batch,
}

/// Late rows of one flow of an operator.
#[derive(Debug)]
pub(super) struct Found {
    node: usize,
    origin: Origin,
    late: Vec<LateRow>,
}

impl Found {
    /// `None`: the rows are no source's, which are never late.
    pub(super) fn of(node: usize, flow: &Flow, late: Vec<LateRow>) -> Option<Found> {
        let rows: Vec<u32> = late.iter().map(|late| late.row).collect();
        Some(Found { node, origin: flow.batch.origin.as_ref()?.take(&rows), late })
    }

    /// The rows as they are in `read`, the batch that they were made of.
    pub(super) fn read(self, scan: usize, read: &Batch, program: &Program) -> Option<LateRows> {
        let record = |origin: &Origin, row: usize| (origin.offsets[row], origin.places.get(row).copied().unwrap_or(0));
        let origin = read.origin.as_ref()?;
        let rows = 0..origin.offsets.len();
        let records: HashMap<(u64, u32), u32> = rows.map(|row| (record(origin, row), row as u32)).collect();
        let place = |row: usize| records.get(&record(&self.origin, row)).copied();
        let rows: Vec<u32> = (0..self.late.len()).map(place).collect::<Option<_>>()?;
        let mut batch = read.take(&rows);
        let times: [fn(&LateRow) -> i64; 3] = [|late| late.span.0, |late| late.span.1, |late| late.mark];
        let column =
            |of: fn(&LateRow) -> i64| Column { data: Data::Int(self.late.iter().map(of).collect()), nulls: None };
        batch.columns.splice(0..0, times.map(column));
        batch.origin = Some(self.origin);
        Some(LateRows { node: self.node, scan, to: program.late_to[self.node].clone(), batch })
    }
}
