//! Walks a parsed TOML file section by section, against a table of known keys, and gathers everything that is
//! wrong on the way. It does no I/O, and it alone decides which values may be seen in an excerpt: those that
//! were asked for as something that is not secret.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, TomlError, Value};

use super::excerpt::{self, Visible};
use super::nearest::{nearest, nearest_key};
use super::problem::{Place, Problem, Problems, Severity};
use super::variables::Outside;

/// The keys of a kind of file, by section; the section without name is the top level.
pub(crate) type Dialect = [(&'static str, &'static [&'static str])];

/// Keys whose values are never shown.
pub(crate) const SECRET_KEYS: &[&str] = &["password", "api_key", "bearer_token", "headers", "proxy"];

pub(crate) struct Reader<'d> {
    file: &'d str,
    text: &'d str,
    pub(crate) outside: &'d Outside<'d>,
    dialect: &'static Dialect,
    visible: Visible,
    found: Vec<Finding>,
}

struct Finding {
    severity: Severity,
    at: Option<Range<usize>>,
    key: String,
    message: String,
}

/// A table of the file, its unknown keys already reported.
pub(crate) struct Section<'d> {
    table: &'d dyn TableLike,
    /// Dotted, such as `sink.bulk`; empty at the top level.
    pub(crate) name: String,
    /// Where it begins, for saying what it lacks.
    pub(crate) at: Option<Range<usize>>,
    /// Keys that a misspelt key probably meant; they are not reported missing as well.
    misspelt: Vec<&'static str>,
}

/// One key of a section with its value.
pub(crate) struct Entry<'d> {
    pub(crate) item: &'d Item,
    /// `"index" in [sink]`.
    pub(crate) called: String,
    pub(crate) path: String,
    pub(crate) at: Option<Range<usize>>,
}

impl Section<'_> {
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// `[sink.bulk]`, or `the file`.
    fn title(&self) -> String {
        if self.name.is_empty() { "the file".to_owned() } else { format!("[{}]", self.name) }
    }

    pub(crate) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(crate) fn called(&self, key: &str) -> String {
        if self.name.is_empty() { format!("\"{key}\"") } else { format!("\"{key}\" in [{}]", self.name) }
    }
}

impl<'d> Reader<'d> {
    pub(crate) fn new(
        file: &'d str,
        document: &'d Document<&'d str>,
        outside: &'d Outside<'d>,
        dialect: &'static Dialect,
    ) -> (Reader<'d>, Section<'d>) {
        let mut visible = Visible::default();
        collect_scalars(document.as_table(), &mut visible.scalars);
        let text = document.raw();
        let mut reader = Reader { file, text, outside, dialect, visible, found: Vec::new() };
        let root = reader.open(document.as_table(), "", String::new(), None);
        (reader, root)
    }

    /// The sub-table `key`, read against the known keys of its own dotted name.
    pub(crate) fn section(&mut self, parent: &Section<'d>, key: &'static str) -> Option<Section<'d>> {
        let name = parent.path(key);
        let kind = self.dialect.iter().map(|(name, _)| *name).find(|known| *known == name)?;
        self.section_of_kind(parent, key, kind)
    }

    /// As `section`, read against the known keys of `kind`.
    pub(crate) fn section_of_kind(
        &mut self,
        parent: &Section<'d>,
        key: &str,
        kind: &'static str,
    ) -> Option<Section<'d>> {
        let (table, at) = self.table(parent, key)?;
        Some(self.open(table, kind, parent.path(key), at))
    }

    /// All sub-tables of the top level, each read against the known keys of `kind`.
    pub(crate) fn sections(&mut self, root: &Section<'d>, kind: &'static str) -> Vec<Section<'d>> {
        let names: Vec<&'d str> = root.table.iter().map(|(name, _)| name).collect();
        let mut sections = Vec::new();
        for name in names {
            if let Some((table, at)) = self.table(root, name) {
                sections.push(self.open(table, kind, name.to_owned(), at));
            }
        }
        sections
    }

    /// The sub-table `key` with free keys.
    pub(crate) fn table(
        &mut self,
        parent: &Section<'d>,
        key: &str,
    ) -> Option<(&'d dyn TableLike, Option<Range<usize>>)> {
        let (name, item) = parent.table.get_key_value(key)?;
        let path = parent.path(key);
        let at = name.span().or_else(|| item.span());
        let table = item.as_table_like();
        if table.is_none() {
            if !item.is_array_of_tables() && !SECRET_KEYS.contains(&key) {
                self.show(item);
            }
            let message = format!("[{path}] must be a section, found {}", describe(item, false));
            self.refuse(item.span().or(at.clone()), path, message);
        }
        table.map(|table| (table, at))
    }

    /// A section over one table of free keys, all of which are known.
    pub(crate) fn open_free(&mut self, parent: &Section<'d>, key: &'static str) -> Option<(Section<'d>, Vec<&'d str>)> {
        let (table, at) = self.table(parent, key)?;
        let names = table.iter().map(|(name, _)| name).collect();
        let section = Section { table, name: parent.path(key), at, misspelt: Vec::new() };
        Some((section, names))
    }

    fn open(
        &mut self,
        table: &'d dyn TableLike,
        kind: &'static str,
        name: String,
        at: Option<Range<usize>>,
    ) -> Section<'d> {
        let mut section = Section { table, name, at, misspelt: Vec::new() };
        let known = self.dialect.iter().find(|(name, _)| *name == kind).map_or(&[][..], |d| d.1);
        if known == ["*"] {
            return section;
        }
        for (word, item) in table.iter() {
            if !known.contains(&word) {
                self.refuse_unknown(&mut section, known, word, item);
            }
        }
        section
    }

    fn refuse_unknown(
        &mut self,
        section: &mut Section<'d>,
        known: &'static [&'static str],
        word: &str,
        item: &'d Item,
    ) {
        let what = if item.is_table() { "section" } else { "key" };
        let meant = nearest_key(word, known);
        let elsewhere: Vec<String> = self
            .dialect
            .iter()
            .filter(|(name, keys)| *name != section.name && keys.contains(&word))
            .map(|(name, _)| if name.is_empty() { "the top level".to_owned() } else { format!("[{name}]") })
            .collect();
        let advice = match meant {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if !elsewhere.is_empty() => format!("it belongs in {}", elsewhere.join(" or ")),
            None => format!("known here: {}", known.join(", ")),
        };
        let secret = |key: &str| SECRET_KEYS.contains(&key);
        let harmless = meant.is_some_and(|m| !secret(m)) || (!elsewhere.is_empty() && !secret(word));
        if harmless && !may_hold_a_secret(word) {
            self.show(item);
        }
        let place = if section.name.is_empty() { String::new() } else { format!(" in [{}]", section.name) };
        let word = word.escape_debug();
        let message = if item.is_table() {
            format!("unknown section [{}]; {advice}", section.path(&word.to_string()))
        } else {
            format!("unknown {what} \"{word}\"{place}; {advice}")
        };
        section.misspelt.extend(meant);
        let at = section.table.key(&word.to_string()).and_then(|key| key.span());
        self.refuse(at.or_else(|| item.span()), section.path(&word.to_string()), message);
    }

    /// The value of `key`, which may be shown unless it is `secret`.
    pub(crate) fn entry(&mut self, section: &Section<'d>, key: &str) -> Option<Entry<'d>> {
        let item = section.table.get(key)?;
        if !SECRET_KEYS.contains(&key) {
            self.show(item);
        }
        Some(self.secret_entry(section, key)?)
    }

    /// As `entry`, never shown.
    pub(crate) fn secret_entry(&mut self, section: &Section<'d>, key: &str) -> Option<Entry<'d>> {
        let (name, item) = section.table.get_key_value(key)?;
        let at = item.span().or_else(|| name.span());
        Some(Entry { item, called: section.called(key), path: section.path(key), at })
    }

    /// Where the key stands.
    pub(crate) fn key_at(&self, section: &Section<'d>, key: &str) -> Option<Range<usize>> {
        section.table.key(key)?.span()
    }

    /// Says that `section` lacks `key`, unless a misspelt key was probably it.
    pub(crate) fn refuse_missing(&mut self, section: &Section<'d>, key: &str, example: &str) {
        if section.misspelt.contains(&key) {
            return;
        }
        let message = format!("{} lacks \"{key}\"; write for example: {example}", section.title());
        self.refuse(section.at.clone(), section.path(key), message);
    }

    pub(crate) fn is_misspelt(&self, section: &Section<'d>, key: &str) -> bool {
        section.misspelt.contains(&key)
    }

    pub(crate) fn refuse(&mut self, at: Option<Range<usize>>, key: impl Into<String>, message: impl Into<String>) {
        self.find(Severity::Error, at, key.into(), message.into());
    }

    pub(crate) fn warn(&mut self, at: Option<Range<usize>>, key: impl Into<String>, message: impl Into<String>) {
        self.find(Severity::Warning, at, key.into(), message.into());
    }

    fn find(&mut self, severity: Severity, at: Option<Range<usize>>, key: String, message: String) {
        // Keys come from the file, and a file can hold anything: nothing of it may steer a terminal.
        let plain = |text: String| text.replace(char::is_control, " ");
        self.found.push(Finding { severity, at, key: plain(key), message: plain(message) });
    }

    /// All that was found, in the order of the file.
    pub(crate) fn finish(mut self) -> Problems {
        self.found.sort_by_key(|f| f.at.as_ref().map_or(0, |at| at.start));
        let place = |at: &Range<usize>| excerpt::place(self.text, at, &self.visible);
        self.found
            .iter()
            .map(|finding| Problem {
                severity: finding.severity,
                file: self.file.to_owned(),
                place: finding.at.as_ref().map(place),
                key: finding.key.clone(),
                message: finding.message.clone(),
            })
            .collect()
    }

    fn show(&mut self, item: &Item) {
        if let Item::Value(value) = item {
            scalars_of(value, &mut self.visible.shown);
        } else if let Some(table) = item.as_table_like() {
            collect_scalars(table, &mut self.visible.shown);
        }
    }

    /// Takes back what `entry` allowed.
    pub(crate) fn hide(&mut self, at: &Option<Range<usize>>) {
        let Some(at) = at else { return };
        self.visible.shown.retain(|shown| shown.start < at.start || shown.end > at.end);
    }
}

/// What is wrong with a text that is not TOML at all.
pub(crate) fn syntax_problem(file: &str, text: &str, dialect: &Dialect, error: &TomlError) -> Problem {
    let harmless = |key: &str| {
        let mut keys = dialect.iter().flat_map(|(_, keys)| keys.iter().copied());
        let known = keys.clone().any(|k| k == key) || nearest(key, keys.by_ref()).is_some();
        known && !SECRET_KEYS.contains(&key) && !may_hold_a_secret(key)
    };
    let at = error.span().unwrap_or(0..0);
    let place: Place = excerpt::place_unparsed(text, &at, harmless);
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        place: Some(place),
        key: String::new(),
        message: format!("not TOML: {}", error.message().replace('\n', ", ")),
    }
}

/// A key that nobody knows, but whose name says that its value should not be shown.
fn may_hold_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["pass", "pw", "secret", "token", "key", "auth", "cred", "header", "cookie"];
    words.iter().any(|word| key.contains(word)) || nearest(&key, SECRET_KEYS.iter().copied()).is_some()
}

/// What a value is, in words; the value itself only if it may be quoted.
pub(crate) fn describe(item: &Item, quote: bool) -> String {
    let Item::Value(value) = item else {
        return match item {
            Item::ArrayOfTables(_) => "a list of sections ([[…]])".to_owned(),
            _ => "a section".to_owned(),
        };
    };
    let (article, kind) = match value {
        Value::String(_) => ("a", "string"),
        Value::Integer(_) => ("an", "integer"),
        Value::Float(_) => ("a", "float"),
        Value::Boolean(_) => ("a", "boolean"),
        Value::Datetime(_) => ("a", "date"),
        Value::Array(_) => ("a", "list"),
        Value::InlineTable(_) => ("a", "table"),
    };
    match value {
        _ if !quote => format!("{article} {kind}"),
        Value::String(text) => format!("the string \"{}\"", shorten(text.value())),
        Value::Integer(number) => format!("the integer {}", number.value()),
        Value::Float(number) => format!("the float {}", number.value()),
        Value::Boolean(truth) => format!("the boolean {}", truth.value()),
        Value::Datetime(date) => format!("the date {}", date.value()),
        _ => format!("{article} {kind}"),
    }
}

/// At most 60 characters, none of them invisible.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

fn collect_scalars(table: &dyn TableLike, into: &mut Vec<Range<usize>>) {
    for (_, item) in table.iter() {
        match item {
            Item::Value(value) => scalars_of(value, into),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|t| collect_scalars(t, into)),
            _ => {
                if let Some(table) = item.as_table_like() {
                    collect_scalars(table, into);
                }
            }
        }
    }
}

fn scalars_of(value: &Value, into: &mut Vec<Range<usize>>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| scalars_of(v, into)),
        Value::InlineTable(table) => collect_scalars(table, into),
        _ => into.extend(value.span()),
    }
}
