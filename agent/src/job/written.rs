//! What stands in a file, with nothing in it that may be secret: for `splashctl config show` and the support bundle.
//!
//! Promises: the value of a secret key, all variables, and what looks like a URL with credentials are stars; references
//! (`${env:NAME}`, `${file:PATH}`) stay references, so that nothing of what they stand for is here; there are no comments.
//! Reads no file.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use splashdam_api::MASK;
use toml_edit::{Document, Item, TableLike, Value};

use super::flink;
use super::reader::is_secret;

/// A file as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) file: PathBuf,
    /// Dotted keys with their values, in the file's order.
    pub(crate) settings: Vec<(String, Json)>,
    /// Of a SQL job.
    pub(crate) script: Option<String>,
}

/// A file that was taken for a job.
#[derive(Clone, Debug)]
pub(crate) struct JobFile {
    /// Of the job in it; of a refused file its stem.
    pub(crate) id: String,
    /// Why there is no job of it.
    pub(crate) refused: Option<String>,
    pub(crate) written: Written,
}

/// Files as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// The service's own, and what holds where it says nothing.
    pub(crate) service: Option<(Written, Vec<(&'static str, serde_json::Value)>)>,
    pub(crate) jobs: Vec<JobFile>,
    /// Named connections.
    pub(crate) datasources: Vec<Written>,
}

impl Files {
    /// The file of a good job.
    pub(crate) fn of(&self, id: &str) -> Option<&Written> {
        self.jobs.iter().find(|job| job.id == id && job.refused.is_none()).map(|job| &job.written)
    }
}

/// Names under which every value may be secret.
const HIDDEN: &[&str] = &["headers", "vars"];

impl Written {
    /// `None`: nothing can be made of it, and so nothing of it is shown.
    pub(crate) fn of(path: &Path, text: &str) -> Option<Written> {
        let file = path.to_owned();
        if path.extension().is_some_and(|extension| extension == "sql") {
            return Some(Written { file, script: Some(flink::without_secrets(text)), ..Written::default() });
        }
        let document = Document::parse(text).ok()?;
        let mut settings = Vec::new();
        of_table(document.as_table(), "", false, &mut settings);
        Some(Written { file, settings, script: None })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }
}

fn of_table(table: &dyn TableLike, name: &str, hidden: bool, into: &mut Vec<(String, Json)>) {
    for (key, item) in table.iter() {
        let path = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        let hidden = hidden || HIDDEN.contains(&key);
        match item {
            Item::None => {}
            Item::Table(inner) => of_table(inner, &path, hidden, into),
            // Of a connection each key is to be found by its name, however the table was written.
            Item::Value(Value::InlineTable(inner)) if key != "fields" => of_table(inner, &path, hidden, into),
            Item::Value(value) => into.push((path, shown(key, value, hidden))),
            Item::ArrayOfTables(_) => into.push((path, Json::String(MASK.to_owned()))),
        }
    }
}

fn shown(key: &str, value: &Value, hidden: bool) -> Json {
    let mask = || Json::String(MASK.to_owned());
    if let Value::String(text) = value
        && is_reference(text.value())
    {
        return Json::String(text.value().clone());
    }
    if hidden || is_secret(key) {
        return mask();
    }
    match value {
        Value::String(text) if has_credentials(text.value()) => mask(),
        Value::String(text) => Json::String(text.value().clone()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Json::from(*number.value()),
        Value::Boolean(truth) => Json::from(*truth.value()),
        Value::Datetime(date) => Json::String(date.value().to_string()),
        Value::Array(list) => list.iter().map(|value| shown(key, value, hidden)).collect(),
        Value::InlineTable(table) => {
            let of = |(key, value): (&str, &Value)| (key.to_owned(), shown(key, value, hidden));
            Json::Object(table.iter().map(of).collect())
        }
    }
}

/// Wholly a reference: where a secret lies is none.
fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let kinds = ["env:", "file:", "credential:"];
    inner.is_some_and(|inner| !inner.contains(['{', '}']) && kinds.iter().any(|kind| inner.starts_with(kind)))
}

fn has_credentials(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String)> {
        let written = Written::of(Path::new("/etc/web.toml"), text).unwrap();
        written.settings.into_iter().map(|(key, value)| (key, value.to_string())).collect()
    }

    #[test]
    fn what_may_be_secret_is_stars_and_references_stay() {
        let text = "id = \"shop\" # hush\n[sink]\nuser = \"u\"\npassword = \"hush\"\napi_key = \"${env:KEY}\"\nbearer_token = \"x${env:KEY}hush\"\n\
            proxy = \"http://u:hush@p:1\"\nheaders = { X-Trace = \"hush\", Y = \"${file:/k}\" }\nurls = [\"http://u:hush@h\", \"http://h\"]\n\
            tls = { ca_file = \"ca.pem\", key_file = \"k.pem\" }\n[vars]\nplace = \"hush\"\n[decode]\nfields = { a = 1, token = \"hush\" }\n";
        let written = Written::of(Path::new("/etc/web.toml"), text).unwrap();
        let pairs = shown(text);
        assert!(!format!("{written:?}").contains("hush"), "{pairs:?}");
        for (key, value) in [
            ("sink.user", "\"u\""),
            ("sink.password", "\"***\""),
            ("sink.api_key", "\"${env:KEY}\""),
            ("sink.bearer_token", "\"***\""),
            ("sink.proxy", "\"***\""),
            ("sink.headers.X-Trace", "\"***\""),
            ("sink.headers.Y", "\"${file:/k}\""),
            ("sink.urls", "[\"***\",\"http://h\"]"),
            ("sink.tls.ca_file", "\"ca.pem\""),
            ("sink.tls.key_file", "\"k.pem\""),
            ("vars.place", "\"***\""),
            ("decode.fields", "{\"a\":1,\"token\":\"***\"}"),
        ] {
            assert!(pairs.contains(&(key.to_owned(), value.to_owned())), "{key} = {value}: {pairs:?}");
        }
    }

    #[test]
    fn of_a_script_secret_options_and_comments_are_stars() {
        let text = "-- hush\nCREATE TABLE t (a INT) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'http://h:9200',\n\
            'username' = 'u', 'password' = 'hush', 'index' = 'i');\nINSERT INTO t SELECT 1;\n";
        let written = Written::of(Path::new("/etc/counts.sql"), text).unwrap();
        let script = written.script.unwrap();
        assert!(!script.contains("hush"), "{script}");
        assert!(script.contains("'hosts' = 'http://h:9200'") && script.contains("'password' = ***"), "{script}");
        assert!(script.ends_with("INSERT INTO t SELECT 1;\n") && script.starts_with("***\nCREATE"), "{script}");
    }

    #[test]
    fn of_what_is_not_toml_nothing_is_shown() {
        assert_eq!(Written::of(Path::new("/etc/web.toml"), "password = hush"), None);
    }
}
