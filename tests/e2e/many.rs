//! Many files: idle ones hold nothing, short-lived ones leave nothing behind.

use std::time::Duration;

use e2e::agent::{PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::writer::Writer;
use e2e::{process, wait};

const INDEX: &str = "logs-many";

#[test]
fn t10_idle_files_hold_no_descriptor_and_little_memory() {
    let files: usize = std::env::var("MANY_FILES").map_or(3000, |files| files.parse().unwrap());
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("t10"));
    let mut active = Vec::new();
    for number in 0..files {
        let folder = room.logs().join(format!("{:03}", number / 1000));
        std::fs::create_dir_all(&folder).unwrap();
        let mut writer = Writer::new(folder.join(format!("{number:06}.log")), &oracle);
        writer.lines(2);
        if number % (files / 50) == 0 {
            active.push(writer);
        }
    }
    let mut agent = room.agent(&room.raw_job("**/*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    endpoint.wait_count(INDEX, 2 * files, 4 * PATIENCE);
    for _ in 0..5 {
        active.iter_mut().for_each(|writer| writer.lines(1));
        wait::pass(Duration::from_millis(300));
    }
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
    oracle.compare(&endpoint, INDEX).assert_clean();
    let few = active.len() + 60;
    wait::holds("idle files are closed", PATIENCE, || process::descriptors(agent.pid()) < few);
    let resident = process::resident(agent.pid()).unwrap();
    eprintln!("t10: {files} files, {} MB resident", resident / 1_000_000);
    assert!(resident < 100_000_000, "{resident} bytes are resident");
    let positions = agent.ctl().json(&["positions", "ls", "--json"]);
    assert_eq!(positions[0]["positions"].as_array().unwrap().len(), files);
}

#[test]
fn t11_short_lived_files_are_shipped_and_leave_nothing_open() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("t11"));
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    let before = process::descriptors(agent.pid());
    for round in 0..20 {
        for number in 0..25 {
            Writer::new(room.logs().join(format!("{round}-{number}.log")), &oracle).lines(3);
        }
        endpoint.wait_count(INDEX, oracle.lines(), PATIENCE);
        for number in 0..25 {
            std::fs::remove_file(room.logs().join(format!("{round}-{number}.log"))).unwrap();
        }
    }
    oracle.compare(&endpoint, INDEX).assert_clean();
    wait::holds("nothing of them is open", PATIENCE, || process::descriptors(agent.pid()) <= before + 5);
    wait::holds("no file is followed", PATIENCE, || agent.ctl().metric("files") == 0);
    assert_eq!(agent.ctl().metric("gap_bytes_total"), 0);
}
