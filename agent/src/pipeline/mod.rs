//! The corridor: the only code that sees all rooms. Two loops for each job: `ingest` (source → decode → encode →
//! commit) on a thread of its own, `deliver` (store → Elasticsearch → settle) on the runtime; `agent` starts,
//! shows and ends them, each as a `running`.
//!
//! Promises: data and positions are committed together and in order; everything between two rooms is bounded.

mod agent;
mod allowance;
mod arrivals;
mod build;
mod codec;
mod configuration;
mod connections;
mod dead_letters;
mod deliver;
mod doctor;
mod gathered;
mod gone_sinks;
mod ingest;
mod jobs;
mod lane;
mod lane_attempt;
mod lane_complaints;
mod lane_door;
mod lane_guard;
mod lane_landing;
mod lane_lookup;
mod lane_sink;
mod lane_status;
#[cfg(test)]
mod lane_tests;
mod lane_work;
mod notices;
mod places;
mod query_codec;
mod query_door;
mod query_late;
mod query_outputs;
mod query_stage;
mod reload;
mod resets;
mod roster;
mod running;
mod search;
mod set_aside;
mod state_log;
mod status;
mod tap;
mod trial;
mod upserts;
mod versions;
#[allow(dead_code)]
pub(crate) use agent::host_name;
pub(crate) use agent::{Agent, Progress, Settings, StartError};

pub(crate) use codec::{Codec, Rendered, Untimed};
pub(crate) use connections::test_job;
pub(crate) use reload::Asking;
pub(crate) use trial::{Tried, try_query};
