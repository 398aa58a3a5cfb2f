//! Memory, disk and time have limits, and reaching one is a state, not a crash.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::agent::{PATIENCE, Room};
use e2e::endpoint::{Endpoint, Reply};
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::writer::Writer;
use e2e::{process, services, wait};

const INDEX: &str = "logs-bounds";
const SMALL_BUFFER: &str = "[buffer]\nmax_bytes = \"1 MiB\"";

#[test]
fn t15_a_full_disk_stops_reading_and_not_shipping_and_heals_alone() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let data = room.data();
    let Some(disk) = SmallDisk::mount(&data, 400 << 20) else { return };
    let oracle = Oracle::new(Rng::for_test("t15"));
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    agent.start_ready();
    writer.lines(2000);
    endpoint.wait_count(INDEX, 2000, PATIENCE);
    endpoint.down();
    writer.lines(5000);
    wait::holds("the lines are owed", PATIENCE, || agent.ctl().number("owed_records") == Some(5000));
    disk.fill();
    writer.bytes(24 << 20);
    wait::holds("the disk is said to be full", PATIENCE, || agent.ctl().state() == "disk-full");
    let before = process::cpu(agent.pid()).unwrap();
    wait::pass(Duration::from_secs(4));
    let spent = process::cpu(agent.pid()).unwrap() - before;
    assert!(spent < Duration::from_secs(2), "it spins: {spent:?} of 4 s while the disk is full");
    endpoint.up();
    endpoint.wait_count(INDEX, 7000, PATIENCE);
    wait::holds("what was owed is settled on a full disk", PATIENCE, || {
        agent.ctl().number("owed_records").is_some_and(|owed| owed == 0 || endpoint.count(INDEX) > 7000)
    });
    agent.kill();
    agent.start_ready();
    disk.free();
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    oracle.compare(&endpoint, INDEX).assert_clean();
    agent.stop();
}

/// A file system of its own in memory; taken away when dropped.
struct SmallDisk<'a> {
    folder: &'a Path,
}

impl SmallDisk<'_> {
    fn mount(folder: &Path, bytes: u64) -> Option<SmallDisk<'_>> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder);
        let output = mount.output().expect("mount runs");
        if !output.status.success() {
            services::skip("a small disk", &format!("needs root: {}", String::from_utf8_lossy(&output.stderr)));
            return None;
        }
        Some(SmallDisk { folder })
    }

    /// Writes until nothing more goes in.
    fn fill(&self) {
        let file = self.folder.join("filler");
        let status = Command::new("dd")
            .args(["if=/dev/zero", "bs=64k", "status=none", &format!("of={}", file.display())])
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "the disk took everything");
    }

    fn free(&self) {
        std::fs::remove_file(self.folder.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the agent may still hold files there.
        let status = Command::new("umount").arg("-l").arg(self.folder).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.display());
        }
    }
}

#[test]
fn t16_a_full_buffer_that_blocks_makes_the_source_wait_and_loses_nothing() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.down();
    let oracle = Oracle::new(Rng::for_test("t16"));
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, SMALL_BUFFER));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    agent.start_ready();
    writer.bytes(16 << 20);
    wait::holds("the buffer is full", PATIENCE, || agent.ctl().state() == "full");
    let owed = agent.ctl().number("owed_bytes").unwrap();
    assert!(owed <= (1 << 20) + (32 << 10), "{owed} bytes are owed, 1 MiB is allowed");
    assert!(agent.ctl().number("lag_bytes").unwrap() > 1 << 20, "what waits in the source is not shown");
    endpoint.up();
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    oracle.compare(&endpoint, INDEX).assert_clean();
    assert_eq!(agent.ctl().metric("dropped_records_total"), 0);
}

#[test]
fn t16_a_full_buffer_that_drops_counts_each_record_it_drops() {
    for when_full in ["drop_oldest", "drop_newest"] {
        let (room, mut endpoint) = (Room::new(), Endpoint::start());
        endpoint.down();
        let oracle = Oracle::new(Rng::for_test(&format!("t16-{when_full}")));
        // What is being delivered is never dropped, so that is kept small beside the buffer.
        let bulk = "[sink.bulk]\nmax_bytes = \"1 MiB\"\nmax_in_flight = 1";
        let buffer = format!("{bulk}\n[buffer]\nmax_bytes = \"4 MiB\"\nwhen_full = \"{when_full}\"");
        let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, &buffer));
        let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
        agent.start_ready();
        writer.bytes(24 << 20);
        let lines = oracle.lines() as u64;
        wait::holds("everything is read", PATIENCE, || agent.ctl().metric("read_records_total") == lines);
        wait::holds("what is not owed is counted as dropped", PATIENCE, || {
            let dropped = agent.ctl().metric("dropped_records_total");
            dropped > 0 && agent.ctl().number("owed_records") == Some(lines - dropped)
        });
        let dropped = agent.ctl().metric("dropped_records_total");
        let told = || agent.log().lines().filter(|line| line.contains("records were dropped")).count();
        wait::holds("the log tells of it", PATIENCE, || told() > 0);
        assert!(told() <= 3, "{when_full}: told again and again:\n{}", agent.log());
        assert!(agent.log().contains("WARN") && agent.log().contains("since="), "{}", agent.log());
        assert_eq!(agent.ctl().number("dropped_records"), Some(dropped), "{when_full}");
        let shown = agent.ctl().run(&["status"]);
        assert!(shown.contains("dropped because the buffer was full (when_full), the last "), "{when_full}: {shown}");
        endpoint.up();
        wait::holds("nothing is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(0));
        let dropped = agent.ctl().metric("dropped_records_total");
        let report = oracle.compare(&endpoint, INDEX);
        report.assert_true();
        eprintln!("t16-{when_full}: {dropped} lines are counted as dropped, {} are missing", report.missing.len());
        assert_eq!(report.missing.len() as u64, dropped, "{when_full}: {}", report.summary());
        // What is small enough for what room is left may still go in; the first or the last thousand never go out.
        let kept = if when_full == "drop_newest" { 0..1000 } else { lines - 1000..lines };
        assert!(!report.missing.iter().any(|seq| kept.contains(seq)), "{when_full}: {}", report.summary());
    }
}

#[test]
fn t17_several_agents_drain_after_an_outage_each_to_the_last_line() {
    let mut rng = Rng::for_test("t17");
    let mut endpoint = Endpoint::start();
    endpoint.down();
    let mut agents = Vec::new();
    for number in 0..4 {
        let (room, oracle) = (Room::new(), Oracle::new(Rng::new(rng.number())));
        let index = format!("logs-{number}");
        let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), &index, ""));
        let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
        agent.start_ready();
        writer.lines(8000);
        agents.push((agent, writer, oracle, index, room));
    }
    for (agent, _, oracle, _, _) in &agents {
        let lines = oracle.lines() as u64;
        wait::holds("all is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(lines));
    }
    wait::pass(Duration::from_secs(2));
    endpoint.up();
    for (agent, writer, oracle, index, _) in &mut agents {
        writer.lines(100);
        endpoint.wait_count(index, oracle.lines(), PATIENCE);
        oracle.compare(&endpoint, index).assert_clean();
        agent.stop();
    }
}

#[test]
fn t24_sigterm_under_load_with_elasticsearch_dead_or_silent_ends_within_five_seconds() {
    let rng = Rng::for_test("t24");
    for silent in [false, true] {
        let (room, mut endpoint) = (Room::new(), Endpoint::start());
        let oracle = Oracle::new(rng.clone());
        let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
        let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
        if silent {
            endpoint.on_bulk(|_| Reply::Hang);
        } else {
            endpoint.down();
        }
        agent.start_ready();
        writer.bytes(8 << 20);
        wait::holds("something is owed", PATIENCE, || agent.ctl().number("owed_records") > Some(1000));
        let (status, time) = agent.terminate();
        assert!(status.success(), "{status:?}\n{}", agent.log());
        assert!(time < Duration::from_secs(5), "it took {time:?}");
        if silent {
            endpoint.heal();
        } else {
            endpoint.up();
        }
        agent.start_ready();
        endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
        oracle.compare(&endpoint, INDEX).assert_clean();
    }
}

#[test]
fn a_dead_cluster_costs_bounded_memory_and_a_healthy_neighbour_nothing() {
    let rng = Rng::for_test("outage");
    let (room, mut sick, healthy) = (Room::new(), Endpoint::start(), Endpoint::start());
    sick.down();
    let (oracle, other) = (Oracle::new(rng.clone()), Oracle::new(rng));
    let jobs = [
        room.file("sick.toml", room.raw_job("sick.log", &sick.url(), INDEX, "[buffer]\nmax_bytes = \"8 MiB\"")),
        room.file("healthy.toml", room.raw_job("healthy.log", &healthy.url(), INDEX, "")),
    ];
    let mut agent = e2e::agent::Agent::new(&room, &jobs);
    let mut writer = Writer::new(room.logs().join("sick.log"), &oracle);
    let mut neighbour = Writer::new(room.logs().join("healthy.log"), &other);
    agent.start_ready();
    let begin = Instant::now();
    let mut peak = 0;
    while begin.elapsed() < Duration::from_secs(8) {
        writer.bytes(2 << 20);
        neighbour.lines(200);
        peak = peak.max(process::resident(agent.pid()).unwrap());
        healthy.wait_count(INDEX, other.lines(), PATIENCE);
    }
    eprintln!("outage: peak {} MB", peak / 1_000_000);
    assert!(peak < 100_000_000, "{peak} bytes are resident");
    let said = agent.log().lines().filter(|line| line.contains("will be sent again")).count();
    assert!((1..=4).contains(&said), "it spoke {said} times of one outage:\n{}", agent.log());
    sick.up();
    sick.wait_count(INDEX, oracle.lines(), PATIENCE);
    oracle.compare(&sick, INDEX).assert_clean();
    other.compare(&healthy, INDEX).assert_clean();
    agent.stop();
}
