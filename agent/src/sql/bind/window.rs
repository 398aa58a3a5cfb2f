//! Windows: TUMBLE, HOP and SESSION in GROUP BY with their helpers, the window functions in FROM, and how an
//! aggregate takes these up.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::tokenizer::Span;

use crate::record::{Type, Value};
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::functions;
use crate::sql::plan::{Changelog, Node, NodeKind, Output, Window, WindowKind};

use super::aggregate::window_part;
use super::call::{self, arguments};
use super::graph::Part;
use super::group::{Planned, field};
use super::rewrite;
use super::scope::{Relation, Visible};
use super::{Binder, Bound, place};

/// A window over a column of an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupWindow {
    pub(super) kind: WindowKind,
    pub(super) time: usize,
    pub(super) offset: i64,
}

/// A SESSION in FROM: which columns it is partitioned by. It must end in an aggregate with just these keys.
pub(super) struct Session {
    pub(super) node: usize,
    pub(super) keys: Vec<usize>,
    pub(super) at: Span,
}

pub(super) fn is_group_window(name: &str) -> bool {
    matches!(name, "TUMBLE" | "HOP" | "SESSION")
}

pub(super) fn is_window_function(name: &str) -> bool {
    is_group_window(name) || name == "CUMULATE"
}

impl Binder<'_> {
    /// `TUMBLE(ts, INTERVAL '1' MINUTE)` as a grouping expression.
    pub(super) fn group_window(
        &mut self,
        name: &str,
        function: &ast::Function,
        scope: &Relation,
    ) -> Bound<GroupWindow> {
        let span = place::of_function(function);
        let usage = match name {
            "TUMBLE" => "TUMBLE(time column, size)",
            "HOP" => "HOP(time column, slide, size)",
            _ => "SESSION(time column, gap)",
        };
        let Some(args) = arguments(function) else { return self.refuse(span, format!("expected {usage}")) };
        let [time, intervals @ ..] = args.as_slice() else { return self.refuse(span, format!("expected {usage}")) };
        let time = self.expr(time, scope);
        let intervals: Vec<Bound<i64>> = intervals.iter().map(|ast| self.window_interval(ast, scope, name)).collect();
        let intervals = intervals.into_iter().collect::<Bound<Vec<i64>>>()?;
        let kind = match (name, intervals.as_slice()) {
            ("TUMBLE", [size]) => WindowKind::Tumble { size: *size },
            ("HOP", [slide, size]) => WindowKind::Hop { slide: *slide, size: *size },
            ("SESSION", [gap]) => WindowKind::Session { gap: *gap },
            _ => return self.refuse(span, format!("expected {usage}")),
        };
        let time = self.time_column(span, time?, scope.node)?;
        Ok(GroupWindow { kind, time, offset: 0 })
    }

    /// A constant interval greater than zero, in microseconds.
    fn window_interval(&mut self, ast: &ast::Expr, scope: &Relation, name: &str) -> Bound<i64> {
        let bound = self.expr(ast, scope)?;
        match (rewrite::literal(&bound), &bound.ty) {
            (Some(Value::Int(micros)), Type::IntervalTime) if *micros > 0 && micros % 1000 == 0 => Ok(*micros),
            _ => {
                let message = format!(
                    "{name} takes constant intervals of days or less, of at least a millisecond, such as INTERVAL '1' MINUTE"
                );
                self.refuse(place::of(ast), message)
            }
        }
    }

    fn time_column(&mut self, span: Span, time: Expr, node: usize) -> Bound<usize> {
        let column = match time.kind {
            ExprKind::Column(column) => column,
            _ => {
                let message = "a window can only be defined over a time attribute column itself, not over an expression: \
                               compute it in the source table and declare WATERMARK FOR it";
                return self.refuse(span, message);
            }
        };
        if self.graph.fields(node).get(column).is_some_and(|field| field.rowtime) {
            return Ok(column);
        }
        if self.graph.is_proctime(node, column) {
            let message = "windows over processing time are not supported: they would not come out the same when a crash is \
                           recovered from; declare WATERMARK FOR a column with the event's time";
            return self.refuse(span, message);
        }
        let message = format!(
            "a window can only be defined over a time attribute column, this is a plain {}: declare \
             `WATERMARK FOR column AS column - INTERVAL '5' SECOND` in its table, and hand the column on as it is",
            time.ty
        );
        self.refuse(span, message)
    }

    /// `TUMBLE_START(ts, INTERVAL '1' MINUTE)` and its kin, if that is what the function is.
    pub(super) fn window_helper(
        &mut self,
        ast: &ast::Expr,
        name: &str,
        function: &ast::Function,
        scope: &Relation,
    ) -> Option<Bound<Expr>> {
        let (window, part) = name.split_once('_').unwrap_or((name, ""));
        if !is_group_window(window) || !matches!(part, "" | "START" | "END" | "ROWTIME" | "PROCTIME") {
            return None;
        }
        if part.is_empty() {
            let message = format!(
                "{window} has its place in GROUP BY; in SELECT write {window}_START, {window}_END or {window}_ROWTIME with the \
                 same arguments"
            );
            return Some(self.refuse(place::of(ast), message));
        }
        Some(self.bound_helper(window, part, function, scope))
    }

    fn bound_helper(&mut self, window: &str, part: &str, function: &ast::Function, scope: &Relation) -> Bound<Expr> {
        // Its arguments are no place for aggregates.
        let calls = self.calls.take();
        let meant = self.group_window(window, function, scope);
        let grouped = calls.as_ref().and_then(|calls| calls.window.clone());
        self.calls = calls;
        let meant = meant?;
        if grouped.as_ref() != Some(&meant) {
            let message = format!("{window}_{part} needs a GROUP BY {window}(…) with just the same arguments");
            return self.refuse(place::of_function(function), message);
        }
        let time = self.graph.fields(scope.node).get(meant.time).map_or(Type::Timestamp(3), |field| field.ty.clone());
        match part {
            "START" => Ok(window_part(Part::Start, Type::Timestamp(3))),
            "END" => Ok(window_part(Part::End, Type::Timestamp(3))),
            "ROWTIME" => Ok(window_part(Part::Time, time)),
            _ => functions::resolve("PROCTIME", Vec::new(), &self.settings)
                .or_else(|message| self.refuse(place::of_function(function), message)),
        }
    }

    /// `TUMBLE(TABLE t, DESCRIPTOR(ts), size)` and its kin in FROM.
    pub(super) fn window_function(&mut self, function: &ast::Function) -> Bound<Relation> {
        let span = place::of_function(function);
        let name = call::name(function);
        let (usage, parameters): (&str, &[&str]) = match name.as_str() {
            "TUMBLE" => ("TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset])", &["SIZE", "OFFSET"]),
            "HOP" => ("HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset])", &["SLIDE", "SIZE", "OFFSET"]),
            "CUMULATE" => ("CUMULATE(TABLE t, DESCRIPTOR(ts), step, size [, offset])", &["STEP", "SIZE", "OFFSET"]),
            _ => ("SESSION(TABLE t [PARTITION BY k], DESCRIPTOR(ts), gap)", &["GAP"]),
        };
        let all: Vec<&str> = ["DATA", "TIMECOL"].into_iter().chain(parameters.iter().copied()).collect();
        let Some(given) = by_name(function, &all) else { return self.refuse(span, format!("expected {usage}")) };
        let (Some(Some(data)), Some(Some(time))) = (given.first().copied(), given.get(1).copied()) else {
            return self.refuse(span, format!("expected {usage}"));
        };
        let (relation, partition) = self.window_input(data, usage)?;
        let time = match time {
            ast::Expr::Function(descriptor) if call::name(descriptor) == "DESCRIPTOR" => arguments(descriptor),
            _ => None,
        };
        let Some([time]) = time.as_deref() else { return self.refuse(span, format!("expected {usage}")) };
        let bound = self.expr(time, &relation)?;
        let time = self.time_column(place::of(time), bound, relation.node)?;
        let mut sizes = Vec::new();
        let mut offset = 0;
        for (parameter, given) in parameters.iter().zip(given.iter().skip(2)) {
            match (given, *parameter) {
                (Some(ast), "OFFSET") => offset = self.window_offset(ast, &relation)?,
                (None, "OFFSET") => {}
                (Some(ast), _) => sizes.push(self.window_interval(ast, &relation, &name)?),
                (None, _) => return self.refuse(span, format!("expected {usage}")),
            }
        }
        let kind = match (name.as_str(), sizes.as_slice()) {
            ("TUMBLE", [size]) => WindowKind::Tumble { size: *size },
            ("HOP", [slide, size]) if size % slide == 0 => WindowKind::Hop { slide: *slide, size: *size },
            ("CUMULATE", [step, size]) if size % step == 0 => WindowKind::Cumulate { step: *step, size: *size },
            ("SESSION", [gap]) => WindowKind::Session { gap: *gap },
            _ => {
                let message = format!(
                    "{name}: the size must be a whole multiple of the {}",
                    if name == "HOP" { "slide" } else { "step" }
                );
                return self.refuse(span, message);
            }
        };
        self.window_node(span, relation, Window { kind, time, offset }, partition)
    }

    fn window_offset(&mut self, ast: &ast::Expr, scope: &Relation) -> Bound<i64> {
        let bound = self.expr(ast, scope)?;
        match (rewrite::literal(&bound), &bound.ty) {
            (Some(Value::Int(micros)), Type::IntervalTime) => Ok(*micros),
            _ => self.refuse(place::of(ast), "a window's offset is a constant interval such as INTERVAL '8' HOUR"),
        }
    }

    /// `TABLE t [PARTITION BY …]`, which the front end makes a call of.
    fn window_input(&mut self, data: &ast::Expr, usage: &str) -> Bound<(Relation, Vec<usize>)> {
        let (table, keys) = match data {
            ast::Expr::Function(function) if call::name(function) == "TABLE" => {
                let args = arguments(function).unwrap_or_default();
                match args.split_first() {
                    Some((table, keys)) => (*table, keys.to_vec()),
                    None => return self.refuse(place::of(data), format!("expected {usage}")),
                }
            }
            other => (other, Vec::new()),
        };
        let parts = match table {
            ast::Expr::Identifier(name) => vec![name.clone()],
            ast::Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => return self.refuse(place::of(data), format!("expected {usage}; put a subquery into a view first")),
        };
        let name = parts.last().map(|last| last.value.clone());
        let relation = self.relation(&ast::ObjectName::from(parts))?.named(name.as_deref());
        let relation = self.no_rank(relation)?;
        let mut columns = Vec::new();
        for key in keys {
            match self.expr(key, &relation)?.kind {
                ExprKind::Column(column) => columns.push(column),
                _ => return self.refuse(place::of(key), "PARTITION BY takes columns here"),
            }
        }
        Ok((relation, columns))
    }

    fn window_node(
        &mut self,
        span: Span,
        relation: Relation,
        window: Window,
        partition: Vec<usize>,
    ) -> Bound<Relation> {
        let input = relation.node;
        if *self.graph.changes(input) != Changelog::Append {
            let message =
                "a window over the changing results of GROUP BY or ROW_NUMBER is not supported: window the source";
            return self.refuse(span, message);
        }
        let is_session = matches!(window.kind, WindowKind::Session { .. });
        if !is_session && !partition.is_empty() {
            return self.refuse(span, "PARTITION BY in a window function is for SESSION only");
        }
        let mut fields = self.graph.fields(input).to_vec();
        let first = fields.len();
        let time = fields.get(window.time).map_or(Type::Timestamp(3), |field| field.ty.clone());
        fields.push(field("window_start", &Type::Timestamp(3), false));
        fields.push(field("window_end", &Type::Timestamp(3), false));
        fields.push(field("window_time", &time, true));
        let node =
            self.graph.push(Node { kind: NodeKind::Window { input, window }, fields, changes: Changelog::Append });
        if is_session {
            match self.sessions.iter().find(|session| session.node == node) {
                Some(other) if other.keys != partition => {
                    return self.refuse(
                        span,
                        "the same SESSION with other PARTITION BY columns in one script is not supported",
                    );
                }
                Some(_) => {}
                None => {
                    self.sessions.push(Session { node, keys: partition, at: span });
                    self.session_windows.push(span);
                }
            }
        }
        let mut columns = relation.columns;
        let table = columns.first().and_then(|column| column.table.clone());
        for (i, name) in ["window_start", "window_end", "window_time"].into_iter().enumerate() {
            let taken = columns.iter().any(|visible| visible.name == name);
            let name = if taken { format!("{name}0") } else { name.to_owned() };
            columns.push(Visible { table: table.clone(), name, column: first + i });
        }
        Ok(Relation { node, columns, rank: relation.rank })
    }

    /// Refuses a SESSION in FROM that did not become part of an aggregate.
    pub(super) fn check_sessions(&mut self, outputs: &[Output]) {
        let used = self.graph.used(outputs.iter().map(|output| output.input));
        let alone: Vec<Span> =
            self.sessions.iter().filter(|session| used.contains(&session.node)).map(|session| session.at).collect();
        for at in alone {
            let message = "SESSION in FROM is only supported with a GROUP BY of window_start, window_end and the columns of its \
                           PARTITION BY above it";
            self.refuse::<()>(at, message).unwrap_or_default();
        }
    }

    /// An aggregate by the windows that node `of` makes: over the rows before they got their windows, if nothing
    /// between looks at the windows, else over the windows that they have.
    pub(super) fn fused(&mut self, at: Span, relation: &Relation, plan: Planned, of: usize) -> Bound<Planned> {
        let session = self.sessions.iter().find(|session| session.node == of).map(|session| session.keys.clone());
        if let Some(NodeKind::Window { window, .. }) = self.graph.nodes.get(of).map(|node| &node.kind) {
            let window = window.clone();
            let below = self.before_window(relation.node, of, window.time);
            let columns = plan.columns();
            if let Some(below) = below.filter(|below| columns.iter().all(|column| below.place(*column).is_some())) {
                if let Some(partition) = session {
                    self.check_session_keys(at, &plan, of, &partition)?;
                }
                let time = self.graph.column(below.node, below.time);
                let plan = plan.renumber(below.node, &|column| below.place(column).unwrap_or(column));
                let window = GroupWindow { kind: window.kind, time: below.time, offset: window.offset };
                return Ok(Planned { window: Some((window, time)), ..plan });
            }
            if session.is_some() {
                let message =
                    "between a SESSION and its GROUP BY nothing may look at the windows: filter and compute after it";
                return self.refuse(at, message);
            }
        }
        let find = |part: Part| {
            let mut keys = plan.window_keys.iter().filter(|(_, found)| *found == part);
            keys.find_map(|(key, _)| match key.kind {
                ExprKind::Column(column) => Some(column),
                _ => None,
            })
        };
        let (Some(start), Some(end)) = (find(Part::Start), find(Part::End)) else {
            return self.refuse(at, "GROUP BY needs both window_start and window_end");
        };
        // What its window_time will be: end - 1 ms, of the type that the windows' own time has.
        let time = Expr { kind: ExprKind::Column(end), ty: self.window_time_type(of) };
        Ok(Planned {
            window: Some((GroupWindow { kind: WindowKind::Given { start, end }, time: end, offset: 0 }, time)),
            ..plan
        })
    }

    fn window_time_type(&self, of: usize) -> Type {
        self.graph.fields(of).last().map_or(Type::Timestamp(3), |field| field.ty.clone())
    }

    fn check_session_keys(&mut self, at: Span, plan: &Planned, of: usize, partition: &[usize]) -> Bound<()> {
        let wanted: std::collections::BTreeSet<Option<usize>> = partition.iter().copied().map(Some).collect();
        let key = |(_, key): &(Expr, Expr)| match key.kind {
            ExprKind::Column(column) => self.graph.origin(plan.input, column, of),
            _ => None,
        };
        if plan.keys.iter().map(key).collect::<std::collections::BTreeSet<_>>() == wanted {
            return Ok(());
        }
        let message =
            "GROUP BY over a SESSION must have just the columns of its PARTITION BY beside window_start and window_end";
        self.refuse(at, message)
    }

    /// The rows of `node` without the windows that `of` gave them; `None` if something between reads the windows.
    fn before_window(&mut self, node: usize, of: usize, time: usize) -> Option<Below> {
        let kind = self.graph.nodes.get(node)?.kind.clone();
        match kind {
            NodeKind::Window { input, .. } if node == of => {
                let width = self.graph.fields(input).len();
                let columns = (0..width + 3).map(|column| (column < width).then_some(column)).collect();
                Some(Below { node: input, columns, time })
            }
            NodeKind::Project { input, expressions } => {
                let below = self.before_window(input, of, time)?;
                let mut named = Vec::new();
                let mut columns = Vec::new();
                for (expr, field) in expressions.into_iter().zip(self.graph.fields(node)) {
                    let reads = rewrite::columns(&expr);
                    if reads.iter().all(|column| below.place(*column).is_some()) {
                        columns.push(Some(named.len()));
                        let over = rewrite::renumber(expr, &|column| below.place(column).unwrap_or(column));
                        named.push((field.name.clone(), over));
                    } else if rewrite::is_plain(&expr) {
                        columns.push(None);
                    } else {
                        return None;
                    }
                }
                let time = self.graph.keep(below.node, &mut named, below.time);
                Some(Below { node: self.graph.project(below.node, named), columns, time })
            }
            NodeKind::Filter { input, predicate } => {
                let below = self.before_window(input, of, time)?;
                if rewrite::columns(&predicate).iter().any(|column| below.place(*column).is_none()) {
                    return None;
                }
                let predicate = rewrite::renumber(predicate, &|column| below.place(column).unwrap_or(column));
                Some(Below { node: self.graph.filter(below.node, predicate), ..below })
            }
            _ => None,
        }
    }
}

/// Rows as they were before they got windows.
struct Below {
    node: usize,
    /// For each column of the rows with windows its column here.
    columns: Vec<Option<usize>>,
    /// The time attribute.
    time: usize,
}

impl Below {
    fn place(&self, column: usize) -> Option<usize> {
        self.columns.get(column).copied().flatten()
    }
}

/// A call's arguments in the order of `parameters`, given by place or by name; `None` if one can't be placed.
fn by_name<'a>(function: &'a ast::Function, parameters: &[&str]) -> Option<Vec<Option<&'a ast::Expr>>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let mut given = vec![None; parameters.len()];
    for (i, arg) in list.args.iter().enumerate() {
        let (at, expr) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (i, expr),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                (parameters.iter().position(|parameter| name.value.eq_ignore_ascii_case(parameter))?, expr)
            }
            FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                let name = name.to_string();
                (parameters.iter().position(|parameter| name.eq_ignore_ascii_case(parameter))?, expr)
            }
            _ => return None,
        };
        *given.get_mut(at)? = Some(expr);
    }
    Some(given)
}
