//! The graph is made lean: watermarks that no window waits for go, projections are merged, filters move below them,
//! and (in `prune`) columns that nothing reads are not read. What comes out is the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Type;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, First, Node, NodeKind, Output, Scan};

use super::graph::Graph;
use super::{prune, rewrite};

/// A node, and whether a window above it waits for the watermark.
type Timed = (usize, bool);

pub(super) fn optimize(
    mut graph: Graph,
    outputs: Vec<Output>,
    notes: &mut Vec<String>,
) -> (Vec<Scan>, Vec<Node>, Vec<Output>) {
    let (nodes, outputs) = simplify(&graph, outputs, notes);
    graph.nodes = nodes;
    prune::prune(graph, outputs)
}

/// Whether the node waits for the watermark.
fn is_windowed(kind: &NodeKind) -> bool {
    matches!(
        kind,
        NodeKind::Window { .. }
            | NodeKind::Aggregate(Aggregate { window: Some(_), .. })
            | NodeKind::First(First { window: Some(_), .. })
    )
}

fn simplify(graph: &Graph, mut outputs: Vec<Output>, notes: &mut Vec<String>) -> (Vec<Node>, Vec<Output>) {
    let mut readers: BTreeMap<Timed, usize> = BTreeMap::new();
    outputs.iter().for_each(|output| *readers.entry((output.input, false)).or_default() += 1);
    // Inputs have lower numbers than what reads them.
    for number in (0..graph.nodes.len()).rev() {
        for timed in [false, true] {
            let Some(node) = graph.nodes.get(number).filter(|_| readers.contains_key(&(number, timed))) else {
                continue;
            };
            for input in node.kind.inputs() {
                *readers.entry((input, timed || is_windowed(&node.kind))).or_default() += 1;
            }
        }
    }
    let mut built = Built {
        graph: Graph { nodes: Vec::new(), scans: graph.scans.clone() },
        at: BTreeMap::new(),
        shared: BTreeSet::new(),
    };
    let mut dropped = BTreeSet::new();
    for ((number, timed), count) in &readers {
        let Some(node) = graph.nodes.get(*number) else { continue };
        if let NodeKind::Watermark { column, .. } = &node.kind
            && !timed
        {
            dropped.insert((*number, *column));
        }
        let new = built.add(node, *timed);
        built.at.insert((*number, *timed), new);
        if *count > 1 {
            built.shared.insert(new);
        }
    }
    for (number, column) in dropped {
        if !readers.contains_key(&(number, true)) {
            let name = graph.fields(number).get(column).map_or("", |field| field.name.as_str());
            notes.push(format!("WATERMARK FOR {name}: not needed here, no window waits for it"));
        }
    }
    for output in &mut outputs {
        output.input = built.at.get(&(output.input, false)).copied().unwrap_or_default();
    }
    (built.graph.nodes, outputs)
}

struct Built {
    graph: Graph,
    at: BTreeMap<Timed, usize>,
    /// New nodes that more than one node reads: what they compute is not computed again by each of these.
    shared: BTreeSet<usize>,
}

impl Built {
    /// The new node for an old one; its columns are the same.
    fn add(&mut self, node: &Node, timed: bool) -> usize {
        let below = timed || is_windowed(&node.kind);
        let at = |input: usize| self.at.get(&(input, below)).copied().unwrap_or_default();
        let mut node = node.clone();
        match &mut node.kind {
            NodeKind::Scan(_) => {}
            NodeKind::Watermark { input, .. } if !timed => return at(*input),
            NodeKind::Union { inputs } => *inputs = inputs.iter().map(|input| at(*input)).collect(),
            NodeKind::Filter { input, predicate } => {
                let (input, predicate) = (at(*input), predicate.clone());
                return self.filter(input, predicate);
            }
            NodeKind::Project { input, expressions } => {
                let (below, over) = self.merged(at(*input), std::mem::take(expressions));
                (*input, *expressions) = (below, over);
            }
            NodeKind::Watermark { input, .. }
            | NodeKind::Unnest { input, .. }
            | NodeKind::Window { input, .. }
            | NodeKind::Aggregate(Aggregate { input, .. })
            | NodeKind::First(First { input, .. }) => *input = at(*input),
        }
        self.time_attributes(&mut node);
        self.graph.push(node)
    }

    /// Without a watermark a column is no time attribute any more.
    fn time_attributes(&self, node: &mut Node) {
        let is = |input: usize, column: usize| self.graph.fields(input).get(column).is_some_and(|field| field.rowtime);
        for (i, field) in node.fields.iter_mut().enumerate() {
            field.rowtime &= match &node.kind {
                NodeKind::Project { input, expressions } => {
                    matches!(expressions.get(i).map(|expr| &expr.kind), Some(ExprKind::Column(column)) if is(*input, *column))
                }
                NodeKind::Filter { input, .. } | NodeKind::First(First { input, .. }) => is(*input, i),
                NodeKind::Unnest { input, .. } => is(*input, i),
                NodeKind::Union { inputs } => inputs.iter().all(|input| is(*input, i)),
                NodeKind::Scan(_) | NodeKind::Watermark { .. } | NodeKind::Window { .. } | NodeKind::Aggregate(_) => {
                    true
                }
            };
        }
    }

    /// Expressions over a projection, over its input instead: if nothing is then computed more than once.
    fn merged(&self, input: usize, expressions: Vec<Expr>) -> (usize, Vec<Expr>) {
        let Some(NodeKind::Project { input: below, expressions: inner }) =
            self.graph.nodes.get(input).map(|node| &node.kind)
        else {
            return (input, expressions);
        };
        let once = |(column, inner): (usize, &Expr)| {
            let uses: usize = expressions.iter().map(|expr| rewrite::uses(expr, column)).sum();
            rewrite::is_plain(inner) || uses == 0 || (uses == 1 && !self.shared.contains(&input))
        };
        if !inner.iter().enumerate().all(once) {
            return (input, expressions);
        }
        (*below, expressions.into_iter().map(|expr| rewrite::through(expr, inner)).collect())
    }

    /// A filter, below the projection if it reads plain columns of it, and one with the filter that is there.
    fn filter(&mut self, input: usize, predicate: Expr) -> usize {
        let Some(node) = self.graph.nodes.get(input).cloned() else { return input };
        match node.kind {
            NodeKind::Project { input: below, expressions } if reads_plain(&predicate, &expressions) => {
                let filter = self.filter(below, rewrite::through(predicate, &expressions));
                self.graph.push(Node { kind: NodeKind::Project { input: filter, expressions }, ..node })
            }
            NodeKind::Filter { input: below, predicate: first } if !self.shared.contains(&input) => {
                let mut parts = rewrite::conjuncts(first);
                parts.extend(rewrite::conjuncts(predicate));
                let predicate = Expr { kind: ExprKind::And(parts), ty: Type::Boolean };
                self.graph.push(Node { kind: NodeKind::Filter { input: below, predicate }, ..node })
            }
            _ => self.graph.filter(input, predicate),
        }
    }
}

fn reads_plain(predicate: &Expr, expressions: &[Expr]) -> bool {
    rewrite::columns(predicate).into_iter().all(|column| expressions.get(column).is_some_and(rewrite::is_plain))
}
