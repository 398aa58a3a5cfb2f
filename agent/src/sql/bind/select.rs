//! Queries: SELECT with its clauses in the order in which they work, UNION, WITH.

use sqlparser::ast::{
    self, GroupByExpr, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
};
use sqlparser::tokenizer::Span;

use crate::record::Type;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Changelog, Field, Node, NodeKind};
use crate::sql::{cast, types};

use super::aggregate::{Calls, Grouped};
use super::group::Groups;
use super::rank::{self, RowNumber};
use super::rewrite;
use super::scope::{Relation, Visible};
use super::{Binder, Bound, Reported, place};

/// One column of a SELECT list.
struct Listed {
    name: String,
    at: Span,
    item: Item,
}

enum Item {
    Expr(Expr),
    RowNumber(RowNumber),
}

impl Binder<'_> {
    pub(super) fn query(&mut self, query: &ast::Query) -> Bound<Relation> {
        let calls = self.calls.take();
        let ctes = self.ctes.len();
        let bound = self.deeper(place::of_query(query), |binder| binder.query_inside(query));
        self.ctes.truncate(ctes);
        self.calls = calls;
        bound
    }

    fn query_inside(&mut self, query: &ast::Query) -> Bound<Relation> {
        if let Some(order) = &query.order_by {
            let message = "ORDER BY is not supported: a stream has no end to sort at. Documents can be sorted when they are \
                           searched; the first row of each key is ROW_NUMBER() … = 1";
            return self.refuse(order.span(), message);
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            let message =
                "LIMIT, OFFSET and FETCH are not supported: a stream has no end. To look at a few rows, use `try`";
            return self.refuse(place::of_query(query), message);
        }
        let odd = !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if odd {
            return self.refuse(place::of_query(query), "this clause at the end of a query is not part of Flink SQL");
        }
        if let Some(with) = &query.with {
            if with.recursive {
                return self.refuse(with.span(), "WITH RECURSIVE is not supported");
            }
            for cte in &with.cte_tables {
                let bound = self.query(&cte.query);
                let bound = bound.and_then(|relation| self.aliased(relation, &cte.alias));
                self.ctes.push((cte.alias.name.clone(), bound));
            }
        }
        self.set(&query.body)
    }

    fn set(&mut self, set: &SetExpr) -> Bound<Relation> {
        match set {
            SetExpr::Select(select) => self.deeper(select.select_token.0.span, |binder| binder.select(select)),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.deeper(place::of_set(set), |binder| binder.union(set, left, *op, *set_quantifier, right))
            }
            SetExpr::Values(_) => {
                let message = "VALUES is not supported: rows come from source tables, here from files";
                self.refuse(place::of_set(set), message)
            }
            SetExpr::Table(_) => {
                self.refuse(place::of_set(set), "TABLE t is not supported here: write SELECT * FROM t")
            }
            _ => self.refuse(place::of_set(set), "a query was expected here: SELECT … FROM …"),
        }
    }

    fn union(
        &mut self,
        at: &SetExpr,
        left: &SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
    ) -> Bound<Relation> {
        if op != SetOperator::Union {
            let message = format!(
                "{op} is not supported: it is a join of what has been and what will come; filter with WHERE, or load both sides \
                 and compare them in Elasticsearch"
            );
            return self.refuse(place::of_set(right), message);
        }
        if !matches!(quantifier, SetQuantifier::All | SetQuantifier::None | SetQuantifier::Distinct) {
            return self.refuse(place::of_set(at), format!("UNION {quantifier} is not supported: write UNION ALL"));
        }
        let (left, right_bound) = (self.set(left), self.set(right));
        let (left, right_bound) = (self.no_rank(left?)?, self.no_rank(right_bound?)?);
        if left.columns.len() != right_bound.columns.len() {
            let message = format!(
                "column count mismatch in UNION: {} on the left, {} on the right",
                left.columns.len(),
                right_bound.columns.len()
            );
            return self.refuse(place::of_set(right), message);
        }
        let relation = self.union_node(right, left, right_bound)?;
        if quantifier == SetQuantifier::All { Ok(relation) } else { self.distinct(place::of_set(at), relation) }
    }

    fn union_node(&mut self, at: &SetExpr, left: Relation, right: Relation) -> Bound<Relation> {
        if [left.node, right.node].iter().any(|node| *self.graph.changes(*node) != Changelog::Append) {
            let message = "UNION of changing results (GROUP BY without a window, ROW_NUMBER) is not supported: write an INSERT \
                           for each side";
            return self.refuse(place::of_set(at), message);
        }
        let mut types = Vec::new();
        for (i, (a, b)) in left.columns.iter().zip(&right.columns).enumerate() {
            let ty = |relation: &Relation, visible: &Visible| self.graph.column(relation.node, visible.column).ty;
            let (a, b) = (ty(&left, a), ty(&right, b));
            match types::common(&[a.clone(), b.clone()]) {
                Some(ty) => types.push(ty),
                None => {
                    let message = format!(
                        "type mismatch in column {} of UNION: {a} and {b} have no common type; CAST one of them",
                        i + 1
                    );
                    return self.refuse(place::of_set(at), message);
                }
            }
        }
        let columns: Vec<Visible> = left
            .columns
            .iter()
            .enumerate()
            .map(|(column, visible)| Visible { table: None, name: visible.name.clone(), column })
            .collect();
        let inputs: Vec<usize> =
            [&left, &right].into_iter().map(|side| self.side(at, side, &columns, &types)).collect::<Bound<_>>()?;
        // A time attribute on both sides stays one.
        let rowtime =
            |i: usize| inputs.iter().all(|input| self.graph.fields(*input).get(i).is_some_and(|field| field.rowtime));
        let fields = columns
            .iter()
            .zip(types)
            .enumerate()
            .map(|(i, (visible, ty))| Field { name: visible.name.clone(), ty, rowtime: rowtime(i) })
            .collect();
        // a UNION ALL b UNION ALL c is one union.
        let inputs = inputs
            .into_iter()
            .flat_map(|input| match self.graph.nodes.get(input).map(|node| &node.kind) {
                Some(NodeKind::Union { inputs }) => inputs.clone(),
                _ => vec![input],
            })
            .collect();
        let node = self.graph.push(Node { kind: NodeKind::Union { inputs }, fields, changes: Changelog::Append });
        Ok(Relation { node, columns, rank: None })
    }

    fn side(&mut self, at: &SetExpr, side: &Relation, columns: &[Visible], types: &[Type]) -> Bound<usize> {
        let width = self.graph.fields(side.node).len();
        let mut named = Vec::new();
        let mut as_it_is = width == columns.len();
        for (i, ((visible, name), ty)) in side.columns.iter().zip(columns).zip(types).enumerate() {
            let column = self.graph.column(side.node, visible.column);
            as_it_is &= visible.column == i && column.ty == *ty;
            let column = if column.ty == *ty { Ok(column) } else { cast::implicit(column, ty) };
            named.push((name.name.clone(), column.or_else(|message| self.refuse(place::of_set(at), message))?));
        }
        Ok(if as_it_is { side.node } else { self.graph.project(side.node, named) })
    }

    fn select(&mut self, select: &ast::Select) -> Bound<Relation> {
        self.refuse_clauses(select)?;
        if select.from.is_empty() {
            return self.refuse(
                select.select_token.0.span,
                "SELECT without FROM is not supported: rows come from source tables",
            );
        }
        let from = self.from(&select.from)?;
        let conditions = match &select.selection {
            None => Ok(Vec::new()),
            Some(selection) => self.where_conditions(selection, &from),
        };
        let filtered = conditions.and_then(|conditions| self.first_rows(from.clone(), conditions));
        let Ok((mut input, conditions)) = filtered else {
            // What is wrong with the rest is said too.
            drop(self.select_list(select, &from));
            return Err(Reported);
        };
        for condition in conditions {
            input.node = self.graph.filter(input.node, condition);
        }
        let relation = self.select_list(select, &input)?;
        match &select.distinct {
            None | Some(ast::Distinct::All) => Ok(relation),
            Some(ast::Distinct::Distinct) => {
                let relation = self.no_rank(relation)?;
                self.distinct(select.select_token.0.span, relation)
            }
            Some(ast::Distinct::On(_)) => self.refuse(
                select.select_token.0.span,
                "DISTINCT ON is not supported: write ROW_NUMBER() … and WHERE rn = 1",
            ),
        }
    }

    fn where_conditions(&mut self, selection: &ast::Expr, from: &Relation) -> Bound<Vec<Expr>> {
        // While a ROW_NUMBER() waits for its `= 1`, the number must stay a column: it is not folded away here.
        let calls = self.calls.take();
        let condition = self.condition(selection, from, "WHERE clause");
        self.calls = calls;
        Ok(rewrite::conjuncts(condition?))
    }

    fn refuse_clauses(&mut self, select: &ast::Select) -> Bound<()> {
        let odd = [
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "SELECT INTO"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW (write CROSS JOIN UNNEST(…) AS t(x))"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (!select.named_window.is_empty(), "WINDOW"),
            (select.qualify.is_some(), "QUALIFY (write a subquery with WHERE rn = 1)"),
            (select.value_table_mode.is_some(), "SELECT AS"),
            (select.exclude.is_some(), "EXCLUDE"),
            (select.select_modifiers.is_some(), "this modifier of SELECT"),
        ];
        match odd.iter().find(|(there, _)| *there) {
            Some((_, what)) => self.refuse(select.select_token.0.span, format!("{what} is not supported")),
            None => Ok(()),
        }
    }

    /// Binds SELECT, GROUP BY and HAVING over the rows that WHERE let pass.
    fn select_list(&mut self, select: &ast::Select, input: &Relation) -> Bound<Relation> {
        let no_groups = matches!(&select.group_by, GroupByExpr::Expressions(asts, modifiers) if asts.is_empty() && modifiers.is_empty());
        let groups =
            if no_groups { Groups::default() } else { self.groups(&select.group_by, input, &select.projection)? };
        let calls = Calls { list: Vec::new(), window: groups.window.clone() };
        let outer = self.calls.replace(calls);
        let items = self.items(&select.projection, input);
        let having = select.having.as_ref().map(|having| self.condition(having, input, "HAVING clause")).transpose();
        let calls = std::mem::replace(&mut self.calls, outer).unwrap_or_default();
        let (mut items, having) = (items?, having?);
        let mut scope = input.node;
        let grouped = !no_groups || !calls.list.is_empty() || having.is_some();
        if grouped {
            let span = if no_groups { select.select_token.0.span } else { place::of_group_by(&select.group_by) };
            let (node, grouped) = self.aggregate_node(span, input, groups, calls)?;
            scope = node;
            let having = match (having, &select.having) {
                (Some(having), Some(ast)) => Some(self.over_groups(place::of(ast), having, &grouped, input)?),
                _ => None,
            };
            for Listed { at, item, .. } in &mut items {
                let Item::Expr(expr) = item else {
                    let message =
                        "ROW_NUMBER() beside GROUP BY is not supported: put the GROUP BY into a subquery of its own";
                    return self.refuse(select.select_token.0.span, message);
                };
                *expr = self.over_groups(*at, expr.clone(), &grouped, input)?;
            }
            if let Some(having) = having {
                scope = self.graph.filter(scope, having);
            }
        }
        Ok(self.projection(scope, items))
    }

    fn over_groups(&mut self, at: Span, expr: Expr, grouped: &Grouped, input: &Relation) -> Bound<Expr> {
        grouped.rewrite(expr).or_else(|column| {
            let name = self.graph.fields(input.node).get(column).map_or_else(String::new, |field| field.name.clone());
            self.refuse(at, format!("Expression '{name}' is not being grouped: add it to GROUP BY, or aggregate it"))
        })
    }

    fn projection(&mut self, input: usize, items: Vec<Listed>) -> Relation {
        let mut number = None;
        let mut named = Vec::new();
        for Listed { name, item, .. } in items {
            match item {
                Item::Expr(expr) => named.push((name, expr)),
                Item::RowNumber(row_number) => {
                    number = Some((row_number, named.len()));
                    named.push((name, rank::one()));
                }
            }
        }
        let columns = named
            .iter()
            .enumerate()
            .map(|(column, (name, _))| Visible { table: None, name: name.clone(), column })
            .collect();
        let rank = number.map(|(number, column)| self.rank(number, input, &mut named, column));
        Relation { node: self.graph.project(input, named), columns, rank }
    }

    /// The columns of a SELECT list with their names.
    fn items(&mut self, projection: &[SelectItem], input: &Relation) -> Bound<Vec<Listed>> {
        let mut items = Vec::new();
        let mut failed = None;
        for item in projection {
            if let Err(reported) = self.item(item, input, &mut items) {
                failed = Some(reported);
            }
        }
        failed.map_or(Ok(items), Err)
    }

    fn item(&mut self, item: &SelectItem, input: &Relation, items: &mut Vec<Listed>) -> Bound<()> {
        let item_at = place::of_item(item);
        let (expr, name) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (expr, alias.value.clone()),
            SelectItem::UnnamedExpr(expr) => (expr, name_of(expr).unwrap_or_else(|| format!("EXPR${}", items.len()))),
            SelectItem::Wildcard(options) if plain(options) => {
                for visible in &input.columns {
                    let item = Item::Expr(self.graph.column(input.node, visible.column));
                    items.push(Listed { name: visible.name.clone(), at: item_at, item });
                }
                return Ok(());
            }
            SelectItem::QualifiedWildcard(kind, options) if plain(options) => return self.all_of(kind, input, items),
            other => return self.refuse(item_at, format!("{other} is not supported: name the columns")),
        };
        if let Some(function) = rank::is_row_number(expr) {
            if items.iter().any(|listed| matches!(listed.item, Item::RowNumber(_))) {
                return self.refuse(place::of_function(function), "there can be only one ROW_NUMBER() in a SELECT");
            }
            let calls = self.calls.take();
            let number = self.row_number(function, input);
            self.calls = calls;
            items.push(Listed { name, at: item_at, item: Item::RowNumber(number?) });
            return Ok(());
        }
        items.push(Listed { name, at: place::of(expr), item: Item::Expr(self.expr(expr, input)?) });
        Ok(())
    }

    fn all_of(
        &mut self,
        kind: &SelectItemQualifiedWildcardKind,
        input: &Relation,
        items: &mut Vec<Listed>,
    ) -> Bound<()> {
        let table = match kind {
            SelectItemQualifiedWildcardKind::ObjectName(name) => name.0.last().and_then(|part| part.as_ident()),
            SelectItemQualifiedWildcardKind::Expr(_) => None,
        };
        let Some(table) = table else { return self.refuse(kind.span(), "expected a table's name before .*") };
        let before = items.len();
        for visible in &input.columns {
            if visible.table.as_deref().is_some_and(|declared| self.is_name(table, declared)) {
                let item = Item::Expr(self.graph.column(input.node, visible.column));
                items.push(Listed { name: visible.name.clone(), at: kind.span(), item });
            }
        }
        if items.len() == before {
            return self.refuse(table.span, format!("table '{}' not found in FROM", table.value));
        }
        Ok(())
    }

    /// SELECT DISTINCT: a GROUP BY of all columns.
    fn distinct(&mut self, at: Span, relation: Relation) -> Bound<Relation> {
        let keys: Vec<Expr> =
            relation.columns.iter().map(|visible| self.graph.column(relation.node, visible.column)).collect();
        let groups = Groups { keys: keys.clone(), window: None };
        let (node, grouped) = self.aggregate_node(at, &relation, groups, Calls::default())?;
        let mut columns = Vec::new();
        for (visible, key) in relation.columns.iter().zip(keys) {
            let ExprKind::Column(column) = grouped.rewrite(key).map_err(|_| Reported)?.kind else {
                return Err(Reported);
            };
            columns.push(Visible { column, table: None, name: visible.name.clone() });
        }
        Ok(Relation { node, columns, rank: None })
    }
}

fn plain(options: &ast::WildcardAdditionalOptions) -> bool {
    options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_ilike.is_none()
}

/// The name that a column has without AS.
fn name_of(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Identifier(name) => Some(name.value.clone()),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        _ => None,
    }
}
