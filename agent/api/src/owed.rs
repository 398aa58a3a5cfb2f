//! What a job owes to sinks that its script has no more, and that an operator may drop.

use serde::{Deserialize, Serialize};

/// Body of `POST /owed/drop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropOwed {
    pub pipeline: String,
    /// `None`: all sinks that are gone. An empty name: what the job owed when it was one of another kind.
    #[serde(default)]
    pub sink: Option<String>,
    /// Nothing is dropped, the answer says what would be. There is no default, so that nothing is by a forgotten field.
    pub only_look: bool,
}

/// Answer to `POST /owed/drop`: what is dropped, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwedToGone {
    pub lanes: Vec<OwedLane>,
}

/// Documents for one index of a sink that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwedLane {
    pub sink: String,
    pub index: String,
    pub documents: u64,
    /// Compressed.
    pub bytes: u64,
}
