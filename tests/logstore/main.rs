//! The test Logstore for people who want to try a script without the cloud:
//!
//!     cargo run -p e2e --bin logstore -- --listen 127.0.0.1:8090
//!
//! It prints how to reach it, and serves until it is killed. Everything is in memory.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use clap::Parser;
use e2e::logstore::{Logstore, Options};

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
        std::thread::park();
    }
}
