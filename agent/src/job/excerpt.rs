//! The line of a file that is shown under a problem, with nothing in it that may be secret. Pure.
//!
//! The rule is an allow-list: of a file that parses, only values whose key is known and not secret are shown, all
//! others are stars, and comments are cut off. Of a file that does not parse there are only lines: a line is
//! shown if it begins with a known key that is not secret, or is a section's head; else all behind its `=` is stars.

use std::ops::Range;

use super::problem::Place;

/// Longest line shown, in characters.
const WIDTH: usize = 120;
const MASK: &str = "***";

/// What may be seen of a text.
#[derive(Default)]
pub(crate) struct Visible {
    /// Every scalar in the text.
    pub(crate) scalars: Vec<Range<usize>>,
    /// Those that may be shown.
    pub(crate) shown: Vec<Range<usize>>,
}

impl Visible {
    fn hidden_at(&self, offset: usize) -> Option<&Range<usize>> {
        let scalar = self.scalars.iter().find(|s| s.contains(&offset))?;
        (!self.shown.contains(scalar)).then_some(scalar)
    }

    fn in_scalar(&self, offset: usize) -> bool {
        self.scalars.iter().any(|s| s.contains(&offset))
    }
}

/// The place of `at` in `text`, a file that parses.
pub(crate) fn place(text: &str, at: &Range<usize>, visible: &Visible) -> Place {
    let line = line_of(text, at.start);
    let mut hidden = Vec::new();
    for (offset, c) in char_offsets(text, &line) {
        if let Some(scalar) = visible.hidden_at(offset) {
            hidden.push(scalar.start.max(line.start)..scalar.end.min(line.end));
        } else if c == '#' && !visible.in_scalar(offset) {
            return render(text, line.start..offset, at, &hidden);
        }
    }
    hidden.dedup();
    render(text, line, at, &hidden)
}

/// The place of `at` in `text`, which is not TOML. `harmless` tells of a key whether its value may be shown.
pub(crate) fn place_unparsed(text: &str, at: &Range<usize>, harmless: impl Fn(&str) -> bool) -> Place {
    let line = line_of(text, at.start);
    let content = text.get(line.clone()).unwrap_or_default();
    let head_above = text.get(..line.start).unwrap_or_default().lines().rev().find(|l| l.trim_start().starts_with('['));
    let free_keys = head_above.is_some_and(|l| l.contains("headers"));
    let hidden = match content.split_once('=') {
        None if content.trim_start().starts_with('[') && !content.contains(['"', '\'']) => None,
        None if content.trim().is_empty() => None,
        None => Some(line.clone()),
        Some((key, value)) => {
            let plain = harmless(key.trim()) && !free_keys && !value.contains(['@', '{', '#']);
            (!plain).then_some(line.start + key.len() + 1..line.end)
        }
    };
    render(text, line, at, hidden.as_slice())
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

fn render(text: &str, line: Range<usize>, at: &Range<usize>, hidden: &[Range<usize>]) -> Place {
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
        match hidden.iter().find(|h| h.contains(&offset)) {
            Some(h) if h.start == offset => shown.extend(MASK.chars()),
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
