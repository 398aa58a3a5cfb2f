//! EXTRACT and its short forms, FLOOR and CEIL to a unit, TIMESTAMPADD and TIMESTAMPDIFF.

use super::super::signature::{Function, special};
use super::super::{Args, call, rows};
use super::units::{self, Unit};
use crate::record::{Type, Value};
use crate::sql::calendar::{self, DAY};
use crate::sql::expr::{Expr, Kernel};
use crate::sql::plan::Settings;
use crate::sql::{cast, types};

pub(in crate::sql::functions) const TABLE: &[Function] = &[
    special("EXTRACT", "unit FROM time or INTERVAL", |name, args, _| {
        let Ok([unit, time]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
        extract(name, named(&unit)?, Some(unit), time)
    }),
    special("YEAR", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::Year)),
    special("QUARTER", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::Quarter)),
    special("MONTH", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::Month)),
    special("WEEK", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::Week)),
    special("DAYOFYEAR", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::DayOfYear)),
    special("DAYOFMONTH", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::Day)),
    special("DAYOFWEEK", "DATE or TIMESTAMP", |name, args, _| short(name, args, Unit::DayOfWeek)),
    special("HOUR", "TIME or TIMESTAMP", |name, args, _| short(name, args, Unit::Hour)),
    special("MINUTE", "TIME or TIMESTAMP", |name, args, _| short(name, args, Unit::Minute)),
    special("SECOND", "TIME or TIMESTAMP", |name, args, _| short(name, args, Unit::Second)),
    special("FLOOR", "time TO unit", |name, args, _| cut(name, args, units::floor)),
    special("CEIL", "time TO unit", |name, args, _| cut(name, args, units::ceil)),
    special("CEILING", "time TO unit", |_, args, _| cut("CEIL", args, units::ceil)),
    special("TIMESTAMPADD", "unit, INT, time", add),
    special("TIMESTAMPDIFF", "unit, time, time", difference),
];

/// The unit that a literal text names.
fn named(expr: &Expr) -> Result<Unit, String> {
    match expr.as_literal() {
        Some(Value::Text(text)) => Unit::named(text).ok_or_else(|| {
            format!("{text} is not a unit of time; there are YEAR, MONTH, DAY, HOUR, MINUTE, SECOND and others")
        }),
        _ => Err(String::new()),
    }
}

/// Makes the local microseconds of any kind of time.
fn local(ty: &Type) -> Option<fn(&Args<'_>, usize) -> Option<i64>> {
    Some(match ty {
        Type::Date => |args, i| args.int(i).checked_mul(DAY),
        Type::Time(_) | Type::Timestamp(_) => |args, i| Some(args.int(i)),
        Type::TimestampLtz(_) => |args, i| calendar::to_local(args.int(i), args.zone),
        _ => return None,
    })
}

/// A text is read as a TIMESTAMP.
fn time(expr: Expr) -> Result<Expr, String> {
    if types::is_text(&expr.ty) || expr.ty == Type::Null {
        return cast::implicit(expr, &Type::Timestamp(3));
    }
    Ok(expr)
}

fn short(name: &'static str, args: Vec<Expr>, unit: Unit) -> Result<Expr, String> {
    let Ok([time]) = <[Expr; 1]>::try_from(args) else { return Err(String::new()) };
    extract(name, unit, None, time)
}

fn extract(name: &'static str, unit: Unit, written: Option<Expr>, arg: Expr) -> Result<Expr, String> {
    let arg = time(arg)?;
    let at = usize::from(written.is_some());
    let kernel: Kernel = match (&arg.ty, local(&arg.ty)) {
        (Type::TimestampLtz(_), _) if unit == Unit::Epoch => {
            rows(move |args: &Args<'_>| Some(args.int(at).div_euclid(calendar::SECOND)))
        }
        (_, Some(local)) => rows(move |args: &Args<'_>| Some(units::extract(unit, local(args, at)?))),
        (Type::IntervalMonths, _) => match unit {
            Unit::Year => rows(move |args: &Args<'_>| Some(args.int(at) / 12)),
            Unit::Month => rows(move |args: &Args<'_>| Some(args.int(at) % 12)),
            _ => return Err(format!("{name}: an interval of months has no such unit")),
        },
        (Type::IntervalTime, _) => match unit {
            Unit::Day => rows(move |args: &Args<'_>| Some(args.int(at) / DAY)),
            _ if unit.is_below_day() => rows(move |args: &Args<'_>| Some(units::extract(unit, args.int(at) % DAY))),
            _ => return Err(format!("{name}: an interval of time has no such unit")),
        },
        _ => return Err(String::new()),
    };
    let args = written.into_iter().chain([arg]).collect();
    Ok(call(name, args, Type::BigInt, kernel))
}

fn cut(name: &'static str, args: Vec<Expr>, to: fn(Unit, i64) -> Option<i64>) -> Result<Expr, String> {
    let Ok([arg, unit]) = <[Expr; 2]>::try_from(args) else { return Err(String::new()) };
    let (written, unit) = (unit.clone(), named(&unit)?);
    let arg = time(arg)?;
    let ty = arg.ty.clone();
    let kernel: Kernel = match &ty {
        Type::Date => rows(move |args| Some(to(unit, args.int(0).checked_mul(DAY)?)?.div_euclid(DAY))),
        Type::Time(_) => rows(move |args| Some(to(unit, args.int(0))?.rem_euclid(DAY))),
        Type::Timestamp(_) => rows(move |args| to(unit, args.int(0))),
        Type::TimestampLtz(_) => rows(move |args| {
            let local = calendar::to_local(args.int(0), args.zone)?;
            // With the offset of the time itself, as in Flink, also where the day began with another.
            to(unit, local)?.checked_sub(local.checked_sub(args.int(0))?)
        }),
        _ => return Err(String::new()),
    };
    Ok(call(name, vec![arg, written], ty, kernel))
}

fn add(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let Ok([unit, count, at]) = <[Expr; 3]>::try_from(args) else { return Err(String::new()) };
    let (written, unit) = (unit.clone(), named(&unit)?);
    let count = cast::implicit(count, &Type::BigInt)?;
    let mut at = time(at)?;
    let ty = units::added_type(&at.ty, unit);
    if at.ty != ty {
        at = cast::implicit(at, &ty)?;
    }
    let kernel: Kernel = match &ty {
        Type::Date => {
            rows(move |args| Some(units::add(unit, args.int(1), args.int(2).checked_mul(DAY)?)?.div_euclid(DAY)))
        }
        Type::Time(_) => rows(move |args| Some(units::add(unit, args.int(1), args.int(2))?.rem_euclid(DAY))),
        Type::Timestamp(_) | Type::TimestampLtz(_) => rows(move |args| units::add(unit, args.int(1), args.int(2))),
        _ => return Err(String::new()),
    };
    Ok(call(name, vec![written, count, at], ty, kernel))
}

fn difference(name: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let Ok([unit, from, to]) = <[Expr; 3]>::try_from(args) else { return Err(String::new()) };
    let (written, unit) = (unit.clone(), named(&unit)?);
    let (from, to) = (time(from)?, time(to)?);
    let common = types::common(&[from.ty.clone(), to.ty.clone()]).ok_or_else(String::new)?;
    let Some(local) = local(&common) else { return Err(String::new()) };
    let exact = unit.is_below_day();
    let instant = matches!(common, Type::TimestampLtz(_));
    let kernel: Kernel = rows(move |args| {
        let (from, to) = if instant && exact { (args.int(1), args.int(2)) } else { (local(args, 1)?, local(args, 2)?) };
        Some(cast::wrap(units::difference(unit, from, to)?, &Type::Int))
    });
    let args = vec![written, cast::implicit(from, &common)?, cast::implicit(to, &common)?];
    Ok(call(name, args, Type::Int, kernel))
}
