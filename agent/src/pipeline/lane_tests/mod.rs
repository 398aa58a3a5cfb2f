//! Delivery as a whole, against a store in memory and a real HTTP server that answers what it is told.

mod door;
mod faults;
mod order;
mod real;
mod secure;
mod server;
mod verdicts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::door::MemoryDoor;
use super::deliver::{Delivery, deliver};
use crate::metrics::PipelineMetrics;
use crate::plan::ElasticsearchPlan;

/// A delivery that runs.
struct Running {
    door: MemoryDoor,
    state: Arc<Delivery>,
    metrics: PipelineMetrics,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// Kept so that it is there as long as the delivery.
    _folder: Option<tempfile::TempDir>,
}

impl Running {
    fn start(plan: ElasticsearchPlan, door: MemoryDoor) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::in_folder(plan, door, folder.path());
        Running { _folder: Some(folder), ..running }
    }

    /// With the memory of the delivery that ran in this folder before.
    fn in_folder(plan: ElasticsearchPlan, door: MemoryDoor, folder: &std::path::Path) -> Running {
        Running::counting(plan, door, folder, PipelineMetrics::default())
    }

    /// One that counts into the metrics of another.
    fn counting(
        plan: ElasticsearchPlan,
        door: MemoryDoor,
        folder: &std::path::Path,
        metrics: PipelineMetrics,
    ) -> Running {
        let state = Arc::new(Delivery::open(folder, "test", None).unwrap());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(deliver(door.clone(), plan, state.clone(), metrics.clone(), stopped));
        Running { door, state, metrics, stop, task, _folder: None }
    }

    /// Waits until `condition` holds.
    async fn until(&self, what: &str, mut condition: impl FnMut(&Running) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "not within 20 s: {what}; owed {}, out {}, requests {}, retries {}; {:?}",
                self.door.owed(),
                self.door.out(),
                self.metrics.requests.get(),
                self.metrics.retries.get(),
                self.state.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_nothing_is_owed(&self) {
        self.until("nothing owed", |running| running.door.owed() == 0).await;
    }

    /// Stops it and says how long that took.
    async fn stop(self) -> (MemoryDoor, Duration) {
        let begun = Instant::now();
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
        (self.door, begun.elapsed())
    }
}
