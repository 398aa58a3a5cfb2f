//! A Logstore read to its end: CPU seconds per million logs and megabytes a second of the agent, which ships raw logs or counts
//! them by a script, beside the official Go SDK's consumer, which does nothing with them. Same server, same logs, in turns.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::agent::{Agent, Room};
use e2e::logstore::{Log, LogGroup, Logstore, Options as LogstoreOptions};
use e2e::seed::mix;
use e2e::{process, wait, witness};

use crate::null::NullProcess;
use crate::sql::{Cost, cost_of};
use crate::works::Work;
use crate::{Options, mb, median};

/// In one log group, as producers send them.
const LOGS_IN_GROUP: u64 = 500;
/// Distinct values of the script's key.
const KEYS: u64 = 1000;

/// A web server's log: its line, and a few fields that were taken out of it.
fn log(seq: u64) -> Log {
    let (r, mut line) = (mix(seq), Vec::new());
    Work::W1.line(seq, &mut line);
    line.pop();
    Log::new(1_790_000_000 + (seq / 5000) as u32)
        .with("a", (r % KEYS).to_string())
        .with("b", seq.to_string())
        .with("status", "200")
        .with("method", "GET")
        .with("request_time", format!("0.{:03}", r % 997))
        .with("message", line)
}

/// `bench sls-server`: prints its URL and the bytes of all logs, then serves until it is killed.
pub(crate) fn serve(options: &Options) -> bool {
    let logs = options.number("logs", 1_000_000);
    let logstore = Logstore::start(LogstoreOptions { shards: 4, ..LogstoreOptions::default() });
    let mut bytes = 0;
    for first in (0..logs).step_by(LOGS_IN_GROUP as usize) {
        let group = LogGroup::of((first..logs.min(first + LOGS_IN_GROUP)).map(log));
        bytes += group.encode().len();
        logstore.add_logs(&group);
    }
    println!("{} {bytes}", logstore.url());
    loop {
        wait::pass(Duration::from_secs(3600));
    }
}

/// That in a process of its own, so that its work is not counted with anybody else's.
struct Server {
    child: Child,
    url: String,
    bytes: u64,
}

impl Server {
    fn start(logs: u64) -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["sls-server", "--logs", &logs.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let (url, bytes) = said.trim().split_once(' ').expect("URL and bytes");
        Server { child, url: url.to_owned(), bytes: bytes.parse().unwrap() }
    }

    fn cpu(&self) -> f64 {
        process::cpu(self.child.id()).unwrap_or_default().as_secs_f64()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn end(mut agent: Agent) -> Cost {
    e2e::binaries::splashdam(); // built before the clock runs
    agent.start();
    let cost = cost_of(agent.pid(), || {});
    let status = agent.wait(Duration::from_secs(5));
    assert!(status.success(), "{status:?}\n{}", agent.log());
    cost
}

/// Every log becomes a document; the agent has a group, as the Go consumer must.
fn raw(server: &Server, group: &str, logs: u64) -> Cost {
    let (null, room) = (NullProcess::start(0), Room::new());
    let agent = room.agent(&format!(
        "[source]\ntype = \"sls\"\nendpoint = \"cn-hangzhou.log.aliyuncs.com\"\nproxy = \"{}\"\nproject = \"test-project\"\n\
         logstore = \"test-logstore\"\naccess_key_id = \"test-key\"\naccess_key_secret = \"test-secret\"\ngroup = \"{group}\"\n\
         [sink]\ntype = \"elasticsearch\"\nendpoint = \"{}\"\nindex = \"bench\"\n",
        server.url,
        null.url()
    ));
    let cost = end(agent.with(&["--once"]));
    let tally = null.tally(logs);
    assert!(tally["missing"] == 0 && tally["double"] == 0, "missing {}, double {}", tally["missing"], tally["double"]);
    cost
}

fn counted(server: &Server, group: &str) -> Cost {
    let (null, room) = (NullProcess::start(0), Room::new());
    let script = format!(
        "CREATE TABLE s (a INT, b INT, c VARCHAR) WITH (type = 'sls', endPoint = 'http://cn-hangzhou.log.aliyuncs.com', \
         accessId = 'test-key', accessKey = 'test-secret', startTime = '2017-07-05 00:00:00', project = 'test-project', \
         logStore = 'test-logstore', consumerGroup = '{group}', source.proxy = '{}');\n\
         CREATE TABLE t (a INT, cnt BIGINT, PRIMARY KEY (a)) WITH (type = 'elasticsearch', endPoint = '{}', accessId = 'elastic', \
         accessKey = 'secret', index = 'bench', typeName = '_doc');\n\
         INSERT INTO t SELECT a, COUNT(*) AS cnt FROM s GROUP BY a;\n",
        server.url,
        null.url()
    );
    end(Agent::new(&room, &[room.file("bench.sql", script)]).with(&["--once"]))
}

fn go(program: &std::path::Path, server: &Server, group: &str, logs: u64) -> Cost {
    let mut command = Command::new(program);
    command.args(["consume", group, &logs.to_string()]).stdout(Stdio::null());
    command.env("HTTP_PROXY", &server.url).env_remove("no_proxy").env_remove("NO_PROXY");
    let mut child = command.spawn().unwrap();
    let cost = cost_of(child.id(), || {});
    assert!(child.wait().unwrap().success(), "the Go consumer failed");
    cost
}

pub(crate) fn run(options: &Options) -> bool {
    let (logs, runs) = (options.number("logs", 1_000_000), options.number("pairs", 3));
    let room = Room::new();
    let program = witness::go(room.path());
    let server = Server::start(logs);
    println!(
        "sls: {logs} logs, {} bytes each before compression, groups of {LOGS_IN_GROUP}; CPU-s per million logs (MB/s pulled, peak MB, \
         the server's CPU-s)",
        server.bytes / logs.max(1)
    );
    println!("  run  | agent, raw → endpoint | agent, GROUP BY → endpoint | Go consumer, nothing");
    let mut all: [Vec<f64>; 3] = Default::default();
    for run in 0..=runs {
        let group = |what: &str| format!("{what}-{run}");
        let measured = |measure: &dyn Fn() -> Option<Cost>| {
            let before = server.cpu();
            measure().map(|cost| (cost, server.cpu() - before))
        };
        let costs = [
            measured(&|| Some(raw(&server, &group("raw"), logs))),
            measured(&|| Some(counted(&server, &group("counted")))),
            measured(&|| program.as_ref().map(|program| go(program, &server, &group("go"), logs))),
        ];
        let per_million = |cost: &Cost| cost.cpu * 1e6 / logs as f64;
        let show = |cost: &Option<(Cost, f64)>| {
            cost.as_ref().map_or("-".to_owned(), |(cost, theirs)| {
                let speed = mb(server.bytes) / cost.wall;
                format!("{:.2} ({speed:.0}, {:.0}, {theirs:.1})", per_million(cost), mb(cost.peak))
            })
        };
        let [a, b, c] = costs.each_ref().map(show);
        println!("  {:>4} | {a} | {b} | {c}", if run == 0 { "warm".to_owned() } else { run.to_string() });
        if run > 0 {
            all.iter_mut()
                .zip(&costs)
                .for_each(|(list, cost)| list.extend(cost.iter().map(|(cost, _)| per_million(cost))));
        }
    }
    let [raw, counted, go] = all.map(median);
    println!(
        "  medians, CPU-s per million logs: raw {raw:.2}, GROUP BY {counted:.2}, Go {go:.2} ({:.1} and {:.1} times the agent)",
        go / raw,
        go / counted
    );
    true
}
