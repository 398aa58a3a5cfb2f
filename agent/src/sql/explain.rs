//! A plan in words: what is read, what is computed with which types, what is kept for each key, what makes the ids.
//! It says what `bind` decided and decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::{ColumnFrom, TableColumn};
use crate::record::{Type, Value};

use super::expr::{Expr, ExprKind};
use super::plan::{
    Aggregate, AggregateCall, AggregateFunction, Changelog, Field, First, Node, NodeKind, Output, Query, Settings,
    Window, WindowKind,
};

/// Text of several lines, the outputs first, each node under what reads it. A node that several read is printed once
/// and named by its number after that.
pub(crate) fn explain(query: &Query) -> String {
    let mut readers: BTreeMap<usize, usize> = BTreeMap::new();
    for node in &query.nodes {
        node.kind.inputs().into_iter().for_each(|input| *readers.entry(input).or_default() += 1);
    }
    query.outputs.iter().for_each(|output| *readers.entry(output.input).or_default() += 1);
    let mut explainer = Explainer { query, readers, printed: Vec::new(), out: String::new() };
    for output in &query.outputs {
        explainer.output(output);
    }
    let settings = settings(&query.settings);
    if !settings.is_empty() {
        explainer.line(0, &format!("settings: {}", settings.join(", ")));
    }
    for note in &query.notes {
        explainer.line(0, &format!("note: {note}"));
    }
    explainer.out
}

struct Explainer<'q> {
    query: &'q Query,
    readers: BTreeMap<usize, usize>,
    printed: Vec<usize>,
    out: String,
}

impl Explainer<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        self.out.push_str(&format!("{:indent$}{text}\n", "", indent = 2 * depth));
    }

    fn output(&mut self, output: &Output) {
        let fields = self.fields(output.input).to_vec();
        self.line(0, &format!("insert into {}: {}", output.name, typed(&fields)));
        let changes = self.query.nodes.get(output.input).map_or(&Changelog::Append, |node| &node.changes);
        let rows = match changes {
            Changelog::Append => "rows are final",
            Changelog::Upsert(_) => "rows replace earlier ones",
        };
        let id = match (output.key.is_empty(), changes) {
            (false, _) => listed(&fields, &output.key),
            (true, Changelog::Append) if self.is_windowed(output.input) => "query, key and window start".to_owned(),
            (true, Changelog::Append) => "where the row came from".to_owned(),
            (true, Changelog::Upsert(keys)) if keys.is_empty() && !self.is_windowed(output.input) => "query".to_owned(),
            (true, Changelog::Upsert(_)) => "query, key and window start".to_owned(),
        };
        self.line(1, &format!("_id: {id}; {rows}"));
        if !output.not_null.is_empty() {
            let what = if self.query.settings.drop_nulls { "the row is dropped" } else { "the row is refused" };
            self.line(1, &format!("not null: {} (else {what})", listed(&fields, &output.not_null)));
        }
        self.node(output.input, 1);
    }

    fn is_windowed(&self, node: usize) -> bool {
        match self.query.nodes.get(node).map(|node| &node.kind) {
            Some(NodeKind::Project { input, .. } | NodeKind::Filter { input, .. }) => self.is_windowed(*input),
            Some(NodeKind::Aggregate(aggregate)) => aggregate.window.is_some(),
            Some(NodeKind::First(first)) => first.window.is_some(),
            _ => false,
        }
    }

    fn fields(&self, node: usize) -> &[Field] {
        self.query.nodes.get(node).map_or(&[], |node| &node.fields)
    }

    fn node(&mut self, number: usize, depth: usize) {
        let Some(node) = self.query.nodes.get(number) else { return };
        if self.printed.contains(&number) {
            self.line(depth, &format!("the same as #{number}"));
            return;
        }
        self.printed.push(number);
        let mark = if self.readers.get(&number).is_some_and(|readers| *readers > 1) {
            format!("#{number} ")
        } else {
            String::new()
        };
        for (i, text) in self.texts(node).into_iter().enumerate() {
            let text = if i == 0 { format!("{mark}{text}") } else { format!("  {text}") };
            self.line(depth, &text);
        }
        for input in node.kind.inputs() {
            self.node(input, depth + 1);
        }
    }

    /// A node's own lines.
    fn texts(&self, node: &Node) -> Vec<String> {
        match &node.kind {
            NodeKind::Scan(scan) => {
                let Some(scan) = self.query.scans.get(*scan) else { return vec!["scan".to_owned()] };
                let columns: Vec<String> = scan.columns.iter().map(column).collect();
                vec![format!(
                    "scan {}: {}",
                    scan.name,
                    if columns.is_empty() { "no columns".to_owned() } else { columns.join(", ") }
                )]
            }
            NodeKind::Watermark { input, column, watermark } => {
                let fields = self.fields(*input);
                vec![format!("watermark for {}: {}", name(fields, *column), text(watermark, fields))]
            }
            NodeKind::Filter { input, predicate } => vec![format!("filter {}", text(predicate, self.fields(*input)))],
            NodeKind::Project { input, expressions } => {
                let below = self.fields(*input);
                let each = expressions.iter().zip(&node.fields).map(|(expr, field)| projected(expr, field, below));
                vec![format!("project {}", each.collect::<Vec<_>>().join(", "))]
            }
            NodeKind::Union { .. } => vec!["union all".to_owned()],
            NodeKind::Unnest { input, array, outer } => {
                let below = self.fields(*input);
                let elements = node.fields.get(below.len()..).unwrap_or_default();
                let kind = if *outer { "unnest (keeping rows without elements)" } else { "unnest" };
                vec![format!("{kind} {} as {}", text(array, below), typed(elements))]
            }
            NodeKind::Window { input, window } => vec![format!("window {}", window_text(window, self.fields(*input)))],
            NodeKind::Aggregate(aggregate) => self.aggregate(node, aggregate),
            NodeKind::First(first) => self.first(first),
        }
    }

    fn aggregate(&self, node: &Node, aggregate: &Aggregate) -> Vec<String> {
        let below = self.fields(aggregate.input);
        let keys =
            if aggregate.keys.is_empty() { "none, one row in all".to_owned() } else { listed(below, &aggregate.keys) };
        let calls = aggregate.calls.iter().zip(node.fields.iter().skip(aggregate.keys.len()));
        let calls: Vec<String> =
            calls.map(|(call, field)| format!("{} {} as {}", call_text(call, below), call.ty, field.name)).collect();
        let head = if calls.is_empty() {
            "aggregate (distinct keys)".to_owned()
        } else {
            format!("aggregate {}", calls.join(", "))
        };
        let mut lines = vec![head];
        if let Some(window) = &aggregate.window {
            lines.push(format!("window: {}", window_text(window, below)));
            lines.push(format!("state: by {keys}, until the window closes"));
        } else {
            let ttl = self.query.settings.state_ttl;
            let kept =
                if ttl.is_zero() { "for ever".to_owned() } else { format!("{} after the last change", duration(ttl)) };
            lines.push(format!("state: by {keys}, kept {kept}"));
        }
        if let Some(early) = aggregate.early {
            let delay = |delay: Option<Duration>| match delay {
                None => "not at all".to_owned(),
                Some(delay) if delay.is_zero() => "at once".to_owned(),
                Some(delay) => format!("every {}", duration(delay)),
            };
            lines.push(format!(
                "emission: {} before the watermark, {} after it",
                delay(early.before_watermark),
                delay(early.after_watermark)
            ));
        }
        lines
    }

    fn first(&self, first: &First) -> Vec<String> {
        let below = self.fields(first.input);
        let order: Vec<String> = first
            .order
            .iter()
            .map(|order| {
                let nulls = if order.nulls_first == order.descending {
                    if order.nulls_first { " nulls first" } else { " nulls last" }
                } else {
                    ""
                };
                format!("{}{}{nulls}", name(below, order.column), if order.descending { " desc" } else { "" })
            })
            .collect();
        let which = match (order.is_empty(), first.keep_first) {
            (true, true) => "the first to arrive".to_owned(),
            (true, false) => "the last to arrive".to_owned(),
            _ => format!("the first by {}", order.join(", ")),
        };
        let keys = if first.keys.is_empty() { "none, one row in all".to_owned() } else { listed(below, &first.keys) };
        let mut lines = vec![format!("one row for each key: {which}")];
        match &first.window {
            Some(window) => {
                lines.push(format!("window: {}", window_text(window, below)));
                lines.push(format!("state: by {keys}, until the window closes"));
            }
            None => lines.push(format!("state: by {keys}")),
        }
        lines
    }
}

fn column(column: &TableColumn) -> String {
    match &column.from {
        ColumnFrom::Field(_) => format!("{} {}", column.name, column.ty),
        ColumnFrom::Metadata(key) => format!("{} {} (metadata {key})", column.name, column.ty),
    }
}

fn name(fields: &[Field], column: usize) -> String {
    fields.get(column).map_or_else(|| format!("${column}"), |field| field.name.clone())
}

fn listed(fields: &[Field], columns: &[usize]) -> String {
    columns.iter().map(|column| name(fields, *column)).collect::<Vec<_>>().join(", ")
}

fn typed(fields: &[Field]) -> String {
    let one = |field: &Field| format!("{} {}{}", field.name, field.ty, if field.rowtime { " *rowtime*" } else { "" });
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn projected(expr: &Expr, field: &Field, below: &[Field]) -> String {
    match expr.kind {
        ExprKind::Column(column) if name(below, column) == field.name => field.name.clone(),
        _ => format!("{} as {} {}", text(expr, below), field.name, field.ty),
    }
}

fn call_text(call: &AggregateCall, below: &[Field]) -> String {
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let args = if call.args.is_empty() { "*".to_owned() } else { listed(below, &call.args) };
    let more = match &call.function {
        AggregateFunction::ListAgg { separator } => format!(", '{separator}'"),
        AggregateFunction::Percentile { fractions } => fractions.iter().fold(String::new(), |mut text, fraction| {
            text.push_str(&format!(", {fraction}"));
            text
        }),
        _ => String::new(),
    };
    let filter = call.filter.map_or_else(String::new, |filter| format!(" FILTER (WHERE {})", name(below, filter)));
    format!("{}({distinct}{args}{more}){filter}", function_name(&call.function))
}

fn function_name(function: &AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "COUNT",
        AggregateFunction::Sum => "SUM",
        AggregateFunction::Avg => "AVG",
        AggregateFunction::Min => "MIN",
        AggregateFunction::Max => "MAX",
        AggregateFunction::FirstValue => "FIRST_VALUE",
        AggregateFunction::LastValue => "LAST_VALUE",
        AggregateFunction::ListAgg { .. } => "LISTAGG",
        AggregateFunction::StddevPop => "STDDEV_POP",
        AggregateFunction::StddevSamp => "STDDEV_SAMP",
        AggregateFunction::VarPop => "VAR_POP",
        AggregateFunction::VarSamp => "VAR_SAMP",
        AggregateFunction::ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
        AggregateFunction::Percentile { .. } => "PERCENTILE",
        AggregateFunction::Collect => "COLLECT",
        AggregateFunction::JsonArray => "JSON_ARRAYAGG",
        AggregateFunction::JsonObject => "JSON_OBJECTAGG",
    }
}

fn window_text(window: &Window, below: &[Field]) -> String {
    let of = |micros: i64| duration(Duration::from_micros(micros.unsigned_abs()));
    let kind = match &window.kind {
        WindowKind::Tumble { size } => format!("TUMBLE of {}", of(*size)),
        WindowKind::Hop { slide, size } => format!("HOP of {} every {}", of(*size), of(*slide)),
        WindowKind::Cumulate { step, size } => format!("CUMULATE up to {} in steps of {}", of(*size), of(*step)),
        WindowKind::Session { gap } => format!("SESSION with a gap of {}", of(*gap)),
        WindowKind::Given { start, end } => {
            return format!("given by {} and {}", name(below, *start), name(below, *end));
        }
    };
    let offset = match window.offset {
        0 => String::new(),
        offset if offset < 0 => format!(", {} before the epoch's hours", of(offset)),
        offset => format!(", {} after the epoch's hours", of(offset)),
    };
    format!("{kind} over {}{offset}", name(below, window.time))
}

/// `90 s`, `1 h`: the greatest unit that it is a whole number of.
fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units =
        [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"), (1, "us")];
    let unit = units.into_iter().find(|(size, _)| micros.is_multiple_of(*size) && micros > 0);
    unit.map_or_else(|| "0 s".to_owned(), |(size, name)| format!("{} {name}", micros / size))
}

/// An expression as SQL, columns by name.
fn text(expr: &Expr, below: &[Field]) -> String {
    let all = |parts: &[Expr], separator: &str| {
        parts.iter().map(|part| text(part, below)).collect::<Vec<_>>().join(separator)
    };
    match &expr.kind {
        ExprKind::Column(column) => name(below, *column),
        ExprKind::Literal(value) => literal(value, &expr.ty),
        ExprKind::And(parts) => format!("({})", all(parts, " AND ")),
        ExprKind::Or(parts) => format!("({})", all(parts, " OR ")),
        ExprKind::Case { branches, otherwise } => {
            let branches: Vec<String> = branches
                .iter()
                .map(|(condition, result)| format!("WHEN {} THEN {}", text(condition, below), text(result, below)))
                .collect();
            format!("CASE {} ELSE {} END", branches.join(" "), text(otherwise, below))
        }
        ExprKind::Call(call) => {
            let infix = !call.name.starts_with(|c: char| c.is_ascii_alphabetic());
            match call.args.as_slice() {
                [left, right] if infix => format!("({} {} {})", text(left, below), call.name, text(right, below)),
                [of] if call.name.ends_with("CAST") => format!("{}({} AS {})", call.name, text(of, below), expr.ty),
                [of] if call.name.starts_with("IS ") => format!("({} {})", text(of, below), call.name),
                args => format!("{}({})", call.name, all(args, ", ")),
            }
        }
    }
}

fn literal(value: &Value, ty: &Type) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string().to_uppercase(),
        Value::Int(micros) if *ty == Type::IntervalTime => {
            let sign = if *micros < 0 { "-" } else { "" };
            format!("INTERVAL {sign}{}", duration(Duration::from_micros(micros.unsigned_abs())))
        }
        Value::Int(months) if *ty == Type::IntervalMonths => format!("INTERVAL {months} months"),
        Value::Int(value) if !matches!(ty, Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt) => {
            format!("{ty} {value}")
        }
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Decimal(unscaled) => match ty {
            Type::Decimal(_, scale) if *scale > 0 => format!("{unscaled}e-{scale}"),
            _ => unscaled.to_string(),
        },
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Array(_) | Value::Map(_) | Value::Row(_) => format!("constant {ty}"),
    }
}

/// Settings that differ from what holds without them.
fn settings(settings: &Settings) -> Vec<String> {
    let usual = Settings::default();
    let mut said = Vec::new();
    if !settings.legacy_cast {
        said.push("a failed CAST is an error".to_owned());
    }
    if settings.zone != usual.zone {
        let zone = settings.zone.iana_name().map_or_else(|| "a fixed offset".to_owned(), str::to_owned);
        said.push(format!("time zone {zone}"));
    }
    let times = [
        ("state is kept", settings.state_ttl),
        ("sources are idle after", settings.idle_timeout),
        ("windows take late rows for", settings.allowed_lateness),
    ];
    said.extend(
        times.iter().filter(|(_, time)| !time.is_zero()).map(|(what, time)| format!("{what} {}", duration(*time))),
    );
    if settings.drop_nulls {
        said.push("rows with NULL in a NOT NULL column are dropped".to_owned());
    }
    said
}
