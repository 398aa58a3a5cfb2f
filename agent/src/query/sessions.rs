//! SESSION windows: a row joins its key's windows that it touches, and those become one.

use std::collections::{BTreeSet, HashMap};

use crate::record::{Column, Data};
use crate::sql::plan::{Window, WindowKind};

use super::aggregation::Aggregation;
use super::clock::NONE;
use super::flow::Flow;
use super::groups::Span;
use super::late::LateRow;
use super::{codec, rows};

/// Where the open sessions are.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_key: HashMap<Box<[u8]>, Vec<u32>>,
    /// By closing watermark.
    ends: BTreeSet<(i64, u32)>,
}

/// Rows that are assigned but not added yet.
#[derive(Default)]
struct Assigned {
    rows: Vec<u32>,
    groups: Vec<u32>,
}

impl Sessions {
    pub(super) fn last_close(&self) -> Option<i64> {
        self.ends.last().map(|(closes, _)| *closes)
    }
}

impl Aggregation {
    /// Takes rows in, one after the other: what a row joins depends on all before it.
    pub(super) fn apply_sessions(&mut self, flow: &Flow, window: &Window, marks: &[i64]) {
        let WindowKind::Session { gap } = window.kind else { return };
        let Some(Column { data: Data::Int(times), nulls }) = flow.batch.columns.get(window.time) else { return };
        let keys: Vec<&Column> = self.plan.keys.iter().filter_map(|key| flow.batch.columns.get(*key)).collect();
        let mut assigned = Assigned::default();
        let mut key = Vec::new();
        for (row, time) in times.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls[row]) {
                continue;
            }
            key.clear();
            keys.iter().for_each(|column| codec::put_cell(column, row, &mut key));
            let start = self.wall.local(*time);
            let mark = marks.get(row).copied().unwrap_or(NONE);
            match self.join(&key, (start, start.saturating_add(gap)), mark, flow, &mut assigned) {
                Some(group) => {
                    assigned.rows.push(row as u32);
                    assigned.groups.push(group);
                }
                None => {
                    let mark = self.wall.local(mark);
                    self.late.add(LateRow { row: row as u32, span: (start, start.saturating_add(gap)), mark });
                }
            }
        }
        self.add_assigned(flow, &mut assigned);
    }

    fn add_assigned(&mut self, flow: &Flow, assigned: &mut Assigned) {
        self.resize();
        self.groups.touch(&assigned.groups);
        self.accumulate(flow, &assigned.rows, &assigned.groups);
        *assigned = Assigned::default();
    }

    /// The session that a row's own window becomes part of; `None` if the row is late.
    fn join(&mut self, key: &[u8], own: Span, mark: i64, flow: &Flow, assigned: &mut Assigned) -> Option<u32> {
        let sessions = self.sessions.as_mut()?;
        let (spans, wall) = (&self.groups.spans, &self.wall);
        let mut touched: Vec<u32> = Vec::new();
        if let Some(open) = sessions.by_key.get_mut(key) {
            // What the watermark has passed takes no more rows; it is emitted with the others of this batch.
            open.retain(|group| wall.closes_at(spans[*group as usize].1) > mark);
            let touches = |group: &&u32| spans[**group as usize].0 <= own.1 && spans[**group as usize].1 >= own.0;
            touched.extend(open.iter().filter(touches));
        }
        touched.sort_by_key(|group| spans[*group as usize]);
        let Some((into, others)) = touched.split_first() else {
            if wall.closes_at(own.1) <= mark {
                return None;
            }
            let group = self.groups.make_apart(own, key);
            self.open_session(group, key);
            return Some(group);
        };
        let ends = touched.iter().map(|group| spans[*group as usize].1).max().unwrap_or(own.1);
        let all = (spans[*into as usize].0.min(own.0), ends.max(own.1));
        if !others.is_empty() {
            self.add_assigned(flow, assigned);
        }
        if all != self.groups.spans[*into as usize] {
            self.stretch(*into, all);
        }
        for other in others {
            self.absorb(*into, *other);
        }
        Some(*into)
    }

    fn open_session(&mut self, group: u32, key: &[u8]) {
        let closes = self.wall.closes_at(self.groups.spans[group as usize].1);
        if let Some(sessions) = &mut self.sessions {
            sessions.ends.insert((closes, group));
            sessions.by_key.entry(key.into()).or_default().push(group);
        }
    }

    /// Gives a session another span; its stored rows have the old one in their keys and go.
    fn stretch(&mut self, group: u32, span: Span) {
        self.resize();
        let before = self.wall.closes_at(self.groups.spans[group as usize].1);
        if self.groups.is_stored(group) {
            let row = self.row_key(group, rows::GROUP);
            self.groups.bury(&row);
            for i in 0..self.members.len() {
                let Some(members) = &mut self.members[i] else { continue };
                let members = members.renew(group);
                for member in members {
                    let row = self.member_row(group, i, member.bytes());
                    self.groups.bury(&row);
                }
            }
        }
        self.groups.spans[group as usize] = span;
        self.groups.touch(&[group]);
        let after = self.wall.closes_at(span.1);
        if let Some(sessions) = &mut self.sessions {
            sessions.ends.remove(&(before, group));
            sessions.ends.insert((after, group));
        }
    }

    /// Adds what one session has seen to another one; it goes.
    fn absorb(&mut self, into: u32, from: u32) {
        self.resize();
        for i in 0..self.accumulators.len() {
            let Some(members) = self.members[i].as_mut() else {
                self.accumulators[i].merge(into, from);
                continue;
            };
            let mut values: Vec<Vec<u8>> = members.of(from).map(<[u8]>::to_vec).collect();
            values.sort_unstable();
            for value in values.into_iter().filter(|value| members.add(into, value, false)) {
                let mut input = value.as_slice();
                let column = |ty| {
                    let mut column = Column::of(ty, 1);
                    column.push(&codec::value(&mut input).unwrap_or(crate::record::Value::Null));
                    column
                };
                let args: Vec<Column> = self.accumulators[i].call().arg_types.iter().map(column).collect();
                self.accumulators[i].update(&args.iter().collect::<Vec<_>>(), &[0], &[into]);
            }
        }
        self.forget_session(from);
        self.bury(from);
    }

    /// Takes a session out of where open ones are found.
    pub(super) fn forget_session(&mut self, group: u32) {
        let closes = self.wall.closes_at(self.groups.spans[group as usize].1);
        let mut key = Vec::new();
        self.groups.put_key(group, &mut key);
        let Some(sessions) = &mut self.sessions else { return };
        sessions.ends.remove(&(closes, group));
        if let Some(open) = sessions.by_key.get_mut(key.as_slice()) {
            open.retain(|other| *other != group);
            if open.is_empty() {
                sessions.by_key.remove(key.as_slice());
            }
        }
    }

    /// Emits the sessions that this watermark closes.
    pub(super) fn fire_sessions(&mut self, watermark: i64, out: &mut Vec<Flow>) {
        let mut fired = Vec::new();
        while let Some(sessions) = &self.sessions
            && let Some((closes, group)) = sessions.ends.first().copied()
            && closes <= watermark
        {
            let mut key = Vec::new();
            self.groups.put_key(group, &mut key);
            fired.push((closes, self.groups.spans[group as usize], key, group));
            self.forget_session(group);
        }
        fired.sort_unstable();
        let fired: Vec<u32> = fired.into_iter().map(|(_, _, _, group)| group).collect();
        self.emit(&fired, out);
        fired.iter().for_each(|group| self.bury(*group));
    }

    /// The session with this key and span, opened if there is none.
    pub(super) fn loaded_session(&mut self, span: Span, key: &[u8]) -> u32 {
        let open = self.sessions.as_ref().and_then(|sessions| sessions.by_key.get(key));
        let found = open.and_then(|open| open.iter().find(|group| self.groups.spans[**group as usize] == span));
        if let Some(group) = found {
            return *group;
        }
        let group = self.groups.make_apart(span, key);
        self.open_session(group, key);
        group
    }
}
