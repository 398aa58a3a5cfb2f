//! The keyed state of a script and the order of its work: prepared rows in, changes and state rows out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregation::Aggregation;
use super::clock::{Clock, END, NONE, SourceState};
use super::first::Firsts;
use super::flow::Flow;
use super::keyed::Keyed;
use super::late::{Found, LateRows};
use super::program::{Facts, Prepared, Program};
use super::{codec, result, rows};
use crate::record::{ChangeKind, Changes, RefusedRow, SourceId};
use crate::sql::expr::Context;
use crate::sql::plan::NodeKind;

/// A script's state. One thread; the same calls give the same answers.
#[derive(Debug)]
pub(crate) struct Engine {
    program: Arc<Program>,
    keyed: BTreeMap<usize, Keyed>,
    clocks: BTreeMap<usize, Clock>,
    facts: Facts,
    /// Late rows that are wanted: of the batch that is being taken in, and since the last step.
    found_late: Vec<Found>,
    late: Vec<LateRows>,
    /// Changes up to this step have reached the sink: only their rows may be forgotten by age.
    delivered: u64,
}

/// What is new since the step before.
#[derive(Debug, Default)]
pub(crate) struct StepResult {
    pub(crate) changes: Vec<Changes>,
    /// State rows that changed: entries of key (length as varint, bytes) and value (0 for a tombstone, else length + 1
    /// as varint, bytes).
    pub(crate) delta: Vec<u8>,
    pub(crate) refused: Vec<RefusedRow>,
    /// Rows that came too late, where somebody wants them.
    pub(crate) late: Vec<LateRows>,
    pub(crate) counts: Counts,
}

/// Rows that went no further, since the step before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Behind the watermark: all their windows were closed.
    pub(crate) late: u64,
    /// With NULL for their time.
    pub(crate) null_times: u64,
    /// With NULL in a NOT NULL column of the sink, where the script wants such rows dropped.
    pub(crate) null_columns: u64,
}

/// Something that time brings; part of the committed input as rows are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tick {
    /// Sources, by scan, that have rows the engine has not seen: they hold the watermark.
    pub(crate) known: Vec<(usize, SourceId)>,
    /// Sources that have had no rows for longer than the idle timeout: they hold nothing until their next row.
    pub(crate) idle: Vec<(usize, SourceId)>,
    /// Sources that will hardly have rows again: nothing of them is kept. (One that does begins anew.)
    pub(crate) finished: Vec<SourceId>,
    /// The last step of which all changes have reached the sink.
    pub(crate) delivered: u64,
}

/// How far a base, or a look at undelivered rows, has come. Begins as `Cursor::default()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    node: usize,
    group: u32,
    clocks: bool,
}

/// Groups that one tick looks at for their age.
const SWEPT: u32 = 16_384;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass<'a> {
    /// Rows of a source.
    Rows(&'a Marks),
    /// Windows that the watermark has passed.
    Fire,
    /// The clock on the wall.
    Tick,
    /// A commit.
    Step(u64),
}

/// The source of the rows of a pass, and what its watermarks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Marks {
    source: Option<SourceId>,
    nodes: Vec<usize>,
}

impl Engine {
    /// An empty state; the error names what is not supported.
    pub(crate) fn new(program: Arc<Program>) -> Result<Engine, String> {
        let mut keyed = BTreeMap::new();
        let mut clocks = BTreeMap::new();
        let query = &program.query;
        for (n, node) in query.nodes.iter().enumerate() {
            let needs = (program.gives_ids[n], program.takes_back[n]);
            match &node.kind {
                NodeKind::Aggregate(plan) => {
                    let input = &query.nodes[plan.input];
                    let state = Aggregation::new(n, node, plan, input, &query.settings, needs)?;
                    keyed.insert(n, Keyed::Aggregate(Box::new(state)));
                }
                NodeKind::First(plan) => {
                    let state = Firsts::new(n, plan, &query.nodes[plan.input], &query.settings, needs);
                    keyed.insert(n, Keyed::First(Box::new(state)));
                }
                NodeKind::Watermark { .. } => {
                    clocks.insert(n, Clock::new());
                }
                _ => {}
            }
        }
        Ok(Engine {
            program,
            keyed,
            clocks,
            facts: Facts::default(),
            found_late: Vec::new(),
            late: Vec::new(),
            delivered: u64::MAX,
        })
    }

    /// Takes a prepared batch in. Windows that it closes are emitted.
    pub(crate) fn apply(&mut self, prepared: Prepared, cx: &mut Context) {
        let Prepared { source, inputs, advances, facts, read } = prepared;
        self.facts.changes.extend(facts.changes);
        self.facts.refused.extend(facts.refused);
        self.facts.null_times += facts.null_times;
        self.facts.null_columns += facts.null_columns;
        let marks = Marks { source, nodes: advances.iter().map(|(node, _)| *node).collect() };
        if let Some(source) = source {
            for (node, _) in &advances {
                self.clocks.get_mut(node).into_iter().for_each(|clock| clock.activate(source));
            }
        }
        self.run(Pass::Rows(&marks), inputs, cx);
        let found = std::mem::take(&mut self.found_late);
        if let Some((scan, read)) = read {
            let program = &self.program;
            self.late.extend(found.into_iter().filter_map(|found| found.read(scan, &read, program)));
        }
        for (node, mark) in advances {
            if let (Some(clock), Some(source)) = (self.clocks.get_mut(&node), source) {
                clock.advance(source, mark);
                clock.settle();
            }
        }
        self.run(Pass::Fire, Vec::new(), cx);
    }

    /// Time passes: sources become idle or end, delayed emissions are due, old rows are forgotten.
    pub(crate) fn tick(&mut self, tick: &Tick, cx: &mut Context) {
        self.delivered = tick.delivered;
        let states = [(&tick.known, SourceState::Active), (&tick.idle, SourceState::Idle)];
        for (n, clock) in &mut self.clocks {
            let of_clock = |scan: &usize| self.program.reads(*n, *scan);
            for (sources, state) in &states {
                for (_, source) in sources.iter().filter(|(scan, _)| of_clock(scan)) {
                    clock.become_state(*source, *state);
                }
            }
            tick.finished.iter().for_each(|source| clock.forget(*source));
            clock.settle();
        }
        self.run(Pass::Fire, Vec::new(), cx);
        self.run(Pass::Tick, Vec::new(), cx);
    }

    /// Bounded input has ended: all windows close. Rows of those windows are late from now on; rows of later ones,
    /// which another run may bring, are not.
    pub(crate) fn finish(&mut self, cx: &mut Context) {
        let last = self.keyed.values().filter_map(Keyed::last_close).max().unwrap_or(NONE);
        let before: Vec<i64> = self.clocks.values().map(|clock| clock.now().max(last)).collect();
        self.clocks.values_mut().for_each(|clock| clock.set(END));
        self.run(Pass::Fire, Vec::new(), cx);
        let clocks = self.clocks.values_mut().zip(before);
        clocks.for_each(|(clock, now)| clock.stand(now));
        self.close_until_now();
    }

    /// Sources that hold a watermark.
    pub(crate) fn active(&self) -> impl Iterator<Item = SourceId> {
        self.clocks.values().flat_map(Clock::active)
    }

    /// Sources that the engine knows of.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceId> {
        self.clocks.values().flat_map(Clock::sources)
    }

    /// What was closed before is not closed again.
    fn close_until_now(&mut self) {
        let closed: Vec<(usize, i64)> = self.keyed.keys().map(|n| (*n, self.time_of(*n))).collect();
        for (n, time) in closed {
            self.keyed.get_mut(&n).into_iter().for_each(|keyed| keyed.set_closed(time));
        }
    }

    /// Everything new since the last step. Steps are numbered upwards from 1.
    pub(crate) fn step(&mut self, number: u64, cx: &mut Context) -> StepResult {
        let changed = self.run(Pass::Step(number), Vec::new(), cx);
        let mut delta = Vec::new();
        let mut late = 0;
        for (n, keyed) in &mut self.keyed {
            keyed.write(changed.get(n).map(Vec::as_slice).unwrap_or_default(), &mut delta);
            keyed.late_mut().write(*n, false, &mut delta);
            late += keyed.late_mut().news();
        }
        for (n, clock) in &mut self.clocks {
            clock.write(&node_key(*n), false, &mut delta);
        }
        let Facts { changes, refused, null_times, null_columns } = std::mem::take(&mut self.facts);
        let counts = Counts { late, null_times, null_columns };
        StepResult { changes, delta, refused, late: std::mem::take(&mut self.late), counts }
    }

    /// One walk through the nodes in order; gives the groups that changed, at a step.
    fn run(&mut self, pass: Pass, inputs: Vec<(usize, Flow)>, cx: &mut Context) -> BTreeMap<usize, Vec<u32>> {
        let program = Arc::clone(&self.program);
        let mut waiting: Vec<Vec<Flow>> = vec![Vec::new(); program.query.nodes.len()];
        inputs.into_iter().for_each(|(n, flow)| waiting[n].push(flow));
        let mut changed = BTreeMap::new();
        for n in 0..program.query.nodes.len() {
            let flows = std::mem::take(&mut waiting[n]);
            let out = if self.keyed.contains_key(&n) {
                self.run_keyed(n, pass, flows, cx, &mut changed)
            } else if flows.is_empty() {
                continue;
            } else {
                program.compute(n, flows, cx, &mut self.facts, &mut Vec::new())
            };
            for flow in out {
                let (keyed, facts) = (&mut self.keyed, &mut self.facts);
                program.route(n, flow, &mut waiting, |output, flow| {
                    let flow = settle_deletes(keyed, output, flow);
                    result::append(&program.query, output, flow, facts);
                });
            }
        }
        changed
    }

    fn run_keyed(
        &mut self,
        n: usize,
        pass: Pass,
        flows: Vec<Flow>,
        cx: &mut Context,
        changed: &mut BTreeMap<usize, Vec<u32>>,
    ) -> Vec<Flow> {
        let marks: Vec<Vec<i64>> = flows.iter().map(|flow| self.before(n, pass, flow)).collect();
        let now = self.time_of(n);
        let mut out = Vec::new();
        let Some(keyed) = self.keyed.get_mut(&n) else { return out };
        for (flow, marks) in flows.iter().zip(&marks) {
            keyed.apply(flow, marks, cx, &mut out);
            let late = keyed.late_mut().take_rows();
            if !late.is_empty() && !self.program.late_to[n].is_empty() {
                self.found_late.extend(Found::of(n, flow, late));
            }
        }
        match keyed {
            Keyed::Aggregate(state) => match pass {
                Pass::Rows(_) => {}
                Pass::Fire => state.fire(now, &mut out),
                Pass::Tick => {
                    state.emit_pending(cx.now, &mut out);
                    state.sweep(cx.now, self.delivered, SWEPT);
                }
                Pass::Step(number) => {
                    state.emit_pending(cx.now, &mut out);
                    changed.insert(n, state.changed(number, &mut out));
                }
            },
            Keyed::First(state) => match pass {
                Pass::Rows(_) => {}
                Pass::Fire => state.fire(now, &mut out),
                Pass::Tick => state.sweep(cx.now, self.delivered, SWEPT),
                Pass::Step(number) => {
                    changed.insert(n, state.changed(number, &mut out));
                }
            },
        }
        out
    }

    /// The event time at a node.
    fn time_of(&self, n: usize) -> i64 {
        let clocks = self.program.clocks[n].iter().filter_map(|clock| self.clocks.get(clock));
        clocks.map(Clock::now).min().unwrap_or(NONE)
    }

    /// The event time at a node before each row; empty where no row can be late.
    fn before(&self, n: usize, pass: Pass, flow: &Flow) -> Vec<i64> {
        let (Pass::Rows(Marks { source: Some(source), nodes }), false) = (pass, flow.marks.is_empty()) else {
            return Vec::new();
        };
        let now = self.time_of(n);
        let (mut given, mut others) = (NONE, END);
        for clock in &self.program.clocks[n] {
            let Some(state) = self.clocks.get(clock) else { continue };
            if nodes.contains(clock) {
                let (mine, rest) = state.bounds(*source);
                given = given.max(mine);
                others = others.min(rest.max(state.now()));
            } else {
                others = others.min(state.now());
            }
        }
        flow.marks.iter().map(|mark| now.max(given.max(*mark).min(others))).collect()
    }

    /// Restores state rows: any number of deltas and pieces of bases, oldest first. False: not rows of this script.
    pub(crate) fn load(&mut self, mut blob: &[u8]) -> bool {
        while !blob.is_empty() {
            let Some((key, value)) = codec::entry(&mut blob) else { return false };
            if self.load_row(key, value).is_none() {
                return false;
            }
        }
        self.close_until_now();
        true
    }

    fn load_row(&mut self, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        let (n, kind, rest) = rows::split(key)?;
        if let Some(clock) = self.clocks.get_mut(&n) {
            return match (kind, value.map(<[u8]>::split_first)) {
                (rows::SOURCE, None) => clock.unload_source(rest),
                (rows::SOURCE, Some(Some((&rows::VERSION, value)))) => clock.load_source(rest, value),
                (rows::CLOCK, Some(Some((&rows::VERSION, value)))) => clock.load(value),
                _ => None,
            };
        }
        self.keyed.get_mut(&n)?.load(kind, rest, value)
    }

    /// The next piece of the whole state, about `about_bytes` long; `None`: that was all. To be called between a step
    /// and the next input; what changes between two pieces is in the deltas of the steps meanwhile.
    pub(crate) fn base(&mut self, cursor: &mut Cursor, about_bytes: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut cursor.clocks, true) {
            for (n, clock) in &mut self.clocks {
                clock.write(&node_key(*n), true, &mut out);
            }
            for (n, keyed) in &mut self.keyed {
                keyed.late_mut().write(*n, true, &mut out);
            }
        }
        while out.len() < about_bytes {
            let Some((n, keyed)) = self.keyed.range(cursor.node..).next() else { break };
            if *n > cursor.node {
                (cursor.node, cursor.group) = (*n, 0);
            }
            if cursor.group >= keyed.slots() {
                (cursor.node, cursor.group) = (*n + 1, 0);
                continue;
            }
            keyed.write_all(cursor.group, &mut out);
            cursor.group += 1;
        }
        (!out.is_empty()).then_some(out)
    }

    /// The next about `most` current rows of upsert streams that changed after step `after`; `None`: that was all.
    /// Rows that a filter keeps back are deletes: they may have been sent before.
    pub(crate) fn undelivered(
        &mut self,
        after: u64,
        cursor: &mut Cursor,
        most: usize,
        cx: &mut Context,
    ) -> Option<Vec<Changes>> {
        let mut facts = Facts::default();
        while let Some((n, keyed)) = self.keyed.range(cursor.node..).next() {
            let n = *n;
            if n > cursor.node {
                (cursor.node, cursor.group) = (n, 0);
            }
            let found = due(cursor, keyed.slots(), most, |group| keyed.is_undelivered(group, after));
            let flow = (!found.is_empty()).then(|| keyed.flow(&found));
            let Some(flow) = flow else {
                (cursor.node, cursor.group) = (n + 1, 0);
                continue;
            };
            let mut waiting: Vec<Vec<Flow>> = vec![Vec::new(); self.program.query.nodes.len()];
            let query = &self.program.query;
            self.program.route(n, flow, &mut waiting, |o, flow| result::append(query, o, flow, &mut facts));
            for m in n + 1..waiting.len() {
                let flows = std::mem::take(&mut waiting[m]);
                if flows.is_empty() {
                    continue;
                }
                for flow in self.program.compute(m, flows, cx, &mut facts, &mut Vec::new()) {
                    self.program.route(m, flow, &mut waiting, |o, flow| result::append(query, o, flow, &mut facts));
                }
            }
            return Some(facts.changes);
        }
        None
    }

    /// Rows that came too late since the state began.
    pub(crate) fn late_rows(&self) -> u64 {
        self.keyed.values().map(|keyed| keyed.late().total()).sum()
    }

    /// Something is waiting to be said at the next step.
    pub(crate) fn has_news(&self) -> bool {
        !self.facts.changes.is_empty() || !self.facts.refused.is_empty() || !self.late.is_empty()
    }

    /// About the bytes of memory that the state takes.
    pub(crate) fn state_bytes(&self) -> usize {
        self.keyed.values().map(Keyed::heap).sum()
    }

    /// The groups there are.
    pub(crate) fn groups(&self) -> usize {
        self.keyed.values().map(Keyed::count).sum()
    }
}

/// The next groups, from the cursor on, that are due.
fn due(cursor: &mut Cursor, slots: u32, most: usize, is_due: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut found = Vec::new();
    while cursor.group < slots && found.len() < most {
        if is_due(cursor.group) {
            found.push(cursor.group);
        }
        cursor.group += 1;
    }
    found
}

fn node_key(n: usize) -> Vec<u8> {
    let mut key = Vec::new();
    codec::put_varint(n as u64, &mut key);
    key
}

/// Only what an output holds can be deleted from it: drops other deletes, remembers what is sent.
fn settle_deletes(keyed: &mut BTreeMap<usize, Keyed>, output: usize, flow: Flow) -> Flow {
    let Some(sent) = keyed.get_mut(&flow.owner).map(Keyed::sent) else { return flow };
    if flow.groups.is_empty() || sent.is_empty() {
        return flow;
    }
    let bit = 1_u32 << output;
    let mut keep = Vec::with_capacity(flow.batch.rows);
    for (row, group) in flow.groups.iter().enumerate() {
        let sent = &mut sent[*group as usize];
        if flow.kinds.get(row) != Some(&ChangeKind::Delete) {
            *sent |= bit;
            keep.push(row as u32);
        } else if *sent & bit != 0 {
            *sent &= !bit;
            keep.push(row as u32);
        }
    }
    if keep.len() == flow.batch.rows { flow } else { flow.take(&keep) }
}
