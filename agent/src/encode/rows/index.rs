//! Chooses a row's index: a fixed name, or a template filled from columns.
//!
//! Promises: whatever a row says, the name begins with the configured prefix and is one that Elasticsearch allows;
//! where it would not be, or a date can't be had, the fallback is taken. Names are in lower case, as they must be.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::pattern::Pattern;
use super::value;
use crate::plan::{RowIndex, RowIndexPart, RowsPlan};
use crate::record::{Batch, Data, Timestamp, Type};

const LONGEST_NAME: usize = 255;

#[derive(Debug)]
pub(super) enum Namer {
    Fixed(Arc<str>),
    Template { parts: Vec<Part>, prefix: String, fallback: Arc<str> },
}

#[derive(Debug)]
pub(super) enum Part {
    Literal(String),
    Column(usize),
    Date { column: usize, pattern: Pattern, zone: TimeZone },
    Now { pattern: Pattern, zone: TimeZone },
}

/// The last name made, since neighbours mostly share it.
pub(super) type Last = Option<Arc<str>>;

impl Namer {
    pub(super) fn new(plan: &RowIndex) -> Namer {
        let part = |part: &RowIndexPart| match part {
            RowIndexPart::Literal(text) => Part::Literal(text.clone()),
            RowIndexPart::Column(column) => Part::Column(*column),
            RowIndexPart::Date { column, pattern, zone } => {
                Part::Date { column: *column, pattern: Pattern::new(pattern), zone: zone.clone() }
            }
            RowIndexPart::Now { pattern, zone } => Part::Now { pattern: Pattern::new(pattern), zone: zone.clone() },
        };
        match plan {
            RowIndex::Literal(name) => Namer::Fixed(name.as_str().into()),
            RowIndex::Template { parts, prefix, fallback } => Namer::Template {
                parts: parts.iter().map(part).collect(),
                prefix: prefix.clone(),
                fallback: fallback.as_str().into(),
            },
        }
    }

    pub(super) fn fallback(&self) -> &str {
        match self {
            Namer::Fixed(name) => name,
            Namer::Template { fallback, .. } => fallback,
        }
    }

    /// The index of a row; `now` is the commit's time.
    pub(super) fn name(&self, plan: &RowsPlan, batch: &Batch, row: usize, now: Timestamp, last: &mut Last) -> Arc<str> {
        let (parts, prefix, fallback) = match self {
            Namer::Fixed(name) => return name.clone(),
            Namer::Template { parts, prefix, fallback } => (parts, prefix, fallback),
        };
        let name = fill(parts, plan, batch, row, now).filter(|name| allowed(name, prefix));
        let Some(name) = name else { return fallback.clone() };
        match last {
            Some(last) if **last == *name => last.clone(),
            _ => last.insert(name.into()).clone(),
        }
    }
}

fn fill(parts: &[Part], plan: &RowsPlan, batch: &Batch, row: usize, now: Timestamp) -> Option<String> {
    let mut name = String::new();
    for part in parts {
        match part {
            Part::Literal(text) => name.push_str(text),
            Part::Column(number) => {
                let (column, (_, ty)) = (batch.columns.get(*number)?, plan.columns.get(*number)?);
                if column.is_null(row) {
                    name.push_str("null");
                    continue;
                }
                let mut text = Vec::new();
                value::push_text(column, ty, row, &mut text);
                let text = String::from_utf8(text).ok()?.to_lowercase();
                if text.is_empty() || !text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+')) {
                    return None;
                }
                name.push_str(&text);
            }
            Part::Date { column: number, pattern, zone } => {
                let (column, (_, ty)) = (batch.columns.get(*number)?, plan.columns.get(*number)?);
                if column.is_null(row) {
                    name.push_str("null");
                    continue;
                }
                let Data::Int(values) = &column.data else { return None };
                push_date(pattern, time(*values.get(row)?, ty, zone)?, &mut name)?;
            }
            Part::Now { pattern, zone } => {
                push_date(pattern, local(now.0.checked_mul(1000)?, zone)?, &mut name)?;
            }
        }
    }
    Some(name)
}

fn push_date(pattern: &Pattern, at: DateTime, name: &mut String) -> Option<()> {
    let mut text = String::new();
    pattern.push(at, &mut text)?;
    name.push_str(&text.to_lowercase());
    Some(())
}

/// A column's time: dates and times without a zone as they are, others in `zone`; integers are milliseconds.
fn time(x: i64, ty: &Type, zone: &TimeZone) -> Option<DateTime> {
    match ty {
        Type::Date => local(x.checked_mul(86_400_000_000)?, &TimeZone::UTC),
        Type::Time(_) | Type::Timestamp(_) => local(x, &TimeZone::UTC),
        Type::TimestampLtz(_) => local(x, zone),
        Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => local(x.checked_mul(1000)?, zone),
        _ => None,
    }
}

fn local(micros: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(zone.to_datetime(jiff::Timestamp::from_microsecond(micros).ok()?))
}

/// Within the prefix, and what Elasticsearch takes as a name. Where the prefix is empty, a name can't begin with what
/// Elasticsearch's own indices begin with either.
fn allowed(name: &str, prefix: &str) -> bool {
    let own = name.starts_with(['.', '-', '_', '+']);
    let strange = |c: char| c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:".contains(c) || c.is_uppercase();
    name.starts_with(prefix) && name.len() <= LONGEST_NAME && !(prefix.is_empty() && own) && !name.contains(strange)
}
