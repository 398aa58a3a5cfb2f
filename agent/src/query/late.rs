//! Rows that came too late for every window that they belong to. How many there were since the state began is a row of
//! that state, so that no kill and no reload counts one twice or forgets it. What such a row says is not kept.

use std::collections::BTreeMap;

use super::groups::Span;
use super::{codec, rows};

/// The late rows of one operator.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Since the state began; up to the last step; as it is stored.
    total: u64,
    told: u64,
    stored: u64,
}

impl Late {
    pub(super) fn add(&mut self, rows: u64) {
        self.total += rows;
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

    /// How many there are.
    pub(super) fn rows(&self) -> u64 {
        self.spans.len() as u64
    }
}
