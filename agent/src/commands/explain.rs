//! `splashdam explain JOB.sql`: what a script means: its plan, the columns that are read, the keys of its state, where
//! its rows go and under which ids.

use std::io::Write;
use std::path::Path;

use super::Exit;
use super::run::{failed, one_job};
use super::summary;
use crate::job::Vars;
use crate::plan::JobPlan;
use crate::sql::explain::explain;

pub(super) fn explain_job(path: &Path, vars: &Vars) -> Exit {
    let job = match one_job(path, vars) {
        Ok(job) => job,
        Err(exit) => return exit,
    };
    let text = match &job {
        JobPlan::Query(plan) => explain(&plan.query),
        JobPlan::Ship(_) => "each record becomes one document, as it is\n".to_owned(),
    };
    let written = writeln!(std::io::stdout(), "{}\n\n{}", summary::of(&job), text.trim_end());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(&error),
        _ => Exit::Ok,
    }
}
