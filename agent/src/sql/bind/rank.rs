//! `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)` in a subquery, and the `= 1` above it: one row for each key.

use std::collections::BTreeSet;

use sqlparser::ast::{self, OrderBySort, Spanned, WindowType};

use crate::record::{Type, Value};
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Changelog, First, Node, NodeKind, Order, Window, WindowKind};

use super::graph::Part;
use super::literal::constant;
use super::rewrite;
use super::scope::{Rank, Relation};
use super::{Binder, Bound, call, place};

/// A `ROW_NUMBER()` over columns of the projection's input.
pub(super) struct RowNumber {
    keys: Vec<Expr>,
    order: Vec<(Expr, bool, bool)>,
    at: sqlparser::tokenizer::Span,
}

/// The function if the expression is a `ROW_NUMBER() OVER …`.
pub(super) fn is_row_number(ast: &ast::Expr) -> Option<&ast::Function> {
    match ast {
        ast::Expr::Function(function) if function.over.is_some() && call::name(function) == "ROW_NUMBER" => {
            Some(function)
        }
        _ => None,
    }
}

/// What stands in the number's place: the rows that are left have the number 1.
pub(super) fn one() -> Expr {
    constant(Value::Int(1), Type::BigInt)
}

impl Binder<'_> {
    pub(super) fn row_number(&mut self, function: &ast::Function, scope: &Relation) -> Bound<RowNumber> {
        let at = place::of_function(function);
        let Some(WindowType::WindowSpec(spec)) = &function.over else {
            return self.refuse(at, "named windows are not supported: write OVER (PARTITION BY … ORDER BY …)");
        };
        if spec.window_name.is_some()
            || spec.window_frame.is_some()
            || super::call::arguments(function).is_none_or(|a| !a.is_empty())
        {
            return self.refuse(at, "expected ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)");
        }
        if spec.order_by.is_empty() {
            return self.refuse(at, "ROW_NUMBER() needs an ORDER BY in its OVER (…)");
        }
        let keys = self.exprs(&spec.partition_by, scope);
        let mut order = Vec::new();
        let mut failed = None;
        for item in &spec.order_by {
            let descending = match &item.options.sort {
                None | Some(OrderBySort::Asc) => false,
                Some(OrderBySort::Desc) => true,
                Some(other) => return self.refuse(item.span(), format!("ORDER BY … {other:?} is not supported")),
            };
            // Flink takes NULL for the least of all.
            let nulls_first = item.options.nulls_first.unwrap_or(!descending);
            match self.expr(&item.expr, scope) {
                Ok(expr) => order.push((expr, descending, nulls_first)),
                Err(reported) => failed = Some(reported),
            }
        }
        failed.map_or(Ok(()), Err)?;
        Ok(RowNumber { keys: keys?, order, at })
    }

    /// Makes the number's keys and order columns of the projection and says where they are. `input` is the
    /// projection's input, `column` the number's own column.
    pub(super) fn rank(
        &mut self,
        number: RowNumber,
        input: usize,
        named: &mut Vec<(String, Expr)>,
        column: usize,
    ) -> Rank {
        let mut place = |expr: Expr| {
            let known = named.iter().position(|(_, known)| *known == expr && rewrite::is_deterministic(&expr));
            known.unwrap_or_else(|| {
                named.push((format!("$k{}", named.len()), expr));
                named.len() - 1
            })
        };
        let mut by_arrival = None;
        let mut order = Vec::new();
        for (expr, descending, nulls_first) in number.order {
            let proctime = match expr.kind {
                ExprKind::Column(column) => self.graph.is_proctime(input, column),
                _ => rewrite::is_proctime(&expr),
            };
            if proctime {
                // No two rows arrive at once: what comes after it in the list does not count.
                by_arrival = Some(!descending);
                break;
            }
            order.push(Order { column: place(expr), descending, nulls_first });
        }
        let keys = number.keys.into_iter().map(&mut place).collect();
        Rank { column, keys, order, by_arrival, at: number.at }
    }

    /// Takes the `rn = 1` out of a WHERE and makes the row for each key; gives the conditions that are left.
    pub(super) fn first_rows(&mut self, relation: Relation, conditions: Vec<Expr>) -> Bound<(Relation, Vec<Expr>)> {
        let Some(rank) = relation.rank.clone() else { return Ok((relation, conditions)) };
        let (first, rest): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|condition| is_first(condition, rank.column));
        if first.is_empty() {
            let message = "ROW_NUMBER() is only supported with `WHERE rn = 1` in the query just above (the first or last row \
                           of each key); more rows for a key (rn <= N) are not";
            return self.refuse(rank.at, message);
        }
        let input = relation.node;
        if *self.graph.changes(input) != Changelog::Append {
            let message = "ROW_NUMBER() over the changing results of GROUP BY without a window is not supported: rank the \
                           source, or aggregate by window";
            return self.refuse(rank.at, message);
        }
        if self.graph.is_of_windows(input) {
            self.above_windows.push(rank.at);
        }
        if rank.by_arrival.is_some() && !rank.order.is_empty() {
            let message =
                "ORDER BY columns before PROCTIME() are not supported in ROW_NUMBER(): order by one or the other";
            return self.refuse(rank.at, message);
        }
        let window = self.rank_window(input, &rank.keys);
        let keep_first = rank.by_arrival == Some(true);
        let changes = match (&window, keep_first) {
            (None, false) => Changelog::Upsert(rank.keys.clone()),
            _ => Changelog::Append,
        };
        let fields = self.graph.fields(input).to_vec();
        let rowtime = |order: &Order| fields.get(order.column).is_some_and(|field| field.rowtime);
        let newer_wins =
            matches!(rank.order.as_slice(), [only] if only.descending && rowtime(only)) && window.is_none();
        let first = First { input, keys: rank.keys, order: rank.order, keep_first, newer_wins, window };
        let node = self.graph.push(Node { kind: NodeKind::First(first), fields, changes });
        Ok((Relation { node, columns: relation.columns, rank: None }, rest))
    }

    /// The window that the keys are of, if its start and end are both among them.
    fn rank_window(&self, input: usize, keys: &[usize]) -> Option<Window> {
        let parts: Vec<_> =
            keys.iter().filter_map(|key| Some((*key, self.graph.window_column(input, *key)?))).collect();
        parts.iter().filter(|(_, found)| found.part == Part::Start).find_map(|(start, of)| {
            let mut ends = parts.iter().filter(|(_, found)| found.part == Part::End && found.node == of.node);
            let (end, _) = ends.next()?;
            Some(Window { kind: WindowKind::Given { start: *start, end: *end }, time: *end, offset: 0 })
        })
    }

    /// Refuses a relation whose ROW_NUMBER() has not met its `= 1`.
    pub(super) fn no_rank(&mut self, relation: Relation) -> Bound<Relation> {
        self.first_rows(relation, Vec::new()).map(|(relation, _)| relation)
    }
}

/// `rn = 1`, `rn <= 1`, `rn < 2` and the same turned round.
fn is_first(condition: &Expr, column: usize) -> bool {
    let ExprKind::Call(call) = &condition.kind else { return false };
    let [left, right] = call.args.as_slice() else { return false };
    let is_rank = |expr: &Expr| {
        let reads: BTreeSet<usize> = rewrite::columns(expr);
        reads.contains(&column) && matches!(&expr.kind, ExprKind::Column(_) | ExprKind::Call(_)) && is_cast(expr)
    };
    let number = |expr: &Expr| match rewrite::literal(expr) {
        Some(Value::Int(number)) => Some(*number),
        Some(Value::Decimal(number)) => match expr.ty {
            Type::Decimal(_, 0) => i64::try_from(*number).ok(),
            _ => None,
        },
        _ => None,
    };
    match (is_rank(left), is_rank(right)) {
        (true, false) => matches!((call.name, number(right)), ("=" | "<=", Some(1)) | ("<", Some(2))),
        (false, true) => matches!((call.name, number(left)), ("=" | ">=", Some(1)) | (">", Some(2))),
        _ => false,
    }
}

/// A column, or a cast of one.
fn is_cast(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Column(_) => true,
        ExprKind::Call(call) => call.name.ends_with("CAST") && call.args.first().is_some_and(is_cast),
        _ => false,
    }
}
