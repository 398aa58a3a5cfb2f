//! A Logstore in, Elasticsearch out: each log once, whoever reads it and whatever happens to him.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::logstore::{Action, Event, Fault, Log, LogGroup, Logstore, Options, What, parse_cursor};
use e2e::seed::Rng;
use e2e::wait;

pub(crate) const INDEX: &str = "logs-sls";
pub(crate) const GROUP: &str = "splashdam";

/// Writes logs with numbers.
pub(crate) struct Numbers {
    pub(crate) next: usize,
    rng: Rng,
}

impl Numbers {
    pub(crate) fn new(name: &str) -> Numbers {
        Numbers { next: 0, rng: Rng::for_test(name) }
    }

    /// Writes `count` logs in groups of some.
    pub(crate) fn write(&mut self, logstore: &Logstore, count: usize) {
        let end = self.next + count;
        while self.next < end {
            let logs = (self.rng.within(1, 120) as usize).min(end - self.next);
            logstore.add_logs(&LogGroup::of((self.next..self.next + logs).map(log)));
            self.next += logs;
        }
    }
}

fn log(n: usize) -> Log {
    let time = 1_790_000_000 + n as u32 / 100;
    Log::new(time).with("n", n.to_string()).with("message", format!("GET /page/{n} 200")).with("a", (n % 7).to_string())
}

pub(crate) fn job(logstore: &Logstore, endpoint: &Endpoint, key: &str, more: &str) -> String {
    let Options { project, logstore: name, .. } = logstore.options();
    format!(
        "id = \"job\"\n[source]\ntype = \"sls\"\nendpoint = \"cn-hangzhou.log.aliyuncs.com\"\nconnect = \"{}\"\n\
         project = \"{project}\"\nlogstore = \"{name}\"\naccess_key_id = \"{key}\"\naccess_key_secret = \"test-secret\"\n\
         {more}\n[sink]\ntype = \"elasticsearch\"\nendpoint = \"{}\"\nindex = \"{INDEX}\"\n",
        logstore.address(),
        endpoint.url(),
    )
}

/// Waits until all numbers have arrived, and sees to it that each is there once.
pub(crate) fn assert_each_once(endpoint: &Endpoint, count: usize) {
    endpoint.wait_count(INDEX, count, PATIENCE);
    let found: Vec<usize> = endpoint.documents(|documents| {
        assert!(documents.collisions.is_empty(), "{:?}", documents.collisions.first());
        documents.of(INDEX).map(|(_, document)| document.json()["n"].as_str().unwrap().parse().unwrap()).collect()
    });
    let distinct: BTreeSet<usize> = found.iter().copied().collect();
    assert_eq!((found.len(), distinct.len(), distinct.last()), (count, count, count.checked_sub(1).as_ref()));
}

pub(crate) fn start(shards: u32) -> Logstore {
    Logstore::start(Options { shards, ..Options::default() })
}

#[test]
fn a_kill_loop_loses_and_doubles_no_log() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(3));
    let mut numbers = Numbers::new("sls-kills");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    for _ in 0..10 {
        numbers.write(&logstore, 2000);
        wait::pass(Duration::from_millis(numbers.rng.within(50, 700)));
        agent.kill();
        agent.start_ready();
    }
    assert_each_once(&endpoint, 20_000);
}

#[test]
fn shards_are_followed_through_splits_and_merges() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-splits");
    numbers.write(&logstore, 1000);
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", "discover = \"1s\""));
    agent.start_ready();
    for _ in 0..3 {
        let shards = logstore.shards();
        let [left, _] = logstore.split(*shards.last().unwrap());
        numbers.write(&logstore, 1000);
        logstore.merge(left);
        numbers.write(&logstore, 1000);
    }
    assert_each_once(&endpoint, 7000);
}

/// Agents that share a group, each in a room and with a key of its own.
struct Members {
    agents: Vec<Agent>,
    jobs: Vec<Room>,
}

impl Members {
    fn new(logstore: &Logstore, endpoint: &Endpoint, count: usize, more: &str) -> Members {
        let (mut agents, mut rooms) = (Vec::new(), Vec::new());
        for n in 0..count {
            let room = Room::new();
            let key = format!("key-{n}");
            logstore.add_key(&key, "test-secret");
            let group = format!("group = \"{GROUP}\"\nconsumer = \"agent-{n}\"\nheartbeat = \"1s\"\n{more}");
            agents.push(room.agent(&job(logstore, endpoint, &key, &group)));
            rooms.push(room);
        }
        Members { agents, jobs: rooms }
    }
}

fn consumer_of(key: &str) -> Option<String> {
    Some(key.replace("key-", "agent-"))
}

#[test]
fn three_agents_share_a_group_while_one_is_killed_and_shards_split_and_merge() {
    let (endpoint, logstore) = (Endpoint::start(), start(4));
    let mut numbers = Numbers::new("sls-three");
    let mut members = Members::new(&logstore, &endpoint, 3, "group_timeout = \"6s\"\ndiscover = \"2s\"");
    members.agents.iter_mut().for_each(|agent| {
        agent.start_ready();
    });
    let (begin, mut turn) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(30) {
        numbers.write(&logstore, 1000);
        let victim = numbers.rng.within(0, 3) as usize % 3;
        members.agents[victim].kill();
        wait::pass(Duration::from_millis(numbers.rng.within(500, 8000)));
        numbers.write(&logstore, 500);
        members.agents[victim].start_ready();
        if turn % 3 == 0 {
            let shards = logstore.shards();
            let [left, _] = logstore.split(shards[shards.len() - 1]);
            numbers.write(&logstore, 500);
            if turn % 2 == 0 {
                logstore.merge(left);
            }
        }
        wait::pass(Duration::from_millis(numbers.rng.within(500, 3000)));
        turn += 1;
    }
    let count = numbers.next;
    assert_each_once(&endpoint, count);
    assert_eq!(logstore.conflicts(GROUP, consumer_of), Vec::<String>::new());
    eprintln!("sls-three: {turn} kills, {count} logs, {:?}", logstore.owners(GROUP));
    wait::holds("the group is told of all of it", PATIENCE, || all_checkpointed(&logstore));
}

/// The group's checkpoints are at the ends of all shards.
pub(crate) fn all_checkpointed(logstore: &Logstore) -> bool {
    logstore.shards().iter().all(|shard| logstore.checkpoint(GROUP, *shard) == Some(logstore.end_cursor(*shard)))
}

#[test]
fn a_checkpoint_moves_only_when_elasticsearch_has_the_logs_and_so_does_a_shard() {
    let (mut endpoint, logstore) = (Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-ack");
    let mut members = Members::new(&logstore, &endpoint, 2, "");
    members.agents[0].start_ready();
    numbers.write(&logstore, 500);
    assert_each_once(&endpoint, 500);
    wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
    let told: Vec<_> = logstore.shards().iter().map(|shard| logstore.checkpoint(GROUP, *shard)).collect();
    endpoint.down();
    numbers.write(&logstore, 1000);
    wait::holds("all is read", PATIENCE, || members.agents[0].ctl().number("committed_records") == Some(1500));
    members.agents[1].start_ready();
    wait::pass(Duration::from_secs(7));
    let now: Vec<_> = logstore.shards().iter().map(|shard| logstore.checkpoint(GROUP, *shard)).collect();
    assert_eq!(now, told, "nothing of it has arrived");
    assert_eq!(members.agents[1].ctl().number("read_records"), Some(0), "nobody else may read it yet");
    endpoint.up();
    assert_each_once(&endpoint, 1500);
    wait::holds("a shard is handed over", PATIENCE, || {
        let owners = logstore.owners(GROUP);
        owners.iter().any(|(_, owner)| owner == "agent-0") && owners.iter().any(|(_, owner)| owner == "agent-1")
    });
    numbers.write(&logstore, 1000);
    assert_each_once(&endpoint, 2500);
    assert_eq!(logstore.conflicts(GROUP, consumer_of), Vec::<String>::new());
    let read = members.agents.iter().map(|agent| agent.ctl().number("read_records").unwrap());
    assert_eq!(read.sum::<u64>(), 2500, "a planned hand-over reads nothing again");
}

#[test]
fn a_shard_that_comes_back_goes_on_where_the_other_consumer_has_left_it() {
    let (endpoint, logstore) = (Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-back");
    let mut members = Members::new(&logstore, &endpoint, 1, "");
    members.agents[0].start_ready();
    numbers.write(&logstore, 500);
    assert_each_once(&endpoint, 500);
    members.agents[0].stop();
    // These were somebody else's, who has left.
    numbers.write(&logstore, 500);
    let caller = logstore.caller();
    for shard in logstore.shards() {
        caller.update_checkpoint(GROUP, "other", shard, &caller.cursor(shard, "end"), true).unwrap();
    }
    let left: Vec<_> = logstore.shards().iter().map(|shard| logstore.end_cursor(*shard)).collect();
    numbers.write(&logstore, 100);
    drop(logstore.take_events());
    members.agents[0].start_ready();
    wait::holds("the group is told of all of it", PATIENCE, || all_checkpointed(&logstore));
    endpoint.wait_count(INDEX, 600, PATIENCE);
    assert_eq!(members.agents[0].ctl().number("read_records"), Some(100), "of the other's it reads none");
    for event in logstore.events() {
        let What::CheckPoint { shard, checkpoint, .. } = event.what else { continue };
        assert!(parse_cursor(&checkpoint) >= Some(left[shard as usize]), "a checkpoint of shard {shard} went back");
    }
}

#[test]
fn a_group_whose_timeout_another_member_shortens_is_beaten_often_enough() {
    let (endpoint, logstore) = (Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-timeout");
    let mut members = Members::new(&logstore, &endpoint, 1, "");
    let text = std::fs::read_to_string(members.jobs[0].path().join("job.toml")).unwrap();
    // The usual 5 s between heartbeats, in a group that is patient.
    members.jobs[0].file("job.toml", text.replace("heartbeat = \"1s\"", ""));
    members.agents[0].start_ready();
    numbers.write(&logstore, 100);
    assert_each_once(&endpoint, 100);
    let shorter = serde_json::json!({ "timeout": 3, "order": false });
    let path = format!("/logstores/test-logstore/consumergroups/{GROUP}");
    let json = [("content-type", "application/json")];
    let reply = logstore.caller().call("PUT", &path, &json, shorter.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
    wait::holds("the agent follows", PATIENCE, || members.agents[0].log().contains("has changed the group's timeout"));
    wait::holds("it holds its shards", PATIENCE, || logstore.owners(GROUP).len() == 2);
    drop(logstore.take_events());
    wait::pass(Duration::from_secs(7));
    let lost = |event: &Event| matches!(event.what, What::Released { .. });
    assert!(!logstore.events().iter().any(lost), "it was silent for too long");
    numbers.write(&logstore, 100);
    assert_each_once(&endpoint, 200);
}

/// A script that counts the logs of each `a`, as it is published but for its placeholders.
pub(crate) fn counting(logstore: &Logstore, endpoint: &Endpoint, more: &str) -> String {
    let Options { project, logstore: name, .. } = logstore.options();
    format!(
        "create table s(
          a int,
          b int,
          c VARCHAR
        )
        WITH (
          type ='sls',
          endPoint ='http://cn-hangzhou.log.aliyuncs.com',
          accessId ='test-key',
          accessKey ='test-secret',
          startTime = '2017-07-05 00:00:00',
          project ='{project}',
          logStore ='{name}',
          consumerGroup ='{GROUP}',
          source.proxy = '{}' {more}
        );
        CREATE TABLE es_stream_sink(
          a int,
          cnt BIGINT,
          PRIMARY KEY(a)
        )
        WITH(
          type ='elasticsearch',
          endPoint = '{}',
          accessId = 'elastic',
          accessKey = 'secret',
          index = 'counts',
          typeName = '_doc'
        );
        INSERT INTO es_stream_sink SELECT a, count(*) as cnt FROM s GROUP BY a;",
        logstore.url(),
        endpoint.url(),
    )
}

/// The counts of each `a` in the index.
pub(crate) fn counts(endpoint: &Endpoint) -> Vec<(u64, u64)> {
    let mut counts: Vec<(u64, u64)> = endpoint.documents(|documents| {
        let number = |document: &serde_json::Value, field: &str| document[field].as_u64().unwrap();
        let pair = |document: serde_json::Value| (number(&document, "a"), number(&document, "cnt"));
        documents.of("counts").map(|(_, document)| pair(document.json())).collect()
    });
    counts.sort_unstable();
    counts
}

pub(crate) fn expected(count: usize) -> Vec<(u64, u64)> {
    (0..7).map(|a| (a as u64, (0..count).filter(|n| n % 7 == a).count() as u64)).collect()
}

#[test]
fn the_published_script_counts_a_logstore_exactly_through_kills() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(3));
    let mut numbers = Numbers::new("sls-counts");
    let script = room.file("counts.sql", counting(&logstore, &endpoint, ""));
    let mut agent = Agent::new(&room, &[script]);
    agent.start_ready();
    for _ in 0..6 {
        numbers.write(&logstore, 1000);
        wait::pass(Duration::from_millis(numbers.rng.within(50, 1500)));
        agent.kill();
        agent.start_ready();
    }
    numbers.write(&logstore, 1000);
    wait::holds("all is counted", PATIENCE, || counts(&endpoint) == expected(7000));
    wait::holds("the group is told", PATIENCE, || all_checkpointed(&logstore));
}

#[test]
fn a_query_with_state_parks_while_another_consumer_has_one_of_its_shards() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-parks");
    let script = room.file(
        "counts.sql",
        counting(&logstore, &endpoint, ", heartBeatIntervalMills = '1000', source.group_timeout = '6s'"),
    );
    let mut agent = Agent::new(&room, &[script]);
    agent.start_ready();
    numbers.write(&logstore, 700);
    wait::holds("all is counted", PATIENCE, || counts(&endpoint) == expected(700));
    let mut other = Members::new(&logstore, &endpoint, 1, "");
    other.agents[0].start_ready();
    let parked = || agent.ctl().run(&["status"]).contains("a query with state must read all of them");
    wait::holds("the query is parked and says why", PATIENCE, parked);
    numbers.write(&logstore, 700);
    wait::pass(Duration::from_secs(3));
    assert_eq!((counts(&endpoint), endpoint.count(INDEX)), (expected(700), 0), "neither reads what is not its own");
    other.agents[0].stop();
    wait::holds("the query goes on", PATIENCE, || counts(&endpoint) == expected(1400));
}

#[test]
fn what_the_service_deleted_before_it_was_read_is_counted_and_reading_goes_on() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let ttl = Duration::from_secs(600);
    let logstore = Logstore::start(Options { shards: 1, ttl, any_log_time: true, ..Options::default() });
    let mut numbers = Numbers::new("sls-ttl");
    numbers.write(&logstore, 500);
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    assert_each_once(&endpoint, 500);
    agent.stop();
    let read = logstore.end_cursor(0);
    numbers.write(&logstore, 500);
    let lost = logstore.end_cursor(0) - read;
    logstore.let_pass(ttl * 2);
    numbers.write(&logstore, 500);
    agent.start_ready();
    endpoint.wait_count(INDEX, 1000, PATIENCE);
    assert_eq!(agent.ctl().number("expired_groups"), Some(lost.cast_unsigned()));
    assert!(agent.ctl().run(&["status"]).contains("were deleted by the service before they could be read"));
}

#[test]
fn expired_keys_park_the_job_which_goes_on_with_new_ones() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let mut numbers = Numbers::new("sls-keys");
    logstore.add_temporary_key("sts-1", "secret-1", "token-1", Duration::from_secs(900));
    for (name, text) in [("id", "sts-1"), ("secret", "secret-1"), ("token", "token-1")] {
        room.file(name, text);
    }
    let keys =
        "access_key_id = \"${file:id}\"\naccess_key_secret = \"${file:secret}\"\nsecurity_token = \"${file:token}\"";
    let text = job(&logstore, &endpoint, "X", "region = \"cn-hangzhou\"");
    let text = text.replace("access_key_id = \"X\"\naccess_key_secret = \"test-secret\"", keys);
    let mut agent = room.agent(&text);
    agent.start_ready();
    numbers.write(&logstore, 300);
    assert_each_once(&endpoint, 300);
    logstore.let_pass(Duration::from_secs(1000));
    wait::holds("the refusal is told", PATIENCE, || agent.ctl().run(&["status"]).contains("SecurityTokenExpired"));
    numbers.write(&logstore, 300);
    logstore.add_temporary_key("sts-2", "secret-2", "token-2", Duration::from_secs(900));
    for (name, text) in [("id", "sts-2"), ("secret", "secret-2"), ("token", "token-2")] {
        room.file(name, text);
    }
    assert_each_once(&endpoint, 600);
}

#[test]
fn bytes_that_are_no_text_and_repeated_keys_pass_and_stop_nothing() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let bad = Log::new(1_790_000_000).with("n", "0").with("bad", b"\xff\xfe").with("twice", "1").with("twice", "2");
    let topic = LogGroup { topic: "t".to_owned(), ..LogGroup::of([bad]) };
    logstore.add_logs(&topic);
    logstore.add_logs(&LogGroup::of([log(1)]));
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", "compression = \"zstd\""));
    agent.start_ready();
    assert_each_once(&endpoint, 2);
    let documents: Vec<serde_json::Value> =
        endpoint.documents(|documents| documents.of(INDEX).map(|(_, document)| document.json()).collect());
    let first = documents.iter().find(|document| document["n"] == "0").unwrap();
    assert_eq!(
        (&first["bad"], &first["twice"], &first["__topic__"]),
        (&"\u{fffd}\u{fffd}".into(), &"2".into(), &"t".into())
    );
    assert_eq!(first["@timestamp"], "2026-09-21T14:13:20.000Z");
}

#[test]
fn wrong_settings_are_told_as_the_service_tells_them() {
    let (endpoint, logstore) = (Endpoint::start(), start(1));
    let right = job(&logstore, &endpoint, "test-key", "");
    for (text, told) in [
        (right.replace("test-project", "test-projekt"), "ProjectNotExist"),
        (right.replace("test-logstore", "test-logstor"), "LogStoreNotExist"),
        (right.replace("test-secret", "test-sekret"), "SignatureNotMatch"),
        (right.replace("test-key", "test-kei"), "Unauthorized"),
    ] {
        let room = Room::new();
        let mut agent = room.agent(&text);
        agent.start_ready();
        wait::holds(told, PATIENCE, || agent.ctl().run(&["status"]).contains(told));
        assert!(!agent.log().contains("sekret"));
        agent.stop();
    }
}

#[test]
fn every_fault_of_the_service_is_survived() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    let mut numbers = Numbers::new("sls-faults");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    let faults: Vec<Fault> = vec![
        Fault::busy(),
        Fault::internal(),
        Fault::read_quota(),
        Fault::Cut,
        Fault::CutBody,
        Fault::RawSizeOff(3),
        Fault::CountOff(1),
        Fault::Truncate(3),
        Fault::Foreign { status: 502, body: "<html>bad gateway</html>".to_owned() },
        Fault::LoseAnswer,
        Fault::WithoutHeader("x-log-bodyrawsize"),
        Fault::Header("x-log-cursor", "nonsense".to_owned()),
    ];
    logstore.faults().once(Action::ListShards, Fault::busy());
    logstore.faults().once(Action::GetCursor, Fault::internal());
    logstore.set_skew(3600);
    agent.start_ready();
    for fault in faults {
        let name = format!("{fault:?}");
        logstore.faults().times(4, Action::PullLogs, fault);
        numbers.write(&logstore, 200);
        assert_each_once(&endpoint, numbers.next);
        eprintln!("survived: {name}");
    }
}

#[test]
fn a_bounded_run_reads_what_is_there_and_ends() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(3));
    let mut numbers = Numbers::new("sls-once");
    numbers.write(&logstore, 3000);
    let group = format!("group = \"{GROUP}\"");
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", &group));
    agent.once_well();
    assert_each_once(&endpoint, 3000);
    assert!(all_checkpointed(&logstore), "the group knows at the end");
    numbers.write(&logstore, 100);
    agent.once_well();
    assert_each_once(&endpoint, 3100);
}
