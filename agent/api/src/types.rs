//! What is said over the control socket: plain data.
//!
//! Counters count since the agent started; times are RFC 3339 in UTC; sizes are bytes. Unknown fields are passed
//! over and missing ones take their default, in both directions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `GET /status`: the agent at one glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// The id that is part of every document's `_id`.
    pub agent_id: String,
    pub started_at: String,
    pub health: Health,
    /// One line for each thing that someone should know and that no pipeline says.
    pub notes: Vec<String>,
    pub data_dir: String,
    pub pipelines: Vec<PipelineStatus>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    #[default]
    Ok,
    /// Working, but not as promised: damage found, a full disk, a pipeline that stands still.
    #[serde(other)]
    Degraded,
}

/// What one pipeline (a running job) does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineStatus {
    pub id: String,
    pub state: State,
    /// Why it is in this state, where that is not plain.
    pub why: Option<String>,
    pub read_bytes: u64,
    /// Bytes that the source has ready and that are not read yet.
    pub lag_bytes: u64,
    pub read_records: u64,
    pub committed_records: u64,
    /// Committed and not acknowledged by Elasticsearch.
    pub owed_records: u64,
    pub owed_bytes: u64,
    pub acknowledged_records: u64,
    /// Acknowledged records that the index had already.
    pub duplicate_records: u64,
    /// Dead letters kept on disk now.
    pub dead_letters: u64,
    pub dead_letter_bytes: u64,
    /// Bytes that the source had and that can't be read any more.
    pub gap_bytes: u64,
    /// Records that a full buffer dropped (`when_full`), since the data directory was made.
    pub dropped_records: u64,
    /// When the last of them were dropped, if that was since the agent started.
    pub last_dropped: Option<String>,
    /// Files that were deleted while they were not held open, perhaps with lines that were never seen.
    pub vanished_files: u64,
    /// Records in which no time can be read where the job says that there is one.
    pub untimed_records: u64,
    /// Rows that came after all their windows were closed, since the query's state began.
    pub late_rows: u64,
    pub retries: u64,
    /// Bulk requests without an answer yet.
    pub in_flight: u64,
    pub last_error: Option<String>,
    /// The cluster as it names itself, e.g. `Elasticsearch 8.19.21`.
    pub cluster: Option<String>,
    /// Indices that wait for the cluster or an operator.
    pub parked: Vec<ParkedLane>,
    /// The shards of Logstores that are read here.
    pub shards: Vec<ShardStatus>,
    /// Waits because a quota of Log Service was used up.
    pub quota_waits: u64,
    /// Log groups that Log Service deleted before they were read.
    pub expired_groups: u64,
    /// Shards that Log Service deleted before they were read to their end.
    pub deleted_shards: u64,
}

/// A shard of a Logstore that is read here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardStatus {
    /// `project/logstore/number`
    pub shard: String,
    /// `starting`, `reading`, `finished` or `giving up`.
    pub state: String,
    /// How long ago the service received what is read next; 0 when all is read. `None`: not known yet.
    pub lag_seconds: Option<u64>,
    pub quota_waits: u64,
    /// What keeps it from being read at present.
    pub problem: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Input is read and shipped.
    Running,
    /// There is nothing to read, or the cluster does not answer; `why` tells which.
    Waiting,
    /// An operator has to decide something.
    Parked,
    /// An operator wants nothing to be read for now.
    Paused,
    /// The pipeline's part of the buffer is used up.
    Full,
    DiskFull,
    Stopping,
    Failed,
    /// A word of a newer agent.
    #[default]
    #[serde(other)]
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Parked => "parked",
            State::Paused => "paused",
            State::Full => "full",
            State::DiskFull => "disk-full",
            State::Stopping => "stopping",
            State::Failed => "failed",
            State::Unknown => "unknown",
        })
    }
}

/// An index that takes no documents at present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParkedLane {
    pub index: String,
    pub why: String,
    pub since: String,
}

/// `GET /positions`: one for each pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelinePositions {
    pub pipeline: String,
    pub positions: Vec<Position>,
}

/// How far one source (a file) is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Position {
    /// Of a shard `project/logstore/number`.
    pub path: String,
    /// The number that stands for this source in every `_id`.
    pub source: u64,
    /// Bytes; of a shard the number of the log group that is read next, as its cursor says it.
    pub offset: u64,
    /// What it has in all; `None` where that is not known (a pipe, a file that is gone, a shard).
    pub size: Option<u64>,
    /// e.g. `following`, `compressed`, `gone`; of a shard `reading`, `finished`, `elsewhere`, …
    pub state: String,
    /// Of a shard that is read here: how late it is.
    pub lag_seconds: Option<u64>,
}

/// A document that can't be delivered, kept with its reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetter {
    pub pipeline: String,
    /// Stable until it is dropped or replayed.
    pub number: u64,
    pub at: String,
    pub index: String,
    pub id: String,
    /// Elasticsearch's error type, or one of the agent's.
    pub kind: String,
    pub reason: String,
    /// HTTP-like status; 0: refused by the agent itself.
    pub status: u16,
    /// The action line as it was sent.
    pub action: String,
    /// The document as it was sent (invalid UTF-8 replaced).
    pub document: String,
}

/// Body of `POST /dead-letters/replay` and `/dead-letters/drop`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub pipeline: String,
    pub which: Which,
}

/// `"all"` or `{"numbers": [1, 2]}`; there is no default, so that nothing is dropped by a forgotten field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    All,
    Numbers(Vec<u64>),
}

/// How many dead letters were replayed or dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changed {
    pub dead_letters: u64,
}

/// Body of `POST /flush`, `/pause` and `/resume`: of which job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// `None`: all.
    pub pipeline: Option<String>,
}

/// Answer to `POST /flush`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flushed {
    pub pipelines: Vec<FlushedPipeline>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlushedPipeline {
    pub id: String,
    /// Records acknowledged while flushing.
    pub acknowledged_records: u64,
    /// What is still owed after waiting. 0: all is acknowledged.
    pub owed_records: u64,
    pub owed_bytes: u64,
    /// Why something is still owed.
    pub why: Option<String>,
}

impl Flushed {
    /// Whether Elasticsearch has taken everything.
    pub fn complete(&self) -> bool {
        self.pipelines.iter().all(|p| p.owed_records == 0)
    }
}

/// Answer to `POST /pause` and `/resume`: the jobs for which that is new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Steered {
    pub pipelines: Vec<String>,
}

/// Answer to `POST /reload`: what became of each job, by id. (A configuration that is wrong is a [`Refusal`].)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// They run on untouched.
    pub unchanged: Vec<String>,
    pub started: Vec<String>,
    /// They were ended and go on from where they were, as their files say now.
    pub changed: Vec<String>,
    /// Their files are gone; what they owe is kept.
    pub stopped: Vec<String>,
    /// Their files are right, but they could not be started.
    pub failed: Vec<FailedJob>,
    /// A line for each thing that someone should know.
    pub warnings: Vec<String>,
}

/// A job that is not as its file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedJob {
    pub id: String,
    /// May have several lines.
    pub why: String,
}

/// Body of `POST /positions/reset`: read again what a job has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    pub pipeline: String,
    pub to: ResetTo,
    pub how: ResetHow,
    /// Nothing is done; the answer says what would be.
    #[serde(default)]
    pub only_look: bool,
}

/// `"beginning"`, `{"at": UNIX-SECONDS}` by the time at which a Logstore received its logs, or
/// `{"place": {"path": …, "offset": …}}` in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetTo {
    Beginning,
    At(i64),
    Place(Place),
}

/// The beginning of a line in a file that a job reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// As `positions` shows it.
    pub path: String,
    /// In bytes. `None`: behind the last whole line.
    pub offset: Option<u64>,
}

/// What becomes of documents that are there already; there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetHow {
    /// They stay; what is missing is added.
    Fill,
    /// They are replaced.
    Overwrite,
    /// They stay, and all is shipped once more under new ids.
    Again,
}

/// Answer to `POST /positions/reset`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResetSources {
    pub sources: Vec<ResetSource>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResetSource {
    pub path: String,
    /// How far it was read, and where reading goes on: bytes, or numbers of log groups.
    pub from: u64,
    pub to: u64,
}

/// Body of `POST /test-connection`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionTest {
    /// A job's id, or a name of `datasources.toml`.
    pub name: String,
}

/// Answer to `POST /test-connection`: all that a job (or one named connection) connects to, each tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    pub name: String,
    pub connections: Vec<Connection>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// e.g. `source: Logstore project/logstore at http://…`
    pub what: String,
    pub connectable: bool,
    /// What the failure is about, one word: `name`, `TCP`, `TLS`, `proxy`, `keys`, `permission`, `project`,
    /// `logstore`, `version`, `clock`, `quota`, `service`, `settings`, `answer`.
    pub step: Option<String>,
    pub reason: Option<String>,
    /// What was seen there, a line each.
    pub found: Vec<String>,
}

impl Connections {
    /// Whether all of them can be used.
    pub fn connectable(&self) -> bool {
        self.connections.iter().all(|one| one.connectable)
    }
}

/// The body of every answer with a status of 400 or more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_version_is_understood() {
        let newer = r#"{"version":"9.9.9","health":"on-fire","colour":"red",
            "pipelines":[{"id":"a","state":"dancing","steps":3,"owed_records":7}]}"#;
        let status: Status = serde_json::from_str(newer).unwrap();
        assert_eq!(status.health, Health::Degraded);
        assert_eq!(status.pipelines[0].state, State::Unknown);
        assert_eq!(status.pipelines[0].owed_records, 7);
        assert_eq!(status.agent_id, "");
    }

    #[test]
    fn states_are_one_word_each() {
        for (state, word) in [
            (State::Running, "running"),
            (State::Waiting, "waiting"),
            (State::Parked, "parked"),
            (State::Paused, "paused"),
            (State::Full, "full"),
            (State::DiskFull, "disk-full"),
            (State::Stopping, "stopping"),
            (State::Failed, "failed"),
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), word);
            assert_eq!(state.to_string(), word);
        }
        assert_eq!(serde_json::to_value(Health::Ok).unwrap(), "ok");
    }

    #[test]
    fn a_selection_without_which_is_refused() {
        assert!(serde_json::from_str::<Selection>(r#"{"pipeline":"a"}"#).is_err());
        assert!(serde_json::from_str::<Selection>(r#"{"pipeline":"a","which":null}"#).is_err());
        let all: Selection = serde_json::from_str(r#"{"pipeline":"a","which":"all"}"#).unwrap();
        assert_eq!(all.which, Which::All);
        let two: Selection = serde_json::from_str(r#"{"pipeline":"a","which":{"numbers":[1,2]}}"#).unwrap();
        assert_eq!(two.which, Which::Numbers(vec![1, 2]));
    }
}
