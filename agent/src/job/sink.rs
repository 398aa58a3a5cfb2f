//! `[sink]` of a native job. Pure.

use std::time::Duration;

use super::connection::{self, Connection};
use super::datasources::Datasources;
use super::index::{check_name, parse_index};
use super::native::{DAY, SECOND};
use super::nearest::nearest;
use super::reader::{Reader, Section};
use super::values::Text;
use crate::plan::{BootstrapPlan, BulkPlan, ElasticsearchPlan, IndexPlan, Routing};

pub(crate) const KEYS: &[&str] = &[
    "type",
    "endpoint",
    "endpoints",
    "datasource",
    "index",
    "fallback_index",
    "pipeline",
    "routing",
    "routing_field",
    "user",
    "password",
    "api_key",
    "bearer_token",
    "headers",
    "proxy",
    "park_for",
    "template",
    "template_name",
    "lifecycle",
    "lifecycle_name",
    "data_stream",
    "tls",
    "bulk",
];

/// `None` when something essential is missing or wrong (and reported).
pub(crate) fn read<'d>(
    reader: &mut Reader<'d>,
    section: &Section<'d>,
    job_id: &str,
    datasources: &Datasources,
) -> Option<ElasticsearchPlan> {
    if section.has("type") {
        reader.choice(section, "type", &[("elasticsearch", ())]);
    } else {
        reader.refuse_missing(section, "type", "type = \"elasticsearch\"");
    }
    let connection = read_connection(reader, section, datasources);
    let index = read_index(reader, section);
    let pipeline = reader.text(section, "pipeline").map(|text| text.value);
    let routing = read_routing(reader, section);
    let longest = DAY * 3650;
    let park_for = reader.duration_or_never(section, "park_for", SECOND..=longest, true);
    let bootstrap = read_bootstrap(reader, section, job_id);
    let bulk = read_bulk(reader, section);
    let Connection { endpoints, auth, tls, proxy, headers } = connection?;
    Some(ElasticsearchPlan {
        endpoints,
        index: index?,
        pipeline,
        routing,
        headers,
        auth,
        tls,
        proxy,
        bulk,
        park_for: park_for.flatten(),
        bootstrap,
    })
}

fn read_connection<'d>(
    reader: &mut Reader<'d>,
    section: &Section<'d>,
    datasources: &Datasources,
) -> Option<Connection> {
    if !section.has("datasource") {
        return connection::read(reader, section, "sink.tls");
    }
    for key in connection::KEYS.iter().filter(|key| section.has(key)) {
        let message = format!("{} is given by the datasource; keep \"{key}\" or \"datasource\"", section.called(key));
        reader.refuse(reader.key_at(section, key), section.path(key), message);
    }
    let name = reader.text(section, "datasource")?;
    if let Some(connection) = datasources.get(&name.value) {
        if connection.is_none() {
            let file = datasources.file().unwrap_or_default();
            let message =
                format!("{}: {} is refused for what is wrong in {file}", section.called("datasource"), name.quoted());
            reader.refuse(name.at, section.path("datasource"), message);
        }
        return connection.cloned();
    }
    let advice = match (datasources.file(), nearest(&name.value, datasources.names())) {
        (None, _) => "there is no datasources.toml".to_owned(),
        (Some(_), Some(meant)) => format!("did you mean \"{meant}\"?"),
        (Some(file), None) => {
            let names: Vec<&str> = datasources.names().collect();
            let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            format!("{file} knows {known}")
        }
    };
    let message = format!("{} names an unknown datasource {}; {advice}", section.called("datasource"), name.quoted());
    reader.refuse(name.at, section.path("datasource"), message);
    None
}

fn read_index<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<IndexPlan> {
    let fallback = reader.text(section, "fallback_index");
    if let Some(fallback) = &fallback
        && let Err(e) = check_name(&fallback.value)
    {
        let message = format!("{}: {} {e}", section.called("fallback_index"), fallback.quoted());
        reader.refuse(fallback.at.clone(), section.path("fallback_index"), message);
    }
    if !section.has("index") {
        reader.refuse_missing(section, "index", "index = \"logs-nginx\" or \"logs-%Y.%m.%d\"");
        return None;
    }
    let text = reader.text(section, "index")?;
    match parse_index(&text.value, fallback.as_ref().map(|f| f.value.as_str())) {
        Ok(IndexPlan::Literal(_)) if fallback.is_some() => {
            let message = format!("{} has no meaning: \"index\" is one fixed name", section.called("fallback_index"));
            reader.refuse(reader.key_at(section, "fallback_index"), section.path("fallback_index"), message);
            None
        }
        Ok(index) => Some(index),
        Err(e) => {
            let message = format!("{}: {} {e}", section.called("index"), text.quoted());
            reader.refuse(text.at, section.path("index"), message);
            None
        }
    }
}

fn read_routing<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<Routing> {
    let literal = reader.text(section, "routing").map(|text| Routing::Literal(text.value));
    let field = reader.text(section, "routing_field").map(|text| Routing::Field(text.value));
    if section.has("routing") && section.has("routing_field") {
        let message = "[sink] has both \"routing\" (one fixed value) and \"routing_field\" (a field's value); keep one";
        reader.refuse(reader.key_at(section, "routing_field"), "sink.routing_field", message);
    }
    literal.or(field)
}

fn read_bootstrap<'d>(reader: &mut Reader<'d>, section: &Section<'d>, job_id: &str) -> BootstrapPlan {
    let template = read_json(reader, section, "template", "template_name", job_id);
    let lifecycle = read_json(reader, section, "lifecycle", "lifecycle_name", job_id);
    let data_stream = reader.boolean(section, "data_stream").unwrap_or_default();
    BootstrapPlan { template, lifecycle, data_stream }
}

/// (name, text) of a JSON object in a file; the name is the job's id unless given.
fn read_json<'d>(
    reader: &mut Reader<'d>,
    section: &Section<'d>,
    key: &str,
    name_key: &str,
    job_id: &str,
) -> Option<(String, String)> {
    let name = reader.text(section, name_key);
    if section.has(name_key) && !section.has(key) && !reader.is_misspelt(section, key) {
        let message = format!("{} needs \"{key}\", the path of a JSON file, beside it", section.called(name_key));
        reader.refuse(reader.key_at(section, name_key), section.path(name_key), message);
    }
    let (_, content, file) = reader.file(section, key)?;
    let wrong = match serde_json::from_str::<serde_json::Value>(&content) {
        Ok(value) if value.is_object() => None,
        Ok(_) => Some("is JSON, but no object".to_owned()),
        Err(e) => Some(format!("is not JSON: {e}")),
    };
    if let Some(wrong) = wrong {
        let message = format!("{}: the file {} {wrong}", section.called(key), file.quoted());
        reader.refuse(file.at, section.path(key), message);
        return None;
    }
    let name = match &name {
        Some(name) => checked_name(reader, section, name_key, name)?,
        None => job_id.to_owned(),
    };
    Some((name, content))
}

/// A name that can stand in a URL's path.
fn checked_name<'d>(reader: &mut Reader<'d>, section: &Section<'d>, key: &str, name: &Text) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if name.value.chars().all(good) && !name.value.starts_with('_') {
        return Some(name.value.clone());
    }
    let message = format!(
        "{}: {} has other than letters, digits and . _ - @, or begins with _",
        section.called(key),
        name.quoted()
    );
    reader.refuse(name.at.clone(), section.path(key), message);
    None
}

fn read_bulk<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> BulkPlan {
    let default = BulkPlan::default();
    let Some(bulk) = reader.section(section, "bulk") else { return default };
    BulkPlan {
        max_bytes: reader.size(&bulk, "max_bytes", 64 << 10..=1 << 30).unwrap_or(default.max_bytes),
        linger: reader.duration(&bulk, "linger", Duration::ZERO..=60 * SECOND).unwrap_or(default.linger),
        compression: reader.integer(&bulk, "compression", 1..=9).unwrap_or(default.compression),
        max_in_flight: reader.integer(&bulk, "max_in_flight", 1..=256).map_or(default.max_in_flight, |n| n as usize),
        timeout: reader.duration(&bulk, "timeout", SECOND..=3600 * SECOND).unwrap_or(default.timeout),
        ordered: default.ordered,
    }
}
