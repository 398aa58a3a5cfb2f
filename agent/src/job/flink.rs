//! A Flink SQL script as a job: what its tables' options and its statements mean, in both dialects. Pure.
//!
//! Every option's value may hold `${env:NAME}`, `${file:PATH}`, `${credential:NAME}`; `$${` is `${`. In the legacy
//! dialect (`type = '…'`) keys match whatever their case. `OPTIONS` hints stand above the table's own options.
//!
//! | table | options |
//! |---|---|
//! | source `'connector' = 'filesystem'`, `type = 'file'` | `path` (a file, a folder ending in `/`, or a glob), `format`, the format's options, `source.*`: all keys of a native `[source]`, and `source.host` |
//! | source `stdin` | `format`, the format's options, `source.max_line_bytes`, `source.long_lines` |
//! | source `sls` | see `sls.rs` |
//! | sink `elasticsearch`, `elasticsearch-6`, `-7`, `-8` | see `legacy.rs` and `connector.rs` |
//! | sink `print`, `blackhole` | none |
//!
//! Formats: `json`, `csv`, `raw`, with Flink's options (`format.rs`). The job's id is the file's stem.

mod connector;
mod format;
mod index;
mod legacy;
mod options;
mod report;
mod shown;
mod sinks;
mod sls;
mod source;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Datasources;
use super::native::is_id;
use super::nearest::nearest;
use super::problem::Problems;
use super::variables::Outside;
use crate::plan::{BufferPlan, QueryPlan, SinkPlan, TablePlan, late_columns};
use crate::sql::plan::{NodeKind, Query};
use crate::sql::script::{Hint, Name, Script, Table};
use crate::sql::{bind, front};
use options::Options;
use report::Report;

/// `file` is the name for messages, `stem` the job's id. No plan without at least one error.
pub(crate) fn parse(
    text: &str,
    file: &str,
    stem: &str,
    outside: &Outside<'_>,
    datasources: &Datasources,
) -> (Option<QueryPlan>, Problems) {
    let mut report = Report::new(file, text, outside);
    if !is_id(stem) {
        report.whole("the file's name can't be the job's id, which is 1 to 64 of the letters A-Z a-z, digits and . _ -; rename it");
    }
    let script = match front::parse(text, &|name| outside.vars.get(name).cloned()) {
        Ok(script) => script,
        Err(errors) => {
            errors.into_iter().for_each(|error| report.sql(error));
            return (None, report.finish());
        }
    };
    let query = bind::bind(&script).map_err(|errors| errors.into_iter().for_each(|error| report.sql(error))).ok();
    let zone = query.as_ref().map_or(jiff::tz::TimeZone::UTC, |query| query.settings.zone.clone());
    let hints = hints(&script, &mut report);
    let mut tables = Tables { sources: Vec::new(), sinks: Vec::new() };
    for (number, table) in script.tables.iter().enumerate() {
        let options = Options::new(&mut report, table, hints_of(&script, &hints, table), script.legacy);
        let is_target = |insert: &crate::sql::script::Insert| same(&script, &insert.target, &table.name);
        if script.inserts.iter().any(is_target) {
            let append = appends(query.as_ref(), number);
            let (windows, taken) = lateness(query.as_ref(), number);
            let surroundings = sinks::Surroundings { datasources, zone: &zone, append, windows, taken };
            tables.sinks.push((number, sinks::read(options, &surroundings)));
        } else {
            tables.sources.push((number, source::read(options, &zone)));
        }
    }
    let plan = query.and_then(|query| tables.plan(stem, query, &script, &mut report));
    let problems = report.finish();
    (plan.filter(|_| !problems.has_errors()), problems)
}

/// A script with stars for its comments and for the values that may be secret.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for hidden in shown::hidden(text) {
        shown.push_str(text.get(at..hidden.start).unwrap_or_default());
        shown.push_str(splashdam_api::MASK);
        // A comment takes its line's end with it.
        if text.get(hidden.clone()).is_some_and(|gone| gone.ends_with('\n')) {
            shown.push('\n');
        }
        at = hidden.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// What the tables' options say, by the tables' numbers.
struct Tables {
    sources: Vec<(usize, Option<TablePlan>)>,
    sinks: Vec<(usize, Option<SinkPlan>)>,
}

impl Tables {
    fn plan(self, stem: &str, query: Query, script: &Script, report: &mut Report) -> Option<QueryPlan> {
        let mut tables = Vec::new();
        for scan in &query.scans {
            let (_, table) = self.sources.iter().find(|(number, _)| *number == scan.table)?;
            tables.push(TablePlan { columns: scan.columns.clone(), ..table.clone()? });
        }
        let written = |number: usize| query.outputs.iter().any(|output| output.table == number);
        let sinks = self.sinks.into_iter().filter(|(number, _)| written(*number));
        let mut sinks: Vec<SinkPlan> =
            sinks.map(|(number, sink)| sink.map(|sink| SinkPlan { table: number, ..sink })).collect::<Option<_>>()?;
        for sink in &mut sinks {
            take_the_queries_key(sink, &query, script, report);
        }
        let buffer = BufferPlan::default();
        Some(QueryPlan { id: stem.to_owned(), tables, query: Arc::new(query), sinks, buffer })
    }
}

/// A table without PRIMARY KEY into which replaced rows go has their own key for its ids, which must be one.
fn take_the_queries_key(sink: &mut SinkPlan, query: &Query, script: &Script, report: &mut Report) {
    if !sink.rows.key.is_empty() {
        return;
    }
    let mut keys = query.outputs.iter().filter(|output| output.table == sink.table).map(|output| &output.key);
    let Some(key) = keys.next() else { return };
    if keys.all(|other| other == key) {
        sink.rows.key.clone_from(key);
    } else if let Some(table) = script.tables.get(sink.table) {
        let message = "the INSERTs into this table have different keys, so its rows could not be told apart: declare a \
                       PRIMARY KEY in it, or write into several tables";
        report.at(&table.name, "", message.to_owned());
    }
}

/// Only rows that stay go into this table.
fn appends(query: Option<&Query>, table: usize) -> bool {
    let Some(query) = query else { return true };
    let mut into = query.outputs.iter().filter(|output| output.table == table);
    into.all(|output| {
        query.nodes.get(output.input).is_some_and(|node| node.changes == crate::sql::plan::Changelog::Append)
    })
}

/// Whether rows can come too late for what is inserted into this table, and a column of their source that has the name of
/// a field which documents of late rows have.
fn lateness(query: Option<&Query>, table: usize) -> (bool, Option<String>) {
    let Some(query) = query else { return (true, None) };
    let into = query.outputs.iter().filter(|output| output.table == table);
    let below: BTreeSet<usize> = into.flat_map(|output| query.below(output.input)).collect();
    let nodes = below.iter().filter_map(|node| query.nodes.get(*node));
    let windows = nodes.clone().any(|node| node.kind.window().is_some());
    let scans = nodes.filter_map(|node| match node.kind {
        NodeKind::Scan(scan) => query.scans.get(scan),
        _ => None,
    });
    let fields = late_columns();
    let mut columns = scans.flat_map(|scan| &scan.columns).map(|column| &column.name);
    (windows, columns.find(|name| fields.iter().any(|(field, _)| field == *name)).cloned())
}

fn same(script: &Script, one: &Name, other: &Name) -> bool {
    let free = script.legacy && !one.quoted && !other.quoted;
    one.text == other.text || (free && one.text.eq_ignore_ascii_case(&other.text))
}

/// The OPTIONS of the script. The binder refuses other hints of INSERTs; views it reads without theirs.
fn hints(script: &Script, report: &mut Report<'_>) -> Vec<Hint> {
    let of_views = script.views.iter().flat_map(|view| &view.hints);
    for hint in of_views.clone().filter(|hint| hint.name != "OPTIONS") {
        let message = format!("the hint {} is not in this version; take it out", hint.name);
        report.refuse(hint.place, hint.name.chars().count(), "", message);
    }
    let all = script.inserts.iter().flat_map(|insert| &insert.hints).chain(of_views);
    let mut options = Vec::new();
    for hint in all.filter(|hint| hint.name == "OPTIONS") {
        if script.tables.iter().any(|table| named(script, table, &hint.table)) {
            options.push(hint.clone());
            continue;
        }
        let names = script.tables.iter().map(|table| table.name.text.as_str());
        let meant = nearest(&hint.table, names).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        let message = format!("OPTIONS stands behind the name of a table, and {} is none{meant}", hint.table);
        report.refuse(hint.place, hint.name.chars().count(), "", message);
    }
    options
}

fn named(script: &Script, table: &Table, name: &str) -> bool {
    table.name.text == name || (script.legacy && table.name.text.eq_ignore_ascii_case(name))
}

fn hints_of<'h>(script: &Script, hints: &'h [Hint], table: &Table) -> Vec<&'h Hint> {
    hints.iter().filter(|hint| named(script, table, &hint.table)).collect()
}
