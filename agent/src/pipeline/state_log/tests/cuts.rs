//! A state that is written, based anew and forgotten, with the power going at every call to the file system: what is
//! loaded afterwards is what some step left, none that was durable is missing, and only what was being forgotten may be
//! refused.

use std::collections::BTreeMap;

use super::*;
use crate::record::Row;
use crate::store::sim::Sim;

type State = BTreeMap<u8, u64>;

/// What may be there.
#[derive(Default)]
struct Model {
    /// The state behind each step, from 1.
    steps: Vec<State>,
    durable: usize,
    forgetting: bool,
}

/// Steps of the script; then everything is forgotten and begun anew.
const STEPS: u64 = 14;

fn row(key: u8, value: Option<u64>) -> Vec<u8> {
    format!("{key}={};", value.map_or_else(String::new, |value| value.to_string())).into_bytes()
}

fn load(state: &mut State, rows: &[u8]) {
    for entry in String::from_utf8_lossy(rows).split_terminator(';') {
        let (key, value) = entry.split_once('=').unwrap();
        let key = key.parse().unwrap();
        match value {
            "" => drop(state.remove(&key)),
            value => drop(state.insert(key, value.parse().unwrap())),
        }
    }
}

fn opened(dir: &Path, sim: &Sim) -> Option<(Store, store::Pipeline)> {
    let options = Options {
        dir: dir.to_path_buf(),
        durability: Durability::Always,
        segment_bytes: 4 << 10,
        min_free_bytes: 0,
        ballast_bytes: 0,
        agent_id: Some("one".to_owned()),
        machine: "this one".to_owned(),
        rewind: |_, before, _| before.map(Box::from),
    };
    let store = store::open_on(options, sim).ok()?;
    let door = store.pipeline("q", &BufferPlan::default()).ok()?;
    Some((store, door))
}

/// One life. `None`: the power went.
fn live(door: &store::Pipeline, model: &mut Model) -> Option<()> {
    let (mut log, _) = StateLog::open(door.clone(), "q", "a plan".to_owned(), |_| Ok(())).ok()?;
    let mut state = State::new();
    let mut base: Option<u8> = None;
    for step in 1..=STEPS {
        let mut members = Vec::new();
        let mut changed = Vec::new();
        for key in [(step % 5) as u8, (step * 3 % 7) as u8] {
            let value = (step % 4 > 0).then_some(step);
            load(&mut state, &row(key, value));
            changed.extend(row(key, value));
        }
        members.push(log.changes(marks(step), &[changed, format!("200={step:0900};").into_bytes()].concat()));
        state.insert(200, step);
        if step == 4 || step == 9 {
            base = Some(0);
        }
        let mut ends = false;
        if let Some(from) = base {
            let piece: Vec<u8> = state.range(from..from + 3).flat_map(|(key, value)| row(*key, Some(*value))).collect();
            members.push(match from {
                0..9 => log.base(marks(step), &piece),
                _ => log.base(marks(step), &row(200, Some(step))),
            });
            base = (from < 9).then_some(from + 3);
            ends = base.is_none();
            members.extend(ends.then(|| log.end_base(marks(step)).unwrap()));
        }
        model.steps.push(state.clone());
        let rows = vec![Row { key: 1, value: Some(step.to_le_bytes().into()) }];
        let receipt = door.commit(Commit { members, rows, ..Commit::default() }).ok()?;
        receipt.blocking_recv().ok()?.ok()?;
        model.durable = model.steps.len();
        if ends {
            log.base_is_durable().ok()?;
        }
    }
    Some(())
}

/// What a job does that is begun anew.
fn forget(door: &store::Pipeline, model: &mut Model) -> Option<()> {
    model.forgetting = true;
    StateLog::forget(door).ok()
}

/// A process with the store, until its end or a cut. What waits for an answer when the power goes is told by the
/// store's end.
fn process(
    (root, sim): (&Path, &Sim),
    mut model: Model,
    life: fn(&store::Pipeline, &mut Model) -> Option<()>,
) -> Model {
    let Some((store, door)) = opened(root, sim) else { return model };
    let life = std::thread::spawn(move || {
        let _ = life(&door, &mut model);
        model
    });
    while !life.is_finished() && !sim.crashed() {
        std::thread::yield_now();
    }
    drop(store.close(Duration::from_secs(9)));
    life.join().unwrap()
}

/// What the next life finds.
fn check(door: &store::Pipeline, model: &Model) {
    let mut state = State::new();
    let found = StateLog::open(door.clone(), "q", "a plan".to_owned(), |rows| {
        load(&mut state, rows);
        Ok(())
    });
    match found {
        Ok((_, None)) => assert!(model.durable == 0 || model.forgetting, "a state is lost"),
        Ok((_, Some(found))) => {
            let step = found.marks.step as usize;
            let known = format!("step {step}; {} are durable, forgetting: {}", model.durable, model.forgetting);
            assert!(step >= model.durable && step <= model.steps.len(), "{known}");
            assert_eq!(state, model.steps[step - 1], "step {step}");
            let positions = door.rows().into_iter().find(|(key, _)| *key == 1).unwrap().1;
            assert_eq!(*positions, found.marks.step.to_le_bytes());
        }
        Err(error) => assert!(model.forgetting, "{error}"),
    }
}

#[test]
fn a_state_survives_a_cut_at_every_write() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for kill in [false, true] {
        let mut cut = 0;
        loop {
            cut += 1;
            let root = dir.path().join(format!("{kill}-{cut}"));
            let sim = Sim::default();
            sim.crash_after(cut);
            let mut model = process((&root, &sim), Model::default(), live);
            if !sim.crashed() {
                model = process((&root, &sim), model, forget);
            }
            if !sim.crashed() {
                assert!(cut > 50, "{cut} calls");
                break;
            }
            let sim = if kill { sim.after_kill() } else { sim.after_power_cut(cut) };
            drop(std::fs::remove_dir_all(root.join("sled")));
            let (store, door) = opened(&root, &sim).expect("it opens after a cut");
            check(&door, &model);
            store.close(Duration::from_secs(9)).unwrap();
            std::fs::remove_dir_all(root).unwrap();
        }
    }
}
