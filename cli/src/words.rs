//! Times as a person reads them. (Numbers are in `splashdam_api::words`, which the agent uses as well.)

use std::time::{Duration, SystemTime};

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

#[cfg(test)]
mod tests {
    use super::*;

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
