//! What was seen of a source stays owed wherever its content goes: it is handed out or counted.

use super::rig::Rig;
use crate::record::GapReason;

/// 50 lines were seen of `a.log`, 10 of them were read, and the file vanished while the agent was down.
fn vanished_with_40_lines() -> Rig {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 50));
    rig.run(20_000);
    rig.crash();
    rig.delete("a.log");
    rig.budget = 1 << 20;
    rig
}

#[test]
fn a_copy_that_is_cut_short_is_read_and_what_it_lacks_is_counted() {
    for crash in [false, true] {
        let mut rig = vanished_with_40_lines();
        rig.write("a.log.1", Rig::lines(0, 20));
        rig.settle();
        rig.assert_lines(20);
        if crash {
            rig.crash();
        }
        rig.run(20_000);
        rig.assert_lines(20);
        assert_eq!((rig.lost(), rig.gaps.len(), rig.sources()), (3000, 1, vec![1]));
        assert_eq!((rig.gaps[0].from, rig.gaps[0].reason), (2000, GapReason::Vanished));
    }
}

#[test]
fn a_copy_that_still_grows_is_waited_for_and_nothing_is_counted() {
    for crash in [false, true] {
        let mut rig = vanished_with_40_lines();
        for part in (0..50).collect::<Vec<_>>().chunks(15) {
            rig.append("a.log.1", Rig::lines(part[0], part[0] + part.len()));
            rig.run(6000);
            if crash {
                rig.crash();
            }
        }
        rig.run(20_000);
        rig.assert_lines(50);
        assert_eq!((rig.lost(), rig.sources()), (0, vec![1]));
    }
}

#[test]
fn a_copy_that_vanishes_too_leaves_all_that_was_seen_to_be_counted() {
    let mut rig = vanished_with_40_lines();
    rig.write("a.log.1", Rig::lines(0, 20));
    rig.settle();
    rig.delete("a.log.1");
    rig.run(20_000);
    rig.assert_lines(20);
    assert_eq!(rig.lost(), 3000);
}

#[test]
fn a_compressed_copy_that_lacks_what_was_seen_is_read_and_counted() {
    for crash in [false, true] {
        let mut rig = vanished_with_40_lines();
        rig.write("x", Rig::lines(0, 20));
        rig.gzip("x", "a.log.1.gz");
        if crash {
            rig.budget = 0;
            rig.run(1000);
            rig.crash();
            rig.budget = 1 << 20;
        }
        rig.run(20_000);
        rig.assert_lines(20);
        assert_eq!((rig.lost(), rig.sources()), (3000, vec![1]));
    }
}

#[test]
fn a_compressed_file_that_only_begins_alike_leaves_all_that_was_seen_to_be_counted() {
    let mut rig = Rig::new(&["a.log*"]);
    let head = "h".repeat(1500) + "\n";
    rig.write("a.log", format!("{head}{}", Rig::lines(0, 10)));
    rig.settle();
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 50));
    rig.run(20_000);
    rig.crash();
    rig.delete("a.log");
    rig.budget = 1 << 20;
    rig.write("x", format!("{head}{}", Rig::lines(100, 200)));
    rig.gzip("x", "a.log.1.gz");
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.lost(), rig.sources()), (11 + 101, 4000, vec![1, 2]));
}

#[test]
fn a_short_file_is_not_taken_for_the_rest_of_a_vanished_one_that_was_never_read() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.settle();
    rig.budget = 0;
    rig.write("a.log", Rig::lines(0, 50));
    rig.run(20_000);
    rig.crash();
    rig.delete("a.log");
    rig.run(100);
    // It begins alike as far as the index of beginnings tells.
    rig.write("a.log.1", "00000000 another\n");
    rig.run(100);
    rig.budget = 1 << 20;
    rig.run(20_000);
    assert_eq!((rig.texts(), rig.lost()), (vec!["00000000 another"], 5000));
    assert_eq!((rig.gaps[0].from, rig.gaps[0].reason), (0, GapReason::Vanished));
}

#[test]
fn what_a_copy_shipped_as_its_own_source_lacks_is_counted() {
    let mut rig = Rig::new(&["a.log*"]);
    rig.write("a.log", Rig::lines(0, 10));
    rig.settle();
    rig.budget = 0;
    rig.append("a.log", Rig::lines(10, 50));
    // Behind the last line: what is older than that is no copy of it.
    rig.write("a.log.1", Rig::lines(0, 20));
    // Longer than a copy is held while the original lives.
    rig.run(60_000);
    rig.crash();
    rig.delete("a.log");
    rig.budget = 1 << 20;
    rig.run(30_000);
    assert_eq!((rig.records.len(), rig.sources(), rig.lost()), (30, vec![1, 2], 3000));
}

#[test]
fn a_compressed_file_that_vanishes_unread_says_that_its_bytes_are_compressed_ones() {
    let mut rig = Rig::new(&["*.gz"]);
    rig.budget = 0;
    rig.poll();
    // So many files are to be read that this one is not held open.
    rig.source.as_mut().unwrap().most_open = 0;
    rig.write("x", Rig::lines(0, 1000));
    rig.gzip("x", "x.gz");
    rig.run(20_000);
    let size = std::fs::metadata(rig.path("x.gz")).unwrap().len();
    rig.delete("x.gz");
    rig.run(20_000);
    assert_eq!((rig.lost(), rig.gaps.len()), (size, 1));
    assert_eq!(rig.gaps[0].reason, GapReason::VanishedCompressed);
}
