//! Casts: which there are, and a kernel for each. A cast that fails for a value gives NULL or, where asked for, names
//! the row as one that Flink would have failed the job for.

mod nested;
mod scalar;
pub(crate) mod text;

pub(crate) use scalar::wrap;

use crate::record::{Type, Value};

use super::expr::{Call, Expr, ExprKind, Kernel};
use super::types;

/// What becomes of a value that cannot be cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// NULL: TRY_CAST.
    Lenient,
    /// NULL too, and older ways of writing: CAST with `table.exec.legacy-cast-behaviour` enabled. `TRUE` is `true`, and
    /// VARCHAR(n) cuts nothing off.
    Legacy,
    /// A row error: CAST otherwise.
    Strict,
}

/// An explicit CAST or TRY_CAST. The error names both types.
pub(crate) fn cast(expr: Expr, ty: &Type, strictness: Strictness) -> Result<Expr, String> {
    if expr.ty == *ty {
        return Ok(expr);
    }
    if expr.ty == Type::Null || expr.as_literal() == Some(&Value::Null) {
        return Ok(Expr::literal(Value::Null, ty.clone()));
    }
    if let Some(kernel) = scalar::legacy(&expr.ty, ty).filter(|_| strictness == Strictness::Legacy) {
        let call = Call { name: "CAST", args: vec![expr], deterministic: true, kernel };
        return Ok(Expr { kind: ExprKind::Call(call), ty: ty.clone() });
    }
    let Some(kernel) = kernel(&expr.ty, ty, strictness) else {
        return Err(format!("{} cannot be cast to {ty}{}", expr.ty, hint(&expr.ty, ty)));
    };
    let name = if strictness == Strictness::Strict { "CAST" } else { "TRY_CAST" };
    let call = Call { name, args: vec![expr], deterministic: true, kernel };
    Ok(Expr { kind: ExprKind::Call(call), ty: ty.clone() })
}

fn hint(from: &Type, to: &Type) -> &'static str {
    match (types::is_numeric(from), types::is_numeric(to)) {
        (true, _) if types::is_timestamp(to) => "; use TO_TIMESTAMP_LTZ(n, 0 or 3) or FROM_UNIXTIME(n)",
        (_, true) if types::is_timestamp(from) => "; use UNIX_TIMESTAMP or TIMESTAMPDIFF",
        _ => "",
    }
}

/// A cast that nobody wrote: to a wider number, a longer text, from a text to what it is compared with. Values that
/// cannot be cast are NULL.
pub(crate) fn implicit(expr: Expr, ty: &Type) -> Result<Expr, String> {
    if expr.ty == *ty {
        return Ok(expr);
    }
    if !is_implicit(&expr.ty, ty) {
        return Err(format!("{} is not taken for {ty} by itself; write CAST(… AS {ty})", expr.ty));
    }
    if types::is_text(&expr.ty) && matches!(ty, Type::Varchar(n) if length(&expr.ty) <= *n) {
        return Ok(Expr { ty: ty.clone(), ..expr });
    }
    cast(expr, ty, Strictness::Lenient)
}

/// A text's greatest length.
fn length(ty: &Type) -> u32 {
    match ty {
        Type::Char(n) | Type::Varchar(n) => *n,
        _ => 0,
    }
}

/// Whether [`implicit`] casts so.
pub(crate) fn is_implicit(from: &Type, to: &Type) -> bool {
    if *from == Type::Null || from == to {
        return true;
    }
    if types::is_numeric(from) && types::is_numeric(to) {
        return width(from) <= width(to);
    }
    match (from, to) {
        (Type::Char(_) | Type::Varchar(_), _) if types::is_text(to) => true,
        (Type::Binary(_) | Type::Varbinary(_), _) if types::is_binary(to) => true,
        (Type::Char(_) | Type::Varchar(_), _) => !types::is_nested(to) && !types::is_binary(to),
        (Type::Date, _) if types::is_timestamp(to) => true,
        (Type::Timestamp(_) | Type::TimestampLtz(_), _) if types::is_timestamp(to) => true,
        (Type::Time(_), Type::Time(_)) => true,
        (Type::Array(x), Type::Array(y)) | (Type::Multiset(x), Type::Multiset(y)) => is_implicit(x, y),
        (Type::Map(k, v), Type::Map(l, w)) => is_implicit(k, l) && is_implicit(v, w),
        (Type::Row(x), Type::Row(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((_, from), (_, to))| is_implicit(from, to))
        }
        _ => false,
    }
}

/// The order in which numbers widen. Decimals widen among themselves: what does not fit is NULL.
fn width(ty: &Type) -> u8 {
    match ty {
        Type::TinyInt => 1,
        Type::SmallInt => 2,
        Type::Int => 3,
        Type::BigInt => 4,
        Type::Decimal(..) => 5,
        Type::Float => 6,
        _ => 7,
    }
}

/// The kernel that casts, if there is such a cast.
fn kernel(from: &Type, to: &Type, strictness: Strictness) -> Option<Kernel> {
    scalar::kernel(from, to, strictness).or_else(|| nested::kernel(from, to, strictness))
}

/// What a failed strict cast says.
fn failed(args: &super::functions::Args<'_>, strictness: Strictness, to: &Type) -> String {
    debug_assert!(strictness == Strictness::Strict);
    match args.value(0) {
        Value::Text(text) => {
            let shown: String = text.chars().take(100).collect();
            format!("'{shown}' cannot be cast to {to}")
        }
        other => format!("{other:?} cannot be cast to {to}"),
    }
}
