//! `+ - * / %` and the sign: integers wrap in their type, decimals follow Flink's precision rules, intervals move times.

use super::signature::{Function, special};
use super::{Args, Lane, call, map, rows, zip};
use crate::record::{Type, Value};
use crate::sql::calendar::{self, DAY};
use crate::sql::cast::{self, Strictness, wrap};
use crate::sql::decimal;
use crate::sql::expr::{Expr, Kernel};
use crate::sql::plan::Settings;
use crate::sql::types;

pub(super) const TABLE: &[Function] = &[
    special("+", "NUMERIC or time or INTERVAL, NUMERIC or INTERVAL", binary),
    special("-", "NUMERIC or time or INTERVAL, NUMERIC or INTERVAL", binary),
    special("*", "NUMERIC or INTERVAL, NUMERIC or INTERVAL", binary),
    special("/", "NUMERIC or INTERVAL, NUMERIC", binary),
    special("%", "NUMERIC, NUMERIC", binary),
    special("MOD", "NUMERIC, NUMERIC", modulo),
    special("NEGATE", "NUMERIC or INTERVAL", negate),
];

fn modulo(_: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    binary("%", args, settings)
}

fn binary(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let Ok([a, b]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
    let (a, b) = (number_of_text(a, &b.ty), b);
    let b = number_of_text(b, &a.ty);
    if a.ty == Type::Null || b.ty == Type::Null {
        let ty = if a.ty == Type::Null { b.ty } else { a.ty };
        return Ok(Expr::literal(Value::Null, ty));
    }
    if types::is_numeric(&a.ty) && types::is_numeric(&b.ty) {
        return numbers(name, a, b);
    }
    times(name, a, b)
}

/// A text beside a number is read as one.
fn number_of_text(expr: Expr, other: &Type) -> Expr {
    if !types::is_text(&expr.ty) || !types::is_numeric(other) {
        return expr;
    }
    cast::cast(expr.clone(), &Type::Double, Strictness::Lenient).unwrap_or(expr)
}

fn numbers(name: &'static str, a: Expr, b: Expr) -> Result<Expr, String> {
    let common = types::common(&[a.ty.clone(), b.ty.clone()]).unwrap_or(Type::Double);
    match (types::as_decimal(&a.ty), types::as_decimal(&b.ty)) {
        (Some(p), Some(q)) if matches!(common, Type::Decimal(..)) => {
            let ty = types::decimal_result(name, p, q);
            let a = cast::implicit(a, &Type::Decimal(p.0, p.1))?;
            let b = cast::implicit(b, &Type::Decimal(q.0, q.1))?;
            Ok(call(name, vec![a, b], ty.clone(), decimals(name, p.1, q.1, &ty)))
        }
        _ => {
            // The remainder has the divisor's type, which bounds it.
            let ty = if name == "%" && types::is_integer(&common) { b.ty.clone() } else { common.clone() };
            let safe = b.as_literal().is_some_and(|value| !matches!(value, Value::Int(0) | Value::Null));
            let args = vec![cast::implicit(a, &common)?, cast::implicit(b, &common)?];
            let kernel = match common {
                Type::Float => floats::<f32>(name),
                Type::Double => floats::<f64>(name),
                _ => integers(name, &ty, safe),
            };
            Ok(call(name, args, ty, kernel))
        }
    }
}

/// `f` with its result wrapped in an integer type.
fn wrapped(ty: &Type, f: impl Fn(i64, i64) -> i64 + Copy + Send + Sync + 'static) -> Kernel {
    match ty {
        Type::TinyInt => zip(move |x, y| i64::from(f(x, y) as i8)),
        Type::SmallInt => zip(move |x, y| i64::from(f(x, y) as i16)),
        Type::Int => zip(move |x, y| i64::from(f(x, y) as i32)),
        _ => zip(f),
    }
}

/// `safe`: the divisor is a literal other than 0.
fn integers(name: &str, ty: &Type, safe: bool) -> Kernel {
    // What lies under a NULL is 0 and must not disturb.
    let divide = |x: i64, y: i64| if y == 0 { 0 } else { x.wrapping_div(y) };
    let rest = |x: i64, y: i64| if y == 0 { 0 } else { x.wrapping_rem(y) };
    match name {
        "+" => wrapped(ty, i64::wrapping_add),
        "-" => wrapped(ty, i64::wrapping_sub),
        "*" => wrapped(ty, i64::wrapping_mul),
        "/" if safe => wrapped(ty, divide),
        "%" if safe => wrapped(ty, rest),
        name => {
            let (ty, division) = (ty.clone(), name == "/");
            rows(move |args: &Args<'_>| match (args.int(0), args.int(1)) {
                (_, 0) => args.fail("division by zero"),
                (x, y) if division => Some(wrap(x.wrapping_div(y), &ty)),
                (x, y) => Some(wrap(x.wrapping_rem(y), &ty)),
            })
        }
    }
}

fn floats<T>(name: &str) -> Kernel
where
    T: Lane
        + Copy
        + std::ops::Add<Output = T>
        + std::ops::Sub<Output = T>
        + std::ops::Mul<Output = T>
        + std::ops::Div<Output = T>
        + std::ops::Rem<Output = T>
        + 'static,
{
    match name {
        "+" => zip(|x: T, y: T| x + y),
        "-" => zip(|x: T, y: T| x - y),
        "*" => zip(|x: T, y: T| x * y),
        "/" => zip(|x: T, y: T| x / y),
        _ => zip(|x: T, y: T| x % y),
    }
}

/// What does not fit into the result is NULL; a division by zero is an error.
fn decimals(name: &str, s: u8, r: u8, ty: &Type) -> Kernel {
    let Type::Decimal(precision, scale) = *ty else { return rows(|_| None::<i128>) };
    let operands = move |args: &Args<'_>| ((args.decimal(0), s), (args.decimal(1), r));
    match name {
        "+" => rows(move |args| {
            let (a, b) = operands(args);
            decimal::add(a, b, precision, scale)
        }),
        "-" => rows(move |args| {
            let (a, b) = operands(args);
            decimal::add(a, (b.0.wrapping_neg(), b.1), precision, scale)
        }),
        "*" => rows(move |args| {
            let (a, b) = operands(args);
            decimal::multiply(a, b, precision, scale)
        }),
        name => {
            let division = name == "/";
            rows(move |args| match operands(args) {
                (_, (0, _)) => args.fail("division by zero"),
                (a, b) if division => decimal::divide(a, b, precision, scale),
                (a, b) => decimal::remainder(a, b, precision, scale),
            })
        }
    }
}

fn negate(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let Ok([arg]) = <[Expr; 1]>::try_from(args) else { return Err(String::new()) };
    let arg = number_of_text(arg, &Type::Double);
    let ty = arg.ty.clone();
    let kernel = match &ty {
        Type::Float => map(|x: f32| -x),
        Type::Double => map(|x: f64| -x),
        Type::Decimal(..) => map(|x: i128| x.wrapping_neg()),
        ty if types::is_integer(ty) || types::is_interval(ty) => {
            let ty = ty.clone();
            map(move |x: i64| wrap(x.wrapping_neg(), &ty))
        }
        _ => return Err(String::new()),
    };
    Ok(call(name, vec![arg], ty, kernel))
}

/// Times and intervals.
fn times(name: &'static str, a: Expr, b: Expr) -> Result<Expr, String> {
    let moves = types::is_temporal(&a.ty) && types::is_interval(&b.ty) && matches!(name, "+" | "-");
    if moves {
        let ty = a.ty.clone();
        let kernel = moved(&a.ty, &b.ty, if name == "-" { -1 } else { 1 });
        return Ok(call(name, vec![a, b], ty, kernel));
    }
    if name == "+" && types::is_interval(&a.ty) && types::is_temporal(&b.ty) {
        return times(name, b, a);
    }
    if a.ty == b.ty && types::is_interval(&a.ty) && matches!(name, "+" | "-") {
        let ty = a.ty.clone();
        let kernel = if name == "+" { zip(i64::wrapping_add) } else { zip(i64::wrapping_sub) };
        return Ok(call(name, vec![a, b], ty, kernel));
    }
    match (types::is_interval(&a.ty), types::is_integer(&b.ty), name) {
        (true, true, "*") => Ok(call(name, vec![a.clone(), b], a.ty, zip(i64::wrapping_mul))),
        (true, true, "/") => Ok(call(name, vec![a.clone(), b], a.ty.clone(), integers("/", &Type::BigInt, false))),
        _ if types::is_integer(&a.ty) && types::is_interval(&b.ty) && name == "*" => times(name, b, a),
        _ => Err(String::new()),
    }
}

/// A time moved by an interval, times `sign`.
pub(super) fn moved(time: &Type, by: &Type, sign: i64) -> Kernel {
    match (time, by) {
        (Type::Date, Type::IntervalMonths) => {
            zip(move |day: i64, months: i64| calendar::add_months(day, months.wrapping_mul(sign)))
        }
        (Type::Date, _) => zip(move |day: i64, by: i64| day.wrapping_add(by.wrapping_mul(sign) / DAY)),
        (Type::Time(_), Type::IntervalMonths) => zip(|time: i64, _: i64| time),
        (Type::Time(_), _) => zip(move |time: i64, by: i64| time.wrapping_add(by.wrapping_mul(sign)).rem_euclid(DAY)),
        (_, Type::IntervalMonths) => zip(move |at: i64, months: i64| {
            let day = calendar::add_months(at.div_euclid(DAY), months.wrapping_mul(sign));
            day.wrapping_mul(DAY).wrapping_add(at.rem_euclid(DAY))
        }),
        _ => zip(move |at: i64, by: i64| at.wrapping_add(by.wrapping_mul(sign))),
    }
}
