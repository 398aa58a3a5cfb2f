//! The running agent: opens the store, starts a pipeline for each plan, answers questions about them, ends them.
//! (How it takes up other plans while it runs is in `reload`.)
//!
//! Promises: stopping never waits for Elasticsearch and is over within a bound; a pipeline that fails says why
//! and leaves the others alone, and so does one that can't even be started.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use splashdam_api as api;

use super::build::Site;
use super::codec::Pool;
use super::configuration::Configured;
use super::connections::Named;
use super::reload::Reloads;
use super::resets;
use super::roster::{Roster, Shown};
use super::running::Running;
use super::set_aside::SetAside;
use super::status::{self, held};
use super::tap::Taps;
use super::versions;
use crate::metrics::Metrics;
use crate::plan::{Durability, JobPlan};
use crate::record::Timestamp;
use crate::source::SourceError;
use crate::store::{self, Options, Store, StoreError};

/// How long a flush waits for acknowledgements.
const FLUSH_WAIT: Duration = Duration::from_secs(10);

/// How to run, apart from the jobs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) agent_id: Option<String>,
    pub(crate) once: bool,
    /// Queries begin anew, with their state and positions forgotten.
    pub(crate) reset_state: bool,
    /// It runs until it is told to end: advice names `--begin-anew JOB-ID`, since `--reset-state` is only of `run`.
    pub(crate) service: bool,
    /// Jobs that go on although they have lost their positions, or their state fits no more.
    pub(crate) begin_anew: Vec<String>,
    /// Files with named connections, for who wants to try one.
    pub(crate) datasources: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("job {job}: {error}")]
    Source { job: String, error: SourceError },
    #[error("job {job}: {said}")]
    Query { job: String, said: String },
    #[error("what is remembered of the cluster of job {job} can't be read: {error}")]
    Remembered { job: String, error: std::io::Error },
    #[error("--begin-anew {0}: there is no such job")]
    NoJob(String),
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// What is wrong with one job, where that is no reason for the others not to run; else the error as it is.
    pub(super) fn of_one_job(self) -> Result<String, StartError> {
        match self {
            StartError::Source { error, .. } => Ok(error.to_string()),
            StartError::Query { said, .. } => Ok(said),
            StartError::Remembered { .. } => Ok(self.to_string()),
            StartError::Store(_) | StartError::NoJob(_) | StartError::Thread(_) => Err(self),
        }
    }
}

/// With less room on the disk than this nothing more is taken in.
pub(super) const MIN_FREE_BYTES: u64 = 128 << 20;

/// All that runs. Used as `Arc<Agent>`.
pub(crate) struct Agent {
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    /// What runs now, and what was set aside.
    pub(super) roster: Shown,
    /// Held while the roster is exchanged.
    pub(super) changing: Mutex<()>,
    pub(super) stopping: AtomicBool,
    pub(super) reloads: Reloads,
    pub(super) taps: Taps,
    pub(super) settings: Settings,
    pub(super) configured: Configured,
    pool: Arc<Pool>,
    workers: usize,
    host: String,
    started: Timestamp,
}

/// Counts that the progress line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) read: u64,
    pub(crate) total: u64,
    pub(crate) records: u64,
    pub(crate) owed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) dead_letters: u64,
    /// Rows that queries dropped because they came late, and those before this run.
    pub(crate) late: u64,
    pub(crate) late_before: u64,
    /// Rows that queries dropped for a NULL.
    pub(crate) null: u64,
    /// Records that `when_full` dropped since the data directory was made.
    pub(crate) dropped: u64,
}

impl Agent {
    /// Opens the store and starts everything. Must be called on a tokio runtime; blocks while the store opens.
    ///
    /// # Errors
    /// If the store can't be opened; nothing runs then. A job that can't be started is set aside.
    pub(crate) fn start(settings: &Settings, jobs: Vec<JobPlan>) -> Result<Agent, StartError> {
        if let Some(unknown) = settings.begin_anew.iter().find(|id| !jobs.iter().any(|job| job.id() == **id)) {
            return Err(StartError::NoJob(unknown.clone()));
        }
        let store = Store::open(Options {
            dir: settings.data_dir.clone(),
            durability: settings.durability,
            segment_bytes: 64 << 20,
            rewind: versions::rewind,
            min_free_bytes: MIN_FREE_BYTES,
            ballast_bytes: 64 << 20,
            agent_id: settings.agent_id.clone(),
            machine: std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned(),
        })?;
        let metrics = Metrics::new();
        let workers = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
        let pool = Arc::new(Pool::start(workers)?);
        // What is begun anew is so once, and not at every reload.
        let later = Settings { reset_state: false, begin_anew: Vec::new(), ..settings.clone() };
        let agent = Agent {
            store,
            metrics,
            roster: Shown::default(),
            changing: Mutex::default(),
            stopping: AtomicBool::new(false),
            reloads: Reloads::default(),
            taps: Taps::default(),
            settings: later,
            configured: Configured::default(),
            pool,
            workers,
            host: host_name(),
            started: Timestamp::now(),
        };
        let site = Site { settings, ..agent.site() };
        let (mut ready, mut roster) = (Vec::new(), Roster::default());
        for job in jobs {
            let (id, buffer) = (job.id().to_owned(), job.buffer().clone());
            match site.build(job.clone()) {
                Ok(built) => ready.push(built),
                Err(error) => {
                    let why = error.of_one_job()?;
                    let door = agent.store.pipeline(&id, &buffer)?;
                    roster.set_aside.push(Arc::new(SetAside { door, id, why, plan: job }));
                }
            }
        }
        for built in ready {
            roster.running.push(Arc::new(Running::start(built)?));
        }
        agent.roster.show(roster);
        Ok(agent)
    }

    /// What pipelines are built with.
    pub(super) fn site(&self) -> Site<'_> {
        let Agent { settings, store, metrics, pool, workers, host, .. } = self;
        Site { settings, store, metrics, pool, workers: *workers, host }
    }

    /// Ends everything: what was read is committed, the store is closed. Blocking, at most about `within`.
    ///
    /// # Errors
    /// If something was not over in time or failed; what was committed is safe all the same.
    pub(crate) fn stop(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        self.stopping.store(true, Ordering::Release);
        self.roster.now().running.iter().for_each(|running| running.stop());
        // A reload that is under way sees that, and is over soon.
        while self.changing.try_lock().is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let roster = self.roster.now();
        roster.running.iter().for_each(|running| running.stop());
        let late: Vec<&str> = roster.running.iter().filter(|r| !r.join(deadline)).map(|r| r.id()).collect();
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(200));
        self.store.close(left).map_err(|e| e.to_string())?;
        if late.is_empty() { Ok(()) } else { Err(format!("not over in time: {}", late.join(", "))) }
    }

    /// Every source has an end, so that `finished` will come.
    pub(crate) fn is_bounded(&self) -> bool {
        self.roster.now().running.iter().all(|p| p.bounded)
    }

    /// Every source that can still be read was bounded and has been read to its end, and nothing is owed any more.
    pub(crate) fn finished(&self) -> bool {
        let over = |p: &Running| (p.ended() || p.stuck().is_some()) && p.delivers_all();
        self.roster.now().running.iter().all(|p| p.failure().is_some() || over(p))
    }

    /// Why runs with an end will not reach it, a line for each.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let told = |p: &Arc<Running>| Some(format!("job {}: {}", p.id(), p.stuck()?));
        self.roster.now().running.iter().filter_map(told).collect()
    }

    /// What is owed to sinks that scripts have no more, a line for each.
    pub(crate) fn held(&self) -> Vec<String> {
        let of = |p: &Running| -> Vec<String> {
            p.held().into_iter().map(|(sink, lane)| format!("job {}: {}", p.id(), held(&sink, &lane))).collect()
        };
        self.roster.now().running.iter().flat_map(|p| of(p)).collect()
    }

    /// Why jobs could not be started or have failed since, if any did.
    pub(crate) fn failures(&self) -> Vec<String> {
        let roster = self.roster.now();
        let aside = roster.set_aside.iter().map(|job| format!("job {}: {}", job.id, job.why));
        let failed = |p: &Arc<Running>| p.failure().map(|why| format!("job {}: {why}", p.id()));
        aside.chain(roster.running.iter().filter_map(failed)).collect()
    }

    /// How many jobs were started.
    pub(crate) fn jobs(&self) -> usize {
        self.roster.now().running.len()
    }

    /// Why the store has stopped by itself, if it has: then nothing goes on.
    pub(crate) fn store_failure(&self) -> Option<String> {
        self.store.failure()
    }

    /// Turns of all ingest loops that have not ended, with their jobs: a loop moves if they become more, at the latest
    /// after [`Agent::wake`].
    pub(crate) fn turns(&self) -> Vec<(String, u64)> {
        let roster = self.roster.now();
        let moving = roster.running.iter().filter(|p| !p.ended() && p.failure().is_none());
        moving.map(|p| (p.id().to_owned(), p.signals.turns.load(Ordering::Relaxed))).collect()
    }

    /// Lets the ingest loop of a job turn although there is nothing to do.
    pub(crate) fn wake(&self, job: &str) {
        if let Some(running) = self.roster.now().of(job) {
            running.waker.wake();
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        for p in &self.roster.now().running {
            sum.read += p.signals.read.load(Ordering::Relaxed);
            sum.total += p.signals.total.load(Ordering::Relaxed);
            sum.records += p.metrics.read_records.get();
            sum.owed += p.owed_records();
            sum.acknowledged += p.metrics.acknowledged_records.get();
            sum.dead_letters += p.metrics.dead_letters.get();
            sum.late += p.metrics.late_rows.get().saturating_sub(p.late_before);
            sum.late_before += p.late_before;
            sum.null += p.metrics.null_rows.get();
            sum.dropped += p.door.counters().dropped_items;
        }
        sum.owed += self.roster.now().set_aside.iter().map(|job| job.owed_records()).sum::<u64>();
        sum
    }

    pub(crate) fn status(&self) -> api::Status {
        let health = self.store.health();
        let roster = self.roster.now();
        let aside = roster.set_aside.iter().map(|job| job.status());
        let pipelines: Vec<_> = roster.running.iter().map(|running| status::status(running)).chain(aside).collect();
        let mut notes = health.degraded.clone();
        let idle = |id: &String| !pipelines.iter().any(|p| p.id == *id);
        notes.extend(self.store.pipelines().into_iter().filter(idle).map(|id| {
            format!("the data directory remembers the job {id}, which does not run: what it owes waits until it does")
        }));
        let stands =
            |p: &api::PipelineStatus| matches!(p.state, api::State::Failed | api::State::Parked | api::State::DiskFull);
        notes.extend(roster.notes.iter().cloned());
        let refused = self.refused_files();
        let well = health.degraded.is_empty() && refused.is_empty() && !pipelines.iter().any(stands);
        notes.extend(refused);
        api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            agent_id: self.store.agent_id().to_string(),
            started_at: self.started.to_rfc3339(),
            health: if well { api::Health::Ok } else { api::Health::Degraded },
            notes,
            data_dir: self.settings.data_dir.display().to_string(),
            pipelines,
        }
    }

    /// Prometheus text.
    pub(crate) fn metrics_text(&self) -> String {
        for running in &self.roster.now().running {
            running.metrics.owed_records.set(running.owed_records() as i64);
            running.metrics.owed_bytes.set(running.owed_bytes() as i64);
            let kept = running.door.counters(); // since the data directory was made
            raise(&running.metrics.dropped_records, kept.dropped_items);
            raise(&running.metrics.quarantined_records, kept.quarantined_items);
        }
        for job in &self.roster.now().set_aside {
            let metrics = self.metrics.pipeline(&job.id);
            metrics.owed_records.set(job.owed_records() as i64);
            metrics.owed_bytes.set(job.door.owed_bytes() as i64);
        }
        let health = self.store.health();
        self.metrics.segments.set(health.segments as i64);
        self.metrics.disk_bytes.set(health.disk_bytes as i64);
        self.metrics.render()
    }

    pub(crate) fn positions(&self, pipeline: Option<&str>) -> Vec<api::PipelinePositions> {
        let roster = self.roster.now();
        let wanted = |(id, _): &(&str, _)| pipeline.is_none_or(|wanted| wanted == *id);
        let shown = |(id, door): (&str, _)| api::PipelinePositions {
            pipeline: id.to_owned(),
            positions: status::positions(door, roster.of(id).map_or(&[], |p| &p.signals.watches)),
        };
        roster.doors().filter(wanted).map(shown).collect()
    }

    /// Lets nothing more of one job, or of all, be read, or lets it go on; what was read is shipped. Gives the jobs for
    /// which that is new.
    ///
    /// # Errors
    /// If there is no such pipeline.
    pub(crate) fn pause(&self, pipeline: Option<&str>, paused: bool) -> Result<api::Steered, String> {
        if let Some(id) = pipeline {
            self.door(id)?;
        }
        let roster = self.roster.now();
        let chosen = roster.running.iter().filter(|p| pipeline.is_none_or(|id| id == p.id()));
        let changed: Vec<String> = chosen.filter(|p| p.pause(paused)).map(|p| p.id().to_owned()).collect();
        for job in &changed {
            let what = if paused { "reading is paused by an operator" } else { "an operator lets reading go on" };
            tracing::info!(%job, "{what}");
        }
        Ok(api::Steered { pipelines: changed })
    }

    /// Commits what lingers, retries parked lanes now, waits until all is acknowledged (10 s at most).
    ///
    /// # Errors
    /// If there is no such pipeline.
    pub(crate) async fn flush(&self, pipeline: Option<&str>) -> Result<api::Flushed, String> {
        if let Some(id) = pipeline {
            self.door(id)?;
        }
        let roster = self.roster.now();
        let chosen: Vec<_> = roster.running.iter().filter(|p| pipeline.is_none_or(|id| id == p.id())).collect();
        for running in &chosen {
            running.signals.flush.store(true, Ordering::Release);
            running.signals.settled.store(false, Ordering::Release);
            running.deliveries.iter().for_each(|delivery| delivery.retry_now());
            running.waker.wake();
        }
        let before: Vec<u64> = chosen.iter().map(|p| p.metrics.acknowledged_records.get()).collect();
        let deadline = Instant::now() + FLUSH_WAIT;
        while chosen.iter().any(|p| !p.quiet() || !p.delivers_all()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let flushed = |(p, before): (&&Arc<Running>, u64)| {
            let status = status::status(p);
            let owed_records = status.owed_records;
            let why = status.why.or(status.last_error).filter(|_| owed_records > 0);
            api::FlushedPipeline {
                id: status.id,
                acknowledged_records: status.acknowledged_records - before,
                owed_records,
                owed_bytes: status.owed_bytes,
                why,
            }
        };
        let aside = roster.set_aside.iter().filter(|job| pipeline.is_none_or(|id| id == job.id));
        let aside = aside.map(|job| job.flushed());
        Ok(api::Flushed { pipelines: chosen.iter().zip(before).map(flushed).chain(aside).collect() })
    }

    /// Lets a job read again, or shows what that would be.
    ///
    /// # Errors
    /// Why it can't be done.
    pub(crate) async fn reset_positions(&self, reset: &api::Reset) -> Result<api::ResetSources, String> {
        let running = self.roster.now().of(&reset.pipeline).cloned();
        match running {
            Some(running) => resets::reset(&running, reset).await,
            None => Err(format!("the job {} does not run", reset.pipeline)),
        }
    }

    /// Tries what a job, or a named connection, connects to.
    ///
    /// # Errors
    /// There is neither of that name.
    pub(crate) async fn test_connection(&self, name: &str) -> Result<api::Connections, String> {
        let named = Named { jobs: self.plans(), datasources: self.settings.datasources.clone() };
        named.test(name).await
    }

    /// # Errors
    /// There is no such job.
    pub(super) fn door(&self, pipeline: &str) -> Result<store::Pipeline, String> {
        let roster = self.roster.now();
        roster.doors().find(|(id, _)| *id == pipeline).map(|(_, door)| door.clone()).ok_or_else(|| {
            let known: Vec<_> = roster.doors().map(|(id, _)| id).collect();
            format!("no pipeline {pipeline:?}; there are: {}", known.join(", "))
        })
    }
}

/// Sets a counter that someone else counts.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// This machine's name, as documents show it.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
