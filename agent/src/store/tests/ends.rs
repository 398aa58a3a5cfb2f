//! Where segments end after a crash in the middle of a seal or of a rescue: nobody takes that for damage.

use super::model::answer;
use super::sim::Sim;
use super::*;

fn open_on(sim: &Sim, dir: &Path) -> Option<Store> {
    open_with(Durability::Always, sim, dir)
}

fn open_with(durability: Durability, sim: &Sim, dir: &Path) -> Option<Store> {
    let options = Options { durability, segment_bytes: 12 << 10, ..options(dir) };
    crate::store::open::open(options, Arc::new(sim.clone())).ok()
}

/// Commits steps until the power goes, at the `calls`-th call.
fn live_until(sim: &Sim, dir: &Path, calls: u64, steps: std::ops::RangeInclusive<u64>) {
    sim.crash_after(calls);
    let Some(store) = open_on(sim, dir) else { return };
    let app = door(&store);
    for n in steps {
        let Ok(receipt) = app.commit(step("logs", n, 4000)) else { break };
        if answer(sim, receipt).is_none() {
            break;
        }
    }
    close(&store);
}

fn without_notes(store: &Store) {
    assert_eq!(store.health().degraded, Vec::<String>::new());
}

#[test]
fn a_seal_that_was_not_durable_is_not_taken_for_damage_when_the_next_segment_is_gone() {
    for (calls, cut) in (14..24).flat_map(|calls| [(calls, 1), (calls, 2), (calls, 3)]) {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let sim = Sim::default();
        live_until(&sim, dir.path(), calls, 1..=6);
        let sim = sim.after_kill();
        let store = open_on(&sim, dir.path()).expect("the store opens");
        without_notes(&store);
        let app = door(&store);
        (10..=20).for_each(|n| durable(commit(&app, step("logs", n, 4000))));
        // What lies in the first segment stays owed, so that only those behind it go.
        let (_, owed) = numbers(&app, "logs");
        let first = |o: &Owed| store.shared.state().flight(o.seq, o.member).is_some_and(|flight| flight.segment == 1);
        let (kept, gone): (Vec<Owed>, Vec<Owed>) = owed.into_iter().partition(first);
        settle(&app, &gone);
        wait_for("the second segment to go", || !store.shared.state().segments.contains_key(&2));
        close(&store);
        let sim = sim.after_power_cut(cut);
        let store = open_on(&sim, dir.path()).expect("the store opens");
        without_notes(&store);
        assert_eq!(numbers(&door(&store), "logs").0.len(), kept.len(), "at call {calls}");
        close(&store);
    }
}

#[test]
fn a_rescue_that_was_cut_off_leaves_no_gap_in_the_numbers_of_commits() {
    for calls in 1..=12 {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let sim = Sim::default();
        // Steps wait for a common sync, so that several are behind the frontier when it fails.
        let store = open_with(Durability::Group, &sim, dir.path()).expect("the store opens");
        let app = door(&store);
        durable(commit(&app, step("logs", 1, 400)));
        // What is committed now is written to the first segment, whose sync fails, and then to a second one.
        sim.fail_syncs(1);
        sim.crash_after(calls);
        let receipts: Vec<Receipt> = (2..=4).map_while(|n| app.commit(step("logs", n, 400)).ok()).collect();
        receipts.into_iter().for_each(|receipt| drop(answer(&sim, receipt)));
        close(&store);
        let sim = sim.after_kill();
        let store = open_on(&sim, dir.path()).expect("the store opens");
        without_notes(&store);
        let app = door(&store);
        let last = row_value(&app, 1).expect("a position");
        durable(commit(&app, step("logs", last + 1, 400)));
        close(&store);
        let store = open_on(&sim.after_kill(), dir.path()).expect("the store opens");
        without_notes(&store);
        assert_eq!(numbers(&door(&store), "logs").0, (1..=last + 1).collect::<Vec<_>>(), "at call {calls}");
        close(&store);
    }
}
