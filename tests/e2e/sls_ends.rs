//! Logstores: runs that end at a time, checkpoints that move with the local disk, and what damage there costs.

use std::time::Duration;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::damage::{flip_bit, segments, written_end};
use e2e::endpoint::Endpoint;
use e2e::seed::Rng;
use e2e::wait;

use crate::sls::{GROUP, INDEX, Numbers, all_checkpointed, assert_each_once, counting, counts, expected, job, start};

/// The second that will be so many from now, in UTC.
fn from_now(seconds: u64, pattern: &str) -> String {
    (jiff::Timestamp::now() + Duration::from_secs(seconds)).strftime(pattern).to_string()
}

#[test]
fn a_run_with_a_stop_reads_what_came_before_and_ends() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(3));
    let mut numbers = Numbers::new("sls-stop");
    numbers.write(&logstore, 2000);
    let stop = format!("stop = \"{}\"", from_now(6, "%FT%TZ"));
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &stop));
    agent.start();
    assert_each_once(&endpoint, 2000);
    // What comes after it is not the run's.
    logstore.let_pass(Duration::from_secs(3600));
    logstore.set_skew(3600);
    numbers.write(&logstore, 500);
    let status = agent.wait(PATIENCE);
    assert!(status.success(), "{status:?}: {}", agent.log());
    assert_each_once(&endpoint, 2000);
    assert!(agent.log().contains("2,000 records read") || agent.log().contains("2000 records read"), "{}", agent.log());
}

#[test]
fn a_script_with_a_stop_time_counts_what_came_before_and_ends() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-stop-time");
    numbers.write(&logstore, 700);
    logstore.let_pass(Duration::from_secs(3600));
    logstore.set_skew(3600);
    numbers.write(&logstore, 700);
    let more = format!(", stopTime = '{}', exitAfterFinish = 'true'", from_now(600, "%F %T"));
    let script = counting(&logstore, &endpoint, &more).replace("type ='sls'", "'connector' = 'sls'");
    let script = room.file("counts.sql", format!("SET 'table.local-time-zone' = 'UTC';\n{script}"));
    let mut agent = Agent::new(&room, &[script]);
    agent.once_well();
    assert_eq!(counts(&endpoint), expected(700));
}

/// A group whose checkpoint moves with what is on the local disk.
fn durable(more: &str) -> String {
    format!("group = \"{GROUP}\"\ncheckpoint = \"durable\"\nheartbeat = \"1s\"\ngroup_timeout = \"6s\"\n{more}")
}

#[test]
fn a_checkpoint_by_the_local_disk_moves_while_elasticsearch_is_away() {
    let (room, mut endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-durable");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &durable("")));
    endpoint.down();
    agent.start_ready();
    numbers.write(&logstore, 1000);
    wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
    // Another one goes on behind it, and what lies here arrives from here.
    agent.stop();
    let other = Room::new();
    let mut second = other.agent(&job(&logstore, &endpoint, "test-key", &durable("consumer = \"second\"")));
    numbers.write(&logstore, 500);
    endpoint.up();
    second.start_ready();
    endpoint.wait_count(INDEX, 500, PATIENCE);
    assert_eq!(second.ctl().number("read_records"), Some(500));
    agent.start_ready();
    assert_each_once(&endpoint, 1500);
}

/// An agent that owes everything it has read, of a group that was told of it.
fn owing(name: &str, more: &str) -> (Room, Endpoint, e2e::logstore::Logstore, Agent, Numbers) {
    let (room, mut endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new(name);
    endpoint.down();
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", more));
    agent.start_ready();
    for part in 1..=5 {
        numbers.write(&logstore, 4000);
        let read = Some(part * 4000);
        wait::holds("they are committed", PATIENCE, || agent.ctl().number("committed_records") == read);
    }
    (room, endpoint, logstore, agent, numbers)
}

fn damage(agent: &Agent, rng: &mut Rng) {
    let one = segments(agent.data()).pop().unwrap();
    for _ in 0..3 {
        flip_bit(&one, rng.within(0, written_end(&one)), rng.within(0, 8));
    }
}

#[test]
fn what_turns_out_to_be_damaged_is_read_from_the_logstore_again() {
    for (name, more) in [("alone", String::new()), ("group", format!("group = \"{GROUP}\"")), ("durable", durable(""))]
    {
        let (_room, mut endpoint, logstore, mut agent, mut numbers) = owing("sls-damaged", &more);
        if name == "durable" {
            wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
        }
        damage(&agent, &mut Rng::for_test(name));
        endpoint.up();
        assert_each_once(&endpoint, numbers.next);
        numbers.write(&logstore, 500);
        assert_each_once(&endpoint, numbers.next);
        assert!(agent.log().contains("what followed is read again"), "{name}: nobody was told:\n{}", agent.log());
        if name != "alone" {
            wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
        }
        agent.stop();
    }
}

#[test]
fn what_is_found_damaged_at_a_start_is_read_from_the_logstore_again() {
    for (name, more) in [("alone", String::new()), ("group", format!("group = \"{GROUP}\"")), ("durable", durable(""))]
    {
        let (_room, mut endpoint, logstore, mut agent, mut numbers) = owing("sls-damaged-start", &more);
        if name == "durable" {
            wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
        }
        agent.kill();
        damage(&agent, &mut Rng::for_test(name));
        endpoint.up();
        agent.start_ready();
        assert_each_once(&endpoint, numbers.next);
        numbers.write(&logstore, 500);
        agent.stop();
        agent.once_well();
        assert_each_once(&endpoint, numbers.next);
    }
}
