//! Scripts made at random over one table of random rows, with their results by the naive engine.
//!
//! A seed makes one case: the same script, the same input, the same results on every machine.

use std::fmt::Write;

use crate::naive::{self, Aggregate, Function, Grouping, NAMES, Of, Row, TS, Value, Window};
use crate::scripts::{Results, Script, Sink};
use crate::seed::Rng;

/// A script, the table that it reads, the rows of that, and what must come of it.
pub struct Case {
    pub script: Script,
    /// The table's statement; `FILE` stands for the path of its rows.
    pub table: String,
    pub csv: String,
    pub results: Results,
    /// How often a row came too late for all its windows, over all sinks.
    pub late: u64,
}

/// 2026-01-01.
const BEGIN: i64 = 20_454 * 86_400_000;

/// Something that can be written as SQL and computed of a row.
struct Part<T> {
    sql: &'static str,
    ty: &'static str,
    of: Of<T>,
}

fn int(value: &Value) -> Option<i64> {
    if let Value::Int(x) = value { Some(*x) } else { None }
}

fn is(value: &Value) -> bool {
    *value == Value::Bool(true)
}

const KEYS: &[Part<Value>] = &[
    Part { sql: "k", ty: "STRING", of: |row| row[0].clone() },
    Part { sql: "n", ty: "INT", of: |row| row[1].clone() },
    Part { sql: "b", ty: "BOOLEAN", of: |row| row[6].clone() },
    Part { sql: "m", ty: "DECIMAL(10,2)", of: |row| row[5].clone() },
    Part {
        sql: "UPPER(k)",
        ty: "STRING",
        of: |row| if let Value::Text(k) = &row[0] { Value::Text(k.to_uppercase()) } else { Value::Null },
    },
    Part { sql: "MOD(i, 3)", ty: "INT", of: |row| int(&row[3]).map_or(Value::Null, |i| Value::Int(i % 3)) },
    Part {
        sql: "CASE WHEN d > 2 THEN 'high' ELSE 'low' END",
        ty: "STRING",
        of: |row| Value::Text(if matches!(row[4], Value::Double(d) if d > 2.0) { "high" } else { "low" }.to_owned()),
    },
];

const PREDICATES: &[Part<bool>] = &[
    Part { sql: "b", ty: "", of: |row| is(&row[6]) },
    Part { sql: "i > 3", ty: "", of: |row| int(&row[3]).is_some_and(|i| i > 3) },
    Part { sql: "k IS NOT NULL", ty: "", of: |row| row[0] != Value::Null },
    Part {
        sql: "k <> 'a' OR i IS NULL",
        ty: "",
        of: |row| row[3] == Value::Null || matches!(&row[0], Value::Text(k) if k != "a"),
    },
    Part { sql: "n IN (1, 3) AND NOT b", ty: "", of: |row| row[1] != Value::Int(2) && row[6] == Value::Bool(false) },
    Part { sql: "d BETWEEN 0 AND 8", ty: "", of: |row| matches!(row[4], Value::Double(d) if (0.0..=8.0).contains(&d)) },
    Part { sql: "k LIKE 'd%'", ty: "", of: |row| matches!(&row[0], Value::Text(k) if k.starts_with('d')) },
];

const TYPES: [&str; 7] = ["STRING", "INT", "TIMESTAMP(3)", "INT", "DOUBLE", "DECIMAL(10,2)", "BOOLEAN"];

fn one<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.within(0, of.len() as u64) as usize]
}

fn rows(rng: &mut Rng) -> Vec<Row> {
    let count = rng.within(0, 160);
    let (mut clock, behind, steps) = (BEGIN + 20_000, 1 + rng.within(0, 12) as i64, 1 + rng.within(0, 2500));
    let row = |_| {
        clock += rng.within(0, steps) as i64;
        let back = if rng.percent(40) { rng.within(0, 1000) as i64 * behind } else { 0 };
        let at = (clock - back).max(BEGIN);
        // The edges of windows, where being in and being late begin.
        let edge = |rng: &mut Rng| at - at.rem_euclid(1000) - i64::from(rng.percent(50));
        let at = if rng.percent(30) { edge(rng).max(BEGIN) } else { at };
        let maybe = |rng: &mut Rng, value: Value| if rng.percent(12) { Value::Null } else { value };
        let k = Value::Text((*one(rng, &["a", "b", "dd", "grün", "x_y"])).to_owned());
        let i = if rng.percent(4) { i64::from(i32::MAX) } else { rng.within(0, 9) as i64 };
        let (d, m) = (rng.within(0, 60) as f64 / 4.0 - 3.0, i128::from(rng.within(0, 2000)) - 700);
        let m = if rng.percent(50) { 125 } else { m };
        let (n, b) = (Value::Int(rng.within(1, 4) as i64), Value::Bool(rng.percent(50)));
        [
            maybe(rng, k),
            n,
            Value::Time(at),
            maybe(rng, Value::Int(i)),
            maybe(rng, Value::Double(d)),
            maybe(rng, Value::Decimal(m)),
            maybe(rng, b),
        ]
    };
    (0..count).map(row).collect()
}

/// An aggregate, its SQL, its type. Where windows are put together of parts, the order of rows is nobody's to say.
fn aggregate(rng: &mut Rng, ordered: bool) -> (Aggregate, String, &'static str) {
    use Function::*;
    let (function, name, columns): (Function, &str, &[usize]) = match rng.within(0, if ordered { 14 } else { 10 }) {
        0 => (CountRows, "COUNT", &[0]),
        1 => (Count, "COUNT", &[0, 3, 5]),
        2 | 3 => (Sum, "SUM", &[3, 4, 5]),
        4 | 5 => (Avg, "AVG", &[3, 4, 5]),
        6 => (Min, "MIN", &[0, 2, 3, 4, 5]),
        7 => (Max, "MAX", &[0, 2, 3, 4, 5]),
        8 => (StddevPop, "STDDEV_POP", &[4]),
        9 => (VarSamp, "VAR_SAMP", &[4]),
        10 => (First, "FIRST_VALUE", &[0, 3, 5]),
        11 => (Last, "LAST_VALUE", &[0, 3, 4]),
        _ => (List, "LISTAGG", &[0]),
    };
    let column = *one(rng, columns);
    let ty = match (function, column) {
        (CountRows | Count, _) => "BIGINT",
        (Sum, 5) => "DECIMAL(38,2)",
        (Avg, 5) => "DECIMAL(38,6)",
        _ => TYPES[column],
    };
    // Flink 1.20 can't take SUM and AVG of different values apart again in windows that share their parts.
    let may = matches!(function, Count) || (ordered && matches!(function, Sum | Avg | Max) && column != 4);
    let distinct = may && rng.percent(35);
    let filter = rng.percent(25).then(|| one(rng, &PREDICATES[..3]));
    // Flink 1.20 forgets the FILTER of the squares that variances are made of.
    let filter = filter.filter(|_| !matches!(function, StddevPop | VarSamp));
    let argument = if function == CountRows { "*" } else { NAMES[column] };
    let sql = format!(
        "{name}({}{argument}){}",
        if distinct { "DISTINCT " } else { "" },
        filter.map(|f| format!(" FILTER (WHERE {})", f.sql)).unwrap_or_default()
    );
    (Aggregate { function, column, distinct, filter: filter.map(|f| f.of) }, sql, ty)
}

/// A window as it stands in SQL: behind FROM, in GROUP BY, its start and end.
struct Written {
    from: String,
    group: String,
    bounds: [String; 2],
}

fn seconds(ms: i64) -> String {
    format!("INTERVAL '{}' SECOND", ms / 1000)
}

fn written(window: Window, source: &str, keys: &[&str], function: bool) -> Written {
    let (name, sizes) = match window {
        Window::Tumble(size) => ("TUMBLE", vec![size]),
        Window::Hop(slide, size) => ("HOP", vec![slide, size]),
        Window::Cumulate(step, size) => ("CUMULATE", vec![step, size]),
        Window::Session(gap) => ("SESSION", vec![gap]),
    };
    let sizes: String = sizes.into_iter().map(|size| format!(", {}", seconds(size))).collect();
    if !function {
        let call = |what: &str| format!("{name}{what}(ts{sizes})");
        return Written { from: source.to_owned(), group: call(""), bounds: [call("_START"), call("_END")] };
    }
    let partition = match window {
        Window::Session(_) if !keys.is_empty() => format!(" PARTITION BY ({})", keys.join(", ")),
        _ => String::new(),
    };
    Written {
        from: format!("TABLE({name}(TABLE {source}{partition}, DESCRIPTOR(ts){sizes}))"),
        group: "window_start, window_end".to_owned(),
        bounds: ["window_start".to_owned(), "window_end".to_owned()],
    }
}

fn any_window(rng: &mut Rng) -> Option<Window> {
    let step = (1 + rng.within(0, 4) as i64) * 5000;
    let size = step * (1 + rng.within(0, 4) as i64);
    match rng.within(0, 7) {
        0 | 1 => None,
        2 | 3 => Some(Window::Tumble(size)),
        4 => Some(Window::Hop(step, size)),
        5 => Some(Window::Cumulate(step, size)),
        _ => Some(Window::Session(1000 * (1 + rng.within(0, 5) as i64))),
    }
}

impl Case {
    pub fn new(seed: u64) -> Case {
        let rng = &mut Rng::new(seed.wrapping_mul(0x9e37_79b9) ^ 0x5eed);
        let rows = rows(rng);
        let delay = rng.within(0, 8) as i64 * 1000;
        let columns: Vec<String> = NAMES.iter().zip(TYPES).map(|(name, ty)| format!("{name} {ty}")).collect();
        let table = format!(
            "CREATE TABLE t ({}, WATERMARK FOR ts AS ts - {}) WITH ('connector'='filesystem', 'path'='FILE', \
             'format'='csv', 'csv.null-literal'='NULL');\n",
            columns.join(", "),
            seconds(delay)
        );
        let mut csv = String::new();
        for row in &rows {
            let fields: Vec<String> = row.iter().map(Value::csv).collect();
            writeln!(csv, "{}", fields.join(",")).unwrap();
        }
        let script = Script { name: format!("seed {seed}"), sinks: Vec::new(), statements: Vec::new() };
        let mut case = Case { script, table, csv, results: Results::new(), late: 0 };
        for number in 0..1 + rng.within(0, 2) {
            match rng.within(0, 8) {
                0 => case.project(rng, &rows, number),
                1 => case.first(rng, &rows, number),
                _ => case.group(rng, &rows, number, delay),
            }
        }
        case
    }

    fn add(&mut self, sink: Sink, query: &str, rows: impl Iterator<Item = Vec<Value>>) {
        let json = |row: Vec<Value>| {
            let fields: Vec<String> =
                sink.columns.iter().zip(row).map(|((name, _), value)| format!("\"{name}\":{}", value.json())).collect();
            sink.row(&format!("{{{}}}", fields.join(",")))
        };
        let mut rows: Vec<String> = rows.map(json).collect();
        rows.sort();
        self.results.insert(format!("{}/{}", self.script.name, sink.name), rows);
        self.script.statements.push(format!("INSERT INTO {} {query}", sink.name));
        self.script.sinks.push(sink);
    }

    /// What a query reads: the table, a view, or a subquery with a part of the rows.
    fn source(&mut self, rng: &mut Rng, number: u64, as_table: bool) -> (String, Option<Of<bool>>) {
        let part = one(rng, PREDICATES);
        match rng.within(0, 4) {
            0 => {
                let view = format!("v{number}");
                self.script.statements.push(format!("CREATE VIEW {view} AS SELECT * FROM t WHERE {}", part.sql));
                (view, Some(part.of))
            }
            1 if !as_table => (format!("(SELECT * FROM t WHERE {})", part.sql), Some(part.of)),
            _ => ("t".to_owned(), None),
        }
    }

    /// Rows without a group.
    fn project(&mut self, rng: &mut Rng, rows: &[Row], number: u64) {
        let key = one(rng, KEYS);
        let part = one(rng, PREDICATES);
        let sink = Sink::new(&format!("s{number}"), &format!("x {}, ts TIMESTAMP(3), d DOUBLE", key.ty));
        let query = format!("SELECT {}, ts, d FROM t WHERE {}", key.sql, part.sql);
        let found = rows.iter().filter(|row| (part.of)(row));
        self.add(sink, &query, found.map(|row| vec![(key.of)(row), row[TS].clone(), row[4].clone()]));
    }

    /// The first or last row of each key, by time or by value.
    fn first(&mut self, rng: &mut Rng, rows: &[Row], number: u64) {
        let (from, passes) = self.source(rng, number, false);
        let (column, descending) = (*one(rng, &[TS, TS, 3]), rng.percent(50));
        let order = format!("{} {}", NAMES[column], if descending { "DESC" } else { "ASC" });
        let not_null = if column == 3 { " AND i IS NOT NULL" } else { "" };
        let query = format!(
            "SELECT n, k, ts, i FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY n ORDER BY {order}) AS r FROM {from} WHERE n < 9{not_null}) \
             WHERE r = 1"
        );
        let mut sink = Sink::new(&format!("s{number}"), "n INT, k STRING, ts TIMESTAMP(3), i INT");
        sink.key = if rng.percent(50) { "n".to_owned() } else { String::new() };
        let mut best: Vec<&Row> = Vec::new();
        for row in rows.iter().filter(|row| passes.is_none_or(|of| of(row)) && (column != 3 || row[3] != Value::Null)) {
            let Some(held) = best.iter_mut().find(|held| held[1] == row[1]) else {
                best.push(row);
                continue;
            };
            // Of the rows with one time the latest is the last; of those with one value the first stays.
            let newer = descending && column == TS && row[TS] == held[TS];
            let (a, b) = if descending { (&held[column], &row[column]) } else { (&row[column], &held[column]) };
            if newer || naive::less(a, b) {
                *held = row;
            }
        }
        let values = |row: &Row| vec![row[1].clone(), row[0].clone(), row[TS].clone(), row[3].clone()];
        self.add(sink, &query, best.into_iter().map(values));
    }

    fn group(&mut self, rng: &mut Rng, rows: &[Row], number: u64, delay: i64) {
        let window = any_window(rng);
        let function = matches!(window, Some(Window::Cumulate(..))) || rng.percent(50);
        let mut keys: Vec<&Part<Value>> = Vec::new();
        for _ in 0..rng.within(0, 3) {
            let of = if matches!(window, Some(Window::Session(_))) { &KEYS[..4] } else { KEYS };
            let key = one(rng, of);
            if !keys.iter().any(|other| other.sql == key.sql) {
                keys.push(key);
            }
        }
        let (from, passes) = self.source(rng, number, window.is_some() && function);
        // Sessions are made of all rows before WHERE sees them.
        let may = !(function && matches!(window, Some(Window::Session(_))));
        let filter = (may && rng.percent(30)).then(|| one(rng, PREDICATES));
        let ordered = matches!(window, None | Some(Window::Tumble(_)));
        let mut calls: Vec<_> = (0..1 + rng.within(0, 4)).map(|_| aggregate(rng, ordered)).collect();
        // Beside a variance Flink makes an AVG of its SUM, which wraps.
        if calls.iter().any(|(call, ..)| matches!(call.function, Function::StddevPop | Function::VarSamp)) {
            calls.retain(|(call, ..)| (call.function, call.column) != (Function::Avg, 3));
        }
        let least = rng.percent(25).then(|| rng.within(1, 5));
        let key_sql: Vec<&str> = keys.iter().map(|key| key.sql).collect();
        let at = window.map(|window| written(window, &from, &key_sql, function));
        let mut columns: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("g{i} {}", key.ty)).collect();
        let mut list: Vec<String> = key_sql.iter().map(|sql| (*sql).to_owned()).collect();
        let mut by = list.clone();
        if let Some(at) = &at {
            columns.extend(["ws TIMESTAMP(3)".to_owned(), "we TIMESTAMP(3)".to_owned()]);
            list.extend(at.bounds.clone());
            by.push(at.group.clone());
        }
        columns.extend(calls.iter().enumerate().map(|(i, call)| format!("a{i} {}", call.2)));
        list.extend(calls.iter().map(|call| call.1.clone()));
        let from = at.map_or(from, |at| at.from);
        let mut query = format!("SELECT {} FROM {from}", list.join(", "));
        filter.iter().for_each(|f| query += &format!(" WHERE {}", f.sql));
        if !by.is_empty() {
            query += &format!(" GROUP BY {}", by.join(", "));
        }
        least.iter().for_each(|n| query += &format!(" HAVING COUNT(*) > {n}"));

        let passes = |row: &Row| passes.is_none_or(|of| of(row)) && filter.is_none_or(|f| (f.of)(row));
        let grouping = Grouping {
            keys: keys.iter().map(|key| key.of).collect(),
            window,
            aggregates: calls.into_iter().map(|call| call.0).collect(),
            delay,
        };
        let (groups, late) = naive::groups(&grouping, rows, passes);
        self.late += late.len() as u64;
        let values = |group: naive::Group<'_>| {
            let mut row = group.keys;
            row.extend(group.span.into_iter().flat_map(|(start, end)| [Value::Time(start), Value::Time(end)]));
            row.extend(grouping.aggregates.iter().map(|aggregate| aggregate.of(&group.rows)));
            row
        };
        let groups = groups.into_iter().filter(|group| least.is_none_or(|n| group.rows.len() as u64 > n));
        let groups: Vec<Vec<Value>> = groups.map(values).collect();
        let mut sink = Sink::new(&format!("s{number}"), &columns.join(", "));
        // A sink with a key has no room for NULL in it.
        let nullable = groups.iter().any(|row| row[..keys.len()].contains(&Value::Null));
        if !nullable && window.is_none() && !keys.is_empty() && rng.percent(50) {
            sink.key = (0..keys.len()).map(|i| format!("g{i}")).collect::<Vec<_>>().join(", ");
        }
        self.add(sink, &query, groups.into_iter());
    }
}
