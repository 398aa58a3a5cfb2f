//! Plans and inputs in few words.

use std::sync::Arc;

use crate::query::{Engine, Program};
use crate::record::{Batch, ChangeKind, Changes, Column, Origin, SourceId, Type, Value};
use crate::sql::expr::{Context, Expr, ExprKind};
use crate::sql::functions::resolve;
use crate::sql::plan::*;

pub(super) const MINUTE: i64 = 60_000_000;
pub(super) const SECOND: i64 = 1_000_000;

pub(super) fn context(now: i64) -> Context {
    Context { now, zone: jiff::tz::TimeZone::UTC, errors: Vec::new() }
}

/// A plan over one table; nodes are added one after the other.
pub(super) struct Plan {
    pub(super) query: Query,
}

pub(super) fn column(n: usize, ty: &Type) -> Expr {
    Expr { kind: ExprKind::Column(n), ty: ty.clone() }
}

pub(super) fn int(value: i64) -> Expr {
    Expr { kind: ExprKind::Literal(Value::Int(value)), ty: Type::Int }
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    resolve(name, args, &Settings::default()).unwrap()
}

pub(super) fn aggregate(function: AggregateFunction, arg: Option<(usize, Type)>, ty: Type) -> AggregateCall {
    let (args, arg_types) = arg.into_iter().unzip();
    AggregateCall { function, args, arg_types, distinct: false, filter: None, ty }
}

pub(super) fn count() -> AggregateCall {
    aggregate(AggregateFunction::Count, None, Type::BigInt)
}

impl Plan {
    pub(super) fn new(columns: &[(&str, Type)]) -> Plan {
        let fields =
            columns.iter().map(|(name, ty)| Field { name: name.to_string(), ty: ty.clone(), rowtime: false }).collect();
        let scan = Scan { name: "t".into(), table: 0, columns: Vec::new() };
        let mut plan = Plan {
            query: Query {
                settings: Settings::default(),
                scans: vec![scan],
                nodes: Vec::new(),
                outputs: Vec::new(),
                notes: Vec::new(),
            },
        };
        plan.push(NodeKind::Scan(0), fields, Changelog::Append);
        plan
    }

    fn push(&mut self, kind: NodeKind, fields: Vec<Field>, changes: Changelog) -> usize {
        self.query.nodes.push(Node { kind, fields, changes });
        self.query.nodes.len() - 1
    }

    pub(super) fn last(&self) -> usize {
        self.query.nodes.len() - 1
    }

    fn fields(&self, n: usize) -> Vec<Field> {
        self.query.nodes[n].fields.clone()
    }

    /// `WATERMARK FOR column AS column - delay`.
    pub(super) fn watermark(&mut self, time: usize, delay: i64) {
        let input = self.last();
        let mut fields = self.fields(input);
        fields[time].rowtime = true;
        let delay = Expr { kind: ExprKind::Literal(Value::Int(delay)), ty: Type::IntervalTime };
        let watermark = call("-", vec![column(time, &fields[time].ty), delay]);
        self.push(NodeKind::Watermark { input, column: time, watermark }, fields, Changelog::Append);
    }

    pub(super) fn filter(&mut self, predicate: Expr) {
        let input = self.last();
        let (fields, changes) = (self.fields(input), self.query.nodes[input].changes.clone());
        self.push(NodeKind::Filter { input, predicate }, fields, changes);
    }

    pub(super) fn project(&mut self, expressions: Vec<Expr>) {
        let input = self.last();
        let field = |e: &Expr| Field { name: "x".into(), ty: e.ty.clone(), rowtime: false };
        let (fields, changes) = (expressions.iter().map(field).collect(), self.query.nodes[input].changes.clone());
        self.push(NodeKind::Project { input, expressions }, fields, changes);
    }

    pub(super) fn group(&mut self, keys: &[usize], window: Option<Window>, calls: Vec<AggregateCall>) {
        let input = self.last();
        let from = self.fields(input);
        let mut fields: Vec<Field> = keys.iter().map(|key| from[*key].clone()).collect();
        fields.extend(calls.iter().map(|c| Field { name: "a".into(), ty: c.ty.clone(), rowtime: false }));
        let changes = if window.is_some() { Changelog::Append } else { Changelog::Upsert((0..keys.len()).collect()) };
        if let Some(window) = &window {
            let time = from[window.time].ty.clone();
            for (name, ty) in [("start", Type::Timestamp(3)), ("end", Type::Timestamp(3)), ("time", time)] {
                fields.push(Field { name: name.into(), ty, rowtime: name == "time" });
            }
        }
        let plan = Aggregate { input, keys: keys.to_vec(), window, calls, early: None };
        self.push(NodeKind::Aggregate(plan), fields, changes);
    }

    pub(super) fn first(&mut self, keys: &[usize], order: Vec<Order>, keep_first: bool) {
        let input = self.last();
        let fields = self.fields(input);
        let changes = if keep_first { Changelog::Append } else { Changelog::Upsert(keys.to_vec()) };
        let plan = First { input, keys: keys.to_vec(), order, keep_first, newer_wins: false, window: None };
        self.push(NodeKind::First(plan), fields, changes);
    }

    pub(super) fn output(&mut self, key: &[usize]) {
        let input = self.last();
        let table = self.query.outputs.len() + 1;
        self.query.outputs.push(Output { input, table, name: "sink".into(), key: key.to_vec(), not_null: Vec::new() });
    }

    pub(super) fn program(&self) -> Arc<Program> {
        Arc::new(Program::new(&self.query).unwrap())
    }

    pub(super) fn run(&self) -> Run {
        self.run_of(self.program())
    }

    pub(super) fn run_of(&self, program: Arc<Program>) -> Run {
        Run { engine: Engine::new(program.clone()).unwrap(), program, steps: 0, blobs: Vec::new(), types: self.types() }
    }

    fn types(&self) -> Vec<Type> {
        self.query.nodes[0].fields.iter().map(|field| field.ty.clone()).collect()
    }
}

/// An engine that is fed row by row or batch by batch.
pub(super) struct Run {
    pub(super) program: Arc<Program>,
    pub(super) engine: Engine,
    pub(super) steps: u64,
    pub(super) blobs: Vec<Vec<u8>>,
    types: Vec<Type>,
}

/// Rows as values, with their record's offset.
pub(super) type Rows = Vec<(u64, Vec<Value>)>;

impl Run {
    pub(super) fn batch(&self, source: u64, rows: &[(u64, Vec<Value>)]) -> Batch {
        let mut columns: Vec<Column> = self.types.iter().map(|ty| Column::of(ty, rows.len())).collect();
        for (_, row) in rows {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        let offsets = rows.iter().map(|(offset, _)| *offset).collect();
        let origin = Some(Origin { source: SourceId(source), offsets, places: Vec::new(), ordinals: Vec::new() });
        Batch { columns, rows: rows.len(), origin }
    }

    pub(super) fn feed(&mut self, source: u64, rows: &[(u64, Vec<Value>)], now: i64) {
        let batch = self.batch(source, rows);
        let mut cx = context(now);
        let prepared = self.program.prepare(0, batch, &mut cx);
        self.engine.apply(prepared, &mut cx);
        assert!(cx.errors.is_empty());
    }

    pub(super) fn step(&mut self, now: i64) -> Vec<Changes> {
        self.steps += 1;
        let result = self.engine.step(self.steps, &mut context(now));
        self.blobs.push(result.delta);
        result.changes
    }

    /// What is stored is all that is left.
    pub(super) fn restart(&mut self) {
        let mut engine = Engine::new(self.program.clone()).unwrap();
        for blob in &self.blobs {
            assert!(engine.load(blob));
        }
        self.engine = engine;
    }
}

/// Rows of changes: kind, then values.
pub(super) fn rows(changes: &[Changes]) -> Vec<(ChangeKind, Vec<Value>)> {
    let mut rows = Vec::new();
    for changes in changes {
        for row in 0..changes.batch.rows {
            let values = changes.batch.columns.iter().map(|column| column.value(row)).collect();
            rows.push((changes.kinds.of(row), values));
        }
    }
    rows
}

pub(super) fn numbers(values: &[i64]) -> Vec<Value> {
    values.iter().map(|value| Value::Int(*value)).collect()
}
