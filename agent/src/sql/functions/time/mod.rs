//! Functions of dates and times: patterns, epochs, units, zones, the current time (the record's, out of the context).
//!
//! `EXTRACT(unit FROM t)` is `EXTRACT('unit', t)` here, `FLOOR(t TO unit)` is `FLOOR(t, 'unit')`, and TIMESTAMPADD and
//! TIMESTAMPDIFF have their unit as a text too.

mod fields;
mod format;
mod units;

use super::signature::{Function, f};
use super::{Args, Site, map, rows, texts};
use crate::sql::calendar::{self, DAY, SECOND};
use crate::sql::expr::Kernel;
use format::{Moment, Pattern, Style};

pub(super) use fields::TABLE as FIELDS;

pub(super) const TABLE: &[Function] = &[
    f("NOW", "-> TIMESTAMP_LTZ(3)", |_| Ok(rows(|args| Some(milliseconds(args.now))))),
    f("CURRENT_TIMESTAMP", "-> TIMESTAMP_LTZ(3)", |_| Ok(rows(|args| Some(milliseconds(args.now))))),
    f("CURRENT_ROW_TIMESTAMP", "-> TIMESTAMP_LTZ(3)", |_| Ok(rows(|args| Some(milliseconds(args.now))))),
    f("PROCTIME", "-> TIMESTAMP_LTZ(3)", |_| Ok(rows(|args| Some(milliseconds(args.now))))),
    f("LOCALTIMESTAMP", "-> TIMESTAMP(3)", |_| Ok(rows(|args| calendar::to_local(milliseconds(args.now), args.zone)))),
    f("CURRENT_DATE", "-> DATE", |_| Ok(rows(|args| Some(calendar::to_local(args.now, args.zone)?.div_euclid(DAY))))),
    f("CURRENT_TIME", "-> TIME", |_| Ok(rows(clock))),
    f("LOCALTIME", "-> TIME", |_| Ok(rows(clock))),
    f("UNIX_TIMESTAMP", "-> BIGINT", |_| Ok(rows(|args| Some(args.now.div_euclid(SECOND))))),
    f("UNIX_TIMESTAMP", "STRING [, STRING] -> BIGINT", |site| {
        let pattern = Given::new(site, 1, Style::Loose, SECONDS)?;
        Ok(rows(move |args| Some(pattern.utc(args, 0, 1).map_or(i64::MIN, |at| at.div_euclid(SECOND)))))
    }),
    f("UNIX_TIMESTAMP", "TIMESTAMP_LTZ -> BIGINT", |_| Ok(map(|at: i64| at.div_euclid(SECOND)))),
    f("UNIX_TIMESTAMP", "TIMESTAMP_NTZ -> BIGINT", |_| {
        Ok(rows(|args| Some(calendar::to_utc(args.int(0), args.zone)?.div_euclid(SECOND))))
    }),
    f("FROM_UNIXTIME", "BIGINT [, STRING] -> STRING", |site| {
        let pattern = Given::new(site, 1, Style::Loose, SECONDS)?;
        Ok(texts(move |args, out| pattern.write_utc(args, args.int(0).checked_mul(SECOND)?, 1, out)))
    }),
    f("DATE_FORMAT", "TIMESTAMP_NTZ, STRING -> STRING", |site| {
        let pattern = Given::new(site, 1, Style::Exact, SECONDS)?;
        Ok(texts(move |args, out| pattern.write(args, &Moment { local: args.int(0), zone: None }, 1, out)))
    }),
    f("DATE_FORMAT", "TIMESTAMP_LTZ, STRING -> STRING", |site| {
        let pattern = Given::new(site, 1, Style::Exact, SECONDS)?;
        Ok(texts(move |args, out| pattern.write_utc(args, args.int(0), 1, out)))
    }),
    f("DATE_FORMAT", "STRING, STRING -> STRING", |site| {
        let pattern = Given::new(site, 1, Style::Loose, SECONDS)?;
        let from = Pattern::new(SECONDS, Style::Loose)?;
        Ok(texts(move |args, out| {
            let local = from.read(args.text(0))?.local(Style::Loose)?;
            pattern.write(args, &Moment { local, zone: None }, 1, out)
        }))
    }),
    f("DATE_FORMAT", "STRING, STRING, STRING -> STRING", |site| {
        let from = Given::new(site, 1, Style::Loose, SECONDS)?;
        let to = Given::new(site, 2, Style::Loose, SECONDS)?;
        Ok(texts(move |args, out| {
            let local = from.local(args, 0, 1)?;
            to.write(args, &Moment { local, zone: None }, 2, out)
        }))
    }),
    f("DATE_FORMAT_TZ", "TIMESTAMP_LTZ, STRING [, STRING] -> STRING", date_format_tz),
    f("DATE_FORMAT_TZ", "TIMESTAMP_NTZ, STRING [, STRING] -> STRING", date_format_tz),
    f("TO_TIMESTAMP", "STRING [, STRING] -> TIMESTAMP(3)", to_timestamp),
    f("TO_TIMESTAMP", "BIGINT -> TIMESTAMP(3)", |_| {
        Ok(rows(|args| calendar::to_local(args.int(0).checked_mul(1000)?, args.zone)))
    }),
    f("TO_TIMESTAMP_TZ", "STRING, STRING [, STRING] -> TIMESTAMP(3)", to_timestamp_tz),
    f("TO_TIMESTAMP_LTZ", "STRING [, STRING] -> TIMESTAMP_LTZ(3)", |site| {
        let local = to_local(site)?;
        Ok(rows(move |args| calendar::to_utc(local(args)?, args.zone)))
    }),
    f("TO_TIMESTAMP_LTZ", "BIGINT [, INTEGER] -> TIMESTAMP_LTZ(3)", |site| {
        let unit = epoch_unit(site)?;
        Ok(rows(move |args| args.int(0).checked_mul(unit)))
    }),
    f("TO_TIMESTAMP_LTZ", "DOUBLE [, INTEGER] -> TIMESTAMP_LTZ(3)", |site| {
        let unit = epoch_unit(site)?;
        Ok(rows(move |args| {
            let at = (args.double(0) * unit as f64 / 1000.0).floor();
            (at.abs() < 9e15).then_some(at as i64 * 1000)
        }))
    }),
    f("TO_DATE", "STRING [, STRING] -> DATE", to_date),
    f("CONVERT_TZ", "STRING, STRING, STRING -> STRING", |_| Ok(texts(convert_tz))),
    f("DATEDIFF", "STRING, STRING -> INT", |_| Ok(rows(|args| Some(day_of(args, 0)? - day_of(args, 1)?)))),
    f("DATEDIFF", "TIMESTAMP_NTZ, STRING -> INT", |_| {
        Ok(rows(|args| Some(args.int(0).div_euclid(DAY) - day_of(args, 1)?)))
    }),
    f("DATEDIFF", "STRING, TIMESTAMP_NTZ -> INT", |_| {
        Ok(rows(|args| Some(day_of(args, 0)? - args.int(1).div_euclid(DAY))))
    }),
    f("DATEDIFF", "TIMESTAMP_NTZ, TIMESTAMP_NTZ -> INT", |_| {
        Ok(rows(|args| Some(args.int(0).div_euclid(DAY) - args.int(1).div_euclid(DAY))))
    }),
    f("DATE_ADD", "STRING, INT -> STRING", |_| Ok(texts(|args, out| shifted(day_of(args, 0)?, args.int(1), out)))),
    f("DATE_ADD", "TIMESTAMP_NTZ, INT -> STRING", |_| {
        Ok(texts(|args, out| shifted(args.int(0).div_euclid(DAY), args.int(1), out)))
    }),
    f("DATE_SUB", "STRING, INT -> STRING", |_| {
        Ok(texts(|args, out| shifted(day_of(args, 0)?, args.int(1).checked_neg()?, out)))
    }),
    f("DATE_SUB", "TIMESTAMP_NTZ, INT -> STRING", |_| {
        Ok(texts(|args, out| shifted(args.int(0).div_euclid(DAY), args.int(1).checked_neg()?, out)))
    }),
];

/// The pattern where none is written.
const SECONDS: &str = "yyyy-MM-dd HH:mm:ss";

fn milliseconds(micros: i64) -> i64 {
    micros.div_euclid(1000).saturating_mul(1000)
}

fn clock(args: &Args<'_>) -> Option<i64> {
    Some(calendar::to_local(args.now, args.zone)?.rem_euclid(DAY) / SECOND * SECOND)
}

/// A pattern: compiled once if it is a literal (or left out), else kept from row to row.
struct Given {
    literal: Option<Pattern>,
    style: Style,
}

impl Given {
    fn new(site: &Site<'_>, i: usize, style: Style, otherwise: &str) -> Result<Given, String> {
        let literal = match site.args.get(i) {
            None => Some(Pattern::new(otherwise, style)?),
            Some(_) => site.literal_text(i).map(|text| Pattern::new(text, style)).transpose()?,
        };
        Ok(Given { literal, style })
    }

    fn with<T>(&self, args: &Args<'_>, i: usize, f: impl FnOnce(&Pattern) -> Option<T>) -> Option<T> {
        match &self.literal {
            Some(pattern) => f(pattern),
            None => args.memo(args.text(i), |text| Pattern::new(text, self.style).ok()).as_ref().as_ref().and_then(f),
        }
    }

    fn write(&self, args: &Args<'_>, at: &Moment<'_>, i: usize, out: &mut Vec<u8>) -> Option<()> {
        self.with(args, i, |pattern| pattern.write(at, out))
    }

    /// Microseconds in UTC, shown in the session's zone.
    fn write_utc(&self, args: &Args<'_>, utc: i64, i: usize, out: &mut Vec<u8>) -> Option<()> {
        let offset = calendar::offset(utc, args.zone)?;
        let name = args.zone.iana_name().unwrap_or("UTC");
        self.write(args, &Moment { local: utc.checked_add(offset * SECOND)?, zone: Some((offset, name)) }, i, out)
    }

    fn local(&self, args: &Args<'_>, text: usize, i: usize) -> Option<i64> {
        self.with(args, i, |pattern| pattern.read(args.text(text))?.local(self.style))
    }

    /// Microseconds in UTC of a text: in the zone that it says, else in the session's.
    fn utc(&self, args: &Args<'_>, text: usize, i: usize) -> Option<i64> {
        self.with(args, i, |pattern| {
            let fields = pattern.read(args.text(text))?;
            let local = fields.local(self.style)?;
            match fields.offset {
                Some(offset) => local.checked_sub(offset * SECOND),
                None => calendar::to_utc_late(local, args.zone),
            }
        })
    }
}

type Local = Box<dyn Fn(&Args<'_>) -> Option<i64> + Send + Sync>;

/// Reads the first argument by the pattern in the second, as TO_TIMESTAMP does: milliseconds, no zone.
fn to_local(site: &Site<'_>) -> Result<Local, String> {
    if site.args.len() < 2 {
        return Ok(Box::new(|args| Some(milliseconds(calendar::parse_timestamp(args.text(0))?))));
    }
    let pattern = Given::new(site, 1, Style::Exact, SECONDS)?;
    Ok(Box::new(move |args| {
        let read = pattern.local(args, 0, 1).or_else(|| as_jdbc(args.text(0).trim()));
        Some(milliseconds(read?))
    }))
}

/// What Flink tries when a text is not of the pattern: `yyyy-M-d` or `yyyy-M-d H:m:s[.f]`.
fn as_jdbc(text: &str) -> Option<i64> {
    let date = text.split(' ').next()?;
    if date.len() < 8 || date.split('-').count() != 3 {
        return None;
    }
    calendar::parse_timestamp(text)
}

fn to_timestamp(site: &Site<'_>) -> Result<Kernel, String> {
    let local = to_local(site)?;
    Ok(rows(local))
}

fn zone_of(args: &Args<'_>, i: usize) -> Option<std::rc::Rc<Option<jiff::tz::TimeZone>>> {
    Some(args.memo(args.text(i), |name| {
        if name.eq_ignore_ascii_case("UTC") || name.eq_ignore_ascii_case("GMT") {
            return Some(jiff::tz::TimeZone::UTC);
        }
        jiff::tz::TimeZone::get(name).ok()
    }))
}

/// A literal zone that there is not, is refused.
fn check_zone(site: &Site<'_>, i: usize) -> Result<(), String> {
    match site.literal_text(i) {
        Some(name) if jiff::tz::TimeZone::get(name).is_err() => Err(format!("there is no time zone '{name}'")),
        _ => Ok(()),
    }
}

/// `(text, zone)` or `(text, pattern, zone)`: a time in that zone, as the session's zone shows it.
fn to_timestamp_tz(site: &Site<'_>) -> Result<Kernel, String> {
    let last = site.args.len() - 1;
    check_zone(site, last)?;
    let pattern = if last == 2 { Some(Given::new(site, 1, Style::Exact, SECONDS)?) } else { None };
    Ok(rows(move |args| {
        let local = match &pattern {
            Some(pattern) => pattern.local(args, 0, 1)?,
            None => calendar::parse_timestamp(args.text(0))?,
        };
        let zone = zone_of(args, last)?;
        calendar::to_local(calendar::to_utc(milliseconds(local), zone.as_ref().as_ref()?)?, args.zone)
    }))
}

/// `(time, zone)` or `(time, pattern, zone)`: a time of the session's zone, shown in another.
fn date_format_tz(site: &Site<'_>) -> Result<Kernel, String> {
    let last = site.args.len() - 1;
    check_zone(site, last)?;
    let pattern = if last == 2 { Some(Given::new(site, 1, Style::Exact, SECONDS)?) } else { None };
    let plain = Pattern::new(SECONDS, Style::Exact)?;
    let instant = matches!(site.ty(0), crate::record::Type::TimestampLtz(_));
    Ok(texts(move |args, out| {
        let utc = if instant { args.int(0) } else { calendar::to_utc(args.int(0), args.zone)? };
        let zone = zone_of(args, last)?;
        let zone = zone.as_ref().as_ref()?;
        let offset = calendar::offset(utc, zone)?;
        let at = Moment { local: utc.checked_add(offset * SECOND)?, zone: Some((offset, args.text(last))) };
        match &pattern {
            Some(pattern) => pattern.write(args, &at, 1, out),
            None => plain.write(&at, out),
        }
    }))
}

/// Microseconds of a unit: precision 0 are seconds, 3 milliseconds (the default).
fn epoch_unit(site: &Site<'_>) -> Result<i64, String> {
    match (site.args.len(), site.literal_int(1)) {
        (1, _) | (_, Some(3)) => Ok(1000),
        (_, Some(0)) => Ok(SECOND),
        _ => Err("the precision must be the literal 0 (seconds) or 3 (milliseconds)".to_owned()),
    }
}

fn to_date(site: &Site<'_>) -> Result<Kernel, String> {
    if site.args.len() < 2 {
        return Ok(rows(|args| calendar::parse_date(args.text(0).trim())));
    }
    let pattern = Given::new(site, 1, Style::Loose, SECONDS)?;
    Ok(rows(move |args| Some(pattern.local(args, 0, 1)?.div_euclid(DAY))))
}

fn convert_tz(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let local = calendar::parse_timestamp(args.text(0))?;
    let utc = calendar::to_utc(local, zone_of(args, 1)?.as_ref().as_ref()?)?;
    let shown = calendar::to_local(utc, zone_of(args, 2)?.as_ref().as_ref()?)?;
    calendar::write_timestamp(shown, 0, out);
    Some(())
}

/// The day that a text begins with.
fn day_of(args: &Args<'_>, i: usize) -> Option<i64> {
    calendar::parse_date(args.text(i).trim())
}

fn shifted(day: i64, by: i64, out: &mut Vec<u8>) -> Option<()> {
    calendar::write_date(day.checked_add(by)?, out);
    Some(())
}
