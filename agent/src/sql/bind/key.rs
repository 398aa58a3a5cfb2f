//! What makes a document's id: the sink's PRIMARY KEY held against the key of the query's results.

use crate::record::Type;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, Changelog, NodeKind};
use crate::sql::script::{Insert, Table};
use crate::sql::types;

use super::catalog::is_legacy;
use super::insert::SinkColumn;
use super::rewrite;
use super::settings::Materialize;
use super::{Binder, Bound};

/// How the rows of an output replace each other.
pub(super) struct Identity {
    pub(super) changes: Changelog,
    /// Sink columns that make the `_id`.
    pub(super) key: Vec<usize>,
}

impl Binder<'_> {
    pub(super) fn identity(
        &mut self,
        insert: &Insert,
        table: &Table,
        columns: &[SinkColumn<'_>],
        primary_key: &[usize],
        node: usize,
        values: &[Expr],
    ) -> Bound<Identity> {
        let key = primary_key.to_vec();
        let Changelog::Upsert(query_key) = self.graph.changes(node).clone() else {
            return Ok(Identity { changes: Changelog::Append, key });
        };
        let images: Vec<Option<usize>> =
            query_key.iter().map(|column| values.iter().position(|value| is_image(value, *column))).collect();
        if !primary_key.is_empty() {
            self.check_primary_key(insert, table, columns, primary_key, node, values, &query_key)?;
            return Ok(Identity { changes: Changelog::Upsert(key.clone()), key });
        }
        let found: Vec<usize> = images.iter().copied().flatten().collect();
        let connector = table.options.iter().find(|option| {
            let key = option.key.text.to_ascii_lowercase();
            key == "connector" || key == "type"
        });
        if connector.is_some_and(|option| matches!(option.value.text.as_str(), "print" | "blackhole")) {
            return Ok(Identity { changes: Changelog::Upsert(found), key: Vec::new() });
        }
        if !is_legacy(table) {
            let keys = self.names(node, &query_key, columns, values);
            let message = format!(
                "table sink '{}' doesn't support consuming update changes, which this query makes ({}): declare PRIMARY KEY \
                 ({}) NOT ENFORCED in it",
                table.name.text,
                self.what_updates(node),
                if keys.is_empty() { "…".to_owned() } else { keys }
            );
            return self.refuse_name(&insert.target, message);
        }
        if self.is_windowed(node) {
            return Ok(Identity { changes: Changelog::Upsert(found), key: Vec::new() });
        }
        if found.len() < query_key.len() {
            let lost: Vec<usize> =
                query_key.iter().zip(&images).filter(|(_, image)| image.is_none()).map(|(column, _)| *column).collect();
            let message = format!(
                "the rows of this query replace each other by ({}), and sink '{}' has no column for {}: select it, or a document \
                 could not be found again",
                self.names(node, &query_key, columns, values),
                table.name.text,
                self.names(node, &lost, columns, values)
            );
            return self.refuse_name(&insert.target, message);
        }
        Ok(Identity { changes: Changelog::Upsert(found.clone()), key: found })
    }

    /// The PRIMARY KEY must tell the query's rows apart, and must not change while a row is replaced.
    #[expect(clippy::too_many_arguments, reason = "one question about one INSERT")]
    fn check_primary_key(
        &mut self,
        insert: &Insert,
        table: &Table,
        columns: &[SinkColumn<'_>],
        primary_key: &[usize],
        node: usize,
        values: &[Expr],
        query_key: &[usize],
    ) -> Bound<()> {
        let value = |sink: &usize| values.get(*sink);
        let lost: Vec<usize> = query_key
            .iter()
            .copied()
            .filter(|column| !primary_key.iter().filter_map(value).any(|value| is_image(value, *column)))
            .collect();
        let is_fixed = |value: &Expr| {
            rewrite::is_deterministic(value)
                && rewrite::columns(value).into_iter().all(|column| self.graph.is_determined(node, column))
        };
        let moving: Vec<&str> = primary_key
            .iter()
            .filter(|sink| value(sink).is_some_and(|value| !is_fixed(value)))
            .filter_map(|sink| columns.get(*sink))
            .map(|column| column.name.text.as_str())
            .collect();
        let why = match (lost.is_empty(), moving.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => {
                format!("rows that differ in {} would overwrite each other", self.names(node, &lost, columns, values))
            }
            (true, false) => {
                format!("{} changes while a row is updated, and would leave its old document behind", moving.join(", "))
            }
        };
        let declared: Vec<&str> =
            primary_key.iter().filter_map(|sink| columns.get(*sink)).map(|column| column.name.text.as_str()).collect();
        let what = format!(
            "PRIMARY KEY ({}) of sink '{}' is not the key of the query ({})",
            declared.join(", "),
            table.name.text,
            self.names(node, query_key, columns, values)
        );
        if self.materialize == Materialize::None {
            self.notes.push(format!("{what}: {why} (accepted: 'table.exec.sink.upsert-materialize' = 'NONE')"));
            return Ok(());
        }
        let message =
            format!("{what}: {why}. Make the two the same (Flink would keep all rows of a key to sort this out)");
        self.refuse_name(&insert.target, message)
    }

    /// The names of a query's columns; of one that has none the sink's, for whose columns `values` are.
    fn names(&self, node: usize, of: &[usize], columns: &[SinkColumn<'_>], values: &[Expr]) -> String {
        let in_sink = |column: usize| {
            let at = values.iter().position(|value| is_image(value, column))?;
            columns.get(at).map(|column| column.name.text.as_str())
        };
        let name = |column: &usize| {
            let name = self.graph.fields(node).get(*column)?.name.as_str();
            let made_up = name.starts_with("EXPR$") || name.starts_with("$f");
            Some(in_sink(*column).filter(|_| made_up).unwrap_or(name))
        };
        of.iter().filter_map(name).collect::<Vec<_>>().join(", ")
    }

    fn updating(&self, mut node: usize) -> Option<&NodeKind> {
        loop {
            match &self.graph.nodes.get(node)?.kind {
                NodeKind::Project { input, .. } | NodeKind::Filter { input, .. } => node = *input,
                kind => return Some(kind),
            }
        }
    }

    /// The rows are those of windows that are emitted more than once.
    fn is_windowed(&self, node: usize) -> bool {
        matches!(self.updating(node), Some(NodeKind::Aggregate(Aggregate { window: Some(_), .. })))
    }

    fn what_updates(&self, node: usize) -> &'static str {
        match self.updating(node) {
            Some(NodeKind::Aggregate(Aggregate { window: Some(_), .. })) => "windows that are emitted early or late",
            Some(NodeKind::First(_)) => "ROW_NUMBER() … = 1",
            Some(NodeKind::Aggregate(aggregate)) if aggregate.calls.is_empty() => {
                "DISTINCT, or GROUP BY without a window"
            }
            _ => "GROUP BY without a window",
        }
    }
}

/// The value is the column, or a cast of it that tells apart whatever the column tells apart.
fn is_image(value: &Expr, column: usize) -> bool {
    match &value.kind {
        ExprKind::Column(at) => *at == column,
        ExprKind::Call(call) if call.name.ends_with("CAST") => {
            call.args.first().is_some_and(|of| keeps_apart(&of.ty, &value.ty) && is_image(of, column))
        }
        _ => false,
    }
}

/// A cast from one type to the other never makes two values one.
fn keeps_apart(from: &Type, to: &Type) -> bool {
    let exact = |ty: &Type| types::is_integer(ty) || matches!(ty, Type::Decimal(..));
    match (from, to) {
        (a, b) if a == b => true,
        (a, b) if exact(a) && exact(b) => types::common(&[a.clone(), b.clone()]).as_ref() == Some(b),
        (Type::Char(_) | Type::Varchar(_), to) => *to == Type::STRING,
        (Type::Boolean | Type::Date, to) => *to == Type::STRING,
        (from, to) if exact(from) => *to == Type::STRING,
        (Type::Timestamp(a), Type::Timestamp(b)) | (Type::TimestampLtz(a), Type::TimestampLtz(b)) => a <= b,
        (Type::Timestamp(_), to) => *to == Type::STRING,
        _ => false,
    }
}
