//! Functions of types and of periods: TYPEOF, OVERLAPS.

use super::signature::{Function, special};
use super::{case, resolve};
use crate::record::{Type, Value};
use crate::sql::expr::Expr;
use crate::sql::plan::Settings;
use crate::sql::types;

pub(super) const TABLE: &[Function] = &[
    special("TYPEOF", "ANY [, BOOLEAN]", type_of),
    special("OVERLAPS", "(time, time or INTERVAL) OVERLAPS (time, time or INTERVAL)", overlaps),
];

/// The name of the argument's type, without NOT NULL: what can't be NULL is not tracked.
fn type_of(_: &'static str, args: Vec<Expr>, _: &Settings) -> Result<Expr, String> {
    let ([of] | [of, Expr { ty: Type::Boolean, .. }]) = args.as_slice() else { return Err(String::new()) };
    let name = of.ty.to_string();
    // As Flink calls the intervals that there are.
    let name = name.replace("INTERVAL DAY TO SECOND", "INTERVAL SECOND(3)");
    let name = name.replace("INTERVAL YEAR TO MONTH", "INTERVAL MONTH");
    Ok(Expr::literal(Value::Text(name.into()), Type::STRING))
}

/// Two periods, each a point in time with another one or with how long it takes, have a point in common; their ends
/// belong to them.
fn overlaps(_: &'static str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    let Ok([a, b, c, d]) = <[Expr; 4]>::try_from(args) else { return Err(String::new()) };
    let ((start, end), (other_start, other_end)) = (period(a, b, settings)?, period(c, d, settings)?);
    let parts =
        vec![resolve(">=", vec![end, other_start], settings)?, resolve(">=", vec![other_end, start], settings)?];
    resolve("AND", parts, settings)
}

/// The earlier and the later end of a period.
fn period(one: Expr, other: Expr, settings: &Settings) -> Result<(Expr, Expr), String> {
    if !types::is_temporal(&one.ty) || !(types::is_temporal(&other.ty) || types::is_interval(&other.ty)) {
        return Err(String::new());
    }
    let interval = types::is_interval(&other.ty);
    let other = if interval { resolve("+", vec![one.clone(), other], settings)? } else { other };
    let ordered = resolve("<=", vec![one.clone(), other.clone()], settings)?;
    let earlier = case(vec![(ordered.clone(), one.clone())], Some(other.clone()))?;
    Ok((earlier, case(vec![(ordered, other)], Some(one))?))
}
