//! From a line's write to its acceptance, at light load.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use e2e::agent::Room;
use e2e::null_endpoint::NullEndpoint;
use e2e::wait;

use crate::Options;
use crate::works::Work;

pub(crate) fn run(options: &Options) -> bool {
    let (seconds, rate) = (options.number("seconds", 30), options.number("rate", 100));
    let room = Room::new();
    let endpoint = NullEndpoint::start(0);
    endpoint.keep_arrivals();
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs-latency", ""));
    let mut file = File::create(room.logs().join("app.log")).unwrap();
    agent.start_ready();
    let begin = Instant::now();
    let mut written = Vec::new();
    let mut line = Vec::new();
    for seq in 0..seconds * rate {
        let due = begin + Duration::from_secs_f64(seq as f64 / rate as f64);
        wait::pass(due.saturating_duration_since(Instant::now()));
        line.clear();
        Work::W1.line(seq, &mut line);
        written.push(Instant::now());
        file.write_all(&line).unwrap();
    }
    let all = written.len() as u64;
    wait::holds("every line has come", Duration::from_secs(60), || endpoint.tally().lines == all);
    let arrivals: HashMap<u64, Instant> = endpoint.arrivals().into_iter().collect();
    // The first second is the agent's first meeting with the file.
    let settled = written.iter().enumerate().skip(rate as usize);
    let mut times: Vec<Duration> = settled.map(|(seq, at)| arrivals[&(seq as u64)].duration_since(*at)).collect();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "latency at {rate} lines/s, {seconds} s: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, most {:.0} ms; first second's worst {:.0} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        written
            .iter()
            .enumerate()
            .take(rate as usize)
            .map(|(seq, at)| arrivals[&(seq as u64)].duration_since(*at))
            .max()
            .unwrap_or_default()
            .as_secs_f64()
            * 1e3,
    );
    endpoint.tally().double == 0
}
