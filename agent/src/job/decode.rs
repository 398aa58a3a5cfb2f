//! `[decode]` of a native job. Pure.

use std::ops::Range;

use serde_json::Value as Json;
use toml_edit::{Item, Value};

use super::reader::{Reader, Section};
use super::values::Text;
use crate::plan::{DecodePlan, Format};

pub(crate) const KEYS: &[&str] = &["format", "fields", "timestamp", "timestamp_formats", "host"];

/// Fields that the agent writes into every document.
const OWN_FIELDS: &[&str] = &["@timestamp", "message", "log", "host"];

/// `structured`: the source's records have fields of their own (a Logstore's logs).
pub(crate) fn read<'d>(reader: &mut Reader<'d>, section: &Section<'d>, structured: bool) -> DecodePlan {
    if structured {
        for key in ["format", "host"].into_iter().filter(|key| section.has(key)) {
            let message = match key {
                "format" => "is for lines; the logs of a Logstore have fields",
                _ => "has no meaning for a Logstore: whoever reads a log makes the same document of it",
            };
            reader.refuse(reader.key_at(section, key), section.path(key), format!("{} {message}", section.called(key)));
        }
    }
    let formats = &[("raw", Format::Raw), ("json", Format::Json)];
    let known = reader.choice(section, "format", formats);
    let format = known.unwrap_or(Format::Raw);
    let timestamp_field = reader.text(section, "timestamp");
    let timestamp_formats = reader.texts(section, "timestamp_formats");
    for text in timestamp_formats.iter().flatten() {
        check_format(reader, section, text);
    }
    let wrong_format = !structured && (known == Some(Format::Raw) || !section.has("format"));
    for key in ["timestamp", "timestamp_formats"] {
        if section.has(key) && wrong_format {
            let message = format!("{} needs format = \"json\": a raw line has no fields", section.called(key));
            reader.refuse(reader.key_at(section, key), section.path(key), message);
        }
    }
    if section.has("timestamp_formats") && !section.has("timestamp") && !wrong_format {
        let message =
            format!("{} needs \"timestamp\", the field to read, beside it", section.called("timestamp_formats"));
        reader.refuse(reader.key_at(section, "timestamp_formats"), section.path("timestamp_formats"), message);
    }
    DecodePlan {
        format,
        fields: read_fields(reader, section),
        timestamp_field: timestamp_field.map(|text| text.value),
        timestamp_formats: timestamp_formats.into_iter().flatten().map(|t| t.value).collect(),
        host: reader.text(section, "host").map(|text| text.value),
    }
}

/// A format that can't write a time can't read one either.
fn check_format<'d>(reader: &mut Reader<'d>, section: &Section<'d>, text: &Text) {
    let some_time = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    if text.value.contains('%') && jiff::fmt::strtime::format(&text.value, &some_time).is_ok() {
        return;
    }
    let message = format!(
        "{} must be strptime formats like \"%d/%b/%Y:%H:%M:%S %z\", found {}",
        section.called("timestamp_formats"),
        text.quoted()
    );
    reader.refuse(text.at.clone(), section.path("timestamp_formats"), message);
}

fn read_fields<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Vec<(String, Json)> {
    let Some((table, names)) = reader.open_free(section, "fields") else { return Vec::new() };
    let mut fields = Vec::new();
    for name in names {
        let Some(entry) = reader.entry(&table, name) else { continue };
        let first = name.split('.').next().unwrap_or(name);
        if name.is_empty() || OWN_FIELDS.contains(&first) {
            let message = if name.is_empty() {
                format!("a field in [{}] has an empty name", table.name)
            } else {
                format!("{} is written by the agent itself; choose another name", table.called(name))
            };
            reader.refuse(reader.key_at(&table, name), table.path(name), message);
            continue;
        }
        let json = reader.json(&entry.at, &entry.path, &entry.called, entry.item);
        fields.extend(json.map(|json| (name.to_owned(), json)));
    }
    fields
}

impl Reader<'_> {
    fn json(&mut self, at: &Option<Range<usize>>, path: &str, called: &str, item: &Item) -> Option<Json> {
        match item {
            Item::Value(value) => self.json_of_value(at, path, called, value),
            Item::ArrayOfTables(tables) => {
                let items = tables.iter().map(|table| {
                    let item = Item::Table(table.clone());
                    self.json(at, path, called, &item)
                });
                items.collect::<Option<Vec<_>>>().map(Json::Array)
            }
            Item::Table(table) => {
                let members = table.iter().map(|(name, item)| {
                    let at = item.span().or_else(|| at.clone());
                    Some((name.to_owned(), self.json(&at, path, called, item)?))
                });
                members.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
            }
            Item::None => None,
        }
    }

    fn json_of_value(&mut self, at: &Option<Range<usize>>, path: &str, called: &str, value: &Value) -> Option<Json> {
        match value {
            Value::String(text) => self.substitute(at, path, called, text.value()).map(Json::String),
            Value::Integer(number) => Some(Json::from(*number.value())),
            Value::Boolean(truth) => Some(Json::Bool(*truth.value())),
            Value::Datetime(date) => Some(Json::String(date.value().to_string())),
            Value::Float(number) => {
                let json = serde_json::Number::from_f64(*number.value()).map(Json::Number);
                if json.is_none() {
                    let message = format!("{called} is {}, which JSON does not have", number.value());
                    self.refuse(at.clone(), path, message);
                }
                json
            }
            Value::Array(list) => {
                let items = list.iter().map(|value| self.json_of_value(at, path, called, value));
                items.collect::<Option<Vec<_>>>().map(Json::Array)
            }
            Value::InlineTable(table) => {
                let members = table
                    .iter()
                    .map(|(name, value)| Some((name.to_owned(), self.json_of_value(at, path, called, value)?)));
                members.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
            }
        }
    }
}
