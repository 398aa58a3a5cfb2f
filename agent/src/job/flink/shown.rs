//! What of a script must not be shown in an excerpt. An allow-list, as for native jobs: of a table's options only values
//! whose key is known (or nearly) and not secret are shown; comments are not. An option's name always is. The script may be as broken as it likes.

use std::ops::Range;

use super::super::reader::is_secret;

/// What is longer is no option's name.
const LONGEST_KEY: usize = 60;

/// A piece of the text that a value may be.
struct Literal {
    range: Range<usize>,
    text: String,
    /// Its closing quote touches a word, so that inside and outside may have changed places.
    torn: bool,
}

/// Ranges of the text to be hidden, in order.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut statement = 0;
    let mut at = 0;
    let mut torn = false;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let until = |mark: &str, from: usize| {
            let behind = rest.get(from..).unwrap_or_default();
            at + behind.find(mark).map_or(rest.len(), |found| from + found + mark.len())
        };
        let end = if rest.starts_with("--") {
            let end = until("\n", 2);
            hidden.push(at..end);
            end
        } else if rest.starts_with("/*") {
            let end = until("*/", 2);
            if !rest.starts_with("/*+") {
                hidden.push(at..end);
            }
            if rest.starts_with("/*+") { at + 3 } else { end }
        } else if c == '\'' {
            let literal = literal(text, at);
            torn |= literal.torn;
            let before = text.get(statement..at).unwrap_or_default();
            let behind = text.get(literal.range.end..).unwrap_or_default();
            if torn || !(is_key(before, &literal.text, behind) || may_show(before, &literal)) {
                hidden.push(literal.range.clone());
            }
            literal.range.end
        } else if c == '=' {
            hide_bare(text, statement, at, &mut hidden);
            at + 1
        } else {
            if c == ';' {
                statement = at + 1;
            }
            at + c.len_utf8()
        };
        // Once quotes are torn, the rest of such a statement may be a value anywhere.
        if torn && c != '\'' && c.is_alphanumeric() {
            hidden.push(at..end);
        }
        if c == ';' {
            torn = false;
        }
        at = end.max(at + 1);
    }
    join(hidden)
}

fn literal(text: &str, start: usize) -> Literal {
    let rest = text.get(start + 1..).unwrap_or_default();
    let mut from = 0;
    let end = loop {
        match rest.get(from..).and_then(|rest| rest.find('\'')) {
            Some(found) if rest.get(from + found + 1..).is_some_and(|behind| behind.starts_with('\'')) => {
                from += found + 2
            }
            Some(found) => break from + found,
            None => {
                return Literal { range: start..text.len(), text: String::new(), torn: true };
            }
        }
    };
    let inside = rest.get(..end).unwrap_or_default();
    let next = rest.get(end + 1..).and_then(|behind| behind.chars().next());
    let torn = next.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | ':' | '_')) || inside.contains('\n');
    Literal { range: start..start + 1 + end + 1, text: inside.to_owned(), torn }
}

/// The name of an option, which stands in the list before its `=`; whether anybody knows it or not.
fn is_key(before: &str, text: &str, behind: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let in_list = before.trim_end().ends_with(['(', ',']) && behind.trim_start().starts_with('=');
    in_list && text.chars().count() <= LONGEST_KEY && text.chars().all(plain)
}

/// `before`: the statement up to the literal.
fn may_show(before: &str, literal: &Literal) -> bool {
    let first = before.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let trimmed = before.trim_end();
    let Some(key) = trimmed.strip_suffix('=') else {
        // A key, or a text in a query; of anything else nobody knows what it is.
        let known = super::options::is_known(&literal.text);
        let of_query = matches!(first.as_str(), "INSERT" | "SELECT" | "WITH" | "EXECUTE") || creates_view(before);
        return known || of_query && !literal.text.contains('@');
    };
    let key = key.trim_end().trim_end_matches(['\'', '`']);
    let from = key.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))).map_or(0, |at| at + 1);
    let key = key.get(from..).unwrap_or_default();
    let known = super::options::is_known(key) || is_misspelt(key) || first == "SET" || first == "INSERT";
    known && !is_secret_key(key) && !literal.text.contains('@')
}

fn creates_view(statement: &str) -> bool {
    statement.split_whitespace().take(3).any(|word| word.eq_ignore_ascii_case("view"))
}

/// Nearly a known option, and not one whose value is secret.
fn is_misspelt(key: &str) -> bool {
    let meant = if key.chars().count() <= LONGEST_KEY { super::options::meant(key) } else { None };
    meant.is_some_and(|meant| !is_secret_key(meant))
}

/// The option's value is never shown.
pub(super) fn is_secret_key(key: &str) -> bool {
    let harmless = ["document-id.key-delimiter", "ssl.certificate-fingerprint", "json.map-null-key.mode"];
    !harmless.contains(&key) && is_secret(key)
}

/// A value without quotes behind `=`, unless its key may be shown.
fn hide_bare(text: &str, statement: usize, at: usize, hidden: &mut Vec<Range<usize>>) {
    let behind = text.get(at + 1..).unwrap_or_default();
    let value = behind.trim_start_matches([' ', '\t']);
    let start = text.len() - value.len();
    let length = value
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '@')))
        .unwrap_or(value.len());
    let before = text.get(statement..at + 1).unwrap_or_default();
    let bare = Literal { range: 0..0, text: value.get(..length).unwrap_or_default().to_owned(), torn: false };
    if length > 0 && !may_show(before, &bare) {
        hidden.push(start..start + length);
    }
}

fn join(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
