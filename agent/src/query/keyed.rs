//! A stateful operator, whichever it is: what the engine asks of all of them alike.

use super::aggregation::Aggregation;
use super::first::Firsts;
use super::flow::Flow;
use super::late::Late;
use super::rows;
use crate::sql::expr::Context;

#[derive(Debug)]
pub(super) enum Keyed {
    Aggregate(Box<Aggregation>),
    First(Box<Firsts>),
}

impl Keyed {
    /// When the last window that is open closes.
    pub(super) fn last_close(&self) -> Option<i64> {
        match self {
            Keyed::Aggregate(state) => state.last_close(),
            Keyed::First(state) => state.last_close(),
        }
    }

    /// What closes at or before this time has been closed.
    pub(super) fn set_closed(&mut self, time: i64) {
        match self {
            Keyed::Aggregate(state) => state.closed = time,
            Keyed::First(state) => state.closed = time,
        }
    }

    /// Takes rows in. `marks` as for [`Aggregation::apply`]. What goes on at once goes to `out`.
    pub(super) fn apply(&mut self, flow: &Flow, marks: &[i64], cx: &Context, out: &mut Vec<Flow>) {
        match self {
            Keyed::Aggregate(state) => state.apply(flow, marks, cx),
            Keyed::First(state) => state.apply(flow, marks, cx, out),
        }
    }

    pub(super) fn late(&self) -> &Late {
        match self {
            Keyed::Aggregate(state) => &state.late,
            Keyed::First(state) => &state.late,
        }
    }

    pub(super) fn late_mut(&mut self) -> &mut Late {
        match self {
            Keyed::Aggregate(state) => &mut state.late,
            Keyed::First(state) => &mut state.late,
        }
    }

    /// Writes the rows of these groups, and tombstones of those that are gone.
    pub(super) fn write(&mut self, groups: &[u32], out: &mut Vec<u8>) {
        match self {
            Keyed::Aggregate(state) => state.write(groups, out),
            Keyed::First(state) => state.write(groups, out),
        }
    }

    /// Numbers of groups are smaller than this.
    pub(super) fn slots(&self) -> u32 {
        match self {
            Keyed::Aggregate(state) => state.groups.slots(),
            Keyed::First(state) => state.groups.slots(),
        }
    }

    /// Writes a group as part of a base.
    pub(super) fn write_all(&self, group: u32, out: &mut Vec<u8>) {
        match self {
            Keyed::Aggregate(state) => state.write_all(group, out),
            Keyed::First(state) => state.write_all(group, out),
        }
    }

    /// Whether a group's present row, changed after this step, has yet to reach the sink.
    pub(super) fn is_undelivered(&self, group: u32, after: u64) -> bool {
        match self {
            Keyed::Aggregate(state) => state.is_undelivered(group, after),
            Keyed::First(state) => state.is_undelivered(group, after),
        }
    }

    /// These groups' rows as they are now.
    pub(super) fn flow(&self, groups: &[u32]) -> Flow {
        match self {
            Keyed::Aggregate(state) => state.flow(groups),
            Keyed::First(state) => state.flow(groups),
        }
    }

    /// By group, the outputs that hold its row.
    pub(super) fn sent(&mut self) -> &mut [u32] {
        match self {
            Keyed::Aggregate(state) => &mut state.groups.sent,
            Keyed::First(state) => &mut state.groups.sent,
        }
    }

    /// Bytes of memory, about.
    pub(super) fn heap(&self) -> usize {
        match self {
            Keyed::Aggregate(state) => state.heap(),
            Keyed::First(state) => state.heap(),
        }
    }

    /// The groups there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Keyed::Aggregate(state) => state.groups.count(),
            Keyed::First(state) => state.groups.count(),
        }
    }

    /// Takes a stored row. `None`: it is no row that this build can read.
    pub(super) fn load(&mut self, kind: u8, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        match self {
            _ if kind == rows::LATE => self.late_mut().load(value?),
            Keyed::Aggregate(state) => state.load(kind, key, value),
            Keyed::First(state) => state.load(key, value),
        }
    }
}
