//! A script's names and types are resolved: statements become one graph of typed operators.
//!
//! Each INSERT is bound from its sink back to its sources; tables are read once, views are put in where they are used,
//! equal parts are shared. Promises: all errors of a script at once, each with its place; what is not supported is
//! refused by name. It runs nothing, and options of connectors are `job`'s business.

mod aggregate;
mod call;
mod catalog;
mod expr;
mod from;
mod graph;
mod group;
mod insert;
mod key;
mod literal;
mod optimize;
mod place;
mod prune;
mod rank;
mod rewrite;
mod scope;
mod select;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod unnest;
mod window;

use sqlparser::tokenizer::Span;

use super::nearest::did_you_mean;
use super::plan::{Emission, Query, Settings};
use super::script::{Place, Script, SqlError};
use graph::Graph;
use scope::Relation;

/// Makes the query of a script, or says all that is wrong with it.
pub(crate) fn bind(script: &Script) -> Result<Query, Vec<SqlError>> {
    let mut binder = Binder::new(script);
    binder.check_names();
    let mut outputs = Vec::new();
    for insert in &script.inserts {
        if let Ok(output) = binder.insert(insert) {
            outputs.push(output);
        }
    }
    binder.check_unused_views();
    binder.check_sessions(&outputs);
    binder.check_lateness();
    if script.inserts.is_empty() && binder.errors.is_empty() {
        binder.error(Place { line: 1, column: 1 }, 0, "the script has no INSERT INTO, so it does nothing".to_owned());
    }
    let Binder { graph, settings, mut notes, mut errors, .. } = binder;
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.place);
        errors.dedup();
        return Err(errors);
    }
    let (scans, nodes, outputs) = optimize::optimize(graph, outputs, &mut notes);
    Ok(Query { settings, scans, nodes, outputs, notes })
}

/// The error is in [`Binder::errors`] already.
#[derive(Clone, Copy, Debug)]
struct Reported;

type Bound<T> = Result<T, Reported>;

struct Binder<'a> {
    script: &'a Script,
    settings: Settings,
    /// Some table is of the legacy dialect: names are found whatever their case.
    legacy: bool,
    /// What the settings say about emission before and after the watermark, for all windows.
    always: Option<Emission>,
    materialize: settings::Materialize,
    /// What the INSERT that is being bound says about it.
    emission: Option<Emission>,
    /// Whether it met a window that can do what EMIT says.
    emitted: bool,
    graph: Graph,
    /// Aggregate calls of the SELECT that is being bound; `None` where there can be none.
    calls: Option<aggregate::Calls>,
    /// WITH: the names that queries have here, the innermost last.
    ctes: Vec<(sqlparser::ast::Ident, Bound<Relation>)>,
    sessions: Vec<window::Session>,
    /// What computes with the results of windows.
    above_windows: Vec<Span>,
    session_windows: Vec<Span>,
    /// Tables and views that have been bound, by name and (for views, which hold windows) emission.
    relations: Vec<(String, Option<Emission>, Bound<Relation>)>,
    /// Views whose queries are being bound.
    expanding: Vec<String>,
    /// How deep in expressions and subqueries binding is.
    depth: usize,
    /// Where errors are that know no better.
    place: Place,
    notes: Vec<String>,
    errors: Vec<SqlError>,
}

impl<'a> Binder<'a> {
    fn new(script: &'a Script) -> Binder<'a> {
        let mut errors = Vec::new();
        let settings = settings::read(&script.settings, &mut errors);
        Binder {
            script,
            legacy: script.legacy,
            always: settings.emission,
            materialize: settings.materialize,
            settings: settings.settings,
            emission: None,
            emitted: false,
            calls: None,
            ctes: Vec::new(),
            sessions: Vec::new(),
            above_windows: Vec::new(),
            session_windows: Vec::new(),
            graph: Graph::default(),
            relations: Vec::new(),
            expanding: Vec::new(),
            depth: 0,
            place: Place::default(),
            notes: settings.notes,
            errors,
        }
    }
}

/// An expression over no columns, bound with a script's settings.
#[cfg(test)]
pub(crate) fn expression(script: &Script, ast: &sqlparser::ast::Expr) -> Result<super::expr::Expr, Vec<SqlError>> {
    let mut binder = Binder::new(script);
    binder.expr(ast, &Relation::default()).map_err(|Reported| binder.errors)
}

/// Deeper than anyone writes, and not so deep that the stack ends.
const DEPTH_MAX: usize = 100;

impl Binder<'_> {
    fn error(&mut self, place: Place, length: u32, message: String) {
        self.errors.push(SqlError { place, length, message });
    }

    /// An error about a part of a statement.
    fn refuse<T>(&mut self, span: Span, message: impl Into<String>) -> Bound<T> {
        let (place, length) = self.place_of(span);
        self.error(place, length, message.into());
        Err(Reported)
    }

    /// An error about a name.
    fn refuse_name<T>(&mut self, name: &super::script::Name, message: impl Into<String>) -> Bound<T> {
        let quotes = if name.quoted { 2 } else { 0 };
        let length = name.text.chars().count() as u32 + quotes;
        self.error(name.place, length, message.into());
        Err(Reported)
    }

    fn place_of(&self, span: Span) -> (Place, u32) {
        if span.start.line == 0 {
            return (self.place, 0);
        }
        let place = Place { line: span.start.line as u32, column: span.start.column as u32 };
        let one_line = span.start.line == span.end.line;
        let length = span.end.column.saturating_sub(span.start.column) as u32;
        (place, if one_line { length } else { 0 })
    }

    /// Runs `inner` one level deeper, or refuses what is nested too deeply.
    fn deeper<T>(&mut self, span: Span, inner: impl FnOnce(&mut Self) -> Bound<T>) -> Bound<T> {
        if self.depth >= DEPTH_MAX {
            return self.refuse(span, "this is nested too deeply");
        }
        self.depth += 1;
        let bound = inner(self);
        self.depth -= 1;
        bound
    }
}
