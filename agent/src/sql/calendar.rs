//! The calendar: days and microseconds to years, months and days and back, and between UTC and a time zone.
//! Proleptic Gregorian as in `java.time`; years 0 to 9999 are what SQL texts can say.

use jiff::tz::TimeZone;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Microseconds that jiff can place in a zone; times outside are NULL wherever a zone is involved.
const PLACEABLE: i64 = 253_402_207_200 * SECOND;

/// A date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
}

/// Days since 1970-01-01 to a date (Howard Hinnant's `civil_from_days`).
pub(crate) fn civil(days: i64) -> Civil {
    let days = days.clamp(-4_000_000_000, 4_000_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

/// A date to days since 1970-01-01; month and day must be right, the year of a sane size.
pub(crate) fn days(date: Civil) -> i64 {
    let year = date.year.clamp(-10_000_000, 10_000_000) - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if date.month > 2 { date.month - 3 } else { date.month + 9 };
    let of_year = (153 * shifted + 2) / 5 + date.day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

pub(crate) fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days of a date, if there is such a date in the years 0 to 9999.
pub(crate) fn checked_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let right = (0..=9999).contains(&year) && (1..=12).contains(&month);
    (right && (1..=days_in_month(year, month)).contains(&day)).then(|| days(Civil { year, month, day }))
}

/// From 1 to 366.
pub(crate) fn day_of_year(date: Civil) -> i64 {
    days(date) - days(Civil { year: date.year, month: 1, day: 1 }) + 1
}

/// Monday is 1, Sunday 7.
pub(crate) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The ISO year and week of a day.
pub(crate) fn iso_week(day: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday.
    let thursday = day - iso_weekday(day) + 4;
    let date = civil(thursday);
    (date.year, (day_of_year(date) - 1) / 7 + 1)
}

/// A date some months on: the day is the month's last if it has no such day.
pub(crate) fn add_months(day: i64, months: i64) -> i64 {
    let date = civil(day);
    let month = date.year * 12 + date.month - 1 + months.clamp(-10_000_000, 10_000_000);
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    days(Civil { year, month, day: date.day.min(days_in_month(year, month)) })
}

/// Microseconds of a zone's clock to microseconds in UTC; in a gap the time after it, in an overlap the first.
pub(crate) fn to_utc(local: i64, zone: &TimeZone) -> Option<i64> {
    if *zone == TimeZone::UTC {
        return Some(local);
    }
    Some(ambiguous(local, zone)?.compatible().ok()?.as_microsecond())
}

/// The same, but in an overlap the second, as Java's `SimpleDateFormat` has it.
pub(crate) fn to_utc_late(local: i64, zone: &TimeZone) -> Option<i64> {
    if *zone == TimeZone::UTC {
        return Some(local);
    }
    Some(ambiguous(local, zone)?.later().ok()?.as_microsecond())
}

fn ambiguous(local: i64, zone: &TimeZone) -> Option<jiff::tz::AmbiguousTimestamp> {
    if local.unsigned_abs() > PLACEABLE.unsigned_abs() {
        return None;
    }
    let at = jiff::Timestamp::from_microsecond(local).ok()?;
    Some(zone.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(at)))
}

/// Microseconds in UTC to microseconds of a zone's clock.
pub(crate) fn to_local(utc: i64, zone: &TimeZone) -> Option<i64> {
    if *zone == TimeZone::UTC {
        return Some(utc);
    }
    utc.checked_add(offset(utc, zone)? * SECOND)
}

/// Seconds that a zone's clock is ahead of UTC.
pub(crate) fn offset(utc: i64, zone: &TimeZone) -> Option<i64> {
    if *zone == TimeZone::UTC {
        return Some(0);
    }
    if utc.unsigned_abs() > PLACEABLE.unsigned_abs() {
        return None;
    }
    let at = jiff::Timestamp::from_microsecond(utc).ok()?;
    Some(zone.to_offset(at).seconds().into())
}

/// `yyyy-MM-dd`; also with one digit for month and day, without day, without month, with a time behind it.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let date = match text.find(' ') {
        Some(at) if at > 0 => &text[..at],
        _ => text,
    };
    let mut parts = date.splitn(3, '-').map(|part| number(part.trim()));
    let year = parts.next()??;
    let month = parts.next().unwrap_or(Some(1))?;
    let day = parts.next().unwrap_or(Some(1))?;
    checked_days(year, month, day)
}

fn number(text: &str) -> Option<i64> {
    let right = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if right { text.parse().ok() } else { None }
}

/// `HH[:mm[:ss[.fraction]]]` as microseconds since midnight.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut parts = clock.splitn(3, ':').map(|part| number(part.trim()));
    let hour = parts.next()??;
    let minute = parts.next().unwrap_or(Some(0))?;
    let second = parts.next().unwrap_or(Some(0))?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(hour * HOUR + minute * MINUTE + second * SECOND + parse_fraction(fraction)?)
}

/// Digits behind a point as microseconds, cut off; at most nine.
fn parse_fraction(digits: &str) -> Option<i64> {
    if digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let six = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some(six.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `yyyy-M-d[ H:m:s[.fraction]]` as microseconds. A day up to 31 that its month lacks is the month's last.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-').map(|part| number(part).map(|value| (value, part.len())));
    let ((year, 4), (month, 1..=2), (day, 1..=2)) = (parts.next()??, parts.next()??, parts.next()??) else {
        return None;
    };
    if parts.next().is_some() || !(1..=12).contains(&month) || day > 31 {
        return None;
    }
    let from = checked_days(year, month, day.min(days_in_month(year, month)))? * DAY;
    let Some(time) = time else { return Some(from) };
    let narrow = time.split('.').next()?.split(':').all(|part| (1..=2).contains(&part.len()));
    let right = narrow && time.bytes().filter(|b| *b == b':').count() == 2 && !time.contains(' ');
    if right { Some(from + parse_time(time)?) } else { None }
}

fn push_padded(value: i64, width: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{value:0width$}").as_bytes());
}

fn push_two(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

/// `2026-11-21`.
pub(crate) fn write_date(day: i64, out: &mut Vec<u8>) {
    let date = civil(day);
    push_padded(date.year, 4, out);
    out.push(b'-');
    push_two(date.month, out);
    out.push(b'-');
    push_two(date.day, out);
}

/// `08:01:00` and `precision` digits of a second, of microseconds since midnight.
pub(crate) fn write_time(micros: i64, precision: u8, out: &mut Vec<u8>) {
    let micros = micros.rem_euclid(DAY);
    push_two(micros / HOUR, out);
    out.push(b':');
    push_two(micros / MINUTE % 60, out);
    out.push(b':');
    push_two(micros / SECOND % 60, out);
    let precision = precision.min(6);
    if precision > 0 {
        out.push(b'.');
        let shown = micros % SECOND / 10_i64.pow(6 - u32::from(precision));
        push_padded(shown, precision.into(), out);
    }
}

/// `2026-11-21 08:01:00.000`.
pub(crate) fn write_timestamp(micros: i64, precision: u8, out: &mut Vec<u8>) {
    write_date(micros.div_euclid(DAY), out);
    out.push(b' ');
    write_time(micros.rem_euclid(DAY), precision, out);
}

/// Cut down to a number of fraction digits.
pub(crate) fn truncate(micros: i64, precision: u8) -> i64 {
    let unit = 10_i64.pow(6 - u32::from(precision.min(6)));
    micros.div_euclid(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_comes_back() {
        let mut last = Civil { year: -1, month: 12, day: 31 };
        for day in days(Civil { year: 0, month: 1, day: 1 })..=days(Civil { year: 9999, month: 12, day: 31 }) {
            let date = civil(day);
            assert_eq!(days(date), day);
            assert!((date.year, date.month, date.day) > (last.year, last.month, last.day));
            last = date;
        }
    }

    #[test]
    fn iso_weeks_belong_to_the_year_of_their_thursday() {
        let of = |year, month, day| iso_week(days(Civil { year, month, day }));
        assert_eq!(of(2021, 1, 3), (2020, 53));
        assert_eq!(of(2021, 1, 4), (2021, 1));
        assert_eq!(of(2024, 12, 30), (2025, 1));
    }
}
