//! The signatures of functions, as they are written in the tables and shown in messages: `STRING, INT [, INT] -> STRING`.
//! Fits arguments to them, with more and more implicit casts.
//!
//! Parameters: a type's name, `NUMERIC`, `INTEGER`, `TIMESTAMP` (either kind, any precision), `ANY`, `ARRAY`, `MAP`, `ROW`;
//! in brackets what may be left out; `...` behind the last one: any number of it. Results: a type's name or `$n`, the
//! type of the n-th argument.

use crate::record::Type;
use crate::sql::expr::{Expr, Kernel};
use crate::sql::plan::Settings;
use crate::sql::{cast, types};

use super::Site;

/// One overload of a function.
pub(crate) struct Function {
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
    pub(super) make: Maker,
}

#[derive(Clone, Copy)]
pub(crate) enum Maker {
    /// The arguments fit the signature.
    Kernel(fn(&Site<'_>) -> Result<Kernel, String>),
    /// Looks at the arguments itself; an empty error: they do not fit.
    Special(fn(&'static str, Vec<Expr>, &Settings) -> Result<Expr, String>),
}

/// A line of a table.
pub(super) const fn f(
    name: &'static str,
    signature: &'static str,
    make: fn(&Site<'_>) -> Result<Kernel, String>,
) -> Function {
    Function { name, signature, make: Maker::Kernel(make) }
}

/// A line of a table with rules of its own; the signature is for messages.
pub(super) const fn special(
    name: &'static str,
    signature: &'static str,
    bind: fn(&'static str, Vec<Expr>, &Settings) -> Result<Expr, String>,
) -> Function {
    Function { name, signature, make: Maker::Special(bind) }
}

impl Function {
    /// `SUBSTRING(STRING, INT [, INT])`; operators: `NUMERIC + NUMERIC`.
    pub(super) fn shown(&self) -> String {
        let params = self.signature.split("->").next().unwrap_or_default().trim();
        let operator = !self.name.starts_with(|c: char| c.is_alphabetic());
        match params.split_once(", ") {
            Some((left, right)) if operator => format!("{left} {} {right}", self.name),
            _ => format!("{}({params})", self.name),
        }
    }
}

/// How much is cast by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leniency {
    /// Nothing.
    Exact,
    /// To wider types.
    Widening,
    /// Also from text, to text and to narrower numbers, as the cloud product does.
    All,
}

pub(super) const LENIENCIES: &[Leniency] = &[Leniency::Exact, Leniency::Widening, Leniency::All];

/// The arguments, cast as the signature asks, and the result's type. `None`: they do not fit.
pub(super) fn fit(signature: &str, args: &[Expr], leniency: Leniency) -> Option<(Vec<Expr>, Type)> {
    let (params, result) = signature.split_once("->")?;
    let required = params.split('[').next()?;
    let count = |text: &str| text.split(',').filter(|param| !param.trim().is_empty()).count();
    let all: Vec<&str> =
        params.split(',').map(|param| param.trim_matches([' ', '[', ']'])).filter(|param| !param.is_empty()).collect();
    let variadic = all.last().is_some_and(|last| last.ends_with("..."));
    if args.len() < count(required) || (args.len() > all.len() && !variadic) {
        return None;
    }
    let mut fitted = Vec::with_capacity(args.len());
    for (i, arg) in args.iter().enumerate() {
        let param = all.get(i).or(all.last())?.trim_end_matches("...");
        fitted.push(fit_one(arg, param, leniency)?);
    }
    let result = result.trim();
    let ty = match result.strip_prefix('$') {
        Some(number) => fitted.get(number.parse::<usize>().ok()?.checked_sub(1)?)?.ty.clone(),
        None => named(result)?,
    };
    Some((fitted, ty))
}

fn fit_one(arg: &Expr, param: &str, leniency: Leniency) -> Option<Expr> {
    let same = match param {
        "ANY" => true,
        "NUMERIC" => types::is_numeric(&arg.ty),
        "INTEGER" => types::is_integer(&arg.ty),
        "DECIMAL" => matches!(arg.ty, Type::Decimal(..)),
        "STRING" => types::is_text(&arg.ty),
        "BYTES" => types::is_binary(&arg.ty),
        "TIME" => matches!(arg.ty, Type::Time(_)),
        "TIMESTAMP" => types::is_timestamp(&arg.ty),
        "TIMESTAMP_NTZ" => matches!(arg.ty, Type::Timestamp(_)),
        "TIMESTAMP_LTZ" => matches!(arg.ty, Type::TimestampLtz(_)),
        "ARRAY" => matches!(arg.ty, Type::Array(_)),
        "MAP" => matches!(arg.ty, Type::Map(..)),
        "MULTISET" => matches!(arg.ty, Type::Multiset(_)),
        "ROW" => matches!(arg.ty, Type::Row(_)),
        name => named(name)? == arg.ty,
    };
    if same {
        return Some(arg.clone());
    }
    if leniency == Leniency::Exact && arg.ty != Type::Null {
        return None;
    }
    let wanted = match param {
        "NUMERIC" => Type::Double,
        "INTEGER" => Type::BigInt,
        "TIMESTAMP" | "TIMESTAMP_NTZ" => Type::Timestamp(3),
        "TIMESTAMP_LTZ" => Type::TimestampLtz(3),
        "TIME" => Type::Time(0),
        name => named(name)?,
    };
    let from_text = types::is_text(&arg.ty) && !types::is_text(&wanted);
    if cast::is_implicit(&arg.ty, &wanted) && (!from_text || leniency == Leniency::All) {
        return cast::implicit(arg.clone(), &wanted).ok();
    }
    let scalar = !types::is_nested(&arg.ty) && !types::is_binary(&arg.ty);
    let also = (types::is_text(&wanted) && scalar) || (types::is_integer(&wanted) && types::is_numeric(&arg.ty));
    if leniency == Leniency::All && also {
        return cast::cast(arg.clone(), &wanted, cast::Strictness::Lenient).ok();
    }
    None
}

/// A type by its name in a signature.
fn named(name: &str) -> Option<Type> {
    Some(match name {
        "BOOLEAN" => Type::Boolean,
        "INT" => Type::Int,
        "BIGINT" => Type::BigInt,
        "FLOAT" => Type::Float,
        "DOUBLE" => Type::Double,
        "STRING" => Type::STRING,
        "BYTES" => Type::BYTES,
        "DATE" => Type::Date,
        "TIME" => Type::Time(0),
        "TIMESTAMP(3)" => Type::Timestamp(3),
        "TIMESTAMP_LTZ(3)" => Type::TimestampLtz(3),
        "INTERVAL" => Type::IntervalTime,
        "ARRAY<STRING>" => Type::Array(Box::new(Type::STRING)),
        "MAP<STRING, STRING>" => Type::Map(Box::new(Type::STRING), Box::new(Type::STRING)),
        _ => return None,
    })
}
