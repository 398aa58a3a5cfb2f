//! Stores of every released format are opened for ever: `fixture-N` was written by the version with format N.

use super::*;
use crate::plan::WhenFull;
use crate::record::Bitmap;
use crate::store::Counters;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/tests/fixture-1");

/// What the fixture was made by. With `SPLASHDAM_FIXTURE=folder` it is kept there, for a new format.
#[test]
fn what_the_fixture_was_made_by_still_makes_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = Options {
        segment_bytes: 4 << 10,
        durability: Durability::Always,
        agent_id: Some("fixture".to_owned()),
        ..options(dir.path())
    };
    let store = Store::open(options).expect("the store opens");
    let app = door(&store);
    for n in 1..=20 {
        durable(commit(&app, step("logs", n, 700)));
    }
    let owed = app.next("logs", Limit { raw_bytes: 20_000, wire_bytes: u64::MAX }).expect("readable");
    let mut settled = done(&owed);
    let mut still = Bitmap::none(10);
    still.set(2);
    settled.last_mut().expect("a member").still_owed = Some(still);
    durable(app.settle(settled, vec![letter("a", 20), letter("b", 20)]).expect("the store runs"));
    let first = app.dead_letters(0, 1).expect("readable")[0].0;
    assert_eq!(app.drop_dead_letters(&[first]).expect("dropped"), 1);
    wait_for("a base", || std::fs::read_dir(dir.path().join("bases")).is_ok_and(|d| d.count() > 0));
    let small = BufferPlan { max_bytes: 10, when_full: WhenFull::DropNewest, ..BufferPlan::default() };
    let other = store.pipeline("other", &small).expect("a pipeline");
    durable(commit(&other, step("metrics", 1, 700)));
    wait_for("settled segments to go", || store.health().segments < 4);
    close(&store);
    if let Some(to) = std::env::var_os("SPLASHDAM_FIXTURE") {
        copy_dir(dir.path(), Path::new(&to));
        std::fs::remove_dir_all(Path::new(&to).join("sled")).expect("the view is no part of the format");
    }
    has_all(dir.path());
}

#[test]
fn a_store_of_format_1_opens_with_all_it_had() {
    let dir = tempfile::tempdir().expect("a folder");
    copy_dir(Path::new(FIXTURE), dir.path());
    has_all(dir.path());
}

fn has_all(dir: &Path) {
    let store = open(dir);
    assert_eq!(store.pipelines(), ["app", "other"]);
    let app = door(&store);
    let (found, owed) = numbers(&app, "logs");
    assert_eq!(found, (14..=20).collect::<Vec<_>>());
    assert_eq!(owed[0].owed.as_ref().map(|still| still.iter().collect::<Vec<_>>()), Some(vec![2]));
    assert_eq!(row_value(&app, 1), Some(20));
    let letters = app.dead_letters(0, 10).expect("readable");
    assert_eq!(letters, [(2, letter("b", 20))]);
    let other = store.pipeline("other", &BufferPlan::default()).expect("a pipeline");
    assert_eq!(row_value(&other, 1), Some(1));
    assert_eq!(other.counters(), Counters { dropped_items: 10, dropped_bytes: 704, quarantined_items: 0 });
    close(&store);
}
