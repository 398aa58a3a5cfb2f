//! What is wrong with a script, gathered: places, and the lines that may be shown.

use super::super::excerpt;
use super::super::problem::{Problem, Problems, Severity};
use super::super::variables::Outside;
use super::shown;
use crate::sql::script::{Name, Place, SqlError};

/// Problems said of one file; who has more has given the wrong file.
const MOST_FOUND: usize = 100;

pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) outside: &'a Outside<'a>,
    found: Vec<(Place, Problem)>,
    hidden: Vec<std::ops::Range<usize>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, outside: &'a Outside<'a>) -> Report<'a> {
        Report { file, text, outside, found: Vec::new(), hidden: shown::hidden(text) }
    }

    /// Of the file as a whole.
    pub(super) fn whole(&mut self, message: &str) {
        self.found.push((Place::default(), Problem::of_file(self.file, message)));
    }

    pub(super) fn sql(&mut self, error: SqlError) {
        self.refuse(error.place, error.length as usize, "", error.message);
    }

    /// At a name or a value, quotes and all.
    pub(super) fn at(&mut self, name: &Name, key: &str, message: String) {
        let length = name.text.chars().count() + if name.quoted { 2 } else { 0 };
        self.refuse(name.place, length, key, message);
    }

    pub(super) fn refuse(&mut self, place: Place, length: usize, key: &str, message: String) {
        self.find(Severity::Error, place, length, key, message);
    }

    pub(super) fn warn_at(&mut self, name: &Name, key: &str, message: String) {
        let length = name.text.chars().count() + if name.quoted { 2 } else { 0 };
        self.find(Severity::Warning, name.place, length, key, message);
    }

    fn find(&mut self, severity: Severity, place: Place, length: usize, key: &str, message: String) {
        // Names come from the file, and a file can hold anything: nothing of it may steer a terminal.
        let plain = |text: &str| text.replace(char::is_control, " ");
        let shown = self.offset(place).map(|start| {
            let rest = self.text.get(start..).unwrap_or_default();
            let end = rest.char_indices().nth(length).map_or(self.text.len(), |(offset, _)| start + offset);
            excerpt::place_hiding(self.text, &(start..end), &self.hidden)
        });
        let problem = Problem {
            severity,
            file: self.file.to_owned(),
            place: shown,
            key: plain(key),
            message: plain(&message),
        };
        self.found.push((place, problem));
    }

    fn offset(&self, place: Place) -> Option<usize> {
        let before = usize::try_from(place.line.checked_sub(1)?).ok()?;
        let start = match before {
            0 => 0,
            n => self.text.match_indices('\n').nth(n - 1)?.0 + 1,
        };
        let column = usize::try_from(place.column.saturating_sub(1)).ok()?;
        let rest = self.text.get(start..)?;
        Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset))
    }

    pub(super) fn finish(mut self) -> Problems {
        self.found.sort_by_key(|(place, _)| *place);
        self.found.dedup();
        let left_out = self.found.len().saturating_sub(MOST_FOUND);
        let more = (left_out > 0).then(|| Problem::of_file(self.file, format!("and {left_out} more like these")));
        self.found.into_iter().take(MOST_FOUND).map(|(_, problem)| problem).chain(more).collect()
    }
}
