//! Units of time: taking a field out of a time, cutting it down or up to a unit, adding units and counting them.

use crate::record::Type;
use crate::sql::calendar::{self, Civil, DAY, HOUR, MINUTE, SECOND};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
}

impl Unit {
    /// By its SQL name, with or without `SQL_TSI_` and a plural's S.
    pub(super) fn named(text: &str) -> Option<Unit> {
        let upper = text.trim().to_uppercase();
        let name = upper.strip_prefix("SQL_TSI_").unwrap_or(&upper);
        let singular = name.strip_suffix('S').unwrap_or(name);
        Some(match singular {
            "MICROSECOND" => Unit::Microsecond,
            "MILLISECOND" => Unit::Millisecond,
            "SECOND" => Unit::Second,
            "MINUTE" => Unit::Minute,
            "HOUR" => Unit::Hour,
            "DAY" | "DAYOFMONTH" => Unit::Day,
            "WEEK" => Unit::Week,
            "MONTH" => Unit::Month,
            "QUARTER" => Unit::Quarter,
            "YEAR" => Unit::Year,
            "DECADE" => Unit::Decade,
            "CENTURY" => Unit::Century,
            "MILLENNIUM" => Unit::Millennium,
            "DOW" | "DAYOFWEEK" => Unit::DayOfWeek,
            "ISODOW" => Unit::IsoDayOfWeek,
            "DOY" | "DAYOFYEAR" => Unit::DayOfYear,
            "ISOYEAR" => Unit::IsoYear,
            "EPOCH" => Unit::Epoch,
            _ => return None,
        })
    }

    /// Microseconds, for units that always have the same.
    pub(super) fn micros(self) -> Option<i64> {
        Some(match self {
            Unit::Microsecond => 1,
            Unit::Millisecond => 1000,
            Unit::Second => SECOND,
            Unit::Minute => MINUTE,
            Unit::Hour => HOUR,
            Unit::Day => DAY,
            Unit::Week => 7 * DAY,
            _ => return None,
        })
    }

    /// Months, for units that are made of them.
    pub(super) fn months(self) -> Option<i64> {
        Some(match self {
            Unit::Month => 1,
            Unit::Quarter => 3,
            Unit::Year => 12,
            Unit::Decade => 120,
            Unit::Century => 1200,
            Unit::Millennium => 12_000,
            _ => return None,
        })
    }

    pub(super) fn is_below_day(self) -> bool {
        self.micros().is_some_and(|micros| micros < DAY)
    }
}

/// A field of local microseconds.
pub(super) fn extract(unit: Unit, local: i64) -> i64 {
    let (day, clock) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    let date = calendar::civil(day);
    match unit {
        Unit::Microsecond => clock % SECOND,
        Unit::Millisecond => clock % SECOND / 1000,
        Unit::Second => clock / SECOND % 60,
        Unit::Minute => clock / MINUTE % 60,
        Unit::Hour => clock / HOUR,
        Unit::Day => date.day,
        Unit::Week => calendar::iso_week(day).1,
        Unit::Month => date.month,
        Unit::Quarter => (date.month + 2) / 3,
        Unit::Year => date.year,
        Unit::Decade => date.year.div_euclid(10),
        Unit::Century => (date.year + 99).div_euclid(100),
        Unit::Millennium => (date.year + 999).div_euclid(1000),
        Unit::DayOfWeek => calendar::iso_weekday(day) % 7 + 1,
        Unit::IsoDayOfWeek => calendar::iso_weekday(day),
        Unit::DayOfYear => calendar::day_of_year(date),
        Unit::IsoYear => calendar::iso_week(day).0,
        Unit::Epoch => local.div_euclid(SECOND),
    }
}

/// The beginning of the unit that a time lies in; weeks begin on Sunday. `None`: there is no such cut.
pub(super) fn floor(unit: Unit, local: i64) -> Option<i64> {
    let date = calendar::civil(local.div_euclid(DAY));
    let first = |year: i64, month: i64| Some(calendar::days(Civil { year, month, day: 1 }).checked_mul(DAY)?);
    match unit {
        Unit::Week => {
            let day = local.div_euclid(DAY);
            (day - calendar::iso_weekday(day) % 7).checked_mul(DAY)
        }
        Unit::Month => first(date.year, date.month),
        Unit::Quarter => first(date.year, (date.month - 1) / 3 * 3 + 1),
        Unit::Year => first(date.year, 1),
        Unit::Decade => first(date.year.div_euclid(10) * 10, 1),
        Unit::Century => first((date.year - 1).div_euclid(100) * 100 + 1, 1),
        Unit::Millennium => first((date.year - 1).div_euclid(1000) * 1000 + 1, 1),
        unit => {
            let micros = unit.micros()?;
            local.div_euclid(micros).checked_mul(micros)
        }
    }
}

/// The same time if it is a unit's beginning, else the next one's. For units longer than a day only the day counts:
/// noon on the first of a month gives its midnight, as in Flink.
pub(super) fn ceil(unit: Unit, local: i64) -> Option<i64> {
    let by_day = unit == Unit::Week || unit.months().is_some();
    let local = if by_day { local.div_euclid(DAY).checked_mul(DAY)? } else { local };
    let floor = floor(unit, local)?;
    if floor == local { Some(local) } else { add(unit, 1, floor) }
}

/// Some units on.
pub(super) fn add(unit: Unit, count: i64, local: i64) -> Option<i64> {
    if let Some(micros) = unit.micros() {
        return local.checked_add(count.checked_mul(micros)?);
    }
    let months = count.checked_mul(unit.months()?)?;
    let day = calendar::add_months(local.div_euclid(DAY), months);
    day.checked_mul(DAY)?.checked_add(local.rem_euclid(DAY))
}

/// How many whole units lie from one time to another.
pub(super) fn difference(unit: Unit, from: i64, to: i64) -> Option<i64> {
    if let Some(micros) = unit.micros() {
        return Some(to.checked_sub(from)? / micros);
    }
    let months = if to < from { -months_between(to, from) } else { months_between(from, to) };
    Some(months / unit.months()?)
}

/// Whole months from an earlier time to a later one.
fn months_between(from: i64, to: i64) -> i64 {
    let (a, b) = (calendar::civil(from.div_euclid(DAY)), calendar::civil(to.div_euclid(DAY)));
    let months = (b.year - a.year) * 12 + b.month - a.month;
    let reached = calendar::add_months(from.div_euclid(DAY), months);
    let (day, clock) = (to.div_euclid(DAY), to.rem_euclid(DAY));
    let short = reached > day || (reached == day && from.rem_euclid(DAY) > clock);
    months - i64::from(short)
}

/// The type of a time with units added: a DATE stays one unless the unit is shorter than a day.
pub(super) fn added_type(ty: &Type, unit: Unit) -> Type {
    match ty {
        Type::Date if unit.is_below_day() => Type::Timestamp(6),
        other => other.clone(),
    }
}
