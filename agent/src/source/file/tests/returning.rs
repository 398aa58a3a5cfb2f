//! Files that are out of sight for a while and come back: the same ones go on, others are read from 0.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use super::rig::Rig;
use crate::source::file::rows::{COUNTERS, Stored};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a file of `lines` lines, all read, and the agent is down.
fn read_and_stopped(lines: usize) -> Rig {
    let mut rig = Rig::new(&["logs/*"]);
    std::fs::create_dir(rig.path("logs")).unwrap();
    rig.write("logs/a.log", Rig::lines(0, lines));
    rig.settle();
    rig.crash();
    rig
}

/// The folder is away while the agent is started.
fn start_without_folder(rig: &mut Rig) {
    rig.rename("logs", "away");
    rig.run(20_000);
    rig.rename("away", "logs");
}

#[test]
fn a_file_that_is_out_of_sight_at_a_start_goes_on_however_little_of_it_was_read() {
    for lines in [1, 2, 10] {
        for down in [false, true] {
            let mut rig = read_and_stopped(lines);
            rig.append("logs/a.log", Rig::lines(lines, lines + 1));
            start_without_folder(&mut rig);
            if down {
                rig.crash();
            }
            rig.run(20_000);
            rig.assert_lines(lines + 1);
            assert_eq!((rig.lost(), rig.sources()), (0, vec![1]), "{lines} {down}");
        }
    }
}

#[test]
fn a_compressed_file_that_is_out_of_sight_at_a_start_is_not_read_again() {
    let mut rig = read_and_stopped(0);
    rig.write("x", Rig::lines(0, 1000));
    rig.gzip("x", "logs/x.gz");
    rig.settle();
    rig.assert_lines(1000);
    rig.crash();
    start_without_folder(&mut rig);
    rig.run(20_000);
    rig.assert_lines(1000);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_file_of_another_birth_is_read_from_0_whatever_its_inode_and_content() {
    let born = |rig: &Rig| {
        let found = std::fs::metadata(rig.path("logs/a.log")).unwrap();
        (found.ino(), found.created().unwrap_or(SystemTime::UNIX_EPOCH))
    };
    for attempt in 0..20 {
        let mut rig = read_and_stopped(1);
        let (ino, first) = born(&rig);
        rig.delete("logs/a.log");
        rig.run(20_000);
        let deadline = Instant::now() + PATIENCE;
        rig.write("logs/a.log", Rig::lines(0, 1));
        while born(&rig).1 == first && Instant::now() < deadline {
            rig.delete("logs/a.log");
            rig.write("logs/a.log", Rig::lines(0, 1));
        }
        rig.run(20_000);
        assert_eq!((rig.records.len(), rig.sources()), (2, vec![1, 2]));
        if born(&rig).0 == ino || attempt == 19 {
            break;
        }
    }
}

#[test]
fn without_a_birth_time_a_little_content_is_no_evidence() {
    let mut rig = read_and_stopped(1);
    for value in rig.rows.iter_mut().filter(|(key, _)| **key != COUNTERS).map(|(_, value)| value) {
        let mut stored = Stored::decode(value).unwrap();
        stored.identity.btime = 0;
        *value = stored.encode();
    }
    start_without_folder(&mut rig);
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.sources()), (2, vec![1, 2]));
}

#[test]
fn a_content_that_was_replaced_in_its_file_is_not_gone_on_with_when_it_is_written_there_once_more() {
    let mut rig = read_and_stopped(1);
    rig.truncate("logs/a.log", 0);
    rig.append("logs/a.log", Rig::lines(1, 3));
    rig.settle();
    assert_eq!((rig.records.len(), rig.sources()), (3, vec![1, 2]));
    rig.crash();
    rig.truncate("logs/a.log", 0);
    rig.append("logs/a.log", Rig::lines(0, 1));
    start_without_folder(&mut rig);
    rig.run(20_000);
    assert_eq!((rig.records.len(), rig.sources()), (4, vec![1, 2, 3]));
}
