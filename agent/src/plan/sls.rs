//! What a job says of a Logstore of Aliyun Log Service. Plain data.

use std::time::Duration;

use super::{Secret, TlsPlan};

/// A Logstore to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlsPlan {
    pub(crate) reach: SlsReach,
    pub(crate) project: String,
    pub(crate) logstore: String,
    /// Shards are shared with the other members of this group. `None`: all are read here.
    pub(crate) group: Option<SlsGroup>,
    /// Where a shard begins of which nothing is known yet, by the time at which the service received the logs.
    pub(crate) start: SlsStart,
    /// A shard of which nothing is known here begins at the group's checkpoint, if there is one.
    pub(crate) from_group: bool,
    /// Logs received from this unix second on are not read.
    pub(crate) stop: Option<i64>,
    /// The job ends when everything before `stop` is read.
    pub(crate) ends: bool,
    /// Log groups of one pull, 1 to 1000.
    pub(crate) batch: u32,
    pub(crate) compression: SlsCompression,
    /// Shards are listed again so often. `None`: only at the beginning.
    pub(crate) discover: Option<Duration>,
    /// Only shards whose number divided by the first leaves the second.
    pub(crate) shards: Option<(u32, u32)>,
    /// A query with state reads all of it here or nothing.
    pub(crate) all_shards: bool,
}

/// How to reach the service, and who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlsReach {
    /// `http://cn-hangzhou.log.aliyuncs.com`, with a port if need be, without the project.
    pub(crate) endpoint: String,
    pub(crate) access_key_id: Secret,
    pub(crate) access_key_secret: Secret,
    /// Of temporary credentials.
    pub(crate) security_token: Option<Secret>,
    /// Requests are signed by version 4 for this region. `None`: by version 1.
    pub(crate) region: Option<String>,
    /// `IP:PORT` to connect to, whatever the endpoint's name resolves to.
    pub(crate) connect: Option<String>,
    /// `http://[user:pass@]host:port`; `None`: direct. The environment is not consulted.
    pub(crate) proxy: Option<Secret>,
    pub(crate) tls: TlsPlan,
    /// The endpoint is the project's own name: the project is not put before it.
    pub(crate) own_name: bool,
    /// A request without an answer for so long has failed.
    pub(crate) timeout: Duration,
}

/// A consumer group, whose members share the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlsGroup {
    pub(crate) name: String,
    /// Our name in the group. `None`: the agent's id and the job's.
    pub(crate) consumer: Option<String>,
    pub(crate) heartbeat: Duration,
    /// A member that was silent for so long has lost its shards. `None`: what the group has, or a minute.
    pub(crate) timeout: Option<Duration>,
    /// Children of a split or merge only after their parents. `None`: what the group has, or not.
    pub(crate) in_order: Option<bool>,
    pub(crate) checkpoint: SlsCheckpoint,
}

/// When the group's checkpoint moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlsCheckpoint {
    /// When Elasticsearch has everything before it.
    Acknowledged,
    /// When everything before it is on the local disk.
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlsStart {
    Beginning,
    /// When the job began for the first time.
    Now,
    /// At this unix second.
    At(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlsCompression {
    Lz4,
    Zstd,
    Deflate,
    None,
}

/// What a log with more or fewer fields than the table has columns becomes (`lengthCheck`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LengthCheck {
    /// A row: columns are found by their names, a missing one is NULL.
    #[default]
    Pad,
    /// A row unless it has fewer; then it is passed over.
    SkipShort,
    /// Passed over.
    Skip,
    /// A dead letter.
    Refuse,
}

/// How logs of a Logstore become columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogFormat {
    pub(crate) length_check: LengthCheck,
    /// Say which values could not be read as their column's type (`columnErrorDebug`).
    pub(crate) debug: bool,
}

impl SlsPlan {
    /// Everything else by default.
    pub(crate) fn new(reach: SlsReach, project: impl Into<String>, logstore: impl Into<String>) -> SlsPlan {
        SlsPlan {
            reach,
            project: project.into(),
            logstore: logstore.into(),
            group: None,
            start: SlsStart::Beginning,
            from_group: true,
            stop: None,
            ends: false,
            batch: 1000,
            compression: SlsCompression::Lz4,
            discover: Some(Duration::from_secs(60)),
            shards: None,
            all_shards: false,
        }
    }
}

impl SlsReach {
    pub(crate) fn new(endpoint: impl Into<String>, id: Secret, secret: Secret) -> SlsReach {
        SlsReach {
            endpoint: endpoint.into(),
            access_key_id: id,
            access_key_secret: secret,
            security_token: None,
            region: None,
            connect: None,
            proxy: None,
            tls: TlsPlan::default(),
            own_name: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl SlsGroup {
    pub(crate) fn new(name: impl Into<String>) -> SlsGroup {
        SlsGroup {
            name: name.into(),
            consumer: None,
            heartbeat: Duration::from_secs(5),
            timeout: None,
            in_order: None,
            checkpoint: SlsCheckpoint::Acknowledged,
        }
    }
}
