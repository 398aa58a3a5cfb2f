//! Functions and operators: by name and the arguments' types to a kernel. Each family's table says names and signatures;
//! what a name or its arguments do not fit is refused with the nearest name or the known signatures.
//!
//! Kernels are pure: no clock (the time is in the context), no I/O, no panic for any value.

mod arithmetic;
mod chance;
mod collections;
mod compare;
mod encode;
mod json;
mod kernel;
mod log;
mod logic;
mod math;
mod meta;
mod murmur;
mod pattern;
mod search;
mod signature;
mod text;
mod time;

pub(crate) use compare::{equal, order};
pub(crate) use json::write_json_text;
pub(crate) use kernel::{Args, Lane, OnNull, binaries, map, rows, rows_with, texts, texts_with, zip};
pub(crate) use logic::case;
use signature::{Function, Maker};

use crate::record::{Type, Value};

use super::expr::{Call, Expr, ExprKind, Kernel};
use super::nearest::did_you_mean;
use super::plan::Settings;

/// All families. A name may stand in several lines: its overloads.
const FAMILIES: &[&[Function]] = &[
    arithmetic::TABLE,
    compare::TABLE,
    logic::TABLE,
    math::TABLE,
    text::TABLE,
    search::TABLE,
    time::TABLE,
    time::FIELDS,
    json::TABLE,
    collections::TABLE,
    encode::TABLE,
    log::TABLE,
    chance::TABLE,
    meta::TABLE,
    murmur::TABLE,
];

/// A call of a function, an operator (by its sign or words) with bound arguments; implicit casts are added, constant
/// arguments prepared. The error says what is wrong without a place.
pub(crate) fn resolve(name: &str, args: Vec<Expr>, settings: &Settings) -> Result<Expr, String> {
    let upper = name.to_uppercase();
    let overloads: Vec<&Function> = FAMILIES.iter().copied().flatten().filter(|f| f.name == upper).collect();
    if overloads.is_empty() {
        return Err(unknown(name, &upper));
    }
    let mut reason = None;
    for function in &overloads {
        if let Maker::Special(bind) = function.make {
            match bind(function.name, args.clone(), settings) {
                Err(said) if said.is_empty() => continue,
                bound => return bound,
            }
        }
    }
    for leniency in signature::LENIENCIES {
        for function in &overloads {
            let Maker::Kernel(make) = function.make else { continue };
            let Some((args, ty)) = signature::fit(function.signature, &args, *leniency) else { continue };
            match make(&Site { args: &args }) {
                Ok(kernel) => return Ok(call(function.name, args, ty, kernel)),
                Err(said) => reason = reason.or(Some(said)),
            }
        }
    }
    Err(reason.map_or_else(|| unfit(&upper, &overloads, &args), |reason| format!("{upper}: {reason}")))
}

/// The functions that give the time of the record where they have no argument.
const NOT_DETERMINISTIC: &[&str] = &[
    "NOW",
    "PROCTIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "CURRENT_ROW_TIMESTAMP",
    "UNIX_TIMESTAMP",
];

fn call(name: &'static str, args: Vec<Expr>, ty: Type, kernel: Kernel) -> Expr {
    let deterministic = (!NOT_DETERMINISTIC.contains(&name) || !args.is_empty()) && !chance::NAMES.contains(&name);
    Expr { kind: ExprKind::Call(Call { name, args, deterministic, kernel }), ty }
}

/// Where a kernel is made: the arguments, cast to what the signature asks for.
pub(crate) struct Site<'a> {
    pub(crate) args: &'a [Expr],
}

impl Site<'_> {
    /// The argument's text, if it is a literal that is not NULL.
    pub(crate) fn literal_text(&self, i: usize) -> Option<&str> {
        match self.args.get(i)?.as_literal()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The argument's integer, if it is a literal that is not NULL.
    pub(crate) fn literal_int(&self, i: usize) -> Option<i64> {
        match self.args.get(i)?.as_literal()? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The type of an argument.
    pub(crate) fn ty(&self, i: usize) -> &Type {
        self.args.get(i).map_or(&Type::Null, |arg| &arg.ty)
    }
}

fn unknown(name: &str, upper: &str) -> String {
    let names = FAMILIES.iter().copied().flatten().map(|f| f.name).chain(super::aggregates::NAMES.iter().copied());
    format!("there is no function {name}{}", did_you_mean(upper, names))
}

fn unfit(name: &str, overloads: &[&Function], args: &[Expr]) -> String {
    let given: Vec<String> = args.iter().map(|arg| arg.ty.to_string()).collect();
    let mut known: Vec<String> = overloads.iter().map(|f| f.shown()).collect();
    known.dedup();
    format!("{name} does not take ({}); it takes {}", given.join(", "), known.join(" or "))
}

#[cfg(test)]
mod tests;
