//! Time, ends, refusals and several ways through a plan: tables with answers worked out by hand.

use std::time::Duration;

use super::build::*;
use crate::query::Tick;
use crate::record::{ChangeKind, Identity, SourceId, Type, Value};
use crate::sql::plan::*;

fn at(rows: &[&[i64]]) -> Rows {
    rows.iter().enumerate().map(|(i, row)| (i as u64 * 10, numbers(row))).collect()
}

fn tumble() -> Option<Window> {
    Some(Window { kind: WindowKind::Tumble { size: MINUTE }, time: 1, offset: 0 })
}

/// Counts by `a` and minute over `ts`, without a delay.
fn minutes() -> Plan {
    let mut plan = Plan::new(&[("a", Type::Int), ("ts", Type::Timestamp(3))]);
    plan.watermark(1, 0);
    plan.group(&[0], tumble(), vec![count()]);
    plan.output(&[]);
    plan
}

fn starts(changes: &[crate::record::Changes]) -> Vec<(i64, i64)> {
    let pair = |row: &Vec<Value>| match (&row[1], &row[2]) {
        (Value::Int(count), Value::Int(start)) => (*start / MINUTE, *count),
        other => panic!("{other:?}"),
    };
    rows(changes).iter().map(|(_, row)| pair(row)).collect()
}

#[test]
fn the_watermark_is_that_of_the_slowest_source_that_is_neither_idle_nor_finished() {
    let plan = minutes();
    let mut run = plan.run();
    let known = Tick { known: vec![(0, SourceId(2))], ..Tick::default() };
    run.engine.tick(&known, &mut context(0));
    run.feed(1, &at(&[&[1, 0], &[1, 5 * MINUTE]]), 0);
    assert!(run.step(0).is_empty(), "source 2 is known and has given nothing");
    run.restart();
    run.feed(2, &at(&[&[1, 2 * MINUTE]]), 0);
    assert_eq!(starts(&run.step(0)), [(0, 1)]);
    let idle = Tick { idle: vec![(0, SourceId(2))], ..Tick::default() };
    run.engine.tick(&idle, &mut context(0));
    assert_eq!(starts(&run.step(0)), [(2, 1)]);
    run.restart();
    // Its next row makes it wait for source 2 again, but time never goes back.
    run.feed(2, &at(&[&[1, 2 * MINUTE], &[1, 5 * MINUTE + 1000]]), 0);
    run.feed(1, &at(&[&[1, 9 * MINUTE]]), 0);
    assert!(run.step(0).is_empty());
    let finished = Tick { finished: vec![SourceId(2)], ..Tick::default() };
    run.engine.tick(&finished, &mut context(0));
    assert_eq!(starts(&run.step(0)), [(5, 2)]);
    // Nothing of it is kept, over a restart either, and time stands where it was.
    assert_eq!(run.engine.sources().collect::<Vec<_>>(), [SourceId(1)]);
    run.restart();
    assert_eq!(run.engine.sources().collect::<Vec<_>>(), [SourceId(1)]);
    run.engine.tick(&Tick { finished: vec![SourceId(1)], ..Tick::default() }, &mut context(0));
    run.feed(3, &at(&[&[1, 8 * MINUTE], &[1, 9 * MINUTE]]), 0);
    assert!(run.step(0).is_empty(), "its minute was closed by a source that is gone");
}

#[test]
fn sources_that_become_idle_at_once_hold_no_window_back() {
    let plan = minutes();
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 0]]), 0);
    run.feed(2, &at(&[&[1, 0], &[1, 3 * MINUTE]]), 0);
    assert!(run.step(0).is_empty());
    let idle = Tick { idle: vec![(0, SourceId(1)), (0, SourceId(2))], ..Tick::default() };
    run.engine.tick(&idle, &mut context(0));
    assert_eq!(starts(&run.step(0)), [(0, 2)]);
    run.restart();
    run.feed(1, &at(&[&[1, MINUTE], &[1, 5 * MINUTE]]), 0);
    assert_eq!(starts(&run.step(0)), [(3, 1)], "the row of the closed minute is late");
}

#[test]
fn late_rows_inside_the_allowed_lateness_update_the_same_row() {
    let mut plan = minutes();
    plan.query.settings.allowed_lateness = Duration::from_secs(60);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 1], &[1, MINUTE]]), 0);
    let first = run.step(0);
    assert_eq!(starts(&first), [(0, 1)]);
    run.restart();
    run.feed(1, &at(&[&[1, 2]]), 0);
    let second = run.step(0);
    assert_eq!(starts(&second), [(0, 2)]);
    let id = |changes: &[crate::record::Changes]| match &changes[0].identity {
        Identity::Given(ids) => ids.text(0).to_string(),
        Identity::Origin => panic!("no id"),
    };
    assert_eq!(id(&first), id(&second));
    assert_eq!(rows(&second)[0].0, ChangeKind::Upsert);
    // At 2:00 less a millisecond the first minute is over for good.
    run.feed(1, &at(&[&[1, 2 * MINUTE - 1000], &[1, 3]]), 0);
    run.steps += 1;
    let result = run.engine.step(run.steps, &mut context(0));
    assert_eq!((result.counts.late, starts(&result.changes)), (1, vec![(1, 2)]));
}

#[test]
fn early_emissions_follow_the_clock_on_the_wall() {
    let mut plan = minutes();
    let NodeKind::Aggregate(aggregate) = &mut plan.query.nodes[2].kind else { panic!() };
    aggregate.early = Some(Emission { before_watermark: Some(Duration::from_secs(10)), after_watermark: None });
    let mut run = plan.run();
    let second = 1_000_000;
    run.feed(1, &at(&[&[1, 1]]), 100 * second);
    run.engine.tick(&Tick::default(), &mut context(100 * second));
    assert_eq!(starts(&run.step(100 * second)), [(0, 1)]);
    run.feed(1, &at(&[&[1, 2]]), 105 * second);
    run.engine.tick(&Tick::default(), &mut context(105 * second));
    assert!(run.step(105 * second).is_empty());
    run.engine.tick(&Tick::default(), &mut context(110 * second));
    assert_eq!(starts(&run.step(110 * second)), [(0, 2)]);
    run.engine.finish(&mut context(0));
    assert_eq!(starts(&run.step(111 * second)), [(0, 2)]);
}

#[test]
fn a_group_that_was_not_written_for_the_ttl_begins_anew_and_its_row_goes() {
    let mut plan = Plan::new(&[("a", Type::Int)]);
    plan.query.settings.state_ttl = Duration::from_secs(10);
    let mut distinct = aggregate(AggregateFunction::Count, Some((0, Type::Int)), Type::BigInt);
    distinct.distinct = true;
    plan.group(&[0], None, vec![count(), distinct]);
    plan.output(&[0]);
    let mut run = plan.run();
    let second = 1_000_000;
    run.feed(1, &at(&[&[1], &[2]]), 100 * second);
    run.step(100 * second);
    run.feed(1, &at(&[&[1]]), 109 * second);
    assert_eq!(rows(&run.step(109 * second))[0].1, numbers(&[1, 2, 1]));
    run.restart();
    run.feed(1, &at(&[&[1]]), 119 * second);
    assert_eq!(rows(&run.step(119 * second))[0].1, numbers(&[1, 1, 1]));
    let tick = Tick { delivered: 0, ..Tick::default() };
    run.engine.tick(&tick, &mut context(119 * second));
    assert_eq!(run.engine.groups(), 2, "what has not reached the sink stays");
    run.engine.tick(&Tick { delivered: 3, ..tick }, &mut context(119 * second));
    assert_eq!(run.engine.groups(), 1);
    run.step(119 * second);
    run.restart();
    assert_eq!(run.engine.groups(), 1);
}

#[test]
fn the_first_row_of_a_key_goes_on_at_once_under_its_records_id() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::Int)]);
    plan.first(&[0], Vec::new(), true);
    plan.output(&[]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 5], &[1, 6], &[2, 7]]), 0);
    let changes = run.step(0);
    assert_eq!(rows(&changes), [(ChangeKind::Insert, numbers(&[1, 5])), (ChangeKind::Insert, numbers(&[2, 7]))]);
    assert_eq!(changes[0].batch.origin.as_ref().unwrap().offsets, [0, 20]);
    run.restart();
    run.feed(1, &at(&[&[2, 8], &[3, 9]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Insert, numbers(&[3, 9]))]);
}

#[test]
fn the_best_row_of_a_key_is_upserted_when_a_better_one_comes() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::Int)]);
    let order = vec![Order { column: 1, descending: true, nulls_first: false }];
    plan.first(&[0], order, false);
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1, 5], &[1, 6], &[1, 4]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Upsert, numbers(&[1, 6]))]);
    run.restart();
    run.feed(1, &at(&[&[1, 3]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Upsert, numbers(&[1, 6]))]);
    run.feed(1, &at(&[&[1, 9]]), 0);
    assert_eq!(rows(&run.step(0)), [(ChangeKind::Upsert, numbers(&[1, 9]))]);
}

#[test]
fn a_row_that_cannot_be_computed_changes_nothing_and_comes_back_with_its_record() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::Int)]);
    let quotient = call("/", vec![int(10), column(1, &Type::Int)]);
    plan.project(vec![column(0, &Type::Int), quotient]);
    plan.group(&[0], None, vec![aggregate(AggregateFunction::Sum, Some((1, Type::Int)), Type::Int)]);
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(7, &at(&[&[1, 5], &[1, 0], &[1, 2]]), 0);
    let result = run.engine.step(1, &mut context(0));
    assert_eq!(rows(&result.changes), [(ChangeKind::Upsert, numbers(&[1, 7]))]);
    assert_eq!(result.refused.len(), 1);
    assert_eq!(result.refused[0].at, Some((SourceId(7), 10)));
}

#[test]
fn one_scan_feeds_several_outputs_and_needs_no_state_for_plain_rows() {
    let mut plan = Plan::new(&[("a", Type::Int)]);
    plan.filter(call(">", vec![column(0, &Type::Int), int(1)]));
    plan.output(&[]);
    plan.query.outputs.push(Output { input: 0, ..plan.query.outputs[0].clone() });
    assert!(!plan.program().stateful());
    let mut run = plan.run();
    run.feed(1, &at(&[&[1], &[2]]), 0);
    let changes = run.step(0);
    let of = |output: usize| changes.iter().filter(|c| c.output == output).map(|c| c.batch.rows).sum::<usize>();
    assert_eq!((of(0), of(1)), (1, 2));
    assert!(run.blobs[0].is_empty());
}

#[test]
fn a_record_by_two_ways_of_a_union_has_two_ids() {
    let mut plan = Plan::new(&[("a", Type::Int)]);
    plan.filter(call(">", vec![column(0, &Type::Int), int(1)]));
    let fields = plan.query.nodes[0].fields.clone();
    let kind = NodeKind::Union { inputs: vec![0, 1] };
    plan.query.nodes.push(Node { kind, fields, changes: Changelog::Append });
    plan.output(&[]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[1], &[2]]), 0);
    let changes = run.step(0);
    let origin = changes[0].batch.origin.clone().unwrap();
    assert_eq!((origin.offsets, origin.ordinals), (vec![0, 10, 10], vec![0, 0, 1]));
}

#[test]
fn integers_have_flinks_integer_variance() {
    // Flink 1.20.1: 5, 7, 10, 3 as INT.
    let functions = [
        AggregateFunction::StddevPop,
        AggregateFunction::StddevSamp,
        AggregateFunction::VarPop,
        AggregateFunction::VarSamp,
    ];
    let mut plan = Plan::new(&[("a", Type::Int)]);
    let calls = functions.map(|function| aggregate(function, Some((0, Type::Int)), Type::Int));
    plan.group(&[], None, calls.to_vec());
    plan.output(&[0]);
    let mut run = plan.run();
    run.feed(1, &at(&[&[5], &[7], &[10], &[3]]), 0);
    assert_eq!(rows(&run.step(0))[0].1, numbers(&[2, 3, 6, 9]));
}

#[test]
fn a_null_in_a_not_null_column_is_refused_or_dropped_as_the_script_wants() {
    let mut plan = Plan::new(&[("a", Type::Int)]);
    plan.output(&[]);
    plan.query.outputs[0].not_null = vec![0];
    for drop in [false, true] {
        plan.query.settings.drop_nulls = drop;
        let mut run = plan.run();
        run.feed(1, &[(0, vec![Value::Null]), (1, vec![Value::Int(1)])], 0);
        let result = run.engine.step(1, &mut context(0));
        assert_eq!(rows(&result.changes).len(), 1);
        assert_eq!((result.refused.len(), result.counts.null_columns), if drop { (0, 1) } else { (1, 0) });
    }
}

#[test]
fn foreign_state_is_refused_and_nothing_panics() {
    let mut run = minutes().run();
    run.feed(1, &at(&[&[1, 1], &[2, MINUTE]]), 0);
    run.step(0);
    let blob = run.blobs[0].clone();
    for cut in 1..blob.len() {
        let mut engine = crate::query::Engine::new(run.program.clone()).unwrap();
        engine.load(&blob[..cut]);
        let mut damaged = blob.clone();
        damaged[cut] ^= 0x55;
        let mut engine = crate::query::Engine::new(run.program.clone()).unwrap();
        engine.load(&damaged);
    }
    let mut other = Plan::new(&[("a", Type::Int)]);
    other.output(&[]);
    assert!(!other.run().engine.load(&blob));
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let mut plan = Plan::new(&[("a", Type::Int), ("b", Type::Int)]);
    plan.group(&[0], None, vec![count()]);
    plan.group(&[1], None, vec![count()]);
    plan.output(&[0]);
    assert!(crate::query::Program::new(&plan.query).unwrap_err().contains("not supported"));
}
