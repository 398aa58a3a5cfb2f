//! A naive engine: one row at a time, the whole input kept, everything computed anew from the kept rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::query::windows::spans;
use crate::record::{Type, Value};
use crate::sql::plan::{AggregateCall, AggregateFunction as F, WindowKind};

use super::random::Case;

/// A row that came out of a window: keys, aggregates, start, end.
pub(super) type Fired = Vec<Value>;

#[derive(Default)]
pub(super) struct Window {
    pub(super) rows: Vec<Vec<Value>>,
}

/// Span and key (as it is printed).
type Place = ((i64, i64), String);

/// What the naive engine has seen.
pub(super) struct Reference<'a> {
    case: &'a Case,
    marks: BTreeMap<u64, i64>,
    watermark: i64,
    open: BTreeMap<Place, (Vec<Value>, Window)>,
    pub(super) fired: Vec<Fired>,
    pub(super) late: u64,
    /// Without windows: all rows by key.
    pub(super) groups: BTreeMap<String, (Vec<Value>, Window)>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(case: &'a Case) -> Reference<'a> {
        let (marks, open, groups) = Default::default();
        Reference { case, marks, watermark: i64::MIN, open, fired: Vec::new(), late: 0, groups }
    }

    pub(super) fn row(&mut self, source: u64, row: &[Value]) {
        let Value::Int(time) = row[super::random::TIME] else { return };
        // A source holds the watermark from its first row on, with nothing given yet.
        self.marks.entry(source).or_insert(i64::MIN);
        if self.case.passes(row) {
            self.add(row, time);
        }
        let mark = self.marks.entry(source).or_insert(i64::MIN);
        *mark = (*mark).max(time - self.case.delay);
        let least = self.marks.values().copied().min().unwrap_or(i64::MIN);
        self.move_to(least);
    }

    pub(super) fn finish(&mut self) {
        self.move_to(i64::MAX);
    }

    fn add(&mut self, row: &[Value], time: i64) {
        let key: Vec<Value> = self.case.keys.iter().map(|key| row[*key].clone()).collect();
        let named = format!("{key:?}");
        let Some(window) = &self.case.window else {
            let (_, group) = self.groups.entry(named).or_insert((key, Window::default()));
            return group.rows.push(row.to_vec());
        };
        if let WindowKind::Session { gap } = window.kind {
            return self.add_to_session(row, (time, time + gap), key, named);
        }
        let mut found = Vec::new();
        spans(window, time, &mut found);
        // A row is late where none of its windows takes it.
        found.retain(|span| span.1 - 1000 > self.watermark);
        self.late += u64::from(found.is_empty());
        for span in found {
            let (_, open) = self.open.entry((span, named.clone())).or_insert_with(|| (key.clone(), Window::default()));
            open.rows.push(row.to_vec());
        }
    }

    fn add_to_session(&mut self, row: &[Value], own: (i64, i64), key: Vec<Value>, named: String) {
        let touched: Vec<Place> = self
            .open
            .keys()
            .filter(|(span, other)| *other == named && span.0 <= own.1 && span.1 >= own.0)
            .cloned()
            .collect();
        if touched.is_empty() && own.1 - 1000 <= self.watermark {
            self.late += 1;
            return;
        }
        let (mut span, mut rows) = (own, Vec::new());
        for at in touched {
            span = (span.0.min(at.0.0), span.1.max(at.0.1));
            rows.extend(self.open.remove(&at).unwrap().1.rows);
        }
        rows.push(row.to_vec());
        self.open.insert((span, named), (key, Window { rows }));
    }

    fn move_to(&mut self, watermark: i64) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        let done = |((_, end), _): &Place| end - 1000 <= watermark;
        let keys: BTreeSet<Place> = self.open.keys().filter(|key| done(key)).cloned().collect();
        for at in keys {
            let (key, window) = self.open.remove(&at).unwrap();
            let mut row = key;
            row.extend(self.case.calls.iter().map(|call| compute(call, &window.rows)));
            row.extend([Value::Int(at.0.0), Value::Int(at.0.1), Value::Int(at.0.1 - 1000)]);
            self.fired.push(row);
        }
    }

    /// The final rows of an unbounded GROUP BY.
    pub(super) fn table(&self) -> Vec<Vec<Value>> {
        let row = |(key, group): &(Vec<Value>, Window)| {
            let mut row = key.clone();
            row.extend(self.case.calls.iter().map(|call| compute(call, &group.rows)));
            row
        };
        self.groups.values().map(row).collect()
    }
}

fn compute(call: &AggregateCall, rows: &[Vec<Value>]) -> Value {
    let passes = |row: &&Vec<Value>| call.filter.is_none_or(|at| row[at] == Value::Bool(true));
    let rows = rows.iter().filter(passes);
    let Some(arg) = call.args.first() else { return Value::Int(rows.count() as i64) };
    let mut values: Vec<Value> = rows.map(|row| row[*arg].clone()).filter(|value| *value != Value::Null).collect();
    if call.distinct {
        let mut seen = Vec::new();
        values.retain(|value| {
            let new = !seen.contains(value);
            seen.push(value.clone());
            new
        });
    }
    fold(call, values)
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(x) => *x as f64,
        Value::Double(x) => *x,
        Value::Decimal(x) => *x as f64 / 100.0,
        other => panic!("{other:?}"),
    }
}

fn fold(call: &AggregateCall, values: Vec<Value>) -> Value {
    if let F::Count | F::ApproxCountDistinct = call.function {
        let distinct: BTreeSet<String> = values.iter().map(|value| format!("{value:?}")).collect();
        let all = if call.function == F::Count { values.len() } else { distinct.len() };
        return Value::Int(all as i64);
    }
    if values.is_empty() && call.function != F::Collect {
        return Value::Null;
    }
    match &call.function {
        F::Sum => sum(call, &values),
        F::Avg => match sum(&AggregateCall { ty: Type::BigInt, ..call.clone() }, &values) {
            Value::Int(sum) => Value::Int(sum / values.len() as i64),
            Value::Double(sum) => Value::Double(sum / values.len() as f64),
            Value::Decimal(sum) => {
                // From scale 2 to scale 6, half away from zero.
                let (scaled, count) = (sum * 10_000, values.len() as i128);
                let half = if scaled < 0 { -count } else { count };
                Value::Decimal((2 * scaled + half) / (2 * count))
            }
            other => other,
        },
        F::Min => extreme(values, true),
        F::Max => extreme(values, false),
        F::FirstValue => values[0].clone(),
        F::LastValue => values[values.len() - 1].clone(),
        F::ListAgg { separator } => {
            let texts: Vec<String> =
                values.iter().map(|v| if let Value::Text(t) = v { t.to_string() } else { panic!() }).collect();
            Value::Text(texts.join(separator).into())
        }
        F::StddevPop | F::StddevSamp | F::VarPop | F::VarSamp => spread(&call.function, &values),
        F::Percentile { fractions } => {
            let mut sorted: Vec<f64> = values.iter().map(number).collect();
            sorted.sort_by(f64::total_cmp);
            let place = fractions[0] * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            Value::Double(low + (high - low) * place.fract())
        }
        F::Collect => {
            let mut bag: Vec<(Value, i64)> = Vec::new();
            for value in values {
                match bag.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, count)) => *count += 1,
                    None => bag.push((value, 1)),
                }
            }
            Value::Map(bag.into_iter().map(|(value, count)| (value, Value::Int(count))).collect())
        }
        F::Count | F::ApproxCountDistinct | F::JsonArray | F::JsonObject => unreachable!(),
    }
}

fn sum(call: &AggregateCall, values: &[Value]) -> Value {
    let mut values = values.iter().cloned();
    let first = values.next().unwrap();
    values.fold(first, |sum, value| match (sum, value) {
        (Value::Int(a), Value::Int(b)) if call.ty == Type::Int => {
            Value::Int(i64::from((a as i32).wrapping_add(b as i32)))
        }
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(b)),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::Decimal(a), Value::Decimal(b)) => Value::Decimal(a + b),
        other => panic!("{other:?}"),
    })
}

fn extreme(values: Vec<Value>, min: bool) -> Value {
    let less = |a: &Value, b: &Value| match (a, b) {
        (Value::Text(a), Value::Text(b)) => a < b,
        _ => number(a) < number(b),
    };
    values
        .into_iter()
        .reduce(|best, value| if less(&value, &best) == min && value != best { value } else { best })
        .unwrap()
}

fn spread(function: &F, values: &[Value]) -> Value {
    let (mut sum, mut squares) = (0.0, 0.0);
    for value in values {
        sum += number(value);
        squares += number(value) * number(value);
    }
    let n = values.len() as f64;
    let sample = matches!(function, F::StddevSamp | F::VarSamp);
    if sample && values.len() < 2 {
        return Value::Null;
    }
    let variance = (squares - sum * sum / n) / if sample { n - 1.0 } else { n };
    let root = matches!(function, F::StddevPop | F::StddevSamp);
    Value::Double(if root { variance.sqrt() } else { variance })
}
