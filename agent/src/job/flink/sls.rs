//! Source tables on Log Service, legacy `type = 'sls'` and current `'connector' = 'sls'`; keys match whatever their case:
//!
//! | option | what becomes of it |
//! |---|---|
//! | `endPoint`, `project`, `logStore`, `accessId`, `accessKey` | required |
//! | `consumerGroup` | a script without state shares its shards with the group's other members; one with state must get all of them. The group's checkpoint follows what Elasticsearch has |
//! | `startupMode` | `timestamp` (default), `earliest`, `latest`, `group_offsets`, `consumer_group`: where a shard begins of which nothing is stored here; members of a group always go on from its checkpoint |
//! | `startTime` | for `timestamp` and `group_offsets`, by the time of reception; else when the job first began |
//! | `stopTime`, `exitAfterFinish` | what is received from then on is not read; the job ends there |
//! | `consumeFromCheckpoint` | as `startupMode` = `group_offsets` |
//! | `heartBeatIntervalMills` | between heartbeats; 5000 unless given |
//! | `batchGetSize` | log groups of one pull, 1000 unless given |
//! | `shardDiscoveryIntervalMs` | shards are listed so often; negative: only at the beginning |
//! | `columnErrorDebug` | tells of values that can't be read as their column's type |
//! | `lengthCheck` | `NONE`: a log with fewer fields than the table has columns is passed over; `SKIP`: with fewer or more; `EXCEPTION`: becomes a dead letter; `PAD` (and by default): missing fields are NULL |
//! | `compressType` | of pulls: `lz4` (default), `zstd`, `deflate` |
//! | `signVersion`, `regionId` | `v1` (default), or `v4`, which needs the region |
//! | `timeZone` | of startTime and stopTime; else the job's |
//! | `shardModDivisor`, `shardModRemainder` | only shards whose number divided by the one leaves the other; not in a group |
//! | `maxRetryTimes`, `maxRetries` | no effect: what can be tried again is, for as long as it takes |
//! | `directMode`, `enableNewSource`, `maxPreFetchLogGroups`, `timestamp-format.standard` | no effect |
//! | `query`, `processor` | refused: what the service has filtered has no place of its own in the shard |
//! | `source.security_token`, `source.connect`, `source.proxy`, `source.cname`, `source.ca_file`, `source.consumer`, `source.group_timeout`, `source.in_order`, `source.checkpoint` | as in a native `[source]` |
//!
//! Attributes: `__source__`, `__topic__`, `__timestamp__` (unix seconds), `__tag__` (a MAP) and `__tag__:KEY`, behind
//! which stands `HEADER` or `METADATA VIRTUAL`.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::native::SECOND;
use super::super::sls::{GROUP_TIMEOUT, check_endpoint, check_name, is_address};
use super::options::Options;
use crate::plan::{
    LengthCheck, LogFormat, SlsCheckpoint, SlsCompression, SlsGroup, SlsPlan, SlsReach, SlsStart, SourcePlan,
    TableFormat, TablePlan, TlsPlan,
};
use crate::sql::script::ColumnKind;

pub(super) const KEYS: &[&str] = &[
    "endPoint",
    "project",
    "logStore",
    "accessId",
    "accessKey",
    "consumerGroup",
    "startupMode",
    "startTime",
    "stopTime",
    "exitAfterFinish",
    "consumeFromCheckpoint",
    "heartBeatIntervalMills",
    "batchGetSize",
    "shardDiscoveryIntervalMs",
    "columnErrorDebug",
    "lengthCheck",
    "compressType",
    "signVersion",
    "regionId",
    "timeZone",
    "shardModDivisor",
    "shardModRemainder",
    "maxRetryTimes",
    "maxRetries",
    "directMode",
    "enableNewSource",
    "maxPreFetchLogGroups",
    "timestamp-format.standard",
    "source.security_token",
    "source.connect",
    "source.proxy",
    "source.cname",
    "source.ca_file",
    "source.consumer",
    "source.group_timeout",
    "source.in_order",
    "source.checkpoint",
];
const FILTERED: &str = "what the service has filtered has no place of its own in the shard, so a second reading could not tell it; filter in the script with WHERE";
const CDC: &str = "it is for pipelines without declared columns; here the table declares them";
const REFUSED: &[(&str, &str)] = &[
    ("query", FILTERED),
    ("processor", FILTERED),
    ("metadata.list", CDC),
    ("schema.inference.strategy", CDC),
    ("ingestion.ignore-errors", CDC),
    ("ingestion.error-tolerance.max-count", CDC),
];

/// Where a shard begins.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Timestamp,
    Earliest,
    Latest,
    /// The group's checkpoint, else startTime, else the beginning.
    GroupOffsets,
    /// The group's checkpoint, else the beginning.
    ConsumerGroup,
}

/// The table without the columns that are read: those are the query's. `zone`: the job's.
pub(super) fn read(options: &mut Options<'_, '_>, zone: &TimeZone) -> Option<TablePlan> {
    options.any_case = true;
    options.check_keys(&[KEYS], REFUSED);
    options.refuse_value("format", "format has no meaning for a Logstore: its logs have fields".to_owned());
    if let Some(partition) = options.table.partitioned_by.first() {
        options.report.at(partition, "", "PARTITIONED BY has no meaning for a Logstore".to_owned());
    }
    check_words(options);
    let reach = read_reach(options);
    let project = read_name(options, "project", "project = 'my-project'");
    let logstore = read_name(options, "logStore", "logStore = 'my-logstore'");
    let group = read_group(options);
    let zone = read_zone(options).unwrap_or_else(|| zone.clone());
    let (start, from_group) = read_start(options, &zone);
    let stop = read_time(options, "stopTime", &zone);
    let ends = options.boolean("exitAfterFinish").unwrap_or(false);
    if ends && !options.has("stopTime") {
        options.warn_value("exitAfterFinish", "exitAfterFinish has no effect without stopTime".to_owned());
    }
    let batch = options.integer("batchGetSize", 1..=1000).and_then(|n| u32::try_from(n).ok());
    let words = &[("lz4", SlsCompression::Lz4), ("zstd", SlsCompression::Zstd), ("deflate", SlsCompression::Deflate)];
    let compression = options.choice("compressType", words);
    let discover = read_discover(options);
    let shards = read_shards(options, group.is_some());
    let format = read_format(options);
    let plan = SlsPlan::new(reach?, project?, logstore?);
    let plan = SlsPlan {
        group,
        start,
        from_group,
        stop,
        ends: ends && stop.is_some(),
        batch: batch.unwrap_or(plan.batch),
        compression: compression.unwrap_or(plan.compression),
        discover: discover.unwrap_or(plan.discover),
        shards,
        ..plan
    };
    let physical = options.table.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Physical(_))).count();
    Some(TablePlan {
        name: options.table.name.text.clone(),
        source: SourcePlan::Sls(Box::new(plan)),
        format: TableFormat::Log(format),
        columns: Vec::new(),
        physical,
        host: None,
    })
}

/// Options whose promises are kept whatever they say.
fn check_words(options: &mut Options<'_, '_>) {
    for key in ["maxRetryTimes", "maxRetries", "maxPreFetchLogGroups"] {
        options.integer(key, 0..=u64::from(u32::MAX));
    }
    for key in ["directMode", "enableNewSource"] {
        options.boolean(key);
    }
    options.choice("timestamp-format.standard", &[("SQL", ()), ("ISO-8601", ())]);
}

fn read_reach(options: &mut Options<'_, '_>) -> Option<SlsReach> {
    let mut need = |key: &str, example: &str| {
        if !options.has(key) {
            options.missing(key, example);
        }
    };
    need("endPoint", "endPoint = 'http://cn-hangzhou.log.aliyuncs.com'");
    need("accessId", "accessId = '${env:ACCESS_ID}'");
    need("accessKey", "accessKey = '${file:/etc/splashdam/access-key}'");
    let endpoint = options.text("endPoint").and_then(|(text, name)| match check_endpoint(&text) {
        Ok(endpoint) => Some(endpoint),
        Err(why) => {
            options.report.at(&name, "endPoint", format!("endPoint: the address {why}"));
            None
        }
    });
    let (id, secret) = (options.secret("accessId"), options.secret("accessKey"));
    let security_token = options.secret("source.security_token");
    let proxy = options.secret("source.proxy");
    let own_name = options.boolean("source.cname").unwrap_or(false);
    let region = options.text("regionId").map(|(region, _)| region);
    let v4 = options.choice("signVersion", &[("v1", false), ("v4", true)]).unwrap_or(false);
    if v4 && region.is_none() && !options.has("regionId") {
        options.missing("regionId", "regionId = 'cn-hangzhou'");
    }
    let connect = options.text("source.connect").and_then(|(text, name)| {
        if is_address(&text) {
            return Some(text);
        }
        let message = "source.connect must be an address like 127.0.0.1:8090".to_owned();
        options.report.at(&name, "source.connect", message);
        None
    });
    let ca_file = options.text("source.ca_file").map(|(path, _)| options.report.outside.absolute(&path));
    let reach = SlsReach::new(endpoint?, id?, secret?);
    let tls = TlsPlan { ca_file, ..TlsPlan::default() };
    Some(SlsReach { security_token, proxy, own_name, region: region.filter(|_| v4), connect, tls, ..reach })
}

fn read_name(options: &mut Options<'_, '_>, key: &str, example: &str) -> Option<String> {
    if !options.has(key) {
        options.missing(key, example);
        return None;
    }
    checked_name(options, key)
}

fn checked_name(options: &mut Options<'_, '_>, key: &str) -> Option<String> {
    let (text, name) = options.text(key)?;
    match check_name(&text) {
        Ok(()) => Some(text),
        Err(why) => {
            options.report.at(&name, key, format!("{key} {why}"));
            None
        }
    }
}

fn read_group(options: &mut Options<'_, '_>) -> Option<SlsGroup> {
    let heartbeat = options.integer("heartBeatIntervalMills", 1000..=60_000).map(Duration::from_millis);
    let consumer = checked_name(options, "source.consumer");
    let timeout = options.duration("source.group_timeout", GROUP_TIMEOUT);
    let in_order = options.boolean("source.in_order");
    let words = &[("acknowledged", SlsCheckpoint::Acknowledged), ("durable", SlsCheckpoint::Durable)];
    let checkpoint = options.choice("source.checkpoint", words);
    if !options.has("consumerGroup") {
        for key in ["source.consumer", "source.group_timeout", "source.in_order", "source.checkpoint"] {
            options.refuse_value(key, format!("{key} has no meaning without consumerGroup"));
        }
        return None;
    }
    let group = SlsGroup::new(checked_name(options, "consumerGroup")?);
    Some(SlsGroup {
        heartbeat: heartbeat.unwrap_or(group.heartbeat),
        consumer,
        timeout,
        in_order,
        checkpoint: checkpoint.unwrap_or(group.checkpoint),
        ..group
    })
}

fn read_zone(options: &mut Options<'_, '_>) -> Option<TimeZone> {
    let (text, name) = options.text("timeZone")?;
    let zone = TimeZone::get(&text).ok();
    if zone.is_none() {
        let message = "timeZone must be a name like Asia/Shanghai".to_owned();
        options.report.at(&name, "timeZone", message);
    }
    zone
}

/// Where to begin, and whether the group's checkpoint is asked even by who does not share it.
fn read_start(options: &mut Options<'_, '_>, zone: &TimeZone) -> (SlsStart, bool) {
    let modes = &[
        ("timestamp", Mode::Timestamp),
        ("earliest", Mode::Earliest),
        ("latest", Mode::Latest),
        ("group_offsets", Mode::GroupOffsets),
        ("consumer_group", Mode::ConsumerGroup),
    ];
    let mode = options.choice("startupMode", modes).unwrap_or(Mode::Timestamp);
    let begin = read_time(options, "startTime", zone);
    let resumes = options.boolean("consumeFromCheckpoint").unwrap_or(false);
    let from_group = resumes || matches!(mode, Mode::GroupOffsets | Mode::ConsumerGroup);
    if from_group && !options.has("consumerGroup") {
        options.missing("consumerGroup", "consumerGroup = 'my-group'");
    }
    if matches!(mode, Mode::Earliest | Mode::Latest | Mode::ConsumerGroup) {
        options.warn_value("startTime", "startTime has no effect with this startupMode".to_owned());
    }
    let start = match (mode, begin) {
        (Mode::Timestamp | Mode::GroupOffsets, Some(second)) => SlsStart::At(second),
        (Mode::Timestamp, None) | (Mode::Latest, _) => SlsStart::Now,
        (Mode::Earliest | Mode::ConsumerGroup, _) | (Mode::GroupOffsets, None) => SlsStart::Beginning,
    };
    (start, from_group)
}

/// Unix seconds of `yyyy-MM-dd HH:mm:ss`.
fn read_time(options: &mut Options<'_, '_>, key: &str, zone: &TimeZone) -> Option<i64> {
    let (text, name) = options.text(key)?;
    let civil = jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S", text.trim()).and_then(|parsed| parsed.to_datetime());
    let second = civil.and_then(|civil: DateTime| civil.to_zoned(zone.clone())).map(|at| at.timestamp().as_second());
    match second {
        Ok(second) => Some(second),
        Err(_) => {
            options.report.at(&name, key, format!("{key} must be a time like '2026-11-21 08:00:00'"));
            None
        }
    }
}

fn read_discover(options: &mut Options<'_, '_>) -> Option<Option<Duration>> {
    let (text, name) = options.text("shardDiscoveryIntervalMs")?;
    match text.trim().parse::<i64>() {
        Ok(ms) if ms < 0 => Some(None),
        Ok(ms) => Some(Some(Duration::from_millis(ms.unsigned_abs()).max(SECOND))),
        Err(_) => {
            let message = "shardDiscoveryIntervalMs must be an integer; negative: never".to_owned();
            options.report.at(&name, "shardDiscoveryIntervalMs", message);
            None
        }
    }
}

fn read_shards(options: &mut Options<'_, '_>, group: bool) -> Option<(u32, u32)> {
    let mut number = |key: &str| {
        let (text, name) = options.text(key)?;
        let number = text.trim().parse::<i64>().ok();
        if number.is_none() {
            options.report.at(&name, key, format!("{key} must be an integer; -1: none"));
        }
        u32::try_from(number?).ok()
    };
    let (divisor, rest) = (number("shardModDivisor"), number("shardModRemainder"));
    let chosen = divisor.filter(|divisor| *divisor > 0)?;
    if group {
        let message = "shardModDivisor can't be in a consumerGroup, whose shards the service deals out".to_owned();
        options.refuse_value("shardModDivisor", message);
    }
    let rest = rest.unwrap_or(0);
    if rest >= chosen {
        options.refuse_value("shardModRemainder", format!("shardModRemainder must be less than {chosen}"));
    }
    Some((chosen, rest))
}

fn read_format(options: &mut Options<'_, '_>) -> LogFormat {
    let checks = &[
        ("NONE", LengthCheck::SkipShort),
        ("SKIP", LengthCheck::Skip),
        ("EXCEPTION", LengthCheck::Refuse),
        ("PAD", LengthCheck::Pad),
    ];
    LogFormat {
        length_check: options.choice("lengthCheck", checks).unwrap_or_default(),
        debug: options.boolean("columnErrorDebug").unwrap_or(false),
    }
}
