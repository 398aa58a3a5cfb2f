//! All jobs at a glance: what each is, how it is in a word, and which file says so. Also of those that were set aside,
//! and of files that are refused.
//!
//! Knows files by what the commands tell; reads none.

use splashdam_api as api;

use super::agent::Agent;
use super::status;
use crate::plan::JobPlan;

impl Agent {
    /// Which files there is no job of, and why, a line for each.
    pub(super) fn refused_files(&self) -> Vec<String> {
        let files = self.files();
        let refused = files.jobs.iter().filter_map(|job| Some((&job.written.file, job.refused.as_ref()?)));
        refused.map(|(file, why)| format!("{} is refused: {why}", file.display())).collect()
    }

    /// All jobs, by their ids.
    pub(crate) fn list_jobs(&self) -> Vec<api::Job> {
        let files = self.files();
        let file_of = |id: &str| files.of(id).map(|written| written.file.display().to_string());
        let roster = self.roster.now();
        let running = roster.running.iter().map(|running| {
            let status = status::status(running);
            shown(&running.job, &status, file_of(running.id()))
        });
        let aside = roster.set_aside.iter().map(|job| shown(&job.plan, &job.status(), file_of(&job.id)));
        let refused = files.jobs.iter().filter_map(|job| {
            Some(api::Job {
                id: job.id.clone(),
                state: "refused".to_owned(),
                why: Some(job.refused.clone()?),
                file: Some(job.written.file.display().to_string()),
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
