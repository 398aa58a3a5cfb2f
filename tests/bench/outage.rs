//! Elasticsearch dead at full input: memory, the wait of the source, a healthy neighbour, and the way back.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::{process, wait};

use crate::chaos::Stream;
use crate::null::NullProcess;
use crate::{Options, mb};

/// A free port that nobody is given who asks for any: while our endpoint is dead, no other may answer in its place.
fn quiet_port() -> u16 {
    (20_000..30_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub(crate) fn run(options: &Options) -> bool {
    let seconds = options.number("seconds", 60);
    let rate = options.number("rate", 20) * 1_000_000;
    let room = Room::new();
    let port = quiet_port();
    let (sick, healthy) = (NullProcess::start(port), NullProcess::start(0));
    let job = |name: &str, url: &str| {
        let buffer = "[buffer]\nmax_bytes = \"256 MiB\"";
        room.file(&format!("{name}.toml"), room.raw_job(&format!("{name}.log"), url, &format!("logs-{name}"), buffer))
    };
    let jobs = [job("sick", sick.url()), job("healthy", healthy.url())];
    let mut agent = Agent::new(&room, &jobs);
    agent.start_ready();
    drop(sick);
    let mut a = Stream::new(&room.logs().join("sick.log"));
    let mut b = Stream::new(&room.logs().join("healthy.log"));
    let begin = Instant::now();
    let (mut peak, mut worst_lag) = (0, 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let due = (begin.elapsed().as_secs_f64() * rate as f64) as u64;
        a.write_to(due);
        b.write_to(due / 10);
        peak = peak.max(process::resident(agent.pid()).unwrap());
        let lag = b.lines().saturating_sub(healthy.tally(0)["lines"].as_u64().unwrap());
        worst_lag = worst_lag.max(lag);
        wait::pass(Duration::from_millis(50));
    }
    let owed = agent.ctl().metric("owed_bytes");
    println!(
        "outage of {seconds} s at {:.0} MB/s: peak {:.1} MB resident, {:.0} MB owed, {} lines written; \
         neighbour at {:.0} MB/s never more than {worst_lag} lines behind",
        mb(rate),
        mb(peak),
        mb(owed),
        a.lines(),
        mb(rate / 10)
    );
    let sick = NullProcess::start(port);
    let back = Instant::now();
    wait::holds("everything owed is drained", Duration::from_secs(1800), || {
        peak = peak.max(process::resident(agent.pid()).unwrap());
        sick.tally(0)["lines"].as_u64() == Some(a.lines()) && healthy.tally(0)["lines"].as_u64() == Some(b.lines())
    });
    let (ta, tb) = (sick.tally(a.lines()), healthy.tally(b.lines()));
    println!(
        "  drained alone in {:.1} s after its return, peak {:.1} MB; missing {} and {}, double {} and {}",
        back.elapsed().as_secs_f64(),
        mb(peak),
        ta["missing"],
        tb["missing"],
        ta["double"],
        tb["double"]
    );
    ta["missing"] == 0 && ta["double"] == 0 && tb["missing"] == 0 && tb["double"] == 0
}
