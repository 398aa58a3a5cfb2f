//! Quotas, dead letters, full disks and disks that fail.

use std::path::Path;

use super::sim::Sim;
use super::*;
use crate::plan::WhenFull;
use crate::store::{Room, StoreError};

fn open_on(sim: &Sim, dir: &Path, change: impl FnOnce(&mut Options)) -> Store {
    let mut options = Options { durability: Durability::Always, ..options(dir) };
    change(&mut options);
    crate::store::open::open(options, Arc::new(sim.clone())).expect("the store opens")
}

fn buffer(max_bytes: u64, when_full: WhenFull) -> BufferPlan {
    BufferPlan { max_bytes, when_full, dead_letters_max_bytes: 2000 }
}

#[test]
fn drop_oldest_drops_nothing_in_flight_and_counts_what_it_drops() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = store.pipeline("app", &buffer(10_000, WhenFull::DropOldest)).expect("a pipeline");
    for n in 1..=2 {
        durable(commit(&app, step("logs", n, 1000)));
    }
    let flying = app.next("logs", Limit { raw_bytes: 1, wire_bytes: 1 }).expect("readable");
    for n in 3..=100 {
        durable(commit(&app, step("logs", n, 1000)));
        assert_eq!(app.room(), Room::Yes);
    }
    wait_for("the rest to be dropped", || app.owed_bytes() <= 10_000);
    let dropped = app.counters();
    assert_eq!((dropped.dropped_items, dropped.dropped_bytes), (900, 90_000));
    assert_eq!(numbers(&app, "logs").0, (92..=100).collect::<Vec<_>>());
    assert_eq!(number(&app.read(&flying[0]).expect("readable")), 1);
    close(&store);
    let store = open(dir.path());
    let app = door(&store);
    assert_eq!(app.counters(), dropped);
    assert_eq!((numbers(&app, "logs").0.len(), row_value(&app, 1)), (10, Some(100)));
    close(&store);
}

#[test]
fn drop_oldest_goes_on_when_all_that_is_old_is_handed_out() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let options = Options { durability: Durability::Always, ..options(dir.path()) };
    let store = Store::open(options).expect("the store opens");
    let app = store.pipeline("app", &buffer(500_000, WhenFull::DropOldest)).expect("a pipeline");
    (1..=100).for_each(|n| durable(commit(&app, step("logs", n, 5000))));
    assert!(store.health().segments > 4, "most of it lies in sealed segments");
    let (old, flying) = numbers(&app, "logs");
    assert_eq!(old.len(), 100);
    for n in 101..=200 {
        durable(commit(&app, step("logs", n, 5000)));
        assert_eq!(app.room(), Room::Yes);
    }
    // There is no room but that of what flies, so each had to go when the next came.
    let (kept, last) = numbers(&app, "logs");
    assert_eq!((app.counters().dropped_items, kept), (990, vec![200]));
    settle(&app, &flying);
    settle(&app, &last);
    (201..=205).for_each(|n| durable(commit(&app, step("logs", n, 5000))));
    assert_eq!(numbers(&app, "logs").0, (201..=205).collect::<Vec<_>>());
    assert_eq!((app.counters().dropped_items, row_value(&app, 1)), (990, Some(205)));
    close(&store);
}

#[test]
fn drop_newest_keeps_the_position_and_counts_what_was_not_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = store.pipeline("app", &buffer(5000, WhenFull::DropNewest)).expect("a pipeline");
    for n in 1..=20 {
        durable(commit(&app, step("logs", n, 1000)));
    }
    assert_eq!(numbers(&app, "logs").0, [1, 2, 3, 4, 5]);
    assert_eq!((row_value(&app, 1), app.counters().dropped_items), (Some(20), 150));
    close(&store);
}

#[test]
fn a_document_stays_owed_while_there_is_no_room_for_its_dead_letter() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = store.pipeline("app", &buffer(1 << 20, WhenFull::Block)).expect("a pipeline");
    durable(commit(&app, step("logs", 1, 1000)));
    let owed = app.next("logs", ALL).expect("readable");
    let refuse =
        |letters| app.settle(done(&owed), letters).expect("the store runs").blocking_recv().expect("an answer");
    assert!(matches!(refuse(vec![letter("a", 3000)]), Err(StoreError::DeadLettersFull { max_bytes: 2000, .. })));
    assert_eq!(app.dead_letter_count(), (0, 0));
    let owed = app.next("logs", ALL).expect("readable");
    assert!(owed[0].sent_before);
    let letters = vec![letter("a", 500), letter("b", 500), letter("a", 500)];
    durable(app.settle(done(&owed), letters).expect("the store runs"));
    assert_eq!(app.dead_letter_count().0, 2);

    // A commit that brings one waits, and what comes after it keeps its place.
    let waiting = Commit { dead: vec![letter("c", 900)], ..step("logs", 2, 10) };
    let (waiting, next) = (commit(&app, waiting), commit(&app, step("logs", 3, 10)));
    wait_for("the pipeline to be parked", || matches!(app.room(), Room::Parked(_)));
    assert!(app.next("logs", ALL).expect("readable").is_empty());
    let listed = app.dead_letters(0, 10).expect("readable");
    assert_eq!(app.drop_dead_letters(&[listed[0].0]).expect("dropped"), 1);
    durable(waiting);
    durable(next);
    assert_eq!((app.room(), numbers(&app, "logs").0), (Room::Yes, vec![2, 3]));
    close(&store);
}

#[test]
fn replayed_dead_letters_are_owed_once_and_listed_no_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = door(&store);
    let nameless = DeadLetter { action: Vec::new(), ..letter("c", 10) };
    let dead = vec![letter("a", 10), letter("b", 10), nameless, letter("d", 10)];
    durable(commit(&app, Commit { dead, ..Commit::default() }));
    let numbers: Vec<u64> = app.dead_letters(0, 10).expect("readable").iter().map(|(n, _)| *n).collect();
    assert_eq!(app.replay_dead_letters(&numbers[..3]).expect("replayed"), 2);
    close(&store);
    let store = open(dir.path());
    let app = door(&store);
    let left = app.dead_letters(0, 10).expect("readable");
    assert_eq!(left.iter().map(|(_, l)| l.id.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    let owed = app.next("logs", ALL).expect("readable");
    assert_eq!((owed.len(), owed[0].items, owed[0].sent_before), (1, 2, true));
    let raw = crate::record::gzip::decompress(&app.read(&owed[0]).expect("readable"), 1 << 20).expect("gzip");
    assert_eq!(raw, b"{\"create\":{}}\nxxxxxxxxxx\n{\"create\":{}}\nxxxxxxxxxx\n");
    close(&store);
}

#[test]
fn dead_letters_survive_rewrites_of_their_log_and_keep_their_numbers() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path());
    let app = door(&store);
    let dead: Vec<DeadLetter> = (0..100).map(|n| letter(&n.to_string(), 40_000)).collect();
    durable(commit(&app, Commit { dead, ..Commit::default() }));
    let all = app.dead_letters(0, 1000).expect("readable");
    let drop: Vec<u64> = all.iter().map(|(n, _)| *n).filter(|n| n % 10 != 0).collect();
    assert_eq!(app.drop_dead_letters(&drop).expect("dropped"), 90);
    let names: Vec<_> = std::fs::read_dir(dir.path().join("dead")).expect("a folder").collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].as_ref().expect("a file").metadata().expect("its size").len() < 1_000_000);
    let kept: Vec<u64> = app.dead_letters(0, 1000).expect("readable").iter().map(|(n, _)| *n).collect();
    close(&store);
    let store = open(dir.path());
    let app = door(&store);
    let found: Vec<u64> = app.dead_letters(0, 1000).expect("readable").iter().map(|(n, _)| *n).collect();
    assert_eq!((found, kept.len()), (kept, 10));
    durable(commit(&app, Commit { dead: vec![letter("new", 1)], ..Commit::default() }));
    assert_eq!(app.dead_letters(100, 10).expect("readable").last().expect("a letter").0, 101);
    close(&store);
}

#[test]
fn a_full_disk_stops_reading_not_shipping_and_loses_no_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = Sim::default();
    let full = |options: &mut Options| options.ballast_bytes = 20_000;
    let store = open_on(&sim, dir.path(), full);
    let app = door(&store);
    sim.set_capacity(Some(200_000));
    let mut waiting = Vec::new();
    let mut sent = 0;
    while app.room() == Room::Yes {
        sent += 1;
        let mut receipt = commit(&app, step("logs", sent, 5000));
        wait_for("an answer or a full disk", || receipt.try_recv().is_ok() || app.room() == Room::DiskFull);
        waiting.push(receipt);
    }
    assert!(sent > 20, "{sent}");
    assert!(store.health().degraded.iter().any(|line| line.contains("full")), "{:?}", store.health());
    // Shipping goes on, with the ballast's space if need be, and makes room; then the ballast comes back.
    wait_for("everything to be shipped", || {
        let owed = app.next("logs", Limit { raw_bytes: 20_000, wire_bytes: u64::MAX }).expect("readable");
        if !owed.is_empty() {
            settle(&app, &owed);
        }
        row_value(&app, 1) == Some(sent) && app.lanes().is_empty()
    });
    wait_for("room", || app.room() == Room::Yes);
    durable(commit(&app, step("logs", sent + 1, 10)));
    assert_eq!(store.health().degraded, Vec::<String>::new());
    close(&store);
}

#[test]
fn a_store_opens_on_a_full_disk_and_ships_what_it_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = Sim::default();
    let full = |options: &mut Options| options.ballast_bytes = 20_000;
    let store = open_on(&sim, dir.path(), full);
    let app = door(&store);
    for n in 1..=20 {
        durable(commit(&app, step("logs", n, 5000)));
    }
    close(&store);
    sim.set_capacity(Some(sim.used() - 1000));
    let store = open_on(&sim, dir.path(), full);
    let app = door(&store);
    assert_eq!((app.room(), row_value(&app, 1)), (Room::DiskFull, Some(20)));
    let (found, owed) = numbers(&app, "logs");
    assert_eq!(found.len(), 20);
    settle(&app, &owed);
    sim.set_capacity(None);
    wait_for("room", || app.room() == Room::Yes);
    durable(commit(&app, step("logs", 21, 5000)));
    close(&store);
}

#[test]
fn the_watermark_stops_reading_before_the_disk_is_full() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = Sim::default();
    let store = open_on(&sim, dir.path(), |options| options.min_free_bytes = 50_000);
    let app = door(&store);
    sim.set_capacity(Some(sim.used() + 60_000));
    durable(commit(&app, step("logs", 1, 20_000)));
    wait_for("a full disk", || app.room() == Room::DiskFull);
    settle(&app, &app.next("logs", ALL).expect("readable"));
    sim.set_capacity(None);
    wait_for("room", || app.room() == Room::Yes);
    close(&store);
}

#[test]
fn a_failed_sync_is_not_trusted_again_and_what_was_waiting_is_written_elsewhere() {
    for power in [false, true] {
        for seed in 1..20 {
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
            let sim = Sim::default();
            let store = open_on(&sim, dir.path(), |_| {});
            let app = door(&store);
            for n in 1..=3 {
                durable(commit(&app, step("logs", n, 500)));
            }
            sim.fail_syncs(1);
            for n in 4..=6 {
                durable(commit(&app, step("logs", n, 500)));
            }
            assert_eq!(numbers(&app, "logs").0, [1, 2, 3, 4, 5, 6]);
            close(&store);
            let sim = if power { sim.after_power_cut(seed) } else { sim.after_kill() };
            let store = open_on(&sim, dir.path(), |_| {});
            let app = door(&store);
            assert_eq!((numbers(&app, "logs").0, row_value(&app, 1)), (vec![1, 2, 3, 4, 5, 6], Some(6)));
            assert_eq!(store.health().degraded, Vec::<String>::new());
            close(&store);
        }
    }
}

#[test]
fn a_disk_that_keeps_failing_stops_the_store_and_acknowledges_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = Sim::default();
    let store = open_on(&sim, dir.path(), |_| {});
    let app = door(&store);
    sim.fail_syncs(u32::MAX);
    let receipt = commit(&app, step("logs", 1, 500));
    assert!(receipt.blocking_recv().is_err());
    wait_for("the store to stop", || matches!(app.commit(Commit::default()), Err(StoreError::Stopped)));
    assert!(store.health().degraded.iter().any(|line| line.contains("stopped")));
    assert!(app.lanes().is_empty());
}

#[test]
fn nothing_becomes_durable_after_a_commit_before_it_could_not() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let sim = Sim::default();
    let store = open_on(&sim, dir.path(), |o| (o.durability, o.segment_bytes) = (Durability::Group, 12 << 10));
    let app = door(&store);
    // The first step waits for its sync; the second needs a new segment, before which that sync fails, and so does
    // the rescue. Then the disk works again.
    sim.fail_syncs(2);
    let receipts: Vec<Receipt> = (1..=3).map_while(|n| app.commit(step("logs", n, 13_000)).ok()).collect();
    assert!(receipts.into_iter().all(|receipt| !matches!(receipt.blocking_recv(), Ok(Ok(())))));
    wait_for("the store to stop", || store.failure().is_some());
    close(&store);
    let store = open_on(&sim.after_kill(), dir.path(), |_| {});
    let app = door(&store);
    let (found, last) = (numbers(&app, "logs").0, row_value(&app, 1).unwrap_or(0));
    assert_eq!(found, (1..=last).collect::<Vec<_>>(), "a position without what came before it");
    close(&store);
}
