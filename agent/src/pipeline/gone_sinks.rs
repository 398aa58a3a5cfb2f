//! What is owed to sinks that a script has no more: kept until there is one of that name again, or until an operator has
//! it dropped.
//!
//! Promises: of a sink that there is nothing is dropped; a look drops nothing; what was dropped is told in the log.

use std::sync::Arc;

use splashdam_api::{DropOwed, OwedLane, OwedToGone};

use super::agent::Agent;
use super::query_outputs::SINK_MARK;
use super::running::Running;
use crate::store::{self, Lane, Limit, Settled, StoreError};

/// So much is dropped at a time.
const AT_ONCE: Limit = Limit { raw_bytes: 256 << 20, wire_bytes: 256 << 20 };

impl Agent {
    /// Drops what a job owes to sinks that are gone, or shows what that would be.
    ///
    /// # Errors
    /// If there is nothing of the kind, the job does not run, or the store can't write.
    pub(crate) async fn drop_owed(&self, asked: &DropOwed) -> Result<OwedToGone, String> {
        let job = asked.pipeline.as_str();
        let running = self.roster.now().of(job).cloned();
        let Some(running) = running else { return Err(format!("the job {job} does not run")) };
        let held = wanted(&running, asked)?;
        let shown = held.iter().map(|(sink, lane)| shown(sink, lane)).collect();
        if asked.only_look {
            return Ok(OwedToGone { lanes: shown });
        }
        let dropped = tokio::task::spawn_blocking(move || drop_lanes(&running, held)).await;
        let lanes = dropped.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        for lane in &lanes {
            let OwedLane { sink, index, documents, .. } = lane;
            tracing::warn!(%job, %sink, %index, documents, "dropped on an operator's word: what was owed to a sink that is gone");
        }
        Ok(OwedToGone { lanes })
    }
}

fn wanted(running: &Running, asked: &DropOwed) -> Result<Vec<(String, Lane)>, String> {
    let held = running.held();
    let of = |sink: &str| asked.sink.as_deref().is_none_or(|wanted| wanted == sink);
    let found: Vec<(String, Lane)> = held.iter().filter(|(sink, _)| of(sink)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let job = &asked.pipeline;
    let mut names: Vec<&str> = held.iter().map(|(sink, _)| sink.as_str()).collect();
    names.dedup();
    Err(match &asked.sink {
        Some(sink) if running.sinks.has(sink) => {
            format!("{job} has the sink {sink}: what is owed to it is delivered, and not dropped")
        }
        Some(sink) if !names.is_empty() => {
            format!(
                "{job} owes nothing to a sink {sink}; it does to {}, which its script has no more",
                names.join(", ")
            )
        }
        _ => format!("{job} owes nothing to a sink that its script has no more"),
    })
}

fn shown(sink: &str, lane: &Lane) -> OwedLane {
    let index = lane.index.split_once(SINK_MARK).map_or(&*lane.index, |(_, index)| index);
    OwedLane { sink: sink.to_owned(), index: index.to_owned(), documents: lane.items, bytes: lane.bytes }
}

/// Settles the members of these lanes; gives what there was of them. Blocking.
fn drop_lanes(running: &Arc<Running>, held: Vec<(String, Lane)>) -> Result<Vec<OwedLane>, StoreError> {
    let mut dropped = Vec::new();
    for (sink, lane) in held {
        let mut of_lane = OwedLane { documents: 0, bytes: 0, ..shown(&sink, &lane) };
        // A reload may bring the sink back: then it is another pipeline's.
        while !running.stopping() {
            let members = running.door.next(&lane.index, AT_ONCE)?;
            if members.is_empty() {
                break;
            }
            for member in &members {
                of_lane.documents += u64::from(member.owed.as_ref().map_or(member.items, |owed| owed.count()));
                of_lane.bytes += u64::from(member.gzip_len);
            }
            let settled = members.iter().map(|m| Settled { seq: m.seq, member: m.member, still_owed: None }).collect();
            store::wait(running.door.settle(settled, Vec::new())?)?;
        }
        dropped.push(of_lane);
    }
    Ok(dropped)
}
