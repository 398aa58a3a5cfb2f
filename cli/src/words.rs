//! Numbers and times as a person reads them.

use std::time::{Duration, SystemTime};

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `17 B`, `1.2 MiB`
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    // 1023.96 would be shown as 1024.0
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// How long ago an RFC 3339 time was, in its two largest units; the text itself if it is none.
pub(crate) fn ago(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339_weak(time) {
        Ok(then) => span(now.duration_since(then).unwrap_or_default()),
        Err(_) => time.to_owned(),
    }
}

/// `3 days 4 h`, `5 min`, `12 s`
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".to_owned(),
        (1, _, _) => format!("1 day {hours} h"),
        (_, 0, _) => format!("{days} days"),
        (_, _, _) => format!("{days} days {hours} h"),
    }
}

/// `one thing`, `2 things`
pub(crate) fn plural(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", count(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        for (number, want) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), want);
        }
        for (number, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), want);
        }
    }

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, want) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min"),
            (3_600, "1 h"),
            (3_700, "1 h 1 min"),
            (86_400, "1 day"),
            (90_000, "1 day 1 h"),
            (300_000, "3 days 11 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), want);
        }
        let now = humantime::parse_rfc3339("2026-01-31T12:10:00Z").unwrap();
        assert_eq!(ago("2026-01-31T12:05:00.250Z", now), "4 min");
        assert_eq!(ago("2026-01-31T12:15:00Z", now), "0 s"); // clocks differ
        assert_eq!(ago("yesterday", now), "yesterday");
    }
}
