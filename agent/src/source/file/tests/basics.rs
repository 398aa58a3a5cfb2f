//! Following, renaming, restarting.

use std::time::Duration;

use super::rig::Rig;
use crate::plan::Start;

#[test]
fn lines_of_globbed_files_come_once_and_in_order_while_they_grow() {
    let mut rig = Rig::new(&["*.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.write("b.txt", "not wanted\n");
    rig.settle();
    rig.append("a.log", Rig::lines(10, 20));
    rig.settle();
    rig.assert_lines(20);
    assert_eq!((rig.records[1].offset, rig.records[1].path.as_str()), (100, "a.log"));
    assert_eq!(rig.metrics.read_bytes.get(), 2000);
}

#[test]
fn files_in_new_subfolders_are_found() {
    let mut rig = Rig::new(&["**/*.log"]);
    rig.settle();
    std::fs::create_dir_all(rig.path("x/y")).unwrap();
    rig.write("x/y/a.log", Rig::lines(0, 3));
    rig.settle();
    rig.assert_lines(3);
}

#[test]
fn a_renamed_file_is_read_to_its_end_under_its_number_and_the_new_one_gets_its_own() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.append("a.log", Rig::lines(10, 12));
    rig.rename("a.log", "a.log.1");
    rig.write("a.log", Rig::lines(12, 15));
    rig.settle();
    rig.append("a.log", Rig::lines(15, 16));
    rig.settle();
    assert_eq!((rig.sorted().len(), rig.sources().len(), rig.lost()), (16, 2, 0));
    assert_eq!(rig.records.iter().filter(|record| record.source == 1).count(), 12);
    assert!(rig.records.iter().all(|record| record.path == "a.log"));
}

#[test]
fn after_a_crash_reading_goes_on_behind_the_last_commit() {
    let mut rig = Rig::new(&["a.log"]);
    for round in 0..10 {
        rig.append("a.log", Rig::lines(round * 10, round * 10 + 10));
        rig.settle();
        rig.crash();
    }
    rig.settle();
    rig.assert_lines(100);
    assert_eq!(rig.sources(), [1]);
}

#[test]
fn files_rotated_while_the_agent_was_down_are_finished_under_names_that_no_glob_wants() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 5));
    rig.settle();
    rig.crash();
    rig.append("a.log", Rig::lines(5, 8));
    rig.rename("a.log", "a.log.1");
    rig.rename("a.log.1", "a.log.2");
    rig.write("a.log", Rig::lines(8, 10));
    rig.settle();
    assert_eq!(rig.sorted().len(), 10);
    assert_eq!((rig.sources().len(), rig.lost()), (2, 0));
}

#[test]
fn an_incomplete_last_line_is_shipped_in_time_and_its_rest_is_not_doubled() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", "whole\nhal");
    rig.settle();
    assert_eq!(rig.texts(), ["whole"]);
    rig.run(6000);
    assert_eq!(rig.texts(), ["whole", "hal"]);
    rig.crash();
    rig.append("a.log", "f\nnext\n");
    rig.settle();
    assert_eq!(rig.texts(), ["whole", "hal", "f", "next"]);
    assert_eq!(rig.records[2].part.and_then(|part| part.continues), Some(6));
}

#[test]
fn one_byte_at_a_time_gives_one_record() {
    let mut rig = Rig::new(&["a.log"]);
    for byte in b"slow but sure\n" {
        rig.append("a.log", [*byte]);
        rig.run(20);
    }
    rig.run(10_000);
    assert_eq!(rig.texts(), ["slow but sure"]);
}

#[test]
fn a_bounded_run_reads_to_the_sizes_of_its_start_and_ships_last_lines_at_once() {
    let mut rig = Rig::new(&["*.log"]);
    rig.once = true;
    rig.write("a.log", "one\ntwo");
    rig.write("b.log", "");
    rig.poll();
    rig.append("a.log", "more\n");
    rig.run(100);
    assert_eq!(rig.texts(), ["one", "two"]);
    assert!(rig.source.as_ref().is_some_and(|source| source.finished()));
    rig.crash();
    rig.run(100);
    assert_eq!(rig.texts(), ["one", "two", "more"]);
}

#[test]
fn nothing_is_read_without_budget_but_files_are_found_and_held() {
    let mut rig = Rig::new(&["a.log"]);
    rig.settle();
    rig.budget = 0;
    rig.write("a.log", Rig::lines(0, 5));
    rig.settle();
    rig.rename("a.log", "gone");
    rig.delete("gone");
    rig.write("a.log", Rig::lines(5, 7));
    rig.settle();
    assert_eq!(rig.records.len(), 0);
    rig.budget = 1 << 20;
    rig.settle();
    rig.assert_lines(7);
}

#[test]
fn start_holds_for_the_first_scan_only_and_survives_a_crash() {
    for (start, seen) in
        [(Start::End, vec!["new"]), (Start::Last(5), vec!["new"]), (Start::Last(6), vec!["old 3", "new"])]
    {
        let mut rig = Rig::new(&["*.log"]);
        rig.plan.start = start;
        rig.write("a.log", "old 1\nold 2\nold 3\n");
        rig.poll();
        rig.crash();
        rig.append("a.log", "new\n");
        rig.settle();
        assert_eq!(rig.texts(), seen, "{start:?}");
        rig.write("b.log", "born later\n");
        rig.settle();
        assert_eq!(rig.texts().last(), Some(&"born later"));
    }
}

#[test]
fn many_files_share_the_budget_by_bytes() {
    let mut rig = Rig::new(&["*.log"]);
    for file in 0..20 {
        rig.write(&format!("{file:02}.log"), Rig::lines(0, 20_000));
    }
    rig.budget = 20 << 20;
    rig.poll();
    assert_eq!(rig.sources().len(), 20);
    rig.run(200);
    assert_eq!(rig.records.len(), 20 * 20_000);
    rig.now += Duration::from_secs(1);
}

#[test]
fn what_is_no_file_is_left_alone_and_named_once() {
    let mut rig = Rig::new(&["*.log"]);
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("socket.log")).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(rig.path("socket.other")).unwrap();
    rig.write("a.log", Rig::lines(0, 10));
    rig.run(2_000);
    rig.assert_lines(10);
    let source = rig.source.as_ref().unwrap();
    assert_eq!(source.folders.no_files.iter().collect::<Vec<_>>(), [&rig.path("socket.log")]);
}
