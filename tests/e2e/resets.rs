//! Reading again on an operator's word, and what becomes of the documents that are there.

use std::path::PathBuf;
use std::time::Duration;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::wait;
use serde_json::Value;

use crate::sls::{GROUP, INDEX, Numbers, all_checkpointed, assert_each_once, counting, job, start};

/// What `splashctl` prints that fails, and whether it did.
fn refused(agent: &Agent, arguments: &[&str]) -> String {
    let (well, out, err) = agent.ctl().try_run(arguments);
    assert!(!well, "{out}{err}");
    err
}

fn settled(agent: &Agent, read: u64) {
    wait::holds("it is read and arrives", PATIENCE, || agent.ctl().number("acknowledged_records") == Some(read));
}

/// A log of these lines, and an agent that has read and shipped them.
fn following(room: &Room, endpoint: &Endpoint, lines: &str) -> (PathBuf, Agent) {
    let log = room.logs().join("a.log");
    std::fs::write(&log, lines).unwrap();
    let mut agent = room.agent(&format!("id = \"job\"\n{}", room.raw_job("*.log", &endpoint.url(), INDEX, "")));
    agent.start_ready();
    let count = lines.lines().count();
    endpoint.wait_count(INDEX, count, PATIENCE);
    settled(&agent, count as u64);
    (log, agent)
}

#[test]
fn a_logstore_is_read_again_from_a_time_on_and_what_is_missing_is_filled() {
    for group in [String::new(), format!("group = \"{GROUP}\"\nheartbeat = \"1s\"")] {
        let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
        let mut numbers = Numbers::new("sls-reset");
        numbers.write(&logstore, 500);
        logstore.let_pass(Duration::from_secs(100));
        let since = jiff::Timestamp::now() + Duration::from_secs(90);
        numbers.write(&logstore, 300);
        let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &group));
        agent.start_ready();
        assert_each_once(&endpoint, 800);
        settled(&agent, 800);
        let said = refused(&agent, &["positions", "reset", "job", "--to", "beginning", "--fill"]);
        assert!(said.contains("nobody is here to be asked") && said.contains("--yes"), "{said}");
        assert!(said.contains("test-project/test-logstore/0"), "it shows what would be done: {said}");
        let time = since.strftime("%FT%TZ").to_string();
        agent.ctl().run(&["positions", "reset", "job", "--to", &time, "--fill", "--yes"]);
        settled(&agent, 1100);
        assert_eq!(agent.ctl().number("duplicate_records"), Some(300), "they were there already");
        assert_each_once(&endpoint, 800);
        agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--fill", "--yes"]);
        settled(&agent, 1900);
        assert!(agent.ctl().run(&["status"]).contains("1,100 records of those acknowledged were there already"));
        // After a kill it goes on from there, and the group is told.
        agent.kill();
        numbers.write(&logstore, 100);
        agent.start_ready();
        assert_each_once(&endpoint, 900);
        if !group.is_empty() {
            wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
        }
    }
}

#[test]
fn what_is_there_is_replaced_only_by_overwrite() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let mut numbers = Numbers::new("sls-overwrite");
    numbers.write(&logstore, 50);
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    assert_each_once(&endpoint, 50);
    settled(&agent, 50);
    let spoil = || {
        let id = endpoint.documents(|documents| documents.of(INDEX).next().unwrap().0.to_owned());
        endpoint.replace(INDEX, &id, "{\"n\":\"-1\"}");
        id
    };
    let stands =
        |id: &str| -> Value { endpoint.documents(|documents| documents.get(INDEX, id).unwrap().json())["n"].clone() };
    let id = spoil();
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--overwrite", "--yes"]);
    wait::holds("it is replaced", PATIENCE, || stands(&id) != "-1");
    settled(&agent, 100);
    assert_each_once(&endpoint, 50);
    assert_eq!(agent.ctl().number("duplicate_records"), Some(0));
    // To fill leaves even what somebody has changed.
    let id = spoil();
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--fill", "--yes"]);
    settled(&agent, 150);
    assert_eq!((stands(&id), agent.ctl().number("duplicate_records")), ("-1".into(), Some(50)));
    assert_eq!(agent.ctl().dead_letters(), Vec::<Value>::new());
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--overwrite", "--yes"]);
    settled(&agent, 200);
    // What comes behind is created as always, after a kill as well.
    agent.kill();
    numbers.write(&logstore, 50);
    agent.start_ready();
    endpoint.wait_count(INDEX, 100, PATIENCE);
}

#[test]
fn files_are_read_again_from_their_beginning_under_their_ids_or_under_new_ones() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let (log, mut agent) = following(&room, &endpoint, "one\ntwo\n");
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--fill", "--yes"]);
    settled(&agent, 4);
    assert_eq!((endpoint.count(INDEX), agent.ctl().number("duplicate_records")), (2, Some(2)));
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--overwrite", "--yes"]);
    settled(&agent, 6);
    assert_eq!(endpoint.count(INDEX), 2);
    agent.ctl().run(&["positions", "reset", "job", "--to", "beginning", "--again", "--yes"]);
    endpoint.wait_count(INDEX, 4, PATIENCE);
    settled(&agent, 8);
    std::fs::write(&log, "one\ntwo\nthree\n").unwrap();
    endpoint.wait_count(INDEX, 5, PATIENCE);
    agent.kill();
    agent.start_ready();
    std::fs::write(room.logs().join("b.log"), "four\n").unwrap();
    endpoint.wait_count(INDEX, 6, PATIENCE);
    let said = refused(&agent, &["positions", "reset", "job", "--to", "2026-01-01T00:00:00Z", "--fill", "--yes"]);
    assert!(said.contains("--to beginning"), "{said}");
    assert_eq!(agent.ctl().dead_letters(), Vec::<Value>::new());
}

#[test]
fn one_file_is_read_on_from_a_line_that_an_operator_names_and_from_no_other_place() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let (log, mut agent) = following(&room, &endpoint, "one\ntwo\nthree\n");
    let path = log.to_str().unwrap();
    let set = |agent: &Agent, to: &str, more: &[&str]| {
        agent.ctl().try_run(&[&["positions", "set", "job", path, "--to", to], more].concat())
    };
    for (to, why) in [("5", "a line, which begins at 4"), ("99", "it ends at 14"), ("x", "like 0 or 4096")] {
        let (well, _, err) = set(&agent, to, &["--yes"]);
        assert!(!well && err.contains(why), "{err}");
    }
    let said = refused(&agent, &["positions", "set", "job", "/nowhere", "--to", "0", "--yes"]);
    assert!(said.contains("positions ls"), "{said}");
    assert!(set(&agent, "4", &["--yes"]).0);
    settled(&agent, 5);
    assert_eq!((endpoint.count(INDEX), agent.ctl().number("duplicate_records")), (3, Some(2)));
    // Passing over what came while it read nothing; it is told before.
    agent.ctl().run(&["pause", "job"]);
    std::fs::write(&log, "one\ntwo\nthree\nfour\nfive\nsi").unwrap();
    let (well, _, err) = set(&agent, "end", &[]);
    assert!(!well && err.contains("that is forward: 10 are not read"), "{err}");
    assert!(set(&agent, "end", &["--yes"]).0);
    agent.ctl().run(&["resume", "job"]);
    std::fs::write(&log, "one\ntwo\nthree\nfour\nfive\nsix\n").unwrap();
    endpoint.wait_count(INDEX, 4, PATIENCE);
    agent.kill();
    agent.start_ready();
    std::fs::write(room.logs().join("b.log"), "seven\n").unwrap();
    endpoint.wait_count(INDEX, 5, PATIENCE);
    let texts = endpoint
        .documents(|documents| documents.of(INDEX).map(|(_, d)| d.json()["message"].to_string()).collect::<Vec<_>>());
    assert!(!texts.iter().any(|text| text.contains("four") || text.contains("five")), "{texts:?}");
}

#[test]
fn what_can_not_be_read_again_says_why() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let mut numbers = Numbers::new("sls-reset-refused");
    numbers.write(&logstore, 10);
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    assert_each_once(&endpoint, 10);
    let said = refused(&agent, &["positions", "reset", "job", "--to", "beginning", "--again", "--yes"]);
    assert!(said.contains("another \"id\""), "{said}");
    let said = refused(&agent, &["positions", "reset", "nobody", "--to", "beginning", "--fill", "--yes"]);
    assert!(said.contains("no job \"nobody\" runs here"), "{said}");
    let other = Room::new();
    let script = other.file("counts.sql", counting(&logstore, &endpoint, ""));
    let mut query = Agent::new(&other, &[script]);
    query.start_ready();
    let said = refused(&query, &["positions", "reset", "counts", "--to", "beginning", "--fill", "--yes"]);
    assert!(said.contains("--reset-state"), "{said}");
}
