//! Measures the agent from outside, beside a reference where there is one. Build with `--release`.
//!
//!     bench walk    [--lines 1000000] [--pairs 5]                  CPU per million lines against the floor (w1, w2: one)
//!     bench idle    [--files 1000] [--seconds 30]                  memory and CPU when nothing happens
//!     bench latency [--seconds 30] [--rate 100]                    line written → accepted
//!     bench open    [--gb 1]                                       restart with so much owed
//!     bench outage  [--seconds 60] [--rate 20]                     Elasticsearch dead at full input (MB/s)
//!     bench chaos   [--minutes 2] [--rate 20]                      kill -9 again and again under load and rotation
//!     bench sls     [--logs 1000000] [--pairs 3]                   a Logstore shipped and counted, beside the Go SDK's consumer
//!     bench sls-server [--logs 1000000]                            the Logstore of that alone
//!     bench sls-chaos [--minutes 2] [--rate 2000] [--every 20]     three agents in a group: kills, splits, merges (logs/s)
//!     bench sql     [--lines 1000000] [--pairs 5]                  a GROUP BY over JSON, beside a real Flink
//!     bench keys    [--keys 5000000]                               state, restart and exactness of many keys
//!     bench null    [--port 0]                                     the counting endpoint alone
//!     bench write   --file F [--rate 20]                           a growing file of W1, until killed (MB/s)
//!
//! It promises exact counts of missing and double lines; its times are those of this machine at this moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod chaos;
mod floor;
mod idle;
mod keys;
mod latency;
mod null;
mod open;
mod outage;
mod sls;
mod sls_chaos;
mod sql;
mod walk;
mod works;

use std::process::ExitCode;

use works::Work;

/// What was typed behind the name of the bench: `--name value` pairs.
struct Options(Vec<String>);

impl Options {
    fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|argument| argument.strip_prefix("--") == Some(name))?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("--{name} wants a number")))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let options = Options(arguments.collect());
    let well = match name.as_str() {
        "walk" => walk::run(&options, &[Work::W1, Work::W2]),
        "w1" => walk::run(&options, &[Work::W1]),
        "w2" => walk::run(&options, &[Work::W2]),
        "idle" => idle::run(&options),
        "latency" => latency::run(&options),
        "open" => open::run(&options),
        "outage" => outage::run(&options),
        "chaos" => chaos::run(&options),
        "sls" => sls::run(&options),
        "sls-server" => sls::serve(&options),
        "sls-chaos" => sls_chaos::run(&options),
        "sql" => sql::run(&options),
        "keys" => keys::run(&options),
        "null" => null::serve(&options),
        "write" => chaos::write(&options),
        _ => {
            eprintln!(
                "bench walk|w1|w2|idle|latency|open|outage|chaos|sls|sls-server|sls-chaos|sql|keys|null|write [--name value]…; see tests/bench/main.rs"
            );
            false
        }
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median of numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
