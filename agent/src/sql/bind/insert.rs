//! INSERT: the query's columns become the sink's, in its order and types.

use std::time::Duration;

use crate::record::{Type, Value};
use crate::sql::cast::{self, Strictness};
use crate::sql::expr::Expr;
use crate::sql::plan::{Emission, Field, Node, NodeKind, Output};
use crate::sql::script::{ColumnKind, Hint, Insert, Name, Table};
use crate::sql::types;

use super::catalog::{Named, ident};
use super::literal::constant;
use super::scope::Relation;
use super::{Binder, Bound, Reported, did_you_mean};

/// A column that the sink writes.
pub(super) struct SinkColumn<'t> {
    pub(super) name: &'t Name,
    pub(super) ty: &'t Type,
    pub(super) not_null: bool,
}

impl<'a> Binder<'a> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Bound<Output> {
        self.place = insert.place;
        let target = self.target(insert);
        let query = self.insert_query(insert);
        let (number, table) = target?;
        let relation = self.no_rank(query?)?;
        let columns = self.sink_columns(table)?;
        let primary_key = self.primary_key(table, &columns)?;
        let values = self.values(insert, table, &columns, &relation)?;
        let identity = self.identity(insert, table, &columns, &primary_key, relation.node, &values)?;
        let fields = columns
            .iter()
            .map(|column| Field { name: column.name.text.clone(), ty: column.ty.clone(), rowtime: false })
            .collect();
        let kind = NodeKind::Project { input: relation.node, expressions: values };
        let input = self.graph.push(Node { kind, fields, changes: identity.changes });
        let must = |(i, column): (usize, &SinkColumn<'_>)| (column.not_null || primary_key.contains(&i)).then_some(i);
        let not_null = columns.iter().enumerate().filter_map(must).collect();
        Ok(Output { input, table: number, name: table.name.text.clone(), key: identity.key, not_null })
    }

    fn insert_query(&mut self, insert: &Insert) -> Bound<Relation> {
        self.refuse_hints(&insert.hints);
        self.emission = self.emit(insert)?;
        self.emitted = false;
        let bound = self.query(&insert.query);
        if self.emission.take().is_some() && !self.emitted && bound.is_ok() {
            self.error(insert.place, 0, "EMIT needs a TUMBLE or HOP window in GROUP BY".to_owned());
            return Err(Reported);
        }
        bound
    }

    /// OPTIONS change a table's options, which are `job`'s; nothing else is known.
    pub(super) fn refuse_hints(&mut self, hints: &[Hint]) {
        for hint in hints.iter().filter(|hint| hint.name != "OPTIONS") {
            let message = format!(
                "the hint {} is not supported; for the life time of state write SET 'table.exec.state.ttl' = '1 d'",
                hint.name
            );
            self.error(hint.place, hint.name.chars().count() as u32, message);
        }
    }

    fn emit(&mut self, insert: &Insert) -> Bound<Option<Emission>> {
        let Some(emit) = insert.emit else { return Ok(None) };
        let delay = |micros: i64| Duration::from_micros(micros.max(0).unsigned_abs());
        let emission = Emission {
            before_watermark: emit.before_watermark.map(delay),
            after_watermark: emit.after_watermark.map(delay),
        };
        if emission.after_watermark.is_some() && self.settings.allowed_lateness.is_zero() {
            if self.settings.state_ttl.is_zero() {
                let message = "EMIT … AFTER WATERMARK needs SET 'blink.state.ttl.ms' (or 'table.exec.emit.allow-lateness'): how \
                               long a window takes late rows";
                self.error(insert.place, 0, message.to_owned());
                return Err(Reported);
            }
            self.settings.allowed_lateness = self.settings.state_ttl;
        }
        Ok(Some(emission))
    }

    fn target(&mut self, insert: &Insert) -> Bound<(usize, &'a Table)> {
        let name = sqlparser::ast::ObjectName::from(vec![ident(&insert.target)]);
        let script = self.script;
        let place = std::mem::replace(&mut self.place, insert.target.place);
        let named = self.named(&name);
        self.place = place;
        match named? {
            Named::Table(i) => script.tables.get(i).map(|table| (i, table)).ok_or(Reported),
            Named::View(_) => {
                let message = format!("'{}' is a view: INSERT INTO needs a table", insert.target.text);
                self.refuse_name(&insert.target, message)
            }
        }
    }

    fn sink_columns<'t>(&mut self, table: &'t Table) -> Bound<Vec<SinkColumn<'t>>> {
        let mut columns = Vec::new();
        for column in &table.columns {
            match &column.kind {
                ColumnKind::Physical(ty) => {
                    columns.push(SinkColumn { name: &column.name, ty, not_null: column.not_null });
                }
                ColumnKind::Computed(_) | ColumnKind::Metadata { is_virtual: true, .. } => {}
                ColumnKind::Metadata { is_virtual: false, .. } => {
                    let message = format!(
                        "metadata column '{}' can't be written: documents have none; declare it without METADATA, or VIRTUAL",
                        column.name.text
                    );
                    return self.refuse_name(&column.name, message);
                }
            }
        }
        Ok(columns)
    }

    fn primary_key(&mut self, table: &Table, columns: &[SinkColumn<'_>]) -> Bound<Vec<usize>> {
        let mut key = Vec::new();
        for name in &table.primary_key {
            let written = ident(name);
            match self.find(&written, columns.iter().enumerate().map(|(i, column)| (column.name.text.as_str(), i))) {
                Ok(column) => key.push(column),
                Err(_) => {
                    let hint = did_you_mean(&name.text, columns.iter().map(|column| column.name.text.as_str()));
                    let message =
                        format!("PRIMARY KEY: table '{}' has no column '{}'{hint}", table.name.text, name.text);
                    return self.refuse_name(name, message);
                }
            }
        }
        Ok(key)
    }

    /// For each sink column what the query gives for it, cast to its type.
    fn values(
        &mut self,
        insert: &Insert,
        table: &Table,
        columns: &[SinkColumn<'_>],
        relation: &Relation,
    ) -> Bound<Vec<Expr>> {
        let targets = self.target_columns(insert, table, columns)?;
        if targets.len() != relation.columns.len() {
            let cause = format!("different number of columns, {} and {}", relation.columns.len(), targets.len());
            return self.mismatch(insert, table, columns, relation, &cause);
        }
        let mut values: Vec<Expr> = columns.iter().map(|column| constant(Value::Null, column.ty.clone())).collect();
        for (place, (target, visible)) in targets.iter().zip(&relation.columns).enumerate() {
            let Some(column) = columns.get(*target) else { return Err(Reported) };
            let given = self.graph.column(relation.node, visible.column);
            let from = given.ty.clone();
            let taken = takes(&from, column.ty);
            match if taken { cast::cast(given, column.ty, Strictness::Lenient) } else { Err(String::new()) } {
                Ok(given) => {
                    if let Some(value) = values.get_mut(*target) {
                        *value = crate::sql::eval::fold(given, &self.settings);
                    }
                }
                Err(_) => {
                    let cause = format!(
                        "incompatible types for sink column '{}' at position {}: {from} is not implicitly {}, write CAST(… AS {})",
                        column.name.text,
                        place + 1,
                        column.ty,
                        column.ty
                    );
                    return self.mismatch(insert, table, columns, relation, &cause);
                }
            }
        }
        Ok(values)
    }

    /// Which sink columns the query's columns are for.
    fn target_columns(&mut self, insert: &Insert, table: &Table, columns: &[SinkColumn<'_>]) -> Bound<Vec<usize>> {
        if insert.columns.is_empty() {
            return Ok((0..columns.len()).collect());
        }
        let mut targets = Vec::new();
        for name in &insert.columns {
            let written = ident(name);
            let known = columns.iter().enumerate().map(|(i, column)| (column.name.text.as_str(), i));
            match self.find(&written, known) {
                Ok(column) if targets.contains(&column) => {
                    return self.refuse_name(name, format!("column '{}' is named twice", name.text));
                }
                Ok(column) => targets.push(column),
                Err(_) => {
                    let hint = did_you_mean(&name.text, columns.iter().map(|column| column.name.text.as_str()));
                    let message =
                        format!("table '{}' has no column '{}' to write to{hint}", table.name.text, name.text);
                    return self.refuse_name(name, message);
                }
            }
        }
        let key = self.primary_key(table, columns)?;
        let missing =
            columns.iter().enumerate().find(|(i, column)| (column.not_null || key.contains(i)) && !targets.contains(i));
        if let Some((_, column)) = missing {
            let message = format!("column '{}' has no default value and does not allow NULLs", column.name.text);
            return self.refuse_name(&insert.target, message);
        }
        Ok(targets)
    }

    fn mismatch<T>(
        &mut self,
        insert: &Insert,
        table: &Table,
        columns: &[SinkColumn<'_>],
        relation: &Relation,
        cause: &str,
    ) -> Bound<T> {
        let query: Vec<String> = relation
            .columns
            .iter()
            .map(|visible| format!("{}: {}", visible.name, self.graph.column(relation.node, visible.column).ty))
            .collect();
        let sink: Vec<String> = columns.iter().map(|column| format!("{}: {}", column.name.text, column.ty)).collect();
        let message = format!(
            "column types of query result and sink '{}' do not match: {cause}. Query schema: [{}]. Sink schema: [{}]",
            table.name.text,
            query.join(", "),
            sink.join(", ")
        );
        self.refuse_name(&insert.target, message)
    }
}

/// Whether a sink's column takes values of a type without a CAST: Flink's `supportsImplicitCast`.
fn takes(from: &Type, to: &Type) -> bool {
    let narrower = |of: &[Type]| of.contains(from);
    match (from, to) {
        (Type::Null, _) => true,
        (a, b) if a == b => true,
        (_, Type::Char(_)) => matches!(from, Type::Char(_)),
        (_, Type::Varchar(_)) => types::is_text(from),
        (_, Type::Binary(_)) => matches!(from, Type::Binary(_)),
        (_, Type::Varbinary(_)) => types::is_binary(from),
        (_, Type::SmallInt) => narrower(&[Type::TinyInt]),
        (_, Type::Int) => narrower(&[Type::TinyInt, Type::SmallInt]),
        (_, Type::BigInt) => types::is_integer(from),
        (_, Type::Float) => types::is_integer(from) || matches!(from, Type::Decimal(..)),
        (_, Type::Double | Type::Decimal(..)) => types::is_numeric(from),
        (_, Type::Date) => matches!(from, Type::Timestamp(_)),
        (_, Type::Time(_)) => matches!(from, Type::Time(_) | Type::Timestamp(_)),
        (_, Type::Timestamp(_) | Type::TimestampLtz(_)) => types::is_timestamp(from),
        (Type::Array(a), Type::Array(b)) | (Type::Multiset(a), Type::Multiset(b)) => takes(a, b),
        (Type::Map(k, v), Type::Map(l, w)) => takes(k, l) && takes(v, w),
        (Type::Row(a), Type::Row(b)) => a.len() == b.len() && a.iter().zip(b).all(|((_, a), (_, b))| takes(a, b)),
        _ => false,
    }
}
