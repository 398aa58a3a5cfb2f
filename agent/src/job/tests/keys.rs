//! Every key of the native dialect: what a good value means, and what a bad one is told.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{connection, decode, native, sink, source};
use super::{job_with, parse};
use crate::plan::{
    Auth, FilePlan, Format, IndexPart, IndexPlan, LongLines, Plan, Routing, Secret, SecretSource, SourcePlan, Start,
    WhenFull,
};

fn good(lines: &[&str]) -> Plan {
    let text = job_with(lines);
    let (plan, problems) = parse(&text);
    assert!(!problems.has_errors(), "{lines:?}:\n{problems}");
    plan.unwrap()
}

fn files(lines: &[&str]) -> FilePlan {
    match good(lines).source {
        SourcePlan::File(files) => files,
        other => panic!("{lines:?} is {other:?}"),
    }
}

#[test]
fn every_source_key_reaches_the_plan() {
    let plan = files(&[
        "source:paths = [\"/a//./b/../*.log\", \"../b/**/[x].log\", \"./c\", \"d\"]",
        "source:exclude = [\"*.tmp\", \"old/*\"]",
        "source:start = \"last 2 MiB\"",
        "source:partial_after = \"1m\"",
        "source:max_line_bytes = 4096",
        "source:long_lines = \"dead-letter\"",
        "source:hold = \"30s\"",
        "source:hold_deleted_bytes = \"10MB\"",
        "source:rescan = \"1m 30s\"",
        "source:watch = false",
    ]);
    assert_eq!(plan.paths, ["/a/*.log", "/etc/b/**/[x].log", "/etc/jobs.d/c", "/etc/jobs.d/d"]);
    assert_eq!(plan.exclude, ["*.tmp", "/etc/jobs.d/old/*"]);
    assert_eq!(plan.start, Start::Last(2 << 20));
    assert_eq!(plan.lines.partial_after, Some(Duration::from_secs(60)));
    assert_eq!(plan.lines.max_line_bytes, 4096);
    assert_eq!(plan.lines.long_lines, LongLines::DeadLetter);
    assert_eq!(plan.hold, Duration::from_secs(30));
    assert_eq!(plan.hold_deleted_bytes, 10_000_000);
    assert_eq!(plan.rescan, Duration::from_secs(90));
    assert!(!plan.watch);
    assert_eq!(files(&["source:start = \"end\""]).start, Start::End);
    assert_eq!(files(&["source:paths = \"/one\""]).paths, ["/one"]);
    assert_eq!(files(&["source:partial_after = \"never\""]).lines.partial_after, None);
    assert_eq!(files(&["source:long_lines = \"split\""]).lines.long_lines, LongLines::Split);
}

#[test]
fn stdin_is_a_source_without_paths() {
    let (plan, problems) = parse(
        "[source]\ntype = \"stdin\"\nmax_line_bytes = \"2 MiB\"\n[sink]\ntype = \"elasticsearch\"\n\
         endpoint = \"http://es:9200\"\nindex = \"x\"\n",
    );
    let Some(SourcePlan::Stdin(lines)) = plan.map(|plan| plan.source) else { panic!("{problems}") };
    assert_eq!(lines.max_line_bytes, 2 << 20);
}

#[test]
fn every_decode_key_reaches_the_plan_and_json_never_ships_a_part() {
    let plan = good(&[
        "decode:format = \"json\"",
        "decode:timestamp = \"time.iso\"",
        "decode:timestamp_formats = [\"%d/%b/%Y:%H:%M:%S %z\"]",
        "decode:host = \"web-1\"",
        "decode:fields = { z = \"${env:INDEX}\", a = { n = [1, 2.5, true] }, day = 2026-01-31 }",
    ]);
    assert_eq!(plan.decode.format, Format::Json);
    assert_eq!(plan.decode.timestamp_field.as_deref(), Some("time.iso"));
    assert_eq!(plan.decode.timestamp_formats, ["%d/%b/%Y:%H:%M:%S %z"]);
    assert_eq!(plan.decode.host.as_deref(), Some("web-1"));
    let expected = [
        ("z".to_owned(), serde_json::json!("logs-env")),
        ("a".to_owned(), serde_json::json!({"n": [1, 2.5, true]})),
        ("day".to_owned(), serde_json::json!("2026-01-31")),
    ];
    assert_eq!(plan.decode.fields, expected);
    let SourcePlan::File(files) = plan.source else { panic!("a file source") };
    assert_eq!(files.lines.partial_after, None);
}

#[test]
fn every_sink_key_reaches_the_plan() {
    let sink = good(&[
        ":id = \"my-job.1\"",
        "sink:index = \"logs-%{service}-%Y.%m.%d\"",
        "sink:fallback_index = \"logs-odd\"",
        "sink:pipeline = \"geo\"",
        "sink:routing_field = \"tenant\"",
        "sink:user = \"elastic\"",
        "sink:password = \"${file:secret.txt}\"",
        "sink:headers = { X-Tenant = \"a${env:SECRET}\" }",
        "sink:proxy = \"http://u:p@proxy:3128\"",
        "sink:park_for = \"2d\"",
        "sink:template = \"template.json\"",
        "sink:lifecycle = \"template.json\"",
        "sink:lifecycle_name = \"30-days\"",
        "sink:data_stream = true",
        "sink.bulk:max_bytes = \"4 MiB\"",
        "sink.bulk:linger = \"1s\"",
        "sink.bulk:compression = 6",
        "sink.bulk:max_in_flight = 8",
        "sink.bulk:timeout = \"90s\"",
    ])
    .sink;
    let IndexPlan::Template { parts, prefix, fallback } = sink.index else { panic!("a template") };
    assert_eq!(parts.get(1), Some(&IndexPart::Field("service".to_owned())));
    assert_eq!((prefix.as_str(), fallback.as_str()), ("logs-", "logs-odd"));
    assert_eq!(sink.pipeline.as_deref(), Some("geo"));
    assert_eq!(sink.routing, Some(Routing::Field("tenant".to_owned())));
    let password = Secret { from: SecretSource::File(PathBuf::from("/etc/jobs.d/secret.txt")) };
    assert_eq!(sink.auth, Auth::Basic { user: "elastic".to_owned(), password });
    assert_eq!(sink.headers, [("X-Tenant".to_owned(), Secret::literal("ahunter2"))]);
    assert_eq!(sink.proxy, Some(Secret::literal("http://u:p@proxy:3128")));
    assert_eq!(sink.park_for, Some(Duration::from_secs(2 * 86_400)));
    let json = "{\"index_patterns\": [\"logs-*\"]}".to_owned();
    assert_eq!(sink.bootstrap.template, Some(("my-job.1".to_owned(), json.clone())));
    assert_eq!(sink.bootstrap.lifecycle, Some(("30-days".to_owned(), json)));
    assert!(sink.bootstrap.data_stream);
    assert_eq!((sink.bulk.max_bytes, sink.bulk.compression, sink.bulk.max_in_flight), (4 << 20, 6, 8));
    assert_eq!((sink.bulk.linger, sink.bulk.timeout), (Duration::from_secs(1), Duration::from_secs(90)));
}

#[test]
fn connections_buffer_and_secrets_reach_the_plan() {
    let https = "sink:endpoint = \"https://es:9200/\"";
    let key = good(&["sink:api_key = \"${credential:es-key}\""]).sink.auth;
    let file = PathBuf::from("/run/credentials/unit/es-key");
    assert_eq!(key, Auth::ApiKey(Secret { from: SecretSource::File(file) }));
    let token = good(&["sink:bearer_token = \"$${env:x}${env:SECRET}\""]).sink.auth;
    assert_eq!(token, Auth::Bearer(Secret::literal("${env:x}hunter2")));
    let fingerprint = format!("sink.tls:fingerprint = \"{}\"", "AB:".repeat(31) + "AB");
    let tls = good(&[
        https,
        "sink.tls:ca_file = \"../ca.pem\"",
        "sink.tls:certificate_file = \"/etc/ca.pem\"",
        "sink.tls:key_file = \"/etc/ca.pem\"",
        &fingerprint,
    ])
    .sink;
    assert_eq!(tls.endpoints, ["https://es:9200"]);
    assert_eq!(tls.tls.fingerprint, Some("ab".repeat(32)));
    assert!(tls.tls.ca_file.is_some() && tls.tls.certificate_file.is_some() && tls.tls.key_file.is_some());
    assert!(good(&[https, "sink.tls:verify = false"]).sink.tls.insecure);
    let buffer = good(&[
        "buffer:max_bytes = \"256 MiB\"",
        "buffer:when_full = \"drop_oldest\"",
        "buffer:dead_letters_max_bytes = \"1 MiB\"",
    ])
    .buffer;
    assert_eq!((buffer.max_bytes, buffer.dead_letters_max_bytes), (256 << 20, 1 << 20));
    assert_eq!(buffer.when_full, WhenFull::DropOldest);
}

/// (lines put into the smallest job, what is said).
const BAD: &[(&[&str], &str)] = &[
    (&[":id = \"a b\""], "\"id\" must be 1 to 64 of the letters"),
    (&[":id = 7"], "\"id\" must be a string, found the integer 7"),
    (
        &["source:type = \"flie\""],
        "must be one of \"file\", \"stdin\", \"sls\", found \"flie\"; did you mean \"file\"?",
    ),
    (&["source:type = \"stdin\""], "\"paths\" in [source] is for type = \"file\"; stdin has none"),
    (&["source:paths = []"], "\"paths\" in [source] is an empty list"),
    (&["source:paths = 5"], "must be a list of strings, found the integer 5"),
    (&["source:paths = [\"/a/[x\"]"], "\"/a/[x\" is no glob: unclosed character class"),
    (&["source:exclude = [true]"], "must be a list of strings, found the boolean true"),
    (&["source:start = \"middle\""], "must be \"beginning\", \"end\" or a size like \"last 1 MiB\""),
    (&["source:partial_after = \"soon\""], "or \"never\", found the string \"soon\"; the units are ms, s, m"),
    (&["source:partial_after = \"1ms\""], "must be from 10ms to 1day, or \"never\""),
    (&["source:partial_after = \"1s\"", "decode:format = \"json\""], "a part of a JSON line is not JSON"),
    (&["source:max_line_bytes = 1"], "must be from 16 bytes to 16 MiB, found the integer 1"),
    (&["source:max_line_bytes = -1"], "a size is never negative"),
    (&["source:max_line_bytes = 1.5"], "must be a size like \"64 MiB\" or a number of bytes, found the float 1.5"),
    (&["source:long_lines = \"dead_letter\""], "found \"dead_letter\"; did you mean \"dead-letter\"?"),
    (&["source:hold = \"2d\""], "must be from 0s to 1day"),
    (&["source:hold_deleted_bytes = \"1G\""], "which is it, \"1 GB\" (1000) or \"1 GiB\" (1024)?"),
    (&["source:rescan = 10"], "found the integer 10; which unit: \"10ms\", \"10s\", \"10m\"?"),
    (&["source:watch = \"no\""], "must be true or false, found the string \"no\""),
    (&["decode:format = \"jsn\""], "did you mean \"json\"?"),
    (&["decode:fields = \"x\""], "[decode.fields] must be a section, found a string"),
    (&["decode:fields = { message = 1 }"], "is written by the agent itself; choose another name"),
    (&["decode:fields = { a = inf }"], "is inf, which JSON does not have"),
    (&["decode:fields = { a = \"${env:NOPE}\" }"], "the environment variable \"NOPE\" is not set"),
    (&["decode:timestamp = \"t\""], "needs format = \"json\": a raw line has no fields"),
    (&["decode:format = \"json\"", "decode:timestamp_formats = [\"%d\"]"], "needs \"timestamp\", the field to read"),
    (
        &["decode:format = \"json\"", "decode:timestamp = \"t\"", "decode:timestamp_formats = [\"%K\"]"],
        "must be strptime formats like \"%d/%b/%Y:%H:%M:%S %z\", found \"%K\"",
    ),
    (&["decode:host = \"\""], "\"host\" in [decode] is empty"),
    (&["source:paths = [\"~/x.log\"]"], "begins with ~, which only a shell knows; write ${env:HOME}"),
    (&["sink:type = \"kafka\""], "must be \"elasticsearch\", found \"kafka\""),
    (
        &["sink:endpoint = \"es:9200\""],
        "has no scheme; it must begin with http:// or https://; did you mean \"http://es:9200\"?",
    ),
    (&["sink:endpoint = \"http://:9200\""], "names no host"),
    (&["sink:endpoint = \"http://es:99999\""], "has a port that is not from 1 to 65535"),
    (&["sink:endpoint = \"http://es:9200?x=1\""], "has a \"?\" or \"#\" part"),
    (&["sink:endpoints = [\"http://es:9200\"]"], "[sink] has both \"endpoint\" and \"endpoints\"; keep one"),
    (&["sink:datasource = \"prod\""], "\"endpoint\" in [sink] is given by the datasource"),
    (&["sink:datasource = \"prod\""], "unknown datasource \"prod\"; there is no datasources.toml"),
    (&["sink:index = \"Logs\""], "\"Logs\" has upper-case letters; index names are lower-case"),
    (&["sink:index = \"%{app}\""], "begins with a variable part; begin with literal text"),
    (&["sink:fallback_index = \"x\""], "has no meaning: \"index\" is one fixed name"),
    (&["sink:index = \"a-%Y\"", "sink:fallback_index = \"-x\""], "\"-x\" begins with '-'"),
    (&["sink:pipeline = 5"], "must be a string"),
    (&["sink:routing = \"a\"", "sink:routing_field = \"b\""], "[sink] has both \"routing\""),
    (&["sink:user = \"u\""], "\"user\" in [sink] needs \"password\" beside it"),
    (&["sink:password = \"p\""], "\"password\" in [sink] needs \"user\" beside it"),
    (&["sink:api_key = 5"], "\"api_key\" in [sink] must be a string, found an integer"),
    (&["sink:api_key = \"a\"", "sink:bearer_token = \"b\""], "[sink] has both \"api_key\" and \"bearer_token\""),
    (&["sink:api_key = \"${file:absent}\""], "the file \"/etc/jobs.d/absent\" can't be read"),
    (&["sink:api_key = \"${file:empty.txt}\""], "the file \"/etc/jobs.d/empty.txt\" is empty"),
    (&["sink:api_key = \"${env:EMPTY}\""], "\"api_key\" in [sink] is empty"),
    (&["sink:api_key = \"${env:SECRET\""], "a \"${\" without its \"}\""),
    (&["sink:api_key = \"${SECRET}\""], "none of ${env:NAME}, ${file:PATH}, ${credential:NAME}"),
    (&["sink:api_key = \"a\\nb\""], "has a line break or another control character in it"),
    (&["sink:headers = { \"a b\" = \"x\" }"], "is no name of a header"),
    (&["sink:headers = { Content-Type = \"x\" }"], "is set by the agent itself"),
    (&["sink:api_key = \"a\"", "sink:headers = { Authorization = \"x\" }"], "keep one way to log in"),
    (&["sink:proxy = \"proxy:3128\""], "has no scheme"),
    (&["sink:park_for = \"0s\""], "must be from 1s"),
    (&["sink:template = \"absent.json\""], "the file \"absent.json\" can't be read"),
    (&["sink:template = \"secret.txt\""], "the file \"secret.txt\" is not JSON"),
    (&["sink:template = \"list.json\""], "is JSON, but no object"),
    (&["sink:template_name = \"x\""], "needs \"template\", the path of a JSON file, beside it"),
    (&["sink:lifecycle = \"template.json\"", "sink:lifecycle_name = \"a/b\""], "has other than letters, digits"),
    (&["sink:data_stream = 1"], "must be true or false"),
    (&["sink:bulk = 5"], "[sink.bulk] must be a section, found an integer"),
    (&["sink.tls:ca_file = \"secret.txt\""], "is not PEM"),
    (&["sink.tls:key_file = \"../ca.pem\""], "needs \"certificate_file\" beside it"),
    (&["sink.tls:fingerprint = \"abc\""], "must be a SHA-256 fingerprint, 64 hexadecimal digits"),
    (
        &["sink.tls:ca_file = \"../ca.pem\"", "sink.tls:verify = false"],
        "accepts any certificate, so \"ca_file\" has no meaning",
    ),
    (&["sink.bulk:max_bytes = \"1 KiB\""], "must be from 64 KiB to 1 GiB"),
    (&["sink.bulk:linger = \"2m\""], "must be from 0s to 1m"),
    (&["sink.bulk:compression = 0"], "must be an integer from 1 to 9, found the integer 0"),
    (&["sink.bulk:max_in_flight = \"4\""], "must be an integer from 1 to 256, found the string \"4\""),
    (&["sink.bulk:timeout = \"10ms\""], "must be from 1s to 1h"),
    (&["buffer:max_bytes = 5"], "must be from 1 MiB to"),
    (&["buffer:when_full = \"drop\""], "must be one of \"block\", \"drop_oldest\", \"drop_newest\""),
    (&["buffer:dead_letters_max_bytes = true"], "must be a size like"),
];

#[test]
fn a_bad_value_of_any_key_is_told_what_is_expected() {
    for (lines, expected) in BAD {
        let text = job_with(lines);
        let (plan, problems) = parse(&text);
        let problems = problems.to_string();
        assert!(problems.contains(expected), "{lines:?} should say\n  {expected}\nbut says\n{problems}");
        assert_eq!(plan, None, "{lines:?}");
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    for section in ["", "source", "decode", "sink", "sink.tls", "sink.bulk", "buffer"] {
        let line = format!("{section}:zzzzzz = 1");
        let text = job_with(&[&line]);
        let (plan, problems) = parse(&text);
        assert!(plan.is_none() && problems.to_string().contains("unknown key \"zzzzzz\""), "{section}:\n{problems}");
    }
}

#[test]
fn every_known_key_is_in_the_table_at_the_head_of_the_dialect() {
    let source_text = include_str!("../native.rs");
    let head: String = source_text.lines().take_while(|line| line.starts_with("//!")).collect();
    for (_, keys) in native::DIALECT {
        for key in keys.iter().filter(|key| !["source", "decode", "sink", "buffer", "tls", "bulk"].contains(key)) {
            assert!(head.contains(&format!("`{key}`")), "{key} is not described");
        }
    }
    for keys in [source::KEYS, decode::KEYS, sink::KEYS, connection::TLS_KEYS] {
        assert!(native::DIALECT.iter().any(|(_, known)| *known == keys));
    }
    assert!(connection::KEYS.iter().all(|key| sink::KEYS.contains(key)));
}
