//! A naive engine for generated queries: the whole input is kept and every result computed anew from the rows that belong to it.
//!
//! It promises Flink's semantics for one source that is read in order: the watermark after each row, which rows are
//! late, how sessions grow together, NULLs, integers that wrap, decimals that round half away from zero.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A value; times are milliseconds since 1970, decimals have two digits behind the point.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Double(f64),
    Decimal(i128),
    Text(String),
    Bool(bool),
    Time(i64),
}

/// The input's columns: k, n, ts, i, d, m, b.
pub type Row = [Value; 7];

pub const NAMES: [&str; 7] = ["k", "n", "ts", "i", "d", "m", "b"];
pub const TS: usize = 2;

/// Computes something of a row.
pub type Of<T> = fn(&Row) -> T;

/// A window, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Tumble(i64),
    /// Slide, size.
    Hop(i64, i64),
    /// Step, size.
    Cumulate(i64, i64),
    /// Gap.
    Session(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    CountRows,
    Count,
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    List,
    StddevPop,
    VarSamp,
}

/// An aggregate of a column; only of rows for which `filter` is true, only of different values.
#[derive(Clone, Debug)]
pub struct Aggregate {
    pub function: Function,
    pub column: usize,
    pub distinct: bool,
    pub filter: Option<Of<bool>>,
}

/// What is grouped, and how.
pub struct Grouping {
    pub keys: Vec<Of<Value>>,
    pub window: Option<Window>,
    pub aggregates: Vec<Aggregate>,
    /// Milliseconds that the watermark lies behind the highest time.
    pub delay: i64,
}

/// A group's results: its keys, the window's start and end where there is one, its rows.
pub struct Group<'a> {
    pub keys: Vec<Value>,
    pub span: Option<(i64, i64)>,
    pub rows: Vec<&'a Row>,
}

/// A row that came too late for all its windows: the last of them (a session's: the one that it alone would make), and
/// the watermark before it.
pub struct Late<'a> {
    pub row: &'a Row,
    pub span: (i64, i64),
    pub watermark: i64,
}

fn time(row: &Row) -> i64 {
    let Value::Time(at) = row[TS] else { panic!("a row without a time") };
    at
}

/// All groups in the end, and the rows that came too late for all their windows.
pub fn groups<'a>(
    grouping: &Grouping,
    rows: &'a [Row],
    passes: impl Fn(&Row) -> bool,
) -> (Vec<Group<'a>>, Vec<Late<'a>>) {
    let mut open: BTreeMap<(Option<(i64, i64)>, String), Group<'a>> = BTreeMap::new();
    let (mut done, mut late, mut watermark) = (Vec::new(), Vec::new(), i64::MIN);
    for row in rows {
        if passes(row) {
            let keys: Vec<Value> = grouping.keys.iter().map(|key| key(row)).collect();
            let named = format!("{keys:?}");
            let mut add = |span: Option<(i64, i64)>, rows: Vec<&'a Row>| {
                let group = || Group { keys: keys.clone(), span, rows: Vec::new() };
                open.entry((span, named.clone())).or_insert_with(group).rows.extend(rows);
            };
            match grouping.window {
                None => add(None, vec![row]),
                Some(Window::Session(gap)) => {
                    let missed = session(&mut open, row, gap, &keys, watermark);
                    late.extend(missed.map(|span| Late { row, span, watermark }));
                }
                Some(window) => {
                    let all = spans(window, time(row));
                    let (in_time, missed): (Vec<_>, Vec<_>) =
                        all.into_iter().partition(|span| span.1 > watermark.saturating_add(1));
                    let last = missed.into_iter().max_by_key(|span| span.1).filter(|_| in_time.is_empty());
                    late.extend(last.map(|span| Late { row, span, watermark }));
                    in_time.into_iter().for_each(|span| add(Some(span), vec![row]));
                }
            }
        }
        watermark = watermark.max(time(row) - grouping.delay);
        let closed = |place: &(Option<(i64, i64)>, String)| place.0.is_some_and(|span| span.1 - 1 <= watermark);
        let places: Vec<_> = open.keys().filter(|place| closed(place)).cloned().collect();
        done.extend(places.iter().filter_map(|place| open.remove(place)));
    }
    done.extend(open.into_values());
    (done, late)
}

type Open<'a> = BTreeMap<(Option<(i64, i64)>, String), Group<'a>>;

/// Adds a row to the session that it belongs to, joining those that it touches; gives its own if it came too late.
fn session<'a>(open: &mut Open<'a>, row: &'a Row, gap: i64, keys: &[Value], watermark: i64) -> Option<(i64, i64)> {
    let named = format!("{keys:?}");
    let mut span = (time(row), time(row) + gap);
    let touches = |other: &Option<(i64, i64)>| other.is_some_and(|other| other.0 <= span.1 && other.1 >= span.0);
    let touched: Vec<_> = open.keys().filter(|(other, key)| *key == named && touches(other)).cloned().collect();
    if touched.is_empty() && span.1 - 1 <= watermark {
        return Some(span);
    }
    let mut rows = Vec::new();
    for place in touched {
        let group = open.remove(&place).unwrap();
        let other = place.0.unwrap();
        span = (span.0.min(other.0), span.1.max(other.1));
        rows.extend(group.rows);
    }
    rows.push(row);
    open.insert((Some(span), named), Group { keys: keys.to_vec(), span: Some(span), rows });
    None
}

/// The windows of a time, but for sessions.
fn spans(window: Window, at: i64) -> Vec<(i64, i64)> {
    match window {
        Window::Tumble(size) => vec![(at - at.rem_euclid(size), at - at.rem_euclid(size) + size)],
        Window::Hop(slide, size) => {
            let last = at - at.rem_euclid(slide);
            let starts = (0..).map(|back| last - back * slide).take_while(|start| *start > at - size);
            starts.map(|start| (start, start + size)).collect()
        }
        Window::Cumulate(step, size) => {
            let start = at - at.rem_euclid(size);
            (1..=size / step).map(|n| (start, start + n * step)).filter(|span| span.1 > at).collect()
        }
        Window::Session(_) => unreachable!("sessions depend on other rows"),
    }
}

impl Aggregate {
    /// Its value over a group's rows, in the order in which they came.
    pub fn of(&self, rows: &[&Row]) -> Value {
        let rows = rows.iter().filter(|row| self.filter.is_none_or(|filter| filter(row)));
        if self.function == Function::CountRows {
            return Value::Int(rows.count() as i64);
        }
        let mut values: Vec<Value> = rows.map(|row| row[self.column].clone()).filter(|v| *v != Value::Null).collect();
        if self.distinct {
            let mut seen = BTreeSet::new();
            values.retain(|value| seen.insert(format!("{value:?}")));
        }
        if self.function == Function::Count {
            return Value::Int(values.len() as i64);
        }
        if values.is_empty() {
            return Value::Null;
        }
        match self.function {
            Function::Sum => sum(&values, true),
            Function::Avg => average(&values),
            Function::Min => values.into_iter().reduce(|a, b| if less(&b, &a) { b } else { a }).unwrap(),
            Function::Max => values.into_iter().reduce(|a, b| if less(&a, &b) { b } else { a }).unwrap(),
            Function::First => values.swap_remove(0),
            Function::Last => values.pop().unwrap(),
            Function::List => Value::Text(values.iter().map(text).collect::<Vec<_>>().join(",")),
            Function::StddevPop => Value::Double(variance(&values, 0.0).sqrt()),
            Function::VarSamp if values.len() < 2 => Value::Null,
            Function::VarSamp => Value::Double(variance(&values, 1.0)),
            Function::CountRows | Function::Count => unreachable!("counted above"),
        }
    }
}

fn text(value: &Value) -> String {
    let Value::Text(text) = value else { panic!("{value:?} is no text") };
    text.clone()
}

/// Whether `a` is before `b`, which are of one type and not NULL.
pub fn less(a: &Value, b: &Value) -> bool {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        other => panic!("{other:?}"),
    };
    order == Ordering::Less
}

fn sum(values: &[Value], wraps: bool) -> Value {
    let add = |a: Value, b: Value| match (a, b) {
        (Value::Int(a), Value::Int(b)) if wraps => Value::Int(i64::from((a as i32).wrapping_add(b as i32))),
        (Value::Int(a), Value::Int(b)) => Value::Int(a + b),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::Decimal(a), Value::Decimal(b)) => Value::Decimal(a + b),
        other => panic!("{other:?}"),
    };
    values.iter().cloned().reduce(add).unwrap()
}

/// Of decimals as a text with six digits behind the point.
fn average(values: &[Value]) -> Value {
    match sum(values, false) {
        Value::Int(sum) => Value::Int(sum / values.len() as i64),
        Value::Double(sum) => Value::Double(sum / values.len() as f64),
        Value::Decimal(sum) => {
            let (scaled, count) = (sum * 10_000, values.len() as i128);
            let half = if scaled < 0 { -count } else { count };
            Value::Text(point((2 * scaled + half) / (2 * count), 6))
        }
        other => panic!("{other:?}"),
    }
}

fn variance(values: &[Value], less: f64) -> f64 {
    let numbers: Vec<f64> =
        values.iter().map(|v| if let Value::Double(x) = v { *x } else { panic!("{v:?}") }).collect();
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let sum: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    sum / (numbers.len() as f64 - less)
}

/// `digits` with a point before the last `scale` of them.
fn point(digits: i128, scale: usize) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = all.split_at(all.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

impl Value {
    /// As it stands in a CSV file with `NULL` for NULL.
    pub fn csv(&self) -> String {
        match self {
            Value::Null => "NULL".to_owned(),
            Value::Int(x) => x.to_string(),
            Value::Double(x) => format!("{x:?}"),
            Value::Decimal(x) => point(*x, 2),
            Value::Text(text) => text.clone(),
            Value::Bool(x) => x.to_string(),
            Value::Time(at) => clock(*at),
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Text(_) | Value::Time(_) => serde_json::Value::String(self.csv()).to_string(),
            _ => self.csv(),
        }
    }
}

/// A time of 2026-01-01 or the days around it.
fn clock(at: i64) -> String {
    let day = at.div_euclid(86_400_000) - 20_454;
    let date = match day {
        -1 => "2025-12-31".to_owned(),
        0..31 => format!("2026-01-{:02}", day + 1),
        _ => panic!("day {day} is not expected"),
    };
    let at = at.rem_euclid(86_400_000);
    format!("{date} {:02}:{:02}:{:02}.{:03}", at / 3_600_000, at / 60_000 % 60, at / 1000 % 60, at % 1000)
}
