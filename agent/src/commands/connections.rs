//! `splashdam check --connect`: tries what jobs connect to, as a running agent would. Changes nothing there.

use std::io::{self, Write};

use splashdam_api::words::connections_in_words;

use crate::pipeline::test_job;
use crate::plan::JobPlan;

/// Tries each and says what is found. Whether all can be used.
pub(super) fn all_connectable(jobs: &[JobPlan], out: &mut dyn Write) -> io::Result<bool> {
    let runtime = super::runtime()?;
    let mut all = true;
    for job in jobs {
        let tested = runtime.block_on(test_job(job));
        all &= tested.connectable();
        let plain = |text: &str, _: bool| text.to_owned();
        write!(out, "{}", connections_in_words(&tested, plain))?;
    }
    runtime.shutdown_background();
    Ok(all)
}
