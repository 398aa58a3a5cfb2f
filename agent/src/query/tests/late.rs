//! Rows that come too late: which they are, how many there were, and what is handed over of them.

use super::build::*;
use crate::query::Program;
use crate::record::{Type, Value};
use crate::sql::plan::{Window, WindowKind};

/// Windows of 20 s every 10 s over two of three columns.
fn plan() -> Plan {
    let mut plan = Plan::new(&[("a", Type::Int), ("ts", Type::Timestamp(3)), ("b", Type::Int)]);
    plan.watermark(1, 0);
    plan.project(vec![column(0, &Type::Int), column(1, &Type::Timestamp(3))]);
    let kind = WindowKind::Hop { slide: 10 * SECOND, size: 20 * SECOND };
    plan.group(&[0], Some(Window { kind, time: 1, offset: 0 }), vec![count()]);
    plan.output(&[]);
    plan
}

/// At 40 s, two rows of before: for one all windows are closed, for the other all but one.
fn input() -> Rows {
    let row = |offset, a, second: i64, b| (offset, numbers(&[a, second * SECOND, b]));
    vec![row(0, 1, 40, 7), row(10, 1, 29, 8), row(20, 2, 35, 9)]
}

#[test]
fn a_row_is_late_where_all_its_windows_are_closed_and_is_handed_over_as_it_was_read() {
    let plan = plan();
    let mut program = Program::new(&plan.query).unwrap();
    program.hand_over_late(&[plan.query.outputs[0].table]);
    let mut run = plan.run_of(program.into());
    run.feed(3, &input(), 0);
    run.steps += 1;
    let result = run.engine.step(run.steps, &mut context(0));
    assert_eq!(result.counts.late, 1);
    let [late] = result.late.as_slice() else { panic!("{:?}", result.late) };
    assert_eq!((late.node, late.scan, &late.to), (plan.last(), 0, &vec![1]));
    let values: Vec<Value> = late.batch.columns.iter().map(|column| column.value(0)).collect();
    assert_eq!(values, numbers(&[20 * SECOND, 40 * SECOND, 40 * SECOND, 1, 29 * SECOND, 8]));
    let origin = late.batch.origin.as_ref().unwrap();
    assert_eq!((origin.source.0, origin.offsets.as_slice(), late.batch.rows), (3, &[10][..], 1));

    // It is handed over once; its number is in the state.
    run.blobs.push(result.delta);
    run.restart();
    assert!(run.step(0).is_empty());
    assert_eq!(run.engine.late_rows(), 1);
}

#[test]
fn rows_that_nobody_wants_are_counted_and_not_kept() {
    let mut run = plan().run();
    run.feed(3, &input(), 0);
    let result = run.engine.step(1, &mut context(0));
    assert_eq!((result.counts.late, result.late.len()), (1, 0));
}
