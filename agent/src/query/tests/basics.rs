//! Tables with answers worked out by hand.

use super::build::*;
use crate::record::{ChangeKind, Type, Value};
use crate::sql::plan::*;

fn at(rows: &[&[i64]]) -> Rows {
    rows.iter().enumerate().map(|(i, row)| (i as u64 * 10, numbers(row))).collect()
}

#[test]
fn an_unbounded_group_by_gives_each_changed_key_once_a_step() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::Int)]);
    plan.filter(call(">", vec![column(1, &Type::Int), int(0)]));
    let sum = aggregate(AggregateFunction::Sum, Some((1, Type::Int)), Type::Int);
    plan.group(&[0], None, vec![count(), sum]);
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 5], &[2, 7], &[1, 6], &[3, 0]]), 0);
    let upsert = |values: &[i64]| (ChangeKind::Upsert, numbers(values));
    assert_eq!(rows(&run.step(0)), [upsert(&[1, 2, 11]), upsert(&[2, 1, 7])]);
    assert!(run.step(0).is_empty());
    run.restart();
    run.feed(1, &at(&[&[2, 3]]), 0);
    assert_eq!(rows(&run.step(0)), [upsert(&[2, 2, 10])]);
}

#[test]
fn a_tumbling_window_fires_once_at_the_row_that_passes_it() {
    let mut plan = Plan::new(&[("a", Type::Int), ("ts", Type::Timestamp(3))]);
    plan.watermark(1, 5 * SECOND);
    plan.group(&[0], Some(Window { kind: WindowKind::Tumble { size: MINUTE }, time: 1, offset: 0 }), vec![count()]);
    plan.output(&[]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 10 * SECOND], &[2, 59 * SECOND], &[1, 61 * SECOND], &[1, 30 * SECOND]]), 0);
    assert!(run.step(0).is_empty());
    run.restart();
    // The watermark reaches the window's last millisecond; the row behind it is late.
    run.feed(1, &at(&[&[1, 65 * SECOND - 1000], &[2, 58 * SECOND], &[2, 70 * SECOND]]), 0);
    let changes = run.step(0);
    let row = |values: &[i64]| (ChangeKind::Insert, numbers(values));
    let first = [row(&[1, 2, 0, MINUTE, MINUTE - 1000]), row(&[2, 1, 0, MINUTE, MINUTE - 1000])];
    assert_eq!(rows(&changes), first);
    run.engine.finish(&mut context(0));
    let last = run.step(0);
    assert_eq!(
        rows(&last),
        [row(&[1, 2, MINUTE, 2 * MINUTE, 2 * MINUTE - 1000]), row(&[2, 1, MINUTE, 2 * MINUTE, 2 * MINUTE - 1000])]
    );
    assert_eq!(run.engine.groups(), 0);
}

#[test]
fn having_takes_back_what_it_let_pass() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::BigInt)]);
    let sum = aggregate(AggregateFunction::Sum, Some((1, Type::BigInt)), Type::BigInt);
    plan.group(&[0], None, vec![sum]);
    plan.filter(call(">", vec![column(1, &Type::BigInt), int(10)]));
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 5], &[2, 20]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Upsert, numbers(&[2, 20]))]);
    run.restart();
    run.feed(1, &at(&[&[1, 1], &[2, -20]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Delete, numbers(&[2, 0]))]);
    run.feed(1, &at(&[&[2, -20]]), 0);
    assert!(run.step(0).is_empty());
}

#[test]
fn null_is_a_key_like_any_other() {
    let mut plan = Plan::new(&[("a", Type::Int)]);
    plan.group(&[0], None, vec![count()]);
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(1, &[(0, vec![Value::Null]), (1, vec![Value::Int(0)]), (2, vec![Value::Null])], 0);
    let changes = rows(&run.step(0));
    assert_eq!(changes[0].1, [Value::Null, Value::Int(2)]);
    assert_eq!(changes[1].1, [Value::Int(0), Value::Int(1)]);
}
