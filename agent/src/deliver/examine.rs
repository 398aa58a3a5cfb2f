//! Asks a cluster how it is and what it makes of an index, changing nothing: for the doctor and for who searches.
//!
//! Promises: what the cluster does not tell us (for want of rights, or in its version) is `None`, and no failure; a
//! refused search is told in the cluster's own words. Judges nothing.

use serde_json::{Value, json};

use super::client::{Client, Failure, Reply, encoded};
use super::refusal;
use crate::plan::ElasticsearchPlan;

/// Answers about mappings and hits may be longer than others; so many items' worth.
const LONG: u32 = 4000;

/// Asks by the connection of a sink, at its first endpoint that answers.
pub(crate) struct Examiner {
    client: Client,
}

/// How the cluster is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    /// `green`, `yellow`, `red`.
    pub(crate) status: Option<String>,
    pub(crate) active_shards: Option<u64>,
    pub(crate) data_nodes: Option<u64>,
    /// By the settings, newest word first: what is set, else the default.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) disks: Vec<Disk>,
}

/// The disk of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Disk {
    pub(crate) node: String,
    pub(crate) available: u64,
    pub(crate) total: u64,
}

/// An index as it is, or as a template would make it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IndexState {
    pub(crate) name: String,
    /// It is not there yet: this is what its template says.
    pub(crate) to_come: bool,
    /// `index.blocks.…` that are on, and `closed`.
    pub(crate) blocks: Vec<String>,
    pub(crate) fields_limit: Option<u64>,
    pub(crate) mapping: Mapping,
}

/// Fields by their dotted names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) fields: Vec<Field>,
    /// What becomes of fields that are not there: `true`, `false`, `strict`, `runtime`.
    pub(crate) dynamic: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Field {
    pub(crate) path: String,
    /// `object` for one with fields of its own.
    pub(crate) kind: String,
    pub(crate) format: Option<String>,
    /// Of an object that has its own.
    pub(crate) dynamic: Option<String>,
}

impl Condition {
    /// A cluster setting by its dotted name.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Examiner {
    pub(crate) fn new(plan: ElasticsearchPlan) -> Examiner {
        Examiner { client: Client::new(plan) }
    }

    /// The cluster's clock in unix seconds: what it says in `_cat/health`, else an HTTP `Date`.
    pub(crate) async fn clock(&self) -> Option<i64> {
        let reply = self.client.ask("GET", "/_cat/health?h=epoch&format=json", None, 0).await.ok()?;
        let rows: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let epoch = rows.pointer("/0/epoch").and_then(whole).and_then(|seconds| i64::try_from(seconds).ok());
        // Elasticsearch itself sends no `Date`; what is before it does, and is asked where we may not ask the cluster.
        let dated = || Some(jiff::fmt::rfc2822::parse(reply.date.as_deref()?).ok()?.timestamp().as_second());
        epoch.or_else(dated)
    }

    pub(crate) async fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        if let Some(health) = self.value("/_cluster/health", 0).await {
            condition.status = health.get("status").and_then(Value::as_str).map(str::to_owned);
            condition.active_shards = health.get("active_shards").and_then(Value::as_u64);
            condition.data_nodes = health.get("number_of_data_nodes").and_then(Value::as_u64);
        }
        let settings = "/_cluster/settings?include_defaults=true&filter_path=*.cluster.max_shards_per_node,\
                        *.cluster.routing.allocation.disk,*.cluster.blocks";
        if let Some(settings) = self.value(settings, 0).await {
            condition.settings = settings_of(&settings);
        }
        let disks = self.value("/_cat/allocation?format=json&bytes=b&h=node,disk.avail,disk.total", 1000).await;
        condition.disks =
            disks.iter().flat_map(|rows| rows.as_array().into_iter().flatten()).filter_map(disk).collect();
        condition
    }

    /// The indices of a name or pattern, or what a template would make of it. `None`: nothing is known.
    pub(crate) async fn indices(&self, name: &str) -> Option<Vec<IndexState>> {
        let path = format!("/{}/_mapping", encoded(name));
        let reply = self.client.ask("GET", &path, None, LONG).await.ok()?;
        let there: Value = match serde_json::from_slice(&reply.body) {
            Ok(mappings) if reply.is_success() => mappings,
            _ if reply.status == 404 => json!({}),
            _ => return None,
        };
        let there = there.as_object().filter(|there| !there.is_empty());
        let Some(there) = there else { return Some(self.to_come(name).await.into_iter().collect()) };
        let settings = self.value(&format!("/{}/_settings?flat_settings=true", encoded(name)), LONG).await;
        let of = |index: &str| settings.as_ref().and_then(|all| all.get(index)?.get("settings"));
        let mapped = there.iter().filter(|(_, answer)| answer.get("mappings").is_some());
        Some(mapped.map(|(index, mapping)| state(index, mapping, of(index))).collect())
    }

    /// What an index of this name would be, where the cluster can say.
    async fn to_come(&self, name: &str) -> Option<IndexState> {
        let one = name.replace('*', "x");
        let path = format!("/_index_template/_simulate_index/{}", encoded(&one));
        let reply = self.client.ask("POST", &path, None, LONG).await.ok()?;
        let answer: Value = serde_json::from_slice(&reply.body).ok().filter(|_| reply.is_success())?;
        let template = answer.get("template")?;
        let named = template.get("mappings").is_some_and(|mappings| mappings.get("properties").is_some());
        named.then(|| IndexState { to_come: true, ..state(name, template, None) })
    }

    /// Hits as the cluster gives them.
    ///
    /// # Errors
    /// Its refusal, or that of the network, as a sentence.
    pub(crate) async fn search(&self, index: &str, query: &str, limit: u32) -> Result<Value, String> {
        let asked = json!({
            "query": { "query_string": { "query": query } },
            "size": limit,
            "track_total_hits": true,
        });
        let path = format!("/{}/_search", encoded(index));
        let reply = self.client.ask("POST", &path, Some(asked.to_string().into_bytes()), LONG).await;
        let reply = reply.map_err(|failure| match failure {
            Failure::Settings(why) => why,
            other => format!("Elasticsearch does not answer: {other}"),
        })?;
        if reply.is_success() && reply.body.is_empty() {
            return Err("the answer is too long to be taken in: ask for fewer with --limit".to_owned());
        }
        match serde_json::from_slice(&reply.body) {
            Ok(answer) if reply.is_success() => Ok(answer),
            _ => Err(refusal_of(&reply)),
        }
    }

    /// The answer to a question, if there is one.
    async fn value(&self, path: &str, items: u32) -> Option<Value> {
        let reply = self.client.ask("GET", path, None, items).await.ok()?;
        serde_json::from_slice(&reply.body).ok().filter(|_| reply.is_success())
    }
}

/// Why, as the cluster says it; of a query that can't be read, the cause of it.
fn refusal_of(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let causes = ["/error/failed_shards/0/reason", "/error/root_cause/0", "/error"];
    let told = match causes.iter().find_map(|path| body.pointer(path)) {
        Some(cause) => refusal::read(&cause.to_string(), reply.status).1.to_string(),
        None => refusal::bare(reply.status, &reply.body).to_string(),
    };
    // A parser goes on with all that it had rather seen.
    told.lines().next().unwrap_or_default().to_owned()
}

/// Dotted names of all that is set, before all defaults.
fn settings_of(answer: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for level in ["transient", "persistent", "defaults"] {
        flatten(answer.get(level).unwrap_or(&Value::Null), "", &mut all);
    }
    all
}

fn flatten(value: &Value, name: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(value, &path, into);
            }
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        Value::Number(_) | Value::Bool(_) => into.push((name.to_owned(), value.to_string())),
        Value::Null | Value::Array(_) => {}
    }
}

fn disk(row: &Value) -> Option<Disk> {
    let text = |key: &str| row.get(key).and_then(whole);
    let node = row.get("node")?.as_str()?.to_owned();
    Some(Disk { node, available: text("disk.avail")?, total: text("disk.total").filter(|total| *total > 0)? })
}

/// A number, or one in quotes.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn state(index: &str, answer: &Value, settings: Option<&Value>) -> IndexState {
    let on = |(key, value): (&String, &Value)| {
        let name = key.strip_prefix("index.blocks.")?;
        (value == "true" || *value == true).then(|| name.to_owned())
    };
    let settings = settings.and_then(Value::as_object);
    let limit = settings.and_then(|all| whole(all.get("index.mapping.total_fields.limit")?));
    IndexState {
        name: index.to_owned(),
        to_come: false,
        blocks: settings.into_iter().flatten().filter_map(on).collect(),
        fields_limit: limit,
        mapping: answer.get("mappings").map(mapping).unwrap_or_default(),
    }
}

/// Until version 6 a type stands in between.
fn mapping(mappings: &Value) -> Mapping {
    let typed = mappings.as_object().filter(|map| map.len() == 1).and_then(|map| map.values().next());
    let typed = typed.filter(|inner| mappings.get("properties").is_none() && inner.get("properties").is_some());
    let root = typed.unwrap_or(mappings);
    let mut fields = Vec::new();
    properties(root, "", &mut fields);
    Mapping { fields, dynamic: word(root.get("dynamic")).unwrap_or_else(|| "true".to_owned()) }
}

fn properties(of: &Value, name: &str, into: &mut Vec<Field>) {
    for (key, field) in of.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        let kind = field.get("type").and_then(Value::as_str).unwrap_or("object").to_owned();
        let format = field.get("format").and_then(Value::as_str).map(str::to_owned);
        into.push(Field { path: path.clone(), kind, format, dynamic: word(field.get("dynamic")) });
        properties(field, &path, into);
    }
}

/// `true` or `"true"`.
fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_with_and_without_a_type() {
        let properties = json!({ "a": { "type": "long" }, "o": { "dynamic": "strict", "properties": { "t": { "type": "date", "format": "x" } } } });
        let plain = mapping(&json!({ "dynamic": false, "properties": properties }));
        let field = |path: &str, kind: &str| Field { path: path.to_owned(), kind: kind.to_owned(), ..Field::default() };
        let expected = [
            field("a", "long"),
            Field { dynamic: Some("strict".to_owned()), ..field("o", "object") },
            Field { format: Some("x".to_owned()), ..field("o.t", "date") },
        ];
        assert_eq!((plain.fields.as_slice(), plain.dynamic.as_str()), (&expected[..], "false"));
        let typed = mapping(&json!({ "_doc": { "properties": properties } }));
        assert_eq!((typed.fields.as_slice(), typed.dynamic.as_str()), (&expected[..], "true"));
        assert_eq!(mapping(&json!({})).fields, []);
    }

    #[test]
    fn what_is_set_goes_before_defaults() {
        let answer = json!({
            "persistent": { "cluster": { "max_shards_per_node": "5" } },
            "defaults": { "cluster": { "max_shards_per_node": "1000", "routing": { "allocation": { "disk": {
                "watermark": { "low": "85%", "flood_stage.max_headroom": "100GB" }, "threshold_enabled": true } } } } },
        });
        let condition = Condition { settings: settings_of(&answer), ..Condition::default() };
        assert_eq!(condition.setting("cluster.max_shards_per_node"), Some("5"));
        assert_eq!(condition.setting("cluster.routing.allocation.disk.watermark.low"), Some("85%"));
        assert_eq!(
            condition.setting("cluster.routing.allocation.disk.watermark.flood_stage.max_headroom"),
            Some("100GB")
        );
    }

    #[test]
    fn a_refused_query_is_told_by_its_cause() {
        let body = json!({ "error": { "root_cause": [{ "type": "query_shard_exception", "reason": "Failed to parse query [a:]" }],
            "type": "search_phase_execution_exception", "reason": "all shards failed" }, "status": 400 });
        let reply = Reply { status: 400, body: body.to_string().into_bytes(), ..Reply::default() };
        assert_eq!(refusal_of(&reply), "query_shard_exception (400): Failed to parse query [a:]");
    }
}
