//! Numbers in texts, as Java's `parseInt`, `parseDouble` and `BigDecimal` take them. `None`: it is none.

use std::str::FromStr;

/// Without what Java's `trim` takes off: blanks and control characters.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// An integer with or without a sign; ASCII digits only.
pub(super) fn integer(text: &str) -> Option<i64> {
    trim(text).parse().ok()
}

/// A float as Java takes it: `1`, `.5`, `1e3`, `1.5f`, `NaN`, `-Infinity`; not its hexadecimal ones.
pub(super) fn float<T: FromStr>(text: &str) -> Option<T> {
    let text = trim(text);
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(bare, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    if !bare.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text).parse().ok()
}

/// A boolean is true if it says so; everything else is false, as Java has it.
pub(super) fn boolean(text: &str) -> bool {
    trim(text).eq_ignore_ascii_case("true")
}

/// A decimal rounded half up to `scale`, unscaled. `Some(None)`: a number that has more than `precision` digits then,
/// which Flink makes NULL.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Option<Option<i128>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (rest.get(..at)?, exponent(rest.get(at + 1..)?)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if !digits().all(|b| b.is_ascii_digit()) || digits().next().is_none() {
        return None;
    }
    let leading = digits().take_while(|b| *b == b'0').count() as i64;
    let count = digits().count() as i64;
    if leading == count {
        return Some(Some(0));
    }
    // how many of the significant digits stand before the last place that is kept
    let kept = count - leading - fraction.len() as i64 + exponent + i64::from(scale);
    if kept > i64::from(precision) {
        return Some(None);
    }
    let mut unscaled: i128 = 0;
    let mut significant = digits().skip(leading as usize);
    for _ in 0..kept {
        let digit = significant.next().unwrap_or(b'0');
        unscaled = unscaled * 10 + i128::from(digit - b'0');
    }
    if kept >= 0 && significant.next().is_some_and(|digit| digit >= b'5') {
        unscaled += 1;
    }
    let fits = unscaled < 10_i128.pow(u32::from(precision.min(38)));
    Some(fits.then_some(if negative { -unscaled } else { unscaled }))
}

/// An exponent as BigDecimal takes it: at most ten digits.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sound = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}
