//! What a job means: plain data, no behaviour. Every dialect ends here, and behind this file nobody knows
//! which dialect it was. Defaults live in `Default` so that `job` and tests agree on them.

mod query;
mod shown;
mod sls;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use query::*;
pub(crate) use sls::*;

/// One job, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Stable id: `id` in the file, else the file's stem. `[A-Za-z0-9_.-]`, 1 to 64 characters.
    pub(crate) id: String,
    pub(crate) source: SourcePlan,
    pub(crate) decode: DecodePlan,
    pub(crate) sink: ElasticsearchPlan,
    pub(crate) buffer: BufferPlan,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SourcePlan {
    File(FilePlan),
    Stdin(LinePlan),
    Sls(Box<SlsPlan>),
}

impl SourcePlan {
    /// It ends by itself, so that the job does.
    pub(crate) fn ends(&self) -> bool {
        match self {
            SourcePlan::File(_) => false,
            SourcePlan::Stdin(_) => true,
            SourcePlan::Sls(plan) => plan.ends,
        }
    }

    /// It is read for a query with state, which can't share it.
    pub(crate) fn keep_whole(&mut self) {
        if let SourcePlan::Sls(plan) = self {
            plan.all_shards = true;
        }
    }

    /// The same, to be looked at without anybody noticing.
    pub(crate) fn unshared(&self) -> SourcePlan {
        match self {
            SourcePlan::Sls(plan) => SourcePlan::Sls(Box::new(SlsPlan { group: None, ..SlsPlan::clone(plan) })),
            other => other.clone(),
        }
    }
}

/// How bytes become lines; the same for every source of lines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinePlan {
    /// A last line without newline is shipped after this long. `None`: never (structured formats).
    pub(crate) partial_after: Option<Duration>,
    /// Longest line in bytes, without its newline.
    pub(crate) max_line_bytes: u64,
    pub(crate) long_lines: LongLines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LongLines {
    /// Ship the first `max_line_bytes`, flagged, and pass over the rest.
    Truncate,
    /// Ship all of it in pieces of `max_line_bytes`.
    Split,
    /// The first `max_line_bytes` become a dead letter, the rest is passed over.
    DeadLetter,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FilePlan {
    /// Absolute globs with `*`, `?`, `[…]`, `{a,b}` and `**`.
    pub(crate) paths: Vec<String>,
    /// Globs; one without `/` is matched against the file name.
    pub(crate) exclude: Vec<String>,
    pub(crate) start: Start,
    pub(crate) lines: LinePlan,
    /// While an old and a new file with the same content both live, the new one waits this long.
    pub(crate) hold: Duration,
    /// At most this many unread bytes are held in deleted files per job.
    pub(crate) hold_deleted_bytes: u64,
    /// Folders are listed again at least this often.
    pub(crate) rescan: Duration,
    /// Use the kernel's file events to hear of new and renamed files (else listing alone).
    pub(crate) watch: bool,
}

/// Where reading of the files of a job's first scan begins. Files born later begin at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Beginning,
    End,
    /// At the first line start within the last so many bytes.
    Last(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DecodePlan {
    pub(crate) format: Format,
    /// Constant extra fields, top-level name → JSON value, in the order written.
    pub(crate) fields: Vec<(String, serde_json::Value)>,
    /// `json`: the field that gives `@timestamp` (top level or dotted path). `None`: the time of the commit,
    /// unless the line has an `@timestamp` of its own.
    pub(crate) timestamp_field: Option<String>,
    /// `json`: the formats to try on it; empty: RFC 3339, else epoch seconds or milliseconds.
    pub(crate) timestamp_formats: Vec<String>,
    /// `host.name` in documents. `None`: this machine's host name.
    pub(crate) host: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Raw,
    Json,
}

/// Where and how documents go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ElasticsearchPlan {
    /// Base URLs, at least one; no credentials in them (`auth` has those).
    pub(crate) endpoints: Vec<String>,
    pub(crate) index: IndexPlan,
    /// Ingest pipeline.
    pub(crate) pipeline: Option<String>,
    pub(crate) routing: Option<Routing>,
    /// Extra request headers; values may be secret.
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) auth: Auth,
    pub(crate) tls: TlsPlan,
    /// `http://[user:pass@]host:port`; `None`: direct. The environment is not consulted.
    pub(crate) proxy: Option<Secret>,
    pub(crate) bulk: BulkPlan,
    /// A parked lane's documents become dead letters after this long. `None`: never.
    pub(crate) park_for: Option<Duration>,
    /// Put before the first request, and again after a 404 on the index.
    pub(crate) bootstrap: BootstrapPlan,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IndexPlan {
    Literal(String),
    /// A template like `logs-%{service}-%Y.%m.%d`, cut into parts. `prefix` is its literal beginning: no
    /// document can choose an index outside it. Documents whose parts can't be had go to `fallback`.
    Template {
        parts: Vec<IndexPart>,
        prefix: String,
        fallback: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IndexPart {
    Literal(String),
    /// strftime pattern on the event time, in UTC.
    Date(String),
    /// A field of the document (top level or dotted path).
    Field(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Routing {
    Literal(String),
    Field(String),
}

/// A text that must not appear in logs, answers or errors: its `Debug` prints stars.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret {
    pub(crate) from: SecretSource,
}

/// Where a secret is read from, each time it is needed, so that a rotated key is picked up without a restart.
#[derive(Clone, PartialEq)]
pub(crate) enum SecretSource {
    /// As written (or from the environment, which cannot change under a process).
    Literal(String),
    /// `${file:PATH}` and `${credential:NAME}` (a file in `$CREDENTIALS_DIRECTORY`): the file's text, trimmed.
    File(PathBuf),
}

impl Secret {
    pub(crate) fn literal(text: impl Into<String>) -> Secret {
        Secret { from: SecretSource::Literal(text.into()) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Auth {
    None,
    Basic {
        user: String,
        password: Secret,
    },
    /// As Elasticsearch gives it: `base64(id:key)`, or `id:key`, which is then encoded.
    ApiKey(Secret),
    Bearer(Secret),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TlsPlan {
    /// PEM file with the authorities to trust, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// SHA-256 of an acceptable certificate of the server's chain, lower-case hex without colons.
    pub(crate) fingerprint: Option<String>,
    /// Accept any certificate (`verify = false`).
    pub(crate) insecure: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BulkPlan {
    /// Most bytes of one request before compression.
    pub(crate) max_bytes: u64,
    /// How long input waits for more input before it is committed.
    pub(crate) linger: Duration,
    /// gzip level, 1 to 9.
    pub(crate) compression: u32,
    /// Most requests at once.
    pub(crate) max_in_flight: usize,
    /// Nothing of an index is sent while something older of it is on its way or waits to be sent again: for documents
    /// whose order is all that tells the newest.
    pub(crate) ordered: bool,
    /// A request without an answer for so long has failed.
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BootstrapPlan {
    /// Index template to put under this name, from a JSON file's text.
    pub(crate) template: Option<(String, String)>,
    /// Lifecycle policy to put under this name, from a JSON file's text.
    pub(crate) lifecycle: Option<(String, String)>,
    /// The target is a data stream.
    pub(crate) data_stream: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BufferPlan {
    /// Live (owed) bytes of this pipeline on disk, compressed.
    pub(crate) max_bytes: u64,
    pub(crate) when_full: WhenFull,
    /// Dead letters of this pipeline on disk.
    pub(crate) dead_letters_max_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Block,
    DropOldest,
    DropNewest,
}

/// When a commit counts as durable; a setting of the whole agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// One sync every 50 ms for all that came since.
    Group,
    /// A sync for every commit.
    Always,
    /// Never synced: exact under kill -9, not under a power cut.
    Os,
}

impl Default for LinePlan {
    fn default() -> LinePlan {
        LinePlan {
            partial_after: Some(Duration::from_secs(5)),
            max_line_bytes: 1 << 20,
            long_lines: LongLines::Truncate,
        }
    }
}

impl Default for FilePlan {
    fn default() -> FilePlan {
        FilePlan {
            paths: Vec::new(),
            exclude: Vec::new(),
            start: Start::Beginning,
            lines: LinePlan::default(),
            hold: Duration::from_secs(10),
            hold_deleted_bytes: 1 << 30,
            rescan: Duration::from_secs(10),
            watch: true,
        }
    }
}

impl Default for DecodePlan {
    fn default() -> DecodePlan {
        DecodePlan {
            format: Format::Raw,
            fields: Vec::new(),
            timestamp_field: None,
            timestamp_formats: Vec::new(),
            host: None,
        }
    }
}

impl Default for BulkPlan {
    fn default() -> BulkPlan {
        BulkPlan {
            max_bytes: 8 << 20,
            linger: Duration::from_millis(200),
            compression: 1,
            max_in_flight: 4,
            ordered: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Default for BufferPlan {
    fn default() -> BufferPlan {
        BufferPlan { max_bytes: 1 << 30, when_full: WhenFull::Block, dead_letters_max_bytes: 64 << 20 }
    }
}

impl ElasticsearchPlan {
    /// A plan for one endpoint and index, all else by default.
    pub(crate) fn new(endpoint: impl Into<String>, index: impl Into<String>) -> ElasticsearchPlan {
        ElasticsearchPlan {
            endpoints: vec![endpoint.into()],
            index: IndexPlan::Literal(index.into()),
            pipeline: None,
            routing: None,
            headers: Vec::new(),
            auth: Auth::None,
            tls: TlsPlan::default(),
            proxy: None,
            bulk: BulkPlan::default(),
            park_for: None,
            bootstrap: BootstrapPlan::default(),
        }
    }
}
