//! NOT, the IS predicates, and the conditional functions, which are bound to CASE.

use super::signature::{Function, special};
use super::{call, map};
use crate::record::{Column, Data, Type, Value};
use crate::sql::cast;
use crate::sql::expr::{Expr, ExprKind, Kernel};
use crate::sql::plan::Settings;
use crate::sql::types;
use std::sync::Arc;

pub(super) const TABLE: &[Function] = &[
    special("AND", "BOOLEAN, BOOLEAN...", junction),
    special("OR", "BOOLEAN, BOOLEAN...", junction),
    special("NOT", "BOOLEAN", |name, args, _| {
        Ok(call(name, vec![truth(only(args)?)?], Type::Boolean, map(|x: bool| !x)))
    }),
    special("IS NULL", "ANY", |name, args, _| Ok(call(name, vec![only(args)?], Type::Boolean, nulls(true)))),
    special("IS NOT NULL", "ANY", |name, args, _| Ok(call(name, vec![only(args)?], Type::Boolean, nulls(false)))),
    special("IS UNKNOWN", "BOOLEAN", |name, args, _| {
        Ok(call(name, vec![truth(only(args)?)?], Type::Boolean, nulls(true)))
    }),
    special("IS NOT UNKNOWN", "BOOLEAN", |name, args, _| {
        Ok(call(name, vec![truth(only(args)?)?], Type::Boolean, nulls(false)))
    }),
    special("IS TRUE", "BOOLEAN", |name, args, _| is(name, args, true, false)),
    special("IS NOT TRUE", "BOOLEAN", |name, args, _| is(name, args, true, true)),
    special("IS FALSE", "BOOLEAN", |name, args, _| is(name, args, false, false)),
    special("IS NOT FALSE", "BOOLEAN", |name, args, _| is(name, args, false, true)),
    special("IF", "BOOLEAN, ANY, ANY", |_, args, _| {
        let Ok([condition, yes, no]) = <[Expr; 3]>::try_from(args) else { return Err(String::new()) };
        case(vec![(condition, yes)], Some(no))
    }),
    special("COALESCE", "ANY...", coalesce),
    special("IFNULL", "ANY, ANY", coalesce_two),
    special("NVL", "ANY, ANY", coalesce_two),
    special("NULLIF", "ANY, ANY", nullif),
];

fn only(args: Vec<Expr>) -> Result<Expr, String> {
    <[Expr; 1]>::try_from(args).map(|[arg]| arg).map_err(|_| String::new())
}

fn truth(arg: Expr) -> Result<Expr, String> {
    match arg.ty {
        Type::Boolean | Type::Null => cast::implicit(arg, &Type::Boolean),
        _ if types::is_text(&arg.ty) => cast::implicit(arg, &Type::Boolean),
        _ => Err(String::new()),
    }
}

/// AND or OR of BOOLEANs; those within one another become one.
fn junction(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    if args.len() < 2 {
        return Err(String::new());
    }
    let mut parts = Vec::with_capacity(args.len());
    for arg in args {
        match (name, truth(arg)?) {
            ("AND", Expr { kind: ExprKind::And(inner), .. }) | ("OR", Expr { kind: ExprKind::Or(inner), .. }) => {
                parts.extend(inner);
            }
            (_, arg) => parts.push(arg),
        }
    }
    let kind = if name == "AND" { ExprKind::And(parts) } else { ExprKind::Or(parts) };
    Ok(Expr { kind, ty: Type::Boolean })
}

fn nulls(wanted: bool) -> Kernel {
    Arc::new(move |columns, rows, _| {
        let values = match columns.first().map(|column| (column, column.len())) {
            Some((Column { nulls: None, .. }, _)) | None => vec![!wanted; rows],
            Some((Column { nulls: Some(nulls), .. }, len)) if len == rows => {
                nulls.iter().map(|null| *null == wanted).collect()
            }
            Some((column, _)) => vec![column.is_null(0) == wanted; rows],
        };
        Column { data: Data::Bool(values), nulls: None }
    })
}

/// `IS [NOT] TRUE`, `IS [NOT] FALSE`: never NULL.
fn is(name: &'static str, args: Vec<Expr>, wanted: bool, negated: bool) -> Result<Expr, String> {
    let arg = truth(only(args)?)?;
    let kernel = super::rows_with(super::OnNull::Call, move |args| {
        Some((!args.is_null(0) && args.bool(0) == wanted) != negated)
    });
    Ok(call(name, vec![arg], Type::Boolean, kernel))
}

/// A CASE with its results cast to what they have in common; `otherwise` is NULL if there is none.
pub(crate) fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr, String> {
    let otherwise = otherwise.unwrap_or_else(|| Expr::literal(Value::Null, Type::Null));
    let results: Vec<Type> =
        branches.iter().map(|(_, result)| result.ty.clone()).chain([otherwise.ty.clone()]).collect();
    let Some(ty) = types::common(&results) else {
        let given: Vec<String> = results.iter().map(ToString::to_string).collect();
        return Err(format!("the results are of types that have nothing in common: {}", given.join(", ")));
    };
    let cast_both = |(condition, result): (Expr, Expr)| {
        let given = condition.ty.to_string();
        let condition = truth(condition).map_err(|_| format!("a condition must be a BOOLEAN, this is {given}"))?;
        Ok::<_, String>((condition, cast::implicit(result, &ty)?))
    };
    let branches = branches.into_iter().map(cast_both).collect::<Result<Vec<_>, _>>()?;
    let otherwise = Box::new(cast::implicit(otherwise, &ty)?);
    Ok(Expr { kind: ExprKind::Case { branches, otherwise }, ty })
}

fn coalesce(_: &'static str, mut args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    let Some(last) = args.pop() else { return Err(String::new()) };
    let branches = args.into_iter().map(|arg| {
        let known = super::resolve("IS NOT NULL", vec![arg.clone()], settings)?;
        Ok::<_, String>((known, arg))
    });
    let branches = branches.collect::<Result<Vec<_>, _>>()?;
    if branches.is_empty() { Ok(last) } else { case(branches, Some(last)) }
}

fn coalesce_two(name: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    if args.len() == 2 { coalesce(name, args, settings) } else { Err(String::new()) }
}

fn nullif(_: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    let Ok([a, b]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
    let same = super::resolve("=", vec![a.clone(), b], settings)?;
    let ty = a.ty.clone();
    case(vec![(same, Expr::literal(Value::Null, ty))], Some(a))
}
