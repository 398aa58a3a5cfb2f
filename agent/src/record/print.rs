//! Values as text, as Java and Flink print them: what `CAST`-less places (documents, ids, JSON kept as text) show.
//!
//! Promises: pure; appends ASCII only. Doubles have the fewest digits that read back as the same double, in Java's
//! layout (`1.0E10`); Java before 19 prints a few doubles with one digit more.

use super::push_number;

const DAY_MICROS: i64 = 86_400_000_000;

/// `1.5`, `100.0`, `1.0E10`, `NaN`, `-Infinity`: Java's `Double.toString`.
pub(crate) fn push_double(x: f64, out: &mut Vec<u8>) {
    push_floating(x.is_nan(), x.is_infinite(), x.is_sign_negative(), &format!("{:e}", x.abs()), out);
}

/// As [`push_double`], with a float's fewer digits.
pub(crate) fn push_float(x: f32, out: &mut Vec<u8>) {
    push_floating(x.is_nan(), x.is_infinite(), x.is_sign_negative(), &format!("{:e}", x.abs()), out);
}

/// `scientific` is `D.DDDeN` as Rust prints it.
fn push_floating(nan: bool, infinite: bool, negative: bool, scientific: &str, out: &mut Vec<u8>) {
    if nan {
        return out.extend_from_slice(b"NaN");
    }
    if negative {
        out.push(b'-');
    }
    if infinite {
        return out.extend_from_slice(b"Infinity");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let (whole, fraction): (Vec<u8>, Vec<u8>) = match exponent {
        0..7 => {
            let cut = exponent as usize + 1;
            let mut whole = digits.clone();
            whole.resize(digits.len().max(cut), b'0');
            let fraction = whole.split_off(cut);
            (whole, fraction)
        }
        -3..0 => (vec![b'0'], [vec![b'0'; (-exponent - 1) as usize], digits.clone()].concat()),
        _ => (digits.iter().take(1).copied().collect(), digits.iter().skip(1).copied().collect()),
    };
    out.extend_from_slice(&whole);
    out.push(b'.');
    out.extend_from_slice(if fraction.is_empty() { b"0" } else { &fraction });
    if !(-3..7).contains(&exponent) && digits.iter().any(|digit| *digit != b'0') {
        out.push(b'E');
        push_integer(i64::from(exponent), out);
    }
}

/// A decimal number with its sign.
pub(crate) fn push_integer(x: i64, out: &mut Vec<u8>) {
    if x < 0 {
        out.push(b'-');
    }
    push_number(x.unsigned_abs(), out);
}

/// An unscaled decimal, all its digits: `-12.50`.
pub(crate) fn push_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// Days since 1970 as `2026-11-21`.
pub(crate) fn push_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if year < 0 {
        out.push(b'-');
    } else if year > 9999 {
        out.push(b'+');
    }
    push_padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    push_padded(month, 2, out);
    out.push(b'-');
    push_padded(day, 2, out);
}

/// Microseconds since midnight as `08:01:00`, with as much of a fraction as is not zero (`08:01:00.5`).
pub(crate) fn push_time(micros: i64, out: &mut Vec<u8>) {
    let micros = micros.rem_euclid(DAY_MICROS) as u64;
    let seconds = micros / 1_000_000;
    push_padded(seconds / 3600, 2, out);
    out.push(b':');
    push_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    push_padded(seconds % 60, 2, out);
    let (mut fraction, mut width) = (micros % 1_000_000, 6);
    if fraction > 0 {
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        out.push(b'.');
        push_padded(fraction, width, out);
    }
}

/// Microseconds since 1970 as date, `separator` and time.
pub(crate) fn push_timestamp(micros: i64, separator: u8, out: &mut Vec<u8>) {
    push_date(micros.div_euclid(DAY_MICROS), out);
    out.push(separator);
    push_time(micros, out);
}

/// A number with zeros before it up to `width` digits.
pub(crate) fn push_padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut power = 1_u64;
    let mut digits = 1;
    while number / power >= 10 {
        power *= 10;
        digits += 1;
    }
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits)));
    push_number(number, out);
}

/// Year, month and day of a day counted from 1970-01-01 (the proleptic Gregorian calendar).
pub(crate) fn civil(days: i64) -> (i64, u64, u64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, (of_year - (153 * shifted + 2) / 5 + 1) as u64)
}

/// The inverse of [`civil`]; a day beyond the month's end counts on into the next month.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_are_laid_out_as_java_does() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1.5, "1.5"),
            (-12.25, "-12.25"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (1.234_567_89e10, "1.23456789E10"),
            (123_456.789, "123456.789"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
        ];
        for (x, expected) in cases {
            assert_eq!(text(|out| push_double(x, out)), expected);
        }
        assert_eq!(text(|out| push_float(0.1, out)), "0.1");
        assert_eq!(text(|out| push_float(3.4e38, out)), "3.4E38");
    }

    #[test]
    fn decimals_and_times_are_printed_in_full() {
        assert_eq!(text(|out| push_decimal(-5, 2, out)), "-0.05");
        assert_eq!(text(|out| push_decimal(1250, 2, out)), "12.50");
        assert_eq!(text(|out| push_decimal(7, 0, out)), "7");
        assert_eq!(text(|out| push_timestamp(1_795_248_060_500_000, b' ', out)), "2026-11-21 08:01:00.5");
        assert_eq!(text(|out| push_timestamp(-1, b'T', out)), "1969-12-31T23:59:59.999999");
        assert_eq!(text(|out| push_date(days(12_026, 1, 2), out)), "+12026-01-02");
    }

    #[test]
    fn days_and_dates_are_inverses() {
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month as i64, date as i64), day);
        }
    }
}
