//! Aggregate functions: their names, what arguments they take and what type they give. `query` accumulates.

use crate::record::{Type, Value};

use super::cast;
use super::expr::Expr;
use super::functions;
use super::plan::{AggregateFunction, Settings};
use super::types;

/// In upper case.
pub(crate) const NAMES: &[&str] = &[
    "APPROX_COUNT_DISTINCT",
    "AVG",
    "COLLECT",
    "COUNT",
    "FIRST_VALUE",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "LAST_VALUE",
    "LISTAGG",
    "MAX",
    "MIN",
    "PERCENTILE",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUM",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
];

/// Whether there is an aggregate function of this name, in any case.
pub(crate) fn is_aggregate(name: &str) -> bool {
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The function, the arguments that are to be computed for each row (`COUNT(*)` has none), and the result's type.
/// Constant arguments (a separator, fractions) go into the function.
pub(crate) fn resolve(
    name: &str,
    args: Vec<Expr>,
    distinct: bool,
    settings: &Settings,
) -> Result<(AggregateFunction, Vec<Expr>, Type), String> {
    let upper = name.to_uppercase();
    if upper == "COUNT" {
        return Ok((AggregateFunction::Count, args, Type::BigInt));
    }
    if !is_aggregate(&upper) {
        return Err(format!("there is no aggregate function {name}"));
    }
    if upper == "JSON_ARRAYAGG" || upper == "JSON_OBJECTAGG" {
        return json(&upper, args, settings);
    }
    let mut args = args;
    match (upper.as_str(), args.len()) {
        ("LISTAGG", 2) | ("PERCENTILE", 2 | 3) | (_, 1) => {}
        ("LISTAGG", _) => return Err("LISTAGG takes a text and a separator".to_owned()),
        ("PERCENTILE", _) => return Err("PERCENTILE takes a number and a fraction or an ARRAY of fractions".to_owned()),
        (_, given) => return Err(format!("{upper} takes one argument, {given} were given")),
    }
    let rest = args.split_off(1);
    let Some(arg) = args.pop() else { return Err(format!("{upper} takes one argument")) };
    match upper.as_str() {
        "LISTAGG" => list(arg, &rest, distinct),
        "PERCENTILE" => percentile(arg, rest, distinct),
        upper => one(upper, arg),
    }
}

/// `(on null, [key,] value)` as `front::json` has it. Values are written as JSON before they are gathered; where NULL is
/// absent it stays NULL, which no aggregate takes.
fn json(name: &str, mut args: Vec<Expr>, settings: &Settings) -> Result<(AggregateFunction, Vec<Expr>, Type), String> {
    let wrong = || format!("{name} takes {}", if name == "JSON_ARRAYAGG" { "a value" } else { "KEY key VALUE value" });
    let value = args.pop().ok_or_else(wrong)?;
    let written = functions::resolve("JSON_STRING", vec![value], settings)?;
    let null = Expr::literal(Value::Text("null".into()), Type::STRING);
    let keeps_null = matches!(args.first().and_then(Expr::as_literal), Some(Value::Text(word)) if &**word == "NULL");
    let written = if keeps_null { functions::resolve("COALESCE", vec![written, null], settings)? } else { written };
    match (name, args.len()) {
        ("JSON_ARRAYAGG", 1) => Ok((AggregateFunction::JsonArray, vec![written], Type::STRING)),
        ("JSON_OBJECTAGG", 2) => {
            let key = args.pop().filter(|key| types::is_text(&key.ty));
            let key =
                key.ok_or_else(|| "the KEY of JSON_OBJECTAGG must be a text; write CAST(… AS STRING)".to_owned())?;
            let key = cast::implicit(key, &Type::STRING)?;
            Ok((AggregateFunction::JsonObject, vec![key, written], Type::STRING))
        }
        _ => Err(wrong()),
    }
}

fn one(name: &str, arg: Expr) -> Result<(AggregateFunction, Vec<Expr>, Type), String> {
    use AggregateFunction as F;
    let ty = arg.ty.clone();
    match name {
        "MIN" | "MAX" => {
            if types::is_nested(&ty) || types::is_binary(&ty) || ty == Type::Null {
                return Err(format!("{name} does not take {ty}: it has no order here"));
            }
            Ok((if name == "MIN" { F::Min } else { F::Max }, vec![arg], ty))
        }
        "FIRST_VALUE" => Ok((F::FirstValue, vec![arg], ty)),
        "LAST_VALUE" => Ok((F::LastValue, vec![arg], ty)),
        "APPROX_COUNT_DISTINCT" => Ok((F::ApproxCountDistinct, vec![arg], Type::BigInt)),
        "COLLECT" => Ok((F::Collect, vec![arg], Type::Multiset(Box::new(ty)))),
        name => {
            let arg = number(name, arg)?;
            let ty = arg.ty.clone();
            Ok(match name {
                "SUM" => (F::Sum, vec![arg], types::sum_type(&ty)),
                "AVG" => (F::Avg, vec![arg], types::avg_type(&ty)),
                name => (spread(name), vec![arg], types::avg_type(&ty)),
            })
        }
    }
}

fn spread(name: &str) -> AggregateFunction {
    match name {
        "STDDEV_POP" => AggregateFunction::StddevPop,
        "STDDEV" | "STDDEV_SAMP" => AggregateFunction::StddevSamp,
        "VAR_POP" => AggregateFunction::VarPop,
        _ => AggregateFunction::VarSamp,
    }
}

/// A text is read as a DOUBLE, as the cloud product does.
fn number(name: &str, arg: Expr) -> Result<Expr, String> {
    if types::is_text(&arg.ty) {
        return cast::implicit(arg, &Type::Double);
    }
    if types::is_numeric(&arg.ty) { Ok(arg) } else { Err(format!("{name} takes numbers, not {}", arg.ty)) }
}

fn list(arg: Expr, rest: &[Expr], distinct: bool) -> Result<(AggregateFunction, Vec<Expr>, Type), String> {
    if !types::is_text(&arg.ty) {
        return Err(format!("LISTAGG takes texts, not {}; write CAST(… AS STRING)", arg.ty));
    }
    let separator = match rest.first().map(Expr::as_literal) {
        None => ",".to_owned(),
        Some(Some(Value::Text(text))) => text.to_string(),
        Some(_) => return Err("the separator of LISTAGG must be a literal text".to_owned()),
    };
    if distinct && !rest.is_empty() {
        return Err("LISTAGG(DISTINCT …) takes no separator".to_owned());
    }
    Ok((AggregateFunction::ListAgg { separator }, vec![cast::implicit(arg, &Type::STRING)?], Type::STRING))
}

/// `PERCENTILE(x, fraction or ARRAY of fractions)`.
fn percentile(arg: Expr, rest: Vec<Expr>, distinct: bool) -> Result<(AggregateFunction, Vec<Expr>, Type), String> {
    if distinct {
        return Err("PERCENTILE(DISTINCT …) is not supported".to_owned());
    }
    if rest.len() > 1 {
        return Err("PERCENTILE with a frequency is not supported".to_owned());
    }
    let arg = cast::implicit(number("PERCENTILE", arg)?, &Type::Double)?;
    let Some(fractions) = rest.into_iter().next() else { return Err("PERCENTILE lacks the fraction".to_owned()) };
    let one = |value: &Value, ty: &Type| fraction(value, ty).filter(|f| (0.0..=1.0).contains(f));
    let known = match (fractions.as_literal(), &fractions.ty) {
        (Some(Value::Array(values)), Type::Array(of)) if !values.is_empty() => {
            values.iter().map(|value| one(value, of)).collect::<Option<Vec<_>>>()
        }
        (Some(value), ty) => one(value, ty).map(|f| vec![f]),
        _ => None,
    };
    let Some(known) = known else {
        return Err("the fraction of PERCENTILE must be a literal between 0 and 1, or an ARRAY of such".to_owned());
    };
    let ty = if matches!(fractions.ty, Type::Array(_)) { Type::Array(Box::new(Type::Double)) } else { Type::Double };
    Ok((AggregateFunction::Percentile { fractions: known }, vec![arg], ty))
}

fn fraction(value: &Value, ty: &Type) -> Option<f64> {
    match (value, ty) {
        (Value::Double(x), _) => Some(*x),
        (Value::Float(x), _) => Some(f64::from(*x)),
        (Value::Int(x), _) => Some(*x as f64),
        (Value::Decimal(x), Type::Decimal(_, s)) => Some(super::decimal::to_double(*x, *s)),
        _ => None,
    }
}
