//! What a pipeline says of itself: one word, and why.

use splashdam_api::{self as api, ParkedLane, PipelineStatus, ShardStatus, State};

use super::deliver::{DeliveryStatus, Parked};
use super::query_outputs::Sinks;
use super::running::Running;
use super::versions;
use crate::record::Timestamp;
use crate::source::Source;
use crate::source::sls::{ShardState, SlsWatch};
use crate::store::{self, Room};

/// Assembles the answer from the counters, the door and the delivery state.
pub(super) fn status(running: &Running) -> PipelineStatus {
    let metrics = &running.metrics;
    let (dead_letters, dead_letter_bytes) = running.door.dead_letter_count();
    let owed_records = running.owed_records();
    let delivery = together(running);
    let (state, why) = state(running, &delivery, owed_records);
    let all = delivery.parked.as_ref().map(|parked| shown("*", parked));
    let of_no_sink = |(sink, lane): (String, store::Lane)| ParkedLane {
        why: held(&sink, &lane),
        index: lane.index.to_string(),
        since: running.started.to_rfc3339(),
    };
    let held_lanes: Vec<ParkedLane> = running.held().into_iter().map(of_no_sink).collect();
    let lanes = delivery.parked_lanes.iter().map(|(index, parked)| shown(index, parked));
    PipelineStatus {
        id: running.id().to_owned(),
        state,
        why,
        read_bytes: metrics.read_bytes.get(),
        lag_bytes: u64::try_from(metrics.lag_bytes.get()).unwrap_or(0),
        read_records: metrics.read_records.get(),
        committed_records: metrics.committed_records.get(),
        owed_records,
        owed_bytes: running.owed_bytes(),
        acknowledged_records: metrics.acknowledged_records.get(),
        duplicate_records: metrics.duplicate_records.get(),
        dead_letters,
        dead_letter_bytes,
        untimed_records: metrics.untimed_records.get(),
        late_rows: metrics.late_rows.get(),
        dropped_records: running.door.counters().dropped_items,
        last_dropped: running.last_dropped().map(|at| at.to_rfc3339()),
        gap_bytes: metrics.gap_bytes.get(),
        vanished_files: metrics.vanished_files.get(),
        retries: metrics.retries.get(),
        in_flight: delivery.in_flight as u64,
        last_error: delivery.last_error.map(|(at, error)| format!("{}: {error}", at.to_rfc3339())),
        cluster: Some(delivery.cluster).filter(|cluster| !cluster.is_empty()),
        parked: all.into_iter().chain(lanes).chain(held_lanes).collect(),
        shards: running.signals.watches.iter().flat_map(|watch| watch.shards()).map(shard).collect(),
        quota_waits: metrics.quota_waits.get(),
        expired_groups: metrics.expired_groups.get(),
        deleted_shards: metrics.deleted_shards.get(),
    }
}

fn shard(shard: ShardState) -> ShardStatus {
    let ShardState { shard, state, lag_seconds, quota_waits, problem } = shard;
    ShardStatus { shard, state: state.to_owned(), lag_seconds, quota_waits, problem }
}

/// What all sinks of a pipeline say, as one.
fn together(running: &Running) -> DeliveryStatus {
    let mut all = running.deliveries.iter().map(|delivery| delivery.status());
    let mut sum = all.next().unwrap_or_default();
    for status in all {
        if !status.cluster.is_empty() && !sum.cluster.contains(&status.cluster) {
            sum.cluster = [sum.cluster, status.cluster].join(", ");
        }
        sum.parked = sum.parked.or(status.parked);
        sum.parked_lanes.extend(status.parked_lanes);
        sum.last_error = sum.last_error.max(status.last_error);
        sum.in_flight += status.in_flight;
    }
    sum
}

/// What is said of documents that are owed to a sink which the script has no more.
pub(super) fn held(sink: &str, lane: &store::Lane) -> String {
    let what = if sink.is_empty() { "as a job of another kind".to_owned() } else { format!("to the sink {sink}") };
    let items = splashdam_api::words::plural(lane.items, "document");
    format!(
        "{items} owed {what} are kept: the script has no such sink any more. They are delivered when it has one of that name again; splashctl drop-owed drops them"
    )
}

fn shown(index: &str, parked: &Parked) -> ParkedLane {
    ParkedLane { index: index.to_owned(), why: why(parked), since: parked.since.to_rfc3339() }
}

fn why(parked: &Parked) -> String {
    format!("{}: {}", parked.kind, parked.reason)
}

fn state(running: &Running, delivery: &DeliveryStatus, owed: u64) -> (State, Option<String>) {
    if let Some(error) = running.failure() {
        return (State::Failed, Some(error));
    }
    if running.stopping() {
        return (State::Stopping, None);
    }
    let parked = delivery.parked.as_ref().or(delivery.parked_lanes.first().map(|(_, parked)| parked)).map(why);
    let error = delivery.last_error.as_ref().map(|(_, error)| error.clone()).filter(|_| owed > 0);
    let cause = parked.clone().or_else(|| error.clone());
    if let Some(why) = running.full() {
        return (State::Parked, Some(why));
    }
    match running.door.room() {
        Room::Parked(why) => return (State::Parked, Some(why)),
        Room::DiskFull => return (State::DiskFull, Some("reading waits for space, shipping goes on".to_owned())),
        Room::Full => {
            let because = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            return (State::Full, Some(format!("the buffer is full, reading waits{because}")));
        }
        Room::Yes => {}
    }
    let held = || running.held().first().map(|(sink, lane)| held(sink, lane));
    if let Some(why) = parked.or_else(held) {
        return (State::Parked, Some(why));
    }
    if running.is_paused() {
        return (State::Paused, Some("nothing is read until splashctl resume, or a new start of the agent".to_owned()));
    }
    let silent = delivery.in_flight == 0 || delivery.cluster.is_empty();
    match error {
        Some(error) if silent => (State::Waiting, Some(error)),
        _ => (State::Running, None),
    }
}

/// How far each source of a pipeline is read.
pub(super) fn positions(door: &store::Pipeline, watches: &[SlsWatch]) -> Vec<api::Position> {
    let shown = |p: crate::source::FilePosition| api::Position {
        path: p.path,
        source: p.source.0,
        offset: p.offset,
        size: p.size,
        state: p.state.to_owned(),
        lag_seconds: None,
    };
    let rows: Vec<_> = door.rows().into_iter().filter(|(key, _)| !versions::is_own(*key)).collect();
    let mut positions: Vec<api::Position> = Source::positions(&rows).into_iter().map(shown).collect();
    for held in watches.iter().flat_map(SlsWatch::shards) {
        for position in positions.iter_mut().filter(|position| position.path == held.shard) {
            (position.state, position.lag_seconds) = (held.state.to_owned(), held.lag_seconds);
        }
    }
    positions.sort_by(|a, b| natural(&a.path).cmp(&natural(&b.path)));
    positions
}

/// Shards of one Logstore in the order of their numbers.
fn natural(path: &str) -> (&str, u64) {
    let numbered = path.rsplit_once('/').and_then(|(of, number)| Some((of, number.parse().ok()?)));
    numbered.unwrap_or((path, 0))
}

/// A dead letter as an operator sees it.
pub(super) fn dead_letter(
    pipeline: &str,
    number: u64,
    letter: &crate::record::DeadLetter,
    sinks: &Sinks,
) -> api::DeadLetter {
    api::DeadLetter {
        pipeline: pipeline.to_owned(),
        number,
        at: Timestamp(letter.at_ms).to_rfc3339(),
        index: sinks.shown(&letter.index).to_owned(),
        id: letter.id.clone(),
        kind: letter.kind.clone(),
        reason: letter.reason.clone(),
        status: letter.status,
        action: String::from_utf8_lossy(&letter.action).into_owned(),
        document: String::from_utf8_lossy(&letter.document).into_owned(),
    }
}
