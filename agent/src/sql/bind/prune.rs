//! Columns that nothing reads are not read: what each node must give is asked from the outputs down, then the graph
//! is made again with just that.

use std::collections::{BTreeMap, BTreeSet};

use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, Changelog, Field, First, Node, NodeKind, Output, Scan, Window, WindowKind};

use super::graph::Graph;
use super::rewrite;

/// Which columns of each node are read; nodes that nothing reads are not in it.
type Needed = BTreeMap<usize, BTreeSet<usize>>;

/// A new node, and for each column of the old one its column there.
#[derive(Clone, Default)]
struct New {
    node: usize,
    columns: Vec<Option<usize>>,
}

pub(super) fn prune(graph: Graph, mut outputs: Vec<Output>) -> (Vec<Scan>, Vec<Node>, Vec<Output>) {
    let needed = needed(&graph, &outputs);
    let mut pruner = Pruner { old: &graph, new: Graph::default(), at: BTreeMap::new() };
    for (number, columns) in &needed {
        if let Some(node) = graph.nodes.get(*number) {
            let new = pruner.node(node, columns);
            pruner.at.insert(*number, new);
        }
    }
    for output in &mut outputs {
        output.input = pruner.input(output.input).node;
    }
    let new = pruner.new;
    compact(new, outputs)
}

/// Drops nodes that were made on the way and nothing reads.
fn compact(graph: Graph, mut outputs: Vec<Output>) -> (Vec<Scan>, Vec<Node>, Vec<Output>) {
    let used = graph.used(outputs.iter().map(|output| output.input));
    let number: BTreeMap<usize, usize> = used.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let at = |old: &mut usize| *old = number.get(old).copied().unwrap_or_default();
    let mut nodes: Vec<Node> = used.iter().filter_map(|old| graph.nodes.get(*old)).cloned().collect();
    for node in &mut nodes {
        match &mut node.kind {
            NodeKind::Scan(_) => {}
            NodeKind::Union { inputs } => inputs.iter_mut().for_each(at),
            NodeKind::Watermark { input, .. }
            | NodeKind::Filter { input, .. }
            | NodeKind::Project { input, .. }
            | NodeKind::Unnest { input, .. }
            | NodeKind::Window { input, .. }
            | NodeKind::Aggregate(Aggregate { input, .. })
            | NodeKind::First(First { input, .. }) => at(input),
        }
    }
    outputs.iter_mut().for_each(|output| at(&mut output.input));
    (graph.scans, nodes, outputs)
}

fn needed(graph: &Graph, outputs: &[Output]) -> Needed {
    let mut needed = Needed::new();
    for output in outputs {
        needed.entry(output.input).or_default().extend(0..graph.fields(output.input).len());
    }
    for number in (0..graph.nodes.len()).rev() {
        let (Some(node), Some(columns)) = (graph.nodes.get(number), needed.get_mut(&number)) else { continue };
        if let Changelog::Upsert(keys) = &node.changes {
            columns.extend(keys);
        }
        let columns = columns.clone();
        for (input, of_input) in asks(graph, node, &columns) {
            needed.entry(input).or_default().extend(of_input);
        }
    }
    needed
}

/// What a node asks of its inputs to give these columns.
fn asks(graph: &Graph, node: &Node, columns: &BTreeSet<usize>) -> Vec<(usize, BTreeSet<usize>)> {
    let also = |input: usize, more: BTreeSet<usize>| {
        let width = graph.fields(input).len();
        (input, columns.iter().copied().filter(|column| *column < width).chain(more).collect())
    };
    match &node.kind {
        NodeKind::Scan(_) => Vec::new(),
        NodeKind::Union { inputs } => inputs.iter().map(|input| (*input, columns.clone())).collect(),
        NodeKind::Filter { input, predicate } => vec![also(*input, rewrite::columns(predicate))],
        NodeKind::Watermark { input, column, watermark } => {
            vec![also(*input, rewrite::columns(watermark).into_iter().chain([*column]).collect())]
        }
        NodeKind::Unnest { input, array, .. } => vec![also(*input, rewrite::columns(array))],
        NodeKind::Window { input, window } => vec![also(*input, of_window(window).collect())],
        NodeKind::First(First { input, keys, order, window, .. }) => {
            let order = order.iter().map(|order| order.column);
            let more = keys.iter().copied().chain(order).chain(window.iter().flat_map(of_window));
            vec![also(*input, more.collect())]
        }
        NodeKind::Project { input, expressions } => {
            let read = columns.iter().filter_map(|column| expressions.get(*column)).flat_map(rewrite::columns);
            vec![(*input, read.collect())]
        }
        NodeKind::Aggregate(Aggregate { input, keys, window, calls, .. }) => {
            let calls = calls.iter().flat_map(|call| call.args.iter().chain(&call.filter)).copied();
            let read = keys.iter().copied().chain(calls).chain(window.iter().flat_map(of_window));
            vec![(*input, read.collect())]
        }
    }
}

/// The input columns that a window reads.
fn of_window(window: &Window) -> impl Iterator<Item = usize> {
    let given = match window.kind {
        WindowKind::Given { start, end } => vec![start, end],
        _ => Vec::new(),
    };
    std::iter::once(window.time).chain(given)
}

struct Pruner<'g> {
    old: &'g Graph,
    new: Graph,
    at: BTreeMap<usize, New>,
}

impl Pruner<'_> {
    fn input(&self, old: usize) -> New {
        self.at.get(&old).cloned().unwrap_or_default()
    }

    fn node(&mut self, node: &Node, needed: &BTreeSet<usize>) -> New {
        match &node.kind {
            NodeKind::Scan(scan) => self.scan(*scan, needed),
            NodeKind::Filter { input, predicate } => {
                let from = self.input(*input);
                let kind = NodeKind::Filter { input: from.node, predicate: from.expr(predicate) };
                self.handing_on(node, kind, from)
            }
            NodeKind::Watermark { input, column, watermark } => {
                let from = self.input(*input);
                let kind =
                    NodeKind::Watermark { input: from.node, column: from.at(*column), watermark: from.expr(watermark) };
                self.handing_on(node, kind, from)
            }
            NodeKind::Unnest { input, array, outer } => {
                let from = self.input(*input);
                let kind = NodeKind::Unnest { input: from.node, array: from.expr(array), outer: *outer };
                self.handing_on(node, kind, from)
            }
            NodeKind::Window { input, window } => {
                let from = self.input(*input);
                let kind = NodeKind::Window { input: from.node, window: from.window(window) };
                self.handing_on(node, kind, from)
            }
            NodeKind::First(first) => self.first(node, first, needed),
            NodeKind::Project { input, expressions } => self.project(node, *input, expressions, needed),
            NodeKind::Union { inputs } => self.union(node, inputs, needed),
            NodeKind::Aggregate(aggregate) => self.aggregate(node, aggregate),
        }
    }

    fn scan(&mut self, scan: usize, needed: &BTreeSet<usize>) -> New {
        let Some(old) = self.old.scans.get(scan) else { return New::default() };
        let columns: Vec<_> = needed.iter().filter_map(|column| old.columns.get(*column)).cloned().collect();
        let field = |c: &crate::plan::TableColumn| Field { name: c.name.clone(), ty: c.ty.clone(), rowtime: false };
        let fields = columns.iter().map(field).collect();
        let places = places(needed, old.columns.len());
        self.new.scans.push(Scan { columns, ..old.clone() });
        let kind = NodeKind::Scan(self.new.scans.len() - 1);
        let node = self.new.push(Node { kind, fields, changes: Changelog::Append });
        New { node, columns: places }
    }

    /// A node whose columns are its input's, perhaps with more behind them.
    fn handing_on(&mut self, node: &Node, kind: NodeKind, from: New) -> New {
        let mut columns = from.columns;
        let own = columns.len();
        let width = self.new.fields(from.node).len();
        columns.extend((own..node.fields.len()).map(|column| Some(column - own + width)));
        let mut fields = self.new.fields(from.node).to_vec();
        for (old, new) in columns.iter().enumerate() {
            let (Some(new), Some(field)) = (new, node.fields.get(old)) else { continue };
            match fields.get_mut(*new) {
                Some(known) => *known = field.clone(),
                None => fields.push(field.clone()),
            }
        }
        let changes = changes(&node.changes, &columns);
        New { node: self.new.push(Node { kind, fields, changes }), columns }
    }

    /// It stores whole rows: only with the columns that are read.
    fn first(&mut self, node: &Node, first: &First, needed: &BTreeSet<usize>) -> New {
        let asked = asks(self.old, node, needed).into_iter().next().map(|(_, columns)| columns).unwrap_or_default();
        let from = self.input(first.input);
        let from =
            if asked.len() < self.new.fields(from.node).len() { self.narrow(first.input, &from, &asked) } else { from };
        let at = |column: &usize| from.at(*column);
        let order = first.order.iter().map(|order| crate::sql::plan::Order { column: at(&order.column), ..*order });
        let kind = NodeKind::First(First {
            input: from.node,
            keys: first.keys.iter().map(at).collect(),
            order: order.collect(),
            keep_first: first.keep_first,
            newer_wins: first.newer_wins,
            window: first.window.as_ref().map(|window| from.window(window)),
        });
        self.handing_on(node, kind, from)
    }

    /// Just these columns of an input.
    fn narrow(&mut self, old: usize, from: &New, columns: &BTreeSet<usize>) -> New {
        let expressions: Vec<Expr> = columns.iter().map(|column| from.expr(&self.old.column(old, *column))).collect();
        let fields = columns.iter().filter_map(|column| self.old.fields(old).get(*column)).cloned().collect();
        let places = places(columns, self.old.fields(old).len());
        let changes = changes(self.old.changes(old), &places);
        let kind = NodeKind::Project { input: from.node, expressions };
        New { node: self.new.push(Node { kind, fields, changes }), columns: places }
    }

    fn project(&mut self, node: &Node, input: usize, expressions: &[Expr], needed: &BTreeSet<usize>) -> New {
        let from = self.input(input);
        let kept: Vec<Expr> =
            needed.iter().filter_map(|column| expressions.get(*column)).map(|expr| from.expr(expr)).collect();
        let columns = places(needed, expressions.len());
        let fields: Vec<Field> = needed.iter().filter_map(|column| node.fields.get(*column)).cloned().collect();
        let same = |(i, expr): (usize, &Expr)| expr.kind == ExprKind::Column(i);
        let identity = kept.iter().enumerate().all(same) && *self.new.fields(from.node) == fields;
        if kept.is_empty() || identity {
            return New { node: from.node, columns };
        }
        let changes = changes(&node.changes, &columns);
        let kind = NodeKind::Project { input: from.node, expressions: kept };
        New { node: self.new.push(Node { kind, fields, changes }), columns }
    }

    fn union(&mut self, node: &Node, inputs: &[usize], needed: &BTreeSet<usize>) -> New {
        let columns = places(needed, node.fields.len());
        let inputs = inputs
            .iter()
            .map(|input| {
                let from = self.input(*input);
                let fits = from.columns == columns && self.new.fields(from.node).len() == needed.len();
                if fits { from.node } else { self.narrow(*input, &from, needed).node }
            })
            .collect();
        let fields = needed.iter().filter_map(|column| node.fields.get(*column)).cloned().collect();
        let node = Node { kind: NodeKind::Union { inputs }, fields, changes: Changelog::Append };
        New { node: self.new.push(node), columns }
    }

    fn aggregate(&mut self, node: &Node, aggregate: &Aggregate) -> New {
        let from = self.input(aggregate.input);
        let at = |column: &usize| from.at(*column);
        let calls = aggregate.calls.iter().map(|call| crate::sql::plan::AggregateCall {
            args: call.args.iter().map(at).collect(),
            filter: call.filter.as_ref().map(at),
            ..call.clone()
        });
        let kind = NodeKind::Aggregate(Aggregate {
            input: from.node,
            keys: aggregate.keys.iter().map(at).collect(),
            window: aggregate.window.as_ref().map(|window| from.window(window)),
            calls: calls.collect(),
            early: aggregate.early,
        });
        let new = self.new.push(Node { kind, ..node.clone() });
        New { node: new, columns: (0..node.fields.len()).map(Some).collect() }
    }
}

impl New {
    fn at(&self, old: usize) -> usize {
        self.columns.get(old).copied().flatten().unwrap_or_default()
    }

    fn expr(&self, expr: &Expr) -> Expr {
        rewrite::renumber(expr.clone(), &|column| self.at(column))
    }

    fn window(&self, window: &Window) -> Window {
        let kind = match &window.kind {
            WindowKind::Given { start, end } => WindowKind::Given { start: self.at(*start), end: self.at(*end) },
            kind => kind.clone(),
        };
        Window { kind, time: self.at(window.time), offset: window.offset }
    }
}

/// Where the columns that are kept come to be.
fn places(kept: &BTreeSet<usize>, width: usize) -> Vec<Option<usize>> {
    (0..width).map(|column| kept.iter().position(|kept| *kept == column)).collect()
}

fn changes(changes: &Changelog, columns: &[Option<usize>]) -> Changelog {
    match changes {
        Changelog::Append => Changelog::Append,
        Changelog::Upsert(keys) => {
            Changelog::Upsert(keys.iter().filter_map(|key| columns.get(*key).copied().flatten()).collect())
        }
    }
}
