//! Rules over types: which are alike, what several have in common, how wide a decimal result is. Flink's
//! `LogicalTypeMerging`. Values are not looked at here.

use crate::record::Type;

/// Greatest precision of a DECIMAL.
pub(crate) const MAX_PRECISION: u8 = 38;

/// TINYINT to BIGINT.
pub(crate) fn is_integer(ty: &Type) -> bool {
    matches!(ty, Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt)
}

pub(crate) fn is_numeric(ty: &Type) -> bool {
    is_integer(ty) || matches!(ty, Type::Decimal(..) | Type::Float | Type::Double)
}

pub(crate) fn is_text(ty: &Type) -> bool {
    matches!(ty, Type::Char(_) | Type::Varchar(_))
}

pub(crate) fn is_binary(ty: &Type) -> bool {
    matches!(ty, Type::Binary(_) | Type::Varbinary(_))
}

/// TIMESTAMP or TIMESTAMP_LTZ.
pub(crate) fn is_timestamp(ty: &Type) -> bool {
    matches!(ty, Type::Timestamp(_) | Type::TimestampLtz(_))
}

/// A point in time or on the calendar.
pub(crate) fn is_temporal(ty: &Type) -> bool {
    is_timestamp(ty) || matches!(ty, Type::Date | Type::Time(_))
}

pub(crate) fn is_interval(ty: &Type) -> bool {
    matches!(ty, Type::IntervalMonths | Type::IntervalTime)
}

/// ARRAY, MAP, MULTISET or ROW.
pub(crate) fn is_nested(ty: &Type) -> bool {
    matches!(ty, Type::Array(_) | Type::Map(..) | Type::Multiset(_) | Type::Row(_))
}

/// Smallest and greatest value of an integer type; BIGINT's for any other.
pub(crate) fn range(ty: &Type) -> (i64, i64) {
    match ty {
        Type::TinyInt => (i8::MIN.into(), i8::MAX.into()),
        Type::SmallInt => (i16::MIN.into(), i16::MAX.into()),
        Type::Int => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// Precision and scale of an exact number as a DECIMAL; `None` for other types.
pub(crate) fn as_decimal(ty: &Type) -> Option<(u8, u8)> {
    match ty {
        Type::TinyInt => Some((3, 0)),
        Type::SmallInt => Some((5, 0)),
        Type::Int => Some((10, 0)),
        Type::BigInt => Some((19, 0)),
        Type::Decimal(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The type that values of all these types can be cast to without loss, as CASE, COALESCE, UNION and ARRAY need it.
pub(crate) fn common(types: &[Type]) -> Option<Type> {
    let mut types = types.iter();
    let first = types.next()?.clone();
    types.try_fold(first, |a, b| common_of_two(&a, b))
}

fn common_of_two(a: &Type, b: &Type) -> Option<Type> {
    if a == b || *b == Type::Null {
        return Some(a.clone());
    }
    if *a == Type::Null {
        return Some(b.clone());
    }
    if is_numeric(a) && is_numeric(b) {
        return Some(common_number(a, b));
    }
    match (a, b) {
        (Type::Char(n) | Type::Varchar(n), Type::Char(m) | Type::Varchar(m)) => Some(Type::Varchar(*n.max(m))),
        (Type::Binary(n) | Type::Varbinary(n), Type::Binary(m) | Type::Varbinary(m)) => {
            Some(Type::Varbinary(*n.max(m)))
        }
        (Type::Time(p), Type::Time(q)) => Some(Type::Time(*p.max(q))),
        (Type::Timestamp(p), Type::Timestamp(q)) => Some(Type::Timestamp(*p.max(q))),
        (Type::Timestamp(p) | Type::TimestampLtz(p), Type::Timestamp(q) | Type::TimestampLtz(q)) => {
            Some(Type::TimestampLtz(*p.max(q)))
        }
        (Type::Date, stamp) | (stamp, Type::Date) if is_timestamp(stamp) => Some(stamp.clone()),
        (Type::Array(x), Type::Array(y)) => Some(Type::Array(Box::new(common_of_two(x, y)?))),
        (Type::Multiset(x), Type::Multiset(y)) => Some(Type::Multiset(Box::new(common_of_two(x, y)?))),
        (Type::Map(k, v), Type::Map(l, w)) => {
            Some(Type::Map(Box::new(common_of_two(k, l)?), Box::new(common_of_two(v, w)?)))
        }
        (Type::Row(x), Type::Row(y)) if x.len() == y.len() => {
            let fields = x.iter().zip(y).map(|((name, t), (_, u))| Some((name.clone(), common_of_two(t, u)?)));
            Some(Type::Row(fields.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// Of two numeric types.
fn common_number(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (Type::Double, _) | (_, Type::Double) => Type::Double,
        (Type::Float, Type::Decimal(..)) | (Type::Decimal(..), Type::Float) => Type::Double,
        (Type::Float, _) | (_, Type::Float) => Type::Float,
        _ => match (as_decimal(a), as_decimal(b)) {
            (Some((p, s)), Some((q, r))) if matches!(a, Type::Decimal(..)) || matches!(b, Type::Decimal(..)) => {
                let scale = s.max(r);
                let whole = (p - s).max(q - r);
                Type::Decimal((whole + scale).min(MAX_PRECISION), scale.min(MAX_PRECISION.saturating_sub(whole)))
            }
            (Some((p, _)), Some((q, _))) => {
                if p >= q {
                    a.clone()
                } else {
                    b.clone()
                }
            }
            _ => Type::Double,
        },
    }
}

/// The type in which two values are compared: what they have in common, or the other's type if one is a text.
pub(crate) fn comparable(a: &Type, b: &Type) -> Option<Type> {
    common_of_two(a, b).or_else(|| match (is_text(a), is_text(b)) {
        (true, false) if !is_nested(b) => Some(b.clone()),
        (false, true) if !is_nested(a) => Some(a.clone()),
        _ => None,
    })
}

/// Type of `a name b` for two decimals, `name` one of `+ - * / %`.
pub(crate) fn decimal_result(name: &str, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> Type {
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    let (precision, scale) = match name {
        "*" => (p1 + p2 + 1, s1 + s2),
        "/" => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        "%" if s1 == 0 && s2 == 0 => (p2, 0),
        "%" => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    };
    adjusted(precision, scale)
}

/// Gives up fraction digits, down to 6, where more than 38 digits were needed.
fn adjusted(precision: i32, scale: i32) -> Type {
    let max = i32::from(MAX_PRECISION);
    if precision <= max {
        return Type::Decimal(precision.max(1) as u8, scale as u8);
    }
    let scale = (max - (precision - scale)).max(scale.min(6));
    Type::Decimal(MAX_PRECISION, scale as u8)
}

/// Type of SUM over `ty`.
pub(crate) fn sum_type(ty: &Type) -> Type {
    match ty {
        Type::Decimal(_, s) => Type::Decimal(MAX_PRECISION, *s),
        other => other.clone(),
    }
}

/// Type of AVG over `ty`.
pub(crate) fn avg_type(ty: &Type) -> Type {
    match ty {
        Type::Decimal(_, s) => match decimal_result("/", (MAX_PRECISION, *s), (20, 0)) {
            Type::Decimal(p, scale) => Type::Decimal(p, scale.max(*s).max(6).min(p)),
            other => other,
        },
        other => other.clone(),
    }
}

/// Type of ROUND(x, digits) over a DECIMAL(p, s).
pub(crate) fn round_type((p, s): (u8, u8), digits: i64) -> Type {
    let whole = p - s;
    if digits >= i64::from(s) {
        Type::Decimal(p, s)
    } else if digits < 0 {
        Type::Decimal((whole + 1).min(MAX_PRECISION), 0)
    } else {
        Type::Decimal((whole + 1 + digits as u8).min(MAX_PRECISION), digits as u8)
    }
}
