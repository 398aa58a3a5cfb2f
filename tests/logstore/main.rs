//! The test Logstore for people who want to try a script without the cloud:
//!
//!     cargo run -p e2e --bin logstore -- --listen 127.0.0.1:8090
//!
//! It prints how to reach it, then what consumer groups do and what it refuses, and serves until it is killed. Everything is in
//! memory. A line that begins with CONFLICT says that two consumers of a group work on the same shard.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use clap::Parser;
use e2e::logstore::{Event, Logstore, Options, What};
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
    /// Seconds that logs are kept.
    #[arg(long, default_value_t = 30 * 24 * 3600)]
    ttl: u64,
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
        ..Options::default()
    });
    let options = logstore.options();
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
