//! Comparisons, BETWEEN, IN, GREATEST and LEAST. Both sides are cast to one type first; texts compare by bytes.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::signature::{Function, special};
use super::{Lane, OnNull, call, rows_with, zip};
use crate::record::{Column, Data, Type, Value};
use crate::sql::expr::{Expr, ExprKind, Kernel};
use crate::sql::plan::Settings;
use crate::sql::{cast, types};

pub(super) const TABLE: &[Function] = &[
    special("=", "ANY, ANY", compare),
    special("<>", "ANY, ANY", compare),
    special("!=", "ANY, ANY", |_, args, settings| compare("<>", args, settings)),
    special("<", "ANY, ANY", compare),
    special("<=", "ANY, ANY", compare),
    special(">", "ANY, ANY", compare),
    special(">=", "ANY, ANY", compare),
    special("IS DISTINCT FROM", "ANY, ANY", distinct),
    special("IS NOT DISTINCT FROM", "ANY, ANY", distinct),
    special("IN", "ANY, ANY...", is_in),
    special("NOT IN", "ANY, ANY...", |_, args, settings| not(is_in("IN", args, settings)?, settings)),
    special("BETWEEN", "ANY, ANY, ANY", between),
    special("NOT BETWEEN", "ANY, ANY, ANY", |_, args, settings| not(between("BETWEEN", args, settings)?, settings)),
    special("GREATEST", "ANY...", extreme),
    special("LEAST", "ANY...", extreme),
];

fn not(expr: Expr, settings: &Settings) -> Result<Expr, String> {
    super::resolve("NOT", vec![expr], settings)
}

/// All cast to the type in which they are compared.
fn alike(args: Vec<Expr>) -> Result<(Vec<Expr>, Type), String> {
    let mut types = args.iter().map(|arg| &arg.ty);
    let first = types.next().cloned().ok_or_else(String::new)?;
    let ty = types.try_fold(first, |ty, other| types::comparable(&ty, other));
    // Flink compares a truth value with a text as texts: 'true' is not 'TRUE'. Nobody wants that: refused.
    let mixed = args.iter().any(|arg| arg.ty == Type::Boolean) && args.iter().any(|arg| types::is_text(&arg.ty));
    let ty = ty.filter(|_| !mixed);
    let Some(ty) = ty else {
        let given: Vec<String> = args.iter().map(|arg| arg.ty.to_string()).collect();
        return Err(format!("{} cannot be compared", given.join(" and ")));
    };
    let args = args.into_iter().map(|arg| cast::implicit(arg, &ty)).collect::<Result<_, _>>()?;
    Ok((args, ty))
}

fn compare(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    if args.len() != 2 {
        return Err(String::new());
    }
    let (args, ty) = alike(args)?;
    let kernel = match &ty {
        Type::Null => return Ok(Expr::literal(Value::Null, Type::Boolean)),
        Type::Boolean => ordered::<bool>(name),
        Type::Float => ordered::<f32>(name),
        Type::Double => ordered::<f64>(name),
        Type::Decimal(..) => ordered::<i128>(name),
        ty if types::is_text(ty) || types::is_binary(ty) => texts_ordered(name),
        ty if types::is_nested(ty) => match name {
            "=" => nested(equal),
            "<>" => nested(|a, b| !equal(a, b)),
            _ => return Err(format!("{ty} has no order, so {name} does not compare it")),
        },
        _ => ordered::<i64>(name),
    };
    Ok(call(name, args, Type::Boolean, kernel))
}

fn ordered<T: Lane + Copy + PartialOrd + 'static>(name: &str) -> Kernel {
    match name {
        "=" => zip(|a: T, b: T| a == b),
        "<>" => zip(|a: T, b: T| a != b),
        "<" => zip(|a: T, b: T| a < b),
        "<=" => zip(|a: T, b: T| a <= b),
        ">" => zip(|a: T, b: T| a > b),
        _ => zip(|a: T, b: T| a >= b),
    }
}

fn texts_ordered(name: &str) -> Kernel {
    match name {
        "=" => texts_zip(|a, b| a == b),
        "<>" => texts_zip(|a, b| a != b),
        "<" => texts_zip(|a, b| a < b),
        "<=" => texts_zip(|a, b| a <= b),
        ">" => texts_zip(|a, b| a > b),
        _ => texts_zip(|a, b| a >= b),
    }
}

fn texts_zip(f: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static) -> Kernel {
    Arc::new(move |columns, rows, _| {
        let [Column { data: Data::Text(a) | Data::Bytes(a), .. }, Column { data: Data::Text(b) | Data::Bytes(b), .. }] =
            columns
        else {
            return super::kernel::all_null::<bool>(rows);
        };
        let values: Vec<bool> = match (a.len() == rows, b.len() == rows) {
            (true, true) => a.iter().zip(b.iter()).map(|(x, y)| f(x, y)).collect(),
            (true, false) => {
                let y = b.get(0);
                a.iter().map(|x| f(x, y)).collect()
            }
            (false, true) => {
                let x = a.get(0);
                b.iter().map(|y| f(x, y)).collect()
            }
            (false, false) => vec![f(a.get(0), b.get(0)); rows],
        };
        Column { data: Data::Bool(values), nulls: super::kernel::merged_nulls(columns, rows) }
    })
}

fn nested(f: fn(&Value, &Value) -> bool) -> Kernel {
    super::rows(move |args| Some(f(args.nested(0)?, args.nested(1)?)))
}

/// Equality of values of the same type; the order of a map's entries does not matter.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(x), Value::Array(y)) | (Value::Row(x), Value::Row(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
        }
        (Value::Map(x), Value::Map(y)) => {
            let has = |(key, value): &(Value, Value)| y.iter().any(|(k, v)| equal(key, k) && equal(value, v));
            x.len() == y.len() && x.iter().all(has)
        }
        _ => a == b,
    }
}

/// The order of two values of the same scalar type.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Int(x), Value::Int(y)) => x.cmp(y),
        (Value::Float(x), Value::Float(y)) => x.total_cmp(y),
        (Value::Double(x), Value::Double(y)) => x.total_cmp(y),
        (Value::Decimal(x), Value::Decimal(y)) => x.cmp(y),
        (Value::Text(x), Value::Text(y)) => x.cmp(y),
        (Value::Bytes(x), Value::Bytes(y)) => x.cmp(y),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Array(x), Value::Array(y)) | (Value::Row(x), Value::Row(y)) => {
            let unequal = x.iter().zip(y).map(|(x, y)| order(x, y)).find(|o| *o != Ordering::Equal);
            unequal.unwrap_or_else(|| x.len().cmp(&y.len()))
        }
        _ => Ordering::Equal,
    }
}

fn distinct(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    if args.len() != 2 {
        return Err(String::new());
    }
    let (args, _) = alike(args)?;
    let wanted = name == "IS NOT DISTINCT FROM";
    let kernel = rows_with(OnNull::Call, move |args| Some(equal(&args.value(0), &args.value(1)) == wanted));
    Ok(call(name, args, Type::Boolean, kernel))
}

fn between(_: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    let Ok([x, from, to]) = <[Expr; 3]>::try_from(args) else { return Err(String::new()) };
    let parts = vec![compare(">=", vec![x.clone(), from], settings)?, compare("<=", vec![x, to], settings)?];
    Ok(Expr { kind: ExprKind::And(parts), ty: Type::Boolean })
}

fn is_in(name: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    if args.len() < 2 {
        return Err(String::new());
    }
    let (mut args, ty) = alike(args)?;
    args.iter_mut().skip(1).for_each(|arg| *arg = crate::sql::eval::fold(arg.clone(), settings));
    let values: Option<Vec<&Value>> = args.iter().skip(1).map(|arg| arg.as_literal()).collect();
    let kernel = match (&values, &ty) {
        (Some(values), ty) if types::is_text(ty) => text_set(values),
        (Some(values), ty) if matches!(Data::of(ty, 0), Data::Int(_)) => integer_set(values),
        _ => None,
    };
    if let Some(kernel) = kernel {
        return Ok(call(name, args, Type::Boolean, kernel));
    }
    let mut args = args.into_iter();
    let x = args.next().ok_or_else(String::new)?;
    let parts: Vec<Expr> = args.map(|arg| compare("=", vec![x.clone(), arg], settings)).collect::<Result<_, _>>()?;
    Ok(match <[Expr; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => Expr { kind: ExprKind::Or(parts), ty: Type::Boolean },
    })
}

/// `None` if there is a NULL in the set.
fn text_set(values: &[&Value]) -> Option<Kernel> {
    let texts = values.iter().map(|value| match value {
        Value::Text(text) => Some(text.as_bytes().to_vec()),
        _ => None,
    });
    let set: HashSet<Vec<u8>> = texts.collect::<Option<_>>()?;
    Some(super::rows(move |args| Some(set.contains(args.bytes(0)))))
}

/// `None` if there is a NULL in the set.
fn integer_set(values: &[&Value]) -> Option<Kernel> {
    let numbers = values.iter().map(|value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    });
    let mut sorted: Vec<i64> = numbers.collect::<Option<_>>()?;
    sorted.sort_unstable();
    Some(super::rows(move |args| Some(sorted.binary_search(&args.int(0)).is_ok())))
}

/// NULL if any argument is.
fn extreme(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let types: Vec<Type> = args.iter().map(|arg| arg.ty.clone()).collect();
    let ty = types::common(&types).ok_or_else(String::new)?;
    let args = args.into_iter().map(|arg| cast::implicit(arg, &ty)).collect::<Result<Vec<_>, _>>()?;
    let wanted = if name == "GREATEST" { Ordering::Greater } else { Ordering::Less };
    let pick = move |args: &super::Args<'_>| {
        (1..args.len()).fold(args.value(0), |best, i| {
            let value = args.value(i);
            if order(&value, &best) == wanted { value } else { best }
        })
    };
    let of = ty.clone();
    let kernel: Kernel = Arc::new(move |columns, rows, context| {
        let picked = super::rows::<Value>(move |args| Some(pick(args)))(columns, rows, context);
        let mut out = Column::of(&of, rows);
        (0..rows).for_each(|row| out.push(&picked.value(row)));
        out
    });
    Ok(call(name, args, ty, kernel))
}
