//! A pipeline whose rows are lost, base and sled both: it waits for an operator, who can let it begin anew.

use super::*;
use crate::store::Room;

fn open_now(dir: &Path) -> Store {
    Store::open(Options { durability: Durability::Always, ..options(dir) }).expect("the store opens")
}

/// A closed store whose rows can't be had from the log alone, with member 1 owed; then without sled and with a
/// damaged base.
fn without_rows(dir: &Path) {
    let store = open_now(dir);
    let app = door(&store);
    durable(commit(&app, step("logs", 1, 5000)));
    close(&store);
    std::fs::remove_dir_all(dir.join("sled")).expect("removed");
    std::fs::write(dir.join("bases/app@0000000000000002.base"), b"damaged").expect("written");
}

fn parked(app: &Pipeline) -> String {
    let Room::Parked(why) = app.room() else { panic!("it is not parked") };
    why
}

#[test]
fn a_pipeline_that_lost_its_rows_waits_for_an_operator_and_is_told_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    without_rows(dir.path());
    for _ in 0..2 {
        let store = open_now(dir.path());
        let app = door(&store);
        assert!(parked(&app).contains("--begin-anew app"), "{}", parked(&app));
        assert_eq!(store.health().degraded.iter().filter(|line| **line == parked(&app)).count(), 1);
        let (owed, members) = numbers(&app, "logs");
        assert_eq!(owed, [1], "what is owed is shipped all the same");
        app.give_back(members);
        close(&store);
    }
}

#[test]
fn rows_that_are_lost_stay_lost_whatever_is_committed_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    let bases = || std::fs::read_dir(dir.path().join("bases")).is_ok_and(|d| d.count() > 0);
    // Settled segments are given back after a base, which the head of the segment then begun names.
    let mut n = 0;
    while !bases() {
        n += 1;
        durable(commit(&app, step("logs", n, 5000)));
        settle(&app, &numbers(&app, "logs").1);
        assert!(n < 2000, "no base is written");
    }
    (n + 1..n + 40).for_each(|n| durable(commit(&app, step("logs", n, 5000))));
    close(&store);
    std::fs::remove_dir_all(dir.path().join("sled")).expect("removed");
    std::fs::remove_dir_all(dir.path().join("bases")).expect("removed");
    for life in 1..=3 {
        let store = open_now(dir.path());
        let app = door(&store);
        assert!(parked(&app).contains("--begin-anew app"), "life {life}");
        settle(&app, &numbers(&app, "logs").1);
        (1..40).for_each(|n| durable(commit(&app, step("logs", 10_000 * life + n, 5000))));
        assert!(!bases(), "of what there is of its rows no base is made");
        close(&store);
    }
}

#[test]
fn a_pipeline_that_begins_anew_has_the_rows_it_was_given_and_keeps_them() {
    let dir = tempfile::tempdir().expect("a folder");
    without_rows(dir.path());
    let store = open_now(dir.path());
    let app = door(&store);
    // What the source said of itself meanwhile does not count.
    durable(commit(&app, Commit { rows: vec![row(5, 5)], ..Commit::default() }));
    assert!(app.begin_anew(vec![(0, 7_u64.to_le_bytes().into())]).expect("kept"));
    assert_eq!((app.room(), app.rows().len(), row_value(&app, 0)), (Room::Yes, 1, Some(7)));
    let told = store.health().degraded;
    assert!(!told.iter().any(|line| line.contains("begin-anew")), "{told:?}");
    // As the disk is now: nothing was closed.
    let copy = tempfile::tempdir().expect("a folder");
    copy_dir(dir.path(), copy.path());
    close(&store);
    for dir in [copy.path(), dir.path()] {
        let store = open_now(dir);
        let app = door(&store);
        assert_eq!((app.room(), app.rows().len(), row_value(&app, 0)), (Room::Yes, 1, Some(7)));
        assert!(!app.begin_anew(Vec::new()).expect("the store runs"), "it has its rows");
        assert_eq!(row_value(&app, 0), Some(7));
        close(&store);
    }
}
