//! Walks a parsed TOML file section by section, against a table of known keys, and gathers everything that is
//! wrong on the way. It does no I/O, and it alone decides which values may be seen in an excerpt: those that
//! were asked for as something that is not secret.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, TomlError, Value};

use super::excerpt::{self, Visible};
use super::nearest::{nearest, nearest_key};
use super::problem::{Problem, Problems, Severity};
use super::variables::Outside;

/// The keys of a kind of file, by section; the section without name is the top level.
pub(crate) type Dialect = [(&'static str, &'static [&'static str])];

/// Keys whose values are never shown.
pub(crate) const SECRET_KEYS: &[&str] = &["password", "api_key", "bearer_token", "headers", "proxy"];

/// Problems said of one file; who has more has given the wrong file.
const MOST_FOUND: usize = 100;

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
    /// Keys that a misspelt key probably meant, and that key; they are not reported missing as well.
    misspelt: Vec<(&'static str, String)>,
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

    pub(crate) fn names(&self) -> Vec<String> {
        self.table.iter().map(|(name, _)| name.to_owned()).collect()
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
        let mut scalars = Vec::new();
        collect_scalars(document.as_table(), &mut scalars);
        let visible = Visible::new(scalars);
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

    /// As `section`, read against the known keys of `kind`. A section whose name is misspelt is read as well, so
    /// that what is wrong in it is said at the same time.
    pub(crate) fn section_of_kind(
        &mut self,
        parent: &Section<'d>,
        key: &str,
        kind: &'static str,
    ) -> Option<Section<'d>> {
        let misspelt = parent.misspelt.iter().find(|(meant, _)| *meant == key && !parent.has(key));
        let written = misspelt.map_or(key, |(_, word)| word.as_str());
        let (table, at) = self.table(parent, written)?;
        Some(self.open(table, kind, parent.path(&shorten(written)), at))
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
        let meant = nearest_key(word, known);
        let elsewhere = self.elsewhere(section, word);
        let advice = match meant {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if !elsewhere.is_empty() => format!("it belongs in {}", elsewhere.join(" or ")),
            None => format!("known here: {}", known.join(", ")),
        };
        let of_harmless_key = meant.or((!elsewhere.is_empty()).then_some(word)).is_some_and(|key| !is_secret(key));
        if of_harmless_key && !is_secret(word) {
            self.show(item);
        }
        section.misspelt.extend(meant.map(|meant| (meant, word.to_owned())));
        let at = section.table.key(word).and_then(|key| key.span()).or_else(|| item.span());
        let word = shorten(word);
        let message = if item.is_table() {
            format!("unknown section [{}]; {advice}", section.path(&word))
        } else {
            format!("unknown key {}; {advice}", section.called(&word))
        };
        self.refuse(at, section.path(&word), message);
    }

    /// The other sections that know `word`.
    fn elsewhere(&self, section: &Section<'d>, word: &str) -> Vec<String> {
        let others = self.dialect.iter().filter(|(name, keys)| *name != section.name && keys.contains(&word));
        others.map(|(name, _)| if name.is_empty() { "the top level".to_owned() } else { format!("[{name}]") }).collect()
    }

    /// The value of `key`, which may be shown unless it is `secret`.
    pub(crate) fn entry(&mut self, section: &Section<'d>, key: &str) -> Option<Entry<'d>> {
        let item = section.table.get(key)?;
        if !SECRET_KEYS.contains(&key) {
            self.show(item);
        }
        self.secret_entry(section, key)
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
        if self.is_misspelt(section, key) {
            return;
        }
        let message = format!("{} lacks \"{key}\"; write for example: {example}", section.title());
        self.refuse(section.at.clone(), section.path(key), message);
    }

    pub(crate) fn is_misspelt(&self, section: &Section<'d>, key: &str) -> bool {
        section.misspelt.iter().any(|(meant, _)| *meant == key)
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
        let left_out = self.found.len().saturating_sub(MOST_FOUND);
        let problems = self.found.iter().take(MOST_FOUND).map(|finding| Problem {
            severity: finding.severity,
            file: self.file.to_owned(),
            place: finding.at.as_ref().map(|at| excerpt::place(self.text, at, &self.visible)),
            key: finding.key.clone(),
            message: finding.message.clone(),
        });
        let more = (left_out > 0).then(|| Problem::of_file(self.file, format!("and {left_out} more like these")));
        problems.chain(more).collect()
    }

    /// How many of what was found refuse the file.
    pub(crate) fn errors(&self) -> usize {
        self.found.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    fn show(&mut self, item: &Item) {
        let mut scalars = Vec::new();
        scalars_of_item(item, &mut scalars);
        self.visible.show(scalars);
    }

    /// Takes back what `entry` allowed.
    pub(crate) fn hide(&mut self, at: &Option<Range<usize>>) {
        if let Some(at) = at {
            self.visible.hide(at);
        }
    }
}

/// What is wrong with a text that is not TOML at all.
pub(crate) fn syntax_problem(file: &str, text: &str, dialect: &Dialect, error: &TomlError) -> Problem {
    let known = |word: &str| nearest(word, dialect.iter().flat_map(|(_, keys)| keys.iter().copied())).is_some();
    let at = error.span().unwrap_or(0..0);
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        place: Some(excerpt::place_unparsed(text, &at, known, is_secret)),
        key: String::new(),
        message: format!("not TOML: {}", in_our_words(error.message())),
    }
}

/// The parser's messages that people meet most, said more plainly.
fn in_our_words(message: &str) -> String {
    const PLAINLY: &[(&str, &str)] = &[
        ("string values must be quoted", "a string must stand in quotes"),
        ("invalid basic string", "the string is not closed by its \"\\\"\" on this line"),
        ("invalid literal string", "the string is not closed by its \"'\" on this line"),
        ("missing comma between array elements", "a comma is missing here, or the list's \"]\" before it"),
        ("unclosed array", "the list's \"]\" is missing"),
        ("unclosed table", "the section's \"]\" is missing"),
        ("key with no value", "this is no key = value"),
        ("duplicate key", "this was already given above"),
        ("unexpected key or value", "only one key = value belongs on a line"),
    ];
    let plainly = PLAINLY.iter().find(|(theirs, _)| message.starts_with(theirs));
    plainly.map_or_else(|| message.replace('\n', ", "), |(_, ours)| (*ours).to_owned())
}

/// A key whose value is not to be shown: a secret one, or an unknown one whose name says so.
pub(crate) fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let known = key == "key_file";
    let words = ["pass", "pw", "secret", "token", "key", "auth", "cred", "header", "cookie"];
    !known && (words.iter().any(|word| lower.contains(word)) || nearest(&lower, SECRET_KEYS.iter().copied()).is_some())
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
    table.iter().for_each(|(_, item)| scalars_of_item(item, into));
}

fn scalars_of_item(item: &Item, into: &mut Vec<Range<usize>>) {
    match item {
        Item::None => {}
        Item::Value(value) => scalars_of(value, into),
        Item::Table(table) => collect_scalars(table, into),
        Item::ArrayOfTables(tables) => tables.iter().for_each(|table| collect_scalars(table, into)),
    }
}

fn scalars_of(value: &Value, into: &mut Vec<Range<usize>>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| scalars_of(v, into)),
        Value::InlineTable(table) => collect_scalars(table, into),
        _ => into.extend(value.span()),
    }
}
