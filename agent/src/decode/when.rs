//! Reads an event's time from a JSON value.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

/// Milliseconds since 1970. `formats` (strftime) are tried in order; with none, RFC 3339 (a time without zone
/// is UTC), else a number of seconds or milliseconds. `None`: it is no time.
pub(crate) fn parse(value: &RawValue, formats: &[String]) -> Option<i64> {
    let text = value.get();
    let string: std::borrow::Cow<'_, str> =
        if text.starts_with('"') { serde_json::from_str(text).ok()? } else { text.into() };
    parse_text(&string, formats)
}

/// As [`parse`], of a text.
pub(crate) fn parse_text(text: &str, formats: &[String]) -> Option<i64> {
    let string = text.trim();
    if formats.is_empty() {
        return standard(string).or_else(|| epoch(string));
    }
    formats.iter().find_map(|format| {
        let parsed = strtime::parse(format, string).ok()?;
        match parsed.to_timestamp() {
            Ok(at) => Some(at.as_millisecond()),
            Err(_) => utc(parsed.to_datetime().ok()?),
        }
    })
}

/// What [`parse`] takes, in words.
pub(crate) fn expected(formats: &[String]) -> String {
    match formats {
        [] => "RFC 3339, or seconds or milliseconds since 1970".to_owned(),
        formats => formats.join(" or "),
    }
}

fn standard(text: &str) -> Option<i64> {
    // Cheap refusal of what is surely no date, since plain numbers come here as well.
    if !text.get(..5).is_some_and(|year| year.ends_with('-')) {
        return None;
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => Some(at.as_millisecond()),
        Err(_) => utc(text.parse().ok()?),
    }
}

fn utc(at: DateTime) -> Option<i64> {
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Seconds (up to the year 5138) or, when larger, milliseconds.
fn epoch(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let ms = if number < 1e11 { number * 1000.0 } else { number };
    (ms < 1e15).then_some(ms as i64)
}
