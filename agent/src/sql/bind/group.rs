//! GROUP BY: the grouping expressions, the window among them, and the aggregate that comes of them.

use std::collections::BTreeSet;

use sqlparser::ast::{self, GroupByExpr};
use sqlparser::tokenizer::Span;

use crate::record::Type;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, AggregateCall, Changelog, Emission, Field, Node, NodeKind, Window, WindowKind};

use super::aggregate::{Calls, Grouped, Key};
use super::graph::Part;
use super::rewrite;
use super::scope::Relation;
use super::window::GroupWindow;
use super::{Binder, Bound, call, place};

/// What a GROUP BY says.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    pub(super) window: Option<GroupWindow>,
}

impl Binder<'_> {
    pub(super) fn groups(
        &mut self,
        group_by: &GroupByExpr,
        scope: &Relation,
        items: &[ast::SelectItem],
    ) -> Bound<Groups> {
        let GroupByExpr::Expressions(asts, modifiers) = group_by else {
            return self.refuse(place::of_group_by(group_by), "GROUP BY ALL is not supported: name the columns");
        };
        if !modifiers.is_empty() {
            return self.refuse(
                place::of_group_by(group_by),
                "WITH ROLLUP and its like are not supported: write an INSERT for each grouping",
            );
        }
        let mut groups = Groups::default();
        let mut failed = None;
        for ast in asts {
            if let Err(reported) = self.group(ast, scope, items, &mut groups) {
                failed = Some(reported);
            }
        }
        failed.map_or(Ok(groups), Err)
    }

    fn group(
        &mut self,
        ast: &ast::Expr,
        scope: &Relation,
        items: &[ast::SelectItem],
        groups: &mut Groups,
    ) -> Bound<()> {
        match ast {
            ast::Expr::Nested(inner) => return self.group(inner, scope, items, groups),
            ast::Expr::Tuple(parts) => {
                for part in parts {
                    self.group(part, scope, items, groups)?;
                }
                return Ok(());
            }
            ast::Expr::Value(value) if matches!(value.value, ast::Value::Number(..)) => {
                let message =
                    format!("GROUP BY {value} groups by a constant: name the column or write the expression out");
                return self.refuse(place::of(ast), message);
            }
            ast::Expr::Function(function) if super::window::is_group_window(&call::name(function)) => {
                let window = self.group_window(&call::name(function), function, scope)?;
                if groups.window.replace(window).is_some() {
                    return self.refuse(place::of(ast), "there can be only one window in GROUP BY");
                }
                return Ok(());
            }
            ast::Expr::Identifier(name) => {
                let known = scope.columns.iter().any(|visible| self.is_name(name, &visible.name));
                let alias = items.iter().find_map(|item| match item {
                    ast::SelectItem::ExprWithAlias { expr, alias } if self.is_name(name, &alias.value) => Some(expr),
                    _ => None,
                });
                if let (false, Some(expr)) = (known, alias) {
                    let message = format!(
                        "Column '{}' not found: GROUP BY does not know the SELECT list's names, write GROUP BY {}",
                        name.value,
                        super::expr::brief(expr)
                    );
                    return self.refuse(name.span, message);
                }
            }
            _ => {}
        }
        let expr = self.expr(ast, scope)?;
        if matches!(expr.ty, Type::Map(..) | Type::Multiset(_)) {
            return self.refuse(place::of(ast), format!("rows can't be grouped by a {}", expr.ty));
        }
        if !groups.keys.contains(&expr) {
            groups.keys.push(expr);
        }
        Ok(())
    }

    /// The aggregate over an input, and where things are in its output.
    pub(super) fn aggregate_node(
        &mut self,
        at: Span,
        input: &Relation,
        groups: Groups,
        calls: Calls,
    ) -> Bound<(usize, Grouped)> {
        if *self.graph.changes(input.node) != Changelog::Append {
            let message = "an aggregate over the changing results of another (GROUP BY without a window, or ROW_NUMBER) is not \
                           supported: aggregate the source once, or use windows below";
            return self.refuse(at, message);
        }
        if self.graph.is_of_windows(input.node) {
            self.above_windows.push(at);
        }
        let plan = match groups.window {
            Some(window) => self.with_group_window(at, input, groups.keys, calls, window)?,
            None => self.with_windows_of_input(at, input, groups.keys, calls)?,
        };
        Ok(self.push_aggregate(plan))
    }

    fn with_group_window(
        &mut self,
        at: Span,
        input: &Relation,
        keys: Vec<Expr>,
        calls: Calls,
        window: GroupWindow,
    ) -> Bound<Planned> {
        let early = self.emission_of(at, &window.kind)?;
        let keys = keys.into_iter().map(|key| (key.clone(), key)).collect();
        let plan = Planned { input: input.node, keys, window_keys: Vec::new(), calls, window: None, early };
        let time = self.graph.column(input.node, window.time);
        Ok(Planned { window: Some((window, time)), ..plan })
    }

    /// Keys that are the start and end of windows that the input's rows are in make it an aggregate by window.
    fn with_windows_of_input(&mut self, at: Span, input: &Relation, keys: Vec<Expr>, calls: Calls) -> Bound<Planned> {
        let part = |expr: &Expr| match expr.kind {
            ExprKind::Column(column) => self.graph.window_column(input.node, column),
            _ => None,
        };
        let parts: Vec<_> = keys.iter().map(part).collect();
        let starts = parts.iter().flatten().find(|found| found.part == Part::Start).map(|found| found.node);
        let of =
            starts.filter(|node| parts.iter().flatten().any(|found| found.node == *node && found.part == Part::End));
        let Some(of) = of else {
            let keys = keys.into_iter().map(|key| (key.clone(), key)).collect();
            return Ok(Planned { input: input.node, keys, window_keys: Vec::new(), calls, window: None, early: None });
        };
        let mut plain = Vec::new();
        let mut window_keys = Vec::new();
        for (key, part) in keys.into_iter().zip(parts) {
            match part.filter(|found| found.node == of) {
                Some(found) => window_keys.push((key, found.part)),
                None => plain.push((key.clone(), key)),
            }
        }
        if self.emission.is_some() {
            let message = "EMIT is for windows in GROUP BY (TUMBLE, HOP), not for window functions in FROM: write \
                           GROUP BY TUMBLE(ts, …)";
            return self.refuse(at, message);
        }
        self.fused(
            at,
            input,
            Planned { input: input.node, keys: plain, window_keys, calls, window: None, early: None },
            of,
        )
    }

    /// A window that takes late rows sends its result again, changed: whatever is computed with it would count both.
    /// And a session that was sent might have to become part of another one.
    pub(super) fn check_lateness(&mut self) {
        let (above, sessions) = (std::mem::take(&mut self.above_windows), std::mem::take(&mut self.session_windows));
        if self.settings.allowed_lateness.is_zero() {
            return;
        }
        for at in sessions {
            let message = "SESSION windows that take late rows (table.exec.emit.allow-lateness, or EMIT … AFTER WATERMARK, also of \
                           another INSERT) are not supported: take that out, or raise the delay of the watermark";
            let (place, length) = self.place_of(at);
            self.error(place, length, message.to_owned());
        }
        for at in above {
            let message = "an aggregate or ROW_NUMBER over the results of windows is not supported where these may change afterwards, \
                           by late rows (table.exec.emit.allow-lateness, or EMIT … AFTER WATERMARK, also of another INSERT): \
                           take that out, or aggregate the source once";
            let (place, length) = self.place_of(at);
            self.error(place, length, message.to_owned());
        }
    }

    /// What EMIT and the settings say for a window.
    fn emission_of(&mut self, at: Span, kind: &WindowKind) -> Bound<Option<Emission>> {
        self.emitted = true;
        let Some(emission) = self.emission.or(self.always) else {
            if matches!(kind, WindowKind::Session { .. }) {
                self.session_windows.push(at);
            }
            return Ok(None);
        };
        let size = match kind {
            WindowKind::Tumble { size } | WindowKind::Hop { size, .. } => *size,
            _ => {
                let message =
                    "emission before or after the watermark (EMIT, table.exec.emit.*) is for TUMBLE and HOP windows";
                return self.refuse(at, message);
            }
        };
        let shorter = |delay: &std::time::Duration| delay.as_micros() < size.unsigned_abs().into();
        let emission = Emission { before_watermark: emission.before_watermark.filter(shorter), ..emission };
        let none = emission.before_watermark.is_none() && emission.after_watermark.is_none();
        Ok((!none).then_some(emission))
    }

    /// Projects just what is aggregated, and aggregates it.
    fn push_aggregate(&mut self, plan: Planned) -> (usize, Grouped) {
        let mut columns = Columns::default();
        let keys: Vec<usize> = plan.keys.iter().map(|(_, key)| columns.place(key)).collect();
        let calls: Vec<AggregateCall> = plan
            .calls
            .list
            .iter()
            .map(|call| AggregateCall {
                function: call.function.clone(),
                args: call.args.iter().map(|arg| columns.place(arg)).collect(),
                arg_types: call.args.iter().map(|arg| arg.ty.clone()).collect(),
                distinct: call.distinct,
                filter: call.filter.as_ref().map(|filter| columns.place(filter)),
                ty: call.ty.clone(),
            })
            .collect();
        let window = plan.window.map(|(window, time)| {
            let time_ty = time.ty.clone();
            let kind = match window.kind {
                WindowKind::Given { start, end } => WindowKind::Given {
                    start: columns.place(&self.graph.column(plan.input, start)),
                    end: columns.place(&self.graph.column(plan.input, end)),
                },
                kind => kind,
            };
            (Window { kind, time: columns.place(&time), offset: window.offset }, time_ty)
        });
        let named = columns.list.into_iter().enumerate().map(|(i, expr)| (self.name_of(plan.input, &expr, i), expr));
        let named = named.collect();
        let input = self.graph.project(plan.input, named);
        let mut fields: Vec<Field> = keys
            .iter()
            .filter_map(|key| self.graph.fields(input).get(*key))
            .map(|field| Field { rowtime: false, ..field.clone() })
            .collect();
        let calls_at = fields.len();
        fields.extend(calls.iter().enumerate().map(|(i, call)| field(&format!("EXPR${i}"), &call.ty, false)));
        let window_at = fields.len();
        if let Some((_, time)) = &window {
            fields.push(field("window_start", &Type::Timestamp(3), false));
            fields.push(field("window_end", &Type::Timestamp(3), false));
            fields.push(field("window_time", time, true));
        }
        let changes = match (&window, &plan.early) {
            (Some(_), None) => Changelog::Append,
            (Some(_), Some(_)) => Changelog::Upsert((0..calls_at).chain([window_at]).collect()),
            (None, _) => Changelog::Upsert((0..calls_at).collect()),
        };
        let mut grouped: Vec<Key> =
            plan.keys.into_iter().enumerate().map(|(column, (expr, _))| Key { expr, column }).collect();
        grouped
            .extend(plan.window_keys.into_iter().map(|(expr, part)| Key { expr, column: window_at + part as usize }));
        let window = window.map(|(window, _)| window);
        let kind = NodeKind::Aggregate(Aggregate { input, keys, window, calls, early: plan.early });
        let node = self.graph.push(Node { kind, fields, changes });
        (node, Grouped { keys: grouped, calls_at, window_at })
    }

    /// A name for a projected expression: the column's own, if it is one.
    fn name_of(&self, input: usize, expr: &Expr, i: usize) -> String {
        let column = match expr.kind {
            ExprKind::Column(column) => self.graph.fields(input).get(column),
            _ => None,
        };
        column.map_or_else(|| format!("$f{i}"), |field| field.name.clone())
    }
}

pub(super) fn field(name: &str, ty: &Type, rowtime: bool) -> Field {
    Field { name: name.to_owned(), ty: ty.clone(), rowtime }
}

/// An aggregate before its node is made; expressions are over `input`.
pub(super) struct Planned {
    pub(super) input: usize,
    /// Each as it is bound over the SELECT's input, and over `input`.
    pub(super) keys: Vec<(Expr, Expr)>,
    /// Keys that are the window's own columns.
    pub(super) window_keys: Vec<(Expr, Part)>,
    pub(super) calls: Calls,
    /// The window and its time column.
    pub(super) window: Option<(GroupWindow, Expr)>,
    pub(super) early: Option<Emission>,
}

impl Planned {
    /// All columns of the input that keys and calls read.
    pub(super) fn columns(&self) -> BTreeSet<usize> {
        let args = self.calls.list.iter().flat_map(|call| call.args.iter().chain(&call.filter));
        self.keys.iter().map(|(_, key)| key).chain(args).flat_map(rewrite::columns).collect()
    }

    /// The same over another input.
    pub(super) fn renumber(mut self, input: usize, number: &dyn Fn(usize) -> usize) -> Planned {
        let over = |expr: &mut Expr| *expr = rewrite::renumber(expr.clone(), number);
        self.keys.iter_mut().map(|(_, key)| key).for_each(over);
        self.calls.list.iter_mut().flat_map(|call| call.args.iter_mut().chain(&mut call.filter)).for_each(over);
        self.input = input;
        self
    }
}

/// Expressions, each once.
#[derive(Default)]
struct Columns {
    list: Vec<Expr>,
}

impl Columns {
    fn place(&mut self, expr: &Expr) -> usize {
        let known = self.list.iter().position(|known| known == expr && rewrite::is_deterministic(expr));
        known.unwrap_or_else(|| {
            self.list.push(expr.clone());
            self.list.len() - 1
        })
    }
}
