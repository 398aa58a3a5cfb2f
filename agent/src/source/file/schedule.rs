//! When each file is looked at: often while it grows, rarely while it does not.
//!
//! A heap of (tick, slot) without deletion: the entry's own `due` decides, and an item of the heap that says
//! otherwise is stale. Looks fall on a grid, so that thousands of idle files do not wake the thread one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::{Slot, Table};
use super::tracked::Tick;

/// Distance between looks at a file that has just grown.
pub(super) const ACTIVE: u32 = 20;
/// Looks at files that have not grown for long, where nobody tells us of changes.
const IDLE: u32 = 10_000;
/// So many idle files are looked at within a second; with more, each is looked at less often.
const LOOKS_PER_SECOND: usize = 5_000;
const IDLE_GRID: u64 = 100;

#[derive(Debug, Default)]
pub(super) struct Looks {
    heap: BinaryHeap<Reverse<(Tick, Slot)>>,
}

impl Looks {
    /// The next look at `slot` is at `due` (rounded up to the grid), instead of when it was to be.
    pub(super) fn at(&mut self, table: &mut Table, slot: Slot, due: Tick) {
        let entry = table.get_mut(slot);
        if entry.due == due {
            return;
        }
        entry.due = due;
        self.heap.push(Reverse((due, slot)));
        if self.heap.len() > 1024 + 4 * table.live() {
            self.heap.retain(|Reverse((due, slot))| table.get(*slot).due == *due);
        }
    }

    /// As [`Looks::at`], if that is sooner.
    pub(super) fn by(&mut self, table: &mut Table, slot: Slot, due: Tick) {
        if due < table.get(slot).due {
            self.at(table, slot, due);
        }
    }

    /// After a look: soon if the file grew, later the longer it has not.
    pub(super) fn after(&mut self, table: &mut Table, slot: Slot, now: Tick, grew: bool) {
        let slowest = IDLE.max((table.live() * 1000 / LOOKS_PER_SECOND) as u32);
        let entry = table.get_mut(slot);
        // In proportion to how long it has been quiet, however often somebody had it looked at meanwhile.
        let quiet = if grew { 0 } else { now.saturating_sub(entry.grown_at) };
        entry.interval = u32::try_from(quiet / 8).unwrap_or(slowest).clamp(ACTIVE, slowest);
        let due = now + Tick::from(entry.interval);
        let due = if entry.interval > 200 { due.next_multiple_of(IDLE_GRID) } else { due };
        self.at(table, slot, due);
    }

    /// A slot whose look is due.
    pub(super) fn pop(&mut self, table: &mut Table, now: Tick) -> Option<Slot> {
        while let Some(Reverse((due, slot))) = self.heap.peek().copied() {
            let entry = table.get_mut(slot);
            if entry.due == due && due > now {
                return None;
            }
            self.heap.pop();
            if entry.due == due {
                entry.due = Tick::MAX;
                return Some(slot);
            }
        }
        None
    }

    /// When the next look is due, perhaps too early.
    pub(super) fn next(&self) -> Option<Tick> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }
}
