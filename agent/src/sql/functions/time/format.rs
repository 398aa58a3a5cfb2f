//! Patterns of dates and times as in Java (`yyyy-MM-dd'T'HH:mm:ss.SSS`): compiled once, then written and read by.
//! English names; letters that are not known are refused by name.

use crate::sql::calendar::{self, Civil, DAY, HOUR, MINUTE, SECOND};

/// Which of Java's two readers is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `DateTimeFormatter`: numbers have just the digits of the pattern, the whole text must fit.
    Exact,
    /// `SimpleDateFormat`: any number of digits, fields may overflow, what follows the pattern is ignored.
    Loose,
}

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    items: Vec<Item>,
    style: Style,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Text(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

/// A moment: local microseconds, and the seconds its zone is ahead of UTC with the zone's name, where there is one.
pub(super) struct Moment<'a> {
    pub(super) local: i64,
    pub(super) zone: Option<(i64, &'a str)>,
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
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const LETTERS: &str = "yuYMLdDEecaHhKkmsSnNAQqwWGzZXxVO";

impl Pattern {
    /// The error names the letter.
    pub(super) fn new(text: &str, style: Style) -> Result<Pattern, String> {
        let mut items: Vec<Item> = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\'' => {
                    let mut literal = String::new();
                    if rest.next_if_eq(&'\'').is_some() {
                        literal.push('\'');
                    } else {
                        loop {
                            match rest.next() {
                                None => return Err(format!("the pattern '{text}' has a quote that does not end")),
                                Some('\'') if rest.next_if_eq(&'\'').is_some() => literal.push('\''),
                                Some('\'') => break,
                                Some(c) => literal.push(c),
                            }
                        }
                    }
                    items.push(Item::Text(literal));
                }
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while rest.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if !LETTERS.contains(c) || count > 19 {
                        let letters = c.to_string().repeat(count.min(20));
                        return Err(format!("the pattern '{text}' has the letter {letters}, which is not supported"));
                    }
                    items.push(Item::Field(c, count));
                }
                '[' | ']' | '{' | '}' | '#' if style == Style::Exact => {
                    return Err(format!("the pattern '{text}' has the sign {c}, which is not supported"));
                }
                c => items.push(Item::Text(c.to_string())),
            }
        }
        Ok(Pattern { items, style })
    }

    /// `None`: a field needs a zone and there is none.
    pub(super) fn write(&self, at: &Moment<'_>, out: &mut Vec<u8>) -> Option<()> {
        let day = at.local.div_euclid(DAY);
        let date = calendar::civil(day);
        for item in &self.items {
            match item {
                Item::Text(text) => out.extend_from_slice(text.as_bytes()),
                Item::Field(letter @ ('z' | 'Z' | 'X' | 'x' | 'V' | 'O'), count) => {
                    let (offset, name) = at.zone?;
                    write_zone(*letter, *count, offset, name, out);
                }
                Item::Field(letter @ ('H' | 'h' | 'K' | 'k' | 'm' | 's' | 'S' | 'n' | 'N' | 'A' | 'a'), count) => {
                    write_clock(*letter, *count, at.local.rem_euclid(DAY), self.style, out);
                }
                Item::Field(letter, count) => write_date(*letter, *count, day, date, out),
            }
        }
        Some(())
    }

    /// `None`: the text is not of this pattern.
    pub(super) fn read(&self, text: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let mut rest = text;
        for (i, item) in self.items.iter().enumerate() {
            match item {
                Item::Text(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Item::Field(letter, count) => {
                    let adjacent = matches!(self.items.get(i + 1), Some(Item::Field(next, n)) if is_number(*next, *n));
                    rest = fields.read(*letter, *count, adjacent, self.style, rest)?;
                }
            }
        }
        (self.style == Style::Loose || rest.is_empty()).then_some(fields)
    }
}

fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'E' | 'a' | 'G' | 'z' | 'Z' | 'X' | 'x' | 'V' | 'O' => false,
        'M' | 'L' => count <= 2,
        _ => true,
    }
}

fn number(value: i64, width: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{value:0width$}").as_bytes());
}

/// US weeks begin on Sunday, the first is the one with 1 January: week and its year.
fn us_week(day: i64, date: Civil) -> (i64, i64) {
    let weekday = calendar::iso_weekday(day) % 7;
    let saturday = calendar::civil(day - weekday + 6);
    if saturday.year > date.year {
        return (1, saturday.year);
    }
    let first = calendar::days(Civil { year: date.year, month: 1, day: 1 });
    let before = calendar::iso_weekday(first) % 7;
    ((day - first + before) / 7 + 1, date.year)
}

fn write_date(letter: char, count: usize, day: i64, date: Civil, out: &mut Vec<u8>) {
    let weekday = calendar::iso_weekday(day);
    let name = |names: &[&str], at: i64, out: &mut Vec<u8>| {
        let full = names.get(at as usize).copied().unwrap_or_default();
        let shown = match count {
            5 => &full[..1],
            4 => full,
            _ => &full[..3],
        };
        out.extend_from_slice(shown.as_bytes());
    };
    match letter {
        'y' | 'u' if count == 2 => number(date.year.rem_euclid(100), 2, out),
        'y' | 'u' => number(date.year, count, out),
        'Y' => {
            let (_, year) = us_week(day, date);
            number(if count == 2 { year.rem_euclid(100) } else { year }, count, out);
        }
        'M' | 'L' if count > 2 => name(&MONTHS, date.month - 1, out),
        'M' | 'L' => number(date.month, count, out),
        'd' => number(date.day, count, out),
        'D' => number(calendar::day_of_year(date), count, out),
        'E' => name(&WEEKDAYS, weekday - 1, out),
        'e' | 'c' if count > 2 => name(&WEEKDAYS, weekday - 1, out),
        'e' | 'c' => number(weekday % 7 + 1, count, out),
        'w' => number(us_week(day, date).0, count, out),
        'W' => {
            let first = calendar::iso_weekday(day - date.day + 1) % 7;
            number((date.day - 1 + first) / 7 + 1, count, out);
        }
        'Q' | 'q' => {
            let quarter = (date.month + 2) / 3;
            match count {
                1 | 2 => number(quarter, count, out),
                3 => out.extend_from_slice(format!("Q{quarter}").as_bytes()),
                _ => {
                    let ordinal = ["1st", "2nd", "3rd", "4th"].get(quarter as usize - 1).copied().unwrap_or_default();
                    out.extend_from_slice(format!("{ordinal} quarter").as_bytes());
                }
            }
        }
        'G' => out.extend_from_slice(if date.year > 0 { b"AD" } else { b"BC" }),
        _ => {}
    }
}

fn write_clock(letter: char, count: usize, micros: i64, style: Style, out: &mut Vec<u8>) {
    let hour = micros / HOUR;
    match letter {
        'H' => number(hour, count, out),
        'k' => number(if hour == 0 { 24 } else { hour }, count, out),
        'K' => number(hour % 12, count, out),
        'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }, count, out),
        'm' => number(micros / MINUTE % 60, count, out),
        's' => number(micros / SECOND % 60, count, out),
        'S' if style == Style::Loose => number(micros % SECOND / 1000, count, out),
        'S' => {
            let digits = format!("{:06}000", micros % SECOND);
            out.extend_from_slice(&digits.as_bytes()[..count.min(9)]);
        }
        'n' => number(micros % SECOND * 1000, count, out),
        'N' => number(micros * 1000, count, out),
        'A' => number(micros / 1000, count, out),
        _ => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
    }
}

/// `offset` in seconds.
fn write_zone(letter: char, count: usize, offset: i64, name: &str, out: &mut Vec<u8>) {
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    let text = match letter {
        'V' | 'z' => name.to_owned(),
        'X' if offset == 0 => "Z".to_owned(),
        'O' if offset == 0 => "GMT".to_owned(),
        'O' if minutes == 0 && count < 4 => format!("GMT{sign}{hours}"),
        'O' => format!("GMT{sign}{hours:02}:{minutes:02}"),
        'X' | 'x' if count == 1 && minutes == 0 => format!("{sign}{hours:02}"),
        'X' | 'x' if count == 3 || count == 5 => format!("{sign}{hours:02}:{minutes:02}"),
        'Z' if count == 5 => {
            if offset == 0 {
                "Z".to_owned()
            } else {
                format!("{sign}{hours:02}:{minutes:02}")
            }
        }
        'Z' if count == 4 => format!("GMT{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}{minutes:02}"),
    };
    out.extend_from_slice(text.as_bytes());
}

/// What was read; what a text did not say is that of 1970-01-01 00:00.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: Option<i64>,
    minute: i64,
    second: i64,
    micros: i64,
    /// Of the half day: 0 to 11.
    half_hour: Option<i64>,
    afternoon: bool,
    /// Seconds ahead of UTC.
    pub(super) offset: Option<i64>,
}

impl Fields {
    /// Reads one field; what is left of the text.
    fn read<'a>(&mut self, letter: char, count: usize, adjacent: bool, style: Style, text: &'a str) -> Option<&'a str> {
        let text = if style == Style::Loose { text.trim_start_matches([' ', '\t']) } else { text };
        if !is_number(letter, count) {
            return self.read_name(letter, count, text);
        }
        let (value, digits, rest) = take_number(text, letter, count, adjacent, style)?;
        match letter {
            'y' | 'u' if count == 2 && digits == 2 => {
                // Within 80 years before and 20 after now for Java; now is not asked here.
                self.year = Some(2000 + value - if style == Style::Loose && value > 46 { 100 } else { 0 });
            }
            'y' | 'u' => self.year = Some(value),
            'M' | 'L' => self.month = Some(value),
            'd' => self.day = Some(value),
            'D' => self.day_of_year = Some(value),
            'H' => self.hour = Some(value),
            'k' => self.hour = Some(value % 24),
            'h' => self.half_hour = Some(value % 12),
            'K' => self.half_hour = Some(value),
            'm' => self.minute = value,
            's' => self.second = value,
            'S' if style == Style::Loose => self.micros = value.checked_mul(1000)?,
            'S' => {
                let six = format!("{value:0digits$}000000");
                self.micros = six[..6].parse().ok()?;
            }
            _ => return None,
        }
        let right = match letter {
            'M' | 'L' => (1..=12).contains(&value),
            'd' => (1..=31).contains(&value),
            'H' => (0..=24).contains(&value),
            'h' => (1..=12).contains(&value),
            'K' => (0..=11).contains(&value),
            'm' | 's' => (0..=59).contains(&value),
            _ => true,
        };
        (right || style == Style::Loose).then_some(rest)
    }

    fn read_name<'a>(&mut self, letter: char, count: usize, text: &'a str) -> Option<&'a str> {
        let named = |names: &[&str]| {
            names.iter().enumerate().find_map(|(at, full)| {
                let name = if count >= 4 { full } else { &full[..3] };
                let head = text.get(..name.len())?;
                head.eq_ignore_ascii_case(name).then(|| (at as i64, &text[name.len()..]))
            })
        };
        match letter {
            'M' | 'L' => {
                let (at, rest) = named(&MONTHS)?;
                self.month = Some(at + 1);
                Some(rest)
            }
            'E' => named(&WEEKDAYS).map(|(_, rest)| rest),
            'a' => {
                let head = text.get(..2)?;
                self.afternoon = head.eq_ignore_ascii_case("PM");
                (self.afternoon || head.eq_ignore_ascii_case("AM")).then(|| &text[2..])
            }
            'Z' | 'X' | 'x' => {
                let (offset, rest) = take_offset(text)?;
                self.offset = Some(offset);
                Some(rest)
            }
            _ => None,
        }
    }

    /// Local microseconds. Days that a month lacks: its last (`Exact`), or days of the next one (`Loose`).
    pub(super) fn local(&self, style: Style) -> Option<i64> {
        let hour = match (self.hour, self.half_hour) {
            (Some(hour), _) => hour,
            (None, Some(half)) => half + if self.afternoon { 12 } else { 0 },
            (None, None) => 0,
        };
        let year = self.year.unwrap_or(1970);
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if year.abs() > 300_000 || month.abs() > 100_000 || day.abs() > 10_000_000 || hour.abs() > 1_000_000_000 {
            return None;
        }
        let first = match self.day_of_year {
            Some(of_year) => calendar::days(Civil { year, month: 1, day: 1 }) + of_year.clamp(-1000, 1_000_000) - 1,
            None if style == Style::Loose => {
                calendar::add_months(calendar::days(Civil { year, month: 1, day: 1 }), month - 1) + day - 1
            }
            None => calendar::days(Civil { year, month, day: day.min(calendar::days_in_month(year, month)) }),
        };
        if style == Style::Exact && hour == 24 && (self.minute, self.second, self.micros) != (0, 0, 0) {
            return None;
        }
        let clock = hour.checked_mul(HOUR)?.checked_add(self.minute.checked_mul(MINUTE)?)?;
        let clock = clock.checked_add(self.second.checked_mul(SECOND)?)?.checked_add(self.micros)?;
        first.checked_mul(DAY)?.checked_add(clock)
    }
}

/// A number, how many digits it has, and what is left.
fn take_number(text: &str, letter: char, count: usize, adjacent: bool, style: Style) -> Option<(i64, usize, &str)> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) if style == Style::Loose => (true, rest),
        _ => (false, text),
    };
    let there = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let fixed =
        adjacent || (style == Style::Exact && (count == 2 || matches!(letter, 'S') || (count > 1 && count != 4)));
    let taken = if fixed { count } else { there.min(18) };
    let least = if style == Style::Exact && !fixed { count } else { 1 };
    if there < taken
        || taken < least
        || (fixed && style == Style::Exact && !adjacent && letter != 'S' && there > taken && letter != 'y')
    {
        return None;
    }
    let value: i64 = unsigned.get(..taken)?.parse().ok()?;
    Some((if negative { -value } else { value }, taken, &unsigned[taken..]))
}

/// `Z`, `+08`, `+0800`, `+08:00`.
fn take_offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((0, rest));
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |text: &str| -> Option<i64> {
        let digits = text.get(..2)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let hours = two(&text[1..])?;
    let rest = &text[3..];
    let behind = rest.strip_prefix(':').unwrap_or(rest);
    match two(behind) {
        Some(minutes) if hours <= 18 && minutes < 60 => Some((sign * (hours * 3600 + minutes * 60), &behind[2..])),
        _ => (hours <= 18).then_some((sign * hours * 3600, rest)),
    }
}
