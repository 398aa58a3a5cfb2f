//! Calls of functions: plain ones, aggregates, and what only makes sense beside a GROUP BY window.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use crate::sql::aggregates;
use crate::sql::expr::Expr;

use super::expr::brief;
use super::literal::text;
use super::scope::Relation;
use super::{Binder, Bound, place};

/// Functions whose first argument (third for none) is the name of a unit of time.
const WITH_UNIT: [&str; 2] = ["TIMESTAMPADD", "TIMESTAMPDIFF"];

/// Functions that only exist as windows over rows, and what to write.
const RANKS: [&str; 9] =
    ["ROW_NUMBER", "RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST", "NTILE", "LAG", "LEAD", "NTH_VALUE"];

/// A function's plain arguments; `None` if some are of another kind.
pub(super) fn arguments(function: &ast::Function) -> Option<Vec<&ast::Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
    }
}

/// A function's name in upper case, without a catalog before it.
pub(super) fn name(function: &ast::Function) -> String {
    let last = function.name.0.last().and_then(|part| part.as_ident());
    last.map_or_else(String::new, |ident| ident.value.to_uppercase())
}

fn is_count_of_rows(function: &ast::Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list)
        if matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]))
}

impl Binder<'_> {
    pub(super) fn call(&mut self, ast: &ast::Expr, function: &ast::Function, scope: &Relation) -> Bound<Expr> {
        let name = name(function);
        if function.over.is_some() || RANKS.contains(&name.as_str()) {
            let message = format!(
                "{name} OVER (…) is only supported as ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) AS rn in a subquery \
                 whose outer query has WHERE rn = 1; for running totals use GROUP BY with a window"
            );
            return self.refuse(place::of_function(function), message);
        }
        if let Some(helper) = self.window_helper(ast, &name, function, scope) {
            return helper;
        }
        if aggregates::is_aggregate(&name) {
            return self.aggregate(ast, &name, function, scope);
        }
        let odd = function.filter.is_some() || function.null_treatment.is_some() || !function.within_group.is_empty();
        let clauses = matches!(&function.args, FunctionArguments::List(list)
            if list.duplicate_treatment.is_some() || !list.clauses.is_empty());
        if odd || clauses || !matches!(function.parameters, FunctionArguments::None) {
            let message =
                format!("{name} is no aggregate function: FILTER, DISTINCT and the like have no meaning there");
            return self.refuse(place::of_function(function), message);
        }
        let Some(asts) = arguments(function) else {
            return self.refuse(
                place::of_function(function),
                format!("these arguments of {name} are not supported: {}", brief(ast)),
            );
        };
        let unit = match asts.first() {
            Some(ast::Expr::Identifier(unit)) if WITH_UNIT.contains(&name.as_str()) => {
                Some(text(&unit.value.to_uppercase()))
            }
            _ => None,
        };
        let mut args: Vec<Expr> = unit.into_iter().collect();
        args.extend(self.exprs(asts.into_iter().skip(args.len()), scope)?);
        self.resolve(ast, &name, args)
    }

    /// An aggregate function: what is computed of each group, put on the list, and a column that stands for it.
    fn aggregate(&mut self, ast: &ast::Expr, name: &str, function: &ast::Function, scope: &Relation) -> Bound<Expr> {
        let Some(outer) = self.calls.take() else {
            let message = format!(
                "{name} is an aggregate function; it has no place in WHERE, GROUP BY or inside another aggregate function \
                 (use HAVING, or aggregate in a subquery)"
            );
            return self.refuse(place::of_function(function), message);
        };
        let pending = self.pending(ast, name, function, scope);
        let mut calls = outer;
        let column = pending.map(|pending| calls.add(pending));
        self.calls = Some(calls);
        column
    }

    fn pending(
        &mut self,
        ast: &ast::Expr,
        name: &str,
        function: &ast::Function,
        scope: &Relation,
    ) -> Bound<super::aggregate::Pending> {
        let distinct = match &function.args {
            FunctionArguments::List(list) => {
                if let Some(clause) = list.clauses.iter().find(|clause| !ignores_nulls(clause)) {
                    return self.refuse(place::of_function(function), format!("{clause} is not supported in {name}"));
                }
                list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct)
            }
            _ => false,
        };
        if !function.within_group.is_empty() || function.null_treatment == Some(ast::NullTreatment::RespectNulls) {
            let message =
                format!("WITHIN GROUP and RESPECT NULLS are not supported in {name}: values come in order of arrival");
            return self.refuse(place::of_function(function), message);
        }
        let filter = function.filter.as_deref().map(|filter| self.condition(filter, scope, "FILTER")).transpose();
        let args = if is_count_of_rows(function) {
            if name != "COUNT" {
                return self
                    .refuse(place::of_function(function), format!("{name}(*) has no meaning: only COUNT takes *"));
            }
            Vec::new()
        } else {
            let Some(asts) = arguments(function) else {
                return self.refuse(
                    place::of_function(function),
                    format!("these arguments of {name} are not supported: {}", brief(ast)),
                );
            };
            self.exprs(asts, scope)?
        };
        if distinct && args.len() > 1 {
            let message = format!("{name}(DISTINCT …) takes one argument: concatenate them, or put them into a ROW");
            return self.refuse(place::of_function(function), message);
        }
        let resolved = aggregates::resolve(name, args, distinct, &self.settings);
        let (function, args, ty) = resolved.or_else(|message| self.refuse(place::of_function(function), message))?;
        Ok(super::aggregate::Pending { function, args, distinct, filter: filter?, ty })
    }
}

fn ignores_nulls(clause: &ast::FunctionArgumentClause) -> bool {
    matches!(clause, ast::FunctionArgumentClause::IgnoreOrRespectNulls(ast::NullTreatment::IgnoreNulls))
}
