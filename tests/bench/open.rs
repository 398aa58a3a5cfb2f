//! How long the agent needs to be there again with much owed: start until the control socket answers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::seed::Rng;
use e2e::{process, wait};

use crate::{Options, mb};

/// Long lines of random letters, so that they stay large when compressed.
const LINE_BYTES: usize = 16 << 10;
const FILE_BYTES: u64 = 256 << 20;

pub(crate) fn run(options: &Options) -> bool {
    let bytes = options.number("gb", 1) * 1_000_000_000;
    let room = Room::new();
    // A port at which nobody listens.
    let job = room.raw_job("*.log", "http://127.0.0.1:9", "logs-open", "[buffer]\nmax_bytes = \"100 GiB\"");
    let mut agent = room.agent(&job);
    agent.start_ready();
    let mut rng = Rng::new(1);
    let signs = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let owed = |agent: &Agent| agent.ctl().metric("owed_bytes");
    let (mut part, begin) = (0, Instant::now());
    while owed(&agent) < bytes {
        // In files of 256 MB, deleted when read, so that the disk holds what is owed and little more.
        let path = room.logs().join(format!("{part}.log"));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).unwrap());
        let mut line = vec![b'\n'; LINE_BYTES];
        for _ in 0..FILE_BYTES / LINE_BYTES as u64 {
            for eight in line[..LINE_BYTES - 1].chunks_mut(8) {
                let random = rng.number();
                eight.iter_mut().enumerate().for_each(|(i, sign)| *sign = signs[(random >> (6 * i)) as usize & 63]);
            }
            file.write_all(&line).unwrap();
        }
        file.flush().unwrap();
        part += 1;
        let read = || agent.ctl().metric("read_bytes_total") >= part * FILE_BYTES;
        wait::holds("the file is read", Duration::from_secs(300), read);
        wait::holds("and committed", Duration::from_secs(300), || agent.ctl().metric("lag_bytes") == 0);
        std::fs::remove_file(&path).unwrap();
        let (owed, seconds) = (mb(owed(&agent)), begin.elapsed().as_secs_f64());
        eprintln!("  {owed:.0} of {:.0} MB owed after {seconds:.0} s ({:.0} MB/s)", mb(bytes), owed / seconds);
    }
    println!("open with {:.0} MB owed ({} files of input):", mb(owed(&agent)), part);
    for round in ["after kill -9", "again", "again", "after a clean stop"] {
        if round.contains("clean") {
            agent.stop();
        } else {
            agent.kill();
        }
        let ready = agent.start_ready();
        let resident = process::resident(agent.pid()).unwrap();
        println!(
            "  {round}: {:.0} ms until the control socket answers, {:.1} MB resident, {:.0} MB owed",
            ready.as_secs_f64() * 1e3,
            mb(resident),
            mb(owed(&agent))
        );
    }
    true
}
