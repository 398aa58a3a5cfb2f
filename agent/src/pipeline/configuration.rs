//! What the agent runs with, as it was read last: for who wants to see it.
//!
//! Promises: a job is shown as its file was when the plan that runs was made of it, whatever stands in the file by now;
//! nothing in it is secret. Reads no file.

use std::sync::{Mutex, PoisonError};

use splashdam_api::{Configuration, FileSettings, JobConfiguration, Setting};

use super::agent::Agent;
use crate::job::{Files, JobFile, Written, effective, of_buffer, size_of};
use crate::plan::{BufferPlan, JobPlan};

/// The files behind what runs.
#[derive(Default)]
pub(super) struct Configured(Mutex<Files>);

impl Agent {
    /// These files are what the jobs that were started came from.
    pub(crate) fn configured(&self, files: Files) {
        *self.configured.0.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// The same after a reload; of `failed` jobs that run on as they were, what was known before holds.
    pub(crate) fn configured_anew(&self, mut files: Files, failed: &[&str]) {
        let roster = self.roster.now();
        let stays =
            |job: &JobFile| job.refused.is_none() && failed.contains(&job.id.as_str()) && roster.of(&job.id).is_some();
        let mut known = self.configured.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.jobs.retain(|job| !stays(job));
        files.jobs.extend(known.jobs.drain(..).filter(|job| stays(job)));
        *known = files;
    }

    pub(super) fn files(&self) -> Files {
        self.configured.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of one job, or of all with the service.
    ///
    /// # Errors
    /// If there is no such job.
    pub(crate) fn configuration(&self, job: Option<&str>) -> Result<Configuration, String> {
        let files = self.files();
        let mut plans = self.plans();
        plans.sort_by(|a, b| a.id().cmp(b.id()));
        if let Some(id) = job {
            let known: Vec<&str> = plans.iter().map(JobPlan::id).collect();
            if !known.contains(&id) {
                return Err(format!("no job \"{id}\" runs here; there is {}", known.join(", ")));
            }
            plans.retain(|plan| plan.id() == id);
        }
        let service = files.service.as_ref().filter(|_| job.is_none());
        Ok(Configuration {
            service: service.map(|(written, defaults)| FileSettings {
                file: written.file.display().to_string(),
                settings: merged(written, defaults.clone()),
            }),
            jobs: plans.iter().map(|plan| of_job(plan, &files)).collect(),
        })
    }

    /// What all jobs are to do, also of those that were set aside.
    pub(super) fn plans(&self) -> Vec<JobPlan> {
        let roster = self.roster.now();
        let jobs = roster.running.iter().map(|p| &p.job).chain(roster.set_aside.iter().map(|job| &job.plan));
        jobs.cloned().collect()
    }
}

fn of_job(plan: &JobPlan, files: &Files) -> JobConfiguration {
    let unknown = Written::default();
    let written = files.of(plan.id()).unwrap_or(&unknown);
    let named = written.get("sink.datasource").and_then(|name| name.as_str());
    let connection = named.map(|name| files.datasources.iter().flat_map(|file| of_connection(file, name)).collect());
    let connection: Vec<Setting> = connection.unwrap_or_default();
    let mut defaults = match plan {
        JobPlan::Ship(plan) => effective(plan),
        JobPlan::Query(plan) => of_buffer(&plan.buffer).to_vec(),
    };
    defaults.retain(|(key, _)| connection.iter().all(|setting| setting.key != *key));
    let mut settings = merged(written, defaults);
    // The service may have given it less than it asks for.
    let [(key, share), ..] = of_buffer(plan.buffer());
    let asked = written.get(key).map_or(Some(BufferPlan::default().max_bytes), size_of);
    if let Some(own) = settings.iter_mut().find(|setting| setting.key == key)
        && asked != Some(plan.buffer().max_bytes)
    {
        *own =
            Setting { key: key.to_owned(), value: share, from: Some("its share of the service's buffer".to_owned()) };
    }
    settings.extend(connection);
    JobConfiguration {
        id: plan.id().to_owned(),
        file: written.file.display().to_string(),
        settings,
        script: written.script.clone(),
    }
}

/// What a section of `datasources.toml` says, as a part of `[sink]`.
fn of_connection(file: &Written, name: &str) -> Vec<Setting> {
    let prefix = format!("{name}.");
    let keys = file.settings.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)));
    keys.filter(|(key, _)| *key != "type")
        .map(|(key, value)| Setting {
            key: format!("sink.{key}"),
            value: value.clone(),
            from: Some(format!("[{name}] in {}", file.file.display())),
        })
        .collect()
}

/// What is written, and after it what holds where nothing is.
fn merged(written: &Written, defaults: Vec<(&'static str, serde_json::Value)>) -> Vec<Setting> {
    let own =
        written.settings.iter().map(|(key, value)| Setting { key: key.clone(), value: value.clone(), from: None });
    let missing = defaults.into_iter().filter(|(key, _)| written.get(key).is_none()).map(|(key, value)| Setting {
        key: key.to_owned(),
        value,
        from: Some("default".to_owned()),
    });
    own.chain(missing).collect()
}
