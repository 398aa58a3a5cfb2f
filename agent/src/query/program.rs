//! The plan made ready, and what of it needs no state.

use std::collections::BTreeSet;

use crate::record::{Batch, Changes, SourceId};
use crate::sql::expr::{Context, Expr, ExprKind};
use crate::sql::plan::{Changelog, NodeKind, Query, WindowKind};

use super::engine::{Counts, StepResult};
use super::flow::{self, Flow, Refusals};
use super::{result, windows};

/// A script's plan with what the engine must know of each node. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) query: Query,
    /// Who takes each node's rows.
    pub(super) consumers: Vec<Vec<Target>>,
    /// The scans that each node's rows come from.
    reads: Vec<BTreeSet<usize>>,
    /// Nodes at or behind a stateful one: they run in the engine.
    behind: Vec<bool>,
    /// The watermark nodes that make each node's event time.
    pub(super) clocks: Vec<BTreeSet<usize>>,
    /// Whether a node's rows may reach a sink that takes its ids from them.
    pub(super) gives_ids: Vec<bool>,
    /// Whether a filter may take back what a node has sent.
    pub(super) takes_back: Vec<bool>,
    /// By node, the sink tables that want the rows that come too late for its windows.
    pub(super) late_to: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Node(usize),
    Output(usize),
}

/// A batch with everything done to it that needs no state.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) source: Option<SourceId>,
    /// Rows for nodes that run in the engine.
    pub(super) inputs: Vec<(usize, Flow)>,
    /// The source's greatest watermark in this batch, by watermark node (also if no row moved it).
    pub(super) advances: Vec<(usize, i64)>,
    pub(super) facts: Facts,
    /// The rows as they were read, and by which scan, where those that come late are handed over.
    pub(super) read: Option<(usize, Batch)>,
}

/// What became of rows beside the state.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) changes: Vec<Changes>,
    pub(super) refused: Refusals,
    /// Rows dropped for a NULL in the time attribute, and for a NULL in a NOT NULL column of a sink.
    pub(super) null_times: u64,
    pub(super) null_columns: u64,
}

impl Prepared {
    /// Whose rows they are.
    pub(crate) fn source(&self) -> Option<SourceId> {
        self.source
    }

    /// Rows that go into the engine.
    pub(crate) fn rows(&self) -> usize {
        self.inputs.iter().map(|(_, flow)| flow.batch.rows).sum()
    }

    /// What a script without state has to say.
    pub(crate) fn into_result(self) -> StepResult {
        let Facts { changes, refused, null_times, null_columns } = self.facts;
        let counts = Counts { null_times, null_columns, late: 0 };
        StepResult { changes, refused, counts, ..StepResult::default() }
    }
}

impl Program {
    /// Makes a plan ready; the error names what this engine does not do.
    pub(crate) fn new(query: &Query) -> Result<Program, String> {
        let query = share(query.clone());
        let count = query.nodes.len();
        let mut program = Program {
            consumers: vec![Vec::new(); count],
            reads: vec![BTreeSet::new(); count],
            behind: vec![false; count],
            clocks: vec![BTreeSet::new(); count],
            gives_ids: vec![false; count],
            takes_back: vec![false; count],
            late_to: vec![Vec::new(); count],
            query,
        };
        for n in 0..count {
            program.learn(n)?;
        }
        for (o, output) in program.query.outputs.iter().enumerate() {
            program.consumers.get_mut(output.input).ok_or("an output has no input")?.push(Target::Output(o));
        }
        for n in (0..count).rev() {
            let keyless = |o: usize| program.query.outputs[o].key.is_empty();
            let filters = |m: usize| matches!(program.query.nodes[m].kind, NodeKind::Filter { .. });
            let to = &program.consumers[n];
            let ids = to.iter().any(|target| match *target {
                Target::Node(m) => program.gives_ids[m],
                Target::Output(o) => keyless(o),
            });
            let back =
                to.iter().any(|target| matches!(*target, Target::Node(m) if filters(m) || program.takes_back[m]));
            program.gives_ids[n] = ids;
            program.takes_back[n] = back;
        }
        match program.query.outputs.len() > 32 {
            true => Err("more than 32 INSERTs in one script are not supported".to_string()),
            false => Ok(program),
        }
    }

    /// Rows that come too late for a window whose results go into one of these sink tables are handed over as they
    /// were read.
    pub(crate) fn hand_over_late(&mut self, tables: &[usize]) {
        for output in self.query.outputs.iter().filter(|output| tables.contains(&output.table)) {
            for n in self.query.below(output.input) {
                let to = &mut self.late_to[n];
                if self.query.nodes[n].kind.window().is_some() && !to.contains(&output.table) {
                    to.push(output.table);
                }
            }
        }
    }

    /// Whether anything is kept between batches.
    pub(crate) fn stateful(&self) -> bool {
        self.behind.contains(&true)
    }

    /// Whether a node's rows come from this scan.
    pub(super) fn reads(&self, n: usize, scan: usize) -> bool {
        self.reads[n].contains(&scan)
    }

    /// What there is to know of a node whose inputs are known.
    fn learn(&mut self, n: usize) -> Result<(), String> {
        let kind = &self.query.nodes[n].kind;
        let keyed = matches!(kind, NodeKind::Aggregate(_) | NodeKind::First(_));
        self.behind[n] = keyed;
        if let NodeKind::Scan(scan) = kind {
            self.reads[n].insert(*scan);
        }
        for input in kind.inputs() {
            if input >= n {
                return Err(format!("node {n} comes before its input {input}"));
            }
            self.behind[n] |= self.behind[input];
            let reads = self.reads[input].clone();
            self.reads[n].extend(reads);
            let clocks = self.clocks[input].clone();
            self.clocks[n].extend(clocks);
            self.consumers[input].push(Target::Node(n));
            let appends = self.query.nodes[input].changes == Changelog::Append;
            if !appends && (keyed || matches!(kind, NodeKind::Unnest { .. } | NodeKind::Window { .. })) {
                return Err("an aggregate, a window or a deduplication over rows that change later (those of a GROUP \
                            BY without a window or of a last-row deduplication) is not supported"
                    .to_string());
            }
        }
        match kind {
            NodeKind::Watermark { .. } => self.clocks[n] = BTreeSet::from([n]),
            NodeKind::Window { window, .. } if matches!(window.kind, WindowKind::Session { .. }) => {
                return Err("SESSION without GROUP BY window_start, window_end is not supported".to_string());
            }
            NodeKind::Union { .. } if self.clocks[n].len() > self.reads[n].len() => {
                return Err("a UNION ALL of one table under two watermarks is not supported".to_string());
            }
            NodeKind::Aggregate(aggregate) if aggregate.window.is_some() && self.clocks[n].is_empty() => {
                return Err("a window needs a table with a WATERMARK".to_string());
            }
            _ => {}
        }
        Ok(())
    }

    /// Everything that needs no state, for rows of one source of `Query::scans[scan]`.
    pub(crate) fn prepare(&self, scan: usize, batch: Batch, cx: &mut Context) -> Prepared {
        let source = batch.origin.as_ref().map(|origin| origin.source);
        let keeps = self.late_to.iter().any(|to| !to.is_empty());
        let read = keeps.then(|| (scan, batch.clone()));
        let mut prepared = Prepared { source, inputs: Vec::new(), advances: Vec::new(), facts: Facts::default(), read };
        let mut waiting: Vec<Vec<Flow>> = vec![Vec::new(); self.query.nodes.len()];
        let mut rows = Some(batch);
        let last = self.scans_of(scan).last();
        for n in 0..self.query.nodes.len() {
            let mut flows = std::mem::take(&mut waiting[n]);
            if self.query.nodes[n].kind == NodeKind::Scan(scan) {
                let batch = if Some(n) == last { rows.take() } else { rows.clone() };
                flows.push(Flow { batch: batch.unwrap_or_default(), ..Flow::default() });
            }
            if flows.is_empty() {
                continue;
            }
            if self.behind[n] {
                prepared.inputs.extend(flows.into_iter().map(|flow| (n, flow)));
                continue;
            }
            for flow in self.compute(n, flows, cx, &mut prepared.facts, &mut prepared.advances) {
                self.route(n, flow, &mut waiting, |output, flow| {
                    result::append(&self.query, output, flow, &mut prepared.facts);
                });
            }
        }
        prepared
    }

    fn scans_of(&self, scan: usize) -> impl Iterator<Item = usize> {
        (0..self.query.nodes.len()).filter(move |n| self.query.nodes[*n].kind == NodeKind::Scan(scan))
    }

    /// Hands a node's rows to all who take them.
    pub(super) fn route(&self, n: usize, flow: Flow, waiting: &mut [Vec<Flow>], mut output: impl FnMut(usize, Flow)) {
        let Some((last, others)) = self.consumers[n].split_last() else { return };
        let mut hand = |target: &Target, flow: Flow| match *target {
            Target::Node(m) => waiting[m].push(flow),
            Target::Output(o) => output(o, flow),
        };
        others.iter().for_each(|target| hand(target, flow.clone()));
        hand(last, flow);
    }

    /// What a stateless node makes of its input.
    pub(super) fn compute(
        &self,
        n: usize,
        flows: Vec<Flow>,
        cx: &mut Context,
        facts: &mut Facts,
        advances: &mut Vec<(usize, i64)>,
    ) -> Vec<Flow> {
        let node = &self.query.nodes[n];
        if let NodeKind::Union { inputs } = &node.kind {
            return union(flows, inputs.len());
        }
        let refused = &mut facts.refused;
        let one = |flow: Flow| match &node.kind {
            NodeKind::Filter { predicate, .. } => flow::filter(flow, predicate, cx, refused),
            NodeKind::Project { expressions, .. } => flow::project(flow, expressions, cx, refused),
            NodeKind::Unnest { array, outer, .. } => {
                let before = flow.batch.columns.len();
                let types: Vec<_> = node.fields.iter().skip(before).map(|field| field.ty.clone()).collect();
                flow::unnest(flow, array, *outer, &types, cx, refused)
            }
            NodeKind::Watermark { column, watermark, .. } => {
                let (flow, mark, nulls) = super::clock::mark(flow, *column, watermark, cx, refused);
                advances.push((n, mark));
                facts.null_times += nulls;
                flow
            }
            NodeKind::Window { window, .. } => windows::spread(flow, window, node, cx),
            _ => flow,
        };
        flows.into_iter().map(one).collect()
    }
}

/// Rows of one table that come by two ways are put together in the order of their records, as they would arrive.
fn union(flows: Vec<Flow>, ways: usize) -> Vec<Flow> {
    let (mut flows, others): (Vec<Flow>, Vec<Flow>) = flows.into_iter().partition(|flow| flow.batch.origin.is_some());
    for (way, flow) in flows.iter_mut().enumerate() {
        // The same record by two ways is two rows.
        let Some(origin) = &mut flow.batch.origin else { continue };
        let ways = ways as u32;
        origin.ordinals = match origin.ordinals.is_empty() {
            true => vec![way as u32; origin.offsets.len()],
            false => origin.ordinals.iter().map(|n| n.wrapping_mul(ways).wrapping_add(way as u32)).collect(),
        };
    }
    let merged = flows.into_iter().reduce(|a, b| {
        let mut both = a;
        both.append(b);
        let origin = both.batch.origin.as_ref();
        let (offsets, places) = origin.map(|o| (o.offsets.clone(), o.places.clone())).unwrap_or_default();
        let mut order: Vec<u32> = (0..both.batch.rows as u32).collect();
        order.sort_by_key(|row| (offsets.get(*row as usize), places.get(*row as usize)));
        both.take(&order)
    });
    merged.into_iter().chain(others).collect()
}

/// Nodes that are alike are computed once. What draws random numbers is left alone.
fn share(mut query: Query) -> Query {
    let mut same: Vec<usize> = Vec::with_capacity(query.nodes.len());
    for n in 0..query.nodes.len() {
        let mut node = query.nodes[n].clone();
        rename(&mut node.kind, &same);
        let first =
            if repeatable(&node.kind) { query.nodes[..n].iter().position(|other| *other == node) } else { None };
        query.nodes[n] = node;
        same.push(first.unwrap_or(n));
    }
    query.outputs.iter_mut().for_each(|output| output.input = same.get(output.input).copied().unwrap_or(output.input));
    let used: BTreeSet<usize> = query.outputs.iter().flat_map(|output| query.below(output.input)).collect();
    // Unused twins stay in their places (numbers are part of stored keys) but take no rows.
    for n in 0..query.nodes.len() {
        if !used.contains(&n) {
            query.nodes[n].kind = NodeKind::Union { inputs: Vec::new() };
        }
    }
    query
}

fn rename(kind: &mut NodeKind, same: &[usize]) {
    let new = |input: &mut usize| *input = same.get(*input).copied().unwrap_or(*input);
    match kind {
        NodeKind::Scan(_) => {}
        NodeKind::Union { inputs } => inputs.iter_mut().for_each(new),
        NodeKind::Watermark { input, .. }
        | NodeKind::Filter { input, .. }
        | NodeKind::Project { input, .. }
        | NodeKind::Unnest { input, .. }
        | NodeKind::Window { input, .. } => new(input),
        NodeKind::Aggregate(aggregate) => new(&mut aggregate.input),
        NodeKind::First(first) => new(&mut first.input),
    }
}

fn repeatable(kind: &NodeKind) -> bool {
    match kind {
        NodeKind::Filter { predicate, .. } => deterministic(predicate),
        NodeKind::Project { expressions, .. } => expressions.iter().all(deterministic),
        NodeKind::Unnest { array, .. } => deterministic(array),
        NodeKind::Watermark { watermark, .. } => deterministic(watermark),
        _ => true,
    }
}

fn deterministic(expression: &Expr) -> bool {
    match &expression.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) => true,
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().all(deterministic),
        ExprKind::Call(call) => call.deterministic && call.args.iter().all(deterministic),
        ExprKind::Case { branches, otherwise } => {
            deterministic(otherwise) && branches.iter().all(|(when, then)| deterministic(when) && deterministic(then))
        }
    }
}
