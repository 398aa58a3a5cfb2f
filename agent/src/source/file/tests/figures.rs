//! Figures by hand: `SPLASHDAM_FIGURES=1 cargo test --release idle_files_cost -- --nocapture`.

use std::time::{Duration, Instant};

use super::rig::Rig;

/// Files that are made; without the variable only a few, so that the promise itself is always checked.
const FIGURES: &str = "SPLASHDAM_FIGURES";

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// User and system time of this thread.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn idle_files_cost_neither_descriptors_nor_looks_all_the_time() {
    let by_hand = std::env::var_os(FIGURES).is_some();
    let counts: &[usize] = if by_hand { &[1_000, 100_000] } else { &[200] };
    for &count in counts {
        let mut rig = Rig::new(&["*.log"]);
        rig.plan.watch = by_hand;
        rig.plan.rescan = Duration::from_secs(10);
        for number in 0..count {
            rig.write(&format!("service-{number:06}.log"), Rig::line(number) + "\n");
        }
        let before = resident();
        let started = Instant::now();
        rig.poll();
        rig.run(1000);
        println!("{count} files: read in {:?}, {} KiB", started.elapsed(), resident().saturating_sub(before));
        assert_eq!(rig.records.len(), count);
        rig.records = Vec::new();
        rig.rows = std::collections::BTreeMap::new();
        // Virtual time: long enough to be idle, then the cost of a minute.
        rig.run(120_000);
        println!("{count} files: idle {} KiB with the test's own", resident().saturating_sub(before));
        let (mut polls, from) = (0, spent());
        let end = rig.now + Duration::from_secs(60);
        while rig.now < end {
            rig.poll();
            polls += 1;
            let next = rig.source.as_ref().map_or(end, |source| source.next_look(rig.now));
            rig.now = next.max(rig.now + Duration::from_millis(1));
        }
        let share = (spent() - from).as_secs_f64() / 60.0 * 100.0;
        println!("{count} files: {share:.3} % of a core, {polls} polls a minute");
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
        println!("{count} files: {open} descriptors");
    }
}

#[test]
fn large_files_are_handed_out_whole() {
    let by_hand = std::env::var_os(FIGURES).is_some();
    let lines = if by_hand { 10_000_000 } else { 50_000 };
    let mut rig = Rig::new(&["*.log"]);
    rig.write("big.log", Rig::lines(0, 100_000).repeat(lines / 100_000 + 1));
    rig.poll();
    let mut bytes = rig.records.len() as u64 * 100;
    let size = std::fs::metadata(rig.path("big.log")).unwrap().len();
    let (wall, from) = (Instant::now(), spent());
    let first = bytes;
    while let Some(source) = rig.source.as_mut().filter(|_| bytes < size) {
        let step = source.poll(8 << 20, rig.now);
        for chunk in step.chunks {
            bytes += chunk.data.len() as u64;
            source.recycle(chunk.data);
        }
    }
    let rate = (bytes - first) as f64 / 1e9;
    println!("{rate:.2} GB in {:?}, {:?} of this thread", wall.elapsed(), spent() - from);
    assert_eq!(bytes, size);
}
