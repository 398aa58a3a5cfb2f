//! What an agent runs with: answer to `GET /config`, and its form for people.
//!
//! Promises: nothing in it is secret; the agent has put [`MASK`] in the place of what may be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stands where a secret was.
pub const MASK: &str = "***";

/// Answer to `GET /config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// Of `splashdam serve`; a `splashdam run` has none.
    pub service: Option<FileSettings>,
    pub jobs: Vec<JobConfiguration>,
}

/// What one file sets, with what holds where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSettings {
    pub file: String,
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobConfiguration {
    pub id: String,
    /// Empty: it is not known.
    pub file: String,
    pub settings: Vec<Setting>,
    /// Of a job in SQL.
    pub script: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Dotted: `sink.bulk.linger`.
    pub key: String,
    /// As it was written: references to variables and files stay references.
    pub value: Value,
    /// Where it comes from if not from the file, e.g. `default`.
    pub from: Option<String>,
}

impl Configuration {
    /// As text: TOML with remarks where a value comes from, scripts as they are. `faint` paints remarks.
    pub fn in_words(&self, faint: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        if let Some(service) = &self.service {
            text.push_str(&format!("{}\n", faint(&format!("# the service: {}", plain(&service.file)))));
            settings_in_words(&service.settings, &faint, &mut text);
        }
        for job in &self.jobs {
            if !text.is_empty() {
                text.push('\n');
            }
            let file = if job.file.is_empty() { String::new() } else { format!(": {}", plain(&job.file)) };
            let (mark, id) = (if job.script.is_some() { "--" } else { "#" }, &job.id);
            text.push_str(&format!("{}\n", faint(&format!("{mark} job {id}{file}"))));
            match &job.script {
                Some(script) => {
                    for setting in &job.settings {
                        let remark =
                            format!("-- {} = {}{}", plain(&setting.key), toml(&setting.value), remark(setting));
                        text.push_str(&format!("{}\n", faint(&remark)));
                    }
                    text.extend(
                        script.trim_end().chars().map(|c| if matches!(c, '\n' | '\t') { c } else { harmless(c) }),
                    );
                    text.push('\n');
                }
                None => settings_in_words(&job.settings, &faint, &mut text),
            }
        }
        text
    }
}

/// Sections as files have them; others come behind.
const ORDER: [&str; 9] =
    ["", "source", "source.tls", "decode", "sink", "sink.headers", "sink.tls", "sink.bulk", "buffer"];

fn settings_in_words(settings: &[Setting], faint: &impl Fn(&str) -> String, into: &mut String) {
    let mut section = "";
    let of = |setting: &Setting| setting.key.rsplit_once('.').map_or(String::new(), |(section, _)| section.to_owned());
    let mut names: Vec<String> = Vec::new();
    for name in settings.iter().map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // In the order in which data walks through them; what stands in no section, first.
    let rank = |name: &String| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len());
    names.sort_by_key(rank);
    for name in &names {
        if name != section {
            into.push_str(&format!("[{}]\n", plain(name)));
            section = name;
        }
        for setting in settings.iter().filter(|setting| of(setting) == *name) {
            let key = setting.key.rsplit('.').next().unwrap_or_default();
            let line = format!("{} = {}", toml_key(key), toml(&setting.value));
            let remark = remark(setting);
            let remark = if remark.is_empty() { remark } else { faint(&remark) };
            into.push_str(&format!("{line}{remark}\n"));
        }
    }
}

fn remark(setting: &Setting) -> String {
    setting.from.as_ref().map_or_else(String::new, |from| format!("  # {}", plain(from)))
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_owned() } else { toml(&Value::String(key.to_owned())) }
}

/// JSON's strings are TOML's, too.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", toml_key(key), toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => plain(&other.to_string()),
    }
}

/// What somebody wrote into a file must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(harmless).collect()
}

fn harmless(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_by_section_with_where_they_come_from() {
        let setting = |key: &str, value: Value, from: Option<&str>| Setting {
            key: key.to_owned(),
            value,
            from: from.map(str::to_owned),
        };
        let web = JobConfiguration {
            id: "web".to_owned(),
            file: "/etc/splashdam/jobs.d/web.toml".to_owned(),
            settings: vec![
                setting("source.paths", serde_json::json!(["/var/log/*.log"]), None),
                setting("sink.password", Value::String(MASK.to_owned()), None),
                setting("id", Value::String("web".to_owned()), Some("default")),
                setting("sink.fields", serde_json::json!({ "a b": [1, true] }), None),
            ],
            script: None,
        };
        let counts = JobConfiguration {
            id: "counts".to_owned(),
            script: Some("SELECT '\u{1b}x';\n\n".to_owned()),
            ..JobConfiguration::default()
        };
        let shown = Configuration { service: None, jobs: vec![web, counts] }.in_words(str::to_owned);
        let want = "\
# job web: /etc/splashdam/jobs.d/web.toml
id = \"web\"  # default
[source]
paths = [\"/var/log/*.log\"]
[sink]
password = \"***\"
fields = { \"a b\" = [1, true] }

-- job counts
SELECT '\u{fffd}x';
";
        assert_eq!(shown, want);
    }
}
