//! What was durable and is damaged: pipelines are set back to before it, so that it is read again, and the next
//! lives agree.

use std::path::PathBuf;

use super::*;
use crate::store::fs::{Fs, OsFs};
use crate::store::{base, recover, segment};

fn open_now(dir: &Path) -> Store {
    // Row 0 keeps its latest value, a row that is new since is 1000, as a source would do it.
    let rewind = |key, before: Option<&[u8]>, latest: &[u8]| match key {
        0 => Some(latest.into()),
        _ => Some(before.map_or_else(|| 1000_u64.to_le_bytes().into(), Box::from)),
    };
    Store::open(Options { durability: Durability::Always, rewind, ..options(dir) }).expect("the store opens")
}

/// A closed store of five commits that sled has too, its newest segment, and where the frames lie in it.
fn five(dir: &Path) -> (PathBuf, Vec<std::ops::Range<usize>>) {
    let store = open_now(dir);
    let app = door(&store);
    let path = dir.join("segments/00000001.seg");
    let len = |path: &Path| std::fs::metadata(path).expect("a segment").len() as usize;
    let mut frames: Vec<_> = std::iter::once(0..len(&path)).collect();
    for n in 1..=5 {
        let mut step = step("logs", n, 400);
        step.rows.extend([row(0, n), row(10 + n, n)]);
        durable(commit(&app, step));
        frames.push(frames[n as usize - 1].end..len(&path));
    }
    close(&store);
    (path, frames)
}

/// A life that only looks: what is owed, row 1, row 0, what health says.
fn look(dir: &Path) -> (Vec<u64>, Option<u64>, Option<u64>, Vec<String>) {
    let store = open_now(dir);
    let app = door(&store);
    let found = (numbers(&app, "logs").0, row_value(&app, 1), row_value(&app, 0), store.health().degraded);
    assert_eq!(app.counters().quarantined_items, 0);
    close(&store);
    found
}

/// Two lives find the same; then what was lost is read again, and a third life has everything.
fn goes_on(dir: &Path, damaged: u64, owed: &[u64]) {
    let before = (damaged > 1).then(|| damaged - 1);
    let (found, position, counter, degraded) = look(dir);
    assert_eq!((found.as_slice(), position.filter(|p| *p != 1000)), (owed, before));
    assert!(degraded.iter().any(|line| line.starts_with("app: the log is damaged")), "{degraded:?}");
    let next = look(dir);
    assert_eq!((next.0.as_slice(), next.1, next.2), (owed, position, counter), "the second life");
    assert!(next.3.is_empty(), "the damage is dealt with: {:?}", next.3);
    let store = open_now(dir);
    let app = door(&store);
    (damaged..=5).for_each(|n| durable(commit(&app, step("logs", n, 400))));
    close(&store);
    let (mut found, position, ..) = look(dir);
    found.sort_unstable();
    found.dedup();
    assert_eq!((found, position), ((1..=5).collect(), Some(5)));
}

#[test]
fn a_log_that_ends_before_sleds_mark_sets_its_pipelines_back() {
    for cut in [1, 100, 400] {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, frames) = five(dir.path());
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..frames[5].end - cut]).expect("written");
        goes_on(dir.path(), 5, &[1, 2, 3, 4]);
    }
}

#[test]
fn a_log_cut_between_two_frames_is_seen_by_sleds_mark() {
    for last in [1, 3, 4] {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, frames) = five(dir.path());
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..frames[last].end]).expect("written");
        goes_on(dir.path(), last as u64 + 1, &(1..=last as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_in_a_body_or_a_meta_sets_its_pipeline_back() {
    for frame in [1, 3, 5] {
        // The last byte of the body, and one of the meta.
        for (back, bit) in [(1, 1), (frames_meta(frame), 8)] {
            let dir = tempfile::tempdir().expect("a folder");
            let (path, frames) = five(dir.path());
            let mut bytes = std::fs::read(&path).expect("readable");
            bytes[frames[frame].end - back] ^= bit;
            std::fs::write(&path, bytes).expect("written");
            let owed: Vec<u64> = (1..=5).filter(|n| *n != frame as u64).collect();
            goes_on(dir.path(), frame as u64, &owed);
        }
    }
}

/// How far before a frame's end its meta is hit.
fn frames_meta(frame: usize) -> usize {
    410 + frame
}

#[test]
fn a_source_first_seen_behind_the_damage_keeps_its_number_and_begins_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[frames[3].end - 1] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let store = open_now(dir.path());
    let app = door(&store);
    let rows: Vec<Option<u64>> = [0, 11, 12, 13, 14, 15].map(|key| row_value(&app, key)).into();
    assert_eq!(rows, [Some(5), Some(1), Some(2), Some(1000), Some(1000), Some(1000)]);
    close(&store);
}

#[test]
fn damage_to_what_was_settled_sets_nobody_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let store = open_now(dir.path());
    let app = door(&store);
    settle(&app, &numbers(&app, "logs").1[2..3]);
    close(&store);
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[frames[3].end - 1] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let (found, position, ..) = look(dir.path());
    assert_eq!((found, position), (vec![1, 2, 4, 5], Some(5)));
}

#[test]
fn damage_of_one_pipeline_leaves_the_others_where_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, frames) = five(dir.path());
    let store = open_now(dir.path());
    let other = store.pipeline("other", &BufferPlan::default()).expect("a pipeline");
    durable(commit(&other, step("logs", 77, 400)));
    close(&store);
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[frames[2].end - 1] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let store = open_now(dir.path());
    let other = store.pipeline("other", &BufferPlan::default()).expect("a pipeline");
    assert_eq!((numbers(&other, "logs").0, row_value(&other, 1)), (vec![77], Some(77)));
    assert_eq!(row_value(&door(&store), 1), Some(1));
    close(&store);
}

#[test]
fn damage_before_the_only_base_is_counted_and_told_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open_now(dir.path());
    let app = door(&store);
    let bases = || std::fs::read_dir(dir.path().join("bases")).is_ok_and(|d| d.count() > 0);
    // Settled segments go once a base says that their rows are not needed.
    let first = dir.path().join("segments/00000001.seg");
    let mut n = 0;
    loop {
        n += 1;
        durable(commit(&app, step("logs", n, 4000)));
        if bases() && !first.exists() {
            break;
        }
        settle(&app, &numbers(&app, "logs").1);
        assert!(n < 2000, "no segment goes");
    }
    close(&store);
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir.path().join("segments"))
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    names.sort();
    let path = names.pop().expect("a segment");
    let mut bytes = std::fs::read(&path).expect("readable");
    // A base of the log's end, as it is written now and then.
    let disk = OsFs.open(&path).expect("readable");
    let number = segment::number(&path.file_name().expect("a name").to_string_lossy()).expect("a number");
    let began = recover::highest_seq(&*disk, number, bytes.len() as u64).expect("readable");
    let value = n.to_le_bytes();
    base::write(&OsFs, &dir.path().join("bases"), "app", began, [(1, &value[..])].into_iter()).expect("written");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let store = open_now(dir.path());
    let app = door(&store);
    assert_eq!(app.counters().quarantined_items, 10);
    let degraded = store.health().degraded;
    assert!(degraded.iter().any(|l| l.contains("10 documents for logs") && l.contains("are lost")), "{degraded:?}");
    assert_eq!(row_value(&app, 1), Some(n));
    close(&store);
    let store = open_now(dir.path());
    let app = door(&store);
    assert_eq!((app.counters().quarantined_items, row_value(&app, 1)), (10, Some(n)));
    assert!(store.health().degraded.is_empty());
    assert!(numbers(&app, "logs").0.is_empty());
    close(&store);
}
