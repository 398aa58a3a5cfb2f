//! Current sinks, `'connector' = 'elasticsearch-6'`, `-7`, `-8`:
//!
//! | option | what becomes of it |
//! |---|---|
//! | `hosts` | required; several are separated by `;` |
//! | `index` | required; see `index.rs` |
//! | `document-type` | required for 6, refused for 7 and 8 |
//! | `document-id.key-delimiter` | `_`; between the values of a composite key |
//! | `username`, `password` | both or neither |
//! | `failure-handler` | `fail`, `ignore`, `retry-rejected`: no effect, what Elasticsearch refuses becomes a dead letter and what can be sent again is |
//! | `sink.flush-on-checkpoint`, `sink.delivery-guarantee` | no effect: nothing is lost and nothing doubled |
//! | `sink.bulk-flush.max-size`, `.interval` | bytes of a request, how long rows wait; 0: the default |
//! | `sink.bulk-flush.max-actions`, `.max-buffered-actions`, `.backoff.*` | no effect: requests are bounded by bytes, and sent again for as long as it takes |
//! | `sink.bulk-flush.max-in-flight-actions` | requests at once |
//! | `sink.retry-on-conflicts`, `retry-on-conflict` | no effect: conflicts are sent again |
//! | `sink.update-mode` | own: `inc` (default, as Flink writes) or `full` |
//! | `connection.path-prefix` | behind every host |
//! | `socket.timeout` | of a request; 1 minute unless given |
//! | `connection.request-timeout`, `connection.timeout`, `connect.timeout` | no effect |
//! | `ssl.certificate-fingerprint` | of a certificate of the server's chain |
//! | `format` | only `json` |
//! | `routing-fields` | columns, separated by `;` |
//! | `sink.ignore-null-when-update` | NULLs are left out of documents |
//! | `sink.delete-strategy` | only `DELETE_ROW_ON_PK` |
//! | `sink.bulk-flush.update.doc_as_upsert`, `sink.parallelism` | no effect |
//! | `datasource` | a connection of `datasources.toml`, in place of hosts, username, password |
//! | `sink.late-rows.index` | own: see `index.rs` |

use std::time::Duration;

use super::super::connection::Connection;
use super::super::native::SECOND;
use super::index;
use super::options::Options;
use super::sinks::{Sink, Surroundings, column, connection};
use crate::plan::{BulkPlan, UpdateMode};
use crate::record::Type;

pub(super) const KEYS: &[&str] = &[
    "hosts",
    "index",
    "document-type",
    "document-id.key-delimiter",
    "username",
    "password",
    "failure-handler",
    "sink.flush-on-checkpoint",
    "sink.delivery-guarantee",
    "sink.bulk-flush.max-actions",
    "sink.bulk-flush.max-size",
    "sink.bulk-flush.interval",
    "sink.bulk-flush.backoff.strategy",
    "sink.bulk-flush.backoff.max-retries",
    "sink.bulk-flush.backoff.delay",
    "sink.bulk-flush.max-buffered-actions",
    "sink.bulk-flush.max-in-flight-actions",
    "sink.retry-on-conflicts",
    "retry-on-conflict",
    "sink.update-mode",
    "connection.path-prefix",
    "connection.request-timeout",
    "connection.timeout",
    "connect.timeout",
    "socket.timeout",
    "ssl.certificate-fingerprint",
    "format",
    "routing-fields",
    "sink.ignore-null-when-update",
    "sink.delete-strategy",
    "sink.bulk-flush.update.doc_as_upsert",
    "sink.parallelism",
    "datasource",
    index::LATE,
];

pub(super) fn read(
    options: &mut Options<'_, '_>,
    kind: &str,
    around: &Surroundings<'_>,
    columns: &[(String, Type)],
) -> Sink {
    options.check_keys(&[KEYS], &[("property-version", "it is of the oldest Flink; take it out")]);
    if kind == "elasticsearch" {
        let message = "write 'connector' = 'elasticsearch-6', 'elasticsearch-7' or 'elasticsearch-8'; type = 'elasticsearch' is the legacy one";
        options.refuse_value("connector", message.to_owned());
    }
    check_words(options);
    let mut connection = connection(options, around, ("hosts", "username", "password"));
    if let Some(connection) = &mut connection {
        reach(options, connection);
    }
    let index = index::read(options, around, columns);
    let omit_nulls = options.boolean("sink.ignore-null-when-update").unwrap_or(false);
    let modes = &[("inc", UpdateMode::Inc), ("full", UpdateMode::Full)];
    let delimiter = options.any_text("document-id.key-delimiter");
    Sink {
        connection,
        index,
        bulk: read_bulk(options),
        update: options.choice("sink.update-mode", modes).unwrap_or(UpdateMode::Inc),
        key_delimiter: delimiter.unwrap_or_else(|| "_".to_owned()),
        omit_nulls,
        routing: read_routing(options, columns),
        document_type: read_type(options, kind),
    }
}

/// Options of a few words whose promises are kept whatever they say.
fn check_words(options: &mut Options<'_, '_>) {
    let handlers = &[("fail", ()), ("ignore", ()), ("retry-rejected", ()), ("retry_rejected", ())];
    options.choice("failure-handler", handlers);
    options.boolean("sink.flush-on-checkpoint");
    let guarantees = &[("AT_LEAST_ONCE", ()), ("at-least-once", ()), ("NONE", ())];
    options.choice("sink.delivery-guarantee", guarantees);
    options.choice("sink.bulk-flush.backoff.strategy", &[("DISABLED", ()), ("CONSTANT", ()), ("EXPONENTIAL", ())]);
    options.choice("format", &[("json", ())]);
    options.choice("sink.delete-strategy", &[("DELETE_ROW_ON_PK", ())]);
    options.boolean("sink.bulk-flush.update.doc_as_upsert");
    for key in [
        "sink.bulk-flush.max-actions",
        "sink.bulk-flush.backoff.max-retries",
        "sink.bulk-flush.max-buffered-actions",
        "sink.parallelism",
    ] {
        options.integer(key, 0..=u64::from(u32::MAX));
    }
    let any = Duration::ZERO..=365 * 24 * 3600 * SECOND;
    for key in ["sink.bulk-flush.backoff.delay", "connection.request-timeout", "connection.timeout", "connect.timeout"]
    {
        options.duration(key, any.clone());
    }
    for key in ["sink.retry-on-conflicts", "retry-on-conflict"] {
        let value = options.any_text(key).filter(|text| text.trim().parse::<i32>().is_err());
        if value.is_some() {
            options.refuse_value(key, format!("{key} must be an integer"));
        } else if options.has(key) && options.table.primary_key.is_empty() {
            options.refuse_value(key, format!("{key} is for tables with a PRIMARY KEY"));
        }
    }
}

fn reach(options: &mut Options<'_, '_>, connection: &mut Connection) {
    if let Some((prefix, _)) = options.text("connection.path-prefix") {
        let prefix = prefix.trim_matches('/');
        connection.endpoints.iter_mut().for_each(|endpoint| *endpoint = format!("{endpoint}/{prefix}"));
    }
    let Some((text, _)) = options.text("ssl.certificate-fingerprint") else { return };
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        connection.tls.fingerprint = Some(hex.to_ascii_lowercase());
    } else {
        let message =
            "ssl.certificate-fingerprint must be a SHA-256 fingerprint, 64 hexadecimal digits with or without colons";
        options.refuse_value("ssl.certificate-fingerprint", message.to_owned());
    }
}

fn read_bulk(options: &mut Options<'_, '_>) -> BulkPlan {
    let default = BulkPlan::default();
    let size = options.flink_size("sink.bulk-flush.max-size", 64 << 10..=1 << 30);
    let interval = options.duration("sink.bulk-flush.interval", Duration::ZERO..=60 * SECOND);
    let at_once = options.integer("sink.bulk-flush.max-in-flight-actions", 1..=256);
    BulkPlan {
        max_bytes: size.filter(|bytes| *bytes > 0).unwrap_or(default.max_bytes),
        linger: interval.filter(|interval| *interval > Duration::ZERO).unwrap_or(default.linger),
        max_in_flight: at_once.and_then(|n| usize::try_from(n).ok()).unwrap_or(default.max_in_flight),
        timeout: options.duration("socket.timeout", SECOND..=3600 * SECOND).unwrap_or(default.timeout),
        compression: default.compression,
        ordered: default.ordered,
    }
}

fn read_type(options: &mut Options<'_, '_>, kind: &str) -> Option<String> {
    let name = options.text("document-type").map(|(name, _)| name);
    match kind {
        "elasticsearch-6" if !options.has("document-type") => {
            options.missing("document-type", "'document-type' = '_doc'")
        }
        "elasticsearch-7" | "elasticsearch-8" if name.is_some() => {
            let message = format!("document-type is for elasticsearch-6; {kind} has none, take it out");
            options.refuse_value("document-type", message);
        }
        _ => {}
    }
    name
}

fn read_routing(options: &mut Options<'_, '_>, columns: &[(String, Type)]) -> Vec<usize> {
    let Some((fields, name)) = options.list("routing-fields") else { return Vec::new() };
    let mut routing = Vec::new();
    for field in fields {
        match column(options, columns, &field) {
            Some(number) => routing.push(number),
            None => {
                let message = format!("routing-fields names {field}, which is no column of this table");
                options.report.at(&name, "routing-fields", message);
            }
        }
    }
    routing
}
