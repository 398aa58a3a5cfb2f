//! All jobs at a glance: what each is, how it is in a word, and which file says so. Also of those that were set aside,
//! and of files that are refused.
//!
//! Knows files by what the commands tell; reads none.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use splashdam_api as api;

use super::agent::Agent;
use super::status;
use crate::plan::JobPlan;

/// A file that was taken for a job.
#[derive(Clone, Debug)]
pub(crate) struct JobFile {
    pub(crate) file: PathBuf,
    /// Of the job in it; of a refused file its stem.
    pub(crate) id: String,
    /// Why there is no job of it.
    pub(crate) refused: Option<String>,
}

/// The files that were looked at last.
#[derive(Default)]
pub(super) struct JobFiles(Mutex<Vec<JobFile>>);

impl Agent {
    /// These files were looked at; the jobs are those that run or were set aside since.
    pub(crate) fn know_files(&self, files: Vec<JobFile>) {
        *self.files.0.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// All jobs, by their ids.
    pub(crate) fn list_jobs(&self) -> Vec<api::Job> {
        let files = self.files.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let file_of = |id: &str| {
            let found = files.iter().find(|known| known.id == id && known.refused.is_none());
            found.map(|known| known.file.display().to_string())
        };
        let roster = self.roster.now();
        let running = roster.running.iter().map(|running| {
            let status = status::status(running);
            shown(&running.job, &status, file_of(running.id()))
        });
        let aside = roster.set_aside.iter().map(|job| shown(&job.plan, &job.status(), file_of(&job.id)));
        let refused = files.iter().filter_map(|file| {
            Some(api::Job {
                id: file.id.clone(),
                state: "refused".to_owned(),
                why: Some(file.refused.clone()?),
                file: Some(file.file.display().to_string()),
                ..api::Job::default()
            })
        });
        let mut jobs: Vec<api::Job> = running.chain(aside).chain(refused).collect();
        jobs.sort_by(|a, b| a.id.cmp(&b.id));
        jobs
    }
}

fn shown(plan: &JobPlan, status: &api::PipelineStatus, file: Option<String>) -> api::Job {
    api::Job {
        id: plan.id().to_owned(),
        state: status.state.to_string(),
        why: status.why.clone(),
        kind: plan.kind().to_owned(),
        sources: plan.sources().into_iter().flat_map(|source| source.shown()).collect(),
        targets: plan.targets(),
        file,
    }
}
