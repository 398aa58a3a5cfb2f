//! Numbers and truth values from and to text, as Java and Flink write and read them.

/// As `BinaryStringDataUtil.toInt` and its like: blanks around it are dropped, a fraction is checked and cut off.
pub(crate) fn parse_integer(text: &[u8], (least, greatest): (i64, i64)) -> Option<i64> {
    let text = trim(text);
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
    let fraction = digits.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = 0_i64;
    for digit in &digits[..point] {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    (least..=greatest).contains(&value).then_some(value)
}

/// Without the characters up to the blank at both ends, as Java's `trim`.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|b| *b > b' ').unwrap_or(text.len());
    let to = text.iter().rposition(|b| *b > b' ').map_or(from, |at| at + 1);
    &text[from..to]
}

/// As Java's `Double.parseDouble` but for hexadecimal numbers, which are refused.
pub(crate) fn parse_double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(trim(text)).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => {}
    }
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let last = number.bytes().last()?;
    if !(last.is_ascii_digit() || last == b'.')
        || number.bytes().any(|b| b.is_ascii_alphabetic() && !b"eE".contains(&b))
    {
        return None;
    }
    number.parse().ok()
}

/// `true`, `t`, `yes`, `y`, `1` and their opposites, in any case.
pub(crate) fn parse_boolean(text: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// As Java's `Double.toString`: `1.0`, `1.0E10`, `1.0E-5`.
pub(crate) fn write_double(value: f64, out: &mut Vec<u8>) {
    write_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &format!("{:e}", value.abs()), out);
}

/// As Java's `Float.toString`.
pub(crate) fn write_single(value: f32, out: &mut Vec<u8>) {
    write_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &format!("{:e}", value.abs()), out);
}

/// `shortest` is Rust's `1.2345e-7`: the shortest digits that read back the same.
fn write_float(nan: bool, infinite: bool, negative: bool, shortest: &str, out: &mut Vec<u8>) {
    if nan {
        out.extend_from_slice(b"NaN");
        return;
    }
    if negative {
        out.push(b'-');
    }
    if infinite {
        out.extend_from_slice(b"Infinity");
        return;
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let zeros = |out: &mut Vec<u8>, n: usize| out.extend(std::iter::repeat_n(b'0', n));
    let fraction = |out: &mut Vec<u8>, digits: &[u8]| {
        out.push(b'.');
        out.extend_from_slice(if digits.is_empty() { b"0" } else { digits });
    };
    match exponent {
        0..=6 => {
            let whole = exponent as usize + 1;
            let shown = whole.min(digits.len());
            out.extend_from_slice(&digits[..shown]);
            zeros(out, whole - shown);
            fraction(out, &digits[shown..]);
        }
        -3..=-1 if digits != b"0" => {
            out.extend_from_slice(b"0.");
            zeros(out, (-exponent - 1) as usize);
            out.extend_from_slice(&digits);
        }
        _ => {
            out.extend_from_slice(&digits[..1]);
            fraction(out, &digits[1..]);
            out.push(b'E');
            out.extend_from_slice(exponent.to_string().as_bytes());
        }
    }
}

/// Truncated, or for CHAR padded with blanks, to a length in characters.
pub(crate) fn fit(text: &str, length: u32, pad: bool, out: &mut Vec<u8>) {
    let length = length as usize;
    // Bytes are at least as many as characters: most texts need no counting.
    if text.len() <= length && !pad {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    match text.char_indices().nth(length) {
        Some((end, _)) => out.extend_from_slice(&text.as_bytes()[..end]),
        None => {
            out.extend_from_slice(text.as_bytes());
            if pad {
                out.extend(std::iter::repeat_n(b' ', length - text.chars().count()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        let written = |value: f64| {
            let mut out = Vec::new();
            write_double(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        let answers = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.5, "100.5"),
            (1_234_567.0, "1234567.0"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (123_456_789.0, "1.23456789E8"),
            (0.001, "0.001"),
            (0.00123, "0.00123"),
            (0.000_1, "1.0E-4"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
        ];
        for (value, answer) in answers {
            assert_eq!(written(value), answer);
        }
    }
}
