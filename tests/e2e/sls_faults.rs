//! What a Logstore refuses, cuts, garbles or deletes: each fault is survived, or told as the service tells it, and what
//! is lost by the service is counted.

use std::time::Duration;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::logstore::{Action, Fault, Log, LogGroup, Logstore, Options};
use e2e::seed::Rng;
use e2e::wait;

use crate::sls::{GROUP, INDEX, Numbers, all_checkpointed, assert_each_once, job, start};

fn status(agent: &Agent) -> String {
    agent.ctl().try_run(&["status"]).1
}

/// A group of logs that nobody else numbers.
fn some(n: usize) -> LogGroup {
    LogGroup::of([Log::new(1_790_000_000).with("n", n.to_string())])
}

#[test]
fn while_a_fault_lasts_it_is_told_as_the_service_tells_it_and_then_all_arrives() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-told");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    let mistaken = || Fault::refuse(400, "LogStoreWithoutShard", "logstore has no shard");
    for (fault, told) in [
        (Fault::internal(), "500 InternalServerError: internal server error (request "),
        (Fault::busy(), "503 ServerBusy: the server is busy"),
        (Fault::read_quota(), "403 ShardReadQuotaExceed"),
        (Fault::Truncate(3), "the answer can't be used: "),
        (Fault::RawSizeOff(3), "the answer can't be used: "),
        (Fault::CountOff(1), "the answer can't be used: "),
        (Fault::CutBody, "connection"),
        (Fault::Foreign { status: 502, body: "<html>bad gateway</html>".to_owned() }, "<html>bad gateway"),
        (mistaken(), "400 LogStoreWithoutShard"),
    ] {
        let name = format!("{fault:?}");
        logstore.faults().always(Action::PullLogs, fault);
        numbers.write(&logstore, 300);
        wait::holds(&format!("{name} is told"), PATIENCE, || status(&agent).contains(told));
        assert_eq!(endpoint.count(INDEX), numbers.next - 300, "{name}: nothing may pass");
        logstore.faults().clear();
        assert_each_once(&endpoint, numbers.next);
        wait::holds(&format!("{name} is not told any more"), PATIENCE, || !status(&agent).contains(told));
    }
    let waits = agent.ctl().number("quota_waits").unwrap();
    assert!(waits > 0 && status(&agent).contains("because a read quota of the service was used up"));
    assert_eq!(agent.ctl().number("expired_groups"), Some(0));
}

#[test]
fn what_is_forbidden_parks_the_job_until_it_is_allowed() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let mut numbers = Numbers::new("sls-denied");
    numbers.write(&logstore, 100);
    for action in [Action::ListShards, Action::PullLogs] {
        logstore.deny("test-key", action);
    }
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    wait::holds("what is denied is told", PATIENCE, || status(&agent).contains("action: log:ListShards"));
    wait::holds("it is parked", PATIENCE, || agent.ctl().state() == "parked");
    logstore.allow("test-key", Action::ListShards);
    wait::holds("what is denied is told", PATIENCE, || status(&agent).contains("action: log:GetCursorOrData"));
    wait::holds("it is parked", PATIENCE, || agent.ctl().state() == "parked");
    assert_eq!(endpoint.count(INDEX), 0);
    logstore.allow("test-key", Action::PullLogs);
    assert_each_once(&endpoint, 100);
    wait::holds("it runs", PATIENCE, || agent.ctl().state() == "running");
}

#[test]
fn each_call_of_a_group_may_fail_in_each_way() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(3));
    let mut numbers = Numbers::new("sls-group-faults");
    let group = format!("group = \"{GROUP}\"\nheartbeat = \"1s\"\ngroup_timeout = \"10s\"");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &group));
    let calls = [
        Action::ListConsumerGroup,
        Action::CreateConsumerGroup,
        Action::UpdateConsumerGroup,
        Action::HeartBeat,
        Action::GetCheckPoint,
        Action::UpdateCheckPoint,
        Action::ListShards,
        Action::GetCursor,
        Action::GetCursorTime,
    ];
    let spoil = || {
        for call in calls {
            for fault in [Fault::busy(), Fault::Cut, Fault::LoseAnswer, Fault::internal()] {
                logstore.faults().once(call, fault);
            }
        }
    };
    spoil();
    agent.start_ready();
    for _ in 0..3 {
        numbers.write(&logstore, 500);
        assert_each_once(&endpoint, numbers.next);
        spoil();
    }
    logstore.faults().clear();
    wait::holds("the group is told of all of it", PATIENCE, || all_checkpointed(&logstore));
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-hang");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", "timeout = \"1s\""));
    agent.start_ready();
    for fault in [Fault::Hang, Fault::Trickle(Duration::from_millis(300)), Fault::Slow(Duration::from_millis(400))] {
        logstore.faults().times(2, Action::PullLogs, fault);
        numbers.write(&logstore, 200);
        assert_each_once(&endpoint, numbers.next);
    }
}

#[test]
fn a_clock_that_is_put_wrong_meanwhile_is_followed() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let mut numbers = Numbers::new("sls-skew");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    for skew in [-7200, 86_400, 0] {
        logstore.set_skew(skew);
        numbers.write(&logstore, 100);
        assert_each_once(&endpoint, numbers.next);
    }
    assert!(agent.log().contains("the service's clock differs"), "{}", agent.log());
}

/// A Logstore that keeps logs for ten minutes, whose first shard was split and can't be read until it is deleted.
fn with_a_deleted_shard(more: &str, arguments: &[&str]) -> (Room, Endpoint, Logstore, Agent) {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let ttl = Duration::from_secs(600);
    let logstore = Logstore::start(Options { shards: 1, ttl, any_log_time: true, ..Options::default() });
    logstore.add_logs_to(0, &some(1_000_000));
    logstore.faults().on_shard(None, Action::PullLogs, 0, Fault::busy());
    let [left, right] = logstore.split(0);
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", more)).with(arguments);
    agent.start_ready();
    wait::holds("it can't be read", PATIENCE, || status(&agent).contains("ServerBusy"));
    logstore.let_pass(ttl * 2);
    assert_eq!(logstore.shards(), [left, right]);
    logstore.faults().clear();
    for n in 0..10 {
        logstore.add_logs(&some(n));
    }
    (room, endpoint, logstore, agent)
}

#[test]
fn a_shard_that_was_deleted_before_it_was_read_is_counted_and_the_others_go_on() {
    let (_room, endpoint, logstore, agent) = with_a_deleted_shard("discover = \"1s\"", &[]);
    assert_each_once(&endpoint, 10);
    wait::holds("it is counted", PATIENCE, || agent.ctl().number("deleted_shards") == Some(1));
    assert!(status(&agent).contains("1 shard deleted by the service before all of it was read"));
    assert!(agent.log().contains("the service has deleted a shard: what it had and was not read is lost"));
    let shards = agent.ctl().status()["pipelines"][0]["shards"].as_array().unwrap().len();
    assert_eq!(shards, logstore.shards().len());
}

#[test]
fn a_run_to_the_end_does_not_wait_for_a_shard_that_was_deleted() {
    let (_room, endpoint, _logstore, mut agent) = with_a_deleted_shard("", &["--once"]);
    assert!(agent.wait(PATIENCE).success(), "{}", agent.log());
    assert_eq!(endpoint.count(INDEX), 0, "what came later is not the run's");
    assert!(agent.log().contains("the service has deleted a shard"), "{}", agent.log());
}

#[test]
fn a_logstore_that_is_made_anew_under_its_name_is_read_from_its_beginning() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let group = format!("group = \"{GROUP}\"\nheartbeat = \"1s\"\ndiscover = \"1s\"");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &group));
    let mut numbers = Numbers::new("sls-anew");
    numbers.write(&logstore, 1000);
    agent.start_ready();
    assert_each_once(&endpoint, 1000);
    logstore.let_pass(Duration::from_secs(5));
    logstore.recreate(&logstore.options().logstore, 2);
    numbers.write(&logstore, 50);
    assert_each_once(&endpoint, 1050);
    agent.kill();
    numbers.write(&logstore, 500);
    agent.start_ready();
    assert_each_once(&endpoint, 1550);
}

#[test]
fn what_expired_within_a_pull_costs_no_log_that_is_still_there() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let ttl = Duration::from_secs(600);
    let logstore = Logstore::start(Options { shards: 1, ttl, any_log_time: true, ..Options::default() });
    // One pull is handed out in pieces of a megabyte, and only its beginning has a cursor.
    let mut rng = Rng::for_test("sls-within");
    let mut large = |n: usize| {
        let filler: String = (0..200_000).map(|_| char::from(b'0' + rng.within(0, 64) as u8)).collect();
        let log = Log::new(1_790_000_000).with("n", n.to_string()).with("filler", filler);
        logstore.add_logs(&LogGroup::of([log]));
    };
    (0..4).for_each(&mut large);
    logstore.let_pass(ttl / 2);
    (4..40).for_each(&mut large);
    endpoint.down();
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", "\n[buffer]\nmax_bytes = \"1 MiB\""));
    agent.start_ready();
    wait::holds("some of it is read", PATIENCE, || agent.ctl().number("committed_records").unwrap_or(0) >= 5);
    agent.kill();
    logstore.let_pass(ttl / 2 + Duration::from_secs(10));
    endpoint.up();
    agent.start_ready();
    assert_each_once(&endpoint, 40);
    assert_eq!(agent.ctl().number("expired_groups"), Some(0));
    assert!(!agent.log().contains("not one of this Logstore"), "{}", agent.log());
}
