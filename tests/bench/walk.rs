//! The walk against its floor: CPU seconds per million lines, peak memory, missing, double. Floor and agent take
//! turns, so that both meet the same weather.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::agent::Room;
use e2e::{process, wait};

use crate::floor::Form;
use crate::null::NullProcess;
use crate::works::Work;
use crate::{Options, mb, median};

/// What one run of the agent took.
struct Run {
    cpu: Duration,
    wall: Duration,
    peak: u64,
    missing: u64,
    double: u64,
    documents: u64,
    wire_bytes: u64,
    sample: String,
    endpoint_cpu: Duration,
}

pub(crate) fn run(options: &Options, works: &[Work]) -> bool {
    works.iter().map(|work| measure(*work, options)).fold(true, |a, b| a & b)
}

fn measure(work: Work, options: &Options) -> bool {
    let lines = options.number("lines", 1_000_000);
    let pairs = options.number("pairs", 5);
    let room = Room::new();
    let file = room.logs().join(format!("{}.log", work.name()));
    let bytes = work.write(&file, lines);
    let input = std::fs::read(&file).unwrap();
    println!("\n{}: {lines} lines, {} bytes each", work.name(), bytes / lines);
    println!("  pair | floor CPU-s/M | agent CPU-s/M | ratio | wall s | peak MB | wire B/doc | endpoint CPU-s/M");
    let per_million = |time: Duration| time.as_secs_f64() * 1e6 / lines as f64;
    let (mut floors, mut agents, mut ratios, mut peak, mut clean) = (vec![], vec![], vec![], 0, true);
    let mut form = None;
    for pair in 0..=pairs {
        let run = agent(work, &file, lines);
        let form = form.get_or_insert_with(|| {
            Form::learn(work, run.sample.as_bytes(), &input).unwrap_or_else(|error| panic!("no floor: {error}"))
        });
        let floor = form.run(&input);
        peak = peak.max(run.peak);
        clean &= run.missing == 0 && run.double == 0 && run.documents == lines;
        let (of_floor, of_agent) = (per_million(floor.cpu), per_million(run.cpu));
        println!(
            "  {:>4} | {of_floor:>13.3} | {of_agent:>13.3} | {:>5.2} | {:>6.2} | {:>7.1} | {:>5.1} ({:.1}) | {:.2}{}",
            if pair == 0 { "warm".to_owned() } else { pair.to_string() },
            of_agent / of_floor,
            run.wall.as_secs_f64(),
            mb(run.peak),
            run.wire_bytes as f64 / run.documents as f64,
            floor.wire_bytes as f64 / lines as f64,
            per_million(run.endpoint_cpu),
            if run.missing + run.double > 0 { " !! missing or double" } else { "" },
        );
        if pair > 0 {
            floors.push(of_floor);
            agents.push(of_agent);
            ratios.push(of_agent / of_floor);
        }
    }
    println!(
        "  {} median: floor {:.3}, agent {:.3} CPU-s/M lines, ratio {:.2}; peak {:.1} MB; {}",
        work.name(),
        median(floors),
        median(agents),
        median(ratios),
        mb(peak),
        if clean { "0 missing, 0 double" } else { "LINES MISSING OR DOUBLE" }
    );
    clean
}

/// One run of `splashdam run --once` over `file` into a fresh endpoint.
fn agent(work: Work, file: &Path, lines: u64) -> Run {
    let null = NullProcess::start(0);
    let room = Room::new();
    let toml = format!(
        "[source]\ntype = \"file\"\npaths = [\"{}\"]\n[decode]\nformat = \"{}\"\n\
         [sink]\ntype = \"elasticsearch\"\nendpoint = \"{}\"\nindex = \"logs-bench\"\n",
        file.display(),
        work.format(),
        null.url()
    );
    let mut agent = room.agent(&toml).with(&["--once"]);
    e2e::binaries::splashdam(); // built before the clock runs
    let begin = Instant::now();
    agent.start();
    let pid = agent.pid();
    let mut peak = 0;
    wait::holds("the agent has shipped everything", Duration::from_secs(600), || {
        peak = peak.max(process::peak_resident(pid).unwrap_or(0));
        process::ended(pid)
    });
    let wall = begin.elapsed();
    let cpu = process::cpu(pid).expect("it is not waited for yet");
    let status = agent.wait(Duration::from_secs(5));
    assert!(status.success(), "{status:?}\n{}", agent.log());
    let tally = null.tally(lines);
    let number = |name: &str| tally[name].as_u64().unwrap();
    Run {
        cpu,
        wall,
        peak,
        missing: number("missing"),
        double: number("double"),
        documents: number("documents"),
        wire_bytes: number("wire_bytes"),
        sample: complete_items(&null.sample()),
        endpoint_cpu: process::cpu(null.pid()).unwrap_or_default(),
    }
}

/// The sample without the item it was cut in.
fn complete_items(sample: &str) -> String {
    let ends: Vec<usize> = sample.match_indices('\n').map(|(at, _)| at + 1).collect();
    let whole = ends.len() / 2 * 2;
    whole.checked_sub(1).map_or("", |last| &sample[..ends[last]]).to_owned()
}
