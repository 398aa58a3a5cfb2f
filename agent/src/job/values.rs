//! Typed values of a section: each getter gives the checked value, or `None` after saying what is wrong
//! (nothing is said when the key is not there). Pure.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::{Item, Value};

use super::nearest::nearest;
use super::quantity::{parse_duration, parse_size, show_duration, show_size};
use super::reader::{Entry, Reader, Section, describe, is_secret, shorten};
use super::variables::{self, Piece};
use crate::plan::{Secret, SecretSource};

/// A string with its references replaced.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) at: Option<Range<usize>>,
    /// As written in the file. Only this is ever quoted: what a reference stands for may be secret.
    written: String,
}

impl Text {
    /// The value is what stands in the file, so messages may tell it.
    pub(crate) fn is_literal(&self) -> bool {
        self.value == self.written
    }

    /// For messages.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", shorten(&self.written))
    }
}

impl<'d> Reader<'d> {
    /// A string that is not empty.
    pub(crate) fn text(&mut self, section: &Section<'d>, key: &str) -> Option<Text> {
        let entry = self.entry(section, key)?;
        let Item::Value(value) = entry.item else {
            return self.wrong_type(&entry, "a string");
        };
        self.expand(&entry, value, "a string")
    }

    /// A list of strings, or one string; not empty.
    pub(crate) fn texts(&mut self, section: &Section<'d>, key: &str) -> Option<Vec<Text>> {
        const EXPECTED: &str = "a list of strings";
        let entry = self.entry(section, key)?;
        match entry.item {
            Item::Value(Value::Array(list)) if list.is_empty() => {
                self.refuse(entry.at, entry.path, format!("{} is an empty list", entry.called));
                None
            }
            Item::Value(Value::Array(list)) => {
                let texts: Vec<_> = list.iter().map(|value| self.expand(&entry, value, EXPECTED)).collect();
                texts.into_iter().collect()
            }
            Item::Value(value @ Value::String(_)) => Some(vec![self.expand(&entry, value, EXPECTED)?]),
            _ => self.wrong_type(&entry, EXPECTED),
        }
    }

    fn expand(&mut self, entry: &Entry<'d>, value: &Value, expected: &str) -> Option<Text> {
        let at = value.span().or_else(|| entry.at.clone());
        let called = &entry.called;
        let Some(written) = value.as_str() else {
            let found = describe(&Item::Value(value.clone()), true);
            self.refuse(at, entry.path.clone(), format!("{called} must be {expected}, found {found}"));
            return None;
        };
        let value = self.substitute(&at, &entry.path, called, written)?;
        if value.is_empty() {
            self.refuse(at, entry.path.clone(), format!("{called} is empty"));
            return None;
        }
        Some(Text { value, at, written: written.to_owned() })
    }

    /// `written` with its references replaced.
    pub(crate) fn substitute(
        &mut self,
        at: &Option<Range<usize>>,
        path: &str,
        called: &str,
        written: &str,
    ) -> Option<String> {
        let outside = self.outside;
        let text = match variables::pieces(written) {
            Ok(pieces) => pieces.iter().map(|piece| outside.resolve(piece)).collect(),
            Err(e) => Err(format!("it has {e}")),
        };
        text.map_err(|e: String| self.refuse(at.clone(), path, format!("{called}: {e}"))).ok()
    }

    /// A secret: never shown, never quoted; a file or credential that is the whole value is remembered as such.
    pub(crate) fn secret(&mut self, section: &Section<'d>, key: &str) -> Option<Secret> {
        let entry = self.secret_entry(section, key)?;
        let Some(written) = entry.item.as_str() else {
            let found = describe(entry.item, false);
            let message = format!("{} must be a string, found {found}", entry.called);
            self.refuse(entry.at, entry.path, message);
            return None;
        };
        let pieces = variables::pieces(written);
        let from_file = match pieces.as_deref() {
            Ok([piece]) => self.outside.secret_file(piece),
            _ => Ok(None),
        };
        match from_file {
            Ok(Some(path)) => return Some(Secret { from: SecretSource::File(path) }),
            Ok(None) => {}
            Err(e) => {
                self.refuse(entry.at, entry.path, format!("{}: {e}", entry.called));
                return None;
            }
        }
        let value = self.substitute(&entry.at, &entry.path, &entry.called, written)?;
        if value.is_empty() {
            self.refuse(entry.at, entry.path, format!("{} is empty", entry.called));
            return None;
        }
        if value.contains(char::is_control) {
            let message = format!("{} has a line break or another control character in it", entry.called);
            self.refuse(entry.at, entry.path, message);
            return None;
        }
        let literal = matches!(pieces.as_deref(), Ok([Piece::Text(_)]));
        let harmless = if key == "proxy" { !value.contains('@') } else { !is_secret(key) };
        if literal && self.outside.exposed && !harmless {
            let message = format!(
                "{} stands in a file that every user of this machine can read; put it into a file of its own (chmod 600) and write {key} = \"${{file:PATH}}\", or chmod 600 this one",
                entry.called
            );
            self.warn(entry.at, entry.path, message);
        }
        Some(Secret::literal(value))
    }

    pub(crate) fn boolean(&mut self, section: &Section<'d>, key: &str) -> Option<bool> {
        let entry = self.entry(section, key)?;
        match entry.item.as_bool() {
            Some(truth) => Some(truth),
            None => self.wrong_type(&entry, "true or false"),
        }
    }

    pub(crate) fn integer(&mut self, section: &Section<'d>, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let entry = self.entry(section, key)?;
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        let number = entry.item.as_integer().and_then(|n| u32::try_from(n).ok());
        match number.filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => self.wrong_type(&entry, &expected),
        }
    }

    /// Bytes.
    pub(crate) fn size(&mut self, section: &Section<'d>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        const EXPECTED: &str = "a size like \"64 MiB\" or a number of bytes";
        let entry = self.entry(section, key)?;
        let bytes = match entry.item {
            Item::Value(Value::Integer(n)) => {
                u64::try_from(*n.value()).map_err(|_| "a size is never negative".to_owned())
            }
            Item::Value(value @ Value::String(_)) => {
                let text = self.expand(&entry, value, EXPECTED)?;
                parse_size(&text.value).map_err(|e| self.advice(&text, &e))
            }
            _ => return self.wrong_type(&entry, EXPECTED),
        };
        let bytes = self.checked(&entry, EXPECTED, bytes)?;
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let expected = format!("from {} to {}", show_size(*range.start()), show_size(*range.end()));
        self.wrong_type(&entry, &expected)
    }

    pub(crate) fn duration(
        &mut self,
        section: &Section<'d>,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.duration_or_never(section, key, range, false).flatten()
    }

    /// `Some(None)` is "never".
    pub(crate) fn duration_or_never(
        &mut self,
        section: &Section<'d>,
        key: &str,
        range: RangeInclusive<Duration>,
        never: bool,
    ) -> Option<Option<Duration>> {
        let expected = if never {
            "a duration like \"200ms\" or \"5s\", or \"never\""
        } else {
            "a duration like \"200ms\" or \"5s\""
        };
        let entry = self.entry(section, key)?;
        let text = match entry.item {
            Item::Value(value @ Value::String(_)) => self.expand(&entry, value, expected)?,
            Item::Value(Value::Integer(n)) => {
                let which = parse_duration(&n.value().unsigned_abs().to_string());
                return self.checked(&entry, expected, which.map(|_| None));
            }
            _ => return self.wrong_type(&entry, expected),
        };
        if never && text.value == "never" {
            return Some(None);
        }
        let duration = parse_duration(&text.value).map_err(|e| self.advice(&text, &e));
        let duration = self.checked(&entry, expected, duration)?;
        if range.contains(&duration) {
            return Some(Some(duration));
        }
        let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
        let never = if never { ", or \"never\"" } else { "" };
        self.wrong_type(&entry, &format!("from {least} to {most}{never}"))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        section: &Section<'d>,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(section, key)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*meaning);
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = match known.as_slice() {
            [only] => only.clone(),
            known => format!("one of {}", known.join(", ")),
        };
        let meant = nearest(&text.written, words.iter().map(|(word, _)| *word));
        let meant = meant.map(|m| format!("; did you mean \"{m}\"?")).unwrap_or_default();
        let called = section.called(key);
        let message = format!("{called} must be {expected}, found {}{meant}", text.quoted());
        self.refuse(text.at, section.path(key), message);
        None
    }

    /// A path, made absolute from the file's folder.
    pub(crate) fn path(&mut self, section: &Section<'d>, key: &str) -> Option<PathBuf> {
        let text = self.text(section, key)?;
        Some(self.outside.absolute(&text.value))
    }

    /// A file's path and text, checked to be readable.
    pub(crate) fn file(&mut self, section: &Section<'d>, key: &str) -> Option<(PathBuf, String, Text)> {
        let text = self.text(section, key)?;
        let path = self.outside.absolute(&text.value);
        match (self.outside.read)(&path) {
            Ok(content) => Some((path, content, text)),
            Err(e) => {
                let (called, quoted) = (section.called(key), text.quoted());
                let message = format!("{called}: the file {quoted} can't be read: {e}");
                self.refuse(text.at, section.path(key), message);
                None
            }
        }
    }

    fn wrong_type<T>(&mut self, entry: &Entry<'d>, expected: &str) -> Option<T> {
        let found = describe(entry.item, true);
        let message = format!("{} must be {expected}, found {found}", entry.called);
        self.refuse(entry.at.clone(), entry.path.clone(), message);
        None
    }

    /// The value, else what is wrong with it after its `advice`.
    fn checked<T>(&mut self, entry: &Entry<'d>, expected: &str, value: Result<T, String>) -> Option<T> {
        let found = describe(entry.item, true);
        let refusal = |advice| format!("{} must be {expected}, found {found}; {advice}", entry.called);
        value.map_err(|e| self.refuse(entry.at.clone(), entry.path.clone(), refusal(e))).ok()
    }

    /// Advice that may quote the value only if the value is what is written in the file.
    fn advice(&self, text: &Text, advice: &str) -> String {
        if text.is_literal() { advice.to_owned() } else { "what it stands for is none".to_owned() }
    }
}
