//! Sizes and durations as people write them. Pure.
//!
//! Sizes: `"64 MiB"` (powers of 1024), `"10MB"` (powers of 1000), `"1.5 GiB"`, `"4096"`, or a plain integer of
//! bytes. `"64M"` is refused, since half of the world means the one and half the other. Durations: `"200ms"`, `"1m 30s"`.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Bytes, or what is wrong with the text, as the end of a sentence.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    let factor = match UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None if matches!(unit, "k" | "K" | "m" | "M" | "g" | "G" | "t" | "T") => {
            let letter = unit.to_ascii_uppercase();
            let small = if letter == "K" { "k" } else { &letter };
            return Err(format!("which is it, \"{number} {small}B\" (1000) or \"{number} {letter}iB\" (1024)?"));
        }
        None => return Err("the units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB".to_owned()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let too_large = || "that is too large".to_owned();
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err("it must begin with a number".to_owned());
    }
    if fraction.len() > 9 {
        return Err("that is too many decimals".to_owned());
    }
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let fraction: u128 = format!("0{fraction}").parse().map_err(|_| too_large())?;
    let factor = u128::from(factor);
    let bytes = whole.checked_mul(factor).ok_or_else(too_large)? + fraction * factor / scale;
    u64::try_from(bytes).map_err(|_| too_large())
}

/// The duration, or what is wrong with the text, as the end of a sentence.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("which unit: \"{text}ms\", \"{text}s\", \"{text}m\"?"));
    }
    humantime::parse_duration(text).map_err(|_| "the units are ms, s, m, h, d, as in \"1m 30s\"".to_owned())
}

/// The shortest exact form: `64 MiB`, `10 MB`, `4097 bytes`.
pub(crate) fn show_size(bytes: u64) -> String {
    let largest = |names: &[&str]| {
        UNITS
            .iter()
            .filter(|(name, factor)| names.contains(name) && *factor > 1 && bytes > 0 && bytes.is_multiple_of(*factor))
            .max_by_key(|(_, factor)| *factor)
            .copied()
    };
    let binary = largest(&["kib", "mib", "gib", "tib"]);
    let decimal = largest(&["mb", "gb", "tb"]);
    let Some((name, factor)) = binary.or(decimal) else { return format!("{bytes} bytes") };
    let name = match name {
        "kib" => "KiB",
        "mib" => "MiB",
        "gib" => "GiB",
        "tib" => "TiB",
        "mb" => "MB",
        "gb" => "GB",
        _ => "TB",
    };
    format!("{} {name}", bytes / factor)
}

pub(crate) fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64 MiB", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("10MB", 10_000_000),
            (" 10 kB ", 10_000),
            ("1.5 GiB", 3 << 29),
            ("1 B", 1),
            ("2 TiB", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_none_is_refused_with_advice() {
        for (text, advice) in [
            ("64M", "which is it, \"64 MB\" (1000) or \"64 MiB\" (1024)?"),
            ("8k", "which is it, \"8 kB\" (1000) or \"8 KiB\" (1024)?"),
            ("", "it must begin with a number"),
            ("MiB", "it must begin with a number"),
            (".5 MiB", "it must begin with a number"),
            ("1. MiB", "it must begin with a number"),
            ("1.2.3 MiB", "it must begin with a number"),
            ("-5 MiB", "the units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("5 bananas", "the units are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
            ("99999999999 TiB", "that is too large"),
            ("340282366920938463463374607431768211456", "that is too large"),
            ("340282366920938463463374607431768211455 TiB", "that is too large"),
            ("1.0000000001 MiB", "that is too many decimals"),
        ] {
            assert_eq!(parse_size(text), Err(advice.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_size_shown_reads_back_as_itself() {
        for bytes in [0, 1, 1000, 1024, 4097, 10_000_000, 64 << 20, 3 << 29, u64::MAX] {
            let shown = show_size(bytes).replace(" bytes", " B");
            assert_eq!(parse_size(&shown), Ok(bytes), "{shown}");
        }
        assert_eq!(show_size(64 << 20), "64 MiB");
        assert_eq!(show_size(10_000_000), "10 MB");
    }

    #[test]
    fn a_duration_without_unit_is_asked_for_its_unit() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_duration("200"), Err("which unit: \"200ms\", \"200s\", \"200m\"?".to_owned()));
        assert_eq!(parse_duration("soon"), Err("the units are ms, s, m, h, d, as in \"1m 30s\"".to_owned()));
    }
}
