//! `ROW_NUMBER() … = 1`: one row for each key. The first to arrive goes on at once and for good; the last one, or the
//! best by an order, is an upsert stream, or goes out when its window closes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use crate::record::{Batch, ChangeKind, Column, Data, Strings, Type, Value};
use crate::sql::expr::Context;
use crate::sql::plan::{First, Node, Order, Settings, WindowKind};

use super::clock::NONE;
use super::flow::{self, Flow};
use super::groups::{FINAL, Groups, Index, Keeps, Span};
use super::late::{Late, LateRow};
use super::windows::Wall;
use super::{codec, rows};

/// The state of one deduplication.
#[derive(Debug)]
pub(super) struct Firsts {
    pub(super) node: usize,
    plan: First,
    types: Vec<Type>,
    /// Of rows with equal order the later one wins, as in Flink's deduplication by rowtime DESC.
    newer_wins: bool,
    ttl: i64,
    gives_ids: bool,
    takes_back: bool,
    wall: Wall,
    pub(super) groups: Groups,
    index: Index,
    /// Each group's row, its columns one behind the other; empty where only its presence counts.
    held: Vec<Box<[u8]>>,
    heap: usize,
    /// Groups by the watermark that closes their window.
    open: BTreeMap<i64, Vec<u32>>,
    pub(super) closed: i64,
    swept: u32,
    pub(super) late: Late,
}

impl Firsts {
    pub(super) fn new(
        n: usize,
        plan: &First,
        input: &Node,
        settings: &Settings,
        (gives_ids, takes_back): (bool, bool),
    ) -> Firsts {
        let types: Vec<Type> = input.fields.iter().map(|field| field.ty.clone()).collect();
        let single_int = matches!(plan.keys.as_slice(), [key] if
            types.get(*key).is_some_and(|ty| matches!(Column::of(ty, 0).data, Data::Int(_))));
        let time = plan.window.as_ref().and_then(|window| types.get(window.time));
        let ttl = if plan.window.is_some() { 0 } else { settings.state_ttl.as_micros() as i64 };
        Firsts {
            node: n,
            newer_wins: plan.newer_wins,
            ttl,
            gives_ids,
            takes_back,
            wall: Wall::new(time, &settings.zone),
            groups: Groups::new(
                single_int,
                Keeps { spans: plan.window.is_some(), seen: ttl > 0, sent: takes_back && plan.window.is_none() },
            ),
            plan: plan.clone(),
            types,
            index: Index::default(),
            held: Vec::new(),
            heap: 0,
            open: BTreeMap::new(),
            closed: NONE,
            swept: 0,
            late: Late::default(),
        }
    }

    /// Whether its rows may be replaced later.
    fn upserts(&self) -> bool {
        !self.plan.keep_first && self.plan.window.is_none()
    }

    /// Takes rows in. `marks`: the watermark before each row; empty: none is late.
    pub(super) fn apply(&mut self, flow: &Flow, marks: &[i64], cx: &Context, out: &mut Vec<Flow>) {
        let keys: Option<Vec<&Column>> = self.plan.keys.iter().map(|key| flow.batch.columns.get(*key)).collect();
        let Some(keys) = keys else { return };
        let mut found = Vec::with_capacity(flow.batch.rows);
        let mut live = Vec::with_capacity(flow.batch.rows);
        let mut index = std::mem::take(&mut self.index);
        for row in 0..flow.batch.rows as u32 {
            let span = self.span(flow, row as usize);
            let closes = self.wall.closes_at(span.1);
            let mark = marks.get(row as usize).copied().unwrap_or(NONE);
            if self.plan.window.is_some() && closes <= mark {
                let mark = self.wall.local(mark);
                self.late.add(LateRow { row, span, mark });
                continue;
            }
            let slots = self.groups.count();
            self.groups.find(&mut index, span, &keys, &[row], &mut found);
            live.push(row);
            if self.plan.window.is_some() && self.groups.count() > slots {
                self.open.entry(closes).or_default().extend(found.last());
            }
        }
        self.index = index;
        self.held.resize(self.groups.slots() as usize, Box::default());
        self.expire_touched(&found, cx.now);
        if self.plan.keep_first {
            return self.keep_first(flow, &live, &found, out);
        }
        let mut best: HashMap<u32, u32> = HashMap::with_capacity(found.len().min(1024));
        for (row, group) in live.iter().zip(&found) {
            let place = best.entry(*group).or_insert(*row);
            if row != place && self.wins(flow, *row as usize, flow, *place as usize) {
                *place = *row;
            }
        }
        for (group, row) in best {
            self.offer(flow, row as usize, group);
        }
        self.groups.touch(&found);
    }

    fn span(&self, flow: &Flow, row: usize) -> Span {
        let int = |column: usize| match flow.batch.columns.get(column).map(|column| &column.data) {
            Some(Data::Int(values)) => values.get(row).copied().unwrap_or(0),
            _ => 0,
        };
        match self.plan.window.as_ref().map(|window| &window.kind) {
            Some(WindowKind::Given { start, end }) => (int(*start), int(*end)),
            _ => (0, 0),
        }
    }

    fn expire_touched(&mut self, groups: &[u32], now: i64) {
        if self.ttl == 0 {
            return;
        }
        for group in groups {
            let at = *group as usize;
            let seen = self.groups.seen[at];
            if seen != 0 && seen.saturating_add(self.ttl) <= now {
                self.groups.set(*group, FINAL, false);
                self.hold(*group, Box::default());
            }
            // A first row lives for the TTL from when it came; others from their last change.
            if !self.plan.keep_first || !self.groups.has(*group, FINAL) {
                self.groups.seen[at] = now;
            }
        }
    }

    fn keep_first(&mut self, flow: &Flow, live: &[u32], found: &[u32], out: &mut Vec<Flow>) {
        let mut new = Vec::new();
        for (row, group) in live.iter().zip(found) {
            if !self.groups.has(*group, FINAL) {
                self.groups.set(*group, FINAL, true);
                self.groups.touch(&[*group]);
                new.push(*row);
            }
        }
        if !new.is_empty() {
            out.push(flow.take(&new));
        }
    }

    /// Whether a row takes the place of an earlier one.
    fn wins(&self, flow: &Flow, row: usize, other: &Flow, than: usize) -> bool {
        if self.plan.order.is_empty() {
            return true;
        }
        for order in &self.plan.order {
            let value = |flow: &Flow, row| flow.batch.columns.get(order.column).map(|column| column.value(row));
            match compare(order, value(flow, row), value(other, than)) {
                Ordering::Less => return true,
                Ordering::Greater => return false,
                Ordering::Equal => {}
            }
        }
        self.newer_wins
    }

    fn offer(&mut self, flow: &Flow, row: usize, group: u32) {
        let held = &self.held[group as usize];
        if !held.is_empty() {
            let held = self.batch([held.as_ref()].into_iter());
            let held = Flow { batch: held, ..Flow::default() };
            if !self.wins(flow, row, &held, 0) {
                return;
            }
        }
        let mut bytes = Vec::with_capacity(64);
        flow.batch.columns.iter().for_each(|column| codec::put_value(&column.value(row), &mut bytes));
        self.hold(group, bytes.into());
    }

    fn hold(&mut self, group: u32, row: Box<[u8]>) {
        let place = &mut self.held[group as usize];
        self.heap = (self.heap + row.len()).saturating_sub(place.len());
        *place = row;
    }

    fn batch<'a>(&self, held: impl ExactSizeIterator<Item = &'a [u8]>) -> Batch {
        let rows = held.len();
        let mut columns: Vec<Column> = self.types.iter().map(|ty| Column::of(ty, rows)).collect();
        for mut row in held {
            columns.iter_mut().for_each(|column| column.push(&codec::value(&mut row).unwrap_or(Value::Null)));
        }
        Batch { columns, rows, origin: None }
    }

    /// These groups' rows as they are now.
    pub(super) fn flow(&self, groups: &[u32]) -> Flow {
        let batch = self.batch(groups.iter().map(|group| self.held[*group as usize].as_ref()));
        let mut ids = Strings::default();
        if self.gives_ids {
            for group in groups {
                let mut key = Vec::new();
                self.groups.put_key(*group, &mut key);
                codec::put_varint(self.node as u64, &mut key);
                flow::push_id(&key, &mut ids);
            }
        }
        let upserts = self.upserts();
        Flow {
            kinds: if upserts { vec![ChangeKind::Upsert; groups.len()] } else { Vec::new() },
            groups: if upserts && self.takes_back { groups.to_vec() } else { Vec::new() },
            marks: Vec::new(),
            ids: Some(ids),
            owner: self.node,
            batch,
        }
    }

    /// When the last window that is open closes.
    pub(super) fn last_close(&self) -> Option<i64> {
        self.open.keys().next_back().copied()
    }

    /// Emits the rows of windows that this watermark closes.
    pub(super) fn fire(&mut self, watermark: i64, out: &mut Vec<Flow>) {
        if watermark <= self.closed {
            return;
        }
        self.closed = watermark;
        let mut fired = Vec::new();
        while let Some(entry) = self.open.first_entry() {
            if *entry.key() > watermark {
                break;
            }
            let mut keyed: Vec<(Vec<u8>, u32)> = Vec::new();
            for group in entry.remove() {
                let mut key = Vec::new();
                self.groups.put_key(group, &mut key);
                keyed.push((key, group));
            }
            keyed.sort_unstable();
            fired.extend(keyed.into_iter().map(|(_, group)| group));
        }
        if fired.is_empty() {
            return;
        }
        out.push(self.flow(&fired));
        fired.iter().for_each(|group| self.bury(*group));
    }

    fn bury(&mut self, group: u32) {
        if self.groups.is_stored(group) {
            let row = self.row_key(group);
            self.groups.bury(&row);
        }
        self.unload(group);
    }

    fn unload(&mut self, group: u32) {
        self.groups.forget(&mut self.index, group);
        self.hold(group, Box::default());
        self.groups.release(group);
    }

    pub(super) fn changed(&mut self, step: u64, out: &mut Vec<Flow>) -> Vec<u32> {
        let dirty = self.groups.take_dirty();
        dirty.iter().for_each(|group| self.groups.changed[*group as usize] = step);
        if self.upserts() && !dirty.is_empty() {
            out.push(self.flow(&dirty));
        }
        dirty
    }

    /// The groups with an undelivered row; none where rows are not replaced.
    pub(super) fn is_undelivered(&self, group: u32, after: u64) -> bool {
        self.upserts() && self.groups.is_alive(group) && self.groups.changed[group as usize] > after
    }

    pub(super) fn sweep(&mut self, now: i64, delivered: u64, most: u32) {
        if self.ttl == 0 {
            return;
        }
        let slots = self.groups.slots();
        for _ in 0..most.min(slots) {
            self.swept = if self.swept + 1 < slots { self.swept + 1 } else { 0 };
            let (group, at) = (self.swept, self.swept as usize);
            let over = self.groups.seen[at].saturating_add(self.ttl) <= now;
            let settled = self.groups.changed[at] <= delivered && !self.groups.is_dirty(group);
            if over && settled && self.groups.is_alive(group) && self.groups.is_stored(group) {
                self.bury(group);
            }
        }
    }

    pub(super) fn heap(&self) -> usize {
        self.groups.heap() + 16 * self.held.len() + self.heap + 32 * self.open.len()
    }

    fn row_key(&self, group: u32) -> Vec<u8> {
        let mut row = Vec::with_capacity(32);
        codec::put_varint(self.node as u64, &mut row);
        row.push(rows::GROUP);
        let (start, end) = self.groups.spans.get(group as usize).copied().unwrap_or((0, 0));
        codec::put_ordered(start, &mut row);
        codec::put_ordered(end, &mut row);
        self.groups.put_key(group, &mut row);
        row
    }

    pub(super) fn write(&mut self, changed: &[u32], out: &mut Vec<u8>) {
        self.groups.take_dead().iter().for_each(|row| codec::put_entry(row, None, out));
        for group in changed {
            self.groups.set_stored(*group);
            self.write_all(*group, out);
        }
    }

    pub(super) fn write_all(&self, group: u32, out: &mut Vec<u8>) {
        if !self.groups.is_alive(group) {
            return;
        }
        let mut value = Vec::with_capacity(64);
        self.groups.put_head(group, &mut value);
        value.extend_from_slice(&self.held[group as usize]);
        codec::put_entry(&self.row_key(group), Some(&value), out);
    }

    pub(super) fn load(&mut self, mut key: &[u8], value: Option<&[u8]>) -> Option<()> {
        let span = (codec::ordered(&mut key)?, codec::ordered(&mut key)?);
        let before = self.groups.count();
        let mut index = std::mem::take(&mut self.index);
        let group = self.groups.find_key(&mut index, span, key);
        self.index = index;
        let group = group?;
        self.held.resize(self.groups.slots() as usize, Box::default());
        let closes = self.wall.closes_at(span.1);
        match value {
            Some(mut value) => {
                if self.plan.window.is_some() && self.groups.count() > before {
                    self.open.entry(closes).or_default().push(group);
                }
                self.groups.load_head(group, &mut value)?;
                self.hold(group, value.into());
            }
            None => {
                if let Some(open) = self.open.get_mut(&closes) {
                    open.retain(|other| *other != group);
                }
                self.unload(group);
            }
        }
        Some(())
    }
}

/// Which value comes first.
fn compare(order: &Order, a: Option<Value>, b: Option<Value>) -> Ordering {
    let (a, b) = (a.unwrap_or(Value::Null), b.unwrap_or(Value::Null));
    let nulls = if order.nulls_first { Ordering::Less } else { Ordering::Greater };
    let ascending = match (&a, &b) {
        (Value::Null, Value::Null) => return Ordering::Equal,
        (Value::Null, _) => return nulls,
        (_, Value::Null) => return nulls.reverse(),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => Ordering::Equal,
    };
    if order.descending { ascending.reverse() } else { ascending }
}
