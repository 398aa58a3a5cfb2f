//! The graph of operators while it grows, and what can be asked of it: where a column comes from. Equal nodes are one
//! node, so what two INSERTs have in common is computed once. It does not know names of SQL, only columns.

use std::collections::BTreeSet;

use crate::record::{Type, Value};
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, Changelog, Field, First, Node, NodeKind, Scan, WindowKind};

use super::rewrite;

#[derive(Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) scans: Vec<Scan>,
}

/// Which of a window's three columns a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Start,
    End,
    Time,
}

/// A column that holds a window's start, end or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowColumn {
    /// The `Window` or `Aggregate` node that makes the windows.
    pub(super) node: usize,
    pub(super) part: Part,
}

impl Graph {
    /// The number of a node like this one: the one that is there already, if its equal is.
    pub(super) fn push(&mut self, node: Node) -> usize {
        if let Some(same) = self.nodes.iter().position(|other| *other == node) {
            return same;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn fields(&self, node: usize) -> &[Field] {
        self.nodes.get(node).map_or(&[], |node| &node.fields)
    }

    pub(super) fn changes(&self, node: usize) -> &Changelog {
        self.nodes.get(node).map_or(&Changelog::Append, |node| &node.changes)
    }

    /// The nodes that these ones read, and they themselves.
    pub(super) fn used(&self, of: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        let mut used = BTreeSet::new();
        let mut open: Vec<usize> = of.collect();
        while let Some(node) = open.pop() {
            if used.insert(node)
                && let Some(node) = self.nodes.get(node)
            {
                open.extend(node.kind.inputs());
            }
        }
        used
    }

    /// The node's column as an expression.
    pub(super) fn column(&self, node: usize, column: usize) -> Expr {
        let ty = self.fields(node).get(column).map_or(Type::Null, |field| field.ty.clone());
        Expr { kind: ExprKind::Column(column), ty }
    }

    /// Adds a projection. Key columns of an updating input that are not among the expressions follow them, unnamed,
    /// so that a row's identity is never lost.
    pub(super) fn project(&mut self, input: usize, mut named: Vec<(String, Expr)>) -> usize {
        let changes = match self.changes(input).clone() {
            Changelog::Append => Changelog::Append,
            Changelog::Upsert(keys) => {
                Changelog::Upsert(keys.into_iter().map(|key| self.keep(input, &mut named, key)).collect())
            }
        };
        let fields = named
            .iter()
            .map(|(name, expr)| Field {
                name: name.clone(),
                ty: expr.ty.clone(),
                rowtime: self.is_rowtime(input, expr),
            })
            .collect();
        let expressions = named.into_iter().map(|(_, expr)| expr).collect();
        self.push(Node { kind: NodeKind::Project { input, expressions }, fields, changes })
    }

    /// The place of an input column among expressions, where it is put if it is not there yet.
    pub(super) fn keep(&self, input: usize, named: &mut Vec<(String, Expr)>, column: usize) -> usize {
        let is_it = |(_, expr): &(String, Expr)| expr.kind == ExprKind::Column(column);
        named.iter().position(is_it).unwrap_or_else(|| {
            let name = self.fields(input).get(column).map_or_else(String::new, |field| field.name.clone());
            named.push((name, self.column(input, column)));
            named.len() - 1
        })
    }

    fn is_rowtime(&self, input: usize, expr: &Expr) -> bool {
        matches!(expr.kind, ExprKind::Column(c) if self.fields(input).get(c).is_some_and(|field| field.rowtime))
    }

    /// Adds a filter; nothing for a predicate that is always true.
    pub(super) fn filter(&mut self, input: usize, predicate: Expr) -> usize {
        if predicate.kind == ExprKind::Literal(Value::Bool(true)) {
            return input;
        }
        let (fields, changes) = (self.fields(input).to_vec(), self.changes(input).clone());
        self.push(Node { kind: NodeKind::Filter { input, predicate }, fields, changes })
    }

    /// Where a column that is only handed on comes from: the node below and its column there.
    fn below(&self, node: usize, column: usize) -> Option<(usize, usize)> {
        match &self.nodes.get(node)?.kind {
            NodeKind::Project { input, expressions } => match expressions.get(column)?.kind {
                ExprKind::Column(below) => Some((*input, below)),
                _ => None,
            },
            NodeKind::Filter { input, .. } | NodeKind::Watermark { input, .. } => Some((*input, column)),
            NodeKind::First(First { input, .. }) => Some((*input, column)),
            NodeKind::Unnest { input, .. } | NodeKind::Window { input, .. } => {
                (column < self.fields(*input).len()).then_some((*input, column))
            }
            NodeKind::Scan(_) | NodeKind::Union { .. } | NodeKind::Aggregate(_) => None,
        }
    }

    /// Whether the column is the processing time (`PROCTIME()`), handed on as it is.
    pub(super) fn is_proctime(&self, mut node: usize, mut column: usize) -> bool {
        loop {
            if let Some(NodeKind::Project { expressions, .. }) = self.nodes.get(node).map(|node| &node.kind)
                && expressions.get(column).is_some_and(rewrite::is_proctime)
            {
                return true;
            }
            match self.below(node, column) {
                Some(next) => (node, column) = next,
                None => return false,
            }
        }
    }

    /// Which window's start, end or time the column is.
    pub(super) fn window_column(&self, mut node: usize, mut column: usize) -> Option<WindowColumn> {
        loop {
            let first = match &self.nodes.get(node)?.kind {
                NodeKind::Window { input, .. } => Some(self.fields(*input).len()),
                NodeKind::Aggregate(Aggregate { keys, calls, window: Some(_), .. }) => Some(keys.len() + calls.len()),
                _ => None,
            };
            if let Some(part) = first.and_then(|first| column.checked_sub(first)) {
                let part = [Part::Start, Part::End, Part::Time].get(part)?;
                return Some(WindowColumn { node, part: *part });
            }
            (node, column) = self.below(node, column)?;
        }
    }

    /// Whether rows of the node are results of windows, which late rows may change.
    pub(super) fn is_of_windows(&self, node: usize) -> bool {
        self.used(std::iter::once(node)).into_iter().any(|node| match self.nodes.get(node).map(|node| &node.kind) {
            Some(NodeKind::Aggregate(aggregate)) => aggregate.window.is_some(),
            _ => false,
        })
    }

    /// The column of node `of` that a column above it is, if it is only handed on.
    pub(super) fn origin(&self, mut node: usize, mut column: usize, of: usize) -> Option<usize> {
        while node != of {
            (node, column) = self.below(node, column)?;
        }
        Some(column)
    }

    /// Whether all rows with the same key (of an updating node) have the same value in the column.
    pub(super) fn is_determined(&self, node: usize, column: usize) -> bool {
        let Some(Node { kind, changes: Changelog::Upsert(keys), .. }) = self.nodes.get(node) else { return false };
        if keys.contains(&column) {
            return true;
        }
        match kind {
            NodeKind::Project { input, expressions } => expressions.get(column).is_some_and(|expr| {
                rewrite::is_deterministic(expr)
                    && rewrite::columns(expr).into_iter().all(|column| self.is_determined(*input, column))
            }),
            NodeKind::Filter { input, .. } => self.is_determined(*input, column),
            // A window's start settles its end and time, but for sessions.
            NodeKind::Aggregate(aggregate) => {
                let session = |window: &crate::sql::plan::Window| matches!(window.kind, WindowKind::Session { .. });
                column >= aggregate.keys.len() + aggregate.calls.len()
                    && aggregate.window.as_ref().is_some_and(|window| !session(window))
            }
            _ => false,
        }
    }
}
