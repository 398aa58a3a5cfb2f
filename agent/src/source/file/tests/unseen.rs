//! Files that are deleted while nobody holds them open: what was written to them last is never lost in silence.

use std::time::{Duration, Instant};

use super::rig::Rig;

const PATIENCE: Duration = Duration::from_secs(20);

/// A log of ten lines that has been idle for minutes.
fn idle(watch: bool) -> Rig {
    let mut rig = Rig::new(&["*.log"]);
    rig.plan.watch = watch;
    if watch {
        rig.plan.rescan = Duration::from_secs(86_400);
    }
    rig.write("a.log", Rig::lines(0, 10));
    rig.run(200_000);
    rig.assert_lines(10);
    rig
}

fn told(rig: &Rig) -> u64 {
    rig.metrics.vanished_files.get()
}

/// Polls whenever the source is woken, until a new file's line has come: all that was told before has come, too.
fn wait_for_marker(rig: &mut Rig) {
    let before = rig.records.len();
    rig.write(&format!("marker-{before}.log"), "marker\n");
    let deadline = Instant::now() + PATIENCE;
    while !rig.records[before..].iter().any(|record| record.text == "marker") {
        assert!(Instant::now() < deadline, "no marker");
        if let Some(source) = &rig.source {
            source.wait(Instant::now() + Duration::from_millis(100));
        }
        rig.poll();
    }
}

#[test]
fn without_events_a_file_that_goes_between_two_looks_is_told_of() {
    let mut rig = idle(false);
    rig.append("a.log", Rig::lines(10, 12));
    rig.delete("a.log");
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.lost(), told(&rig)), (10, 0, 1));
}

#[test]
fn a_file_that_went_while_the_agent_was_down_is_told_of_once() {
    let mut rig = idle(false);
    rig.crash();
    rig.append("a.log", Rig::lines(10, 12));
    rig.delete("a.log");
    rig.run(20_000);
    rig.crash();
    rig.run(20_000);
    assert_eq!((rig.records.len(), told(&rig)), (10, 1));
}

#[test]
fn what_is_held_open_renamed_or_found_in_a_copy_is_not_told_of() {
    let mut rig = idle(false);
    rig.append("a.log", Rig::lines(10, 12));
    while rig.records.len() < 12 {
        rig.run(20);
    }
    rig.append("a.log", Rig::lines(12, 13));
    rig.delete("a.log");
    rig.run(20_000);
    rig.write("a.log", Rig::lines(13, 15));
    rig.run(20_000);
    rig.rename("a.log", "a.log.1");
    rig.run(20_000);
    rig.gzip("a.log.1", "a.log.1.gz");
    rig.run(20_000);
    rig.assert_lines(15);
    assert_eq!((rig.lost(), told(&rig)), (0, 0));
}

#[test]
fn a_compressed_file_that_was_read_to_its_end_is_not_told_of() {
    let mut rig = Rig::new(&["*.gz"]);
    rig.write("x", Rig::lines(0, 10));
    rig.gzip("x", "x.gz");
    rig.run(20_000);
    rig.delete("x.gz");
    rig.run(20_000);
    assert_eq!((rig.records.len(), told(&rig)), (10, 0));
}

#[test]
fn an_event_tells_that_a_file_was_written_to_before_it_went() {
    let mut rig = idle(true);
    rig.append("a.log", Rig::lines(10, 12));
    rig.delete("a.log");
    // Its name is another file's already.
    rig.write("a.log", Rig::lines(12, 15));
    wait_for_marker(&mut rig);
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.lost(), told(&rig)), (10 + 3 + 1, 0, 1));
}

#[test]
fn where_events_tell_that_nothing_was_written_nothing_is_told() {
    let mut rig = idle(true);
    rig.delete("a.log");
    rig.write("a.log", Rig::lines(10, 20));
    wait_for_marker(&mut rig);
    rig.run(200_000);
    std::fs::create_dir(rig.path("sub")).unwrap();
    rig.rename("a.log", "sub/a.log");
    rig.write("empty.log", "");
    wait_for_marker(&mut rig);
    rig.delete("empty.log");
    wait_for_marker(&mut rig);
    rig.run(20_000);
    assert_eq!((rig.lost(), told(&rig)), (0, 0));
}

#[test]
fn where_a_whole_folder_goes_its_events_tell_and_where_it_is_moved_away_nobody_does() {
    for (moved, expected) in [(false, 0), (true, 2)] {
        let mut rig = Rig::new(&["**/*.log"]);
        rig.plan.watch = true;
        rig.plan.rescan = Duration::from_secs(86_400);
        std::fs::create_dir(rig.path("logs")).unwrap();
        rig.write("logs/a.log", Rig::lines(0, 10));
        rig.write("logs/b.log", Rig::lines(10, 20));
        rig.run(200_000);
        assert_eq!(rig.records.len(), 20);
        if moved {
            let elsewhere = tempfile::tempdir().unwrap();
            std::fs::rename(rig.path("logs"), elsewhere.path().join("logs")).unwrap();
            wait_for_marker(&mut rig);
            rig.run(200_000);
        } else {
            std::fs::remove_dir_all(rig.path("logs")).unwrap();
            wait_for_marker(&mut rig);
            rig.run(200_000);
        }
        assert_eq!((rig.lost(), told(&rig)), (0, expected), "{moved}");
    }
}
