//! Legacy sinks, `type = 'elasticsearch'`:
//!
//! | option | what becomes of it |
//! |---|---|
//! | `endPoint` | required; several are separated by `;` |
//! | `accessId`, `accessKey` | user and password; both or neither |
//! | `index` | required; with `dynamicIndex` the beginning of the names |
//! | `typeName` | mapping type, for Elasticsearch 6; above it must be `_doc` |
//! | `updateMode` | `full` (default) replaces a document, `inc` changes the fields that are there |
//! | `dynamicIndex`, `indexField`, `indexInterval` | an index per day (`d`, `yyyyMMdd`), month (`m`) or week (`w`, `yyyyMMW`) of a TIMESTAMP, DATE or LONG (milliseconds) column |
//! | `timeout` | of a request, in milliseconds; 1 minute unless given |
//! | `bufferSize`, `multiThread` | no effect: requests are bounded by bytes and sent by several at once |
//! | `maxRetryTimes` | no effect: what can be sent again is sent again until it is taken |
//! | `ignoreWriteError` | no effect: what Elasticsearch refuses becomes a dead letter, others flow |
//! | `compression` | `true`; bodies are always gzip |
//! | `datasource` | a connection of `datasources.toml`, in place of endPoint, accessId, accessKey |
//! | `sink.late-rows.index` | own: see `index.rs` |
//! | `discovery` | only `false` |
//! | `settings`, `mapping` | refused: they belong in an index template |

use std::time::Duration;

use super::super::index::check_name;
use super::super::native::SECOND;
use super::index::{self, fallback_of};
use super::options::Options;
use super::sinks::{Sink, Surroundings, column, connection};
use crate::plan::{BulkPlan, RowIndex, RowIndexPart, UpdateMode};
use crate::record::Type;

pub(super) const KEYS: &[&str] = &[
    "endPoint",
    "accessId",
    "accessKey",
    "index",
    "typeName",
    "bufferSize",
    "maxRetryTimes",
    "timeout",
    "discovery",
    "compression",
    "multiThread",
    "ignoreWriteError",
    "updateMode",
    "dynamicIndex",
    "indexField",
    "indexInterval",
    "datasource",
    index::LATE,
];
const REFUSED: &[(&str, &str)] = &[
    ("settings", "put the settings into an index template of the cluster"),
    ("mapping", "put the mapping into an index template of the cluster"),
];

pub(super) fn read(options: &mut Options<'_, '_>, around: &Surroundings<'_>, columns: &[(String, Type)]) -> Sink {
    options.check_keys(&[KEYS], REFUSED);
    let default = BulkPlan::default();
    let connection = connection(options, around, ("endPoint", "accessId", "accessKey"));
    let update = options.choice("updateMode", &[("full", UpdateMode::Full), ("inc", UpdateMode::Inc)]);
    let timeout = options.integer("timeout", 1_000..=3_600_000).map(Duration::from_millis);
    options.integer("bufferSize", 1..=u64::from(u32::MAX));
    options.integer("maxRetryTimes", 0..=u64::from(u32::MAX));
    options.boolean("multiThread");
    options.boolean("ignoreWriteError");
    if options.boolean("compression") == Some(false) {
        options.warn_value("compression", "bodies are gzip all the same, which every version takes".to_owned());
    }
    if options.boolean("discovery") == Some(true) {
        let message = "discovery of a cluster's nodes is not in this version; name several in endPoint, separated by ;";
        options.refuse_value("discovery", message.to_owned());
    }
    Sink {
        connection,
        index: read_index(options, around, columns),
        bulk: BulkPlan { timeout: timeout.unwrap_or(default.timeout).clamp(SECOND, 3600 * SECOND), ..default },
        update: update.unwrap_or(UpdateMode::Full),
        key_delimiter: "_".to_owned(),
        omit_nulls: false,
        routing: Vec::new(),
        document_type: options.text("typeName").map(|(name, _)| name),
    }
}

fn read_index(
    options: &mut Options<'_, '_>,
    around: &Surroundings<'_>,
    columns: &[(String, Type)],
) -> Option<RowIndex> {
    if !options.has("index") {
        options.missing("index", "index = 'logs'");
        return None;
    }
    let (name, at) = options.text("index")?;
    if let Err(e) = check_name(&name) {
        options.report.at(&at, "index", format!("index: the name {e}"));
        return None;
    }
    if options.boolean("dynamicIndex") != Some(true) {
        for key in ["indexField", "indexInterval"] {
            if options.has(key) && !options.has("dynamicIndex") {
                options.refuse_value(key, format!("{key} has no meaning without dynamicIndex = 'true'"));
            }
        }
        return Some(RowIndex::Literal(name));
    }
    let intervals = &[("d", "yyyyMMdd"), ("m", "yyyyMM"), ("w", "yyyyMMW")];
    let pattern = options.choice("indexInterval", intervals).unwrap_or("yyyyMMdd").to_owned();
    if !options.has("indexField") {
        options.missing("indexField", "indexField = 'ts'");
        return None;
    }
    let (field, at) = options.text("indexField")?;
    let Some(number) = column(options, columns, &field) else {
        options.report.at(&at, "indexField", format!("indexField names {field}, which is no column of this table"));
        return None;
    };
    let right = |ty: &Type| matches!(ty, Type::Timestamp(_) | Type::TimestampLtz(_) | Type::Date | Type::BigInt);
    if let Some((_, ty)) = columns.get(number).filter(|(_, ty)| !right(ty)) {
        options.report.at(
            &at,
            "indexField",
            format!("indexField must be a TIMESTAMP, DATE or LONG column, {field} is {ty}"),
        );
        return None;
    }
    let parts = vec![
        RowIndexPart::Literal(name.clone()),
        RowIndexPart::Date { column: number, pattern, zone: around.zone.clone() },
    ];
    Some(RowIndex::Template { parts, fallback: fallback_of(&name), prefix: name })
}
