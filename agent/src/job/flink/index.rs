//! Index names of the current dialect: `logs`, `logs-{service}`, `logs-{ts|yyyy-MM-dd}`, `logs-{now()|yyyy-MM-dd}`.
//! One part is dynamic at most, as in Flink; a name begins with literal text, so that no row can choose an index
//! outside of it.
//!
//! `sink.late-rows.index` is a name of that form for both dialects: rows that come too late for all windows of what is
//! inserted go there, as they were read. Its `{…}` may hold `window_start`, `window_end`, `watermark`, `now()`.

use super::super::index::check_name;
use super::options::Options;
use super::sinks::{Surroundings, column};
use crate::plan::{RowIndex, RowIndexPart, late_columns};
use crate::record::Type;

/// Letters of Java's patterns that an index can have.
const LETTERS: &str = "yuYMLdDHhKkmsSaEQqwW";

/// The option that says where late rows go.
pub(super) const LATE: &str = "sink.late-rows.index";

pub(super) fn fallback_of(prefix: &str) -> String {
    let separator = if prefix.ends_with(char::is_alphanumeric) { "-" } else { "" };
    format!("{prefix}{separator}fallback")
}

pub(super) fn read(
    options: &mut Options<'_, '_>,
    around: &Surroundings<'_>,
    columns: &[(String, Type)],
) -> Option<RowIndex> {
    if !options.has("index") {
        options.missing("index", "'index' = 'logs'");
        return None;
    }
    let (text, at) = options.text("index")?;
    match parse(|inside| dynamic(options, around, columns, inside), &text) {
        Ok(index) => Some(index),
        Err(message) => {
            options.report.at(&at, "index", format!("index: {message}"));
            None
        }
    }
}

/// Where late rows go, if anywhere.
pub(super) fn read_late(options: &mut Options<'_, '_>, around: &Surroundings<'_>) -> Option<RowIndex> {
    let (text, at) = options.text(LATE)?;
    let found = match &around.taken {
        _ if !around.windows => {
            Err("nothing comes late here: what is inserted has no windows (TUMBLE, HOP, SESSION, CUMULATE) that close"
                .to_owned())
        }
        Some(column) => {
            Err(format!("{column} is the name of a field of its documents; rename that column of the source table"))
        }
        None => {
            let late = Surroundings { taken: None, append: true, ..*around };
            parse(|inside| dynamic(options, &late, &late_columns(), inside), &text)
        }
    };
    let same = |name: &str| options.get("index").is_some_and(|index| index.value.text == name);
    let message = match found {
        Ok(RowIndex::Literal(name)) if same(&name) => {
            format!("{name} is the index of the results; late rows need one of their own")
        }
        Ok(index) => return Some(index),
        Err(message) => message,
    };
    options.report.at(&at, LATE, format!("{LATE}: {message}"));
    None
}

/// `dynamic` reads what stands in `{…}`.
fn parse(dynamic: impl Fn(&str) -> Result<RowIndexPart, String>, text: &str) -> Result<RowIndex, String> {
    let wrong = |name: &str| check_name(name).map_err(|e| format!("the name {e}"));
    let Some((prefix, rest)) = text.split_once('{') else {
        wrong(text)?;
        return Ok(RowIndex::Literal(text.to_owned()));
    };
    let (inside, tail) = rest.split_once('}').ok_or("a { without its }")?;
    if tail.contains(['{', '}']) {
        return Err("one part in {…} is allowed, as in Flink".to_owned());
    }
    if prefix.is_empty() {
        return Err(
            "begin with literal text, such as logs-{…}, so that no row can choose an index outside of it".to_owned()
        );
    }
    wrong(prefix)?;
    wrong(&format!("{prefix}x{tail}"))?;
    let part = dynamic(inside)?;
    let mut parts = vec![RowIndexPart::Literal(prefix.to_owned()), part];
    if !tail.is_empty() {
        parts.push(RowIndexPart::Literal(tail.to_owned()));
    }
    Ok(RowIndex::Template { parts, prefix: prefix.to_owned(), fallback: fallback_of(prefix) })
}

fn dynamic(
    options: &Options<'_, '_>,
    around: &Surroundings<'_>,
    columns: &[(String, Type)],
    inside: &str,
) -> Result<RowIndexPart, String> {
    let (field, pattern) = match inside.split_once('|') {
        Some((field, pattern)) => (field.trim(), Some(pattern.trim())),
        None => (inside.trim(), None),
    };
    if let Some(pattern) = pattern {
        check_pattern(pattern)?;
    }
    let zone = around.zone.clone();
    let system = ["now()", "current_timestamp"].iter().any(|name| field.eq_ignore_ascii_case(name));
    if system {
        if !around.append {
            return Err(format!(
                "{field} is for rows that come once; this table's rows are updated, and each must stay in its index"
            ));
        }
        let pattern = pattern.unwrap_or("yyyy_MM_dd").to_owned();
        return Ok(RowIndexPart::Now { pattern, zone });
    }
    let Some(number) = column(options, columns, field) else {
        let names = columns.iter().map(|(name, _)| name.as_str());
        let meant = super::super::nearest::nearest(field, names)
            .map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        let late = columns == late_columns().as_slice();
        let wrong =
            if late { "none of window_start, window_end, watermark and now()" } else { "no column of this table" };
        return Err(format!("{field} is {wrong}{meant}"));
    };
    let ty = columns.get(number).map_or(&Type::Null, |(_, ty)| ty);
    let is_time = matches!(ty, Type::Timestamp(_) | Type::TimestampLtz(_) | Type::Date | Type::Time(_));
    match pattern {
        Some(pattern) if is_time => Ok(RowIndexPart::Date { column: number, pattern: pattern.to_owned(), zone }),
        Some(_) => Err(format!("a pattern is for columns of dates and times, {field} is {ty}")),
        None if matches!(
            ty,
            Type::Array(_) | Type::Map(..) | Type::Row(_) | Type::Multiset(_) | Type::Binary(_) | Type::Varbinary(_)
        ) =>
        {
            Err(format!("{field} is {ty}, which is no part of a name"))
        }
        None => Ok(RowIndexPart::Column(number)),
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    let mut quoted = false;
    for c in pattern.chars() {
        if c == '\'' {
            quoted = !quoted;
        } else if !quoted && c.is_ascii_alphabetic() && !LETTERS.contains(c) {
            return Err(format!("the letter {c} of the pattern is not in this version; use y M d H m s and the like"));
        } else if c.is_uppercase() && quoted || "\\/*?\"<>|,#: ".contains(c) {
            return Err(format!("the pattern has a \"{c}\", which index names have not"));
        }
    }
    if quoted || pattern.is_empty() { Err("the pattern is empty or has an open quote".to_owned()) } else { Ok(()) }
}
