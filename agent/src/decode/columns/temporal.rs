//! Dates and times in texts, as Flink's formats take them. Years have four digits. `None`: it is none.

use crate::record::Type;
use crate::record::print::days;

const DAY_MICROS: i64 = 86_400_000_000;

/// `2026-11-21`, a day that exists.
pub(super) fn date(text: &str) -> Option<i64> {
    let (year, month, day) = ymd(text)?;
    (day <= last_day(year, month)).then(|| days(year, month, day))
}

/// `2026-11-21` or `2026-1-2`; a day beyond the month's end counts on (`java.sql.Date.valueOf`).
pub(super) fn lenient_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|part| part.len() == 4)?;
    let month = parts.next().filter(|part| matches!(part.len(), 1 | 2))?;
    let day = parts.next().filter(|part| matches!(part.len(), 1 | 2))?;
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| days(year, month, day))
}

/// `08:01:00` with up to nine digits of a fraction; microseconds since midnight.
pub(super) fn time(text: &str) -> Option<i64> {
    clock(text, false).filter(|micros| *micros < DAY_MICROS)
}

/// As [`time`], and without seconds too.
pub(super) fn iso_time(text: &str) -> Option<i64> {
    clock(text, true).filter(|micros| *micros < DAY_MICROS)
}

/// `2026-11-21 08:01:00[.…]`; microseconds since 1970. As in Java the 31st of a shorter month is its last day, and
/// 24:00:00 is the next midnight.
pub(super) fn sql_timestamp(text: &str) -> Option<i64> {
    let (year, month, day) = ymd(text.get(..10)?)?;
    let clock = clock(text.get(10..)?.strip_prefix(' ')?, false)?;
    Some(days(year, month, day.min(last_day(year, month))) * DAY_MICROS + clock)
}

/// `2026-11-21T08:01[:00[.…]]`.
pub(super) fn iso_timestamp(text: &str) -> Option<i64> {
    let clock = iso_time(text.get(10..)?.strip_prefix(['T', 't'])?)?;
    Some(date(text.get(..10)?)? * DAY_MICROS + clock)
}

/// What a table must say for `text`, which looks like a time, to be read as one. `iso`: json's standard is ISO-8601;
/// `None`: csv, which has but one.
pub(super) fn hint(ty: &Type, text: &str, iso: Option<bool>) -> Option<String> {
    let zoned = match ty {
        Type::Timestamp(_) => false,
        Type::TimestampLtz(_) => true,
        _ => return None,
    };
    ymd(text.get(..10)?)?;
    let (between, clock) = (text.get(10..11)?, text.get(11..)?);
    let with_t = between.eq_ignore_ascii_case("t");
    let at_utc = clock.ends_with(['Z', 'z']);
    let offset = clock.rfind(['+', '-']).filter(|_| !at_utc);
    if (!with_t && between != " ")
        || self::clock(clock.get(..offset.unwrap_or(clock.len() - usize::from(at_utc)))?, true).is_none()
    {
        return None;
    }
    let mut says = Vec::new();
    match iso {
        Some(false) if with_t => says.push("'json.timestamp-format.standard' = 'ISO-8601' in the table's WITH, for times with a T like 2026-11-21T08:01:00".to_owned()),
        Some(true) if !with_t => says.push("'json.timestamp-format.standard' = 'SQL' in the table's WITH, for times with a blank like 2026-11-21 08:01:00".to_owned()),
        None if with_t => says.push("STRING as its type, and TO_TIMESTAMP(REPLACE(…, 'T', ' ')) in the query: csv takes times like 2026-11-21 08:01:00 only".to_owned()),
        _ => {}
    }
    if offset.is_some() {
        says.push("STRING as its type, and a conversion in the query: only Z is taken for a zone".to_owned());
    } else if at_utc && !zoned {
        says.push("TIMESTAMP_LTZ(3) as its type, for times with a Z".to_owned());
    } else if !at_utc && zoned {
        says.push("TIMESTAMP(3) as its type, for times without a Z".to_owned());
    }
    (!says.is_empty()).then(|| format!("; it needs {}", says.join(", and ")))
}

/// Cuts off what is finer than `precision` digits of a second.
pub(super) fn truncate(micros: i64, precision: u8) -> i64 {
    let unit = 10_i64.pow(u32::from(6_u8.saturating_sub(precision)));
    micros - micros.rem_euclid(unit)
}

fn ymd(text: &str) -> Option<(i64, i64, i64)> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (digits(text.get(..4)?)?, digits(text.get(5..7)?)?, digits(text.get(8..)?)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day))
}

fn last_day(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `HH:mm:ss` with a fraction or without; up to 24:00:00.
fn clock(text: &str, seconds_optional: bool) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (digits(text.get(..2)?)?, digits(text.get(3..5)?)?);
    let (second, fraction) = match bytes.get(5) {
        None if seconds_optional => (0, 0),
        Some(b':') => (digits(text.get(6..8)?)?, fraction(text.get(8..)?)?),
        _ => return None,
    };
    let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    (minute < 60 && second < 60 && micros <= DAY_MICROS).then_some(micros)
}

/// Nothing, or a dot with up to nine digits: microseconds.
fn fraction(text: &str) -> Option<i64> {
    let Some(digits) = text.strip_prefix('.') else { return text.is_empty().then_some(0) };
    if digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digit = |i: usize| digits.as_bytes().get(i).map_or(0, |b| i64::from(b - b'0'));
    Some((0..6).fold(0, |micros, i| micros * 10 + digit(i)))
}

fn digits(text: &str) -> Option<i64> {
    let digit = |number: i64, b: u8| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0'));
    text.bytes().try_fold(0, digit)
}
