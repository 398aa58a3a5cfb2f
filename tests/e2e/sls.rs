//! A Logstore in, Elasticsearch out: each log once, whoever reads it and whatever happens to him.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::logstore::{Action, Fault, Log, LogGroup, Logstore, Options};
use e2e::seed::Rng;
use e2e::wait;

const INDEX: &str = "logs-sls";
const GROUP: &str = "splashdam";

/// Writes logs with numbers.
struct Numbers {
    next: usize,
    rng: Rng,
}

impl Numbers {
    fn new(name: &str) -> Numbers {
        Numbers { next: 0, rng: Rng::for_test(name) }
    }

    /// Writes `count` logs in groups of some.
    fn write(&mut self, logstore: &Logstore, count: usize) {
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

fn job(logstore: &Logstore, endpoint: &Endpoint, key: &str, more: &str) -> String {
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
fn assert_each_once(endpoint: &Endpoint, count: usize) {
    endpoint.wait_count(INDEX, count, PATIENCE);
    let found: Vec<usize> = endpoint.documents(|documents| {
        assert!(documents.collisions.is_empty(), "{:?}", documents.collisions.first());
        documents.of(INDEX).map(|(_, document)| document.json()["n"].as_str().unwrap().parse().unwrap()).collect()
    });
    let distinct: BTreeSet<usize> = found.iter().copied().collect();
    assert_eq!((found.len(), distinct.len(), distinct.last()), (count, count, count.checked_sub(1).as_ref()));
}

fn start(shards: u32) -> Logstore {
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
    _rooms: Vec<Room>,
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
        Members { agents, _rooms: rooms }
    }
}

fn consumer_of(key: &str) -> Option<String> {
    Some(key.replace("key-", "agent-"))
}

#[test]
fn three_agents_share_a_group_while_one_is_killed_and_shards_split_and_merge() {
    let minutes = std::env::var("SOAK_MINUTES").map_or(0.5, |minutes| minutes.parse::<f64>().unwrap());
    let (endpoint, logstore) = (Endpoint::start(), start(4));
    let mut numbers = Numbers::new("sls-three");
    let mut members = Members::new(&logstore, &endpoint, 3, "group_timeout = \"6s\"\ndiscover = \"2s\"");
    members.agents.iter_mut().for_each(|agent| {
        agent.start_ready();
    });
    let (begin, mut turn) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs_f64(60.0 * minutes) {
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
fn all_checkpointed(logstore: &Logstore) -> bool {
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
