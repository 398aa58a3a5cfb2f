//! What turns out to be damaged while the store runs: its pipeline goes back and reads it again, or it is counted.

use std::path::PathBuf;

use super::*;
use crate::store::StoreError;

fn open_now(dir: &Path) -> Store {
    // Row 0 keeps its latest value, as a source would do it.
    let rewind = |key, before: Option<&[u8]>, latest: &[u8]| match key {
        0 => Some(latest.into()),
        _ => before.map(Box::from),
    };
    Store::open(Options { durability: Durability::Always, rewind, ..options(dir) }).expect("the store opens")
}

/// Flips a bit in the stored bytes of member `n`.
fn harm(dir: &Path, n: u64) {
    let body = member("logs", n, 4000).gzip;
    let files = std::fs::read_dir(dir.join("segments")).expect("a folder").map(|e| e.expect("an entry").path());
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("readable");
        memchr::memmem::find(&bytes, &body).map(|at| (path.clone(), bytes, at))
    };
    let (path, mut bytes, at) = files.into_iter().find_map(|path| holds(&path)).expect("it is stored");
    bytes[at + 2000] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

fn commit_steps(app: &Pipeline, steps: std::ops::RangeInclusive<u64>) {
    for n in steps {
        let mut step = step("logs", n, 4000);
        step.rows.push(row(0, n));
        durable(commit(app, step));
    }
}

/// Delivers what can be read; the numbers of it, and how many could not be.
fn deliver(app: &Pipeline) -> (Vec<u64>, usize) {
    let (mut numbers, mut damaged) = (Vec::new(), 0);
    loop {
        let owed = app.next("logs", ALL).expect("readable");
        if owed.is_empty() {
            return (numbers, damaged);
        }
        for o in owed {
            match app.read(&o) {
                Ok(bytes) => {
                    numbers.push(number(&bytes));
                    settle(app, &[o]);
                }
                Err(StoreError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn goes_back(app: &Pipeline) -> bool {
    wait_for("the damage to be known", || app.is_damaged());
    let went = app.set_back().expect("the store runs");
    assert!(!app.is_damaged());
    went
}

#[test]
fn a_request_that_turns_out_to_be_damaged_is_read_again_at_once() {
    // Of 5 the segment is not sealed, of 40 the first two are.
    for last in [5, 40] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open_now(dir.path());
        let app = door(&store);
        commit_steps(&app, 1..=last);
        harm(dir.path(), 3);
        let (mut all, damaged) = deliver(&app);
        assert_eq!((all.len() as u64, damaged), (last - 1, 1));
        assert_eq!(app.lanes()[0].items, 10, "it stays owed until it is read again");
        assert!(goes_back(&app));
        assert_eq!((row_value(&app, 1), row_value(&app, 0)), (Some(2), Some(last)));
        assert!(app.lanes().is_empty());
        let told = store.health().degraded;
        assert!(told.iter().any(|line| line.contains("(10 documents for logs); what followed is read")), "{told:?}");
        commit_steps(&app, 3..=last);
        let again = app.next("logs", ALL).expect("readable");
        assert!(again.iter().all(|o| o.sent_before), "what was read before may be in the index");
        app.give_back(again);
        let (more, damaged) = deliver(&app);
        all.extend(&more);
        all.sort_unstable();
        all.dedup();
        assert_eq!((all, damaged), ((1..=last).collect(), 0));
        assert_eq!(app.counters().quarantined_items, 0);
        close(&store);
        let store = open_now(dir.path());
        assert_eq!((row_value(&door(&store), 1), store.health().degraded), (Some(last), Vec::new()));
        close(&store);
    }
}

#[test]
fn a_pipeline_goes_back_once_for_all_that_is_damaged_in_a_segment() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    commit_steps(&app, 1..=40);
    [2, 5, 9].into_iter().for_each(|n| harm(dir.path(), n));
    // Only the last of them is met.
    let nine = |owed: &Owed| owed.seq == store.shared.state().segments[&1].entries.as_ref().expect("loaded")[8].seq;
    let owed = numbers_of(&app);
    let (met, others): (Vec<Owed>, Vec<Owed>) = owed.into_iter().partition(nine);
    app.give_back(others);
    assert!(matches!(app.read(&met[0]), Err(StoreError::Damaged { .. })));
    assert!(goes_back(&app));
    assert_eq!(row_value(&app, 1), Some(1));
    assert_eq!(deliver(&app).1, 0);
    close(&store);
}

/// Everything that is owed, not read.
fn numbers_of(app: &Pipeline) -> Vec<Owed> {
    let mut all = Vec::new();
    loop {
        let owed = app.next("logs", ALL).expect("readable");
        if owed.is_empty() {
            return all;
        }
        all.extend(owed);
    }
}

#[test]
fn what_a_power_cut_leaves_of_going_back_is_a_pipeline_that_went_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    commit_steps(&app, 1..=5);
    // Until sled has all of it: its rows must not be taken for newer than those that went back.
    wait_for("sled", || store.shared.state().pipelines.iter().all(|p| p.dirty.is_empty()));
    harm(dir.path(), 3);
    let read: Vec<bool> = numbers_of(&app).iter().map(|owed| app.read(owed).is_ok()).collect();
    assert_eq!(read, [true, true, false, true, true]);
    assert!(goes_back(&app));
    // As the disk is now: nothing was closed.
    let copy = tempfile::tempdir().expect("a folder");
    copy_dir(dir.path(), copy.path());
    close(&store);
    let store = open_now(copy.path());
    let app = door(&store);
    assert_eq!((row_value(&app, 1), numbers(&app, "logs").0), (Some(2), vec![1, 2, 4, 5]));
    close(&store);
}

#[test]
fn damage_that_nothing_goes_back_behind_is_counted_and_told() {
    // Without rows there is nothing to go back to: standard input can't be read again, nor can a replay.
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    durable(commit(
        &app,
        Commit { members: vec![member("logs", 1, 4000)], rows: vec![row(0, 1)], ..Commit::default() },
    ));
    durable(commit(&app, Commit { members: vec![member("logs", 2, 4000)], ..Commit::default() }));
    harm(dir.path(), 2);
    assert_eq!(deliver(&app), (vec![1], 1));
    assert!(!goes_back(&app));
    assert_eq!((app.counters().quarantined_items, app.lanes().len()), (10, 0));
    let told = store.health().degraded;
    assert!(told.iter().any(|line| line.contains("documents are lost")), "{told:?}");
    close(&store);
    let store = open_now(dir.path());
    assert_eq!(door(&store).counters().quarantined_items, 10);
    close(&store);
}

#[test]
fn a_pipeline_that_keeps_a_state_does_not_go_back_behind_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    for n in 1..=5 {
        let mut step = step("logs", n, 4000);
        step.members.push(member(crate::store::STATE_LANE, n, 100));
        step.rows.push(row(0, n));
        durable(commit(&app, step));
    }
    harm(dir.path(), 3);
    assert_eq!(deliver(&app), (vec![1, 2, 4, 5], 1));
    assert!(!goes_back(&app), "what it would read again is in the state already");
    assert_eq!((row_value(&app, 0), app.counters().quarantined_items), (Some(5), 10));
    let told = store.health().degraded;
    assert!(told.iter().any(|line| line.contains("documents are lost")), "{told:?}");
    close(&store);
}

#[test]
fn what_is_damaged_before_is_gone_back_for_though_something_behind_is_read_again_already() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    commit_steps(&app, 1..=10);
    let owed = numbers_of(&app);
    let meet = |n: u64| {
        harm(dir.path(), n);
        assert!(matches!(app.read(&owed[n as usize - 1]), Err(StoreError::Damaged { .. })), "{n}");
    };
    meet(5);
    assert!(goes_back(&app));
    assert_eq!(row_value(&app, 1), Some(4));
    meet(2);
    meet(8);
    wait_for("the later one to be settled", || app.lanes()[0].items == 80);
    assert!(goes_back(&app));
    assert_eq!((row_value(&app, 1), app.lanes()[0].items, app.counters().quarantined_items), (Some(1), 70, 0));
    close(&store);
}
