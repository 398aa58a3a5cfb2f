//! The aggregate calls of one SELECT while its expressions are bound. In these, a call is a column with a number
//! beyond all real ones; [`Grouped::rewrite`] puts the aggregate's output in their place.

use crate::record::Type;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::AggregateFunction;

use super::graph::Part;
use super::rewrite;
use super::window::GroupWindow;

/// The first number that stands for an aggregate call.
const CALLS: usize = usize::MAX / 4;
/// The number that stands for the window's start; its end and time follow.
const WINDOW: usize = usize::MAX / 2;

#[derive(Default)]
pub(super) struct Calls {
    pub(super) list: Vec<Pending>,
    /// TUMBLE, HOP or SESSION in GROUP BY.
    pub(super) window: Option<GroupWindow>,
}

/// An aggregate call over the input of the aggregation.
#[derive(Clone, PartialEq)]
pub(super) struct Pending {
    pub(super) function: AggregateFunction,
    pub(super) args: Vec<Expr>,
    pub(super) distinct: bool,
    pub(super) filter: Option<Expr>,
    pub(super) ty: Type,
}

impl Calls {
    /// The column that stands for the call; equal calls are one.
    pub(super) fn add(&mut self, pending: Pending) -> Expr {
        let ty = pending.ty.clone();
        let i = self.list.iter().position(|call| *call == pending).unwrap_or_else(|| {
            self.list.push(pending);
            self.list.len() - 1
        });
        Expr { kind: ExprKind::Column(CALLS + i), ty }
    }
}

/// The column that stands for the window's start, end or time.
pub(super) fn window_part(part: Part, ty: Type) -> Expr {
    let i = match part {
        Part::Start => 0,
        Part::End => 1,
        Part::Time => 2,
    };
    Expr { kind: ExprKind::Column(WINDOW + i), ty }
}

/// What a grouping expression has become in the aggregate's output.
pub(super) struct Key {
    pub(super) expr: Expr,
    pub(super) column: usize,
}

/// The output of an aggregate: where keys, calls and the window's columns are.
pub(super) struct Grouped {
    pub(super) keys: Vec<Key>,
    pub(super) calls_at: usize,
    pub(super) window_at: usize,
}

impl Grouped {
    /// The expression over the aggregate's output. The error is an input column that is not grouped by.
    pub(super) fn rewrite(&self, expr: Expr) -> Result<Expr, usize> {
        rewrite::replace(expr, &mut |expr| {
            if let Some(key) = self.keys.iter().find(|key| key.expr == *expr) {
                return Ok(Some(Expr { kind: ExprKind::Column(key.column), ty: expr.ty.clone() }));
            }
            let ExprKind::Column(column) = expr.kind else { return Ok(None) };
            let column = match (column.checked_sub(WINDOW), column.checked_sub(CALLS)) {
                (Some(part), _) => self.window_at + part,
                (None, Some(call)) => self.calls_at + call,
                (None, None) => return Err(column),
            };
            Ok(Some(Expr { kind: ExprKind::Column(column), ty: expr.ty.clone() }))
        })
    }
}
