//! Many keys: bytes of state for each, what a run of all of them costs, how soon an agent that was killed goes on, and that
//! every count is right. Times of commits and of bases are those that the agent's own metrics tell.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::endpoint::Endpoint;
use e2e::seed::mix;
use e2e::{process, wait};

use crate::{Options, mb, median};

const LIMIT: Duration = Duration::from_secs(1800);
/// The metrics are looked at so often: commits that are quicker are not all seen.
const LOOK: Duration = Duration::from_millis(100);

/// Times of commits and bases, as they are seen while one waits.
#[derive(Default)]
struct Times {
    counts: [u64; 2],
    commits: Vec<f64>,
    bases: Vec<f64>,
}

impl Times {
    /// Waits until `done`, looking at the metrics meanwhile.
    fn watch(&mut self, agent: &Agent, what: &str, done: impl Fn(&Agent) -> bool) {
        let mut looked = Instant::now();
        wait::holds(what, LIMIT, || {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look(agent);
            }
            done(agent)
        });
        self.look(agent);
    }

    fn look(&mut self, agent: &Agent) {
        let ctl = agent.ctl();
        let names = [("query_commits_total", "commit_micros"), ("bases_total", "base_micros")];
        for (n, (count, micros)) in names.into_iter().enumerate() {
            let (Some(count), Some(micros)) = (ctl.try_metric(count), ctl.try_metric(micros)) else { continue };
            if count > self.counts[n] {
                if n == 0 { &mut self.commits } else { &mut self.bases }.push(micros as f64 / 1000.0);
            }
            self.counts[n] = count;
        }
    }

    fn show(&self) -> String {
        let one = |of: &[f64]| {
            let worst = of.iter().copied().fold(0.0, f64::max);
            format!("median {:.0} ms, worst {worst:.0} ms of {} seen", median(of.to_vec()), of.len())
        };
        format!("commits: {}; bases: {}", one(&self.commits), one(&self.bases))
    }
}

/// Appends lines with the keys that `key` gives for `0..lines`.
fn append(path: &Path, lines: u64, key: impl Fn(u64) -> u64) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut file = BufWriter::with_capacity(1 << 20, file);
    for n in 0..lines {
        writeln!(file, "{{\"a\":{},\"b\":{n}}}", key(n)).unwrap();
    }
    file.flush().unwrap();
}

/// Bytes of all files in a folder.
fn size(folder: &Path, only: &str) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let one = |path: std::path::PathBuf| match path.is_dir() {
        true => size(&path, only),
        false if path.to_string_lossy().contains(only) => path.metadata().map_or(0, |meta| meta.len()),
        false => 0,
    };
    entries.map(one).sum()
}

pub(crate) fn run(options: &Options) -> bool {
    let keys = options.number("keys", 5_000_000);
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let file = room.logs().join("keys.json");
    append(&file, keys, |n| n.wrapping_mul(2_654_435_761) % keys);
    append(&file, keys / 5, |n| mix(n) % keys);
    let text = format!(
        "SET 'splashdam.state.max-bytes' = '8 gb';\n\
         CREATE TABLE s (a BIGINT, b BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json');\n\
         CREATE TABLE t (a BIGINT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'elasticsearch-7', \
         'hosts' = '{}', 'index' = 'keys');\nINSERT INTO t SELECT a, COUNT(*) FROM s GROUP BY a;\n",
        file.display(),
        endpoint.url()
    );
    let mut agent = Agent::new(&room, &[room.file("keys.sql", text)]);
    let begin = Instant::now();
    agent.start_ready();
    let total = keys + keys / 5;
    let mut times = Times::default();
    times.watch(&agent, "all is read", |agent| agent.ctl().try_metric("read_records_total") == Some(total));
    let read = begin.elapsed();
    times.watch(&agent, "all is delivered", |agent| settled(agent, total));
    let (cpu, peak) = (process::cpu(agent.pid()).unwrap(), process::peak_resident(agent.pid()).unwrap());
    let (state, groups) = (agent.ctl().metric("state_bytes"), agent.ctl().metric("groups"));
    println!(
        "keys: {keys} keys, {total} rows: read after {:.1} s, delivered after {:.1} s, {:.1} CPU-s, peak {:.0} MB",
        read.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
        cpu.as_secs_f64(),
        mb(peak)
    );
    println!(
        "  state: {groups} groups, {:.1} bytes each in memory; on disk {:.1} MB of segments",
        state as f64 / groups as f64,
        mb(size(&room.data().join("segments"), ".seg"))
    );
    println!("  {}", times.show());
    let mut clean = groups == keys;

    afterwards(&mut agent, &file, &room, keys, total);
    agent.stop();
    clean &= right(&endpoint, keys);
    println!("  {}", if clean { "every count is right" } else { "COUNTS ARE WRONG" });
    clean
}

/// All of so many rows are read since the agent started, and nothing is owed.
fn settled(agent: &Agent, total: u64) -> bool {
    agent.ctl().try_metric("read_records_total") == Some(total) && agent.ctl().number("owed_records") == Some(0)
}

/// Small commits beside a large state, a kill, every key once more, and another kill.
fn afterwards(agent: &mut Agent, file: &std::path::Path, room: &Room, keys: u64, mut total: u64) {
    // A row written → its document, one after the other.
    let mut slowest = Duration::ZERO;
    let small = Instant::now();
    for round in 0..20 {
        append(file, 10, |n| n * 7 + round);
        total += 10;
        let begin = Instant::now();
        wait::holds("ten rows are delivered", LIMIT, || settled(agent, total));
        slowest = slowest.max(begin.elapsed());
    }
    println!(
        "  ten rows → delivered: {:.0} ms on average, slowest {slowest:.0?}",
        small.elapsed().as_secs_f64() * 50.0
    );

    agent.kill();
    append(file, 10, |n| n);
    total = 10;
    let begin = Instant::now();
    let ready = agent.start_ready();
    wait::holds("it goes on", LIMIT, || settled(agent, total));
    println!("  after kill -9: answers after {ready:.1?}, ten new rows delivered after {:.1?}", begin.elapsed());

    // Every change rewritten: bases are made on the way.
    let begin = Instant::now();
    append(file, keys, |n| n);
    total += keys;
    let mut times = Times::default();
    times.watch(agent, "all keys are counted again", |agent| settled(agent, total));
    println!(
        "  every key once more: {:.1} s, {:.1} MB of segments, peak {:.0} MB; {}",
        begin.elapsed().as_secs_f64(),
        mb(size(&room.data().join("segments"), ".seg")),
        mb(process::peak_resident(agent.pid()).unwrap()),
        times.show()
    );
    agent.kill();
    let ready = agent.start_ready();
    println!("  after another kill -9: answers after {ready:.1?}");
}

/// Whether each key's document has its count.
fn right(endpoint: &Endpoint, keys: u64) -> bool {
    let mut more: BTreeMap<u64, u64> = BTreeMap::new();
    (0..keys / 5).for_each(|n| *more.entry(mix(n) % keys).or_default() += 1);
    (0..20).for_each(|round| (0..10).for_each(|n| *more.entry(n * 7 + round).or_default() += 1));
    (0..10).for_each(|n| *more.entry(n).or_default() += 1);
    endpoint.documents(|documents| {
        let wrong = documents.of("keys").filter(|(id, document)| {
            let key: u64 = id.parse().unwrap();
            document.json()["n"] != 2 + more.get(&key).copied().unwrap_or(0)
        });
        wrong.count() == 0 && documents.of("keys").count() as u64 == keys
    })
}
