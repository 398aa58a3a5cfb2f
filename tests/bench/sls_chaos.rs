//! Three agents share a consumer group while shards split and merge and one agent is killed -9 every 20 s: documents must
//! equal logs, and no shard may have two owners.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::logstore::{Log, LogGroup, Logstore, Options as LogstoreOptions, What};
use e2e::seed::Rng;
use e2e::wait;

use crate::null::NullProcess;
use crate::{Options, median};

const AGENTS: usize = 3;
const GROUP: &str = "chaos";
/// The writable shards are kept to so many.
const SHARDS: std::ops::Range<usize> = 3..8;
/// Between two splits or merges.
const RESHARD: Duration = Duration::from_secs(7);
/// Nothing new for so long: nothing comes any more.
const STALLED: Duration = Duration::from_secs(90);

/// What is looked at all the time.
#[derive(Default)]
struct Watched {
    conflicts: Vec<String>,
    hand_overs: u64,
    expiries: u64,
}

impl Watched {
    /// Takes the events so far.
    fn look(&mut self, logstore: &Logstore) {
        self.conflicts.extend(logstore.conflicts(GROUP, |key| Some(key.replace("key-", "agent-"))));
        for event in logstore.take_events() {
            match event.what {
                What::Released { expired: true, .. } => self.expiries += 1,
                What::Released { .. } => self.hand_overs += 1,
                _ => {}
            }
        }
    }
}

/// A member of the group, with a key of its own so that its pulls can be told from those of others.
fn member(room: &Room, logstore: &Logstore, url: &str, n: usize) -> Agent {
    let key = format!("key-{n}");
    logstore.add_key(&key, "test-secret");
    let LogstoreOptions { project, logstore: name, .. } = logstore.options();
    room.agent(&format!(
        "id = \"job\"\n[source]\ntype = \"sls\"\nendpoint = \"cn-hangzhou.log.aliyuncs.com\"\nconnect = \"{}\"\n\
         project = \"{project}\"\nlogstore = \"{name}\"\naccess_key_id = \"{key}\"\naccess_key_secret = \"test-secret\"\n\
         group = \"{GROUP}\"\nconsumer = \"agent-{n}\"\nheartbeat = \"1s\"\ngroup_timeout = \"8s\"\ndiscover = \"3s\"\n\
         [sink]\ntype = \"elasticsearch\"\nendpoint = \"{url}\"\nindex = \"logs-chaos\"\n",
        logstore.address(),
    ))
}

/// Writes numbered logs at `rate` a second until it is told to end; how many.
fn write(logstore: &Logstore, rate: u64, ended: &AtomicBool, written: &AtomicU64) {
    let (begin, mut next) = (Instant::now(), 0);
    let mut rng = Rng::new(rate);
    while !ended.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * rate as f64) as u64;
        while next < due {
            let end = (next + rng.within(1, 150)).min(due);
            let log = |n: u64| Log::new(1_790_000_000).with("message", format!("GET /page?seq={n:08} HTTP/1.1"));
            logstore.add_logs(&LogGroup::of((next..end).map(log)));
            next = end;
        }
        written.store(next, Ordering::Relaxed);
        wait::pass(Duration::from_millis(20));
    }
}

/// One split or merge.
fn reshard(logstore: &Logstore, writable: &mut Vec<u32>, rng: &mut Rng) {
    let split = writable.len() < SHARDS.end && (writable.len() <= SHARDS.start || rng.percent(50));
    let at = rng.within(0, writable.len() as u64 - u64::from(!split)) as usize;
    // Ordered by their keys: neighbours can be merged.
    if split {
        let children = logstore.split(writable[at]);
        writable.splice(at..=at, children);
    } else {
        let child = logstore.merge(writable[at]);
        writable.splice(at..=at + 1, [child]);
    }
}

pub(crate) fn run(options: &Options) -> bool {
    let time = Duration::from_secs_f64(60.0 * options.text("minutes").map_or(2.0, |text| text.parse().unwrap()));
    let (rate, every) = (options.number("rate", 2000), Duration::from_secs(options.number("every", 20)));
    let mut rng = Rng::for_test("sls-chaos");
    let logstore = Logstore::start(LogstoreOptions { shards: 4, ..LogstoreOptions::default() });
    let (null, rooms) = (NullProcess::start(0), std::array::from_fn::<Room, AGENTS, _>(|_| Room::new()));
    // A member meets documents that another one has sent, and looks at them.
    null.keep();
    let mut agents: Vec<Agent> =
        rooms.iter().enumerate().map(|(n, room)| member(room, &logstore, null.url(), n)).collect();
    for agent in &mut agents {
        agent.start_ready();
    }
    let (ended, written, mut watched) = (AtomicBool::new(false), AtomicU64::new(0), Watched::default());
    let (mut writable, mut reshards, mut starts) = (logstore.shards(), 0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| write(&logstore, rate, &ended, &written));
        let (begin, mut killed, mut resharded, mut back) = (Instant::now(), Instant::now(), Instant::now(), None);
        while begin.elapsed() < time {
            if killed.elapsed() > every {
                let victim = rng.within(0, AGENTS as u64) as usize;
                agents[victim].kill();
                killed = Instant::now();
                // Sometimes back before the group misses it, sometimes long after.
                back = Some((victim, killed + Duration::from_millis(rng.within(100, 15_000)).min(every / 4 * 3)));
            }
            if let Some((victim, _)) = back.filter(|(_, at)| Instant::now() >= *at) {
                starts.push(agents[victim].start_ready().as_secs_f64());
                back = None;
            }
            if resharded.elapsed() > RESHARD {
                reshard(&logstore, &mut writable, &mut rng);
                (resharded, reshards) = (Instant::now(), reshards + 1);
            }
            watched.look(&logstore);
            wait::pass(Duration::from_millis(50));
        }
        if let Some((victim, _)) = back {
            starts.push(agents[victim].start_ready().as_secs_f64());
        }
        ended.store(true, Ordering::Relaxed);
    });
    let written = written.into_inner();
    println!("sls-chaos: {} kills, {reshards} splits and merges, {written} logs; now to the end", starts.len());
    let drained = drain(&null, &logstore, &mut watched, written);
    let tally = null.tally(written);
    // Two members that make different documents of one log would show here.
    let dead: usize = agents.iter().map(|agent| agent.ctl().dead_letters().len()).sum();
    println!(
        "sls-chaos {:.1} min at {rate} logs/s: {written} logs, missing {}, double {}, resent {}, dead letters {dead}; {} shards, {} hand-overs, \
         {} expired, {} shards with two owners; drained in {:.1} s, all checkpoints at the end: {}; start until it answers: median {:.0} ms",
        time.as_secs_f64() / 60.0,
        tally["missing"],
        tally["double"],
        tally["resent"],
        logstore.shards().len(),
        watched.hand_overs,
        watched.expiries,
        watched.conflicts.len(),
        drained.0.as_secs_f64(),
        drained.1,
        median(starts) * 1e3,
    );
    let well = tally["missing"] == 0 && tally["double"] == 0 && dead == 0 && watched.conflicts.is_empty() && drained.1;
    if !well {
        println!("  first missing: {}; conflicts: {:?}", tally["first_missing"], watched.conflicts.first());
        for agent in &agents {
            println!("  an agent's status:\n{}\n  and log:\n{}", agent.ctl().try_run(&["status"]).1, agent.log());
        }
    }
    well
}

/// Waits until all logs have arrived and the group knows it. Gives how long the logs took, and whether it does know.
fn drain(null: &NullProcess, logstore: &Logstore, watched: &mut Watched, written: u64) -> (Duration, bool) {
    let begin = Instant::now();
    let mut last = (0, Instant::now());
    while last.0 < written && last.1.elapsed() < STALLED {
        let lines = null.tally(0)["lines"].as_u64().unwrap();
        if lines != last.0 {
            last = (lines, Instant::now());
        }
        watched.look(logstore);
        wait::pass(Duration::from_millis(100));
    }
    let (drained, begin) = (begin.elapsed(), Instant::now());
    let told = |shard: &u32| logstore.checkpoint(GROUP, *shard) == Some(logstore.end_cursor(*shard));
    while !logstore.shards().iter().all(told) && begin.elapsed() < STALLED {
        watched.look(logstore);
        wait::pass(Duration::from_millis(100));
    }
    (drained, logstore.shards().iter().all(told))
}
