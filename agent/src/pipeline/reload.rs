//! Other plans for a running agent: what is unchanged runs on untouched, what is gone ends and keeps what it owes,
//! what is new starts, what has changed is ended and started again from its own positions.
//!
//! Promises: a changed job that can't be started runs on as it was before, and it is said why; nobody but the changed
//! ones is held up. Reads no files: whether plans are good is found before.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use splashdam_api::{FailedJob, Reloaded};
use tokio::sync::{mpsc, oneshot};

use super::agent::Agent;
use super::roster::Roster;
use super::running::Running;
use super::set_aside::SetAside;
use crate::plan::JobPlan;

/// How long a pipeline may take to commit what it has read and to end.
const END_WITHIN: Duration = Duration::from_secs(10);
/// While one is waited for, it is looked so often whether the agent is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// So many may wait for a reload.
const WAITING: usize = 4;

const NOBODY: &str = "this agent runs the jobs that it was started with; only the service (`splashdam serve`) has a \
     configuration to read again";

/// Who wants a reload, and is told how it went.
pub(crate) type Asking = oneshot::Sender<Result<Reloaded, String>>;

/// The way to whoever reads the configuration.
#[derive(Default)]
pub(super) struct Reloads(OnceLock<mpsc::Sender<Asking>>);

impl Agent {
    /// Who calls this answers all requests for a reload from now on. `None`: somebody does already.
    pub(crate) fn take_reloads(&self) -> Option<mpsc::Receiver<Asking>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.reloads.0.set(sender).ok().map(|()| receiver)
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) async fn ask_for_reload(&self) -> Result<Reloaded, String> {
        let (asking, answer) = oneshot::channel();
        let reloads = self.reloads.0.get().ok_or(NOBODY)?;
        reloads.try_send(asking).map_err(|_| "other reloads are waiting; ask again when they are done".to_owned())?;
        answer.await.unwrap_or_else(|_| Err("the agent is stopping".to_owned()))
    }

    /// The configuration was refused: all goes on as it was, and `status` says so until the next reload.
    pub(crate) fn refuse_reload(&self, why: &str) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let note = format!("the last reload was refused, and all runs on as before: {}", lines.join("; "));
        self.roster.show(Roster { notes: vec![note], ..Roster::clone(&self.roster.now()) });
    }

    /// Takes up `jobs` instead of those that run. Blocking; must be called on a tokio runtime.
    ///
    /// # Errors
    /// If the agent is stopping.
    pub(crate) fn reload(&self, jobs: Vec<JobPlan>) -> Result<Reloaded, String> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.roster.now();
        let (kept, others): (Vec<JobPlan>, Vec<JobPlan>) =
            jobs.into_iter().partition(|job| before.of(job.id()).is_some_and(|running| runs_as(running, job)));
        let is_kept = |running: &&Arc<Running>| kept.iter().any(|job| job.id() == running.id());
        let (staying, ending): (Vec<_>, Vec<_>) = before.running.iter().partition(is_kept);
        ending.iter().for_each(|running| running.stop());
        let deadline = Instant::now() + END_WITHIN;
        let mut change = Change {
            agent: self,
            next: Roster { running: staying.into_iter().cloned().collect(), ..Roster::default() },
            told: Reloaded { unchanged: kept.iter().map(|job| job.id().to_owned()).collect(), ..Reloaded::default() },
        };
        for running in ending {
            let job = others.iter().find(|job| job.id() == running.id());
            if !self.has_ended(running, deadline)? {
                change.linger(running);
            } else if let Some(job) = job {
                change.exchange(running, job.clone());
            } else {
                change.end(running);
            }
        }
        for job in others.into_iter().filter(|job| before.of(job.id()).is_none()) {
            change.add(job);
        }
        let Change { mut next, mut told, .. } = change;
        next.running.sort_by(|a, b| a.id().cmp(b.id()));
        told.unchanged.sort();
        next.notes =
            told.failed.iter().map(|FailedJob { id, why }| format!("job {id}, at the last reload: {why}")).collect();
        self.roster.show(next);
        Ok(told)
    }

    /// False: it is not over in time.
    fn has_ended(&self, running: &Running, deadline: Instant) -> Result<bool, String> {
        loop {
            if running.join(deadline.min(Instant::now() + LOOK)) {
                return Ok(true);
            }
            if self.stopping.load(Ordering::Acquire) {
                return Err("the agent is stopping".to_owned());
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }

    /// Builds and starts a job.
    fn launch(&self, job: JobPlan) -> Result<Arc<Running>, String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("the agent is stopping".to_owned());
        }
        let built =
            self.site().build(job).map_err(|error| error.of_one_job().unwrap_or_else(|error| error.to_string()))?;
        Running::start(built).map(Arc::new).map_err(|error| format!("can't start a thread: {error}"))
    }
}

/// It does what `job` says, and is not about to end or broken.
fn runs_as(running: &Running, job: &JobPlan) -> bool {
    running.job == *job && running.failure().is_none() && !running.stopping()
}

/// The roster that is to be, and what is told of it.
struct Change<'a> {
    agent: &'a Agent,
    next: Roster,
    told: Reloaded,
}

impl Change<'_> {
    /// It did not end in time. It goes on ending, and the next reload looks at it again.
    fn linger(&mut self, running: &Arc<Running>) {
        let why = format!("it was told to end and has not within {} s; reload again", END_WITHIN.as_secs());
        self.failed(running.id(), why);
        self.next.running.push(running.clone());
    }

    /// Another plan for a job whose pipeline has ended; if it can't be started, the former one.
    fn exchange(&mut self, former: &Arc<Running>, job: JobPlan) {
        let id = job.id().to_owned();
        let back = former.job.clone();
        let same = back == job;
        match self.agent.launch(job.clone()) {
            Ok(running) => {
                self.next.running.push(running);
                self.told.changed.push(id);
            }
            Err(why) if same => self.set_aside(&job, why),
            Err(why) => match self.agent.launch(back) {
                Ok(running) => {
                    self.next.running.push(running);
                    self.failed(&id, format!("{why}\nIt runs on as it was."));
                }
                Err(_) => self.set_aside(&job, why),
            },
        }
    }

    /// A job that is no more: what it owes stays in the store.
    fn end(&mut self, former: &Running) {
        self.agent.metrics.forget(former.id());
        self.told.stopped.push(former.id().to_owned());
    }

    fn add(&mut self, job: JobPlan) {
        match self.agent.launch(job.clone()) {
            Ok(running) => {
                self.told.started.push(running.id().to_owned());
                self.next.running.push(running);
            }
            Err(why) => self.set_aside(&job, why),
        }
    }

    fn set_aside(&mut self, job: &JobPlan, why: String) {
        let id = job.id().to_owned();
        self.failed(&id, why.clone());
        // Without a store there is nothing that could be shown of it, and nothing goes on anyway.
        if let Ok(door) = self.agent.store.pipeline(&id, job.buffer()) {
            self.next.set_aside.push(Arc::new(SetAside { id, why, door, plan: job.clone() }));
        }
    }

    fn failed(&mut self, id: &str, why: String) {
        self.told.failed.push(FailedJob { id: id.to_owned(), why });
    }
}
