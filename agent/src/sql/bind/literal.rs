//! Literals: the value and Flink's type of each, intervals among them.

use sqlparser::ast::{self, DataType, DateTimeField, Spanned};

use crate::record::{Type, Value};
use crate::sql::expr::{Expr, ExprKind};

use super::{Binder, Bound};

pub(super) fn constant(value: Value, ty: Type) -> Expr {
    Expr { kind: ExprKind::Literal(value), ty }
}

pub(super) fn text(text: &str) -> Expr {
    // An empty text has no CHAR type of its length.
    let ty = match text.chars().count() as u32 {
        0 => Type::STRING,
        n => Type::Char(n),
    };
    constant(Value::Text(text.into()), ty)
}

pub(super) fn boolean(value: bool) -> Expr {
    constant(Value::Bool(value), Type::Boolean)
}

impl Binder<'_> {
    pub(super) fn literal(&mut self, literal: &ast::ValueWithSpan) -> Bound<Expr> {
        use ast::Value as Written;
        match &literal.value {
            Written::Number(digits, _) => match number(digits) {
                Some(expr) => Ok(expr),
                None => self.refuse(literal.span, format!("the number {digits} is out of range")),
            },
            Written::SingleQuotedString(value)
            | Written::NationalStringLiteral(value)
            | Written::UnicodeStringLiteral(value) => Ok(text(value)),
            Written::Boolean(value) => Ok(boolean(*value)),
            Written::Null => Ok(constant(Value::Null, Type::Null)),
            Written::HexStringLiteral(digits) => match bytes(digits) {
                Some(bytes) => {
                    let ty = Type::Binary((bytes.len() as u32).max(1));
                    Ok(constant(Value::Bytes(bytes.into()), ty))
                }
                None => self.refuse(literal.span, "a binary literal has an even number of hexadecimal digits"),
            },
            other => self.refuse(literal.span, format!("the literal {other} is not supported")),
        }
    }

    /// `DATE '2026-11-21'`, `TIME '08:01:00'`, `TIMESTAMP '2026-11-21 08:01:00.000'`.
    pub(super) fn typed_literal(&mut self, literal: &ast::TypedString) -> Bound<Expr> {
        let span = literal.value.span;
        let Some(written) = literal.value.value.clone().into_string() else {
            return self.refuse(span, format!("{literal} is not supported"));
        };
        let fraction = written.rsplit_once('.').map_or(0, |(_, digits)| digits.len().min(6)) as u8;
        let bound = match &literal.data_type {
            DataType::Date => date(&written).map(|days| constant(Value::Int(days), Type::Date)),
            DataType::Time(..) => {
                time_of_day(&written).map(|micros| constant(Value::Int(micros), Type::Time(fraction)))
            }
            DataType::Timestamp(..) => {
                timestamp(&written).map(|micros| constant(Value::Int(micros), Type::Timestamp(fraction)))
            }
            other => {
                let message = format!(
                    "a literal of type {other} is not supported: write DATE, TIME or TIMESTAMP, or CAST a text"
                );
                return self.refuse(span, message);
            }
        };
        match bound {
            Some(expr) => Ok(expr),
            None => self.refuse(span, format!("illegal {} literal '{written}'", literal.data_type)),
        }
    }

    pub(super) fn interval(&mut self, interval: &ast::Interval) -> Bound<Expr> {
        let span = interval.value.span();
        let ast::Expr::Value(value) = &*interval.value else {
            return self.refuse(span, "an interval is a literal such as INTERVAL '1' MINUTE");
        };
        let (ast::Value::SingleQuotedString(written) | ast::Value::Number(written, _)) = &value.value else {
            return self.refuse(span, "an interval is a literal such as INTERVAL '1' MINUTE");
        };
        let Some(unit) = interval.leading_field.as_ref() else {
            return self.refuse(span, format!("the interval needs a unit, such as INTERVAL '{written}' MINUTE"));
        };
        match parse_interval(written, unit, interval.last_field.as_ref()) {
            Some(expr) => Ok(expr),
            None => self.refuse(span, format!("illegal interval literal '{written}' {unit}")),
        }
    }
}

fn number(digits: &str) -> Option<Expr> {
    if digits.contains(['e', 'E']) {
        return digits.parse().ok().map(|value| constant(Value::Double(value), Type::Double));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if let (false, Ok(value)) = (digits.contains('.'), whole.parse::<i64>()) {
        let ty = if i32::try_from(value).is_ok() { Type::Int } else { Type::BigInt };
        return Some(constant(Value::Int(value), ty));
    }
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let significant = whole.trim_start_matches('0').len() + fraction.len();
    let precision = u8::try_from(significant.max(1)).ok().filter(|precision| *precision <= 38)?;
    Some(constant(Value::Decimal(unscaled), Type::Decimal(precision, fraction.len() as u8)))
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0)
        .then(|| digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

fn date(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.trim().parse().ok()?;
    let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
    Some(days.into())
}

fn time(text: &str) -> Option<i64> {
    let time: jiff::civil::Time = text.trim().parse().ok()?;
    let nanos = time.since(jiff::civil::Time::midnight()).ok()?.total(jiff::Unit::Microsecond).ok()?;
    Some(nanos as i64)
}

/// As Flink has it in a TIME literal (and in no TIMESTAMP): one digit is enough for the hour.
fn time_of_day(text: &str) -> Option<i64> {
    let text = text.trim();
    let one_digit = text.find(':') == Some(1) && text.starts_with(|c: char| c.is_ascii_digit());
    time(&if one_digit { format!("0{text}") } else { text.to_owned() })
}

fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let (day, clock) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    date(day)?.checked_mul(86_400_000_000)?.checked_add(time(clock)?)
}

/// What is counted between the leading and the last unit: separators stand before each but the first.
const UNITS: [(&str, i64); 4] =
    [("DAY", 86_400_000_000), ("HOUR", 3_600_000_000), ("MINUTE", 60_000_000), ("SECOND", 1_000_000)];

fn unit_name(field: &DateTimeField) -> String {
    let name = field.to_string().to_uppercase();
    name.strip_suffix('S').unwrap_or(&name).to_owned()
}

fn parse_interval(text: &str, leading: &DateTimeField, last: Option<&DateTimeField>) -> Option<Expr> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let sign = if negative { -1 } else { 1 };
    let leading = unit_name(leading);
    let last = last.map_or_else(|| leading.clone(), unit_name);
    let months = match (leading.as_str(), last.as_str()) {
        ("YEAR", "YEAR") => Some(whole(text)?.checked_mul(12)?),
        ("QUARTER", "QUARTER") => Some(whole(text)?.checked_mul(3)?),
        ("MONTH", "MONTH") => Some(whole(text)?),
        ("YEAR", "MONTH") => {
            let (years, months) = text.split_once('-')?;
            Some(whole(years)?.checked_mul(12)?.checked_add(whole(months)?)?)
        }
        _ => None,
    };
    if let Some(months) = months {
        return Some(constant(Value::Int(sign * months), Type::IntervalMonths));
    }
    if leading == "WEEK" && last == "WEEK" {
        let micros = whole(text)?.checked_mul(7 * 86_400_000_000)?;
        return Some(constant(Value::Int(sign * micros), Type::IntervalTime));
    }
    let at = |name: &str| UNITS.iter().position(|(unit, _)| *unit == name);
    let units = UNITS.get(at(&leading)?..=at(&last)?)?;
    let mut rest = Some(text);
    let mut micros: i64 = 0;
    for (i, (name, size)) in units.iter().enumerate() {
        let separator = if *name == "DAY" { ' ' } else { ':' };
        let piece = rest?;
        let (piece, after) = match piece.split_once(separator) {
            Some((piece, after)) if i + 1 < units.len() => (piece, Some(after)),
            _ => (piece, None),
        };
        let part = match piece.split_once('.').filter(|_| *name == "SECOND") {
            Some((seconds, fraction)) => whole(seconds)?.checked_mul(*size)?.checked_add(millionths(fraction)?)?,
            None => whole(piece)?.checked_mul(*size)?,
        };
        micros = micros.checked_add(part)?;
        rest = after;
    }
    rest.is_none().then(|| constant(Value::Int(sign * micros), Type::IntervalTime))
}

fn whole(digits: &str) -> Option<i64> {
    let digits = digits.trim();
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn millionths(fraction: &str) -> Option<i64> {
    let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole(&padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_may_have_one_digit_in_a_time_literal() {
        assert_eq!(time_of_day("9:05:00"), time("09:05:00"));
        assert_eq!(time_of_day(" 23:05:00.5 "), time("23:05:00.5"));
        for wrong in [":05:00", "x:05:00", "123:05:00", "25:00:00"] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }
}
