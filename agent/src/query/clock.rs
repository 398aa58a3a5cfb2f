//! Event time: each source's watermark, and the one that all of them agree on. It never goes back.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Data, SourceId};
use crate::sql::eval::eval;
use crate::sql::expr::{Context, Expr};

use super::codec;
use super::flow::{Flow, Refusals};

/// Before the first watermark.
pub(super) const NONE: i64 = i64::MIN;
/// After the end of bounded input.
pub(super) const END: i64 = i64::MAX;

/// The event time of one watermark node.
#[derive(Debug)]
pub(super) struct Clock {
    sources: BTreeMap<SourceId, Source>,
    now: i64,
    /// What is not written yet: sources, and the clock's own time.
    dirty: BTreeSet<SourceId>,
    moved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    mark: i64,
    state: SourceState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceState {
    Active,
    /// Gave nothing for so long that nobody waits for it; its next row makes it active again.
    Idle,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { sources: BTreeMap::new(), now: NONE, dirty: BTreeSet::new(), moved: false }
    }

    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// A source gives rows: it holds the watermark from now on.
    pub(super) fn activate(&mut self, id: SourceId) {
        self.become_state(id, SourceState::Active);
    }

    pub(super) fn become_state(&mut self, id: SourceId, state: SourceState) {
        let before = self.sources.get(&id).copied();
        if before.is_none_or(|before| before.state != state) {
            self.sources.insert(id, Source { mark: before.map_or(NONE, |before| before.mark), state });
            self.dirty.insert(id);
        }
    }

    /// It gives nothing any more, and holds nothing.
    pub(super) fn forget(&mut self, id: SourceId) {
        if self.sources.remove(&id).is_some() {
            self.dirty.insert(id);
        }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = SourceId> {
        self.sources.keys().copied()
    }

    /// What source `id` has given before its present batch, and the least that the other active sources have given.
    /// The clock's time before a row is the smaller of the source's mark there and the latter.
    pub(super) fn bounds(&self, id: SourceId) -> (i64, i64) {
        let active = |(other, source): (&SourceId, &Source)| {
            (*other != id && source.state == SourceState::Active).then_some(source.mark)
        };
        let others = self.sources.iter().filter_map(active).min().unwrap_or(END);
        (self.sources.get(&id).map_or(NONE, |source| source.mark), others)
    }

    /// The source has given this watermark.
    pub(super) fn advance(&mut self, id: SourceId, mark: i64) {
        if let Some(source) = self.sources.get_mut(&id)
            && mark > source.mark
        {
            source.mark = mark;
            self.dirty.insert(id);
        }
    }

    /// Moves to the least watermark of the active sources, if that is later than now. Where all are idle it is the
    /// greatest that one of them has given: as if they had become idle one after the other, as Flink has it.
    pub(super) fn settle(&mut self) {
        let marks = |state: SourceState| {
            self.sources.values().filter(move |source| source.state == state).map(|source| source.mark)
        };
        if let Some(mark) = marks(SourceState::Active).min().or_else(|| marks(SourceState::Idle).max()) {
            self.set(mark);
        }
    }

    pub(super) fn set(&mut self, now: i64) {
        if now > self.now {
            self.now = now;
            self.moved = true;
        }
    }

    /// After the end of a bounded run: time stands at what was closed, so that a later run can go on from there.
    pub(super) fn stand(&mut self, now: i64) {
        self.now = now;
        self.moved = true;
    }

    /// Sources that hold the watermark.
    pub(super) fn active(&self) -> impl Iterator<Item = SourceId> {
        self.sources.iter().filter(|(_, source)| source.state == SourceState::Active).map(|(id, _)| *id)
    }

    /// Writes the rows that changed since the last call: `key` begins with the operator's number.
    pub(super) fn write(&mut self, key: &[u8], all: bool, out: &mut Vec<u8>) {
        let ids: Vec<SourceId> =
            if all { self.sources.keys().copied().collect() } else { self.dirty.iter().copied().collect() };
        for id in ids {
            let mut row = key.to_vec();
            row.push(super::rows::SOURCE);
            codec::put_varint(id.0, &mut row);
            let Some(source) = self.sources.get(&id) else {
                codec::put_entry(&row, None, out);
                continue;
            };
            let mut value = vec![super::rows::VERSION, source.state as u8];
            codec::put_signed(source.mark, &mut value);
            codec::put_entry(&row, Some(&value), out);
        }
        if all || self.moved {
            let row = [key, &[super::rows::CLOCK]].concat();
            let mut value = vec![super::rows::VERSION];
            codec::put_signed(self.now, &mut value);
            codec::put_entry(&row, Some(&value), out);
        }
        if !all {
            self.dirty.clear();
            self.moved = false;
        }
    }

    pub(super) fn unload_source(&mut self, mut key: &[u8]) -> Option<()> {
        self.sources.remove(&SourceId(codec::varint(&mut key)?));
        Some(())
    }

    pub(super) fn load_source(&mut self, mut key: &[u8], value: &[u8]) -> Option<()> {
        let id = SourceId(codec::varint(&mut key)?);
        let (state, mut mark) = value.split_first()?;
        let state = match state {
            0 => SourceState::Active,
            1 => SourceState::Idle,
            _ => return None,
        };
        self.sources.insert(id, Source { mark: codec::signed(&mut mark)?, state });
        Some(())
    }

    pub(super) fn load(&mut self, mut value: &[u8]) -> Option<()> {
        self.now = codec::signed(&mut value)?;
        Some(())
    }
}

/// Gives each row the greatest watermark before it, drops rows whose time is NULL. Gives the rows, the greatest
/// watermark of all and how many rows were dropped.
pub(super) fn mark(
    mut flow: Flow,
    column: usize,
    watermark: &Expr,
    cx: &mut Context,
    refused: &mut Refusals,
) -> (Flow, i64, u64) {
    let mut marks = [eval(watermark, &flow.batch, cx)];
    flow.refuse(&mut marks, cx, refused);
    let [marks] = &marks;
    let mut greatest = NONE;
    flow.marks = Vec::with_capacity(flow.batch.rows);
    let Data::Int(values) = &marks.data else { return (flow, NONE, 0) };
    let time = flow.batch.columns.get(column);
    let has_null = time.is_some_and(|time| time.nulls.is_some()) || marks.nulls.is_some();
    if !has_null {
        for value in values {
            flow.marks.push(greatest);
            greatest = greatest.max(*value);
        }
        return (flow, greatest, 0);
    }
    let mut keep = Vec::with_capacity(flow.batch.rows);
    for (row, value) in values.iter().enumerate() {
        flow.marks.push(greatest);
        if time.is_some_and(|time| time.is_null(row)) {
            continue;
        }
        keep.push(row as u32);
        if !marks.is_null(row) {
            greatest = greatest.max(*value);
        }
    }
    let dropped = (flow.batch.rows - keep.len()) as u64;
    (if dropped == 0 { flow } else { flow.take(&keep) }, greatest, dropped)
}
