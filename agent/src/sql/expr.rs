//! Bound expressions: every name resolved, every type known, every implicit cast written out. `eval` computes
//! them a column at a time.

use std::sync::Arc;

use crate::record::{Column, Type, Value};

/// An expression over the columns of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExprKind {
    /// The input's column with this number.
    Column(usize),
    Literal(Value),
    /// Computed only where what stands before it has not decided yet (so `x <> 0 AND 1 / x > 2` is safe).
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// The first branch whose condition is true; `otherwise` is NULL if not written. IF, COALESCE, NULLIF and the
    /// like are bound to this.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Box<Expr>,
    },
    /// Everything else: operators, casts and functions alike.
    Call(Call),
}

/// A call of a function, operator or cast with arguments of just the types that its kernel takes.
#[derive(Clone)]
pub(crate) struct Call {
    /// In upper case: `+`, `<=`, `NOT`, `IS NULL`, `CAST`, `SUBSTRING`. With the arguments' and the result's types
    /// it decides what is computed: two calls are equal if these are.
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Expr>,
    /// The same for the same arguments: may be folded. False for NOW, PROCTIME, RAND, UUID and the like.
    pub(crate) deterministic: bool,
    pub(crate) kernel: Kernel,
}

/// Computes one column of `rows` rows from the arguments' columns, which have `rows` rows too, but for literals: these
/// have one. Constant arguments (patterns, formats) were prepared when it was made. Only `eval` calls it.
pub(crate) type Kernel = Arc<dyn Fn(&[&Column], usize, &mut Context) -> Column + Send + Sync>;

/// What a computation may know of the world, and where it says what went wrong.
#[derive(Debug)]
pub(crate) struct Context {
    /// The record's processing time, in microseconds since the epoch.
    pub(crate) now: i64,
    /// `table.local-time-zone`.
    pub(crate) zone: jiff::tz::TimeZone,
    /// Rows (numbers in the batch) that Flink would have failed the job for, and why: an integer division by zero,
    /// a strict cast. Their result is NULL; whoever evaluates takes them out.
    pub(crate) errors: Vec<(usize, String)>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        self.name == other.name && self.args == other.args
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?})", self.name, self.args)
    }
}

impl Expr {
    pub(crate) fn literal(value: Value, ty: Type) -> Expr {
        Expr { kind: ExprKind::Literal(value), ty }
    }

    /// The value, if it is written in the script (or was folded).
    pub(crate) fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Context {
    pub(crate) fn new(now: i64, zone: jiff::tz::TimeZone) -> Context {
        Context { now, zone, errors: Vec::new() }
    }
}
