//! The language of Splashdam's control socket, and a client for it.
//!
//! The agent listens on a Unix socket and speaks HTTP/1.1 with JSON bodies: `GET /status`, `/jobs`, `/positions`,
//! `/dead-letters`, `/tap`, `/metrics` (Prometheus text), `/healthz`, `/config`; `POST /flush`, `/pause`, `/resume`,
//! `/reload`, `/dead-letters/replay`, `/dead-letters/drop`, `/owed/drop`, `/positions/reset`, `/test-connection`,
//! `/doctor`, `/search`, `/support-bundle` (a gzipped tar archive). A refusal is a [`Refusal`]
//! with a status of 400 or more.
//!
//! Promises: a field that one side does not know is passed over and a field that it misses has its default, so
//! that agent and client of different versions understand each other; every call ends, with a clear error if
//! nobody answers. Does not know what the agent does with a request.

mod client;
mod config;
mod doctor;
mod jobs;
mod owed;
mod query;
mod search;
mod socket;
mod tap;
mod types;
mod who_may;
pub mod words;

pub use client::{Client, ClientError};
pub use config::{Configuration, FileSettings, JobConfiguration, MASK, Setting};
pub use doctor::{Check, Diagnosis, Verdict};
pub use jobs::Job;
pub use owed::{DropOwed, OwedLane, OwedToGone};
pub use query::{encode as encode_query, parse as parse_query};
pub use search::{Found, Search};
pub use socket::{DEFAULT_SOCKET, SOCKET_NAME, ShortPath};
pub use tap::{Tap, Tapped, TappedDocument};
pub use types::{
    Changed, Chosen, Connection, ConnectionTest, Connections, DeadLetter, FailedJob, Flushed, FlushedPipeline, Health,
    ParkedLane, PipelinePositions, PipelineStatus, Place, Position, Refusal, Reloaded, Reset, ResetHow, ResetSource,
    ResetSources, ResetTo, Selection, ShardStatus, State, Status, Steered, Which,
};

pub use who_may::{group_name, user_name};

/// What `--version` says: the version; in a packaged build also its commit and target.
pub const VERSION: &str = match option_env!("SPLASHDAM_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};
