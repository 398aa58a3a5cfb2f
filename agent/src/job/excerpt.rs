//! The line of a file that is shown under a problem, with nothing in it that may be secret. Pure.
//!
//! The rule is an allow-list: of a file that parses, only values whose key is known and not secret are shown, all
//! others are stars, and comments are cut off. Of a file that does not parse there are only lines: a line is
//! shown if it begins with a known key that is not secret, is an item of such a key's list, or a section's head;
//! of a line with a secret or an unknown key the value is stars, of any other line all.

use std::collections::HashSet;
use std::ops::Range;

use super::problem::Place;

/// Longest line shown, in characters.
const WIDTH: usize = 120;
const MASK: &str = "***";

/// What may be seen of a text.
#[derive(Default)]
pub(crate) struct Visible {
    /// Every scalar in the text.
    scalars: Vec<Range<usize>>,
    /// Where those begin that may be shown.
    shown: HashSet<usize>,
}

impl Visible {
    pub(crate) fn new(mut scalars: Vec<Range<usize>>) -> Visible {
        scalars.sort_by_key(|scalar| scalar.start);
        Visible { scalars, shown: HashSet::new() }
    }

    pub(crate) fn show(&mut self, scalars: Vec<Range<usize>>) {
        self.shown.extend(scalars.into_iter().map(|scalar| scalar.start));
    }

    pub(crate) fn hide(&mut self, at: &Range<usize>) {
        self.shown.retain(|start| !at.contains(start));
    }

    fn scalar_at(&self, offset: usize) -> Option<&Range<usize>> {
        let behind = self.scalars.partition_point(|scalar| scalar.start <= offset);
        self.scalars.get(behind.checked_sub(1)?).filter(|scalar| scalar.contains(&offset))
    }
}

/// The place of `at` in `text`, a file that parses.
pub(crate) fn place(text: &str, at: &Range<usize>, visible: &Visible) -> Place {
    let line = line_of(text, at.start);
    let mut hidden = Vec::new();
    for (offset, c) in char_offsets(text, &line) {
        match visible.scalar_at(offset) {
            Some(scalar) if !visible.shown.contains(&scalar.start) => {
                hidden.push(scalar.start.max(line.start)..scalar.end.min(line.end));
            }
            None if c == '#' && offset >= at.start => {
                hidden.dedup();
                return render(text, line.start..offset, at, &hidden);
            }
            _ => {}
        }
    }
    hidden.dedup();
    render(text, line, at, &hidden)
}

/// The place of `at` in `text`, of which these ranges, in order, must not be seen.
pub(crate) fn place_hiding(text: &str, at: &Range<usize>, hidden: &[Range<usize>]) -> Place {
    let line = line_of(text, at.start);
    let within = |range: &Range<usize>| range.start.max(line.start)..range.end.min(line.end);
    let hidden: Vec<Range<usize>> = hidden.iter().map(within).filter(|range| range.start < range.end).collect();
    render(text, line, at, &hidden)
}

/// The place of `at` in `text`, which is not TOML. `known` tells of a word whether it is, or is near to, a known
/// key, `secret` whether its value must not be shown.
pub(crate) fn place_unparsed(
    text: &str,
    at: &Range<usize>,
    known: impl Fn(&str) -> bool,
    secret: impl Fn(&str) -> bool,
) -> Place {
    let line = line_of(text, at.start);
    let content = text.get(line.clone()).unwrap_or_default();
    let above = text.get(..line.start).unwrap_or_default();
    let in_headers =
        above.lines().rev().find(|l| l.trim_start().starts_with('[')).is_some_and(|head| head.contains("headers"));
    let words = |key: &str| key.split('.').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    let may_show = |key: &str, value: &str| {
        let plain = words(key).iter().all(|word| known(word) && !secret(word));
        plain && !in_headers && !value.contains(['@', '{', '#', '='])
    };
    // Inside of a string of several lines anything may stand, whatever it looks like.
    let in_string = ["\"\"\"", "'''"].iter().any(|quotes| above.matches(quotes).count() % 2 == 1);
    // YAML by habit is met often enough to show the line.
    let of_yaml = || content.split_once(':').filter(|(key, _)| known(key.trim()));
    let hidden = match content.split_once('=').or_else(of_yaml) {
        _ if in_string => Some(line.clone()),
        None if content.trim().is_empty() => None,
        None if content.trim_start().starts_with('[') && !content.contains(['"', '\'']) => None,
        None => {
            let list = above.lines().rev().find_map(|l| l.split_once('='));
            let in_list = list.is_some_and(|(key, value)| may_show(key, value) && value.trim_start().starts_with('['));
            let item = content.trim_start().starts_with(['"', '\'', ']']) && !content.contains(['@', '{', '#']);
            (!(in_list && item)).then_some(line.clone())
        }
        // The name of a key is no secret, but the rest of a value that was broken off would look like one.
        Some((key, _)) if !(words(key).iter().all(|word| known(word)) || is_bare(key) && is_closed(above)) => {
            Some(line.clone())
        }
        Some((key, value)) => {
            let from = line.end - value.trim_start().len();
            (!may_show(key, value)).then_some(from..line.end)
        }
    };
    render(text, line, at, hidden.as_slice())
}

/// As a key is written without quotes.
fn is_bare(key: &str) -> bool {
    let key = key.trim();
    !key.is_empty()
        && key.len() <= 60
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// No quotes are open at the end of the last line that has any.
fn is_closed(above: &str) -> bool {
    let last = above.lines().rev().find(|line| line.contains(['"', '\''])).unwrap_or_default();
    ['"', '\''].iter().all(|quote| last.matches(*quote).count() % 2 == 0)
}

/// Bytes of the line around `offset`, without its line ending.
fn line_of(text: &str, offset: usize) -> Range<usize> {
    let offset = offset.min(text.len());
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    start..start + line.strip_suffix(b"\r").unwrap_or(line).len()
}

fn char_offsets<'t>(text: &'t str, line: &Range<usize>) -> impl Iterator<Item = (usize, char)> + 't {
    let start = line.start;
    text.get(line.clone()).unwrap_or_default().char_indices().map(move |(i, c)| (start + i, c))
}

fn render(text: &str, line: Range<usize>, at: &Range<usize>, mut hidden: &[Range<usize>]) -> Place {
    let number = text.as_bytes().iter().take(line.start).filter(|&&b| b == b'\n').count() + 1;
    let mut shown = Vec::new();
    let (mut column, mut caret_start, mut caret_end) = (1, None, None);
    for (offset, c) in char_offsets(text, &line) {
        if offset < at.start {
            column += 1;
        } else if caret_start.is_none() {
            caret_start = Some(shown.len());
        }
        if offset >= at.end && caret_end.is_none() {
            caret_end = Some(shown.len());
        }
        while hidden.first().is_some_and(|range| range.end <= offset) {
            hidden = hidden.get(1..).unwrap_or_default();
        }
        match hidden.first().filter(|range| range.contains(&offset)) {
            Some(range) if range.start == offset => shown.extend(MASK.chars()),
            Some(_) => {}
            None if c.is_control() => shown.push(' '),
            None => shown.push(c),
        }
    }
    let caret_start = caret_start.unwrap_or(shown.len());
    let caret_end = caret_end.unwrap_or(shown.len()).max(caret_start + 1);
    let (shown, caret_start) = window(&shown, caret_start);
    let longest = shown.chars().count().saturating_sub(caret_start).max(1);
    let caret = (caret_start, (caret_end - caret_start.min(caret_end)).clamp(1, longest));
    Place { line: number, column, shown, caret }
}

/// At most `WIDTH` characters around the caret.
fn window(shown: &[char], caret: usize) -> (String, usize) {
    let from = if caret < WIDTH { 0 } else { caret - WIDTH / 4 };
    let part: String = shown.iter().skip(from).take(WIDTH).collect();
    (part.trim_end().to_owned(), caret - from)
}
