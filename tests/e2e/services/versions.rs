//! Each version, over kill -9: as many documents as lines, each id once, each document what was written.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::agent::{PATIENCE, Room};
use e2e::oracle::{Oracle, sequence};
use e2e::seed::Rng;
use e2e::services::Service;
use e2e::writer::Writer;
use e2e::{binaries, wait};

const INDEX: &str = "logs-versions";

/// Lines under kill -9 and rotation, then the demo.
fn exactly_once(script: &str, version: &str) {
    let test = format!("{script} {version}");
    let Some(server) = super::server(&test, script, version, &[]) else { return };
    ship(&server, &test);
    if ["7.17.29", "8.19.21", "9.2.4"].contains(&version) {
        demo(&server);
    }
}

fn ship(server: &Service, test: &str) {
    let mut rng = Rng::for_test(test);
    let room = Room::new();
    let oracle = Oracle::new(rng.clone());
    let mut agent = room.agent(&room.raw_job("app.log*", server.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    agent.start_ready();
    for _ in 0..6 {
        writer.paced(600_000, Duration::from_millis(rng.within(300, 1500)), |_| {});
        agent.kill();
        writer.rotate(1000);
        agent.start_ready();
    }
    writer.lines(9000 - oracle.lines().min(8999) % 9000);
    let lines = oracle.lines() as u64;
    wait::holds("every line is counted", 2 * PATIENCE, || server.count(INDEX) >= lines);
    wait::holds("nothing is owed", PATIENCE, || agent.ctl().number("owed_records") == Some(0));
    assert_eq!(server.count(INDEX), lines, "documents = lines");
    let status = agent.ctl().status();
    eprintln!("{test}: {lines} lines, {} by its own name", status["pipelines"][0]["cluster"]);
    assert_eq!(status["pipelines"][0]["dead_letters"], 0, "{status}");
    agent.stop();
    // A look at the documents themselves, as many as one search gives.
    let documents = server.documents(INDEX);
    let (mut ids, mut seen) = (HashSet::new(), HashSet::new());
    for document in &documents {
        let message = document["_source"]["message"].as_str().unwrap();
        let seq = sequence(message.as_bytes()).unwrap();
        assert_eq!(message, oracle.text(seq));
        assert!(ids.insert(document["_id"].to_string()) && seen.insert(seq), "line {seq} is there twice");
    }
    assert_eq!(documents.len() as u64, lines.min(10_000));
}

fn demo(server: &Service) {
    let mut demo = Command::new(binaries::splashdam());
    let output = demo.args(["demo", "--elasticsearch", server.url()]).stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{said}");
    assert!(output.status.success(), "the demo failed");
}

#[test]
fn v6_8_23_takes_each_line_once() {
    exactly_once("elasticsearch", "6.8.23");
}

#[test]
fn v7_17_29_takes_each_line_once() {
    exactly_once("elasticsearch", "7.17.29");
}

#[test]
fn v8_19_21_takes_each_line_once() {
    exactly_once("elasticsearch", "8.19.21");
}

#[test]
fn v9_2_4_takes_each_line_once() {
    exactly_once("elasticsearch", "9.2.4");
}

#[test]
fn opensearch_3_6_0_takes_each_line_once() {
    exactly_once("opensearch", "3.6.0");
}
