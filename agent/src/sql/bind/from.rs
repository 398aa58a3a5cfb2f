//! FROM: tables, views, subqueries, window functions, and arrays that become rows. Joins of tables are refused.

use splashdam_api::words::plural;
use sqlparser::ast::{self, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins};

use super::scope::Relation;
use super::{Binder, Bound, call, place, window};

const NO_JOINS: &str = "joins of tables are not supported: write the fields into one source before they get here, or load both \
                        and join by a lookup in Elasticsearch (an enrich policy). CROSS JOIN UNNEST(array) AS t(x) is";

const NO_VERSIONS: &str = "FOR SYSTEM_TIME AS OF (a temporal join, a lookup) is not supported: look the fields up when documents \
                           are indexed, by an enrich policy of Elasticsearch";

impl Binder<'_> {
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> Bound<Relation> {
        let mut all = from.iter();
        let Some(first) = all.next() else {
            return self.refuse(sqlparser::tokenizer::Span::empty(), "FROM is empty");
        };
        let mut relation = self.table_with_joins(first)?;
        for other in all {
            relation = self.join_rows(relation, &other.relation, false)?;
            for join in &other.joins {
                relation = self.join(relation, join)?;
            }
        }
        Ok(relation)
    }

    fn table_with_joins(&mut self, from: &TableWithJoins) -> Bound<Relation> {
        let mut relation = self.factor(&from.relation)?;
        for join in &from.joins {
            relation = self.join(relation, join)?;
        }
        Ok(relation)
    }

    fn join(&mut self, left: Relation, join: &Join) -> Bound<Relation> {
        // A table on the right is refused below, whatever the kind of join.
        let outer = match &join.join_operator {
            JoinOperator::CrossJoin(JoinConstraint::None) => false,
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) if is_true(constraint) => false,
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) if is_true(constraint) => true,
            _ if super::unnest::is_rows(&join.relation) => {
                let message =
                    "rows of an array are joined by CROSS JOIN, or by LEFT JOIN … ON TRUE; conditions go into WHERE";
                return self.refuse(place::of_factor(&join.relation), message);
            }
            _ => false,
        };
        self.join_rows(left, &join.relation, outer)
    }

    fn join_rows(&mut self, left: Relation, right: &TableFactor, outer: bool) -> Bound<Relation> {
        if let TableFactor::Table { version: Some(_), .. } = right {
            return self.refuse(place::of_factor(right), NO_VERSIONS);
        }
        if !super::unnest::is_rows(right) {
            // Errors in the other side are worth saying too.
            drop(self.factor(right));
            return self.refuse(place::of_factor(right), NO_JOINS);
        }
        let left = self.no_rank(left)?;
        self.unnest(left, right, outer)
    }

    fn factor(&mut self, factor: &TableFactor) -> Bound<Relation> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version,
                with_hints,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                if version.is_some() {
                    return self.refuse(place::of_factor(factor), NO_VERSIONS);
                }
                let relation = self.relation(name)?;
                match alias {
                    Some(alias) => self.aliased(relation, alias),
                    None => {
                        let own = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone());
                        Ok(relation.named(own.as_deref()))
                    }
                }
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let relation = self.query(subquery)?;
                self.maybe_aliased(relation.named_nothing(), alias.as_ref())
            }
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias }
                if window::is_window_function(&call::name(function)) =>
            {
                let relation = self.window_function(function)?;
                self.maybe_aliased(relation, alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let relation =
                    self.deeper(place::of_factor(factor), |binder| binder.table_with_joins(table_with_joins))?;
                self.maybe_aliased(relation, alias.as_ref())
            }
            other => self.unsupported(other),
        }
    }

    fn unsupported(&mut self, factor: &TableFactor) -> Bound<Relation> {
        let message = match factor {
            _ if super::unnest::is_rows(factor) => {
                "rows of an array need a table before them: FROM t CROSS JOIN UNNEST(t.tags) AS u(tag)".to_owned()
            }
            TableFactor::MatchRecognize { .. } => {
                "MATCH_RECOGNIZE is not supported: patterns over several rows need another tool; per-key counts in a window \
                 often do"
                    .to_owned()
            }
            TableFactor::Table { name, args: Some(_), .. } if window::is_window_function(&name.to_string().to_uppercase()) => {
                format!("write FROM TABLE({name}(TABLE t, DESCRIPTOR(ts), …))")
            }
            TableFactor::Table { name, args: Some(_), .. } => {
                format!("the table function {name} is not supported here: write , LATERAL TABLE({name}(…)) AS t(x) after a table")
            }
            TableFactor::Table { sample: Some(_), .. } => "TABLESAMPLE is not supported: filter by RAND() < 0.1".to_owned(),
            TableFactor::Derived { lateral: true, .. } => "LATERAL (SELECT …) is a join, which is not supported".to_owned(),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
                "PIVOT is not supported: write SUM(x) FILTER (WHERE key = 'a') for each column".to_owned()
            }
            other => format!("{other} is not supported in FROM"),
        };
        self.refuse(place::of_factor(factor), message)
    }

    fn maybe_aliased(&mut self, relation: Relation, alias: Option<&TableAlias>) -> Bound<Relation> {
        match alias {
            Some(alias) => self.aliased(relation, alias),
            None => Ok(relation),
        }
    }

    /// `AS t` or `AS t(a, b)`.
    pub(super) fn aliased(&mut self, mut relation: Relation, alias: &TableAlias) -> Bound<Relation> {
        if !alias.columns.is_empty() {
            if alias.columns.len() != relation.columns.len() {
                let message = format!(
                    "'{}' names {}, there are {}",
                    alias.name.value,
                    plural(alias.columns.len() as u64, "column"),
                    relation.columns.len()
                );
                return self.refuse(alias.name.span, message);
            }
            let names = alias.columns.iter().map(|column| column.name.value.clone());
            relation.columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
        }
        Ok(relation.named(Some(&alias.name.value)))
    }
}

fn is_true(constraint: &JoinConstraint) -> bool {
    let mut expr = match constraint {
        JoinConstraint::On(expr) => expr,
        JoinConstraint::None => return false,
        _ => return false,
    };
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    matches!(expr, ast::Expr::Value(value) if value.value == ast::Value::Boolean(true))
}
