//! Arithmetic of DECIMALs: 128-bit unscaled values, exact intermediate results of 256 bits, rounding half away from
//! zero (Java's HALF_UP). What does not fit into its precision is `None`; nothing panics.

use super::types::MAX_PRECISION;

/// 10 to the power of 0 to 38; greater powers are those of 38.
pub(crate) fn power(exponent: u32) -> i128 {
    10_i128.pow(exponent.min(MAX_PRECISION.into()))
}

/// Whether a value has at most so many digits.
pub(crate) fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < power(precision.into()).unsigned_abs()
}

/// The value if it fits.
pub(crate) fn checked(value: i128, precision: u8) -> Option<i128> {
    fits(value, precision).then_some(value)
}

/// To another scale, rounded; no precision is checked beyond 128 bits.
pub(crate) fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        value.checked_mul(power(u32::from(to - from)))
    } else {
        Some(divide_rounded(value, power(u32::from(from - to))))
    }
}

/// Half away from zero; `by` is positive.
fn divide_rounded(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, value % by);
    if rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs() { quotient + value.signum() } else { quotient }
}

/// To a whole number, the fraction cut off.
pub(crate) fn whole(value: i128, scale: u8) -> i128 {
    value / power(scale.into())
}

/// `a + b` at `scale`, which is not less than theirs unless digits had to be given up.
pub(crate) fn add(a: (i128, u8), b: (i128, u8), precision: u8, scale: u8) -> Option<i128> {
    let common = a.1.max(b.1);
    let sum = rescale(a.0, a.1, common)?.checked_add(rescale(b.0, b.1, common)?)?;
    checked(rescale(sum, common, scale)?, precision)
}

pub(crate) fn multiply(a: (i128, u8), b: (i128, u8), precision: u8, scale: u8) -> Option<i128> {
    let given = u32::from(a.1) + u32::from(b.1);
    let negative = (a.0 < 0) != (b.0 < 0);
    let product = Wide::of(a.0.unsigned_abs(), b.0.unsigned_abs());
    let value = match given.checked_sub(scale.into()) {
        Some(surplus) => product.divide_rounded_by_power(surplus)?,
        None => product.times(power(u32::from(scale) - given).unsigned_abs())?.narrow()?,
    };
    checked(signed(value, negative)?, precision)
}

/// `None` also for a division by zero: whoever calls tells them apart.
pub(crate) fn divide(a: (i128, u8), b: (i128, u8), precision: u8, scale: u8) -> Option<i128> {
    if b.0 == 0 {
        return None;
    }
    let negative = (a.0 < 0) != (b.0 < 0);
    // a / 10^s1 / (b / 10^s2) * 10^scale
    let raised = u32::from(scale) + u32::from(b.1);
    let value = match raised.checked_sub(a.1.into()) {
        Some(up) => Wide::of(a.0.unsigned_abs(), 1).raised(up)?.divide_rounded(b.0.unsigned_abs())?,
        None => {
            let down = power(u32::from(a.1) - raised).unsigned_abs();
            let by = Wide::of(b.0.unsigned_abs(), down).narrow();
            by.map_or(Some(0), |by| Wide::of(a.0.unsigned_abs(), 1).divide_rounded(by))?
        }
    };
    checked(signed(value, negative)?, precision)
}

/// The remainder with the sign of `a`; `None` for `b` = 0.
pub(crate) fn remainder(a: (i128, u8), b: (i128, u8), precision: u8, scale: u8) -> Option<i128> {
    let common = a.1.max(b.1);
    let rest = rescale(a.0, a.1, common)?.checked_rem(rescale(b.0, b.1, common)?)?;
    checked(rescale(rest, common, scale)?, precision)
}

fn signed(value: u128, negative: bool) -> Option<i128> {
    let value = i128::try_from(value).ok()?;
    Some(if negative { -value } else { value })
}

/// An unsigned number of 256 bits: high and low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wide(u128, u128);

impl Wide {
    fn of(a: u128, b: u128) -> Wide {
        const LOW: u128 = u64::MAX as u128;
        if let Some(product) = a.checked_mul(b) {
            return Wide(0, product);
        }
        let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
        let low = a0 * b0;
        let (middle, carry) = (a1 * b0).overflowing_add(a0 * b1);
        let (sum, over) = low.overflowing_add(middle << 64);
        Wide(a1 * b1 + (middle >> 64) + (u128::from(carry) << 64) + u128::from(over), sum)
    }

    fn times(self, by: u128) -> Option<Wide> {
        let low = Wide::of(self.1, by);
        let high = low.0.checked_add(self.0.checked_mul(by)?)?;
        Some(Wide(high, low.1))
    }

    /// Times a power of ten up to 76.
    fn raised(self, by: u32) -> Option<Wide> {
        let first = by.min(38);
        self.times(power(first).unsigned_abs())?.times(power((by - first).min(38)).unsigned_abs())
    }

    fn narrow(self) -> Option<u128> {
        (self.0 == 0).then_some(self.1)
    }

    fn divide_rounded_by_power(self, exponent: u32) -> Option<u128> {
        if exponent <= 38 {
            return self.divide_rounded(power(exponent).unsigned_abs());
        }
        // Half away from zero looks at one digit only: what the first cut takes off cannot change the rounding.
        let (quotient, _) = self.divided(power(exponent - 38).unsigned_abs())?;
        Wide(0, quotient).divide_rounded(power(38).unsigned_abs())
    }

    /// `None` if the quotient has more than 128 bits or `by` is 0.
    fn divided(self, by: u128) -> Option<(u128, u128)> {
        if self.0 == 0 {
            return Some((self.1.checked_div(by)?, self.1 % by));
        }
        if self.0 >= by {
            return None;
        }
        let (mut rest, mut quotient) = (self.0, 0_u128);
        for bit in (0..128).rev() {
            let over = rest >> 127 == 1;
            rest = (rest << 1) | ((self.1 >> bit) & 1);
            quotient <<= 1;
            if over || rest >= by {
                rest = rest.wrapping_sub(by);
                quotient |= 1;
            }
        }
        Some((quotient, rest))
    }

    fn divide_rounded(self, by: u128) -> Option<u128> {
        let (quotient, rest) = self.divided(by)?;
        quotient.checked_add(u128::from(rest >= by - rest))
    }
}

/// Reads a number as Java's `BigDecimal` does (sign, digits, point, exponent), at a scale, rounded; blanks around it
/// are not allowed. `None`: not a number, or more digits than `precision`.
pub(crate) fn parse(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point of the result at its scale.
    let kept = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    let mut value = 0_i128;
    let mut up = false;
    for (at, digit) in (0_i64..).zip(whole.bytes().chain(fraction.bytes())) {
        if at < kept {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        } else {
            up = at == kept && digit >= b'5';
            break;
        }
    }
    let written = (whole.len() + fraction.len()) as i64;
    if value != 0 && kept > written {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(kept - written).ok()?)?)?;
    }
    let value = checked(value + i128::from(up), precision)?;
    Some(if negative { -value } else { value })
}

/// All digits of the scale, no exponent.
pub(crate) fn write(value: i128, scale: u8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let digits = value.unsigned_abs().to_string();
    let scale = usize::from(scale);
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.as_bytes().split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(fraction);
}

/// The nearest double.
pub(crate) fn to_double(value: i128, scale: u8) -> f64 {
    const EXACT: u128 = 1 << 53;
    if value.unsigned_abs() <= EXACT && scale <= 22 {
        return value as f64 / 10_f64.powi(scale.into());
    }
    let mut text = Vec::new();
    write(value, scale, &mut text);
    std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// The double's shortest decimal digits at a scale; `None`: not finite or too great.
pub(crate) fn from_double(value: f64, precision: u8, scale: u8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    parse(&format!("{value:e}"), precision, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_38_digits_are_rounded_once() {
        let max = power(38) - 1;
        assert_eq!(multiply((max, 38), (max, 38), 38, 38), Some(power(38) - 2));
        assert_eq!(multiply((max, 0), (max, 0), 38, 0), None);
        assert_eq!(multiply((15, 1), (15, 1), 38, 1), Some(23)); // 2.25 -> 2.3
        assert_eq!(multiply((-15, 1), (15, 1), 38, 1), Some(-23));
    }

    #[test]
    fn quotients_are_rounded_half_up() {
        assert_eq!(divide((1, 0), (3, 0), 38, 6), Some(333_333));
        assert_eq!(divide((-2, 0), (3, 0), 38, 6), Some(-666_667));
        assert_eq!(divide((power(38) - 1, 0), (1, 38), 38, 0), None);
        assert_eq!(divide((1, 0), (0, 0), 38, 6), None);
        assert_eq!(divide((power(37), 0), (power(37), 0), 38, 20), Some(power(20)));
    }

    #[test]
    fn numbers_are_read_as_big_decimals() {
        assert_eq!(parse("1.005", 10, 2), Some(101));
        assert_eq!(parse("-1.5e2", 10, 1), Some(-1500));
        assert_eq!(parse("1e-3", 10, 2), Some(0));
        assert_eq!(parse("5e-3", 10, 2), Some(1));
        assert_eq!((parse("", 10, 2), parse(".", 10, 2), parse("1 ", 10, 2)), (None, None, None));
        assert_eq!(parse("99.99", 3, 1), None);
        assert_eq!(parse("1e2147483647", 38, 0), None);
        assert_eq!(parse("0e2147483647", 38, 0), Some(0));
    }
}
