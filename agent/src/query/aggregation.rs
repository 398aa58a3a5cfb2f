//! GROUP BY: groups with their accumulators, by key and, if there are windows, by window. A window's groups lie
//! together, ordered by the watermark that closes them, so closing looks at nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::record::{Batch, ChangeKind, Column, Strings, Type};
use crate::sql::expr::Context;
use crate::sql::plan::{Aggregate, AggregateFunction, Node, Settings, WindowKind};

use super::accumulate::Accumulator;
use super::clock::NONE;
use super::flow::{self, Flow};
use super::groups::{Groups, Index, Keeps, PENDING, Span};
use super::late::{Late, LateRow, Missed};
use super::members::Members;
use super::sessions::Sessions;
use super::windows::{self, Wall};
use super::{codec, rows};

/// The state of one aggregate.
#[derive(Debug)]
pub(super) struct Aggregation {
    pub(super) node: usize,
    pub(super) plan: Aggregate,
    pub(super) key_types: Vec<Type>,
    window_types: Vec<Type>,
    pub(super) wall: Wall,
    ttl: i64,
    lateness: i64,
    gives_ids: bool,
    takes_back: bool,
    pub(super) groups: Groups,
    pub(super) accumulators: Vec<Accumulator>,
    /// By call; `None` for calls that are not DISTINCT.
    pub(super) members: Vec<Option<Members>>,
    /// All groups, if there are no windows.
    plain: Index,
    /// By closing watermark and window.
    open: BTreeMap<(i64, Span), Index>,
    pub(super) sessions: Option<Sessions>,
    /// Windows that close at or before this have been emitted.
    pub(super) closed: i64,
    /// Groups that changed after their window was emitted, or before it for EMIT BEFORE WATERMARK.
    pending: Vec<u32>,
    emitted_at: i64,
    swept: u32,
    pub(super) late: Late,
}

impl Aggregation {
    pub(super) fn new(
        n: usize,
        node: &Node,
        plan: &Aggregate,
        input: &Node,
        settings: &Settings,
        (gives_ids, takes_back): (bool, bool),
    ) -> Result<Aggregation, String> {
        let ty = |column: &usize| input.fields.get(*column).map(|field| field.ty.clone()).unwrap_or(Type::Null);
        let key_types: Vec<Type> = plan.keys.iter().map(ty).collect();
        let single_int =
            matches!(key_types.as_slice(), [one] if matches!(Column::of(one, 0).data, crate::record::Data::Int(_)));
        let session = plan.window.as_ref().is_some_and(|window| matches!(window.kind, WindowKind::Session { .. }));
        let ttl = if plan.window.is_some() { 0 } else { settings.state_ttl.as_micros() as i64 };
        let lateness = if plan.window.is_some() { settings.allowed_lateness.as_micros() as i64 } else { 0 };
        if session && (lateness > 0 || plan.early.is_some()) {
            return Err("SESSION windows with allowed lateness or EMIT are not supported".to_string());
        }
        let keeps = Keeps { spans: plan.window.is_some(), seen: ttl > 0, sent: takes_back };
        let time = plan.window.as_ref().map(|window| window.time);
        let distinct = |call: &crate::sql::plan::AggregateCall| {
            // A second one makes no difference to these.
            use AggregateFunction::{ApproxCountDistinct, FirstValue, Max, Min};
            let same = matches!(call.function, Min | Max | FirstValue | ApproxCountDistinct);
            (call.distinct && !same).then(Members::default)
        };
        Ok(Aggregation {
            node: n,
            plan: plan.clone(),
            window_types: node.fields.iter().skip(plan.keys.len() + plan.calls.len()).map(|f| f.ty.clone()).collect(),
            wall: Wall::new(time.as_ref().map(&ty).as_ref(), &settings.zone),
            ttl,
            lateness,
            gives_ids,
            takes_back,
            groups: Groups::new(single_int && !session, keeps),
            accumulators: plan.calls.iter().map(Accumulator::new).collect::<Result<_, _>>()?,
            members: plan.calls.iter().map(distinct).collect(),
            plain: Index::default(),
            open: BTreeMap::new(),
            sessions: session.then(Sessions::default),
            closed: NONE,
            pending: Vec::new(),
            emitted_at: 0,
            swept: 0,
            late: Late::default(),
            key_types,
        })
    }

    pub(super) fn windowed(&self) -> bool {
        self.plan.window.is_some()
    }

    /// Takes rows in. `marks`: the watermark before each row; empty: none is late.
    pub(super) fn apply(&mut self, flow: &Flow, marks: &[i64], cx: &Context) {
        let Some(window) = self.plan.window.clone() else {
            let rows: Vec<u32> = (0..flow.batch.rows as u32).collect();
            let mut index = std::mem::take(&mut self.plain);
            self.add(flow, &mut index, (0, 0), &rows, cx);
            self.plain = index;
            return;
        };
        if self.sessions.is_some() {
            return self.apply_sessions(flow, &window, marks);
        }
        let mut missed = Missed::default();
        for (span, mut rows) in windows::buckets(&window, &mut self.wall, flow) {
            let closes = self.wall.closes_at(span.1);
            if !marks.is_empty() {
                missed.sort_out(&mut rows, span, closes.saturating_add(self.lateness), marks);
            }
            if rows.is_empty() {
                continue;
            }
            let mut index = self.open.remove(&(closes, span)).unwrap_or_default();
            let found = self.add(flow, &mut index, span, &rows, cx);
            self.open.insert((closes, span), index);
            let late = |row: &u32| marks.get(*row as usize).is_some_and(|mark| *mark >= closes);
            if self.plan.early.is_some() || (self.lateness > 0 && rows.iter().any(late)) {
                let early = self.plan.early.is_some_and(|early| early.before_watermark.is_some());
                let groups = found.iter().zip(&rows).filter(|(_, row)| early || late(row)).map(|(group, _)| *group);
                self.set_pending(&groups.collect::<Vec<u32>>());
            }
        }
        for (row, span) in missed.into_rows() {
            let mark = self.wall.local(marks[row as usize]);
            self.late.add(LateRow { row, span, mark });
        }
    }

    fn set_pending(&mut self, groups: &[u32]) {
        for group in groups {
            if !self.groups.has(*group, PENDING) {
                self.groups.set(*group, PENDING, true);
                self.pending.push(*group);
            }
        }
    }

    /// Adds these rows to their groups in one index; gives each row's group.
    fn add(&mut self, flow: &Flow, index: &mut Index, span: Span, rows: &[u32], cx: &Context) -> Vec<u32> {
        let Some(keys) = self.plan.keys.iter().map(|key| flow.batch.columns.get(*key)).collect::<Option<Vec<_>>>()
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        self.groups.find(index, span, &keys, rows, &mut found);
        self.resize();
        if self.ttl > 0 {
            self.expire_touched(&found, cx.now);
        }
        self.groups.touch(&found);
        self.accumulate(flow, rows, &found);
        found
    }

    pub(super) fn resize(&mut self) {
        let slots = self.groups.slots();
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.resize(slots));
        self.members.iter_mut().flatten().for_each(|members| members.resize(slots));
    }

    /// A group that was not written for longer than the TTL begins anew.
    fn expire_touched(&mut self, groups: &[u32], now: i64) {
        for group in groups {
            let seen = self.groups.seen[*group as usize];
            if seen != 0 && seen.saturating_add(self.ttl) <= now {
                self.clear(*group);
            }
            self.groups.seen[*group as usize] = now;
        }
    }

    /// Adds rows to the groups beside them.
    pub(super) fn accumulate(&mut self, flow: &Flow, rows: &[u32], groups: &[u32]) {
        for (i, accumulator) in self.accumulators.iter_mut().enumerate() {
            let call = accumulator.call();
            let column = |at: &usize| flow.batch.columns.get(*at);
            let Some(args) = call.args.iter().map(column).collect::<Option<Vec<_>>>() else { continue };
            let filter = call.filter.and_then(|at| flow.batch.columns.get(at));
            let (mut rows, mut groups) = counted(&args, filter, rows, groups);
            if let Some(Some(members)) = self.members.get_mut(i) {
                (rows, groups) = fresh(members, &args, &rows, &groups);
            }
            accumulator.update(&args, &rows, &groups);
        }
    }

    /// Emits the windows that this watermark closes, and forgets those that nothing can change any more.
    pub(super) fn fire(&mut self, watermark: i64, out: &mut Vec<Flow>) {
        if watermark <= self.closed {
            return;
        }
        let (before, done) = (self.closed, watermark.saturating_sub(self.lateness));
        self.closed = watermark;
        if self.sessions.is_some() {
            return self.fire_sessions(watermark, out);
        }
        let mut fired = Vec::new();
        let mut kept = BTreeMap::new();
        let mut gone = Vec::new();
        while let Some(entry) = self.open.first_entry() {
            let (closes, _) = *entry.key();
            if closes > watermark {
                break;
            }
            let (key, index) = entry.remove_entry();
            if closes > before {
                fired.extend(self.in_order(index.groups().collect()));
            }
            if closes <= done || watermark == super::clock::END {
                gone.extend(index.groups());
            } else {
                kept.insert(key, index);
            }
        }
        self.open.append(&mut kept);
        fired.iter().for_each(|group| self.groups.set(*group, PENDING, false));
        // Changes after the last emission of a window that goes now.
        let last: Vec<u32> = gone.iter().copied().filter(|group| self.groups.has(*group, PENDING)).collect();
        let last = self.in_order(last);
        self.emit(&fired, out);
        self.emit(&last, out);
        gone.iter().for_each(|group| self.bury(*group));
    }

    /// When the last window that is open closes.
    pub(super) fn last_close(&self) -> Option<i64> {
        let session = self.sessions.as_ref().and_then(Sessions::last_close);
        self.open.keys().next_back().map(|(closes, _)| *closes).max(session)
    }

    /// By key, so that the order does not depend on when each was made.
    pub(super) fn in_order(&self, groups: Vec<u32>) -> Vec<u32> {
        if groups.len() < 2 {
            return groups;
        }
        let key = |group: u32| {
            let mut key = Vec::new();
            self.groups.put_key(group, &mut key);
            (key, group)
        };
        let mut keyed: Vec<(Vec<u8>, u32)> = groups.into_iter().map(key).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, group)| group).collect()
    }

    /// Rows of these groups as they are now.
    pub(super) fn emit(&mut self, groups: &[u32], out: &mut Vec<Flow>) {
        if !groups.is_empty() {
            out.push(self.flow(groups));
        }
    }

    pub(super) fn flow(&self, groups: &[u32]) -> Flow {
        let mut columns: Vec<Column> = self.key_types.iter().map(|ty| Column::of(ty, groups.len())).collect();
        let mut ids = Strings::default();
        let mut key = Vec::new();
        for group in groups {
            key.clear();
            self.groups.put_key(*group, &mut key);
            let mut input = key.as_slice();
            columns.iter_mut().for_each(|column| {
                column.push(&codec::value(&mut input).unwrap_or(crate::record::Value::Null));
            });
            if self.gives_ids {
                codec::put_varint(self.node as u64, &mut key);
                if let Some((start, _)) = self.groups.spans.get(*group as usize) {
                    codec::put_ordered(*start, &mut key);
                }
                if let Some(WindowKind::Given { .. } | WindowKind::Cumulate { .. }) = self.window_kind() {
                    codec::put_ordered(self.groups.spans[*group as usize].1, &mut key);
                }
                flow::push_id(&key, &mut ids);
            }
        }
        columns.extend(self.accumulators.iter().map(|accumulator| accumulator.output(groups)));
        if self.windowed() {
            let spans: Vec<Span> = groups.iter().map(|group| self.groups.spans[*group as usize]).collect();
            columns.extend(windows::columns(&spans, &self.wall, &self.window_types.iter().collect::<Vec<_>>()));
        }
        let upserts = !self.windowed() || self.lateness > 0 || self.plan.early.is_some();
        Flow {
            batch: Batch { columns, rows: groups.len(), origin: None },
            marks: Vec::new(),
            kinds: if upserts { vec![ChangeKind::Upsert; groups.len()] } else { Vec::new() },
            ids: Some(ids),
            groups: if self.takes_back { groups.to_vec() } else { Vec::new() },
            owner: self.node,
        }
    }

    fn window_kind(&self) -> Option<&WindowKind> {
        self.plan.window.as_ref().map(|window| &window.kind)
    }

    /// The groups that changed since the last step, to be written; those of an upsert stream are emitted.
    pub(super) fn changed(&mut self, step: u64, out: &mut Vec<Flow>) -> Vec<u32> {
        let dirty = self.groups.take_dirty();
        dirty.iter().for_each(|group| self.groups.changed[*group as usize] = step);
        if !self.windowed() {
            self.emit(&dirty, out);
        }
        dirty
    }

    /// Emits changes of windows that are open still (EMIT BEFORE WATERMARK) or were emitted before (allowed
    /// lateness, EMIT AFTER WATERMARK) where their delay is over. `step`: also those without a delay.
    pub(super) fn emit_pending(&mut self, now: i64, out: &mut Vec<Flow>) {
        if self.pending.is_empty() {
            return;
        }
        let delays = self.plan.early;
        let before = delays.and_then(|early| early.before_watermark).map(|delay| delay.as_micros() as i64);
        let after = delays.and_then(|early| early.after_watermark).map_or(0, |delay| delay.as_micros() as i64);
        let passed = now.saturating_sub(self.emitted_at);
        let (mut due, mut wait) = (Vec::new(), Vec::new());
        for group in std::mem::take(&mut self.pending) {
            if !self.groups.is_alive(group) || !self.groups.has(group, PENDING) {
                continue;
            }
            let closes = self.wall.closes_at(self.groups.spans[group as usize].1);
            let delay = if closes <= self.closed { Some(after) } else { before };
            match delay {
                Some(delay) if passed >= delay => due.push(group),
                _ => wait.push(group),
            }
        }
        self.pending = wait;
        if due.iter().any(|group| self.wall.closes_at(self.groups.spans[*group as usize].1) > self.closed) || after > 0
        {
            self.emitted_at = now;
        }
        due.iter().for_each(|group| self.groups.set(*group, PENDING, false));
        // The mark that it is pending is part of the row.
        self.groups.touch(&due);
        let due = self.in_order(due);
        self.emit(&due, out);
    }

    /// The group is as before its first row; its stored members go.
    fn clear(&mut self, group: u32) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.reset(group));
        self.bury_members(group);
        if let Some(sent) = self.groups.sent.get_mut(group as usize) {
            *sent = 0;
        }
    }

    fn bury_members(&mut self, group: u32) {
        for i in 0..self.members.len() {
            let Some(members) = &mut self.members[i] else { continue };
            for member in members.clear(group) {
                let row = self.member_row(group, i, member.bytes());
                self.groups.bury(&row);
            }
        }
    }

    /// The group goes, with its stored rows; an index must not know it any more.
    pub(super) fn bury(&mut self, group: u32) {
        self.bury_members(group);
        if self.groups.is_stored(group) {
            let row = self.row_key(group, rows::GROUP);
            self.groups.bury(&row);
        }
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.reset(group));
        self.groups.release(group);
    }

    /// Looks at some groups whether their TTL is over. What is changed after `delivered` stays.
    pub(super) fn sweep(&mut self, now: i64, delivered: u64, most: u32) {
        if self.ttl == 0 || self.windowed() {
            return;
        }
        let slots = self.groups.slots();
        for _ in 0..most.min(slots) {
            self.swept = if self.swept + 1 < slots { self.swept + 1 } else { 0 };
            let (group, at) = (self.swept, self.swept as usize);
            let over = self.groups.seen[at].saturating_add(self.ttl) <= now;
            if over
                && self.groups.is_alive(group)
                && self.groups.is_stored(group)
                && self.groups.changed[at] <= delivered
                && !self.groups.is_dirty(group)
            {
                self.groups.forget(&mut self.plain, group);
                self.bury(group);
            }
        }
    }

    /// Whether a group's current row has yet to reach the sink; never where rows are not replaced.
    pub(super) fn is_undelivered(&self, group: u32, after: u64) -> bool {
        !self.windowed() && self.groups.is_alive(group) && self.groups.changed[group as usize] > after
    }

    pub(super) fn heap(&self) -> usize {
        let slots = self.groups.slots();
        let accumulators: usize = self.accumulators.iter().map(|accumulator| accumulator.heap(slots)).sum();
        let members: usize = self.members.iter().flatten().map(Members::heap).sum();
        self.groups.heap() + accumulators + members + 100 * self.open.len()
    }

    /// The index that a loaded group belongs to.
    pub(super) fn index_of(&mut self, span: Span) -> &mut Index {
        if !self.windowed() {
            return &mut self.plain;
        }
        self.open.entry((self.wall.closes_at(span.1), span)).or_default()
    }

    pub(super) fn take_index(&mut self, span: Span) -> Index {
        std::mem::take(self.index_of(span))
    }

    /// Puts an index back; a window without groups is no window.
    pub(super) fn put_index(&mut self, span: Span, index: Index) {
        if self.windowed() && index.is_empty() {
            self.open.remove(&(self.wall.closes_at(span.1), span));
        } else {
            *self.index_of(span) = index;
        }
    }

    pub(super) fn remember_pending(&mut self, group: u32) {
        self.pending.push(group);
    }
}

/// Rows, and the group of each.
type Pairs<'a> = (Cow<'a, [u32]>, Cow<'a, [u32]>);

/// The rows that count for a call: those that pass its FILTER and where no argument is NULL.
fn counted<'a>(args: &[&Column], filter: Option<&Column>, rows: &'a [u32], groups: &'a [u32]) -> Pairs<'a> {
    if filter.is_none() && args.iter().all(|column| column.nulls.is_none()) {
        return (Cow::Borrowed(rows), Cow::Borrowed(groups));
    }
    let passes = |row: usize| match filter {
        None => true,
        Some(column) => {
            !column.is_null(row)
                && matches!(&column.data, crate::record::Data::Bool(v) if v.get(row).copied().unwrap_or(false))
        }
    };
    let counts = |row: &u32| passes(*row as usize) && args.iter().all(|column| !column.is_null(*row as usize));
    let pairs = rows.iter().zip(groups).filter(|(row, _)| counts(row)).map(|(row, group)| (*row, *group));
    let (rows, groups): (Vec<u32>, Vec<u32>) = pairs.unzip();
    (Cow::Owned(rows), Cow::Owned(groups))
}

/// The rows whose value their group has not seen.
fn fresh<'a>(members: &mut Members, args: &[&Column], rows: &[u32], groups: &[u32]) -> Pairs<'a> {
    let mut value = Vec::new();
    let mut new = |row: u32, group: u32| {
        value.clear();
        args.iter().for_each(|column| codec::put_cell(column, row as usize, &mut value));
        members.add(group, &value, false)
    };
    let pairs = rows.iter().zip(groups).map(|(row, group)| (*row, *group)).filter(|(row, group)| new(*row, *group));
    let (rows, groups): (Vec<u32>, Vec<u32>) = pairs.unzip();
    (Cow::Owned(rows), Cow::Owned(groups))
}
