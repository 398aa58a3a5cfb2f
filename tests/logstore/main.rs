//! The test Logstore for people who want to try a script without the cloud:
//!
//!     cargo run -p e2e --bin logstore -- --listen 127.0.0.1:8090
//!
//! It prints how to reach it, then what consumer groups do and what it refuses, and serves until it is killed. Everything is in
//! memory. A line that begins with CONFLICT says that two consumers of a group work on the same shard.

#![allow(clippy::print_stdout)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use e2e::logstore::{Event, Log, LogGroup, Logstore, Options, What};
use e2e::wait;

/// An Aliyun Log Service in memory, on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 for a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    #[arg(long, default_value = "test-project")]
    project: String,
    #[arg(long, default_value = "test-logstore")]
    logstore: String,
    /// How many shards it begins with.
    #[arg(long, default_value_t = 2)]
    shards: u32,
    #[arg(long, default_value = "test-key")]
    access_key_id: String,
    #[arg(long, default_value = "test-secret")]
    access_key_secret: String,
    /// The project is in this region and in no other [default: it is in all].
    #[arg(long)]
    region: Option<String>,
    /// Seconds that logs are kept.
    #[arg(long, default_value_t = 30 * 24 * 3600)]
    ttl: u64,
    /// Begin with so many logs: of a web server, with fields a, b and c to count by.
    #[arg(long, default_value_t = 0)]
    logs: u32,
    /// Take logs of any time, not only of the last 7 days.
    #[arg(long)]
    any_log_time: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let logstore = Logstore::start(Options {
        listen: arguments.listen,
        project: arguments.project,
        logstore: arguments.logstore,
        shards: arguments.shards,
        access_key_id: arguments.access_key_id,
        access_key_secret: arguments.access_key_secret,
        ttl: Duration::from_secs(arguments.ttl),
        any_log_time: arguments.any_log_time,
        region: arguments.region,
        ..Options::default()
    });
    let options = logstore.options();
    fill(&logstore, arguments.logs);
    println!("{}", logstore.url());
    println!("endpoint  http://cn-hangzhou.log.aliyuncs.com (any region), through http_proxy={}", logstore.url());
    println!("project   {}", options.project);
    println!("logstore  {} with {} shards", options.logstore, options.shards);
    println!("key       {} {}", options.access_key_id, options.access_key_secret);
    loop {
        for event in logstore.take_events() {
            if let Some(line) = line(&event) {
                println!("{line}");
            }
        }
        wait::pass(Duration::from_millis(200));
    }
}

/// Writes logs in groups, as a producer does.
fn fill(logstore: &Logstore, count: u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let log = |n: u32| {
        let path = ["/", "/cart", "/search", "/login"][n as usize % 4];
        Log::new(now as u32)
            .with("a", (n % 7).to_string())
            .with("b", n.to_string())
            .with("c", path)
            .with("message", format!("GET {path} {}", if n.is_multiple_of(50) { 500 } else { 200 }))
    };
    for first in (0..count).step_by(100) {
        logstore.add_logs(&LogGroup::of((first..count.min(first + 100)).map(log)));
    }
}

/// What is said of an event; of logs that come and go nothing.
fn line(event: &Event) -> Option<String> {
    Some(match &event.what {
        What::Put { .. } | What::Pulled { .. } => return None,
        What::HeartBeat { group, consumer, listed, held } => {
            format!("heartbeat {group}/{consumer}: works on {listed:?}, shall hold {held:?}")
        }
        What::Granted { group, consumer, shard } => format!("granted {group}/{consumer}: shard {shard}"),
        What::Released { group, consumer, shard, expired } => {
            let why = if *expired { "its heartbeat stopped" } else { "given up" };
            format!("released {group}/{consumer}: shard {shard}, {why}")
        }
        What::WorksOnForeign { group, consumer, shard, owner: Some(owner) } => {
            format!("CONFLICT {group}/{consumer}: works on shard {shard}, which is {owner}'s")
        }
        What::WorksOnForeign { group, consumer, shard, owner: None } => {
            format!("claimed {group}/{consumer}: shard {shard}, which was not given to it")
        }
        What::CheckPoint { group, consumer, shard, checkpoint, forced } => {
            let (by, forced) = (consumer.as_deref().unwrap_or(""), if *forced { ", forced" } else { "" });
            format!("checkpoint {group}/{by}: shard {shard} at {checkpoint}{forced}")
        }
        What::Refused { action, status, code } => {
            let action = action.map_or("an unknown call".to_owned(), |action| format!("{action:?}"));
            format!("refused {action}: {status} {code}")
        }
    })
}
