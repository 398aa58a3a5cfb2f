//! What the agent costs when nothing happens: resident memory and processor time, with many files followed.
//! `--settle SECONDS` passes before it is measured; without it as long as looks go on becoming rarer.

use std::time::Duration;

use e2e::agent::Room;
use e2e::{process, wait};

use crate::null::NullProcess;
use crate::works::Work;
use crate::{Options, mb};

const LINES_PER_FILE: u64 = 20;

pub(crate) fn run(options: &Options) -> bool {
    let files = options.number("files", 1000);
    let seconds = options.number("seconds", 30);
    let room = Room::new();
    let mut text = Vec::new();
    for file in 0..files {
        text.clear();
        (0..LINES_PER_FILE).for_each(|line| Work::W1.line(file * LINES_PER_FILE + line, &mut text));
        // A thousand to a folder, as programs with so many files have them.
        room.file(&format!("logs/{:03}/{file:06}.log", file / 1000), &text);
    }
    let null = NullProcess::start(0);
    let mut agent = room.agent(&room.raw_job("**/*.log", null.url(), "logs-idle", ""));
    let ready = agent.start_ready();
    let written = files * LINES_PER_FILE;
    wait::holds("everything is shipped", Duration::from_secs(600), || {
        null.tally(written)["lines"].as_u64() == Some(written)
    });
    let pid = agent.pid();
    // Looks become rare in proportion to how long a file has been quiet: every 10 s, or 5,000 of them a second.
    wait::pass(Duration::from_secs(options.number("settle", 8 * (files / 5_000).max(10))));
    let before = process::cpu(pid).unwrap();
    wait::pass(Duration::from_secs(seconds));
    let cpu = process::cpu(pid).unwrap() - before;
    println!(
        "idle, {files} files: {:.1} MB resident (peak {:.1}), {:.3} % of a core over {seconds} s, {} descriptors, \
         ready after {:.0} ms",
        mb(process::resident(pid).unwrap()),
        mb(process::peak_resident(pid).unwrap()),
        100.0 * cpu.as_secs_f64() / seconds as f64,
        process::descriptors(pid),
        ready.as_secs_f64() * 1e3,
    );
    let tally = null.tally(written);
    tally["missing"] == 0 && tally["double"] == 0
}
