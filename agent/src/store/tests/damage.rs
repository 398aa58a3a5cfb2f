//! Cuts and flipped bits at every byte of a record: only what is damaged is lost, counted and told, and the
//! store always opens.

use std::path::PathBuf;

use super::*;
use crate::store::StoreError;

/// A store that does not wait for others before it syncs.
fn open_now(dir: &Path) -> Store {
    Store::open(Options { durability: Durability::Always, ..options(dir) }).expect("the store opens")
}

/// A closed store of five commits, and where each commit's frame lies in its segment.
fn five(dir: &Path) -> (PathBuf, Vec<std::ops::Range<usize>>) {
    let store = open_now(dir);
    let app = door(&store);
    let path = dir.join("segments/00000001.seg");
    let mut frames = Vec::new();
    let len = |path: &Path| std::fs::metadata(path).expect("a segment").len() as usize;
    let mut from = len(&path);
    frames.push(0..from);
    for n in 1..=5 {
        durable(commit(&app, step("logs", n, 40)));
        let to = len(&path);
        frames.push(from..to);
        from = to;
    }
    close(&store);
    (path, frames)
}

struct After {
    owed: Vec<u64>,
    damaged: u64,
    position: Option<u64>,
    degraded: Vec<String>,
}

/// Opens the store and delivers everything that can be read.
fn open_and_read(dir: &Path) -> After {
    let store = open_now(dir);
    let app = door(&store);
    let (mut owed, mut damaged) = (Vec::new(), 0);
    loop {
        let some = app.next("logs", ALL).expect("readable");
        for o in &some {
            match app.read(o) {
                Ok(bytes) => owed.push(number(&bytes)),
                Err(StoreError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        if some.is_empty() {
            break;
        }
    }
    let position = row_value(&app, 1);
    wait_for("damaged members to be counted", || app.counters().quarantined_items == damaged * 10);
    durable(commit(&app, step("other", 9, 40)));
    let degraded = store.health().degraded;
    close(&store);
    After { owed, damaged, position, degraded }
}

/// A copy of the store with one segment replaced, without sled if `view` is false.
fn changed(from: &Path, segment: &[u8], view: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    copy_dir(from, dir.path());
    std::fs::write(dir.path().join("segments/00000001.seg"), segment).expect("written");
    if !view {
        std::fs::remove_dir_all(dir.path().join("sled")).expect("removed");
    }
    dir
}

#[test]
fn a_flipped_bit_in_the_last_record_loses_that_record_alone_and_a_cut_only_what_it_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let bytes = std::fs::read(path).expect("readable");
    for at in frames[5].clone() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        // Without sled nobody knows that the last record was durable: it is cut like a torn one.
        let after = open_and_read(changed(dir.path(), &flipped, false).path());
        assert_eq!((after.owed, after.position, after.damaged), (vec![1, 2, 3, 4], Some(4), 0), "flip at {at}");
        assert!(after.degraded.is_empty(), "{:?}", after.degraded);
        let after = open_and_read(changed(dir.path(), &bytes[..at], false).path());
        assert_eq!((after.owed, after.position), (vec![1, 2, 3, 4], Some(4)), "cut at {at}");
    }
}

#[test]
fn a_flipped_bit_in_a_durable_record_is_told_and_what_lies_behind_it_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let bytes = std::fs::read(path).expect("readable");
    for (frame, view) in [(3, false), (5, true)] {
        for at in frames[frame].clone() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let harmed = changed(dir.path(), &flipped, view);
            let after = open_and_read(harmed.path());
            let kept: Vec<u64> = (1..=5).filter(|n| *n != frame as u64).collect();
            assert_eq!((after.owed, after.damaged), (kept, 0), "flip at {at} of frame {frame}");
            assert_eq!(after.position, Some(frame as u64 - 1), "flip at {at} of frame {frame}");
            assert!(!after.degraded.is_empty(), "nobody was told of a flip at {at} of frame {frame}");
            let quarantined = std::fs::read_dir(harmed.path().join("quarantine")).expect("a folder").count();
            assert_eq!(quarantined, 1, "flip at {at} of frame {frame}");
        }
    }
}

#[test]
fn a_damaged_head_costs_a_resend_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let bytes = std::fs::read(path).expect("readable");
    for at in frames[0].clone() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let after = open_and_read(changed(dir.path(), &flipped, true).path());
        assert_eq!((after.owed, after.position), (vec![1, 2, 3, 4, 5], Some(5)), "flip at {at}");
    }
}

#[test]
fn a_sealed_segment_with_a_damaged_end_is_read_by_its_frames() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    for n in 1..=40 {
        durable(commit(&app, step("logs", n, 4000)));
    }
    close(&store);
    let path = dir.path().join("segments/00000001.seg");
    let bytes = std::fs::read(&path).expect("readable");
    for back in (1..800).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[bytes.len() - back] ^= 4;
        let after = open_and_read(changed(dir.path(), &flipped, true).path());
        assert_eq!((after.owed, after.position), ((1..=40).collect(), Some(40)), "flip {back} before the end");
    }
}

#[test]
fn sled_may_be_absent_stale_or_damaged_after_any_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = dir.path().join("data");
    for n in 1..=8 {
        let old = dir.path().join(format!("sled-{}", n - 1));
        for harm in ["none", "absent", "stale", "damaged"] {
            let copy = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
            if base.exists() {
                copy_dir(&base, copy.path());
            }
            let sled = copy.path().join("sled");
            match harm {
                "absent" if sled.exists() => std::fs::remove_dir_all(&sled).expect("removed"),
                "stale" if old.exists() => {
                    std::fs::remove_dir_all(&sled).expect("removed");
                    copy_dir(&old, &sled);
                }
                "damaged" if sled.exists() => {
                    let bytes = std::fs::read(sled.join("db")).expect("readable");
                    std::fs::write(sled.join("db"), vec![0; bytes.len()]).expect("written");
                    std::fs::write(sled.join("snap.0000000000000000.generating"), b"half").expect("written");
                }
                _ => {}
            }
            let store = open_now(copy.path());
            let app = door(&store);
            assert_eq!(row_value(&app, 1), (n > 1).then(|| n - 1), "{harm} after commit {}", n - 1);
            assert_eq!(row_value(&app, 2), (n % 2 == 0).then(|| n - 1), "{harm} after commit {}", n - 1);
            assert_eq!(numbers(&app, "logs").0, (1..n).collect::<Vec<_>>(), "{harm}");
            close(&store);
        }
        let store = open_now(&base);
        let app = door(&store);
        let mut step = step("logs", n, 9000);
        // A row that comes and goes, so that a tombstone is applied as well.
        step.rows.push(if n % 2 == 1 { row(2, n) } else { Row { key: 2, value: None } });
        durable(commit(&app, step));
        close(&store);
        copy_dir(&base.join("sled"), &dir.path().join(format!("sled-{n}")));
    }
}

#[test]
fn rows_too_large_for_sled_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    let large = Row { key: 5, value: Some(vec![7; 10_000].into()) };
    durable(commit(&app, Commit { rows: vec![large, row(1, 1)], ..Commit::default() }));
    close(&store);
    let store = open_now(dir.path());
    let rows = door(&store).rows();
    assert!(rows.iter().any(|(key, value)| *key == 5 && value.len() == 10_000));
    assert_eq!((rows.len(), store.health().degraded), (2, Vec::<String>::new()));
    close(&store);
}

#[test]
fn thousands_of_rows_are_there_after_lives_in_which_nothing_happened() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    // So much that a base is written.
    let large = |key| Row { key, value: Some(vec![7; 1000].into()) };
    durable(commit(&app, Commit { rows: (0..5000).map(large).collect(), ..Commit::default() }));
    wait_for("a base", || std::fs::read_dir(dir.path().join("bases")).is_ok_and(|d| d.count() > 0));
    close(&store);
    for life in 1..=4 {
        let store = open_now(dir.path());
        let app = door(&store);
        assert_eq!((app.rows().len(), app.room()), (5000, crate::store::Room::Yes), "life {life}");
        close(&store);
    }
}
