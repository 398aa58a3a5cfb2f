//! Which stored source a file is: renames, copies, truncation, reuse, compression.

use std::time::Duration;

use super::super::FileSource;
use super::rig::Rig;
use crate::record::GapReason;

#[test]
fn copytruncate_is_read_from_the_copy_under_the_old_number_and_nothing_is_lost() {
    for glob in ["a.log", "a.log*"] {
        let mut rig = Rig::new(&[glob]);
        rig.write("a.log", Rig::lines(0, 10));
        rig.settle();
        rig.append("a.log", Rig::lines(10, 20));
        rig.copytruncate("a.log", "a.log.1");
        rig.append("a.log", Rig::lines(20, 25));
        rig.run(20_000);
        rig.append("a.log", Rig::lines(25, 30));
        rig.run(11_000);
        assert_eq!((rig.sorted().len(), rig.lost()), (30, 0), "{glob}");
        assert_eq!(rig.records.iter().filter(|record| record.source == 1).count(), 20, "{glob}");
    }
}

#[test]
fn copytruncate_while_the_agent_was_down_is_read_from_the_copy() {
    for glob in ["a.log", "a.log*"] {
        let mut rig = Rig::new(&[glob]);
        rig.write("a.log", Rig::lines(0, 10));
        rig.settle();
        rig.crash();
        rig.append("a.log", Rig::lines(10, 20));
        rig.copytruncate("a.log", "a.log.1");
        rig.append("a.log", Rig::lines(20, 50));
        rig.run(20_000);
        assert_eq!((rig.sorted().len(), rig.lost()), (50, 0), "{glob}");
    }
}

#[test]
fn a_copy_that_is_found_before_the_truncation_is_held_and_not_shipped_twice() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 1000));
    rig.run(30_000);
    let whole = std::fs::read(rig.path("a.log")).unwrap();
    for part in whole.chunks(33_333) {
        rig.append("a.log.1", part);
        rig.run(2_000);
    }
    rig.truncate("a.log", 0);
    rig.append("a.log", Rig::lines(1000, 1001));
    rig.run(30_000);
    rig.assert_lines(1001);
}

#[test]
fn a_held_copy_whose_original_was_rewritten_longer_just_before_the_hold_ended_is_not_shipped_twice() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    std::fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
    rig.settle();
    rig.truncate("a.log", 0);
    rig.append("a.log", Rig::lines(10, 30));
    rig.now += Duration::from_secs(11);
    rig.settle();
    rig.assert_lines(30);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_copy_found_by_a_bounded_run_after_its_original_was_rewritten_longer_is_not_shipped_twice() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.crash();
    rig.copytruncate("a.log", "a.log.1");
    rig.append("a.log", Rig::lines(10, 30));
    rig.once = true;
    while !rig.source.as_ref().is_some_and(FileSource::finished) {
        rig.poll();
    }
    rig.assert_lines(30);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_held_copy_whose_original_is_deleted_just_as_the_hold_ends_is_not_shipped_twice() {
    for ms in (9_800..10_200).step_by(20) {
        let mut rig = Rig::new(&["a.log*"]);
        rig.write("a.log", Rig::lines(0, 10));
        rig.run(100_000);
        std::fs::copy(rig.path("a.log"), rig.path("a.log.1")).unwrap();
        rig.run(ms);
        if rig.records.len() > 10 {
            break;
        }
        rig.delete("a.log");
        rig.run(20_000);
        rig.assert_lines(10);
        assert_eq!(rig.lost(), 0);
    }
}

#[test]
fn a_held_copy_that_is_deleted_when_its_original_was_rewritten_is_not_shipped_twice_and_not_held_open_for_ever() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.append("a.log", Rig::lines(10, 20));
    rig.copytruncate("a.log", "a.log.1");
    rig.append("a.log", Rig::lines(20, 50));
    rig.settle();
    std::fs::copy(rig.path("a.log"), rig.path("a.log.2")).unwrap();
    rig.settle();
    rig.copytruncate("a.log", "x");
    rig.append("a.log", Rig::lines(50, 100));
    rig.delete("a.log.2");
    rig.delete("x");
    rig.run(20_000);
    assert_eq!((rig.sorted().len(), rig.lost()), (100, 0));
    assert_eq!(rig.sorted(), (0..100).map(Rig::line).collect::<Vec<_>>());
    assert_eq!(rig.source.as_ref().map(|source| source.open_files), Some(0));
}

#[test]
fn an_empty_log_that_goes_takes_no_compressed_file_for_its_own() {
    for ms in (20..140).step_by(20) {
        let mut rig = Rig::new(&["a.log*"]);
        rig.write("a.log.1", Rig::lines(0, 10));
        rig.write("a.log", Rig::lines(20, 21));
        rig.settle();
        rig.truncate("a.log", 0);
        rig.run(10_000);
        rig.budget = 0;
        rig.append("a.log.1", Rig::lines(10, 20));
        rig.run(20_000);
        let packed = crate::record::gzip::compress(&std::fs::read(rig.path("a.log.1")).unwrap(), 1).unwrap();
        rig.write("a.log.1.gz", packed);
        rig.run(60);
        rig.write("a.log.2", Rig::lines(21, 22));
        rig.delete("a.log.1");
        rig.run(200 + ms);
        rig.delete("a.log");
        rig.run(30_000);
        rig.budget = 1 << 20;
        rig.run(30_000);
        assert_eq!((rig.sorted().len(), rig.lost(), rig.sources().len()), (22, 0, 3), "{ms}");
    }
}

#[test]
fn a_copy_of_a_file_that_lives_on_is_a_file_of_its_own_after_hold() {
    let mut rig = Rig::new(&["*.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    std::fs::copy(rig.path("a.log"), rig.path("b.log")).unwrap();
    rig.run(5_000);
    assert_eq!(rig.records.len(), 10);
    rig.run(10_000);
    assert_eq!((rig.records.len(), rig.sources().len()), (20, 2));
}

#[test]
fn without_a_copy_the_gap_is_the_last_size_seen_minus_the_position() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 25));
    rig.run(200);
    rig.truncate("a.log", 0);
    rig.append("a.log", Rig::lines(25, 80));
    rig.budget = 1 << 20;
    rig.settle();
    assert_eq!((rig.sorted().len(), rig.lost()), (10 + 55, 1500));
    assert_eq!(rig.gaps[0].reason, GapReason::Truncated);
    assert_eq!(rig.metrics.gap_bytes.get(), 1500);
}

#[test]
fn a_file_rewritten_between_two_looks_is_read_from_0_whatever_its_size() {
    for lines in [3, 10, 40] {
        let mut rig = Rig::new(&["a.log"]);
        rig.write("a.log", Rig::lines(0, 10));
        rig.settle();
        rig.write("a.log", Rig::lines(100, 100 + lines));
        rig.settle();
        assert_eq!((rig.records.len(), rig.lost()), (10 + lines, 0), "{lines}");
        rig.crash();
        rig.write("a.log", Rig::lines(200, 200 + lines));
        rig.settle();
        assert_eq!((rig.records.len(), rig.lost()), (10 + 2 * lines, 0), "{lines} after a crash");
    }
}

#[test]
fn a_trimmed_end_is_a_gap_and_what_was_shipped_is_not_shipped_again() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 20));
    rig.run(200);
    rig.truncate("a.log", 1500);
    rig.run(200);
    rig.budget = 1 << 20;
    rig.settle();
    rig.assert_lines(15);
    assert_eq!(rig.lost(), 500);
}

#[test]
fn a_file_that_is_shorter_than_it_was_seen_is_not_read_again_and_again() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.run(100_000);
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 50));
    rig.now += Duration::from_secs(11);
    rig.run(10_000);
    rig.truncate("a.log", 1550);
    rig.budget = 8 << 10;
    rig.poll();
    rig.assert_lines(15);
    let source = rig.source.as_ref().unwrap();
    assert!(source.ready.is_empty() && source.next_look(rig.now) > rig.now);
    rig.run(1_000);
    assert_eq!((rig.records.len(), rig.lost()), (15, 3450));
}

#[test]
fn a_log_written_anew_and_renamed_or_deleted_before_the_next_look_is_read_by_its_descriptor() {
    for renamed in [true, false] {
        let mut rig = Rig::new(&["a.log"]);
        rig.write("a.log", Rig::lines(0, 10));
        rig.settle();
        rig.budget = 0;
        rig.append("a.log", Rig::lines(10, 20));
        rig.run(60_000);
        rig.truncate("a.log", 0);
        rig.append("a.log", Rig::lines(20, 23));
        if renamed {
            rig.rename("a.log", "a.log.1");
        } else {
            rig.delete("a.log");
        }
        rig.write("a.log", Rig::lines(23, 25));
        rig.budget = 1 << 20;
        rig.run(20_000);
        assert_eq!((rig.records.len(), rig.lost()), (15, 1000), "{renamed}");
    }
}

#[test]
fn a_compressed_rotated_file_is_finished_from_the_right_offset() {
    for (glob, down) in [("a.log", false), ("a.log*", false), ("a.log", true), ("a.log*", true)] {
        let mut rig = Rig::new(&[glob]);
        rig.write("a.log", Rig::lines(0, 1000));
        rig.run(30_000);
        if down {
            rig.crash();
        }
        rig.append("a.log", Rig::lines(1000, 1500));
        rig.rename("a.log", "a.log.1");
        rig.gzip("a.log.1", "a.log.1.gz");
        rig.write("a.log", Rig::lines(1500, 1600));
        rig.run(30_000);
        assert_eq!((rig.sorted().len(), rig.lost()), (1600, 0), "{glob} {down}");
        let sorted: Vec<String> = rig.sorted().iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(sorted, (0..1600).map(Rig::line).collect::<Vec<_>>(), "{glob} {down}");
    }
}

#[test]
fn a_finished_file_that_is_compressed_later_is_not_read_again() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 1000));
    rig.settle();
    rig.rename("a.log", "a.log.1");
    rig.write("a.log", Rig::lines(1000, 1001));
    rig.run(20_000);
    // As gzip does: the compressed file grows beside the plain one, which is deleted at the end.
    let packed = crate::record::gzip::compress(&std::fs::read(rig.path("a.log.1")).unwrap(), 1).unwrap();
    for part in packed.chunks(packed.len().div_ceil(4)) {
        rig.append("a.log.1.gz", part);
        rig.run(4_000);
    }
    rig.delete("a.log.1");
    rig.run(30_000);
    rig.crash();
    rig.run(30_000);
    rig.assert_lines(1001);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_whole_compressed_file_is_read_and_resumed_after_a_crash() {
    let mut rig = Rig::new(&["*.gz"]);
    rig.write("x", Rig::lines(0, 20_000));
    rig.gzip("x", "x.gz");
    rig.budget = 300_000;
    for _ in 0..20 {
        rig.poll();
        rig.crash();
    }
    rig.settle();
    rig.assert_lines(20_000);
    assert_eq!(rig.source.as_ref().map(|source| source.progress().total - source.progress().read), Some(0));
}

#[test]
fn a_broken_compressed_file_is_read_as_far_as_it_goes_and_counted() {
    let mut rig = Rig::new(&["*.gz"]);
    let packed = crate::record::gzip::compress(Rig::lines(0, 5000).as_bytes(), 1).unwrap();
    rig.write("x.gz", &packed[..packed.len() / 2]);
    rig.run(30_000);
    assert!(rig.gaps.iter().any(|gap| gap.reason == GapReason::BadCompression));
    assert!(rig.records.len() > 100);
}

#[test]
fn deleted_and_vanished_files_are_finished_or_counted() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.append("a.log", Rig::lines(10, 20));
    rig.delete("a.log");
    rig.write("a.log", Rig::lines(20, 30));
    rig.settle();
    rig.assert_lines(30);
    // Seen and not read, and gone while the agent was down.
    rig.budget = 0;
    rig.append("a.log", Rig::lines(30, 37));
    rig.run(20_000);
    rig.crash();
    rig.delete("a.log");
    rig.budget = 1 << 20;
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.lost()), (30, 700));
    assert_eq!(rig.gaps[0].reason, GapReason::Vanished);
}

#[test]
fn deleted_files_are_held_only_up_to_the_bound() {
    let mut rig = Rig::new(&["*.log"]);
    rig.plan.hold_deleted_bytes = 2500;
    rig.settle();
    rig.budget = 0;
    for name in ["1.log", "2.log", "3.log"] {
        rig.write(name, Rig::lines(0, 10));
        rig.run(100);
    }
    for name in ["1.log", "2.log", "3.log"] {
        rig.delete(name);
    }
    rig.run(1000);
    rig.budget = 1 << 20;
    rig.run(10_000);
    assert_eq!((rig.records.len(), rig.lost()), (20, 1000));
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    for down in [false, true] {
        let mut rig = Rig::new(&["*.log"]);
        for round in 0..30 {
            rig.write("a.log", Rig::lines(round * 10, round * 10 + 10));
            rig.run(60);
            if down {
                rig.crash();
            }
            rig.delete("a.log");
        }
        rig.settle();
        assert_eq!((rig.sorted().len(), rig.lost()), (300, 0), "{down}");
    }
}

#[test]
fn files_with_the_same_beginning_are_all_read_once() {
    let head = "h".repeat(65_535) + "\n";
    let mut rig = Rig::new(&["*.log"]);
    for number in 0..50 {
        rig.write(&format!("{number}.log"), format!("{head}{}\n", Rig::line(number)));
    }
    rig.settle();
    assert_eq!(rig.records.len(), 100);
    for number in 50..100 {
        rig.write(&format!("{number}.log"), format!("{head}{}\n", Rig::line(number)));
        rig.poll();
    }
    rig.settle();
    rig.write("0.log", format!("{head}{}\n", Rig::line(100)));
    rig.settle();
    rig.crash();
    rig.settle();
    assert_eq!((rig.records.len(), rig.lost()), (202, 0));
}

#[test]
fn links_are_followed_and_two_names_of_one_file_are_read_once() {
    let mut rig = Rig::new(&["*.log"]);
    std::fs::create_dir(rig.path("real")).unwrap();
    rig.write("real/1", Rig::lines(0, 10));
    std::os::unix::fs::symlink("real/1", rig.path("a.log")).unwrap();
    std::os::unix::fs::symlink(rig.path("real/1"), rig.path("b.log")).unwrap();
    rig.settle();
    assert_eq!(rig.records.len(), 10);
    rig.append("real/1", Rig::lines(10, 12));
    rig.write("real/2", Rig::lines(12, 15));
    for name in ["a.log", "b.log"] {
        rig.delete(name);
        std::os::unix::fs::symlink("real/2", rig.path(name)).unwrap();
    }
    rig.run(11_000);
    assert_eq!(rig.sorted(), (0..15).map(Rig::line).collect::<Vec<_>>());
}

#[test]
fn rows_of_files_that_are_gone_are_deleted_after_a_while() {
    let mut rig = Rig::new(&["*.log"]);
    for number in 0..100 {
        rig.write(&format!("{number}.log"), Rig::lines(number, number + 1));
        rig.run(40);
        rig.delete(&format!("{number}.log"));
    }
    rig.run(10_000);
    assert_eq!((rig.records.len(), rig.lost()), (100, 0));
    assert!(rig.rows.len() > 100);
    // Nobody has to wait for them: each is told once, and is none that lives.
    rig.finished.sort_unstable();
    assert_eq!(rig.finished, (1..=100).collect::<Vec<u64>>());
    assert_eq!(rig.source.as_ref().unwrap().living(), []);
    rig.run(620_000);
    assert_eq!(rig.rows.len(), 1);
}

#[test]
fn holes_of_nuls_are_passed_over_and_counted() {
    let mut rig = Rig::new(&["a.log"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.truncate("a.log", 0);
    rig.truncate("a.log", 2 << 30);
    rig.run(100);
    rig.append("a.log", Rig::lines(10, 20));
    rig.settle();
    rig.assert_lines(20);
    assert_eq!(rig.metrics.nul_bytes.get(), 2 << 30);
    assert_eq!((rig.lost(), rig.gaps.len()), (0, 1));
}
