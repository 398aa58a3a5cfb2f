//! What a pipeline says of itself: one word, and why.

use splashdam_api::{ParkedLane, PipelineStatus, State};

use super::agent::Running;
use crate::record::Timestamp;
use crate::store::Room;

/// Assembles the answer from the counters, the door and the delivery state.
pub(super) fn status(running: &Running) -> PipelineStatus {
    let metrics = &running.metrics;
    let (dead_letters, dead_letter_bytes) = running.door.dead_letter_count();
    let lanes = running.door.lanes();
    let owed_records = lanes.iter().map(|lane| lane.items).sum();
    let delivery = running.delivery.view();
    let (state, why) = state(running, delivery.parked.first().map(|p| p.why.as_str()), delivery.last_error.as_deref());
    PipelineStatus {
        id: running.plan.id.clone(),
        state,
        why,
        read_bytes: metrics.read_bytes.get(),
        lag_bytes: u64::try_from(metrics.lag_bytes.get()).unwrap_or(0),
        read_records: metrics.read_records.get(),
        committed_records: metrics.committed_records.get(),
        owed_records,
        owed_bytes: running.door.owed_bytes(),
        acknowledged_records: metrics.acknowledged_records.get(),
        duplicate_records: metrics.duplicate_records.get(),
        dead_letters,
        dead_letter_bytes,
        gap_bytes: metrics.gap_bytes.get(),
        retries: metrics.retries.get(),
        in_flight: u64::try_from(metrics.in_flight.get()).unwrap_or(0),
        last_error: delivery.last_error,
        cluster: delivery.cluster,
        parked: delivery
            .parked
            .into_iter()
            .map(|p| ParkedLane { index: p.index, why: p.why, since: Timestamp(p.since_ms).to_rfc3339() })
            .collect(),
    }
}

fn state(running: &Running, parked: Option<&str>, last_error: Option<&str>) -> (State, Option<String>) {
    if let Some(error) = running.failure() {
        return (State::Failed, Some(error));
    }
    if running.stopping() {
        return (State::Stopping, None);
    }
    match running.door.room() {
        Room::Parked(why) => return (State::Parked, Some(why)),
        Room::DiskFull => return (State::DiskFull, Some("the disk is full: reading waits, shipping goes on".into())),
        Room::Full => {
            let why = last_error.map_or_else(|| "the buffer is full: reading waits".to_owned(), |e| format!("the buffer is full: {e}"));
            return (State::Full, Some(why));
        }
        Room::Yes => {}
    }
    if let Some(why) = parked {
        return (State::Parked, Some(why.to_owned()));
    }
    if running.metrics.owed_records.get() > 0 {
        if let Some(error) = last_error {
            return (State::Waiting, Some(error.to_owned()));
        }
    }
    (State::Running, None)
}
