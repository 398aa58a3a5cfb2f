//! The doctor: looks at everything around the agent that can go wrong, and says of each what to do next.
//!
//! Promises: nothing is changed anywhere; every look has a bound in time, and so has the whole; no secret is told. What can't be found out is left out or said to be so, and never called well. One at a time.

mod cluster;
mod fields;
mod letters;
mod machine;
mod paths;

use std::future::Future;
use std::time::Duration;

use splashdam_api::{Check, Diagnosis, State, Verdict};
use tokio::sync::{Semaphore, oneshot};

use super::agent::Agent;
use super::connections::test_job;
use super::status;
use crate::plan::JobPlan;

/// One look may take so long.
const LOOK: Duration = Duration::from_secs(12);
/// So many jobs are looked at at once.
const AT_ONCE: usize = 4;
/// All of it may take so long; what is not done then is said.
const ALL: Duration = Duration::from_secs(50);

/// Looks at files that hang in a dead file system keep their places, so that no more of them pile up. They have threads
/// of their own: those of the runtime are delivery's.
static LOOKS: Semaphore = Semaphore::const_new(AT_ONCE);
static DOCTORS: Semaphore = Semaphore::const_new(1);

impl Agent {
    /// Looks at the machine, the agent and all jobs.
    ///
    /// # Errors
    /// If somebody else is just being told.
    pub(crate) async fn doctor(&self) -> Result<Diagnosis, String> {
        let Ok(_only) = DOCTORS.try_acquire() else {
            return Err("the doctor is here already: ask again in a minute".to_owned());
        };
        let mut checks = self.of_the_agent();
        let deadline = tokio::time::Instant::now() + ALL;
        let (folder, wanted) = (self.settings.data_dir.clone(), self.most_on_disk());
        let kept = self.store.health().disk_bytes;
        checks.extend(blocking(None, "machine", move || machine::look(&folder, wanted, kept)).await);
        let mut waiting = self.plans();
        waiting.sort_by(|a, b| b.id().cmp(a.id()));
        let (mut under_way, mut done) = (tokio::task::JoinSet::new(), Vec::new());
        while !waiting.is_empty() || !under_way.is_empty() {
            while under_way.len() < AT_ONCE
                && let Some(job) = waiting.pop()
            {
                let letters = self.letters_of(job.id());
                under_way.spawn(async move { (job.id().to_owned(), of_job(&job, letters).await) });
            }
            match tokio::time::timeout_at(deadline, under_way.join_next()).await {
                Ok(Some(Ok(looked))) => done.push(looked),
                Ok(Some(Err(error))) => {
                    checks.push(check(None, "doctor", Verdict::Warn, format!("a look broke off: {error}")))
                }
                Ok(None) => {}
                Err(_elapsed) => {
                    let late = format!("{} jobs were not looked at in time", waiting.len() + under_way.len());
                    checks.push(check(None, "doctor", Verdict::Warn, late));
                    break;
                }
            }
        }
        done.sort_by(|a, b| a.0.cmp(&b.0));
        checks.extend(done.into_iter().flat_map(|(_, checks)| checks));
        Ok(Diagnosis { checks })
    }

    /// What the store and the jobs say of themselves.
    fn of_the_agent(&self) -> Vec<Check> {
        let mut checks: Vec<Check> =
            self.store.health().degraded.into_iter().map(|why| check(None, "store", Verdict::Bad, why)).collect();
        if checks.is_empty() {
            checks.push(check(None, "store", Verdict::Ok, "what is owed is kept well".to_owned()));
        }
        for why in self.refused_files() {
            checks.push(advised(check(None, "jobs", Verdict::Bad, why), "put right what it says; splashctl reload"));
        }
        let roster = self.roster.now();
        let aside = roster.set_aside.iter().map(|job| job.status());
        let all: Vec<_> = roster.running.iter().map(|running| status::status(running)).chain(aside).collect();
        if all.is_empty() {
            let none = check(None, "jobs", Verdict::Warn, "no job is running".to_owned());
            checks.push(advised(none, "put one into the service's jobs_dir, and splashctl reload"));
        }
        for job in all {
            let verdict = match job.state {
                State::Failed | State::Parked | State::DiskFull => Verdict::Bad,
                State::Full | State::Paused => Verdict::Warn,
                _ => Verdict::Ok,
            };
            let why = job.why.map_or_else(String::new, |why| format!(": {why}"));
            let found = check(Some(&job.id), "state", verdict, format!("{}{why}", job.state));
            checks.push(match job.state {
                State::Failed => advised(found, "put right what it says; splashctl reload, or start the agent again"),
                State::Parked => advised(found, "put right what it says; splashctl flush tries again at once"),
                State::DiskFull => advised(found, "make room on the disk of the data directory"),
                State::Full => advised(found, "see whether the cluster takes documents; else raise buffer.max_bytes"),
                State::Paused => advised(found, &format!("splashctl resume {}", job.id)),
                _ => found,
            });
        }
        checks
    }

    /// What all jobs together may put on the disk.
    fn most_on_disk(&self) -> u64 {
        let of = |plan: &JobPlan| plan.buffer().max_bytes.saturating_add(plan.buffer().dead_letters_max_bytes);
        self.plans().iter().map(of).fold(0, u64::saturating_add)
    }

    /// The door to a job's dead letters.
    fn letters_of(&self, job: &str) -> Option<crate::store::Pipeline> {
        let roster = self.roster.now();
        roster.doors().find(|(id, _)| *id == job).map(|(_, door)| door.clone())
    }
}

async fn of_job(job: &JobPlan, letters: Option<crate::store::Pipeline>) -> Vec<Check> {
    let id = job.id();
    let plan = job.clone();
    let mut checks = blocking(Some(id), "paths", move || paths::look(&plan)).await;
    checks.extend(in_time(Some(id), "connection", connections(job)).await);
    for sink in cluster::sinks(job) {
        // Of a cluster that can't be reached nothing more is to be asked.
        if checks.iter().any(|check| check.name == "connection" && check.verdict == Verdict::Bad) {
            break;
        }
        checks.extend(in_time(Some(id), "cluster", cluster::look(id, &sink)).await);
    }
    if let Some(door) = letters {
        let of = id.to_owned();
        checks.extend(blocking(Some(id), "dead letters", move || letters::look(&of, &door)).await);
    }
    checks
}

/// Every connection of a job, tried.
async fn connections(job: &JobPlan) -> Vec<Check> {
    let tested = test_job(job).await;
    let shown = |one: splashdam_api::Connection| {
        if one.connectable {
            let found = format!("{}: {}", one.what, one.found.join("; "));
            return check(Some(job.id()), "connection", Verdict::Ok, found);
        }
        let (step, reason) = (one.step.unwrap_or_default(), one.reason.unwrap_or_default());
        let found = check(Some(job.id()), "connection", Verdict::Bad, format!("{} ({step}): {reason}", one.what));
        advised(found, &format!("put it right, then splashctl test-connection {}", job.id()))
    };
    tested.connections.into_iter().map(shown).collect()
}

/// A look that ends in time, or is said not to have.
async fn in_time(job: Option<&str>, name: &str, look: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    tokio::time::timeout(LOOK, look).await.unwrap_or_else(|_elapsed| {
        vec![check(job, name, Verdict::Bad, format!("there was no end of it within {} s", LOOK.as_secs()))]
    })
}

async fn blocking(job: Option<&str>, name: &str, look: impl FnOnce() -> Vec<Check> + Send + 'static) -> Vec<Check> {
    in_time(job, name, async {
        let Ok(place) = LOOKS.acquire().await else { return Vec::new() };
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("doctor".to_owned()).spawn(move || {
            let _place = place;
            // Who waits may have given up.
            drop(tell.send(look()));
        });
        let looked = match thread {
            Ok(_) => told.await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        looked.unwrap_or_else(|error| vec![check(job, name, Verdict::Warn, format!("a look broke off: {error}"))])
    })
    .await
}

fn check(job: Option<&str>, name: &str, verdict: Verdict, found: String) -> Check {
    Check { job: job.map(str::to_owned), name: name.to_owned(), verdict, found, advice: None }
}

fn advised(check: Check, advice: &str) -> Check {
    Check { advice: Some(advice.to_owned()), ..check }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    /// All the threads that tokio has for blocking work could hang in a dead file system.
    #[test]
    fn looks_that_hang_hold_no_thread_of_the_runtime() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let barrier = Arc::new(Barrier::new(2));
            let held = barrier.clone();
            let hanging = tokio::spawn(blocking(None, "paths", move || {
                held.wait();
                Vec::new()
            }));
            let done = tokio::task::spawn_blocking(move || barrier.wait());
            tokio::time::timeout(Duration::from_secs(60), done).await.unwrap().unwrap();
            assert_eq!(hanging.await.unwrap().len(), 0);
        });
    }
}
