//! Numbers as a person reads them, the same in what the agent and what `splashctl` print.
//!
//! Pure, and no part of what goes over the socket: there numbers are numbers.

use crate::types::Connections;

/// `1,234,567`
pub fn count(number: u64) -> String {
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
pub fn bytes(number: u64) -> String {
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

/// `1 job`, `2 jobs`
pub fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// What became of each connection that was tried. `paint` is given each verdict, and whether it is a good one.
pub fn connections_in_words(tested: &Connections, paint: impl Fn(&str, bool) -> String) -> String {
    if tested.connections.is_empty() {
        return format!("{} connects to nothing\n", tested.name);
    }
    let mut text = String::new();
    for one in &tested.connections {
        text.push_str(&format!("{}\n    ", harmless(&one.what)));
        if one.connectable {
            text.push_str(&paint("Connectable", true));
        } else {
            let (step, reason) = (one.step.as_deref().unwrap_or("?"), one.reason.as_deref().unwrap_or("?"));
            text.push_str(&paint("Not connectable", false));
            text.push_str(&format!(" ({step}): {}", harmless(reason)));
        }
        let found: String = one.found.iter().map(|line| format!("\n    {}", harmless(line))).collect();
        text.push_str(&found);
        text.push('\n');
    }
    text
}

/// What somebody else wrote must not steer a terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
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
        assert_eq!([plural(0, "job"), plural(1, "job"), plural(2000, "job")], ["0 jobs", "1 job", "2,000 jobs"]);
    }
}
