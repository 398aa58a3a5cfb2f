//! Casts between numbers, texts, truth values and times: one kernel for each pair of types.

use crate::record::{Data, Type};
use crate::sql::calendar::{self, DAY};
use crate::sql::decimal;
use crate::sql::expr::Kernel;
use crate::sql::functions::{Args, Lane, OnNull, map, rows, texts, texts_with};
use crate::sql::types;

use super::{Strictness, text};

/// `None`: there is no such cast.
pub(super) fn kernel(from: &Type, to: &Type, strictness: Strictness) -> Option<Kernel> {
    if types::is_text(to) {
        return to_text(from, to);
    }
    if types::is_text(from) {
        return from_text(to, strictness);
    }
    if types::is_numeric(from) || *from == Type::Boolean {
        return from_number(from, to);
    }
    match (from, to) {
        (Type::Binary(_) | Type::Varbinary(_), Type::Binary(n) | Type::Varbinary(n)) => {
            Some(binary(*n as usize, matches!(to, Type::Binary(_))))
        }
        (Type::IntervalMonths, Type::IntervalMonths) | (Type::IntervalTime, Type::IntervalTime) => {
            Some(map(|x: i64| x))
        }
        (Type::IntervalMonths | Type::IntervalTime, _) if types::is_integer(to) => {
            let unit = if *from == Type::IntervalTime { 1000 } else { 1 };
            let to = to.clone();
            Some(map(move |x: i64| wrap(x / unit, &to)))
        }
        _ => from_time(from, to),
    }
}

/// The casts that the legacy behaviour has another way.
pub(super) fn legacy(from: &Type, to: &Type) -> Option<Kernel> {
    match (from, to) {
        (Type::Boolean, Type::Varchar(_)) => Some(texts(|args, out| {
            out.extend_from_slice(if args.bool(0) { b"true" } else { b"false" });
            Some(())
        })),
        (_, Type::Varchar(_)) if *to != Type::STRING => to_text(from, &Type::STRING),
        _ => None,
    }
}

/// An integer cut to a type's width, as Java's narrowing does.
pub(crate) fn wrap(value: i64, ty: &Type) -> i64 {
    match ty {
        Type::TinyInt => i64::from(value as i8),
        Type::SmallInt => i64::from(value as i16),
        Type::Int => i64::from(value as i32),
        _ => value,
    }
}

/// A double to an integer as Java does it: cut off, held at the limits of INT or BIGINT, then wrapped.
fn truncated(value: f64, ty: &Type) -> i64 {
    match ty {
        Type::BigInt => value as i64,
        ty => wrap(i64::from(value as i32), ty),
    }
}

fn from_number(from: &Type, to: &Type) -> Option<Kernel> {
    let wanted = to.clone();
    Some(match (from, to) {
        (Type::Boolean, Type::Boolean) => return None,
        (Type::Boolean, Type::Decimal(p, s)) => {
            let (one, p) = (decimal::power((*s).into()), *p);
            rows(move |args| decimal::checked(if args.bool(0) { one } else { 0 }, p))
        }
        (Type::Boolean, Type::Float) => map(|x: bool| f32::from(u8::from(x))),
        (Type::Boolean, Type::Double) => map(|x: bool| f64::from(u8::from(x))),
        (Type::Boolean, _) if types::is_integer(to) => map(|x: bool| i64::from(x)),
        (Type::Decimal(_, s), _) => return from_decimal(*s, to),
        (Type::Float, Type::Boolean) => map(|x: f32| x != 0.0),
        (Type::Float, Type::Double) => map(|x: f32| f64::from(x)),
        (Type::Float, Type::Decimal(p, s)) => {
            let (p, s) = (*p, *s);
            rows(move |args: &Args<'_>| decimal::from_double(f64::from(args.single(0)), p, s))
        }
        (Type::Float, _) if types::is_integer(to) => map(move |x: f32| truncated(f64::from(x), &wanted)),
        (Type::Double, Type::Boolean) => map(|x: f64| x != 0.0),
        (Type::Double, Type::Float) => map(|x: f64| x as f32),
        (Type::Double, Type::Decimal(p, s)) => {
            let (p, s) = (*p, *s);
            rows(move |args| decimal::from_double(args.double(0), p, s))
        }
        (Type::Double, _) if types::is_integer(to) => map(move |x: f64| truncated(x, &wanted)),
        (Type::Float | Type::Double, _) => return None,
        (_, Type::Boolean) => map(|x: i64| x != 0),
        (_, Type::Float) => map(|x: i64| x as f32),
        (_, Type::Double) => map(|x: i64| x as f64),
        (_, Type::Decimal(p, s)) => {
            let (p, s) = (*p, *s);
            rows(move |args| decimal::checked(decimal::rescale(i128::from(args.int(0)), 0, s)?, p))
        }
        (_, Type::IntervalMonths) => map(|x: i64| x),
        (_, Type::IntervalTime) => map(|x: i64| x.wrapping_mul(1000)),
        _ if types::is_integer(to) => map(move |x: i64| wrap(x, &wanted)),
        _ => return None,
    })
}

fn from_decimal(scale: u8, to: &Type) -> Option<Kernel> {
    let wanted = to.clone();
    Some(match to {
        Type::Boolean => map(|x: i128| x != 0),
        Type::Float => map(move |x: i128| decimal::to_double(x, scale) as f32),
        Type::Double => map(move |x: i128| decimal::to_double(x, scale)),
        Type::Decimal(p, s) => {
            let (p, s) = (*p, *s);
            rows(move |args| decimal::checked(decimal::rescale(args.decimal(0), scale, s)?, p))
        }
        _ if types::is_integer(to) => map(move |x: i128| wrap(decimal::whole(x, scale) as i64, &wanted)),
        _ => return None,
    })
}

/// A kernel that reads a text; what it cannot read is NULL or a row error.
fn reading<R: Lane>(
    to: &Type,
    strictness: Strictness,
    read: impl Fn(&Args<'_>) -> Option<R> + Send + Sync + 'static,
) -> Kernel {
    let to = to.clone();
    rows(move |args| match read(args) {
        None if strictness == Strictness::Strict => args.fail(super::failed(args, strictness, &to)),
        value => value,
    })
}

fn from_text(to: &Type, strictness: Strictness) -> Option<Kernel> {
    let wanted = to.clone();
    Some(match to {
        Type::Boolean => reading(to, strictness, |args| text::parse_boolean(args.bytes(0))),
        _ if types::is_integer(to) => {
            let range = types::range(&wanted);
            reading(to, strictness, move |args| text::parse_integer(args.bytes(0), range))
        }
        Type::Float => reading(to, strictness, |args| Some(text::parse_double(args.bytes(0))? as f32)),
        Type::Double => reading(to, strictness, |args| text::parse_double(args.bytes(0))),
        Type::Decimal(p, s) => {
            let (p, s) = (*p, *s);
            reading(to, strictness, move |args| decimal::parse(args.text(0).trim(), p, s))
        }
        Type::Date => reading(to, strictness, |args| calendar::parse_date(args.text(0).trim())),
        Type::Time(p) => {
            let p = *p;
            reading(to, strictness, move |args| Some(calendar::truncate(calendar::parse_time(args.text(0))?, p)))
        }
        Type::Timestamp(p) => {
            let p = *p;
            reading(to, strictness, move |args| Some(calendar::truncate(calendar::parse_timestamp(args.text(0))?, p)))
        }
        Type::TimestampLtz(p) => {
            let p = *p;
            reading(to, strictness, move |args| {
                let local = calendar::truncate(calendar::parse_timestamp(args.text(0))?, p);
                calendar::to_utc(local, args.zone)
            })
        }
        Type::Binary(n) | Type::Varbinary(n) => binary(*n as usize, matches!(to, Type::Binary(_))),
        _ => return None,
    })
}

/// Cut off, or for BINARY filled up with zeros.
fn binary(length: usize, fill: bool) -> Kernel {
    texts_with(OnNull::Null, Data::Bytes, move |args, out| {
        let bytes = args.bytes(0);
        out.extend_from_slice(&bytes[..bytes.len().min(length)]);
        if fill {
            out.extend(std::iter::repeat_n(0, length.saturating_sub(bytes.len())));
        }
        Some(())
    })
}

fn from_time(from: &Type, to: &Type) -> Option<Kernel> {
    Some(match (from, to) {
        (Type::Date, Type::Timestamp(_)) => map(|x: i64| x.saturating_mul(DAY)),
        (Type::Date, Type::TimestampLtz(_)) => {
            rows(|args| calendar::to_utc(args.int(0).saturating_mul(DAY), args.zone))
        }
        (Type::Time(_), Type::Time(p)) | (Type::Time(_) | Type::Timestamp(_), Type::Timestamp(p)) => {
            let p = *p;
            map(move |x: i64| calendar::truncate(x, p))
        }
        (Type::TimestampLtz(_), Type::TimestampLtz(p)) => {
            let p = *p;
            map(move |x: i64| calendar::truncate(x, p))
        }
        (Type::Timestamp(_), Type::Date) => map(|x: i64| x.div_euclid(DAY)),
        (Type::Timestamp(_), Type::Time(p)) => {
            let p = *p;
            map(move |x: i64| calendar::truncate(x.rem_euclid(DAY), p))
        }
        (Type::Time(_) | Type::Timestamp(_), Type::TimestampLtz(p)) => {
            let p = *p;
            rows(move |args| calendar::to_utc(calendar::truncate(args.int(0), p), args.zone))
        }
        (Type::TimestampLtz(_), Type::Timestamp(p)) => {
            let p = *p;
            rows(move |args| calendar::to_local(calendar::truncate(args.int(0), p), args.zone))
        }
        (Type::TimestampLtz(_), Type::Date) => {
            rows(|args| Some(calendar::to_local(args.int(0), args.zone)?.div_euclid(DAY)))
        }
        (Type::TimestampLtz(_), Type::Time(p)) => {
            let p = *p;
            rows(move |args| Some(calendar::truncate(calendar::to_local(args.int(0), args.zone)?.rem_euclid(DAY), p)))
        }
        _ => return None,
    })
}

/// Writes the value of one type in a text, before it is fitted to a length.
type Write = Box<dyn Fn(&Args<'_>, &mut Vec<u8>) -> Option<()> + Send + Sync>;

fn writer(from: &Type) -> Option<Write> {
    fn boxed(write: impl Fn(&Args<'_>, &mut Vec<u8>) + Send + Sync + 'static) -> Option<Write> {
        Some(Box::new(move |args, out| {
            write(args, out);
            Some(())
        }))
    }
    match from {
        Type::Boolean => boxed(|args, out| out.extend_from_slice(if args.bool(0) { b"TRUE" } else { b"FALSE" })),
        _ if types::is_integer(from) => boxed(|args, out| write_integer(args.int(0), out)),
        Type::Float => boxed(|args, out| text::write_single(args.single(0), out)),
        Type::Double => boxed(|args, out| text::write_double(args.double(0), out)),
        Type::Decimal(_, s) => {
            let s = *s;
            boxed(move |args, out| decimal::write(args.decimal(0), s, out))
        }
        Type::Char(_) | Type::Varchar(_) => boxed(|args, out| out.extend_from_slice(args.bytes(0))),
        Type::Binary(_) | Type::Varbinary(_) => {
            boxed(|args, out| out.extend_from_slice(String::from_utf8_lossy(args.bytes(0)).as_bytes()))
        }
        Type::Date => boxed(|args, out| calendar::write_date(args.int(0), out)),
        Type::Time(p) => {
            let p = *p;
            boxed(move |args, out| calendar::write_time(args.int(0), p, out))
        }
        Type::Timestamp(p) => {
            let p = *p;
            boxed(move |args, out| calendar::write_timestamp(args.int(0), p, out))
        }
        Type::TimestampLtz(p) => {
            let p = *p;
            Some(Box::new(move |args, out| {
                calendar::write_timestamp(calendar::to_local(args.int(0), args.zone)?, p, out);
                Some(())
            }))
        }
        Type::IntervalMonths => boxed(|args, out| {
            let months = args.int(0);
            let sign = if months < 0 { '-' } else { '+' };
            let months = months.unsigned_abs();
            out.extend_from_slice(format!("{sign}{}-{:02}", months / 12, months % 12).as_bytes());
        }),
        Type::IntervalTime => boxed(|args, out| write_interval(args.int(0), out)),
        _ => None,
    }
}

/// `+1 02:03:04.005`.
fn write_interval(micros: i64, out: &mut Vec<u8>) {
    let sign = if micros < 0 { '-' } else { '+' };
    let ms = micros.unsigned_abs() / 1000;
    let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
    let text = format!("{sign}{days} {hours:02}:{minutes:02}:{:02}.{:03}", ms / 1000 % 60, ms % 1000);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    crate::record::push_number(value.unsigned_abs(), out);
}

fn to_text(from: &Type, to: &Type) -> Option<Kernel> {
    let write = writer(from)?;
    let (length, pad) = match to {
        Type::Char(n) => (*n, true),
        Type::Varchar(n) => (*n, false),
        _ => return None,
    };
    if *to == Type::STRING {
        return Some(texts(write));
    }
    Some(texts(move |args, out| {
        let from = out.len();
        write(args, out)?;
        let whole = String::from_utf8_lossy(&out[from..]).into_owned();
        out.truncate(from);
        text::fit(&whole, length, pad, out);
        Some(())
    }))
}
