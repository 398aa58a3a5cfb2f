//! Mathematical functions: rounding keeps the argument's type, the rest works on DOUBLE.

use super::signature::{Function, f, special};
use super::{Args, Site, call, map, rows, texts, zip};
use crate::record::{Type, Value};
use crate::sql::cast::{self, wrap};
use crate::sql::decimal;
use crate::sql::expr::{Expr, Kernel};
use crate::sql::plan::Settings;
use crate::sql::types;

pub(super) const TABLE: &[Function] = &[
    special("ABS", "NUMERIC", |name, args, _| one(name, args, abs)),
    special("SIGN", "NUMERIC", |name, args, _| one(name, args, sign)),
    special("FLOOR", "NUMERIC or (time TO unit)", |name, args, _| one(name, args, |ty| to_whole(ty, Side::Below))),
    special("CEIL", "NUMERIC or (time TO unit)", |name, args, _| one(name, args, |ty| to_whole(ty, Side::Above))),
    special("CEILING", "NUMERIC or (time TO unit)", |_, args, _| one("CEIL", args, |ty| to_whole(ty, Side::Above))),
    special("ROUND", "NUMERIC [, INTEGER]", |name, args, settings| shorten(name, args, settings, true)),
    special("TRUNCATE", "NUMERIC [, INTEGER]", |name, args, settings| shorten(name, args, settings, false)),
    f("POWER", "DOUBLE, DOUBLE -> DOUBLE", |_| Ok(zip(f64::powf))),
    f("POW", "DOUBLE, DOUBLE -> DOUBLE", |_| Ok(zip(f64::powf))),
    f("SQRT", "DOUBLE -> DOUBLE", |_| Ok(map(f64::sqrt))),
    f("EXP", "DOUBLE -> DOUBLE", |_| Ok(map(f64::exp))),
    f("LN", "DOUBLE -> DOUBLE", |_| Ok(map(f64::ln))),
    f("LOG", "DOUBLE -> DOUBLE", |_| Ok(map(f64::ln))),
    f("LOG", "DOUBLE, DOUBLE -> DOUBLE", |_| Ok(zip(|base: f64, x: f64| x.ln() / base.ln()))),
    f("LOG10", "DOUBLE -> DOUBLE", |_| Ok(map(f64::log10))),
    f("LOG2", "DOUBLE -> DOUBLE", |_| Ok(map(|x: f64| x.ln() / 2_f64.ln()))),
    f("SIN", "DOUBLE -> DOUBLE", |_| Ok(map(f64::sin))),
    f("COS", "DOUBLE -> DOUBLE", |_| Ok(map(f64::cos))),
    f("TAN", "DOUBLE -> DOUBLE", |_| Ok(map(f64::tan))),
    f("COT", "DOUBLE -> DOUBLE", |_| Ok(map(|x: f64| 1.0 / x.tan()))),
    f("ASIN", "DOUBLE -> DOUBLE", |_| Ok(map(f64::asin))),
    f("ACOS", "DOUBLE -> DOUBLE", |_| Ok(map(f64::acos))),
    f("ATAN", "DOUBLE -> DOUBLE", |_| Ok(map(f64::atan))),
    f("ATAN2", "DOUBLE, DOUBLE -> DOUBLE", |_| Ok(zip(f64::atan2))),
    f("SINH", "DOUBLE -> DOUBLE", |_| Ok(map(f64::sinh))),
    f("COSH", "DOUBLE -> DOUBLE", |_| Ok(map(f64::cosh))),
    f("TANH", "DOUBLE -> DOUBLE", |_| Ok(map(f64::tanh))),
    f("DEGREES", "DOUBLE -> DOUBLE", |_| Ok(map(f64::to_degrees))),
    f("RADIANS", "DOUBLE -> DOUBLE", |_| Ok(map(f64::to_radians))),
    f("PI", "-> DOUBLE", |_| Ok(rows(|_| Some(std::f64::consts::PI)))),
    f("E", "-> DOUBLE", |_| Ok(rows(|_| Some(std::f64::consts::E)))),
    f("ISNAN", "DOUBLE -> BOOLEAN", |_| Ok(map(f64::is_nan))),
    f("IS_NAN", "DOUBLE -> BOOLEAN", |_| Ok(map(f64::is_nan))),
    f("BIN", "BIGINT -> STRING", |_| Ok(written(|x, out| out.extend_from_slice(format!("{x:b}").as_bytes())))),
    f("HEX", "BIGINT -> STRING", |_| Ok(written(|x, out| out.extend_from_slice(format!("{x:X}").as_bytes())))),
    f("BITAND", "INTEGER, INTEGER -> $1", |site| Ok(bits(site, |a, b| a & b))),
    f("BITOR", "INTEGER, INTEGER -> $1", |site| Ok(bits(site, |a, b| a | b))),
    f("BITXOR", "INTEGER, INTEGER -> $1", |site| Ok(bits(site, |a, b| a ^ b))),
    f("BITNOT", "INTEGER -> $1", |_| Ok(map(|x: i64| !x))),
    f("CONV", "STRING, INT, INT -> STRING", |_| Ok(texts(conv))),
    f("CONV", "BIGINT, INT, INT -> STRING", |_| {
        Ok(texts(|args, out| {
            let digits = args.int(0).to_string();
            converted(&digits, args.int(1), args.int(2), out)
        }))
    }),
];

fn written(write: fn(i64, &mut Vec<u8>)) -> Kernel {
    texts(move |args, out| {
        write(args.int(0), out);
        Some(())
    })
}

fn bits(site: &Site<'_>, f: fn(i64, i64) -> i64) -> Kernel {
    let ty = site.ty(0).clone();
    zip(move |a: i64, b: i64| wrap(f(a, b), &ty))
}

/// Binds a function of one number; a text is read as a DOUBLE.
fn one(name: &'static str, args: Vec<Expr>, make: fn(&Type) -> Option<(Type, Kernel)>) -> Result<Expr, String> {
    let Ok([arg]) = <[Expr; 1]>::try_from(args) else { return Err(String::new()) };
    let arg = if types::is_text(&arg.ty) || arg.ty == Type::Null { cast::implicit(arg, &Type::Double)? } else { arg };
    let Some((ty, kernel)) = make(&arg.ty) else { return Err(String::new()) };
    Ok(call(name, vec![arg], ty, kernel))
}

fn abs(ty: &Type) -> Option<(Type, Kernel)> {
    let kernel = match ty {
        Type::Float => map(f32::abs),
        Type::Double => map(f64::abs),
        Type::Decimal(..) => map(|x: i128| x.wrapping_abs()),
        ty if types::is_integer(ty) || types::is_interval(ty) => {
            let ty = ty.clone();
            map(move |x: i64| wrap(x.wrapping_abs(), &ty))
        }
        _ => return None,
    };
    Some((ty.clone(), kernel))
}

fn sign(ty: &Type) -> Option<(Type, Kernel)> {
    let kernel = match ty {
        Type::Float => map(|x: f32| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
        Type::Double => map(|x: f64| if x == 0.0 || x.is_nan() { x } else { x.signum() }),
        Type::Decimal(_, s) => {
            let one = decimal::power((*s).into());
            map(move |x: i128| x.signum() * one)
        }
        ty if types::is_integer(ty) => map(i64::signum),
        _ => return None,
    };
    Some((ty.clone(), kernel))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Below,
    Above,
}

fn to_whole(ty: &Type, side: Side) -> Option<(Type, Kernel)> {
    let below = side == Side::Below;
    Some(match ty {
        Type::Float => (ty.clone(), map(if below { f32::floor } else { f32::ceil })),
        Type::Double => (ty.clone(), map(if below { f64::floor } else { f64::ceil })),
        Type::Decimal(p, s) => {
            let unit = decimal::power((*s).into());
            let whole = map(move |x: i128| {
                let floor = x.div_euclid(unit);
                floor + i128::from(!below && x.rem_euclid(unit) != 0)
            });
            (Type::Decimal(*p, 0), whole)
        }
        ty if types::is_integer(ty) => (ty.clone(), map(|x: i64| x)),
        _ => return None,
    })
}

/// ROUND and TRUNCATE.
fn shorten(name: &'static str, mut args: Vec<Expr>, settings: &Settings, up: bool) -> Result<Expr, String> {
    if args.is_empty() || args.len() > 2 {
        return Err(String::new());
    }
    if let Some(number) = args.first_mut()
        && (types::is_text(&number.ty) || number.ty == Type::Null)
    {
        *number = cast::implicit(number.clone(), &Type::Double)?;
    }
    if let Some(digits) = args.get_mut(1) {
        if !types::is_integer(&digits.ty) && digits.ty != Type::Null {
            return Err(String::new());
        }
        *digits = crate::sql::eval::fold(cast::implicit(digits.clone(), &Type::BigInt)?, settings);
    }
    let literal = match args.get(1).map(Expr::as_literal) {
        None => Some(0),
        Some(Some(Value::Int(digits))) => Some(*digits),
        Some(_) => None,
    };
    let Some(of) = args.first().map(|arg| arg.ty.clone()) else { return Err(String::new()) };
    let (ty, kernel) = match &of {
        Type::Decimal(p, s) => {
            let ty = literal.map_or(of.clone(), |digits| types::round_type((*p, *s), digits));
            let Type::Decimal(precision, scale) = ty else { return Err(String::new()) };
            let given = *s;
            let kernel = rows(move |args: &Args<'_>| {
                let cut = shorter(args.decimal(0), given, args.int_or(1, 0), up)?;
                decimal::checked(decimal::rescale(cut, given, scale)?, precision)
            });
            (ty, kernel)
        }
        Type::Double => (of.clone(), rows(move |args| shorter_double(args.double(0), args.int_or(1, 0), up))),
        Type::Float => (
            of.clone(),
            rows(move |args| shorter_double(f64::from(args.single(0)), args.int_or(1, 0), up).map(|x| x as f32)),
        ),
        ty if types::is_integer(ty) => {
            let wanted = ty.clone();
            let kernel = rows(move |args: &Args<'_>| {
                let cut = shorter(i128::from(args.int(0)), 0, args.int_or(1, 0), up)?;
                Some(wrap(cut as i64, &wanted))
            });
            (of.clone(), kernel)
        }
        _ => return Err(String::new()),
    };
    Ok(call(name, args, ty, kernel))
}

/// A decimal with what stands behind so many digits made 0.
fn shorter(value: i128, scale: u8, digits: i64, up: bool) -> Option<i128> {
    let Ok(surplus) = u32::try_from(i64::from(scale).saturating_sub(digits)) else { return Some(value) };
    if surplus > 38 {
        return Some(0);
    }
    let unit = decimal::power(surplus);
    let (quotient, rest) = (value / unit, value % unit);
    let more = up && rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs();
    (quotient + if more { value.signum() } else { 0 }).checked_mul(unit)
}

/// By way of the shortest decimal digits, as Flink does it through `BigDecimal.valueOf`.
fn shorter_double(value: f64, digits: i64, up: bool) -> Option<f64> {
    if !value.is_finite() {
        return Some(value);
    }
    // Doubles have at most 17 digits: what lies beyond 10^18 has none behind the point.
    const SCALE: u8 = 19;
    let cut = decimal::from_double(value, 38, SCALE).and_then(|exact| shorter(exact, SCALE, digits, up));
    Some(cut.map_or(value, |cut| decimal::to_double(cut, SCALE)))
}

fn conv(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    converted(args.text(0).trim(), args.int(1), args.int(2), out)
}

/// From one base to another as Hive does it: digits up to the first wrong one, unsigned unless `to` is negative.
fn converted(text: &str, from: i64, to: i64, out: &mut Vec<u8>) -> Option<()> {
    if !(2..=36).contains(&from) || !(2..=36).contains(&to.checked_abs()?) {
        return None;
    }
    let negative = text.starts_with('-');
    let mut value = 0_u64;
    for digit in text.trim_start_matches('-').chars().map_while(|c| c.to_digit(from as u32)) {
        value = value.checked_mul(from as u64).and_then(|v| v.checked_add(digit.into())).unwrap_or(u64::MAX);
    }
    let value = if negative { (value as i64).wrapping_neg() } else { value as i64 };
    let magnitude = if to < 0 { value.unsigned_abs() } else { value as u64 };
    if to < 0 && value < 0 {
        out.push(b'-');
    }
    let mut digits = Vec::new();
    let base = to.unsigned_abs();
    let mut rest = magnitude;
    while rest > 0 || digits.is_empty() {
        digits.push(char::from_digit((rest % base) as u32, base as u32)?.to_ascii_uppercase() as u8);
        rest /= base;
    }
    out.extend(digits.iter().rev());
    Some(())
}
