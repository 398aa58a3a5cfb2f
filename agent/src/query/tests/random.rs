//! Seeded plans and inputs, cut into batches, steps and lives at random: results must be the naive engine's, and must
//! not depend on the cuts.

use std::collections::BTreeMap;

use super::build::*;
use super::reference::Reference;
use crate::record::{ChangeKind, Type, Value};
use crate::sql::plan::{AggregateCall, AggregateFunction as F, Window, WindowKind};

pub(super) const TIME: usize = 2;

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// One plan and its input.
pub(super) struct Case {
    pub(super) keys: Vec<usize>,
    pub(super) window: Option<Window>,
    pub(super) calls: Vec<AggregateCall>,
    pub(super) delay: i64,
    filtered: bool,
    /// Source and values.
    pub(super) rows: Vec<(u64, Vec<Value>)>,
}

fn columns() -> Vec<(&'static str, Type)> {
    vec![
        ("a", Type::Int),
        ("s", Type::STRING),
        ("ts", Type::Timestamp(3)),
        ("i", Type::Int),
        ("d", Type::Double),
        ("m", Type::Decimal(10, 2)),
        ("b", Type::Boolean),
    ]
}

impl Case {
    fn new(random: &mut Random) -> Case {
        let keys = [vec![], vec![0], vec![1], vec![0, 1], vec![5, 6]][random.below(5) as usize].clone();
        let step = (1 + random.below(4) as i64) * 5 * SECOND;
        let size = step * (1 + random.below(4) as i64);
        let offset = if random.one_in(3) { 3 * SECOND } else { 0 };
        let kind = match random.below(6) {
            0 => None,
            1 | 2 => Some(WindowKind::Tumble { size }),
            3 => Some(WindowKind::Hop { slide: step, size }),
            4 => Some(WindowKind::Cumulate { step, size }),
            _ => Some(WindowKind::Session { gap: 4 * SECOND }),
        };
        let window = kind.map(|kind| Window { kind, time: TIME, offset });
        let calls = (0..1 + random.below(4)).map(|_| any_call(random)).collect();
        let count = random.below(150) as usize;
        let sources = 1 + random.below(2);
        let mut rows = Vec::new();
        let mut clock = vec![0_i64; sources as usize];
        let mut source = 0;
        for _ in 0..count {
            if random.one_in(4) {
                source = random.below(sources);
            }
            let clock = &mut clock[source as usize];
            *clock += random.below(4) as i64 * SECOND;
            let time = *clock - random.below(12) as i64 * SECOND;
            // A window's last millisecond is where being late begins.
            let time = if random.one_in(3) { time - 1000 } else { time };
            rows.push((source, any_row(random, time)));
        }
        let delay = random.below(8) as i64 * SECOND;
        Case { keys, window, calls, delay, filtered: random.one_in(2), rows }
    }

    pub(super) fn passes(&self, row: &[Value]) -> bool {
        !self.filtered || matches!(row[3], Value::Int(i) if i > 2)
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::new(&columns());
        plan.watermark(TIME, self.delay);
        if self.filtered {
            plan.filter(call(">", vec![column(3, &Type::Int), int(2)]));
        }
        plan.group(&self.keys, self.window.clone(), self.calls.clone());
        plan.output(&[]);
        plan
    }
}

fn any_row(random: &mut Random, time: i64) -> Vec<Value> {
    let nullable = |random: &mut Random, value: Value| if random.one_in(8) { Value::Null } else { value };
    let text = ["x", "yy", "", "a long text that does not fit in place", "grün"][random.below(5) as usize];
    let a = Value::Int(random.below(3) as i64);
    let big = if random.one_in(10) { i64::from(i32::MAX) } else { random.below(9) as i64 };
    let double = Value::Double(random.below(40) as f64 / 4.0 - 3.0);
    let decimal = Value::Decimal(random.below(2000) as i128 - 700);
    let decimal = if random.one_in(2) { Value::Decimal(100) } else { decimal };
    let boolean = Value::Bool(random.one_in(2));
    vec![
        nullable(random, a),
        nullable(random, Value::Text(text.into())),
        Value::Int(time),
        nullable(random, Value::Int(big)),
        nullable(random, double),
        nullable(random, decimal),
        nullable(random, boolean),
    ]
}

fn any_call(random: &mut Random) -> AggregateCall {
    let types = columns();
    let arg = |n: usize| Some((n, types[n].1.clone()));
    let sum = Type::Decimal(38, 2);
    let mut call = match random.below(18) {
        0 => count(),
        1 => aggregate(F::Count, arg(1), Type::BigInt),
        2 => aggregate(F::Sum, arg(3), Type::Int),
        3 => aggregate(F::Sum, arg(4), Type::Double),
        4 => aggregate(F::Sum, arg(5), sum),
        5 => aggregate(F::Avg, arg(3), Type::Int),
        6 => aggregate(F::Avg, arg(4), Type::Double),
        7 => aggregate(F::Avg, arg(5), Type::Decimal(38, 6)),
        8 => aggregate(F::Min, arg(3 + random.below(3) as usize), types[3].1.clone()),
        9 => aggregate(F::Max, arg(1), Type::STRING),
        10 => aggregate(F::FirstValue, arg(1), Type::STRING),
        11 => aggregate(F::LastValue, arg(4), Type::Double),
        12 => aggregate(F::ListAgg { separator: "|".into() }, arg(1), Type::STRING),
        13 => aggregate(F::StddevPop, arg(4), Type::Double),
        14 => aggregate(F::VarSamp, arg(4), Type::Double),
        15 => aggregate(F::ApproxCountDistinct, arg(1), Type::BigInt),
        16 => aggregate(F::Percentile { fractions: vec![0.3] }, arg(4), Type::Double),
        _ => aggregate(F::Collect, arg(1), Type::Multiset(Box::new(Type::STRING))),
    };
    if let (F::Min, Some(of)) = (&call.function, call.arg_types.first()) {
        call.ty = of.clone();
    }
    call.distinct =
        matches!(call.function, F::Count | F::Sum | F::Avg | F::Max) && random.one_in(3) && !call.args.is_empty();
    call.filter = random.one_in(4).then_some(6);
    call
}

/// Runs a case; gives the rows of each step.
fn run(case: &Case, cuts: &mut Random) -> (Vec<(ChangeKind, Vec<Value>)>, u64, Run) {
    let mut run = case.plan().run();
    let (mut changes, mut late) = (Vec::new(), 0);
    let mut at = 0;
    let mut step = |run: &mut Run| {
        run.steps += 1;
        let result = run.engine.step(run.steps, &mut context(0));
        run.blobs.push(result.delta);
        late += result.counts.late;
        changes.extend(rows(&result.changes));
    };
    while at < case.rows.len() {
        let source = case.rows[at].0;
        let most = 1 + cuts.below(if cuts.0.is_multiple_of(2) { 3 } else { 60 }) as usize;
        let batch: Rows = case.rows[at..]
            .iter()
            .enumerate()
            .take(most)
            .take_while(|(_, row)| row.0 == source)
            .map(|(i, row)| ((at + i) as u64, row.1.clone()))
            .collect();
        at += batch.len();
        run.feed(source, &batch, 0);
        if cuts.one_in(3) {
            step(&mut run);
            if cuts.one_in(3) {
                run.restart();
            }
            if cuts.one_in(5) {
                compact(&mut run);
            }
        }
    }
    run.engine.finish(&mut context(0));
    step(&mut run);
    (changes, late, run)
}

/// All rows become one base, in small pieces.
fn compact(run: &mut Run) {
    let mut cursor = crate::query::Cursor::default();
    let pieces = std::iter::from_fn(|| run.engine.base(&mut cursor, 100)).collect();
    run.blobs = pieces;
}

fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => (a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

fn assert_same(got: &[Vec<Value>], expected: &[Vec<Value>], seed: u64) {
    let key = |row: &Vec<Value>| format!("{row:?}");
    let (mut got, mut expected) = (got.to_vec(), expected.to_vec());
    got.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(got.len(), expected.len(), "seed {seed}\n{got:#?}\n{expected:#?}");
    for (a, b) in got.iter().zip(&expected) {
        let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b));
        assert!(same, "seed {seed}\n got {a:?}\nwant {b:?}");
    }
}

#[test]
fn results_are_the_naive_engines_however_the_input_is_cut_and_restarted() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let case = Case::new(&mut random);
        let mut reference = Reference::new(&case);
        case.rows.iter().for_each(|(source, row)| reference.row(*source, row));
        reference.finish();
        let (changes, late, engine) = run(&case, &mut Random(seed * 2 + 1));
        if case.window.is_none() {
            let width = case.keys.len();
            let table: BTreeMap<String, Vec<Value>> =
                changes.into_iter().map(|(_, row)| (format!("{:?}", &row[..width]), row)).collect();
            let table: Vec<Vec<Value>> = table.into_values().collect();
            assert_same(&table, &reference.table(), seed);
            assert_same(&undelivered(engine), &reference.table(), seed);
            continue;
        }
        let got: Vec<Vec<Value>> = changes.iter().map(|(_, row)| row.clone()).collect();
        assert_same(&got, &reference.fired, seed);
        assert_eq!(late, reference.late, "late rows, seed {seed}");
        assert_eq!(engine.engine.late_rows(), reference.late, "late rows over restarts, seed {seed}");
        assert_eq!(engine.engine.groups(), 0, "seed {seed}");
        let (again, _, _) = run(&case, &mut Random(seed * 2));
        assert_eq!(format!("{changes:?}"), format!("{again:?}"), "two ways to cut, seed {seed}");
    }
}

/// Everything a restarted engine thinks the sink has not seen.
fn undelivered(mut run: Run) -> Vec<Vec<Value>> {
    run.restart();
    let mut cursor = crate::query::Cursor::default();
    let mut found = Vec::new();
    while let Some(changes) = run.engine.undelivered(0, &mut cursor, 3, &mut context(0)) {
        found.extend(rows(&changes).into_iter().map(|(_, row)| row));
    }
    found
}
