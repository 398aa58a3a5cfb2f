//! `splashdam try JOB.sql`: prints what a script would send, or print, once its files have been read to their present
//! end. Windows that are open then are closed, as at the end of `run --once`.

use std::io::{BufWriter, Write};

use splashdam_api::words::plural;

use super::Exit;
use super::run::{complain, failed};
use super::try_job::{AGENT, print_item};
use crate::pipeline::{Tried, host_name, try_query};
use crate::plan::QueryPlan;

pub(super) fn try_script(plan: &QueryPlan, limit: u64) -> Exit {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut left, mut dead, mut broken) = (limit, 0_u64, None);
    let tried = try_query(plan, AGENT, &host_name(), |tried| {
        let written = match tried {
            Tried::Item { index, lines } => print_item(&index, &lines, &mut out),
            Tried::Printed(lines) => {
                let mut shown =
                    lines.split_inclusive(|byte| *byte == b'\n').take(usize::try_from(left).unwrap_or(usize::MAX));
                let written = shown.try_for_each(|line| out.write_all(line));
                left = left.saturating_sub(lines.iter().filter(|byte| **byte == b'\n').count() as u64).max(1);
                written
            }
            Tried::Dead { kind, reason } => {
                dead += 1;
                if dead <= 10 {
                    complain(format!("would be a dead letter ({kind}): {reason}"));
                }
                return true;
            }
        };
        left -= 1;
        if let Err(error) = written {
            broken = Some(error);
        }
        left > 0 && broken.is_none()
    });
    if let Err(why) = tried {
        return failed(&why);
    }
    let ended = match broken {
        Some(error) => Err(error),
        None => out.flush(),
    };
    match ended {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Exit::Ok,
        Err(error) => return failed(&error),
        Ok(()) => {}
    }
    if dead > 10 {
        complain(format!("{} in all", plural(dead, "dead letter")));
    }
    if left == limit {
        complain("the script gives no row for what its files hold now");
    }
    Exit::Ok
}
