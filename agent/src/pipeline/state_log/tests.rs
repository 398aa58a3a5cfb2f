//! The chain over real files; over files that fail in `cuts`.

mod cuts;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::plan::{BufferPlan, Durability};
use crate::store::{Commit, Options, Store};

fn store(dir: &Path) -> (Store, store::Pipeline) {
    let store = Store::open(Options {
        dir: dir.to_path_buf(),
        durability: Durability::Group,
        segment_bytes: 64 << 10,
        min_free_bytes: 0,
        ballast_bytes: 0,
        agent_id: None,
        machine: "this one".to_owned(),
        rewind: |_, before, _| before.map(Box::from),
    })
    .unwrap();
    let door = store.pipeline("q", &BufferPlan::default()).unwrap();
    (store, door)
}

fn commit(door: &store::Pipeline, member: Member) {
    let receipt = door.commit(Commit { members: vec![member], ..Commit::default() }).unwrap();
    assert_eq!(door.owed_bytes(), 0, "not while it is on its way, either");
    receipt.blocking_recv().unwrap().unwrap();
}

fn open(door: &store::Pipeline) -> Result<(StateLog, Option<Found>, Vec<String>), StateError> {
    let mut rows = Vec::new();
    let load = |bytes: &[u8]| {
        rows.push(String::from_utf8_lossy(bytes).into_owned());
        Ok(())
    };
    let (log, found) = StateLog::open(door.clone(), "q", "a plan".to_owned(), load)?;
    Ok((log, found, rows))
}

fn marks(step: u64) -> Marks {
    Marks { step, delivered: step / 2, clock: ClockMark { highest: 7 * step, issued: 6 * step } }
}

#[test]
fn the_links_since_the_last_base_come_back_in_order_and_what_was_before_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (all, door) = store(dir.path());
    let (mut log, found, _) = open(&door).unwrap();
    assert_eq!(found, None);
    for step in 1..=5 {
        commit(&door, log.changes(marks(step), format!("{step}").as_bytes()));
    }
    assert!(door.lanes().is_empty() && door.owed_bytes() == 0, "a state is not owed");
    all.close(Duration::from_secs(9)).unwrap();

    let (all, door) = store(dir.path());
    let (mut log, found, rows) = open(&door).unwrap();
    assert_eq!(found, Some(Found { marks: marks(5), plan: "a plan".to_owned() }));
    assert_eq!(rows, ["1", "2", "3", "4", "5"]);
    commit(&door, log.base(marks(6), b"base"));
    commit(&door, log.changes(marks(7), b"7"));
    commit(&door, log.base(marks(8), b"more"));
    commit(&door, log.end_base(marks(8)).unwrap());
    log.base_is_durable().unwrap();
    commit(&door, log.changes(marks(9), b"9"));
    all.close(Duration::from_secs(9)).unwrap();

    let (all, door) = store(dir.path());
    let (_, found, rows) = open(&door).unwrap();
    assert_eq!(rows, ["base", "7", "more", "9"]);
    assert_eq!(found.unwrap().marks, marks(9));
    all.close(Duration::from_secs(9)).unwrap();
    let (all, door) = store(dir.path());
    StateLog::forget(&door).unwrap();
    all.close(Duration::from_secs(9)).unwrap();
    let (all, door) = store(dir.path());
    assert!(open(&door).unwrap().2.is_empty());
    all.close(Duration::from_secs(9)).unwrap();
}

#[test]
fn a_base_that_was_not_finished_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (all, door) = store(dir.path());
    let (mut log, ..) = open(&door).unwrap();
    commit(&door, log.changes(marks(1), b"1"));
    commit(&door, log.base(marks(2), b"half"));
    all.close(Duration::from_secs(9)).unwrap();
    let (all, door) = store(dir.path());
    let (mut log, _, rows) = open(&door).unwrap();
    assert_eq!(rows, ["1", "half"]);
    commit(&door, log.changes(marks(3), b"3"));
    all.close(Duration::from_secs(9)).unwrap();
    let (all, door) = store(dir.path());
    assert_eq!(open(&door).unwrap().2, ["1", "half", "3"]);
    all.close(Duration::from_secs(9)).unwrap();
}

#[test]
fn nothing_is_made_of_what_lies_behind_a_damaged_link() {
    let dir = tempfile::tempdir().unwrap();
    let (all, door) = store(dir.path());
    let (mut log, ..) = open(&door).unwrap();
    for step in 1..=40 {
        commit(&door, log.changes(marks(step), format!("{step:05000}").as_bytes()));
    }
    all.close(Duration::from_secs(9)).unwrap();
    let segment = dir.path().join("segments/00000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[10_000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for _ in 0..2 {
        let (all, door) = store(dir.path());
        let error = open(&door).err().expect("refused each time").to_string();
        assert!(error.contains("--reset-state"), "{error}");
        all.close(Duration::from_secs(9)).unwrap();
    }
}

#[test]
fn a_chain_that_begins_with_an_unfinished_base_is_no_state() {
    let dir = tempfile::tempdir().unwrap();
    let (all, door) = store(dir.path());
    let (mut log, ..) = open(&door).unwrap();
    commit(&door, log.changes(marks(1), b"1"));
    commit(&door, log.base(marks(2), b"half"));
    // As a forgetting leaves it that was cut off.
    let first = door.next(STATE_LANE, Limit { raw_bytes: 1, wire_bytes: 1 }).unwrap().remove(0);
    let settled = Settled { seq: first.seq, member: first.member, still_owed: None };
    door.settle(vec![settled], Vec::new()).unwrap().blocking_recv().unwrap().unwrap();
    all.close(Duration::from_secs(9)).unwrap();
    let (all, door) = store(dir.path());
    let error = open(&door).err().expect("refused").to_string();
    assert!(error.contains("no whole base") && error.contains("--reset-state"), "{error}");
    StateLog::forget(&door).unwrap();
    all.close(Duration::from_secs(9)).unwrap();
}
