//! Names that a query can use, and what they stand for.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Span;

use crate::sql::plan::Order;

use super::{Binder, Bound, did_you_mean};

/// A node with the names of its columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Relation {
    pub(super) node: usize,
    /// What `*` stands for, in this order. The node may have more columns.
    pub(super) columns: Vec<Visible>,
    /// One of the columns numbers rows: it has to be held against 1 before anything else is done.
    pub(super) rank: Option<Rank>,
}

/// A column's name, and which of the node's columns it is.
#[derive(Clone, Debug)]
pub(super) struct Visible {
    /// The table or alias it can be qualified with.
    pub(super) table: Option<String>,
    pub(super) name: String,
    pub(super) column: usize,
}

/// `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)` on the way to its `= 1`.
#[derive(Clone, Debug)]
pub(super) struct Rank {
    /// Which of the node's columns stands for the number.
    pub(super) column: usize,
    pub(super) keys: Vec<usize>,
    pub(super) order: Vec<Order>,
    /// Ordered by processing time: `Some(true)` the first to arrive, `Some(false)` the last.
    pub(super) by_arrival: Option<bool>,
    pub(super) at: Span,
}

impl Relation {
    /// All columns without a qualifier, as those of a subquery without an alias.
    pub(super) fn named_nothing(mut self) -> Relation {
        self.columns.iter_mut().for_each(|column| column.table = None);
        self
    }

    /// All columns qualified by another name.
    pub(super) fn named(mut self, table: Option<&str>) -> Relation {
        if let Some(table) = table {
            self.columns.iter_mut().for_each(|column| column.table = Some(table.to_owned()));
        }
        self
    }
}

impl Binder<'_> {
    /// Whether a name that is written stands for a name that is declared.
    pub(super) fn is_name(&self, written: &Ident, declared: &str) -> bool {
        written.value == declared
            || (self.legacy && written.quote_style.is_none() && written.value.eq_ignore_ascii_case(declared))
    }

    /// The one thing among `known` that a name stands for. The exact one before those that differ in case.
    pub(super) fn find<'k, T>(
        &self,
        written: &Ident,
        known: impl Iterator<Item = (&'k str, T)> + Clone,
    ) -> Result<T, Vec<T>> {
        let one = |found: Vec<T>| <[T; 1]>::try_from(found).map(|[one]| one);
        let exact: Vec<T> = known.clone().filter(|(name, _)| *name == written.value).map(|(_, it)| it).collect();
        if !exact.is_empty() {
            return one(exact);
        }
        one(known.filter(|(name, _)| self.is_name(written, name)).map(|(_, it)| it).collect())
    }

    /// The column that an unqualified name stands for.
    pub(super) fn column(&mut self, scope: &Relation, name: &Ident) -> Bound<usize> {
        match self.find(name, scope.columns.iter().map(|visible| (visible.name.as_str(), visible))) {
            Ok(visible) => Ok(visible.column),
            Err(several) if several.is_empty() => self.unknown_column(scope, name),
            Err(several) => {
                let candidates: Vec<String> =
                    several.iter().map(|v| format!("{}.{}", v.table.as_deref().unwrap_or("?"), v.name)).collect();
                let message = format!("Column '{}' is ambiguous: {}", name.value, candidates.join(", "));
                self.refuse(name.span, message)
            }
        }
    }

    /// The column of a table that a qualified name stands for; `None` if there is no such table in the scope.
    pub(super) fn qualified(&mut self, scope: &Relation, table: &Ident, name: &Ident) -> Option<Bound<usize>> {
        let of_table: Vec<Visible> = scope
            .columns
            .iter()
            .filter(|visible| visible.table.as_deref().is_some_and(|declared| self.is_name(table, declared)))
            .cloned()
            .collect();
        if of_table.is_empty() {
            return None;
        }
        Some(self.column(&Relation { node: scope.node, columns: of_table, rank: None }, name))
    }

    fn unknown_column(&mut self, scope: &Relation, name: &Ident) -> Bound<usize> {
        let names = || scope.columns.iter().map(|visible| visible.name.as_str());
        let hint = match names().find(|known| known.eq_ignore_ascii_case(&name.value)) {
            Some(other) => format!("; did you mean {other}? Column names are case-sensitive"),
            None => match did_you_mean(&name.value, names()) {
                near if !near.is_empty() => near,
                _ => {
                    let some: Vec<&str> = names().take(12).collect();
                    let more = if names().count() > 12 { ", …" } else { "" };
                    format!("; there are {}{more}", if some.is_empty() { "none".to_owned() } else { some.join(", ") })
                }
            },
        };
        self.refuse(name.span, format!("Column '{}' not found in any table{hint}", name.value))
    }
}
