//! Expressions: names resolved, types known, implicit casts written out.

use sqlparser::ast::{self, AccessExpr, BinaryOperator, Subscript, UnaryOperator};

use crate::record::{Type, Value};
use crate::sql::cast::{self, Strictness};
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::{eval, front, functions, types};

use super::literal::{constant, text};
use super::scope::Relation;
use super::{Binder, Bound, Reported, did_you_mean, place};

impl Binder<'_> {
    /// Binds an expression over a relation's columns, and computes what is constant.
    pub(super) fn expr(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        let bound = match ast {
            ast::Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => self.logic(ast, scope)?,
            _ => self.deeper(place::of(ast), |binder| binder.simple(ast, scope))?,
        };
        Ok(eval::fold(bound, &self.settings))
    }

    /// All of them, so that each one's errors are known.
    pub(super) fn exprs<'e>(
        &mut self,
        asts: impl IntoIterator<Item = &'e ast::Expr>,
        scope: &Relation,
    ) -> Bound<Vec<Expr>> {
        let bound: Vec<Bound<Expr>> = asts.into_iter().map(|ast| self.expr(ast, scope)).collect();
        bound.into_iter().collect()
    }

    /// A condition: BOOLEAN, or refused.
    pub(super) fn condition(&mut self, ast: &ast::Expr, scope: &Relation, clause: &str) -> Bound<Expr> {
        let bound = self.expr(ast, scope)?;
        match bound.ty {
            Type::Boolean => Ok(bound),
            Type::Null => Ok(Expr { ty: Type::Boolean, ..bound }),
            ref other => self.refuse(place::of(ast), format!("{clause} must be a condition, this is {other}")),
        }
    }

    /// Calls a function or operator by its name.
    pub(super) fn resolve(&mut self, at: &ast::Expr, name: &str, args: Vec<Expr>) -> Bound<Expr> {
        functions::resolve(name, args, &self.settings).or_else(|message| self.refuse(place::of(at), message))
    }

    fn operator(&mut self, at: &ast::Expr, name: &str, args: &[&ast::Expr], scope: &Relation) -> Bound<Expr> {
        let args = self.exprs(args.iter().copied(), scope)?;
        self.resolve(at, name, args)
    }

    fn negated(&mut self, at: &ast::Expr, negated: bool, expr: Expr) -> Bound<Expr> {
        if negated { self.resolve(at, "NOT", vec![expr]) } else { Ok(expr) }
    }

    /// AND and OR; a long chain of them is a deep tree, so it is taken apart here.
    fn logic(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        let ast::Expr::BinaryOp { op: top, .. } = ast else { return Err(Reported) };
        let mut parts = Vec::new();
        let mut rest = ast;
        while let ast::Expr::BinaryOp { left, op, right } = rest {
            if op != top {
                break;
            }
            parts.push(&**right);
            rest = left;
        }
        parts.push(rest);
        let name = if *top == BinaryOperator::And { "AND" } else { "OR" };
        let bound: Vec<Bound<Expr>> =
            parts.into_iter().rev().map(|part| self.condition(part, scope, &format!("a part of {name}"))).collect();
        let bound = bound.into_iter().collect::<Bound<Vec<Expr>>>()?;
        let kind = if *top == BinaryOperator::And { ExprKind::And(bound) } else { ExprKind::Or(bound) };
        Ok(Expr { kind, ty: Type::Boolean })
    }

    fn simple(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        use ast::Expr as E;
        match ast {
            E::Identifier(name) => {
                let column = self.column(scope, name)?;
                Ok(self.graph.column(scope.node, column))
            }
            E::CompoundIdentifier(parts) => self.path(ast, parts, scope),
            E::CompoundFieldAccess { root, access_chain } => self.access(ast, root, access_chain, scope),
            E::Value(value) => self.literal(value),
            E::TypedString(literal) => self.typed_literal(literal),
            E::Interval(interval) => self.interval(interval),
            E::Nested(inner) => self.expr(inner, scope),
            E::Cast { kind, expr, data_type, .. } => self.cast(ast, kind, expr, data_type, scope),
            E::BinaryOp { left, op: BinaryOperator::Overlaps, right } => match (&**left, &**right) {
                (E::Tuple(one), E::Tuple(other)) => {
                    let ends: Vec<&ast::Expr> = one.iter().chain(other).collect();
                    self.operator(ast, "OVERLAPS", &ends, scope)
                }
                _ => self.refuse(place::of(ast), "OVERLAPS stands between two periods: (start, end) OVERLAPS (start, end)"),
            },
            E::BinaryOp { left, op, right } => {
                let args = self.exprs([&**left, &**right], scope)?;
                self.binary(ast, op, args)
            }
            E::UnaryOp { op, expr } => self.unary(ast, op, expr, scope),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(ast, operand.as_deref(), conditions, else_result.as_deref(), scope)
            }
            E::Function(function) => self.call(ast, function, scope),
            E::Array(array) => self.operator(ast, "ARRAY", &array.elem.iter().collect::<Vec<_>>(), scope),
            E::Tuple(parts) => self.operator(ast, "ROW", &parts.iter().collect::<Vec<_>>(), scope),
            E::Exists { .. } | E::InSubquery { .. } | E::Subquery(_) => self.refuse(
                place::of(ast),
                "a subquery in an expression (IN, EXISTS, a single value) needs a join, which is not supported: write the \
                 values out, or filter in a view",
            ),
            other => self.predicate(other, scope),
        }
    }

    /// Predicates and functions with a syntax of their own.
    fn predicate(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        use ast::Expr as E;
        match ast {
            E::IsNull(x) => self.operator(ast, "IS NULL", &[x], scope),
            E::IsNotNull(x) => self.operator(ast, "IS NOT NULL", &[x], scope),
            E::IsTrue(x) => self.operator(ast, "IS TRUE", &[x], scope),
            E::IsNotTrue(x) => self.operator(ast, "IS NOT TRUE", &[x], scope),
            E::IsFalse(x) => self.operator(ast, "IS FALSE", &[x], scope),
            E::IsNotFalse(x) => self.operator(ast, "IS NOT FALSE", &[x], scope),
            E::IsUnknown(x) => self.operator(ast, "IS UNKNOWN", &[x], scope),
            E::IsNotUnknown(x) => self.operator(ast, "IS NOT UNKNOWN", &[x], scope),
            E::IsDistinctFrom(a, b) => self.operator(ast, "IS DISTINCT FROM", &[a, b], scope),
            E::IsNotDistinctFrom(a, b) => self.operator(ast, "IS NOT DISTINCT FROM", &[a, b], scope),
            E::InList { expr, list, negated } => {
                let args: Vec<&ast::Expr> = std::iter::once(&**expr).chain(list).collect();
                let found = self.operator(ast, "IN", &args, scope)?;
                self.negated(ast, *negated, found)
            }
            E::Between { expr, negated, low, high } => {
                let found = self.operator(ast, "BETWEEN", &[expr, low, high], scope)?;
                self.negated(ast, *negated, found)
            }
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(ast, "LIKE", *negated, [expr, pattern], escape_char.as_deref(), scope)
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                self.like(ast, "SIMILAR TO", *negated, [expr, pattern], escape_char.as_deref(), scope)
            }
            E::IsJson { expr, kind, negated, unique_keys: None } => {
                let name = match kind {
                    None => "IS JSON",
                    Some(ast::JsonPredicateType::Value) => "IS JSON VALUE",
                    Some(ast::JsonPredicateType::Scalar) => "IS JSON SCALAR",
                    Some(ast::JsonPredicateType::Array) => "IS JSON ARRAY",
                    Some(ast::JsonPredicateType::Object) => "IS JSON OBJECT",
                };
                let found = self.operator(ast, name, &[expr], scope)?;
                self.negated(ast, *negated, found)
            }
            other => self.special_call(other, scope),
        }
    }

    fn special_call(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        use ast::Expr as E;
        match ast {
            E::Extract { field, expr, .. } => {
                let expr = self.expr(expr, scope)?;
                self.resolve(ast, "EXTRACT", vec![text(&field.to_string().to_uppercase()), expr])
            }
            E::Ceil { expr, field } => self.rounded(ast, "CEIL", expr, field, scope),
            E::Floor { expr, field } => self.rounded(ast, "FLOOR", expr, field, scope),
            E::Position { expr, r#in } => self.operator(ast, "POSITION", &[expr, r#in], scope),
            E::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![&**expr];
                args.extend(substring_from.as_deref());
                args.extend(substring_for.as_deref());
                self.operator(ast, "SUBSTRING", &args, scope)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "LTRIM",
                    Some(ast::TrimWhereField::Trailing) => "RTRIM",
                    Some(ast::TrimWhereField::Both) | None => "TRIM",
                };
                let args: Vec<&ast::Expr> = std::iter::once(&**expr).chain(trim_what.as_deref()).collect();
                self.operator(ast, name, &args, scope)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = vec![&**expr, &**overlay_what, &**overlay_from];
                args.extend(overlay_for.as_deref());
                self.operator(ast, "OVERLAY", &args, scope)
            }
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => self.refuse(
                place::of(ast),
                "GROUPING SETS, CUBE and ROLLUP are not supported: write an INSERT for each grouping",
            ),
            other => self.refuse(place::of(other), format!("the expression {} is not supported", brief(other))),
        }
    }

    fn rounded(
        &mut self,
        ast: &ast::Expr,
        name: &str,
        of: &ast::Expr,
        field: &ast::CeilFloorKind,
        scope: &Relation,
    ) -> Bound<Expr> {
        let mut args = vec![self.expr(of, scope)?];
        match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {}
            ast::CeilFloorKind::DateTimeField(field) => args.push(text(&field.to_string().to_uppercase())),
            ast::CeilFloorKind::Scale(_) => {
                let message = format!("{name} with a number of digits is not supported: use ROUND or TRUNCATE");
                return self.refuse(place::of(ast), message);
            }
        }
        self.resolve(ast, name, args)
    }

    fn like(
        &mut self,
        ast: &ast::Expr,
        name: &str,
        negated: bool,
        operands: [&ast::Expr; 2],
        escape: Option<&ast::Expr>,
        scope: &Relation,
    ) -> Bound<Expr> {
        let args: Vec<&ast::Expr> = operands.into_iter().chain(escape).collect();
        let found = self.operator(ast, name, &args, scope)?;
        self.negated(ast, negated, found)
    }

    fn binary(&mut self, ast: &ast::Expr, op: &BinaryOperator, args: Vec<Expr>) -> Bound<Expr> {
        use BinaryOperator as B;
        let name = match op {
            B::Plus => "+",
            B::Minus => "-",
            B::Multiply => "*",
            B::Divide => "/",
            B::Modulo => "%",
            B::StringConcat => "||",
            B::Gt => ">",
            B::Lt => "<",
            B::GtEq => ">=",
            B::LtEq => "<=",
            B::Eq => "=",
            B::NotEq => "<>",
            other => return self.refuse(place::of(ast), format!("the operator {other} is not supported")),
        };
        self.resolve(ast, name, args)
    }

    fn unary(&mut self, ast: &ast::Expr, op: &UnaryOperator, of: &ast::Expr, scope: &Relation) -> Bound<Expr> {
        if let (UnaryOperator::Minus, ast::Expr::Value(value)) = (op, of)
            && let ast::Value::Number(digits, _) = &value.value
            && digits == "9223372036854775808"
        {
            return Ok(constant(Value::Int(i64::MIN), Type::BigInt));
        }
        let of = self.expr(of, scope)?;
        match op {
            UnaryOperator::Not => self.resolve(ast, "NOT", vec![of]),
            UnaryOperator::Minus => self.resolve(ast, "NEGATE", vec![of]),
            UnaryOperator::Plus if types::is_numeric(&of.ty) => Ok(of),
            other => self.refuse(place::of(ast), format!("the operator {other} is not supported on {}", of.ty)),
        }
    }

    fn cast(
        &mut self,
        ast: &ast::Expr,
        kind: &ast::CastKind,
        of: &ast::Expr,
        ty: &ast::DataType,
        scope: &Relation,
    ) -> Bound<Expr> {
        let of = self.expr(of, scope)?;
        let ty = front::type_of(ty).or_else(|message| self.refuse(place::of(ast), message))?;
        let strictness = match kind {
            ast::CastKind::TryCast | ast::CastKind::SafeCast => Strictness::Lenient,
            _ if self.settings.legacy_cast => Strictness::Legacy,
            _ => Strictness::Strict,
        };
        cast::cast(of, &ty, strictness).or_else(|message| self.refuse(place::of(ast), message))
    }

    fn case(
        &mut self,
        ast: &ast::Expr,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        scope: &Relation,
    ) -> Bound<Expr> {
        let operand = operand.map(|operand| self.expr(operand, scope)).transpose()?;
        let branches: Vec<Bound<(Expr, Expr)>> = conditions
            .iter()
            .map(|when| {
                let condition = match &operand {
                    None => self.condition(&when.condition, scope, "WHEN"),
                    Some(operand) => self
                        .expr(&when.condition, scope)
                        .and_then(|value| self.resolve(&when.condition, "=", vec![operand.clone(), value])),
                };
                let result = self.expr(&when.result, scope);
                Ok((condition?, result?))
            })
            .collect();
        let otherwise = otherwise.map(|expr| self.expr(expr, scope)).transpose();
        let branches = branches.into_iter().collect::<Bound<Vec<_>>>()?;
        let otherwise = otherwise?.unwrap_or_else(|| constant(Value::Null, Type::Null));
        let results: Vec<Type> =
            branches.iter().map(|(_, result)| result.ty.clone()).chain([otherwise.ty.clone()]).collect();
        let Some(ty) = types::common(&results) else {
            let listed: Vec<String> = results.iter().map(Type::to_string).collect();
            let message =
                format!("illegal mixing of types in CASE: {} have no common type; CAST them", listed.join(", "));
            return self.refuse(place::of(ast), message);
        };
        let mut typed = |expr: Expr| cast::implicit(expr, &ty).or_else(|message| self.refuse(place::of(ast), message));
        let mut cast_branches = Vec::new();
        for (condition, result) in branches {
            cast_branches.push((condition, typed(result)?));
        }
        let otherwise = Box::new(typed(otherwise)?);
        Ok(Expr { kind: ExprKind::Case { branches: cast_branches, otherwise }, ty })
    }

    /// `table.column`, `column.field`, `table.column.field`.
    fn path(&mut self, ast: &ast::Expr, parts: &[ast::Ident], scope: &Relation) -> Bound<Expr> {
        let [first, second, rest @ ..] = parts else {
            return self.refuse(place::of(ast), "a name was expected");
        };
        if let Some(column) = self.qualified(scope, first, second) {
            let column = column?;
            let column = self.graph.column(scope.node, column);
            return self.fields(ast, column, rest);
        }
        let is_column = self.find(first, scope.columns.iter().map(|visible| (visible.name.as_str(), visible.column)));
        let Ok(column) = is_column else {
            let tables = scope.columns.iter().filter_map(|visible| visible.table.as_deref());
            let hint = did_you_mean(&first.value, tables);
            return self.refuse(first.span, format!("table '{}' not found{hint}", first.value));
        };
        let column = self.graph.column(scope.node, column);
        self.fields(ast, column, parts.get(1..).unwrap_or_default())
    }

    /// Fields of a ROW, one in the other.
    fn fields(&mut self, ast: &ast::Expr, mut of: Expr, path: &[ast::Ident]) -> Bound<Expr> {
        for name in path {
            let Type::Row(fields) = &of.ty else {
                let message = format!("'{}' is no field: what stands before it is {}, not a ROW", name.value, of.ty);
                return self.refuse(name.span, message);
            };
            let known: Vec<String> = fields.iter().map(|(field, _)| field.clone()).collect();
            let found = self.find(name, known.iter().enumerate().map(|(i, field)| (field.as_str(), i)));
            let Ok(field) = found else {
                let message = format!("the ROW has no field '{}'; it has {}", name.value, known.join(", "));
                return self.refuse(name.span, message);
            };
            let field = known.get(field).map_or("", String::as_str);
            of = self.resolve(ast, "FIELD", vec![of, text(field)])?;
        }
        Ok(of)
    }

    /// `array[1]`, `map['key']`, and fields behind them.
    fn access(&mut self, ast: &ast::Expr, root: &ast::Expr, chain: &[AccessExpr], scope: &Relation) -> Bound<Expr> {
        let mut of = self.expr(root, scope)?;
        for access in chain {
            of = match access {
                AccessExpr::Dot(ast::Expr::Identifier(name)) => self.fields(ast, of, std::slice::from_ref(name))?,
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let index = self.expr(index, scope)?;
                    self.resolve(ast, "ITEM", vec![of, index])?
                }
                other => return self.refuse(place::of(ast), format!("{other} is not supported")),
            };
        }
        Ok(of)
    }
}

/// An expression's text, short enough for a message.
pub(super) fn brief(ast: &ast::Expr) -> String {
    let text = ast.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
