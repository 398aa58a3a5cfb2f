//! Where parts of a statement are. sqlparser's own answer walks whole trees, and a long chain of operators is a deep
//! one; these look at the ends only.

use sqlparser::ast::{Expr, Function, GroupByExpr, Query, SelectItem, SetExpr, Spanned, TableFactor};
use sqlparser::tokenizer::Span;

/// From an expression's first to its last word.
pub(super) fn of(expr: &Expr) -> Span {
    let mut first = expr;
    while let Expr::BinaryOp { left, .. } = first {
        first = left;
    }
    match expr {
        Expr::BinaryOp { right, .. } => match &**right {
            Expr::BinaryOp { .. } => of(first),
            right => first.span().union(&right.span()),
        },
        _ => expr.span(),
    }
}

/// The query's first SELECT.
pub(super) fn of_query(query: &Query) -> Span {
    of_set(&query.body)
}

pub(super) fn of_set(mut set: &SetExpr) -> Span {
    loop {
        set = match set {
            SetExpr::Select(select) => return select.select_token.0.span,
            SetExpr::Query(query) => &query.body,
            SetExpr::SetOperation { left, .. } => left,
            SetExpr::Values(values) => {
                return values.rows.iter().flat_map(|row| row.iter()).next().map_or(Span::empty(), of);
            }
            _ => return Span::empty(),
        };
    }
}

/// The first grouping expression.
pub(super) fn of_group_by(group_by: &GroupByExpr) -> Span {
    match group_by {
        GroupByExpr::Expressions(expressions, _) => expressions.first().map_or(Span::empty(), of),
        GroupByExpr::All(_) => Span::empty(),
    }
}

/// The function's name.
pub(super) fn of_function(function: &Function) -> Span {
    function.name.span()
}

pub(super) fn of_item(item: &SelectItem) -> Span {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => of(expr),
        other => other.span(),
    }
}

/// What a part of FROM begins with.
pub(super) fn of_factor(factor: &TableFactor) -> Span {
    match factor {
        TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => name.span(),
        TableFactor::Derived { subquery, .. } => of_query(subquery),
        TableFactor::TableFunction { expr, .. } => of(expr),
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.first().map_or(Span::empty(), of),
        TableFactor::NestedJoin { table_with_joins, .. } => of_factor(&table_with_joins.relation),
        TableFactor::Pivot { table, .. }
        | TableFactor::Unpivot { table, .. }
        | TableFactor::MatchRecognize { table, .. } => of_factor(table),
        _ => Span::empty(),
    }
}
