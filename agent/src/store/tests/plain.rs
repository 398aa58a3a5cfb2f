//! The plain path: commit, hand out, settle, open again.

use std::sync::Arc;

use super::*;
use crate::record::Bitmap;
use crate::store::{Room, StoreError};

#[test]
fn what_was_committed_is_handed_out_in_order_and_forgotten_when_settled() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = door(&store);
    for n in 1..=50 {
        commit(&app, step("logs", n, 5000));
    }
    durable(commit(&app, step("other", 51, 100)));
    assert_eq!(row_value(&app, 1), Some(51));
    let lanes: Vec<(Arc<str>, u64)> = app.lanes().into_iter().map(|l| (l.index, l.items)).collect();
    assert_eq!(lanes, [("logs".into(), 500), ("other".into(), 10)]);
    let first = app.next("logs", Limit { raw_bytes: 30_000, wire_bytes: u64::MAX }).expect("readable");
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|o| !o.sent_before && o.owed.is_none() && o.items == 10));
    let (rest, owed) = numbers(&app, "logs");
    assert_eq!(rest, (4..=50).collect::<Vec<_>>());
    settle(&app, &owed);
    app.give_back(first);
    let (again, owed) = numbers(&app, "logs");
    assert_eq!(again, [1, 2, 3]);
    assert!(owed.iter().all(|o| o.sent_before));
    settle(&app, &owed);
    assert_eq!(app.lanes().len(), 1);
    assert!(app.owed_bytes() < 200);
    close(&store);
    assert!(matches!(app.commit(Commit::default()), Err(StoreError::Stopped)));
}

/// A pipeline that ends without giving back (its delivery broke off) must not take what it held along.
#[test]
fn what_a_former_run_had_handed_out_is_handed_out_again_to_who_reclaims_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let (app, other) = (door(&store), store.pipeline("other", &BufferPlan::default()).expect("a pipeline"));
    for n in 1..=3 {
        commit(&app, step("logs", n, 100));
        durable(commit(&other, step("logs", n, 100)));
    }
    let (first, _) = numbers(&app, "logs");
    let (held, _) = numbers(&other, "logs");
    assert_eq!((first, held), (vec![1, 2, 3], vec![1, 2, 3]));
    // Its successor in the same process.
    let app = door(&store);
    assert_eq!(numbers(&app, "logs").0, Vec::<u64>::new(), "somebody may still hold it");
    app.reclaim();
    let (again, owed) = numbers(&app, "logs");
    assert_eq!(again, [1, 2, 3]);
    assert_eq!(numbers(&other, "logs").0, Vec::<u64>::new(), "what others hold is not touched");
    settle(&app, &owed);
    assert!(app.lanes().is_empty());
    close(&store);
}

#[test]
fn what_is_owed_and_remembered_is_there_after_a_close_and_may_have_been_sent() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let id = store.agent_id();
    let app = door(&store);
    for n in 1..=40 {
        commit(&app, step("logs", n, 5000));
    }
    durable(commit(&app, step("logs", 41, 5000)));
    let owed = app.next("logs", Limit { raw_bytes: 200_000, wire_bytes: u64::MAX }).expect("readable");
    assert_eq!(owed.len(), 20);
    let still = {
        let mut map = Bitmap::none(10);
        map.set(3);
        map
    };
    let mut settled = done(&owed);
    settled[4].still_owed = Some(still.clone());
    durable(app.settle(settled, Vec::new()).expect("the store runs"));
    close(&store);

    let store = open(dir.path());
    assert_eq!((store.agent_id(), store.health().degraded), (id, Vec::<String>::new()));
    assert_eq!(store.pipelines(), ["app"]);
    let app = door(&store);
    assert_eq!(row_value(&app, 1), Some(41));
    assert_eq!(app.lanes().iter().map(|l| l.items).sum::<u64>(), 211);
    let (found, owed) = numbers(&app, "logs");
    assert_eq!(found, std::iter::once(5).chain(21..=41).collect::<Vec<_>>());
    assert_eq!(owed[0].owed, Some(still));
    assert!(owed.iter().all(|o| o.sent_before));
    durable(commit(&app, step("logs", 42, 10)));
    assert!(!app.next("logs", ALL).expect("readable")[0].sent_before);
    close(&store);
}

#[test]
fn settled_segments_are_removed_and_rows_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = door(&store);
    for n in 1..=200 {
        durable_every(&app, n);
    }
    let (found, owed) = numbers(&app, "logs");
    assert_eq!(found.len(), 200);
    settle(&app, &owed);
    durable(commit(&app, Commit { rows: vec![row(2, 2)], ..Commit::default() }));
    wait_for("settled segments to go", || store.health().segments <= 2);
    assert!(store.health().disk_bytes < 200_000, "{:?}", store.health());
    let files = std::fs::read_dir(dir.path().join("segments")).expect("a folder").count();
    assert_eq!(files as u64, store.health().segments);
    close(&store);
    std::fs::remove_dir_all(dir.path().join("sled")).expect("removed");
    let store = open(dir.path());
    let app = door(&store);
    assert_eq!((row_value(&app, 1), row_value(&app, 2)), (Some(200), Some(2)));
    assert!(app.lanes().is_empty());
    close(&store);
}

fn durable_every(app: &Pipeline, n: u64) {
    let receipt = commit(app, step("logs", n, 5000));
    if n.is_multiple_of(50) {
        durable(receipt);
    }
}

#[test]
fn a_second_instance_is_refused_without_touching_anything() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = door(&store);
    durable(commit(&app, step("logs", 1, 100)));
    assert!(matches!(Store::open(options(dir.path())), Err(StoreError::Locked(_))));
    durable(commit(&app, step("logs", 2, 100)));
    close(&store);
    let store = open(dir.path());
    assert_eq!(numbers(&door(&store), "logs").0, [1, 2]);
    close(&store);
}

#[test]
fn a_full_quota_is_said_and_comes_back_with_settlements() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = store.pipeline("app", &BufferPlan { max_bytes: 5000, ..BufferPlan::default() }).expect("a pipeline");
    assert_eq!(app.room(), Room::Yes);
    durable(commit(&app, step("logs", 1, 6000)));
    assert_eq!(app.room(), Room::Full);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(app.changed());
    settle(&app, &app.next("logs", ALL).expect("readable"));
    runtime.block_on(app.changed());
    assert_eq!(app.room(), Room::Yes);
    close(&store);
}

#[test]
fn a_data_directory_that_is_removed_is_told_as_that_and_nothing_more_is_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("data");
    let store = open(&root);
    let app = door(&store);
    durable(commit(&app, step("logs", 1, 5000)));
    let owed = app.next("logs", ALL).expect("readable");
    std::fs::remove_dir_all(&root).expect("removed");
    let gone = app.read(&owed[0]).expect_err("its file is gone");
    assert!(matches!(&gone, StoreError::Gone(of) if *of == root), "{gone}");
    let refused =
        |n| app.commit(step("logs", n, 5000)).map_or(true, |receipt| !matches!(receipt.blocking_recv(), Ok(Ok(()))));
    assert!(refused(2));
    wait_for("the store to stop", || store.failure().is_some());
    let why = store.failure().expect("it has stopped");
    assert!(why.contains(&root.display().to_string()) && why.contains("removed"), "{why}");
    assert_eq!(store.health().degraded, [format!("the store has stopped: {why}")]);
    assert_eq!(app.counters(), Default::default());
    // One that was put in its place is not written to either.
    let store = open(&root);
    let app = door(&store);
    std::fs::rename(&root, dir.path().join("moved")).expect("moved");
    let other = open(&root);
    drop(app.commit(step("logs", 3, 5000)));
    wait_for("the store to stop", || store.failure().is_some());
    close(&other);
}

#[test]
fn nothing_counts_as_arrived_while_an_earlier_commit_owes_something() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let (app, other) = (door(&store), store.pipeline("other", &BufferPlan::default()).expect("open"));
    assert!(app.owed_from() > app.frontier(), "nothing is owed");
    for n in 1..=5 {
        durable(commit(&app, step("logs", n, 5000)));
    }
    durable(commit(&other, step("logs", 6, 5000)));
    let owed = app.next("logs", Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX }).expect("readable");
    assert_eq!(app.owed_from(), owed[0].seq);
    settle(&app, &owed[1..]);
    assert_eq!(app.owed_from(), owed[0].seq, "later ones are settled, the first is not");
    let mut partly = done(&owed[..1]);
    let mut still = Bitmap::none(10);
    still.set(3);
    partly[0].still_owed = Some(still);
    durable(app.settle(partly, Vec::new()).expect("the store runs"));
    assert_eq!(app.owed_from(), owed[0].seq, "a document of it is not");
    let rest = app.next("logs", Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX }).expect("readable");
    settle(&app, &rest);
    assert!(app.owed_from() > app.frontier(), "what another pipeline owes is not ours");
    assert!(other.owed_from() <= other.frontier());
    close(&store);
}
