//! `[source]` of a native job with `type = "sls"`: a Logstore of Aliyun Log Service. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use super::connection::check_url;
use super::native::{DAY, SECOND};
use super::reader::{Reader, Section};
use super::values::Text;
use crate::plan::{SlsCheckpoint, SlsCompression, SlsGroup, SlsPlan, SlsReach, SlsStart, TlsPlan};

pub(crate) const KEYS: &[&str] = &[
    "endpoint",
    "project",
    "logstore",
    "access_key_id",
    "access_key_secret",
    "security_token",
    "region",
    "connect",
    "proxy",
    "cname",
    "timeout",
    "group",
    "consumer",
    "heartbeat",
    "group_timeout",
    "in_order",
    "checkpoint",
    "stop",
    "batch",
    "compression",
    "discover",
    "tls",
];
pub(crate) const TLS_KEYS: &[&str] = &["ca_file", "verify"];
/// Those that speak of a group.
const GROUP_KEYS: &[&str] = &["consumer", "heartbeat", "group_timeout", "in_order", "checkpoint"];

pub(crate) const HEARTBEAT: std::ops::RangeInclusive<Duration> = SECOND..=Duration::from_secs(60);
pub(crate) const GROUP_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=DAY;
pub(crate) const DISCOVER: std::ops::RangeInclusive<Duration> = SECOND..=DAY;

/// `None` when something that must be there is missing or wrong (and reported).
pub(crate) fn read<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<SlsPlan> {
    let reach = read_reach(reader, section);
    let project = read_name(reader, section, "project", "project = \"my-project\"");
    let logstore = read_name(reader, section, "logstore", "logstore = \"my-logstore\"");
    let group = read_group(reader, section);
    let start = read_start(reader, section);
    let stop = read_time(reader, section, "stop");
    let compressions = &[
        ("lz4", SlsCompression::Lz4),
        ("zstd", SlsCompression::Zstd),
        ("deflate", SlsCompression::Deflate),
        ("none", SlsCompression::None),
    ];
    let compression = reader.choice(section, "compression", compressions);
    let batch = reader.integer(section, "batch", 1..=1000);
    let discover = reader.duration_or_never(section, "discover", DISCOVER, true);
    let mut plan = SlsPlan::new(reach?, project?, logstore?);
    plan.group = group;
    plan.start = start.unwrap_or(plan.start);
    plan.stop = stop;
    plan.ends = stop.is_some();
    plan.batch = batch.unwrap_or(plan.batch);
    plan.compression = compression.unwrap_or(plan.compression);
    plan.discover = discover.unwrap_or(plan.discover);
    Some(plan)
}

fn read_reach<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<SlsReach> {
    let endpoint = read_endpoint(reader, section);
    let [id, secret] = [
        ("access_key_id", "access_key_id = \"${env:ACCESS_KEY_ID}\""),
        ("access_key_secret", "access_key_secret = \"${file:/etc/splashdam/secret}\""),
    ]
    .map(|(key, example)| {
        if !section.has(key) && !reader.is_misspelt(section, key) {
            reader.refuse_missing(section, key, example);
        }
        reader.secret(section, key)
    });
    let security_token = reader.secret(section, "security_token");
    let region = reader.text(section, "region").map(|text| text.value);
    let connect = read_connect(reader, section);
    let proxy = super::connection::read_proxy(reader, section);
    let own_name = reader.boolean(section, "cname").unwrap_or(false);
    let timeout = reader.duration(section, "timeout", SECOND..=3600 * SECOND);
    let tls = read_tls(reader, section, endpoint.as_deref());
    let mut reach = SlsReach::new(endpoint?, id?, secret?);
    reach.timeout = timeout.unwrap_or(reach.timeout);
    Some(SlsReach { security_token, region, connect, proxy, tls, own_name, ..reach })
}

fn read_endpoint<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<String> {
    if !section.has("endpoint") {
        if !reader.is_misspelt(section, "endpoint") {
            reader.refuse_missing(section, "endpoint", "endpoint = \"cn-hangzhou.log.aliyuncs.com\"");
        }
        return None;
    }
    let text = reader.text(section, "endpoint")?;
    match check_endpoint(&text.value) {
        Ok(endpoint) => Some(endpoint),
        Err(why) => {
            let message = format!("{}: {} {why}", section.called("endpoint"), text.quoted());
            reader.refuse(text.at.clone(), section.path("endpoint"), message);
            None
        }
    }
}

/// An endpoint with its scheme (http unless it says otherwise) and without a slash at its end.
pub(crate) fn check_endpoint(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    check_url(&with_scheme)?;
    let host = with_scheme.split_once("://").map_or("", |(_, host)| host);
    if host.contains('/') {
        return Err("has a path; write the service's address like cn-hangzhou.log.aliyuncs.com".to_owned());
    }
    Ok(with_scheme)
}

/// Why this can be no name of a project, Logstore, group or consumer: they stand in addresses as they are.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match name.len() {
        1..=128 if name.bytes().all(of_name) => Ok(()),
        _ => Err("must be 1 to 128 of the letters A-Z a-z, digits and - _ ."),
    }
}

fn read_name<'d>(reader: &mut Reader<'d>, section: &Section<'d>, key: &str, example: &str) -> Option<String> {
    if !section.has(key) {
        if !reader.is_misspelt(section, key) {
            reader.refuse_missing(section, key, example);
        }
        return None;
    }
    let text = reader.text(section, key)?;
    checked_name(reader, section, key, text)
}

fn checked_name<'d>(reader: &mut Reader<'d>, section: &Section<'d>, key: &str, text: Text) -> Option<String> {
    match check_name(&text.value) {
        Ok(()) => Some(text.value),
        Err(why) => {
            let message = format!("{} {why}, found {}", section.called(key), text.quoted());
            reader.refuse(text.at.clone(), section.path(key), message);
            None
        }
    }
}

fn read_connect<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<String> {
    let text = reader.text(section, "connect")?;
    if is_address(&text.value) {
        return Some(text.value);
    }
    let called = section.called("connect");
    let message = format!("{called} must be an address like \"127.0.0.1:8090\", found {}", text.quoted());
    reader.refuse(text.at.clone(), section.path("connect"), message);
    None
}

/// `IP:PORT`
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
}

fn read_tls<'d>(reader: &mut Reader<'d>, section: &Section<'d>, endpoint: Option<&str>) -> TlsPlan {
    let Some(tls) = reader.section_of_kind(section, "tls", "source.tls") else { return TlsPlan::default() };
    let ca_file = reader.pem_file(&tls, "ca_file");
    let verify = reader.boolean(&tls, "verify").unwrap_or(true);
    if !verify && tls.has("ca_file") {
        let message = format!(
            "{} = false accepts any certificate, so \"ca_file\" has no meaning; keep one",
            tls.called("verify")
        );
        reader.refuse(reader.key_at(&tls, "verify"), tls.path("verify"), message);
    }
    if endpoint.is_some_and(|url| !url.starts_with("https")) {
        let message = format!("[{}] has no effect: the endpoint does not begin with https://", tls.name);
        reader.warn(tls.at.clone(), tls.name.clone(), message);
    }
    TlsPlan { ca_file, insecure: !verify, ..TlsPlan::default() }
}

fn read_group<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<SlsGroup> {
    if !section.has("group") {
        for key in GROUP_KEYS.iter().filter(|key| section.has(key)) {
            let message = format!("{} has no meaning without \"group\", the consumer group", section.called(key));
            reader.refuse(reader.key_at(section, key), section.path(key), message);
        }
        return None;
    }
    let name = reader.text(section, "group").and_then(|text| checked_name(reader, section, "group", text));
    let consumer = reader.text(section, "consumer").and_then(|text| checked_name(reader, section, "consumer", text));
    let heartbeat = reader.duration(section, "heartbeat", HEARTBEAT);
    let timeout = reader.duration(section, "group_timeout", GROUP_TIMEOUT);
    let in_order = reader.boolean(section, "in_order");
    let words = &[("acknowledged", SlsCheckpoint::Acknowledged), ("durable", SlsCheckpoint::Durable)];
    let checkpoint = reader.choice(section, "checkpoint", words);
    let group = SlsGroup::new(name?);
    Some(SlsGroup {
        consumer,
        heartbeat: heartbeat.unwrap_or(group.heartbeat),
        timeout,
        in_order,
        checkpoint: checkpoint.unwrap_or(group.checkpoint),
        ..group
    })
}

fn read_start<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<SlsStart> {
    let text = reader.text(section, "start")?;
    match text.value.trim() {
        "beginning" => Some(SlsStart::Beginning),
        "now" | "end" => Some(SlsStart::Now),
        other => match parse_time(other) {
            Some(second) => Some(SlsStart::At(second)),
            None => {
                let called = section.called("start");
                let quoted = text.quoted();
                let message = format!(
                    "{called} must be \"beginning\", \"now\" or a time like \"2026-11-21T08:00:00Z\", found {quoted}"
                );
                reader.refuse(text.at.clone(), section.path("start"), message);
                None
            }
        },
    }
}

fn read_time<'d>(reader: &mut Reader<'d>, section: &Section<'d>, key: &str) -> Option<i64> {
    let text = reader.text(section, key)?;
    let second = parse_time(text.value.trim());
    if second.is_none() {
        let message =
            format!("{} must be a time like \"2026-11-21T08:00:00Z\", found {}", section.called(key), text.quoted());
        reader.refuse(text.at.clone(), section.path(key), message);
    }
    second
}

/// Unix seconds of an RFC 3339 time.
fn parse_time(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_names_are_checked_before_anybody_is_asked() {
        assert_eq!(check_endpoint("cn-hangzhou.log.aliyuncs.com/").unwrap(), "http://cn-hangzhou.log.aliyuncs.com");
        assert_eq!(check_endpoint("https://h:8443").unwrap(), "https://h:8443");
        for wrong in ["", "http://", "ftp://h", "h/logstores", "http://ak:sk@h", "h:0"] {
            assert!(check_endpoint(wrong).is_err(), "{wrong}");
        }
        assert!(check_name("a-b_c.1").is_ok());
        for wrong in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time("1970-01-01T00:00:07Z"), Some(7));
        assert_eq!(parse_time("yesterday"), None);
    }
}
