//! Logstores: every key of a native `[source]` and every option of a SQL table reaches the plan or is refused.

use std::time::Duration;

use super::*;
use crate::plan::{
    LengthCheck, LogFormat, QueryPlan, Secret, SlsCheckpoint, SlsCompression, SlsGroup, SlsPlan, SlsReach, SlsStart,
    SourcePlan, TableFormat, TlsPlan,
};

const NATIVE: &str = r#"
[source]
type = "sls"
endpoint = "cn-hangzhou.log.aliyuncs.com"
project = "my-project"
logstore = "my-logstore"
access_key_id = "ak"
access_key_secret = "${env:SECRET}"
MORE
[sink]
type = "elasticsearch"
endpoint = "http://127.0.0.1:9200"
index = "logs"
"#;

fn reach() -> SlsReach {
    SlsReach::new("http://cn-hangzhou.log.aliyuncs.com", Secret::literal("ak"), Secret::literal("hunter2"))
}

fn smallest() -> SlsPlan {
    SlsPlan::new(reach(), "my-project", "my-logstore")
}

fn native(more: &str) -> SlsPlan {
    let (plan, problems) = parse(&NATIVE.replace("MORE", more));
    assert_eq!(problems.to_string(), "");
    match plan.unwrap().source {
        SourcePlan::Sls(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn native_said(more: &str) -> String {
    let (plan, problems) = parse(&NATIVE.replace("MORE", more));
    assert!(plan.is_none(), "{more}");
    problems.to_string()
}

#[test]
fn every_native_key_of_a_logstore_reaches_the_plan() {
    assert_eq!(native(""), smallest());
    let plan = native(
        "security_token = \"tok\"\nregion = \"cn-hangzhou\"\nconnect = \"127.0.0.1:8090\"\n\
         proxy = \"http://proxy:3128\"\ncname = true\ntimeout = \"20s\"\nstart = \"now\"\n\
         stop = \"1970-01-01T00:01:00Z\"\ngroup = \"g\"\nconsumer = \"c\"\nheartbeat = \"2s\"\n\
         group_timeout = \"40s\"\nin_order = true\ncheckpoint = \"durable\"\nbatch = 100\n\
         compression = \"zstd\"\ndiscover = \"never\"\n",
    );
    let expected = SlsPlan {
        reach: SlsReach {
            security_token: Some(Secret::literal("tok")),
            region: Some("cn-hangzhou".to_owned()),
            connect: Some("127.0.0.1:8090".to_owned()),
            proxy: Some(Secret::literal("http://proxy:3128")),
            own_name: true,
            timeout: Duration::from_secs(20),
            ..reach()
        },
        start: SlsStart::Now,
        stop: Some(60),
        ends: true,
        group: Some(SlsGroup {
            consumer: Some("c".to_owned()),
            heartbeat: Duration::from_secs(2),
            timeout: Some(Duration::from_secs(40)),
            in_order: Some(true),
            checkpoint: SlsCheckpoint::Durable,
            ..SlsGroup::new("g")
        }),
        batch: 100,
        compression: SlsCompression::Zstd,
        discover: None,
        ..smallest()
    };
    assert_eq!(plan, expected);
    assert_eq!(native("start = \"1970-01-01T00:00:09Z\"").start, SlsStart::At(9));
}

#[test]
fn tls_of_a_logstore_is_told_by_a_section_of_its_own() {
    let text = NATIVE.replace("\"cn-hangzhou", "\"https://cn-hangzhou");
    let (plan, problems) = parse(&text.replace("MORE", "[source.tls]\nca_file = \"/etc/ca.pem\""));
    assert_eq!(problems.to_string(), "");
    let SourcePlan::Sls(plan) = plan.unwrap().source else { panic!() };
    assert_eq!(plan.reach.tls, TlsPlan { ca_file: Some("/etc/ca.pem".into()), ..TlsPlan::default() });
}

#[test]
fn mistakes_in_a_native_logstore_are_told_all_at_once() {
    let said = native_said(
        "paths = [\"/a\"]\nmax_line_bytes = 100\nconsumer = \"c\"\nstart = \"yesterday\"\nconnect = \"nowhere\"\n\
         batch = 2000\n[decode]\nformat = \"json\"\nhost = \"h\"\n",
    );
    for part in [
        "\"paths\" in [source] is for files and lines; a Logstore has none",
        "\"max_line_bytes\" in [source] is for files and lines",
        "\"consumer\" in [source] has no meaning without \"group\"",
        "\"start\" in [source] must be \"beginning\", \"now\" or a time like",
        "\"connect\" in [source] must be an address like",
        "an integer from 1 to 1000",
        "\"format\" in [decode] is for lines",
        "\"host\" in [decode] has no meaning for a Logstore",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let text = NATIVE.replace("project = \"my-project\"\n", "").replace("access_key_id = \"ak\"\n", "");
    let said = parse(&text.replace("MORE", "")).1.to_string();
    assert!(said.contains("project = \"my-project\"") && said.contains("access_key_id = "), "{said}");
    let said = job_with(&["source:group = \"g\""]);
    assert!(parse(&said).1.to_string().contains("\"group\" in [source] is for type = \"sls\""));
}

const LEGACY: &str = "create table s(
  a int, b int, c VARCHAR, `__topic__` VARCHAR HEADER, `__timestamp__` BIGINT HEADER,
  `__tag__:__receive_time__` VARCHAR HEADER
) with (
  type ='sls', endPoint ='http://cn-hangzhou.log.aliyuncs.com', accessID ='ak', accessKey ='${env:SECRET}',
  project ='my-project', LOGSTORE ='my-logstore' MORE
);
create table t(a int, n VARCHAR) with (type = 'print');
insert into t select a, `__topic__` from s;";

const CURRENT: &str = "CREATE TABLE s (
  a INT, b STRING, `__topic__` STRING METADATA VIRTUAL, tags MAP<STRING, STRING> METADATA FROM '__tag__' VIRTUAL
) WITH (
  'connector' = 'sls', 'endpoint' = 'http://cn-hangzhou.log.aliyuncs.com', 'accessId' = 'ak',
  'accesskey' = '${env:SECRET}', 'project' = 'my-project', 'logstore' = 'my-logstore' MORE
);
CREATE TABLE t (a INT, n STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, tags['k'] FROM s;";

fn script(text: &str, more: &str) -> (Option<QueryPlan>, String) {
    let text = text.replace("MORE", more);
    let (plan, problems) = flink::parse(&text, "web.sql", "web", &outside(), &Datasources::default());
    (plan, problems.to_string())
}

fn table(text: &str, more: &str) -> (SlsPlan, LogFormat) {
    let (plan, said) = script(text, more);
    assert_eq!(said, "", "{more}");
    let table = plan.unwrap().tables.remove(0);
    match (table.source, table.format) {
        (SourcePlan::Sls(plan), TableFormat::Log(format)) => (*plan, format),
        other => panic!("{other:?}"),
    }
}

fn said(text: &str, more: &str) -> String {
    let (plan, said) = script(text, more);
    assert!(plan.is_none(), "{more}");
    said
}

/// What a script begins with where it says nothing.
fn of_scripts() -> SlsPlan {
    SlsPlan { start: SlsStart::Now, from_group: false, ..smallest() }
}

#[test]
fn legacy_options_are_obeyed_whatever_their_case() {
    assert_eq!(table(LEGACY, ""), (of_scripts(), LogFormat::default()));
    let (plan, format) = table(
        LEGACY,
        ", startTime = '1970-01-01 00:01:00', CONSUMERGROUP = 'g', heartBeatIntervalMills = '8000', \
         maxRetryTimes = '7', batchGetSize = '50', columnErrorDebug = 'true', lengthCheck = 'SKIP', \
         directMode = 'true', startupMode = 'Group_Offsets'",
    );
    let group = SlsGroup { heartbeat: Duration::from_secs(8), ..SlsGroup::new("g") };
    let expected = SlsPlan { start: SlsStart::At(60), group: Some(group), batch: 50, from_group: true, ..of_scripts() };
    assert_eq!((plan, format), (expected, LogFormat { length_check: LengthCheck::Skip, debug: true }));
}

#[test]
fn current_options_are_obeyed_mapped_or_refused_with_a_reason() {
    assert_eq!(table(CURRENT, ""), (of_scripts(), LogFormat::default()));
    let (plan, _) = table(
        CURRENT,
        ", 'startTime' = '1970-01-01 08:01:00', 'stopTime' = '1970-01-01 08:02:00', 'exitAfterFinish' = 'true', \
         'timeZone' = 'Asia/Shanghai', 'shardDiscoveryIntervalMs' = '-1', 'maxRetries' = '3', \
         'enableNewSource' = 'true', 'compressType' = 'zstd', 'regionId' = 'cn-hangzhou', 'signVersion' = 'v4', \
         'shardModDivisor' = '4', 'shardModRemainder' = '3', 'source.connect' = '127.0.0.1:8090', \
         'source.proxy' = 'http://p:1', 'source.cname' = 'true', 'source.security_token' = 'tok'",
    );
    let expected = SlsPlan {
        reach: SlsReach {
            region: Some("cn-hangzhou".to_owned()),
            connect: Some("127.0.0.1:8090".to_owned()),
            proxy: Some(Secret::literal("http://p:1")),
            own_name: true,
            security_token: Some(Secret::literal("tok")),
            ..reach()
        },
        start: SlsStart::At(60),
        stop: Some(120),
        ends: true,
        discover: None,
        compression: SlsCompression::Zstd,
        shards: Some((4, 3)),
        ..of_scripts()
    };
    assert_eq!(plan, expected);
    for (option, reason) in [
        ("'query' = '* | where a > 1'", "has no place of its own"),
        ("'processor' = 'p'", "has no place of its own"),
        ("'metadata.list' = 'x'", "the table declares them"),
        ("'format' = 'json'", "its logs have fields"),
        ("'signVersion' = 'v4'", "regionId"),
        ("'startupMode' = 'consumer_group'", "consumerGroup"),
        ("'startTime' = '2026-11-21'", "must be a time like '2026-11-21 08:00:00'"),
        ("'shardModDivisor' = '4', 'consumerGroup' = 'g'", "can't be in a consumerGroup"),
        ("'source.consumer' = 'c'", "no meaning without consumerGroup"),
        ("'batchGetSize' = '1001'", "from 1 to 1000"),
        ("'topicField' = 'x'", "unknown option topicField"),
    ] {
        let said = said(CURRENT, &format!(", {option}"));
        assert!(said.contains(reason), "{option}:\n{said}");
    }
}

#[test]
fn where_a_script_begins_is_what_startup_mode_says() {
    let begins = |more: &str| {
        let (plan, _) = table(CURRENT, &format!(", 'consumerGroup' = 'g' {more}"));
        (plan.start, plan.from_group)
    };
    assert_eq!(begins(", 'startupMode' = 'timestamp'"), (SlsStart::Now, false));
    assert_eq!(begins(", 'startupMode' = 'earliest'"), (SlsStart::Beginning, false));
    assert_eq!(begins(", 'startupMode' = 'LATEST'"), (SlsStart::Now, false));
    assert_eq!(begins(", 'startupMode' = 'consumer_group'"), (SlsStart::Beginning, true));
    assert_eq!(begins(", 'startupMode' = 'group_offsets'"), (SlsStart::Beginning, true));
    assert_eq!(begins(", 'consumeFromCheckpoint' = 'true'"), (SlsStart::Now, true));
}

#[test]
fn attributes_of_logs_are_metadata_and_those_of_files_are_not() {
    let said = said(&LEGACY.replace("`__topic__` VARCHAR HEADER", "`path` VARCHAR HEADER"), "");
    assert!(said.contains("there are __source__, __topic__, __timestamp__, __tag__"), "{said}");
}

#[test]
fn a_key_in_a_script_is_never_shown() {
    let (_, said) = script(LEGACY, ", accessKey2 = 'hunter3'");
    assert!(said.contains("accessKey2") && !said.contains("hunter3"), "{said}");
}
