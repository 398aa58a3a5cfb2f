//! Walks over bound expressions: which columns they read, the same with other columns.

use std::collections::BTreeSet;

use crate::record::Value;
use crate::sql::expr::{Call, Expr, ExprKind};

/// The expressions that this one is made of.
fn parts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) => Vec::new(),
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
        ExprKind::Case { branches, otherwise } => {
            branches.iter().flat_map(|(condition, result)| [condition, result]).chain([&**otherwise]).collect()
        }
        ExprKind::Call(call) => call.args.iter().collect(),
    }
}

/// Whether `test` holds for the expression or one that it is made of.
pub(super) fn any(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    test(expr) || parts(expr).into_iter().any(|part| any(part, test))
}

/// The columns that it reads.
pub(super) fn columns(expr: &Expr) -> BTreeSet<usize> {
    fn collect(expr: &Expr, into: &mut BTreeSet<usize>) {
        if let ExprKind::Column(column) = expr.kind {
            into.insert(column);
        }
        parts(expr).into_iter().for_each(|part| collect(part, into));
    }
    let mut found = BTreeSet::new();
    collect(expr, &mut found);
    found
}

/// How often it reads a column.
pub(super) fn uses(expr: &Expr, column: usize) -> usize {
    usize::from(expr.kind == ExprKind::Column(column))
        + parts(expr).into_iter().map(|part| uses(part, column)).sum::<usize>()
}

/// The same for the same row, whenever and however often it is computed.
pub(super) fn is_deterministic(expr: &Expr) -> bool {
    !any(expr, &|expr| matches!(&expr.kind, ExprKind::Call(call) if !call.deterministic))
}

/// Costs nothing to compute twice.
pub(super) fn is_plain(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Column(_) | ExprKind::Literal(_))
}

pub(super) fn is_proctime(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call(call) if call.name == "PROCTIME")
}

/// The literal's value.
pub(super) fn literal(expr: &Expr) -> Option<&Value> {
    match &expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

/// The same with other expressions in place of those for which `change` gives one (`Ok(Some)`), from the outside
/// inwards; what is put in is not looked at again. The first error ends it.
pub(super) fn replace<E>(expr: Expr, change: &mut dyn FnMut(&Expr) -> Result<Option<Expr>, E>) -> Result<Expr, E> {
    if let Some(other) = change(&expr)? {
        return Ok(other);
    }
    let mut all = |parts: Vec<Expr>| parts.into_iter().map(|part| replace(part, change)).collect::<Result<Vec<_>, E>>();
    let kind = match expr.kind {
        kind @ (ExprKind::Column(_) | ExprKind::Literal(_)) => kind,
        ExprKind::And(parts) => ExprKind::And(all(parts)?),
        ExprKind::Or(parts) => ExprKind::Or(all(parts)?),
        ExprKind::Case { branches, otherwise } => ExprKind::Case {
            branches: branches
                .into_iter()
                .map(|(condition, result)| Ok((replace(condition, change)?, replace(result, change)?)))
                .collect::<Result<_, E>>()?,
            otherwise: Box::new(replace(*otherwise, change)?),
        },
        ExprKind::Call(Call { name, args, deterministic, kernel }) => {
            ExprKind::Call(Call { name, args: all(args)?, deterministic, kernel })
        }
    };
    Ok(Expr { kind, ty: expr.ty })
}

/// The same with each column's number changed.
pub(super) fn renumber(expr: Expr, number: &dyn Fn(usize) -> usize) -> Expr {
    let changed = replace(expr, &mut |expr| match expr.kind {
        ExprKind::Column(column) => Ok::<_, std::convert::Infallible>(Some(Expr {
            kind: ExprKind::Column(number(column)),
            ty: expr.ty.clone(),
        })),
        _ => Ok(None),
    });
    match changed {
        Ok(expr) => expr,
        Err(never) => match never {},
    }
}

/// The same over the input of a projection instead of its output.
pub(super) fn through(expr: Expr, projection: &[Expr]) -> Expr {
    let changed = replace(expr, &mut |expr| match expr.kind {
        // A text may be read as one of a longer type without a cast, so the type is the reader's.
        ExprKind::Column(column) => {
            let inner = projection.get(column).cloned();
            Ok::<_, std::convert::Infallible>(inner.map(|inner| Expr { ty: expr.ty.clone(), ..inner }))
        }
        _ => Ok(None),
    });
    match changed {
        Ok(expr) => expr,
        Err(never) => match never {},
    }
}

/// The parts of a condition that must all be true.
pub(super) fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr.kind {
        ExprKind::And(parts) => parts.into_iter().flat_map(conjuncts).collect(),
        _ => vec![expr],
    }
}
