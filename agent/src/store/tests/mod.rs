//! The store's promises, on real files unless a fault must be injected.

mod damage;
mod ends;
mod format;
mod full;
mod harm;
mod kill;
mod lost;
mod model;
mod plain;
mod set_back;
mod sim;
mod space;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plan::{BufferPlan, Durability};
use crate::record::{DeadLetter, Member, Row};

use super::{Commit, Limit, Options, Owed, Pipeline, Receipt, Settled, Store};

/// Everything at once.
pub(super) const ALL: Limit = Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX };

pub(super) fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_path_buf(),
        durability: Durability::Group,
        segment_bytes: 64 << 10,
        min_free_bytes: 0,
        ballast_bytes: 0,
        agent_id: None,
        machine: "this one".to_owned(),
        rewind: |_, before, _| before.map(Box::from),
    }
}

pub(super) fn open(dir: &Path) -> Store {
    Store::open(options(dir)).expect("the store opens")
}

pub(super) fn door(store: &Store) -> Pipeline {
    store.pipeline("app", &BufferPlan::default()).expect("a pipeline")
}

pub(super) fn close(store: &Store) {
    store.close(Duration::from_secs(30)).expect("closed in time");
}

/// A member whose bytes tell its number.
pub(super) fn member(index: &str, number: u64, len: usize) -> Member {
    let mut gzip = number.to_le_bytes().to_vec();
    let mut noise = number;
    while gzip.len() < len {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        gzip.extend_from_slice(&noise.to_be_bytes());
    }
    Member { index: index.into(), items: 10, raw_len: 2 * len as u32, gzip, sent_before: false }
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(u64::MAX, |b| u64::from_le_bytes(*b))
}

pub(super) fn row(key: u64, value: u64) -> Row {
    Row { key, value: Some(value.to_le_bytes().into()) }
}

pub(super) fn letter(id: &str, len: usize) -> DeadLetter {
    DeadLetter {
        index: "logs".to_owned(),
        id: id.to_owned(),
        kind: "mapper_parsing_exception".to_owned(),
        reason: "no".to_owned(),
        status: 400,
        action: br#"{"create":{}}"#.to_vec(),
        document: vec![b'x'; len],
        at_ms: 7,
    }
}

/// One member and a row that remembers its number.
pub(super) fn step(index: &str, number: u64, len: usize) -> Commit {
    Commit { members: vec![member(index, number, len)], rows: vec![row(1, number)], dead: Vec::new() }
}

pub(super) fn commit(pipeline: &Pipeline, commit: Commit) -> Receipt {
    pipeline.commit(commit).expect("the store runs")
}

pub(super) fn durable(receipt: Receipt) {
    receipt.blocking_recv().expect("an answer").expect("durable");
}

pub(super) fn done(owed: &[Owed]) -> Vec<Settled> {
    owed.iter().map(|o| Settled { seq: o.seq, member: o.member, still_owed: None }).collect()
}

pub(super) fn settle(pipeline: &Pipeline, owed: &[Owed]) {
    durable(pipeline.settle(done(owed), Vec::new()).expect("the store runs"));
}

/// Hands out all that a lane owes and reads the numbers.
pub(super) fn numbers(pipeline: &Pipeline, index: &str) -> (Vec<u64>, Vec<Owed>) {
    let mut all = Vec::new();
    loop {
        let owed = pipeline.next(index, ALL).expect("readable");
        if owed.is_empty() {
            break;
        }
        all.extend(owed);
    }
    (all.iter().map(|o| number(&pipeline.read(o).expect("readable"))).collect(), all)
}

pub(super) fn row_value(pipeline: &Pipeline, key: u64) -> Option<u64> {
    let rows = pipeline.rows();
    rows.iter().find(|(k, _)| *k == key).map(|(_, v)| number(v))
}

/// Waits until `condition` holds.
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
