//! Whatever rotation does to a file, each of its lines becomes one document, and what was gone before it could be
//! read is counted to the byte.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::oracle::{Oracle, field};
use e2e::seed::Rng;
use e2e::wait;
use e2e::writer::Writer;

const INDEX: &str = "logs-rotation";

struct Scene {
    room: Room,
    endpoint: Endpoint,
    oracle: Oracle,
    rng: Rng,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let rng = Rng::for_test(name);
        Scene { room: Room::new(), endpoint: Endpoint::start(), oracle: Oracle::new(rng.clone()), rng }
    }

    fn agent(&self, pattern: &str) -> Agent {
        self.agent_with(pattern, "")
    }

    /// With further lines of `[source]`.
    fn agent_with(&self, pattern: &str, source: &str) -> Agent {
        let job = self.room.raw_job(pattern, &self.endpoint.url(), INDEX, "");
        self.room.agent(&job.replace("[decode]", &format!("{source}\n[decode]")))
    }

    fn writer(&self, name: &str) -> Writer {
        Writer::new(self.room.logs().join(name), &self.oracle)
    }

    /// Waits until every line is there, then compares.
    fn all_arrive(&self) {
        self.endpoint.wait_count(INDEX, self.oracle.lines(), PATIENCE);
        self.oracle.compare(&self.endpoint, INDEX).assert_clean();
    }

    fn arrived(&self, count: usize) {
        self.endpoint.wait_count(INDEX, count, PATIENCE);
    }
}

#[test]
fn t01_a_storm_of_renames_skips_no_generation() {
    let mut scene = Scene::new("t01");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    agent.start_ready();
    let mut last = Instant::now();
    let mut rotations = 0;
    writer.paced(5_000_000, Duration::from_secs(4), |writer| {
        if last.elapsed() > Duration::from_millis(50) {
            writer.rotate(10_000);
            rotations += 1;
            last = Instant::now();
        }
    });
    eprintln!("t01: {rotations} rotations, {} lines", scene.oracle.lines());
    scene.rng.number();
    scene.all_arrive();
    agent.stop();
}

#[test]
fn t02_files_rotated_while_the_agent_is_down_are_finished_though_the_glob_misses_them() {
    let scene = Scene::new("t02");
    let mut agent = scene.agent("app.log");
    let mut writer = scene.writer("app.log");
    writer.lines(500);
    agent.start_ready();
    scene.arrived(500);
    agent.stop();
    // Unread lines go into the file that was known, then two generations come and go.
    writer.lines(300);
    writer.rotate(10);
    let known = scene.oracle.lines();
    writer.lines(200);
    agent.start_ready();
    scene.arrived(known + 200);
    agent.stop();
    writer.lines(50);
    writer.rotate(10);
    writer.lines(70);
    agent.start_ready();
    scene.all_arrive();
}

#[test]
fn t02_all_generations_within_the_glob_are_finished() {
    let scene = Scene::new("t02-glob");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    writer.lines(500);
    agent.start_ready();
    scene.arrived(500);
    agent.kill();
    for _ in 0..3 {
        writer.lines(300);
        writer.rotate(10);
    }
    writer.lines(100);
    agent.start_ready();
    scene.all_arrive();
}

#[test]
fn t03_a_compressed_generation_is_finished_from_where_it_was() {
    let scene = Scene::new("t03");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    writer.lines(2000);
    agent.start_ready();
    scene.arrived(2000);
    agent.freeze();
    writer.lines(3000);
    let compressed = writer.rotate_and_compress();
    assert!(compressed.exists());
    writer.lines(500);
    agent.thaw();
    scene.all_arrive();
    agent.stop();
}

#[test]
fn t03_a_generation_compressed_while_the_agent_is_down_is_finished_from_where_it_was() {
    let scene = Scene::new("t03-down");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    writer.lines(2000);
    agent.start_ready();
    scene.arrived(2000);
    agent.stop();
    writer.lines(3000);
    writer.rotate_and_compress();
    writer.lines(500);
    agent.start_ready();
    scene.all_arrive();
}

#[test]
fn t04_copytruncate_after_everything_was_read_loses_nothing() {
    let scene = Scene::new("t04");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    agent.start_ready();
    for round in 0..4 {
        writer.lines(700);
        scene.arrived(scene.oracle.lines());
        let copy = writer.rotated(round + 1);
        writer.copytruncate(Some(&copy));
    }
    writer.lines(700);
    scene.all_arrive();
    assert_eq!(agent.ctl().metric("gap_bytes_total"), 0);
    agent.stop();
}

#[test]
fn t04_copytruncate_with_unread_lines_finds_them_in_the_copy() {
    let scene = Scene::new("t04-copy");
    let mut agent = scene.agent("app.log*");
    let mut writer = scene.writer("app.log");
    writer.lines(1000);
    agent.start_ready();
    scene.arrived(1000);
    agent.freeze();
    writer.lines(2000);
    let copy = writer.rotated(1);
    writer.copytruncate(Some(&copy));
    writer.lines(300);
    agent.thaw();
    scene.all_arrive();
    assert_eq!(agent.ctl().metric("gap_bytes_total"), 0);
    agent.stop();
}

#[test]
fn t04_copytruncate_without_a_copy_loses_nothing_that_was_read() {
    let scene = Scene::new("t04-no-copy");
    let mut agent = scene.agent("app.log");
    let mut writer = scene.writer("app.log");
    agent.start_ready();
    for round in 0..4 {
        writer.lines(if round % 2 == 0 { 900 } else { 100 });
        scene.arrived(scene.oracle.lines());
        if round == 2 {
            agent.kill();
        }
        writer.copytruncate(None);
        if round == 2 {
            writer.lines(20);
            agent.start_ready();
        }
    }
    writer.lines(400);
    scene.all_arrive();
    assert_eq!(agent.ctl().metric("gap_bytes_total"), 0);
}

#[test]
fn t04_lines_truncated_before_they_could_be_read_are_a_counted_gap() {
    let scene = Scene::new("t04-full");
    // A small buffer and a dead cluster: the agent sees the file's size and does not read to its end.
    let mut endpoint = Endpoint::start();
    endpoint.down();
    let job = scene.room.raw_job("app.log", &endpoint.url(), INDEX, "[buffer]\nmax_bytes = \"1 MiB\"");
    let mut agent = scene.room.agent(&job);
    let mut writer = scene.writer("app.log");
    agent.start_ready();
    writer.bytes(12 << 20);
    wait::holds("the buffer is full", PATIENCE, || agent.ctl().state() == "full");
    let mut lag = 0;
    wait::holds("the lag is known and still", PATIENCE, || {
        let before = std::mem::replace(&mut lag, agent.ctl().metric("lag_bytes"));
        lag > 0 && before == lag
    });
    writer.truncate();
    writer.lines(100);
    wait::holds("the gap is claimed", PATIENCE, || agent.ctl().metric("gap_bytes_total") > 0);
    endpoint.up();
    wait::holds("the new lines arrive", PATIENCE, || {
        let report = scene.oracle.compare(&endpoint, INDEX);
        report.missing.iter().all(|seq| (*seq as usize) < scene.oracle.lines() - 100)
    });
    wait::holds("nothing is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(0));
    let report = scene.oracle.compare(&endpoint, INDEX);
    report.assert_true();
    let claimed = agent.ctl().metric("gap_bytes_total");
    eprintln!("t04: a gap of {claimed} bytes is claimed, {} bytes are missing", report.missing_bytes);
    assert!(report.missing_bytes > 0 && claimed == report.missing_bytes, "claimed {claimed}: {}", report.summary());
}

/// Whether the process has `path` open.
fn holds_open(agent: &Agent, path: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    descriptors.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path))
}

#[test]
fn t04_lines_of_an_idle_log_that_is_deleted_at_once_arrive_or_are_told_of() {
    for watch in [true, false] {
        let scene = Scene::new("t04-idle");
        let mut agent = scene.agent_with("app.log", &format!("watch = {watch}\nrescan = \"1s\""));
        let mut writer = scene.writer("app.log");
        writer.lines(100);
        agent.start_ready();
        scene.arrived(100);
        wait::holds("the idle log is not held open", PATIENCE, || !holds_open(&agent, writer.path()));
        writer.lines(3);
        std::fs::remove_file(writer.path()).unwrap();
        wait::holds("the lines arrive, or the log is told of", PATIENCE, || {
            scene.endpoint.count(INDEX) == 103 || agent.ctl().metric("vanished_files_total") == 1
        });
        let arrived = scene.endpoint.count(INDEX) == 103;
        assert!(arrived || agent.log().contains("while it was not held open"), "{}", agent.log());
        assert_eq!(agent.ctl().number("vanished_files"), Some(u64::from(!arrived)), "watch = {watch}");
        agent.stop();
    }
}

#[test]
fn t05_a_new_file_with_an_old_inode_is_read_from_its_beginning() {
    let scene = Scene::new("t05");
    let mut agent = scene.agent("app.log");
    let mut writer = scene.writer("app.log");
    writer.lines(1000);
    agent.start_ready();
    scene.arrived(1000);
    let mut reused = 0;
    for round in 0..6 {
        if round == 3 {
            agent.stop();
        }
        let inode = std::fs::metadata(writer.path()).unwrap().ino();
        let mut tries = 0;
        loop {
            writer.recreate();
            tries += 1;
            if std::fs::metadata(writer.path()).unwrap().ino() == inode || tries > 50 {
                break;
            }
        }
        reused += usize::from(tries <= 50);
        // Shorter and longer than what was there.
        writer.lines(if round % 2 == 0 { 50 } else { 2000 });
        if round >= 3 {
            agent.start_ready();
        }
        scene.arrived(scene.oracle.lines());
        if round >= 3 {
            agent.stop();
        }
    }
    eprintln!("t05: the inode came again in {reused} of 6 rounds");
    scene.all_arrive();
}

#[test]
fn t06_files_with_the_same_head_are_all_read_once() {
    let scene = Scene::new("t06");
    let files = 60;
    let head: String = (0..1000).map(|line| format!("# licence line {line:05} {}\n", "-".repeat(50))).collect();
    assert!(head.len() > 64 << 10);
    for file in 0..files {
        scene.room.file(&format!("logs/{file:03}.log"), format!("{head}tail of file {file}\n"));
    }
    let mut agent = scene.agent("*.log");
    agent.start_ready();
    scene.arrived(files * 1001);
    // Truncated and written again with the same head, and a new end.
    let path = scene.room.logs().join("000.log");
    let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    file.write_all(head.as_bytes()).unwrap();
    scene.arrived(files * 1001 + 1000);
    file.write_all(b"another tail of file 0\n").unwrap();
    scene.arrived(files * 1001 + 1001);
    agent.stop();
    scene.endpoint.documents(|documents| {
        let mut tails: Vec<String> = documents
            .of(INDEX)
            .filter_map(|(_, document)| Some(field(&document.json(), "message")?.as_str()?.to_owned()))
            .filter(|message| message.contains("tail"))
            .collect();
        tails.sort();
        tails.dedup();
        assert_eq!(tails.len(), files + 1);
        assert_eq!(documents.of(INDEX).count(), files * 1001 + 1001);
    });
}

#[test]
fn a_file_moved_within_the_globs_is_not_read_again() {
    let scene = Scene::new("moved");
    let mut agent = scene.agent("**/*.log");
    let mut writer = scene.writer("app.log");
    writer.lines(500);
    agent.start_ready();
    scene.arrived(500);
    let archive = scene.room.logs().join("archive");
    std::fs::create_dir(&archive).unwrap();
    writer.rotate_to(&archive.join("old.log"));
    writer.lines(500);
    scene.all_arrive();
    wait::pass(Duration::from_secs(2));
    scene.all_arrive();
}

#[test]
fn a_deleted_file_is_read_to_its_end_while_it_is_open() {
    let scene = Scene::new("deleted");
    let mut agent = scene.agent("app.log");
    let mut writer = scene.writer("app.log");
    writer.lines(500);
    agent.start_ready();
    scene.arrived(500);
    writer.lines(4000);
    writer.recreate();
    writer.lines(100);
    let expected = scene.oracle.lines();
    wait::holds("all is read, or the gap is claimed", PATIENCE, || {
        let gap = agent.ctl().metric("gap_bytes_total");
        let report = scene.oracle.compare(&scene.endpoint, INDEX);
        report.missing_bytes == gap
            && report.documents + report.missing.len() == expected
            && scene.endpoint.count(INDEX) >= 600
    });
    let report = scene.oracle.compare(&scene.endpoint, INDEX);
    eprintln!("deleted: {} bytes are missing, as claimed", report.missing_bytes);
    report.assert_true();
}

#[test]
fn a_symbolic_link_and_its_file_are_one_source() {
    let scene = Scene::new("symlink");
    let target = scene.room.path().join("elsewhere/real.txt");
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    let mut writer = Writer::new(&target, &scene.oracle);
    writer.lines(300);
    link(&target, &scene.room.logs().join("current.log"));
    let mut agent = scene.agent("*.log");
    agent.start_ready();
    scene.arrived(300);
    writer.lines(300);
    scene.all_arrive();
    agent.stop();
}

fn link(target: &Path, name: &Path) {
    std::os::unix::fs::symlink(target, name).unwrap();
}

#[test]
fn start_at_the_end_holds_for_the_first_scan_only() {
    let scene = Scene::new("start-end");
    let mut old = scene.writer("old.log");
    old.lines(200);
    let mut agent = scene.agent_with("*.log", "start = \"end\"");
    agent.start_ready();
    wait::holds("the first scan is done", PATIENCE, || agent.ctl().metric("files") == 1);
    old.lines(10);
    scene.writer("born-later.log").lines(20);
    scene.arrived(30);
    agent.stop();
    old.lines(5);
    agent.start_ready();
    scene.arrived(35);
    let report = scene.oracle.compare(&scene.endpoint, INDEX);
    report.assert_true();
    assert_eq!(report.missing, (0..200).collect::<Vec<u64>>());
}
