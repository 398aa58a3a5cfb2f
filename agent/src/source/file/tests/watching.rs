//! The kernel's events wake what looking alone would come across much later.

use std::time::{Duration, Instant};

use super::rig::Rig;

const PATIENCE: Duration = Duration::from_secs(20);

/// Folders are not listed again, and virtual time stands still while the kernel's events are waited for: nothing else
/// can tell of a change.
fn watching() -> Rig {
    let mut rig = Rig::new(&["*.log"]);
    rig.plan.watch = true;
    rig.plan.rescan = Duration::from_secs(86_400);
    rig
}

/// Polls whenever the source is woken, until there are so many records.
fn wait_for(rig: &mut Rig, records: usize) {
    let deadline = Instant::now() + PATIENCE;
    while rig.records.len() < records {
        assert!(Instant::now() < deadline, "{} of {records} records", rig.records.len());
        if let Some(source) = &rig.source {
            source.wait(Instant::now() + Duration::from_millis(100));
        }
        rig.poll();
    }
}

#[test]
fn an_event_wakes_an_idle_file_long_before_its_next_look() {
    let mut rig = watching();
    rig.write("a.log", Rig::lines(0, 10));
    rig.run(200_000);
    let idle = rig.source.as_ref().map(|source| source.next_look(rig.now) - rig.now);
    assert!(idle > Some(Duration::from_secs(2)), "{idle:?}");
    rig.append("a.log", Rig::lines(10, 20));
    wait_for(&mut rig, 20);
    rig.assert_lines(20);
}

#[test]
fn an_event_tells_of_new_renamed_and_deleted_files() {
    let mut rig = watching();
    rig.write("a.log", Rig::lines(0, 10));
    rig.run(200_000);
    rig.write("b.log", Rig::lines(10, 12));
    wait_for(&mut rig, 12);
    rig.append("a.log", Rig::lines(12, 14));
    rig.rename("a.log", "a.log.1");
    rig.write("a.log", Rig::lines(14, 20));
    wait_for(&mut rig, 20);
    rig.delete("b.log");
    rig.write("b.log", Rig::lines(20, 25));
    wait_for(&mut rig, 25);
    rig.run(20_000);
    assert_eq!(
        (rig.sorted(), rig.lost()),
        ((0..25).map(Rig::line).collect::<Vec<_>>().iter().map(String::as_str).collect(), 0)
    );
}
