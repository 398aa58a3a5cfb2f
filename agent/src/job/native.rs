//! The native dialect: one TOML file is one job. Pure: what it needs of the world is asked of `Outside`.
//!
//! Every string may hold `${env:NAME}`, `${file:PATH}`, `${credential:NAME}` (a systemd credential); `$${` is `${`.
//! Relative paths start from the job file's folder. Sizes: `"64 MiB"`, `"10MB"`, or bytes. Durations: `"200ms"`, `"1m 30s"`.
//!
//! | key | default | what |
//! |---|---|---|
//! | `id` | the file's stem | stable name of the job: `[A-Za-z0-9_.-]`, 1 to 64 characters |
//! | **`[source]`** | | |
//! | `type` | required | `"file"`, `"stdin"` (which takes only `partial_after`, `max_line_bytes`, `long_lines`), or `"sls"` (below) |
//! | `paths` | required | globs with `*`, `?`, `[…]`, `{a,b}`, `**` |
//! | `exclude` | none | globs; one without `/` is matched against the file's name |
//! | `start` | `"beginning"` | of the files of the first scan: `"beginning"`, `"end"`, `"last 1 MiB"` |
//! | `partial_after` | `"5s"`; json: `"never"` | a last line without newline is shipped after so long, or `"never"` |
//! | `max_line_bytes` | `"1 MiB"` | longest line |
//! | `long_lines` | `"truncate"` | `"truncate"`, `"split"`, `"dead-letter"` |
//! | `hold` | `"10s"` | a new file with an old one's content waits so long while both live |
//! | `hold_deleted_bytes` | `"1 GiB"` | unread bytes held in deleted files |
//! | `rescan` | `"10s"` | folders are listed at least so often |
//! | `watch` | `true` | use the kernel's file events (`false` for network file systems) |
//! | **`[source]`** with `type = "sls"` | | a Logstore of Aliyun Log Service |
//! | `endpoint`, `project`, `logstore` | required | `"cn-hangzhou.log.aliyuncs.com"` (http unless it says https), names |
//! | `access_key_id`, `access_key_secret` | required | keys; files are read again when the service refuses them |
//! | `security_token` | none | of temporary (STS) credentials |
//! | `region` | none | signs by version 4 for this region |
//! | `connect` | none | `"IP:PORT"` to connect to, whatever the endpoint's name resolves to |
//! | `proxy` | none | `http://[user:password@]host:port` |
//! | `cname` | `false` | the endpoint is the project's own name |
//! | `timeout` | `"60s"` | of one pull |
//! | `tls.ca_file`, `tls.verify` | the system's, `true` | as in `[sink.tls]` |
//! | `start` | `"beginning"` | where nothing is known of a shard: `"beginning"`, `"now"`, or a time of reception |
//! | `stop` | none | a time of reception; the job ends when all before it is read |
//! | `group` | none | the consumer group to share shards with; without it all are read here |
//! | `consumer` | agent and job | our name in the group |
//! | `heartbeat` | `"5s"` | at least three in the group's timeout |
//! | `group_timeout`, `in_order` | the group's, or `"60s"`, `false` | set in the group if given |
//! | `checkpoint` | `"acknowledged"` | the group's checkpoint moves when Elasticsearch has the documents, or `"durable"`: the local disk |
//! | `batch` | `1000` | log groups of one pull, 1 to 1000 |
//! | `compression` | `"lz4"` | of pulls: `"lz4"`, `"zstd"`, `"deflate"`, `"none"` |
//! | `discover` | `"60s"` | shards are listed so often, or `"never"` |
//! | **`[decode]`** | | |
//! | `format` | `"raw"` | `"raw"`: a line is a `message`; `"json"`: a line is an object |
//! | `fields` | none | table of constant extra fields, any JSON values |
//! | `timestamp` | none | json: the field that gives `@timestamp` |
//! | `timestamp_formats` | RFC 3339, epoch | json: strptime formats to try on it |
//! | `host` | the machine's name | `host.name` |
//! | **`[sink]`** | | |
//! | `type` | required | `"elasticsearch"` (OpenSearch, too) |
//! | `endpoint`, `endpoints` | required | base URLs; or `datasource` |
//! | `datasource` | none | name of a section in `datasources.toml` which gives all keys of the connection |
//! | `index` | required | a name, or a template like `logs-%{service}-%Y.%m.%d` with a literal prefix |
//! | `fallback_index` | prefix + `fallback` | where documents go for which the template can't be filled |
//! | `pipeline` | none | ingest pipeline |
//! | `routing`, `routing_field` | none | a fixed routing value, or the field that has it |
//! | `user`, `password` | none | basic authentication |
//! | `api_key` | none | as Elasticsearch gives it, or `id:key` |
//! | `bearer_token` | none | token |
//! | `headers` | none | table of extra request headers |
//! | `proxy` | none | `http://[user:password@]host:port` |
//! | `park_for` | `"never"` | what a refusing index is owed becomes dead letters after so long |
//! | `template`, `template_name` | none, the job's id | JSON file of an index template to put, and its name there |
//! | `lifecycle`, `lifecycle_name` | none, the job's id | JSON file of a lifecycle policy to put, and its name there |
//! | `data_stream` | `false` | the index is a data stream |
//! | **`[sink.tls]`** | | |
//! | `ca_file` | the system's | PEM file of the authorities to trust |
//! | `certificate_file`, `key_file` | none | client certificate |
//! | `fingerprint` | none | SHA-256 of a certificate of the server's chain |
//! | `verify` | `true` | `false` accepts any certificate |
//! | **`[sink.bulk]`** | | |
//! | `max_bytes` | `"8 MiB"` | of one request, before compression; 64 KiB to 1 GiB |
//! | `linger` | `"200ms"` | input waits so long for more; up to 1 minute |
//! | `compression` | `1` | gzip level, 1 to 9 |
//! | `max_in_flight` | `4` | requests at once; 1 to 256 |
//! | `timeout` | `"60s"` | of one request; 1 second to 1 hour |
//! | **`[buffer]`** | | |
//! | `max_bytes` | `"1 GiB"` | owed to the sink on disk, compressed; at least 1 MiB |
//! | `when_full` | `"block"` | `"block"`, `"drop_oldest"`, `"drop_newest"` |
//! | `dead_letters_max_bytes` | `"64 MiB"` | dead letters on disk; at least 64 KiB |

use std::time::Duration;

use toml_edit::Document;

use super::datasources::Datasources;
use super::problem::Problems;
use super::reader::{Dialect, Reader, Section, syntax_problem};
use super::variables::Outside;
use super::{connection, decode, sink, sls, source};
use crate::plan::{BufferPlan, Plan, WhenFull};

pub(crate) const DIALECT: &Dialect = &[
    ("", &["id", "source", "decode", "sink", "buffer"]),
    ("source", source::KEYS),
    ("source.tls", sls::TLS_KEYS),
    ("decode", decode::KEYS),
    ("sink", sink::KEYS),
    ("sink.tls", connection::TLS_KEYS),
    ("sink.bulk", &["max_bytes", "linger", "compression", "max_in_flight", "timeout"]),
    ("buffer", &["max_bytes", "when_full", "dead_letters_max_bytes"]),
];

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// More than any disk: `u64` sums of a few of these can't overflow.
const EXABYTE: u64 = 1 << 60;

/// `file` is the name for messages, `stem` the id if the file has none. No plan without at least one error.
pub(crate) fn parse(
    text: &str,
    file: &str,
    stem: &str,
    outside: &Outside<'_>,
    datasources: &Datasources,
) -> (Option<Plan>, Problems) {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(e) => return (None, syntax_problem(file, text, DIALECT, &e).into()),
    };
    let (mut reader, root) = Reader::new(file, &document, outside, DIALECT);
    let plan = read(&mut reader, &root, stem, datasources);
    let problems = reader.finish();
    (plan.filter(|_| !problems.has_errors()), problems)
}

fn read<'d>(reader: &mut Reader<'d>, root: &Section<'d>, stem: &str, datasources: &Datasources) -> Option<Plan> {
    let id = read_id(reader, root, stem);
    let decode = reader.section(root, "decode");
    let source = reader.section(root, "source");
    let structured = source.as_ref().is_some_and(|section| source::is_structured(reader, section));
    let decode = decode.map(|section| decode::read(reader, &section, structured)).unwrap_or_default();
    let source = match source {
        Some(section) => source::read(reader, &section, decode.format),
        None => missing_section(
            reader,
            root,
            "source",
            "[source] with type = \"file\" and paths = [\"/var/log/nginx/*.log\"]",
        ),
    };
    let named = id.as_deref().unwrap_or(stem);
    let sink = match reader.section(root, "sink") {
        Some(section) => sink::read(reader, &section, named, datasources),
        None => missing_section(
            reader,
            root,
            "sink",
            "[sink] with type = \"elasticsearch\", endpoint = \"http://127.0.0.1:9200\" and index = \"logs-nginx\"",
        ),
    };
    let buffer = read_buffer(reader, root);
    Some(Plan { id: id?, source: source?, decode, sink: sink?, buffer })
}

fn missing_section<'d, T>(reader: &mut Reader<'d>, root: &Section<'d>, key: &str, example: &str) -> Option<T> {
    if !root.has(key) && !reader.is_misspelt(root, key) {
        reader.refuse(None, key, format!("the section [{key}] is missing; write {example}"));
    }
    None
}

/// Can this be a job's id?
pub(crate) fn is_id(id: &str) -> bool {
    let of_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&id.len()) && id.bytes().all(of_id) && !matches!(id, "." | "..")
}

fn read_id<'d>(reader: &mut Reader<'d>, root: &Section<'d>, stem: &str) -> Option<String> {
    const RULE: &str = "1 to 64 of the letters A-Z a-z, digits and . _ -";
    if !root.has("id") {
        if is_id(stem) {
            return Some(stem.to_owned());
        }
        let message = format!("the file's name can't be the job's id, which is {RULE}; write at the top: id = \"…\"");
        reader.refuse(None, "id", message);
        return None;
    }
    let text = reader.text(root, "id")?;
    if is_id(&text.value) {
        return Some(text.value);
    }
    reader.refuse(text.at.clone(), "id", format!("\"id\" must be {RULE}, found {}", text.quoted()));
    None
}

fn read_buffer<'d>(reader: &mut Reader<'d>, root: &Section<'d>) -> BufferPlan {
    let default = BufferPlan::default();
    let Some(buffer) = reader.section(root, "buffer") else { return default };
    let words =
        &[("block", WhenFull::Block), ("drop_oldest", WhenFull::DropOldest), ("drop_newest", WhenFull::DropNewest)];
    BufferPlan {
        max_bytes: reader.size(&buffer, "max_bytes", 1 << 20..=EXABYTE).unwrap_or(default.max_bytes),
        when_full: reader.choice(&buffer, "when_full", words).unwrap_or(default.when_full),
        dead_letters_max_bytes: reader
            .size(&buffer, "dead_letters_max_bytes", 64 << 10..=EXABYTE)
            .unwrap_or(default.dead_letters_max_bytes),
    }
}
