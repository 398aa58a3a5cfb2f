//! One running pipeline: its ingest thread, its delivery tasks, and what the agent asks of them.
//!
//! Promises: how the ingest loop ended is kept; joining is bounded. Does not know the other pipelines.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::build::{Built, BuiltSink, SinkDoor};
use super::deliver::{self, Delivery};
use super::ingest::Signals;
use super::query_outputs::Sinks;
use super::upserts::Upserts;
use crate::metrics::PipelineMetrics;
use crate::plan::JobPlan;
use crate::record::Timestamp;
use crate::source::Waker;
use crate::store;

/// How often an end that is waited for is looked for.
const LOOK: Duration = Duration::from_millis(2);

/// One running pipeline.
pub(super) struct Running {
    pub(super) job: JobPlan,
    pub(super) bounded: bool,
    pub(super) door: store::Pipeline,
    upserts: Option<Arc<Upserts>>,
    pub(super) sinks: Sinks,
    pub(super) started: Timestamp,
    /// Rows that had come late before this run.
    pub(super) late_before: u64,
    pub(super) deliveries: Vec<Arc<Delivery>>,
    pub(super) metrics: PipelineMetrics,
    pub(super) signals: Arc<Signals>,
    pub(super) waker: Waker,
    ingest: Mutex<Option<JoinHandle<()>>>,
    delivering: Vec<tokio::task::JoinHandle<()>>,
    /// Ends the delivery tasks.
    stop: watch::Sender<bool>,
    outcome: Arc<Mutex<Outcome>>,
}

/// How the ingest loop ended.
#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Runs,
    Ended,
    Failed(String),
}

impl Running {
    /// Must be called on a tokio runtime.
    pub(super) fn start(built: Built) -> std::io::Result<Running> {
        let (stop, stopped) = watch::channel(false);
        let Built { job, ingest, sinks, upserts } = built;
        let names = ingest.sinks.clone();
        let (door, metrics, signals) = (ingest.door.clone(), ingest.metrics.clone(), ingest.signals.clone());
        let (waker, bounded) = (ingest.source.waker(), ingest.once);
        let late_before = metrics.late_rows.get();
        let outcome = Arc::new(Mutex::new(Outcome::Runs));
        let (told, id) = (outcome.clone(), job.id().to_owned());
        let thread = std::thread::Builder::new().name("ingest".to_owned()).spawn(move || {
            let ended = match ingest.run() {
                Ok(()) => Outcome::Ended,
                Err(error) => {
                    tracing::error!(job = %id, %error, "the pipeline can't go on");
                    Outcome::Failed(error.to_string())
                }
            };
            if let Ok(mut outcome) = told.lock() {
                *outcome = ended;
            }
        })?;
        let (mut delivering, mut deliveries) = (Vec::new(), Vec::new());
        for BuiltSink { plan, delivery, door } in sinks {
            deliveries.push(delivery.clone());
            let (metrics, stop) = (metrics.clone(), stopped.clone());
            delivering.push(match door {
                SinkDoor::Store(door) => tokio::spawn(deliver::deliver(door, plan, delivery, metrics, stop)),
                SinkDoor::Query(door) => tokio::spawn(deliver::deliver(door, plan, delivery, metrics, stop)),
            });
        }
        Ok(Running {
            job,
            bounded,
            door,
            upserts,
            sinks: names,
            started: Timestamp::now(),
            late_before,
            deliveries,
            metrics,
            signals,
            waker,
            ingest: Mutex::new(Some(thread)),
            delivering,
            stop,
            outcome,
        })
    }

    pub(super) fn id(&self) -> &str {
        self.job.id()
    }

    /// What is owed, by lane.
    pub(super) fn lanes(&self) -> Vec<store::Lane> {
        let upserts = self.upserts.iter().flat_map(|upserts| upserts.lanes());
        self.door.lanes().into_iter().chain(upserts).collect()
    }

    /// Documents that are owed.
    pub(super) fn owed_records(&self) -> u64 {
        self.lanes().iter().map(|lane| lane.items).sum::<u64>() + self.left()
    }

    /// Documents that are owed and are only in the state.
    fn left(&self) -> u64 {
        self.upserts.as_ref().map_or(0, |upserts| upserts.left())
    }

    /// What is owed to sinks that the script has no more, with their names.
    pub(super) fn held(&self) -> Vec<(String, store::Lane)> {
        self.lanes().into_iter().filter_map(|lane| Some((self.sinks.gone(&lane.index)?, lane))).collect()
    }

    /// Nothing is owed to a sink that there is.
    pub(super) fn delivers_all(&self) -> bool {
        self.left() == 0 && !self.sinks.any_owed(&self.lanes())
    }

    pub(super) fn owed_bytes(&self) -> u64 {
        self.door.owed_bytes() + self.upserts.as_ref().map_or(0, |upserts| upserts.bytes())
    }

    /// Tells both loops to end; [`Running::join`] waits for them.
    pub(super) fn stop(&self) {
        self.signals.stop.store(true, Ordering::Release);
        self.waker.wake();
        self.stop.send_replace(true);
    }

    /// Waits until both loops have ended: then all that was read is committed, and nobody holds anything of the store's.
    /// False: they have not within that time.
    pub(super) fn join(&self, deadline: Instant) -> bool {
        self.join_ingest(deadline) && self.join_delivery(deadline)
    }

    fn join_ingest(&self, deadline: Instant) -> bool {
        let Ok(mut kept) = self.ingest.lock() else { return true };
        let Some(thread) = kept.take() else { return true };
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                *kept = Some(thread); // to be asked again
                return false;
            }
            std::thread::sleep(LOOK);
        }
        thread.join().is_ok()
    }

    fn join_delivery(&self, deadline: Instant) -> bool {
        while self.delivering.iter().any(|task| !task.is_finished()) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// The ingest loop has ended well, or has nothing under way.
    pub(super) fn quiet(&self) -> bool {
        self.ended() || (!self.signals.flush.load(Ordering::Acquire) && self.signals.settled.load(Ordering::Acquire))
    }

    pub(super) fn ended(&self) -> bool {
        self.outcome.lock().is_ok_and(|outcome| matches!(*outcome, Outcome::Ended))
    }

    pub(super) fn failure(&self) -> Option<String> {
        match &*self.outcome.lock().ok()? {
            Outcome::Failed(why) => Some(why.clone()),
            Outcome::Runs | Outcome::Ended => None,
        }
    }

    /// Why nothing more is read until an operator decides.
    pub(super) fn full(&self) -> Option<String> {
        self.signals.parked.lock().ok()?.clone()
    }

    /// When a full buffer was last seen to drop records, in this run.
    pub(super) fn last_dropped(&self) -> Option<Timestamp> {
        Some(Timestamp(self.signals.dropped_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Lets nothing more be read, or lets it go on; says whether that is new.
    pub(super) fn pause(&self, paused: bool) -> bool {
        let before = self.signals.paused.swap(paused, Ordering::AcqRel);
        self.waker.wake();
        before != paused
    }

    pub(super) fn is_paused(&self) -> bool {
        self.signals.paused.load(Ordering::Acquire)
    }

    /// Why a run with an end will not reach it: a query's state is full, and all that was read is committed.
    pub(super) fn stuck(&self) -> Option<String> {
        let signals = &self.signals;
        let settled = signals.settled.load(Ordering::Acquire) && signals.full.load(Ordering::Acquire);
        if self.bounded && settled && !self.ended() { self.full() } else { None }
    }

    pub(super) fn stopping(&self) -> bool {
        self.signals.stop.load(Ordering::Acquire)
    }
}
