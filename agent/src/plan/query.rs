//! What a SQL script means for the rooms beside `sql` and `query`: its tables, formats and sinks. Plain data.

use std::sync::Arc;

use super::{BufferPlan, ElasticsearchPlan, LogFormat, Plan, SourcePlan};
use crate::record::Type;
use crate::sql::plan::Query;

/// What one job file asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobPlan {
    /// Records are shipped as they are.
    Ship(Box<Plan>),
    /// A script computes what is shipped.
    Query(Box<QueryPlan>),
}

/// A script, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueryPlan {
    pub(crate) id: String,
    /// One for each of the query's scans, in their order.
    pub(crate) tables: Vec<TablePlan>,
    pub(crate) query: Arc<Query>,
    pub(crate) sinks: Vec<SinkPlan>,
    pub(crate) buffer: BufferPlan,
}

/// A table that a script writes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SinkPlan {
    pub(crate) name: String,
    /// The table's number in the script.
    pub(crate) table: usize,
    pub(crate) target: SinkTarget,
    pub(crate) rows: RowsPlan,
    /// Where rows go, as they were read, that come too late for the windows of what is inserted here. `None`: nowhere.
    pub(crate) late: Option<RowIndex>,
}

/// What documents of late rows begin with: the window that was missed and the watermark that the row met. The columns
/// of the source that the script reads follow.
pub(crate) fn late_columns() -> Vec<(String, Type)> {
    ["window_start", "window_end", "watermark"].map(|name| (name.to_owned(), Type::Timestamp(3))).into()
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SinkTarget {
    Elasticsearch(Box<ElasticsearchPlan>),
    /// Standard output.
    Print,
    /// Nowhere: rows are counted.
    Blackhole,
}

impl JobPlan {
    pub(crate) fn id(&self) -> &str {
        match self {
            JobPlan::Ship(plan) => &plan.id,
            JobPlan::Query(plan) => &plan.id,
        }
    }

    pub(crate) fn buffer(&self) -> &BufferPlan {
        match self {
            JobPlan::Ship(plan) => &plan.buffer,
            JobPlan::Query(plan) => &plan.buffer,
        }
    }

    pub(crate) fn buffer_mut(&mut self) -> &mut BufferPlan {
        match self {
            JobPlan::Ship(plan) => &mut plan.buffer,
            JobPlan::Query(plan) => &mut plan.buffer,
        }
    }
}

/// How the records of a source table become columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TablePlan {
    pub(crate) name: String,
    pub(crate) source: SourcePlan,
    pub(crate) format: TableFormat,
    /// The columns that are read, in the order in which a batch has them.
    pub(crate) columns: Vec<TableColumn>,
    /// How many physical columns the table declares (a csv record has as many fields).
    pub(crate) physical: usize,
    /// `host` in documents and in the metadata column of that name. `None`: this machine's host name.
    pub(crate) host: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) from: ColumnFrom,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnFrom {
    /// A field of the record; the number is its place among the table's physical columns (csv goes by it, json by
    /// the name, raw has one).
    Field(usize),
    /// What the source knows of the record: `path`, `offset`, `host`, `timestamp` (when it was read); of a Logstore
    /// `__source__`, `__topic__`, `__timestamp__`, `__tag__`, `__tag__:KEY`.
    Metadata(String),
}

/// Formats of tables, with Flink's options and their defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TableFormat {
    Json(JsonFormat),
    Csv(CsvFormat),
    /// The whole line is the one physical column.
    Raw,
    /// Logs of a Logstore: fields by their names.
    Log(LogFormat),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JsonFormat {
    /// `json.fail-on-missing-field`: else a missing field is NULL.
    pub(crate) fail_on_missing_field: bool,
    /// `json.ignore-parse-errors`: a field that can't be read is NULL, a line that is no object is passed over; both
    /// are counted. Else the line becomes a dead letter.
    pub(crate) ignore_parse_errors: bool,
    /// `json.timestamp-format.standard` = `ISO-8601` (`2026-11-21T08:01:00`); else `SQL` (a blank for the T).
    pub(crate) iso_timestamps: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CsvFormat {
    pub(crate) delimiter: char,
    /// `None`: quoting is off.
    pub(crate) quote: Option<char>,
    pub(crate) escape: Option<char>,
    /// The first line of a file (and of standard input) is passed over: it names the columns.
    pub(crate) header: bool,
    /// Lines that begin with `#` are passed over.
    pub(crate) allow_comments: bool,
    pub(crate) ignore_parse_errors: bool,
    /// A field with this text is NULL.
    pub(crate) null_literal: Option<String>,
    /// Between the elements of an ARRAY or ROW in one field.
    pub(crate) element_delimiter: String,
}

/// How result rows become bulk items.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowsPlan {
    /// The sink's columns: names and types, in the order of the rows.
    pub(crate) columns: Vec<(String, Type)>,
    /// Columns whose values make the `_id`. Empty: the id is made of where the row came from.
    pub(crate) key: Vec<usize>,
    /// Between the values of a composite key.
    pub(crate) key_delimiter: String,
    pub(crate) update: UpdateMode,
    /// A NULL is left out of the document (else it is written as null).
    pub(crate) omit_nulls: bool,
    pub(crate) index: RowIndex,
    /// Columns whose values make the routing, joined by commas.
    pub(crate) routing: Vec<usize>,
    /// The mapping type of Elasticsearch 6.
    pub(crate) document_type: Option<String>,
    /// gzip level, 1 to 9.
    pub(crate) compression: u32,
    /// `json.timestamp-format.standard` = `ISO-8601`: timestamps in documents have a T; else (SQL) a blank.
    pub(crate) iso_timestamps: bool,
    /// `sink.retry-on-conflict`: how often Elasticsearch itself tries an update again. `None`: as it likes.
    pub(crate) retry_on_conflict: Option<u32>,
}

/// What a row with a known id does to the document that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateMode {
    /// Replaces it.
    Full,
    /// Changes the fields that the row has (`update` with `doc_as_upsert`).
    Inc,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RowIndex {
    Literal(String),
    /// Parts laid end to end; a date is made of a column's value. Names outside `prefix` go to `fallback`.
    Template {
        parts: Vec<RowIndexPart>,
        prefix: String,
        fallback: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RowIndexPart {
    Literal(String),
    /// A column's value as text; NULL is the text `null`.
    Column(usize),
    /// A column's time by a Java DateTimeFormatter pattern, in the zone given.
    Date {
        column: usize,
        pattern: String,
        zone: jiff::tz::TimeZone,
    },
    /// The commit's time by such a pattern.
    Now {
        pattern: String,
        zone: jiff::tz::TimeZone,
    },
}

impl Default for CsvFormat {
    fn default() -> CsvFormat {
        CsvFormat {
            delimiter: ',',
            quote: Some('"'),
            escape: None,
            header: false,
            allow_comments: false,
            ignore_parse_errors: false,
            null_literal: None,
            element_delimiter: ";".to_owned(),
        }
    }
}
