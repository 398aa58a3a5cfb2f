//! The options of one table: each is asked for by name; what nobody asked for is refused with the nearest known key.

use super::super::nearest::nearest;
use super::super::reader::shorten;
use super::report::Report;
use super::{connector, format, legacy, sls, source};
use crate::sql::script::{Hint, Name, Setting, Table};

/// The options of a table, with those of hints above them.
pub(super) struct Options<'o, 'a> {
    pub(super) report: &'o mut Report<'a>,
    pub(super) table: &'o Table,
    pub(super) legacy: bool,
    /// Keys match whatever their case in the current dialect as well.
    pub(super) any_case: bool,
    list: Vec<Setting>,
}

/// Is this the key of an option of any table?
pub(super) fn is_known(key: &str) -> bool {
    all_known().any(|known| known.eq_ignore_ascii_case(key))
}

/// The option of any table that was probably meant.
pub(super) fn meant(key: &str) -> Option<&'static str> {
    nearest(key, all_known())
}

fn all_known() -> impl Iterator<Item = &'static str> {
    let lists = [KINDS, connector::KEYS, legacy::KEYS, source::KEYS, source::STDIN_KEYS, format::KEYS, sls::KEYS];
    lists.into_iter().flatten().copied()
}

/// The keys that say what a table is.
const KINDS: &[&str] = &["connector", "type", "format"];

impl<'o, 'a> Options<'o, 'a> {
    pub(super) fn new(
        report: &'o mut Report<'a>,
        table: &'o Table,
        hints: Vec<&Hint>,
        legacy: bool,
    ) -> Options<'o, 'a> {
        let mut list = table.options.clone();
        for setting in hints.into_iter().flat_map(|hint| &hint.values) {
            list.retain(|other| !matches(legacy, &other.key.text, &setting.key.text));
            list.push(setting.clone());
        }
        Options { report, table, legacy, any_case: false, list }
    }

    /// What the table is: the value of `connector` or `type`, in lower case.
    pub(super) fn kind(&mut self) -> Option<(String, Name)> {
        let found = self.get("connector").or_else(|| self.get("type")).map(|setting| setting.value.clone());
        let Some(value) = found else {
            let name = &self.table.name.text;
            let message = format!(
                "the table {name} does not say what it is; write 'connector' = 'filesystem' or 'elasticsearch-7'"
            );
            self.report.refuse(self.table.options_at, 4, "connector", message);
            return None;
        };
        Some((value.text.to_ascii_lowercase(), value))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.list.iter().find(|setting| matches(self.is_free(), &setting.key.text, key))
    }

    fn is_free(&self) -> bool {
        self.legacy || self.any_case
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Refuses what is not in `known`, and tells of each why if it is in `refused`.
    pub(super) fn check_keys(&mut self, known: &[&[&'static str]], refused: &[(&str, &str)]) {
        for setting in self.list.clone() {
            let key = &setting.key.text;
            let mut all = known.iter().copied().flatten().copied().chain(KINDS.iter().copied());
            if all.any(|known| matches(self.is_free(), key, known)) {
                continue;
            }
            if let Some((_, why)) = refused.iter().find(|(refused, _)| matches(self.is_free(), key, refused)) {
                self.report.at(&setting.key, key, format!("the option {key} is not in this version: {why}"));
                continue;
            }
            let candidates = known.iter().copied().flatten().copied();
            let advice = match nearest(key, candidates.clone()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known here: {}", candidates.collect::<Vec<_>>().join(", ")),
            };
            self.report.at(&setting.key, key, format!("unknown option {}; {advice}", shorten(key)));
        }
    }

    /// One that must be there is not.
    pub(super) fn missing(&mut self, key: &str, example: &str) {
        // A misspelt one was reported already.
        let misspelt =
            self.list.iter().any(|other| !is_known(&other.key.text) && nearest(&other.key.text, [key]).is_some());
        if misspelt {
            return;
        }
        let message = format!("the table {} lacks the option {key}; write for example {example}", self.table.name.text);
        self.report.refuse(self.table.options_at, 4, key, message);
    }
}

/// Legacy keys match whatever their case.
fn matches(legacy: bool, one: &str, other: &str) -> bool {
    one == other || (legacy && one.eq_ignore_ascii_case(other))
}
