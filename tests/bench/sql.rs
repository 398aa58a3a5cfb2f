//! A GROUP BY over a JSON file: CPU seconds of the agent into the counting endpoint, and into nothing, beside those of a real
//! Flink into nothing, over the same file and query, in turns. What a run over no input costs is taken off.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::{process, services, wait};

use crate::null::NullProcess;
use crate::works::Work;
use crate::{Options, mb, median};

const LIMIT: Duration = Duration::from_secs(900);

/// Four of the work's eleven fields are read; there are 480 groups.
fn script(file: &Path, sink: &str) -> String {
    format!(
        "CREATE TABLE s (`time` STRING, level STRING, service STRING, thread STRING, trace_id STRING, msg STRING, \
         http ROW<`method` STRING, path STRING, status INT, `bytes` INT>, `user` ROW<id INT, plan STRING>, tags ARRAY<STRING>, \
         duration DOUBLE, ok BOOLEAN) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json');\n\
         CREATE TABLE t (service STRING, level STRING, thread STRING, n BIGINT, total DOUBLE, PRIMARY KEY (service, level, thread) NOT ENFORCED) \
         WITH ({sink});\n\
         INSERT INTO t SELECT service, level, thread, COUNT(*), SUM(duration) FROM s WHERE duration >= 1 GROUP BY service, level, thread;\n",
        file.display()
    )
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    pub(crate) peak: u64,
}

/// Runs a process to its end.
pub(crate) fn cost_of(pid: u32, mut end: impl FnMut()) -> Cost {
    let (begin, mut peak) = (Instant::now(), 0);
    wait::holds("the run ends", LIMIT, || {
        peak = peak.max(process::peak_resident(pid).unwrap_or(0));
        process::ended(pid)
    });
    let cost = Cost {
        cpu: process::cpu(pid).expect("it is not waited for yet").as_secs_f64(),
        wall: begin.elapsed().as_secs_f64(),
        peak,
    };
    end();
    cost
}

fn agent(file: &Path, to_endpoint: bool) -> Cost {
    let (null, room) = (NullProcess::start(0), Room::new());
    let elasticsearch = format!("'connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'bench'", null.url());
    let sink = if to_endpoint { elasticsearch.as_str() } else { "'connector' = 'blackhole'" };
    let mut agent = Agent::new(&room, &[room.file("bench.sql", script(file, sink))]).with(&["--once"]);
    e2e::binaries::splashdam(); // built before the clock runs
    agent.start();
    let cost = cost_of(agent.pid(), || {});
    let status = agent.wait(Duration::from_secs(5));
    assert!(status.success(), "{status:?}\n{}", agent.log());
    cost
}

/// `None` where it can't be had.
fn flink(file: &Path) -> Option<Cost> {
    let program = services::scripts().join("flink-sql");
    if !program.exists() {
        return None;
    }
    let room = Room::new();
    let text = room.file("bench.sql", script(file, "'connector' = 'blackhole'"));
    // The script becomes the Java process.
    let mut command = Command::new(program);
    let mut child = command.arg(text).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let cost = cost_of(child.id(), || {});
    assert!(child.wait().unwrap().success(), "Flink failed");
    Some(cost)
}

pub(crate) fn run(options: &Options) -> bool {
    let (lines, runs) = (options.number("lines", 1_000_000), options.number("pairs", 5));
    let room = Room::new();
    let (file, empty) = (room.logs().join("w2.json"), room.logs().join("empty.json"));
    let bytes = Work::W2.write(&file, lines);
    std::fs::write(&empty, "").unwrap();
    println!(
        "sql: {lines} lines, {} bytes each; CPU-s (wall s, peak MB), start = the same over no input",
        bytes / lines.max(1)
    );
    println!("  run | agent → endpoint, start | agent → nothing | Flink → nothing, start");
    let mut all: [Vec<f64>; 5] = Default::default();
    for run in 0..=runs {
        let costs = [
            Some(agent(&file, true)),
            Some(agent(&empty, true)),
            Some(agent(&file, false)),
            flink(&file),
            flink(&empty),
        ];
        let show = |cost: Option<Cost>| {
            cost.map_or("-".to_owned(), |c| format!("{:.2} ({:.1}, {:.0})", c.cpu, c.wall, mb(c.peak)))
        };
        let [a, b, c, d, e] = costs.map(show);
        println!("  {:>4} | {a}, {b} | {c} | {d}, {e}", if run == 0 { "warm".to_owned() } else { run.to_string() });
        if run > 0 {
            all.iter_mut().zip(costs).for_each(|(list, cost)| list.extend(cost.map(|cost| cost.cpu)));
        }
    }
    let [endpoint, start, nothing, flink, jvm] = all.map(median);
    let per_million = |cpu: f64, start: f64| (cpu - start) * 1e6 / lines as f64;
    println!(
        "  medians, CPU-s per million rows without the start: agent → endpoint {:.2}, agent → nothing {:.2}, Flink → nothing {:.2} \
         ({:.1} times the agent with its endpoint); starts {start:.2} and {jvm:.2} CPU-s",
        per_million(endpoint, start),
        per_million(nothing, start),
        per_million(flink, jvm),
        per_million(flink, jvm) / per_million(endpoint, start),
    );
    true
}
