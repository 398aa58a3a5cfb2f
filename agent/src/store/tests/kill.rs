//! kill -9 of a real process at any instant.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const DIR: &str = "SPLASHDAM_TEST_KILL_DIR";

/// Not a test of its own: the process that gets killed. It commits, settles every third member, and says
/// what is durable.
#[test]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(Path::new(&dir));
    let app = door(&store);
    let first = row_value(&app, 1).unwrap_or(0) + 1;
    for n in first.. {
        let receipt = commit(&app, step("logs", n, 3000));
        if n.is_multiple_of(7) {
            durable(receipt);
            println!("durable {n}");
            for owed in app.next("logs", Limit { raw_bytes: 20_000, wire_bytes: u64::MAX }).expect("readable") {
                let n = number(&app.read(&owed).expect("readable"));
                if n.is_multiple_of(3) {
                    println!("settled {n}");
                    settle(&app, &[owed]);
                } else {
                    app.give_back(vec![owed]);
                }
            }
        }
    }
}

#[test]
fn nothing_durable_is_lost_and_nothing_unsettled_is_forgotten_by_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut durable_to, mut settled) = (0, Vec::new());
    for round in 0..4_u64 {
        let mut child = Command::new(std::env::current_exe().expect("our own path"))
            .args(["--exact", "store::tests::kill::the_process_that_is_killed", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let until = durable_to + 100 + round * 37;
        for line in &mut lines {
            let line = line.expect("a line");
            note(&line, &mut durable_to, &mut settled);
            if durable_to >= until {
                break;
            }
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
        lines.map_while(Result::ok).for_each(|line| note(&line, &mut durable_to, &mut settled));

        let store = open(dir.path());
        assert_eq!(store.health().degraded, Vec::<String>::new());
        let app = door(&store);
        let last = row_value(&app, 1).expect("a position");
        assert!(last >= durable_to, "position {last} is behind {durable_to}");
        let mut found = numbers(&app, "logs").0;
        found.sort_unstable();
        assert!(found.windows(2).all(|w| w[0] < w[1]), "a member came back twice");
        // The position and the members are one step: every number up to it is owed, unless it was settled.
        for n in 1..=last {
            let maybe_settled = settled.contains(&n);
            assert!(found.binary_search(&n).is_ok() || maybe_settled, "{n} of {last} is lost");
        }
        assert!(found.iter().all(|n| *n <= last), "a member without its position");
        let sure = settled.len().saturating_sub(1);
        assert!(settled[..sure].iter().all(|n| found.binary_search(n).is_err()), "a settled member is owed again");
        close(&store);
    }
}

fn note(line: &str, durable_to: &mut u64, settled: &mut Vec<u64>) {
    let number = |rest: &str| rest.trim().parse().expect("a number");
    if let Some((_, rest)) = line.split_once("durable ") {
        *durable_to = number(rest);
    } else if let Some((_, rest)) = line.split_once("settled ") {
        settled.push(number(rest));
    }
}
