//! Java's date patterns (`yyyy-MM-dd`), for index names.
//!
//! Letters: `y u Y M L d D H h K k m s S a E Q q w W`, text in quotes, everything else as it is. Names are English,
//! weeks begin on Sunday and the first one has a day of its year or month, as Java has it in the United States.
//! Another letter makes the pattern one that fills nothing.

use jiff::civil::DateTime;

/// A pattern, cut into runs of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// `None`: it has a letter that means nothing here.
    parts: Option<Vec<Part>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Letter(char, usize),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Pattern {
    pub(super) fn new(pattern: &str) -> Pattern {
        Pattern { parts: cut(pattern) }
    }

    /// Appends the time in this pattern's form. `None`: the pattern is not known here; something may be appended.
    pub(super) fn push(&self, at: DateTime, out: &mut String) -> Option<()> {
        for part in self.parts.as_ref()? {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Letter(letter, count) => push_letter(*letter, *count, at, out)?,
            }
        }
        Some(())
    }
}

fn cut(pattern: &str) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let mut text = String::new();
                // two quotes are one, outside and inside
                if chars.next_if_eq(&'\'').is_some() {
                    text.push('\'');
                } else {
                    loop {
                        match chars.next()? {
                            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                            '\'' => break,
                            other => text.push(other),
                        }
                    }
                }
                parts.push(Part::Text(text));
            }
            'a'..='z' | 'A'..='Z' => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                parts.push(Part::Letter(c, count));
            }
            '[' | ']' | '{' | '}' | '#' => return None,
            other => parts.push(Part::Text(other.to_string())),
        }
    }
    let known = |part: &Part| match part {
        Part::Letter(letter, _) => "yuYMLdDHhKkmsSaEQqwW".contains(*letter),
        Part::Text(_) => true,
    };
    parts.iter().all(known).then_some(parts)
}

fn push_letter(letter: char, count: usize, at: DateTime, out: &mut String) -> Option<()> {
    let number = match letter {
        'y' | 'u' | 'Y' => {
            let year = if letter == 'Y' { week_of_year(at).0 } else { i64::from(at.year()) };
            let shown = if count == 2 { year.rem_euclid(100) } else { year };
            push_padded(shown, count, out);
            return Some(());
        }
        'M' | 'L' => {
            let name = MONTHS.get(usize::try_from(at.month() - 1).ok()?)?;
            return push_name(name, i64::from(at.month()), count, out);
        }
        'E' => {
            let name = DAYS.get(usize::try_from(weekday(at)).ok()?)?;
            out.push_str(if count == 4 { name } else { name.get(..3)? });
            return Some(());
        }
        'S' => {
            let digits = format!("{:09}", at.subsec_nanosecond());
            out.push_str(digits.get(..count.min(9))?);
            return Some(());
        }
        'a' => {
            out.push_str(if at.hour() < 12 { "AM" } else { "PM" });
            return Some(());
        }
        'd' => i64::from(at.day()),
        'D' => i64::from(at.date().day_of_year()),
        'H' => i64::from(at.hour()),
        'k' => i64::from((at.hour() + 23) % 24 + 1),
        'K' => i64::from(at.hour() % 12),
        'h' => i64::from((at.hour() + 11) % 12 + 1),
        'm' => i64::from(at.minute()),
        's' => i64::from(at.second()),
        'Q' | 'q' => i64::from((at.month() - 1) / 3 + 1),
        'w' => week_of_year(at).1,
        'W' => (i64::from(at.day()) + (weekday(at) - i64::from(at.day() - 1)).rem_euclid(7) - 1) / 7 + 1,
        _ => return None,
    };
    push_padded(number, count, out);
    Some(())
}

/// One or two letters are the number, three the short name, four the long one.
fn push_name(name: &str, number: i64, count: usize, out: &mut String) -> Option<()> {
    match count {
        1 | 2 => push_padded(number, count, out),
        3 => out.push_str(name.get(..3)?),
        _ => out.push_str(name),
    }
    Some(())
}

fn push_padded(number: i64, width: usize, out: &mut String) {
    out.push_str(&format!("{number:0width$}", width = width.min(20)));
}

/// Sunday is 0.
fn weekday(at: DateTime) -> i64 {
    at.weekday().to_sunday_zero_offset().into()
}

/// The year that a time's week belongs to, and the week's number in it: the week of 1 January is the first.
fn week_of_year(at: DateTime) -> (i64, i64) {
    let of_year = i64::from(at.date().day_of_year());
    let days = i64::from(at.date().days_in_year());
    let saturday = of_year + 6 - weekday(at);
    if saturday > days {
        return (i64::from(at.year()) + 1, 1);
    }
    (i64::from(at.year()), (saturday + 6) / 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_filled_as_java_fills_them() {
        let at = jiff::civil::datetime(2026, 11, 21, 15, 1, 9, 123_456_000);
        for (pattern, expected) in [
            ("yyyy-MM-dd", "2026-11-21"),
            ("yyyyMMdd", "20261121"),
            ("yy.M.d", "26.11.21"),
            ("yyyy'W'ww''", "2026W47'"),
            ("YYYY.w", "2026.47"),
            ("yyyyMMW", "2026113"),
            ("HH:mm:ss.SSS", "15:01:09.123"),
            ("h a k K", "3 PM 15 3"),
            ("E EEEE MMM MMMM", "Sat Saturday Nov November"),
            ("DDD Q", "325 4"),
            ("'it''s'", "it's"),
        ] {
            let mut out = String::new();
            assert_eq!(Pattern::new(pattern).push(at, &mut out), Some(()), "{pattern}");
            assert_eq!(out, expected, "{pattern}");
        }
        for pattern in ["yyyyX", "[yyyy]", "'open"] {
            assert_eq!(Pattern::new(pattern).push(at, &mut String::new()), None, "{pattern}");
        }
    }

    #[test]
    fn a_week_at_the_turn_of_the_year_belongs_to_the_next() {
        let week = |year, month, day| week_of_year(jiff::civil::datetime(year, month, day, 0, 0, 0, 0));
        assert_eq!(week(2026, 12, 26), (2026, 52));
        assert_eq!(week(2026, 12, 27), (2027, 1));
        assert_eq!(week(2027, 1, 2), (2027, 1));
        assert_eq!(week(2027, 1, 3), (2027, 2));
        assert_eq!(week(2022, 1, 1), (2022, 1));
    }
}
