//! What a script means: a graph of typed operators from tables to sinks. `bind` makes it, `query` runs it,
//! `explain` prints it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::TableColumn;
use crate::record::Type;

use super::expr::Expr;

/// A whole script, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) settings: Settings,
    /// The source tables that are read, with the columns that are used.
    pub(crate) scans: Vec<Scan>,
    /// In an order in which each node's inputs come before it.
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Output>,
    /// What a reader of the plan should know: settings without a meaning here, watermarks that nothing needs.
    pub(crate) notes: Vec<String>,
}

/// What `SET` can change; anything else is refused by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// `table.exec.legacy-cast-behaviour`: a failed CAST is NULL (default, as in the cloud product), else an error.
    pub(crate) legacy_cast: bool,
    /// `table.local-time-zone`, `blink.job.timeZone`; UTC unless set.
    pub(crate) zone: jiff::tz::TimeZone,
    /// `table.exec.state.ttl`, `blink.state.ttl.ms`. Zero: never.
    pub(crate) state_ttl: Duration,
    /// `table.exec.source.idle-timeout`. Zero: idle sources hold the watermark.
    pub(crate) idle_timeout: Duration,
    /// `table.exec.emit.allow-lateness` (and `blink.state.ttl.ms` where EMIT … AFTER WATERMARK asks for it).
    pub(crate) allowed_lateness: Duration,
    /// `splashdam.state.max-bytes`: what the state may take in memory; reading stops there.
    pub(crate) state_max_bytes: u64,
    /// `table.exec.sink.not-null-enforcer` = DROP: a NULL in a NOT NULL column drops the row, else it is an error.
    pub(crate) drop_nulls: bool,
}

/// A source table and what is read of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scan {
    /// The table's name; its number in the script is `table`.
    pub(crate) name: String,
    pub(crate) table: usize,
    pub(crate) columns: Vec<TableColumn>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Names and types of what comes out.
    pub(crate) fields: Vec<Field>,
    pub(crate) changes: Changelog,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// An event-time attribute: windows can be made over it.
    pub(crate) rowtime: bool,
}

/// What kinds of change come out of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changelog {
    /// Rows come once and stay.
    Append,
    /// Rows replace (or delete) the earlier row with the same values in these columns.
    Upsert(Vec<usize>),
}

/// Numbers of inputs are indices into [`Query::nodes`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    /// The rows of `Query::scans[0]`, one column for each of its.
    Scan(usize),
    /// Makes `column` a time attribute: the watermark after a row is the greatest `watermark` (an expression of type
    /// TIMESTAMP(3) or TIMESTAMP_LTZ(3)) seen so far of its source. Rows with NULL there are dropped and counted.
    Watermark {
        input: usize,
        column: usize,
        watermark: Expr,
    },
    /// Keeps the rows for which it is true.
    Filter {
        input: usize,
        predicate: Expr,
    },
    /// One output column for each expression.
    Project {
        input: usize,
        expressions: Vec<Expr>,
    },
    Union {
        inputs: Vec<usize>,
    },
    /// For each element of `array` (ARRAY, MAP or MULTISET) the input's row with the element's columns behind it.
    /// `outer`: a row without elements stays, with NULLs (LEFT JOIN).
    Unnest {
        input: usize,
        array: Expr,
        outer: bool,
    },
    /// A window function in FROM whose windows no aggregate takes up: adds window_start, window_end, window_time.
    Window {
        input: usize,
        window: Window,
    },
    /// GROUP BY. Output: keys, aggregates, then for windows start, end and time (end - 1 ms). Without a window it is
    /// an upsert stream by its keys.
    Aggregate(Aggregate),
    /// `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) = 1`: one row for each key. Output: the input's columns.
    First(First),
}

impl Query {
    /// The nodes that a node's rows come from, itself among them.
    pub(crate) fn below(&self, node: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut look = vec![node];
        while let Some(n) = look.pop() {
            if let Some(node) = self.nodes.get(n)
                && found.insert(n)
            {
                look.extend(node.kind.inputs());
            }
        }
        found
    }
}

impl NodeKind {
    /// The nodes that it takes rows from.
    pub(crate) fn inputs(&self) -> Vec<usize> {
        match self {
            NodeKind::Scan(_) => Vec::new(),
            NodeKind::Union { inputs } => inputs.clone(),
            NodeKind::Watermark { input, .. }
            | NodeKind::Filter { input, .. }
            | NodeKind::Project { input, .. }
            | NodeKind::Unnest { input, .. }
            | NodeKind::Window { input, .. }
            | NodeKind::Aggregate(Aggregate { input, .. })
            | NodeKind::First(First { input, .. }) => vec![*input],
        }
    }

    /// The windows that close over its rows, if it has any: others come too late for them.
    pub(crate) fn window(&self) -> Option<&Window> {
        match self {
            NodeKind::Aggregate(aggregate) => aggregate.window.as_ref(),
            NodeKind::First(first) => first.window.as_ref(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) input: usize,
    /// Input columns.
    pub(crate) keys: Vec<usize>,
    pub(crate) window: Option<Window>,
    pub(crate) calls: Vec<AggregateCall>,
    pub(crate) early: Option<Emission>,
}

/// EMIT … BEFORE / AFTER WATERMARK: processing-time delays; `None`: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Emission {
    pub(crate) before_watermark: Option<Duration>,
    pub(crate) after_watermark: Option<Duration>,
}

/// Sizes in microseconds; starts are aligned to the epoch plus `offset` (of the session's zone for TIMESTAMP_LTZ).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kind: WindowKind,
    /// The input's rowtime column.
    pub(crate) time: usize,
    pub(crate) offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WindowKind {
    Tumble {
        size: i64,
    },
    Hop {
        slide: i64,
        size: i64,
    },
    Cumulate {
        step: i64,
        size: i64,
    },
    Session {
        gap: i64,
    },
    /// Windows that the input has already (an aggregate over the rows of a windowed aggregate, by its window_start and
    /// window_end): these columns.
    Given {
        start: usize,
        end: usize,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AggregateCall {
    pub(crate) function: AggregateFunction,
    /// Input columns, none for COUNT(*).
    pub(crate) args: Vec<usize>,
    /// Types of `args`.
    pub(crate) arg_types: Vec<Type>,
    pub(crate) distinct: bool,
    /// `FILTER (WHERE …)`: a BOOLEAN column of the input; only rows where it is true count.
    pub(crate) filter: Option<usize>,
    pub(crate) ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AggregateFunction {
    /// With arguments: rows where none of them is NULL.
    Count,
    /// Wraps in its type, as Flink does; NULL without a value.
    Sum,
    /// SUM0 is not SQL here; AVG of integers truncates.
    Avg,
    Min,
    Max,
    /// In order of arrival, NULLs passed over.
    FirstValue,
    LastValue,
    ListAgg {
        separator: String,
    },
    StddevPop,
    StddevSamp,
    VarPop,
    VarSamp,
    ApproxCountDistinct,
    /// Fractions between 0 and 1; several give an ARRAY.
    Percentile {
        fractions: Vec<f64>,
    },
    /// MULTISET of the values.
    Collect,
    /// Of a text that is JSON: an array of them in order of arrival.
    JsonArray,
    /// Of a key and a text that is JSON: an object, the later of two equal keys wins.
    JsonObject,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct First {
    pub(crate) input: usize,
    /// Input columns: PARTITION BY.
    pub(crate) keys: Vec<usize>,
    /// Input columns: ORDER BY, most important first. Empty: order of arrival.
    pub(crate) order: Vec<Order>,
    /// The first row to arrive is final (ORDER BY PROCTIME() ASC): append-only. False with an empty `order`: the last
    /// to arrive. (ORDER BY a rowtime ASC is not final: an earlier row may come later.)
    pub(crate) keep_first: bool,
    /// Of rows that `order` takes for equal the later to arrive wins: Flink's deduplication by a rowtime DESC. Else
    /// the earlier one.
    pub(crate) newer_wins: bool,
    /// The keys hold these columns, which are a window's ([`WindowKind::Given`]): the row goes out once, when the
    /// window closes, and late rows are dropped. Append-only.
    pub(crate) window: Option<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) column: usize,
    pub(crate) descending: bool,
    /// Flink's default: NULLs first when ascending, last when descending.
    pub(crate) nulls_first: bool,
}

/// One INSERT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    /// The node whose rows go out; its fields are just the sink's columns, in the sink's order and types.
    pub(crate) input: usize,
    /// The sink table's number in the script, and its name.
    pub(crate) table: usize,
    pub(crate) name: String,
    /// Sink columns that make the `_id`; empty without PRIMARY KEY.
    pub(crate) key: Vec<usize>,
    /// Sink columns declared NOT NULL (the key's among them).
    pub(crate) not_null: Vec<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            legacy_cast: true,
            zone: jiff::tz::TimeZone::UTC,
            state_ttl: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            allowed_lateness: Duration::ZERO,
            state_max_bytes: 1 << 30,
            drop_nulls: false,
        }
    }
}
