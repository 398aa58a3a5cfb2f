//! The store against a model, through many lives: each ends with a power cut or a kill at some call to the
//! file system, a lost, stale or damaged sled, or a proper close, and the next must find everything.
//!
//! `SPLASHDAM_MODEL_SEEDS=7-400` goes through these seeds instead of the usual few. A seed gives the same lives, but
//! not the same moments: the store's thread has its own pace, so what fails is told with all that was done to files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::sim::{Dice, Sim};
use super::*;
use crate::record::Bitmap;
use crate::store::StoreError;

/// What may and what must be there.
#[derive(Default)]
struct Model {
    /// Step number → its members' numbers.
    steps: BTreeMap<u64, Vec<u64>>,
    /// Steps whose receipt came.
    durable_to: u64,
    settled: BTreeSet<u64>,
    maybe_settled: BTreeSet<u64>,
    letters: BTreeSet<String>,
    maybe_letters: BTreeSet<String>,
    handed_out_to: u64,
    next: u64,
}

struct Life<'a> {
    sim: Sim,
    app: Pipeline,
    model: &'a mut Model,
    dice: &'a mut Dice,
}

/// `None`: the power went before the answer.
pub(super) fn answer(sim: &Sim, mut receipt: Receipt) -> Option<Result<(), StoreError>> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match receipt.try_recv() {
            Ok(Err(_)) if sim.crashed() => return None,
            Ok(result) => return Some(result),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed) => return None,
            Err(_) if sim.crashed() => return None,
            Err(_) => std::thread::yield_now(),
        }
        assert!(Instant::now() < deadline, "no answer");
    }
}

impl Life<'_> {
    fn commit(&mut self) -> Option<()> {
        let mut receipts = Vec::new();
        for _ in 0..=self.dice.roll(3) {
            let n = self.model.next;
            self.model.next += 1;
            let count = self.dice.roll(4);
            let members: Vec<u64> = (0..count).map(|i| n * 10 + i).collect();
            let sized = |m: &u64| member("logs", *m, 10 + (self.dice.roll(40) * self.dice.roll(100)) as usize);
            let rows = vec![row(1, n), row(10 + n % 97, n)];
            let step = Commit { members: members.iter().map(sized).collect(), rows, dead: Vec::new() };
            self.model.steps.insert(n, members);
            receipts.push((n, self.app.commit(step).ok()?));
        }
        for (n, receipt) in receipts {
            answer(&self.sim, receipt)?.expect("room enough");
            self.model.durable_to = n;
        }
        Some(())
    }

    fn deliver(&mut self) -> Option<()> {
        let limit = Limit { raw_bytes: 1 + self.dice.roll(40_000), wire_bytes: u64::MAX };
        let owed = self.app.next("logs", limit).expect("readable");
        let mut settled = Vec::new();
        let mut ended = Vec::new();
        let mut dead = Vec::new();
        for o in owed {
            let n = match self.app.read(&o) {
                Ok(bytes) => number(&bytes),
                Err(_) if self.sim.crashed() => return None,
                Err(error) => panic!("{error}"),
            };
            self.model.handed_out_to = self.model.handed_out_to.max(n / 10);
            match self.dice.roll(8) {
                0 => self.app.give_back(vec![o]),
                1 => {
                    let mut still = Bitmap::none(10);
                    still.set(self.dice.roll(10) as u32);
                    settled.push(Settled { seq: o.seq, member: o.member, still_owed: Some(still) });
                }
                roll => {
                    if roll == 2 {
                        dead.push(letter(&n.to_string(), 50));
                    }
                    self.model.maybe_settled.insert(n);
                    ended.push(n);
                    settled.push(Settled { seq: o.seq, member: o.member, still_owed: None });
                }
            }
        }
        let names: Vec<String> = dead.iter().map(|d| d.id.clone()).collect();
        self.model.maybe_letters.extend(names.iter().cloned());
        answer(&self.sim, self.app.settle(settled, dead).ok()?)?.expect("room enough");
        self.model.letters.extend(names);
        self.model.settled.extend(ended);
        Some(())
    }

    fn drop_letters(&mut self) -> Option<()> {
        let listed = self.app.dead_letters(0, 3).ok()?;
        for (_, letter) in &listed {
            self.model.letters.remove(&letter.id);
        }
        let numbers: Vec<u64> = listed.iter().map(|(number, _)| *number).collect();
        let dropped = self.app.drop_dead_letters(&numbers).ok()?;
        assert_eq!(dropped, numbers.len() as u64);
        for (_, letter) in &listed {
            self.model.maybe_letters.remove(&letter.id);
        }
        Some(())
    }

    /// What was found after a start must be what the model allows; what it allows is now settled.
    fn check(&mut self, health: Vec<String>) {
        assert!(health.iter().all(|note| note.contains("sled")), "{health:?}");
        let model = &mut *self.model;
        let last = row_value(&self.app, 1).unwrap_or(0);
        assert!(last >= model.durable_to, "step {} is lost, the position is {last}", model.durable_to);
        assert!(last >= model.handed_out_to, "a member of step {} left before its sync", model.handed_out_to);
        assert!(last < model.next);
        for residue in 0..97 {
            let newest = (1..=last).rev().find(|n| n % 97 == residue);
            assert_eq!(row_value(&self.app, 10 + residue), newest, "row of residue {residue}");
        }
        model.steps.retain(|n, _| *n <= last);
        (model.durable_to, model.next) = (last, last + 1);
        let (found, owed) = numbers(&self.app, "logs");
        self.app.give_back(owed);
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, found, "out of order");
        let owed: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(owed.len(), found.len(), "a member is there twice");
        for n in model.steps.values().flatten() {
            assert!(owed.contains(n) || model.maybe_settled.contains(n), "member {n} is lost");
            assert!(!(owed.contains(n) && model.settled.contains(n)), "member {n} is owed again");
        }
        assert!(owed.iter().all(|n| model.steps.contains_key(&(n / 10))), "a member without its step");
        model.maybe_settled.retain(|n| !owed.contains(n) && n / 10 <= last);
        model.settled = model.maybe_settled.clone();
        let letters = self.app.dead_letters(0, usize::MAX).expect("readable");
        let ids: BTreeSet<String> = letters.iter().map(|(_, letter)| letter.id.clone()).collect();
        assert_eq!(ids.len(), letters.len(), "a dead letter is there twice");
        assert!(ids.is_superset(&model.letters), "a dead letter is lost");
        assert!(ids.is_subset(&model.maybe_letters), "a dead letter is back");
        model.letters = ids.clone();
        model.maybe_letters = ids;
    }
}

fn shelf() -> tempfile::TempDir {
    // sled is slow on a slow disk; what is tested here does not depend on it.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Loses, ages or damages sled's folder, or leaves it.
fn harm_view(dice: &mut Dice, sled: &Path, old: &Path) {
    match dice.roll(6) {
        0 if sled.exists() => std::fs::remove_dir_all(sled).expect("removed"),
        1 if old.exists() => {
            std::fs::remove_dir_all(sled).expect("removed");
            copy_dir(old, sled);
        }
        2 if sled.join("db").exists() => {
            let mut bytes = std::fs::read(sled.join("db")).expect("readable");
            let from = dice.roll(bytes.len() as u64) as usize;
            let to = bytes.len().min(from + 4096);
            bytes[from..to].fill(0);
            std::fs::write(sled.join("db"), bytes).expect("writable");
        }
        3 => {
            if old.exists() {
                std::fs::remove_dir_all(old).expect("removed");
            }
            if sled.exists() {
                copy_dir(sled, old);
            }
        }
        _ => {}
    }
}

/// Prints what was done to the files if the test fails.
struct Diary(Sim);

impl Drop for Diary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.diary().iter().for_each(|line| println!("{line}"));
        }
    }
}

fn lives(seed: u64, count: u64) -> BTreeSet<String> {
    let dir = shelf();
    let old: PathBuf = dir.path().join("old");
    let root = dir.path().join("data");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut model = Model { next: 1, ..Model::default() };
    let mut sim = Sim::default();
    for life in 0..count {
        let diary = Diary(sim.clone());
        sim.note(format!("life {life} of seed {seed}"));
        sim.crash_after(1 + dice.roll(120));
        // A group waits up to 50 ms: now and then is enough.
        let durability = if dice.roll(12) == 0 { Durability::Group } else { Durability::Always };
        let options = Options { durability, segment_bytes: 12 << 10, ..options(&root) };
        let opened = crate::store::open::open(options, Arc::new(sim.clone())).ok();
        let opened = opened.and_then(|store| Some((store.pipeline("app", &BufferPlan::default()).ok()?, store)));
        assert!(opened.is_some() || sim.crashed(), "the store does not open");
        if let Some((app, store)) = opened {
            sim.fail_syncs(u32::from(dice.roll(5) == 0));
            let mut life = Life { sim: sim.clone(), app, model: &mut model, dice: &mut dice };
            if !life.sim.crashed() {
                life.check(store.health().degraded);
            }
            let mut left = 60;
            while left > 0 && !life.sim.crashed() {
                left -= 1;
                let went_on = match life.dice.roll(10) {
                    0..5 => life.commit(),
                    5..9 => life.deliver(),
                    _ => life.drop_letters(),
                };
                if went_on.is_none() {
                    break;
                }
            }
            close(&store);
        }
        drop(diary);
        let killed = dice.roll(4) == 0;
        sim.note(if killed { "a kill" } else { "a power cut" }.to_owned());
        sim = if killed { sim.after_kill() } else { sim.after_power_cut(dice.roll(1 << 40)) };
        harm_view(&mut dice, &root.join("sled"), &old);
    }
    sim.seen()
}

#[test]
fn every_life_finds_what_the_one_before_made_durable() {
    let mut seen = BTreeSet::new();
    let asked = std::env::var("SPLASHDAM_MODEL_SEEDS").ok();
    let asked = asked.as_deref().and_then(|range| range.split_once('-'));
    let number = |text: &str| text.parse::<u64>().expect("SPLASHDAM_MODEL_SEEDS is FROM-TO");
    let (from, to) = asked.map_or((1, 6), |(from, to)| (number(from), number(to)));
    for seed in from..=to {
        seen.extend(lives(seed, 40));
    }
    for call in [
        "create segment",
        "write segment",
        "sync segment",
        "unlink segment",
        "rename segment",
        "create base",
        "write base",
        "sync base",
        "rename base",
        "unlink base",
        "write dead",
        "sync dead",
        "sync names ",
    ] {
        assert!(seen.contains(call), "{call} was never called: {seen:?}");
    }
}
