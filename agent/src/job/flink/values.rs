//! Typed values of a table's options: each getter gives the checked value, or `None` after saying what is wrong
//! (nothing is said when the option is not there). Values that may be secret are never quoted.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::nearest::nearest;
use super::super::quantity::{parse_duration, parse_size, show_duration, show_size};
use super::super::reader::shorten;
use super::super::variables::{self, Piece};
use super::options::Options;
use super::shown::is_secret_key;
use crate::plan::{Secret, SecretSource};
use crate::sql::script::{Name, Setting};

impl Options<'_, '_> {
    fn wrong<T>(&mut self, setting: &Setting, what: &str) -> Option<T> {
        let key = &setting.key.text;
        let found = if is_secret_key(key) { String::new() } else { format!(", found '{}'", shorten(&setting.value.text)) };
        self.report.at(&setting.value, key, format!("{key} must be {what}{found}"));
        None
    }

    /// Says what is wrong with the value of `key`.
    pub(super) fn refuse_value(&mut self, key: &str, message: String) {
        if let Some(setting) = self.get(key).cloned() {
            self.report.at(&setting.value, key, message);
        }
    }

    pub(super) fn warn_value(&mut self, key: &str, message: String) {
        if let Some(setting) = self.get(key).cloned() {
            self.report.warn_at(&setting.value, key, message);
        }
    }

    fn resolve(&mut self, setting: &Setting) -> Option<String> {
        let outside = self.report.outside;
        let text: Result<String, String> = match variables::pieces(&setting.value.text) {
            Ok(pieces) => pieces.iter().map(|piece| outside.resolve(piece)).collect(),
            Err(e) => Err(format!("it has {e}")),
        };
        let key = setting.key.text.clone();
        text.map_err(|e| self.report.at(&setting.value, &key, format!("{key}: {e}"))).ok()
    }

    /// The value with its references replaced; it may be empty.
    pub(super) fn any_text(&mut self, key: &str) -> Option<String> {
        let setting = self.get(key)?.clone();
        self.resolve(&setting)
    }

    /// A text that is not empty, and its name in the script.
    pub(super) fn text(&mut self, key: &str) -> Option<(String, Name)> {
        let setting = self.get(key)?.clone();
        let text = self.resolve(&setting)?;
        if text.is_empty() {
            self.report.at(&setting.value, key, format!("{key} is empty"));
            return None;
        }
        Some((text, setting.value))
    }

    /// Parts between semicolons.
    pub(super) fn list(&mut self, key: &str) -> Option<(Vec<String>, Name)> {
        let (text, name) = self.text(key)?;
        let parts: Vec<String> = text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if parts.is_empty() {
            self.report.at(&name, key, format!("{key} is empty"));
            return None;
        }
        Some((parts, name))
    }

    /// A secret: never shown, never quoted; a file or credential that is the whole value is remembered as such.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        let setting = self.get(key)?.clone();
        let pieces = variables::pieces(&setting.value.text);
        let from_file = match pieces.as_deref() {
            Ok([piece]) => self.report.outside.secret_file(piece),
            _ => Ok(None),
        };
        match from_file {
            Ok(Some(path)) => return Some(Secret { from: SecretSource::File(path) }),
            Ok(None) => {}
            Err(e) => {
                self.report.at(&setting.value, key, format!("{key}: {e}"));
                return None;
            }
        }
        let value = self.resolve(&setting)?;
        if value.is_empty() || value.contains(char::is_control) {
            let what = if value.is_empty() { "is empty" } else { "has a line break or another control character in it" };
            self.report.at(&setting.value, key, format!("{key} {what}"));
            return None;
        }
        if matches!(pieces.as_deref(), Ok([Piece::Text(_)])) && self.report.outside.exposed {
            let message = format!(
                "{key} stands in a file that every user of this machine can read; put it into a file of its own (chmod 600) and write {key} = '${{file:PATH}}', or chmod 600 this one"
            );
            self.report.warn_at(&setting.value, key, message);
        }
        Some(Secret::literal(value))
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let setting = self.get(key)?.clone();
        match self.resolve(&setting)?.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => self.wrong(&setting, "true or false"),
        }
    }

    pub(super) fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let setting = self.get(key)?.clone();
        let number = self.resolve(&setting)?.trim().parse::<u64>().ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(&setting, &format!("an integer from {} to {}", range.start(), range.end())),
        }
    }

    /// Bytes, as in native jobs.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let setting = self.get(key)?.clone();
        match parse_size(&self.resolve(&setting)?) {
            Ok(bytes) if range.contains(&bytes) => Some(bytes),
            Ok(_) => self.wrong(&setting, &format!("from {} to {}", show_size(*range.start()), show_size(*range.end()))),
            Err(advice) => self.wrong(&setting, &format!("a size like 64 MiB ({advice})")),
        }
    }

    /// Bytes as Flink writes them: all units are powers of 1024. 0 is allowed: none.
    pub(super) fn flink_size(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let setting = self.get(key)?.clone();
        let text = self.resolve(&setting)?.trim().to_ascii_lowercase();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor: Option<u64> = match unit.trim() {
            "" | "b" | "bytes" => Some(1),
            "k" | "kb" | "kibibytes" => Some(1 << 10),
            "m" | "mb" | "mebibytes" => Some(1 << 20),
            "g" | "gb" | "gibibytes" => Some(1 << 30),
            _ => None,
        };
        let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        match bytes {
            Some(bytes) if bytes == 0 || range.contains(&bytes) => Some(bytes),
            Some(_) => self.wrong(&setting, &format!("from {} to {}", show_size(*range.start()), show_size(*range.end()))),
            None => self.wrong(&setting, "a size like 2mb"),
        }
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.duration_or_never(key, range, false).flatten()
    }

    /// `Some(None)` is "never". Flink's blank between number and unit is allowed.
    pub(super) fn duration_or_never(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        never: bool,
    ) -> Option<Option<Duration>> {
        let setting = self.get(key)?.clone();
        let text = self.resolve(&setting)?.trim().to_owned();
        if never && text == "never" {
            return Some(None);
        }
        let zero = (text == "0").then_some(Duration::ZERO);
        match zero.map_or_else(|| parse_duration(&text), Ok) {
            Ok(duration) if range.contains(&duration) => Some(Some(duration)),
            Ok(_) => {
                let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
                self.wrong(&setting, &format!("from {least} to {most}"))
            }
            Err(advice) => self.wrong(&setting, &format!("a duration like 200ms or 5s ({advice})")),
        }
    }

    /// One of a few words, whatever their case.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&'static str, T)]) -> Option<T> {
        let setting = self.get(key)?.clone();
        let text = self.resolve(&setting)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim())) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = nearest(&setting.value.text, known.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
        self.wrong(&setting, &format!("one of {}{meant}", known.join(", ")))
    }

    /// One character; `\t` and the like are written out.
    pub(super) fn character(&mut self, key: &str) -> Option<char> {
        let setting = self.get(key)?.clone();
        let text = self.resolve(&setting)?;
        let text = match text.as_str() {
            "\\t" => "\t",
            "\\\\" => "\\",
            other => other,
        };
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => Some(c),
            _ => self.wrong(&setting, "one character"),
        }
    }
}
