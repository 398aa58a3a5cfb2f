//! kill -9 at random every 0.2 to 5 s, under full input and rename rotation every second: documents must equal lines.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::agent::Room;
use e2e::seed::Rng;
use e2e::wait;

use crate::null::NullProcess;
use crate::works::Work;
use crate::{Options, mb, median};

/// Rotated files kept, as a logrotate with a long memory would.
const DEPTH: usize = 100;

/// A growing file of W1 lines, numbered from 0.
pub(crate) struct Stream {
    path: PathBuf,
    file: File,
    seq: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(path: &Path) -> Stream {
        Stream { path: path.to_owned(), file: append(path), seq: 0, bytes: 0, buffer: Vec::new() }
    }

    pub(crate) fn lines(&self) -> u64 {
        self.seq
    }

    /// Writes until `bytes` have been written since the beginning.
    pub(crate) fn write_to(&mut self, bytes: u64) {
        while self.bytes < bytes {
            self.buffer.clear();
            while self.buffer.len() < 64 << 10 {
                Work::W1.line(self.seq, &mut self.buffer);
                self.seq += 1;
            }
            self.bytes += self.buffer.len() as u64;
            self.file.write_all(&self.buffer).unwrap();
        }
    }

    fn rotate(&mut self) {
        let name = |number: usize| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..DEPTH).rev() {
            if name(number).exists() {
                std::fs::rename(name(number), name(number + 1)).unwrap();
            }
        }
        std::fs::rename(&self.path, name(1)).unwrap();
        self.file = append(&self.path);
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

pub(crate) fn run(options: &Options) -> bool {
    let time = Duration::from_secs_f64(60.0 * options.text("minutes").map_or(2.0, |text| text.parse().unwrap()));
    let rate = options.number("rate", 20) * 1_000_000;
    let mut rng = Rng::for_test("chaos");
    let room = Room::new();
    let null = NullProcess::start(0);
    let mut agent = room.agent(&room.raw_job("app.log*", null.url(), "logs-chaos", ""));
    let mut stream = Stream::new(&room.logs().join("app.log"));
    // The first start may wait for a build, and files that were rotated away by then would be missing.
    agent.start_ready();
    agent.kill();
    let ended = AtomicBool::new(false);
    let (written, starts) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (begin, mut rotated) = (Instant::now(), Instant::now());
            while !ended.load(Ordering::Relaxed) {
                stream.write_to((begin.elapsed().as_secs_f64() * rate as f64) as u64);
                if rotated.elapsed() > Duration::from_secs(1) {
                    stream.rotate();
                    rotated = Instant::now();
                }
                wait::pass(Duration::from_millis(10));
            }
            stream.lines()
        });
        let begin = Instant::now();
        let mut starts = Vec::new();
        while begin.elapsed() < time {
            starts.push(agent.start_ready().as_secs_f64());
            wait::pass(Duration::from_millis(rng.within(200, 5000)));
            agent.kill();
        }
        ended.store(true, Ordering::Relaxed);
        (writer.join().expect("the writer"), starts)
    });
    println!("chaos: {} kills, {written} lines written; now to the end", starts.len());
    agent.start_ready();
    let begin = Instant::now();
    let mut last = (0, Instant::now());
    loop {
        let lines = null.tally(0)["lines"].as_u64().unwrap();
        if lines != last.0 {
            last = (lines, Instant::now());
        }
        if lines == written || last.1.elapsed() > Duration::from_secs(60) {
            break;
        }
        wait::pass(Duration::from_millis(100));
    }
    let tally = null.tally(written);
    println!(
        "chaos {:.1} min at {:.0} MB/s: {written} lines, missing {}, double {}, resent {}; drained in {:.1} s; \
         restart until it answers: median {:.0} ms, worst {:.0} ms",
        time.as_secs_f64() / 60.0,
        mb(rate),
        tally["missing"],
        tally["double"],
        tally["resent"],
        begin.elapsed().as_secs_f64(),
        median(starts.clone()) * 1e3,
        starts.iter().copied().fold(0.0, f64::max) * 1e3,
    );
    if tally["missing"] != 0 {
        println!("  first missing line: {}; agent's log:\n{}", tally["first_missing"], agent.log());
    }
    tally["missing"] == 0 && tally["double"] == 0
}

/// `bench write`: a growing file, until it is killed. Ends with a whole line at every moment but during a write.
pub(crate) fn write(options: &Options) -> bool {
    let rate = options.number("rate", 20) * 1_000_000;
    let mut stream = Stream::new(Path::new(options.text("file").expect("--file")));
    let begin = Instant::now();
    loop {
        stream.write_to((begin.elapsed().as_secs_f64() * rate as f64) as u64);
        wait::pass(Duration::from_millis(10));
    }
}
