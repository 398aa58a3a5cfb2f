//! Evaluates bound expressions a column at a time. AND, OR and CASE compute their later parts only for the rows that
//! are still undecided, so that what guards a division or a strict cast does guard it. Folds what is constant.
//!
//! Rows that Flink would have failed the job for are NULL in the result and named in the context. Nothing panics.

use std::borrow::Cow;

use crate::record::{Batch, Column, Data, Type, Value};

use super::expr::{Call, Context, Expr, ExprKind};
use super::plan::Settings;

#[cfg(test)]
mod tests;

/// One value for each row of the batch.
pub(crate) fn eval(expr: &Expr, batch: &Batch, context: &mut Context) -> Column {
    match &expr.kind {
        ExprKind::Column(i) => match batch.columns.get(*i) {
            Some(column) if column.len() == batch.rows => column.clone(),
            _ => repeat(&Value::Null, &expr.ty, batch.rows),
        },
        ExprKind::Literal(value) => repeat(value, &expr.ty, batch.rows),
        ExprKind::And(parts) => junction(parts, false, batch, context),
        ExprKind::Or(parts) => junction(parts, true, batch, context),
        ExprKind::Case { branches, otherwise } => case(branches, otherwise, &expr.ty, batch, context),
        ExprKind::Call(call) => run(call, batch, context),
    }
}

/// The numbers of the rows for which a BOOLEAN is true.
pub(crate) fn selected(expr: &Expr, batch: &Batch, context: &mut Context) -> Vec<u32> {
    let column = eval(expr, batch, context);
    true_rows(&column).collect()
}

fn true_rows(column: &Column) -> impl Iterator<Item = u32> {
    let values: &[bool] = if let Data::Bool(values) = &column.data { values } else { &[] };
    let nulls = column.nulls.as_deref();
    values
        .iter()
        .enumerate()
        .filter(move |(row, value)| **value && nulls.is_none_or(|n| !n[*row]))
        .map(|(row, _)| row as u32)
}

fn run(call: &Call, batch: &Batch, context: &mut Context) -> Column {
    let held: Vec<Cow<'_, Column>> = call.args.iter().map(|arg| argument(arg, batch, context)).collect();
    let columns: Vec<&Column> = held.iter().map(AsRef::as_ref).collect();
    (call.kernel)(&columns, batch.rows, context)
}

/// A literal stays one row, a column is not copied.
fn argument<'a>(expr: &Expr, batch: &'a Batch, context: &mut Context) -> Cow<'a, Column> {
    match &expr.kind {
        ExprKind::Literal(value) => Cow::Owned(repeat(value, &expr.ty, 1)),
        ExprKind::Column(i) => match batch.columns.get(*i) {
            Some(column) if column.len() == batch.rows => Cow::Borrowed(column),
            _ => Cow::Owned(repeat(&Value::Null, &expr.ty, batch.rows)),
        },
        _ => Cow::Owned(eval(expr, batch, context)),
    }
}

/// The same value for every row.
pub(crate) fn repeat(value: &Value, ty: &Type, rows: usize) -> Column {
    let data = match (Data::of(ty, 0), value) {
        (Data::Bool(_), Value::Bool(x)) => Data::Bool(vec![*x; rows]),
        (Data::Int(_), Value::Int(x)) => Data::Int(vec![*x; rows]),
        (Data::Float(_), Value::Float(x)) => Data::Float(vec![*x; rows]),
        (Data::Double(_), Value::Double(x)) => Data::Double(vec![*x; rows]),
        (Data::Decimal(_), Value::Decimal(x)) => Data::Decimal(vec![*x; rows]),
        (mut data, value) => {
            (0..rows).for_each(|_| data.push(value));
            data
        }
    };
    Column { data, nulls: (*value == Value::Null).then(|| vec![true; rows]) }
}

/// AND (`decider` false) or OR (`decider` true): the first part that equals the decider decides.
fn junction(parts: &[Expr], decider: bool, batch: &Batch, context: &mut Context) -> Column {
    let mut values = vec![!decider; batch.rows];
    let mut nulls = vec![false; batch.rows];
    for (number, part) in parts.iter().enumerate() {
        if number == 0 || harmless(part) {
            let column = eval(part, batch, context);
            let Data::Bool(found) = &column.data else { continue };
            for (row, value) in found.iter().enumerate() {
                if column.is_null(row) {
                    nulls[row] |= values[row] != decider;
                } else if *value == decider {
                    values[row] = decider;
                    nulls[row] = false;
                }
            }
            continue;
        }
        let open: Vec<u32> = (0..batch.rows as u32).filter(|row| values[*row as usize] != decider).collect();
        if open.is_empty() {
            break;
        }
        let column = eval_rows(part, batch, &open, context);
        for (at, row) in open.iter().enumerate() {
            let row = *row as usize;
            match column.value(at) {
                Value::Null => nulls[row] = true,
                Value::Bool(value) if value == decider => {
                    values[row] = decider;
                    nulls[row] = false;
                }
                _ => {}
            }
        }
    }
    Column { data: Data::Bool(values), nulls: nulls.contains(&true).then_some(nulls) }
}

fn case(branches: &[(Expr, Expr)], otherwise: &Expr, ty: &Type, batch: &Batch, context: &mut Context) -> Column {
    let mut open: Vec<u32> = (0..batch.rows as u32).collect();
    // For each row, which of `results` has its value and at which place there.
    let mut place = vec![(0_usize, 0_usize); batch.rows];
    let mut results: Vec<Column> = Vec::with_capacity(branches.len() + 1);
    for (condition, result) in branches {
        let column = eval_rows(condition, batch, &open, context);
        let mut taken = Vec::new();
        let mut left = Vec::with_capacity(open.len());
        let mut hits = true_rows(&column).peekable();
        for (at, row) in open.iter().enumerate() {
            if hits.next_if_eq(&(at as u32)).is_some() { &mut taken } else { &mut left }.push(*row);
        }
        taken.iter().enumerate().for_each(|(at, row)| place[*row as usize] = (results.len(), at));
        results.push(eval_rows(result, batch, &taken, context));
        open = left;
    }
    open.iter().enumerate().for_each(|(at, row)| place[*row as usize] = (results.len(), at));
    results.push(eval_rows(otherwise, batch, &open, context));
    gather(&results, &place, ty)
}

/// One column out of several.
fn gather(parts: &[Column], place: &[(usize, usize)], ty: &Type) -> Column {
    if let [only] = parts {
        return only.clone();
    }
    let mut column = Column::of(ty, place.len());
    let with_nulls = parts.iter().any(|part| part.nulls.is_some());
    match &mut column.data {
        Data::Int(out) => pick(parts, place, out, |data| if let Data::Int(v) = data { v } else { &[] }),
        Data::Double(out) => pick(parts, place, out, |data| if let Data::Double(v) = data { v } else { &[] }),
        Data::Text(out) => {
            for (part, at) in place {
                out.push(if let Data::Text(v) = &parts[*part].data { v.get(*at) } else { &[] });
            }
        }
        data => place.iter().for_each(|(part, at)| data.push(&parts[*part].value(*at))),
    }
    column.nulls = with_nulls.then(|| place.iter().map(|(part, at)| parts[*part].is_null(*at)).collect());
    column
}

fn pick<T: Copy + Default>(parts: &[Column], place: &[(usize, usize)], out: &mut Vec<T>, of: fn(&Data) -> &[T]) {
    let slices: Vec<&[T]> = parts.iter().map(|part| of(&part.data)).collect();
    out.extend(place.iter().map(|(part, at)| slices[*part].get(*at).copied().unwrap_or_default()));
}

/// Evaluates for some rows only; what goes wrong is said with the batch's own row numbers.
fn eval_rows(expr: &Expr, batch: &Batch, rows: &[u32], context: &mut Context) -> Column {
    if rows.len() == batch.rows {
        return eval(expr, batch, context);
    }
    if rows.is_empty() {
        return Column::of(&expr.ty, 0);
    }
    let mut used = vec![false; batch.columns.len()];
    mark_columns(expr, &mut used);
    let columns = batch.columns.iter().zip(&used).map(|(column, used)| match used {
        true => column.take(rows),
        false => Column { data: Data::Values(Vec::new()), nulls: None },
    });
    let part = Batch { columns: columns.collect(), rows: rows.len(), origin: None };
    let before = context.errors.len();
    let result = eval(expr, &part, context);
    for (row, _) in &mut context.errors[before..] {
        *row = rows.get(*row).map_or(*row, |row| *row as usize);
    }
    result
}

/// Sets the numbers of the input columns that an expression reads.
pub(crate) fn mark_columns(expr: &Expr, used: &mut [bool]) {
    if let ExprKind::Column(i) = &expr.kind
        && let Some(used) = used.get_mut(*i)
    {
        *used = true;
    }
    children(expr, &mut |child| mark_columns(child, used));
}

fn children<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) => {}
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(visit),
        ExprKind::Case { branches, otherwise } => {
            branches.iter().for_each(|(condition, result)| {
                visit(condition);
                visit(result);
            });
            visit(otherwise);
        }
        ExprKind::Call(call) => call.args.iter().for_each(visit),
    }
}

/// Cheap and never an error, so that it may be computed for all rows although only some need it.
fn harmless(expr: &Expr) -> bool {
    let plain = |expr: &Expr| matches!(expr.kind, ExprKind::Column(_) | ExprKind::Literal(_));
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) => true,
        ExprKind::Call(call) => {
            matches!(call.name, "=" | "<>" | "<" | "<=" | ">" | ">=" | "IS NULL" | "IS NOT NULL" | "NOT")
                && call.args.iter().all(plain)
        }
        _ => false,
    }
}

/// Computes what is constant. What goes wrong thereby stays as it is and goes wrong for each row.
pub(crate) fn fold(expr: Expr, settings: &Settings) -> Expr {
    let Expr { kind, ty } = expr;
    let each = |parts: Vec<Expr>| parts.into_iter().map(|part| fold(part, settings)).collect::<Vec<_>>();
    match kind {
        ExprKind::And(parts) => fold_junction(each(parts), false, ty),
        ExprKind::Or(parts) => fold_junction(each(parts), true, ty),
        ExprKind::Case { branches, otherwise } => {
            let branches = branches.into_iter().map(|(c, r)| (fold(c, settings), fold(r, settings))).collect();
            fold_case(branches, fold(*otherwise, settings), ty)
        }
        ExprKind::Call(call) => {
            let call = Call { args: each(call.args), ..call };
            // Inside of one another these are JSON, not texts: they must stay to be known by their name.
            let json = matches!(call.name, "JSON_OBJECT" | "JSON_ARRAY");
            let constant = call.deterministic && !json && call.args.iter().all(|arg| arg.as_literal().is_some());
            if constant {
                let mut context = Context::new(0, settings.zone.clone());
                let value = run(&call, &Batch { rows: 1, ..Batch::default() }, &mut context).value(0);
                if context.errors.is_empty() {
                    return Expr::literal(value, ty);
                }
            }
            Expr { kind: ExprKind::Call(call), ty }
        }
        kind => Expr { kind, ty },
    }
}

fn fold_junction(parts: Vec<Expr>, decider: bool, ty: Type) -> Expr {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part.as_literal() {
            Some(Value::Bool(value)) if *value == decider => {
                kept.push(part);
                break;
            }
            Some(Value::Bool(_)) => {}
            _ => kept.push(part),
        }
    }
    match kept.len() {
        0 => Expr::literal(Value::Bool(!decider), ty),
        1 => kept.swap_remove(0),
        _ if decider => Expr { kind: ExprKind::Or(kept), ty },
        _ => Expr { kind: ExprKind::And(kept), ty },
    }
}

fn fold_case(branches: Vec<(Expr, Expr)>, otherwise: Expr, ty: Type) -> Expr {
    let mut kept = Vec::with_capacity(branches.len());
    for (condition, result) in branches {
        match condition.as_literal() {
            Some(Value::Bool(true)) if kept.is_empty() => return result,
            Some(Value::Bool(true)) => {
                return Expr { kind: ExprKind::Case { branches: kept, otherwise: result.into() }, ty };
            }
            Some(_) => {}
            None => kept.push((condition, result)),
        }
    }
    match kept.is_empty() {
        true => otherwise,
        false => Expr { kind: ExprKind::Case { branches: kept, otherwise: otherwise.into() }, ty },
    }
}
