//! Arrays that become rows: `UNNEST(array) AS t(x)` and `LATERAL TABLE(STRING_SPLIT(text, ',')) AS t(x)`.

use sqlparser::ast::{self, TableAlias, TableFactor};

use crate::record::Type;
use crate::sql::expr::Expr;
use crate::sql::plan::{Changelog, Node, NodeKind};

use super::group::field;
use super::scope::{Relation, Visible};
use super::{Binder, Bound, call, did_you_mean, place};

/// Table functions: functions whose array's elements are the rows.
const TABLE_FUNCTIONS: [&str; 1] = ["STRING_SPLIT"];

/// Whether a part of FROM makes rows of what stands left of it.
pub(super) fn is_rows(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::UNNEST { .. } => true,
        TableFactor::Function { lateral, .. } => *lateral,
        TableFactor::TableFunction { expr: ast::Expr::Function(function), .. } => {
            !super::window::is_window_function(&call::name(function))
        }
        TableFactor::Table { name, args: Some(_), .. } => name.to_string().eq_ignore_ascii_case("UNNEST"),
        _ => false,
    }
}

impl Binder<'_> {
    pub(super) fn unnest(&mut self, left: Relation, factor: &TableFactor, outer: bool) -> Bound<Relation> {
        if *self.graph.changes(left.node) != Changelog::Append {
            let message =
                "rows of an array of changing results (GROUP BY without a window) are not supported: unnest the source";
            return self.refuse(place::of_factor(factor), message);
        }
        let (array, alias) = match factor {
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_offset_alias: None,
                with_ordinality: false,
            } => {
                let [array] = array_exprs.as_slice() else {
                    return self.refuse(place::of_factor(factor), "UNNEST takes one array");
                };
                (self.expr(array, &left)?, alias)
            }
            TableFactor::Table { args: Some(args), alias, with_ordinality: false, .. } => {
                let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(array))] = args.args.as_slice() else {
                    return self.refuse(place::of_factor(factor), "UNNEST takes one array");
                };
                (self.expr(array, &left)?, alias)
            }
            TableFactor::TableFunction { expr, alias } => (self.table_function(expr, &left)?, alias),
            TableFactor::Function { name, args, with_ordinality: false, alias, .. } => {
                (self.lateral(factor, name, args, &left)?, alias)
            }
            _ => return self.refuse(place::of_factor(factor), "UNNEST … WITH ORDINALITY or OFFSET is not supported"),
        };
        let elements = match self.elements(&array.ty) {
            Some(elements) => elements,
            None => {
                let message = format!("UNNEST takes an ARRAY, MAP or MULTISET, this is {}", array.ty);
                return self.refuse(place::of_factor(factor), message);
            }
        };
        self.unnest_node(left, array, elements, alias.as_ref(), outer)
    }

    /// `LATERAL TABLE(f(…))`, which is read as a function named TABLE with a call in it.
    fn lateral(
        &mut self,
        factor: &TableFactor,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        left: &Relation,
    ) -> Bound<Expr> {
        match args {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))]
                if name.to_string().eq_ignore_ascii_case("TABLE") =>
            {
                self.table_function(expr, left)
            }
            _ => self.refuse(place::of_factor(factor), format!("write LATERAL TABLE({name}(…)) AS t(x)")),
        }
    }

    fn table_function(&mut self, expr: &ast::Expr, left: &Relation) -> Bound<Expr> {
        let name = match expr {
            ast::Expr::Function(function) => call::name(function),
            _ => String::new(),
        };
        if TABLE_FUNCTIONS.contains(&name.as_str()) {
            return self.expr(expr, left);
        }
        let hint = did_you_mean(&name, TABLE_FUNCTIONS);
        let hint = if hint.is_empty() { ".".to_owned() } else { hint };
        let message = format!(
            "the table function {name} is not supported{hint} There is {}, and UNNEST(array)",
            TABLE_FUNCTIONS.join(", ")
        );
        self.refuse(place::of(expr), message)
    }

    /// Names and types of the columns that an element becomes.
    fn elements(&self, ty: &Type) -> Option<Vec<(String, Type)>> {
        match ty {
            Type::Array(of) | Type::Multiset(of) => match &**of {
                Type::Row(fields) => Some(fields.clone()),
                other => Some(vec![("EXPR$0".to_owned(), other.clone())]),
            },
            Type::Map(key, value) => {
                Some(vec![("KEY".to_owned(), (**key).clone()), ("VALUE".to_owned(), (**value).clone())])
            }
            _ => None,
        }
    }

    fn unnest_node(
        &mut self,
        left: Relation,
        array: Expr,
        elements: Vec<(String, Type)>,
        alias: Option<&TableAlias>,
        outer: bool,
    ) -> Bound<Relation> {
        let input = left.node;
        let mut fields = self.graph.fields(input).to_vec();
        let first = fields.len();
        fields.extend(elements.iter().map(|(name, ty)| field(name, ty, false)));
        let node = self.graph.push(Node {
            kind: NodeKind::Unnest { input, array, outer },
            fields,
            changes: Changelog::Append,
        });
        let columns = elements.into_iter().enumerate();
        let columns = columns.map(|(i, (name, _))| Visible { table: None, name, column: first + i }).collect();
        let rows = Relation { node, columns, rank: None };
        let rows = match alias {
            Some(alias) => self.aliased(rows, alias)?,
            None => rows,
        };
        Ok(Relation { node, columns: left.columns.into_iter().chain(rows.columns).collect(), rank: None })
    }
}
