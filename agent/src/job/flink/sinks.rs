//! Sink tables: their kind, and how rows become documents.

use super::super::Datasources;
use super::super::connection::{Connection, check_url};
use super::super::nearest::nearest;
use super::options::Options;
use super::{connector, index, legacy};
use crate::plan::{
    Auth, BootstrapPlan, BulkPlan, ElasticsearchPlan, IndexPlan, RowIndex, RowsPlan, SinkPlan, SinkTarget, TlsPlan,
    UpdateMode,
};
use crate::record::Type;
use crate::sql::script::{ColumnKind, Name};

/// What a sink's options can't say.
pub(super) struct Surroundings<'s> {
    pub(super) datasources: &'s Datasources,
    /// The script's time zone.
    pub(super) zone: &'s jiff::tz::TimeZone,
    /// Rows come once and stay.
    pub(super) append: bool,
    /// What is inserted is computed with windows, for which a row can come too late.
    pub(super) windows: bool,
    /// A source of such rows has this column, whose name documents of late rows need.
    pub(super) taken: Option<String>,
}

/// What the two dialects say of rows and requests.
pub(super) struct Sink {
    pub(super) connection: Option<Connection>,
    pub(super) index: Option<RowIndex>,
    pub(super) bulk: BulkPlan,
    pub(super) update: UpdateMode,
    pub(super) key_delimiter: String,
    pub(super) omit_nulls: bool,
    pub(super) routing: Vec<usize>,
    pub(super) document_type: Option<String>,
}

/// The sink; its table's number is put in by who knows it.
pub(super) fn read(mut options: Options<'_, '_>, around: &Surroundings<'_>) -> Option<SinkPlan> {
    let (kind, name) = options.kind()?;
    let columns = columns(&mut options, kind.starts_with("elasticsearch"));
    let table = options.table.name.text.clone();
    let late = kind.starts_with("elasticsearch").then(|| index::read_late(&mut options, around)).flatten();
    match kind.as_str() {
        "print" | "blackhole" => {
            let why = "rows are printed as they are";
            let no_index = "late rows need an index, and there is none";
            let refused = [("print-identifier", why), ("standard-error", why), (index::LATE, no_index)];
            options.check_keys(&[&["sink.parallelism"]], &refused);
            let target = if kind == "print" { SinkTarget::Print } else { SinkTarget::Blackhole };
            Some(SinkPlan { name: table, table: 0, target, rows: plain_rows(&options, columns), late })
        }
        "elasticsearch" | "elasticsearch-6" | "elasticsearch-7" | "elasticsearch-8" => {
            let sink = if options.has("connector") {
                connector::read(&mut options, &kind, around, &columns)
            } else {
                legacy::read(&mut options, around, &columns)
            };
            elasticsearch(&options, table, columns, sink, late)
        }
        _ => {
            refuse_kind(&mut options, &kind, &name);
            None
        }
    }
}

fn refuse_kind(options: &mut Options<'_, '_>, kind: &str, value: &Name) {
    let message = match kind {
        "filesystem" | "file" | "stdin" => {
            format!("{kind} can only be read in this version; the sinks are elasticsearch-7, print and blackhole")
        }
        "sls" => {
            "Log Service (sls) can't be written to in this version; the sinks are elasticsearch-7, print and blackhole"
                .to_owned()
        }
        _ if kind.contains("kafka") => {
            "Kafka can't be written to in this version; the sinks are elasticsearch-7, print and blackhole".to_owned()
        }
        _ => {
            let meant = nearest(kind, ["elasticsearch-7", "elasticsearch", "print", "blackhole"]);
            let advice = meant.map_or_else(
                || "the sinks are elasticsearch-6, elasticsearch-7, elasticsearch-8, print and blackhole".to_owned(),
                |m| format!("did you mean {m}?"),
            );
            format!("this version knows no sink of this kind; {advice}")
        }
    };
    options.report.at(value, "connector", message);
}

/// The columns that are written.
fn columns(options: &mut Options<'_, '_>, to_elasticsearch: bool) -> Vec<(String, Type)> {
    let table = options.table;
    let mut columns = Vec::new();
    for column in &table.columns {
        match &column.kind {
            ColumnKind::Physical(ty) => columns.push((column.name.text.clone(), ty.clone())),
            ColumnKind::Computed(_) | ColumnKind::Metadata { is_virtual: true, .. } => {}
            ColumnKind::Metadata { .. } => {
                let message = format!(
                    "a sink has no metadata {}; write VIRTUAL behind it, or take the column out",
                    column.name.text
                );
                options.report.at(&column.name, "", message);
            }
        }
    }
    if let (Some(partition), true) = (table.partitioned_by.first(), to_elasticsearch) {
        let message = "PARTITIONED BY has no meaning for Elasticsearch; an index per day is written 'index' = 'logs-{ts|yyyy-MM-dd}'";
        options.report.at(partition, "", message.to_owned());
    }
    columns
}

/// The number of a column among those that are written.
pub(super) fn column(options: &Options<'_, '_>, columns: &[(String, Type)], name: &str) -> Option<usize> {
    let exact = columns.iter().position(|(other, _)| other == name);
    exact.or_else(|| columns.iter().position(|(other, _)| options.legacy && other.eq_ignore_ascii_case(name)))
}

fn key(options: &Options<'_, '_>, columns: &[(String, Type)]) -> Vec<usize> {
    let names: Vec<String> = options.table.primary_key.iter().map(|name| name.text.clone()).collect();
    let mut key: Vec<usize> = names.iter().filter_map(|name| column(options, columns, name)).collect();
    // The id has the key's values in the order in which the table declares the columns.
    key.sort_unstable();
    key
}

fn plain_rows(options: &Options<'_, '_>, columns: Vec<(String, Type)>) -> RowsPlan {
    RowsPlan {
        key: key(options, &columns),
        columns,
        key_delimiter: "_".to_owned(),
        update: UpdateMode::Full,
        omit_nulls: false,
        index: RowIndex::Literal(String::new()),
        routing: Vec::new(),
        document_type: None,
        compression: BulkPlan::default().compression,
        iso_timestamps: false,
        retry_on_conflict: None,
    }
}

fn elasticsearch(
    options: &Options<'_, '_>,
    name: String,
    columns: Vec<(String, Type)>,
    sink: Sink,
    late: Option<RowIndex>,
) -> Option<SinkPlan> {
    let Connection { endpoints, auth, tls, proxy, headers } = sink.connection?;
    let index = sink.index?;
    let rows = RowsPlan {
        key_delimiter: sink.key_delimiter,
        update: sink.update,
        omit_nulls: sink.omit_nulls,
        routing: sink.routing,
        document_type: sink.document_type,
        compression: sink.bulk.compression,
        index: index.clone(),
        ..plain_rows(options, columns)
    };
    // The rows choose their indices; the connection's own is where they go otherwise.
    let fallback = match index {
        RowIndex::Literal(name) => name,
        RowIndex::Template { fallback, .. } => fallback,
    };
    let plan = ElasticsearchPlan {
        endpoints,
        index: IndexPlan::Literal(fallback),
        pipeline: None,
        routing: None,
        headers,
        auth,
        tls,
        proxy,
        bulk: sink.bulk,
        park_for: None,
        bootstrap: BootstrapPlan::default(),
    };
    Some(SinkPlan { name, table: 0, target: SinkTarget::Elasticsearch(Box::new(plan)), rows, late })
}

/// The connection: `datasource`, else what the keys say, each by its name in the dialect.
pub(super) fn connection(
    options: &mut Options<'_, '_>,
    around: &Surroundings<'_>,
    keys: (&'static str, &'static str, &'static str),
) -> Option<Connection> {
    let (hosts, user, password) = keys;
    if options.has("datasource") {
        for key in [hosts, user, password].into_iter().filter(|key| options.has(key)).collect::<Vec<_>>() {
            options.refuse_value(key, format!("{key} is given by the datasource; keep {key} or datasource"));
        }
        return datasource(options, around.datasources);
    }
    let endpoints = endpoints(options, hosts);
    let auth = auth(options, user, password);
    Some(Connection { endpoints: endpoints?, auth, tls: TlsPlan::default(), proxy: None, headers: Vec::new() })
}

fn datasource(options: &mut Options<'_, '_>, datasources: &Datasources) -> Option<Connection> {
    let (name, at) = options.text("datasource")?;
    match datasources.get(&name) {
        Some(Some(connection)) => return Some(connection.clone()),
        Some(None) => {
            let file = datasources.file().unwrap_or_default();
            options.report.at(&at, "datasource", format!("the datasource is refused for what is wrong in {file}"));
        }
        None => {
            let advice = match (datasources.file(), nearest(&name, datasources.names())) {
                (None, _) => "there is no datasources.toml".to_owned(),
                (Some(_), Some(meant)) => format!("did you mean {meant}?"),
                (Some(file), None) => format!("it is not in {file}"),
            };
            options.report.at(&at, "datasource", format!("unknown datasource; {advice}"));
        }
    }
    None
}

fn endpoints(options: &mut Options<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    if !options.has(key) {
        options.missing(key, &format!("'{key}' = 'http://127.0.0.1:9200'"));
        return None;
    }
    let (urls, name) = options.list(key)?;
    let mut endpoints = Some(Vec::new());
    for url in urls {
        match check_url(&url) {
            Ok(portless) => {
                if portless {
                    let message = format!("{key} has no port, so 80 is used; Elasticsearch usually listens on 9200");
                    options.report.warn_at(&name, key, message);
                }
                endpoints.iter_mut().for_each(|list| list.push(url.trim_end_matches('/').to_owned()));
            }
            Err(why) => {
                options.report.at(&name, key, format!("{key}: {why}"));
                endpoints = None;
            }
        }
    }
    endpoints
}

fn auth(options: &mut Options<'_, '_>, user: &'static str, password: &'static str) -> Auth {
    for (one, other) in [(user, password), (password, user)] {
        if options.has(one) && !options.has(other) {
            options.refuse_value(one, format!("{one} needs {other} beside it"));
        }
    }
    let name = options.text(user);
    let secret = options.secret(password);
    match (name, secret) {
        (Some((user, _)), Some(password)) => Auth::Basic { user, password },
        _ => Auth::None,
    }
}
