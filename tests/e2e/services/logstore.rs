//! The script as it is published for Log Service, word for word but for its placeholders: the official Python SDK writes
//! logs, a real Elasticsearch has the right count for each `a`, whatever the sink's options are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::agent::{Agent, Room};
use e2e::logstore::{Logstore, Options};
use e2e::seed::Rng;
use e2e::services::Service;
use e2e::{wait, witness};

/// Logs that are written; `LOGS=200000` for as many.
fn logs() -> u64 {
    std::env::var("LOGS").map_or(20_000, |logs| logs.parse().expect("LOGS is a number"))
}

/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(300);

const SCRIPT: &str = "        create table sls_stream(
          a int,
          b int,
          c VARCHAR
        )
        WITH (
          type ='sls',  
          endPoint ='<yourEndpoint>',
          accessId ='<yourAccessId>',
          accessKey ='<yourAccessKey>',
          startTime = '<yourStartTime>',
          project ='<yourProjectName>',
          logStore ='<yourLogStoreName>',
          consumerGroup ='<yourConsumerGroupName>'
        );
        CREATE TABLE es_stream_sink(
          a int,
          cnt BIGINT,
          PRIMARY KEY(a)
        )
        WITH(
          type ='elasticsearch',
          endPoint = 'http://<instanceid>.public.elasticsearch.aliyuncs.com:<port>',
          accessId = '<yourAccessId>',
          accessKey = '<yourAccessSecret>',
          index = '<yourIndex>',
          typeName = '<yourTypeName>'
        );
        INSERT INTO es_stream_sink
        SELECT 
          a,
          count(*) as cnt
        FROM sls_stream GROUP BY a
";

/// The script with its placeholders filled in; index and consumer group have the same name.
fn filled(server: &Service, name: &str) -> String {
    let (source, sink) = SCRIPT.split_once("CREATE TABLE").unwrap();
    let source = source
        .replace("<yourEndpoint>", "http://cn-hangzhou.log.aliyuncs.com")
        .replace("<yourAccessId>", "test-key")
        .replace("<yourAccessKey>", "test-secret")
        .replace("<yourStartTime>", "2017-07-05 00:00:00")
        .replace("<yourProjectName>", "test-project")
        .replace("<yourLogStoreName>", "test-logstore")
        .replace("<yourConsumerGroupName>", name);
    let sink = sink
        .replace("http://<instanceid>.public.elasticsearch.aliyuncs.com:<port>", server.url())
        .replace("<yourAccessId>", "elastic")
        .replace("<yourAccessSecret>", "secret")
        .replace("<yourIndex>", name)
        .replace("<yourTypeName>", "_doc");
    let script = format!("{source}CREATE TABLE{sink}");
    assert!(!script.contains("<your") && !script.contains("<port>"), "{script}");
    script
}

/// It reaches the Logstore as a program with the SDK does: by the environment's proxy.
fn agent(room: &Room, logstore: &Logstore, name: &str, script: &str) -> Agent {
    let job = room.file(&format!("{name}.sql"), script);
    Agent::new(room, &[job]).data_dir(room.path().join(format!("data-{name}"))).env("http_proxy", &logstore.url())
}

/// `_id` → `cnt`; each document's `a` must be its `_id`.
fn documents(server: &Service, index: &str) -> BTreeMap<String, u64> {
    let one = |document: &serde_json::Value| {
        let (id, source) = (document["_id"].as_str().unwrap().to_owned(), &document["_source"]);
        assert_eq!(source["a"].to_string(), id, "{document}");
        assert_eq!(source.as_object().unwrap().len(), 2, "{document}");
        (id, source["cnt"].as_u64().unwrap())
    };
    if server.count(index) == 0 {
        return BTreeMap::new();
    }
    server.documents(index).iter().map(one).collect()
}

/// Writes logs with the SDK: how many of each `a`. `None`: it can't be had.
fn write(logstore: &Logstore, count: u64, seed: u64) -> Option<BTreeMap<String, u64>> {
    let (count, seed) = (count.to_string(), seed.to_string());
    let printed = witness::run_python(logstore, &["tests/witness/write.py", "--count", &count, "--seed", &seed])?;
    let counts = serde_json::from_str::<BTreeMap<String, u64>>(printed.lines().last().unwrap_or_default());
    Some(counts.unwrap_or_else(|error| panic!("{error}: {printed}")))
}

#[test]
fn published_script_counts_a_logstore_that_the_official_sdk_writes_to() {
    let test = "the published script over a Logstore, elasticsearch 7.17.29";
    let Some(server) = super::server(test, "elasticsearch", "7.17.29", &[]) else { return };
    let mut rng = Rng::for_test(test);
    let (room, logstore) = (Room::new(), Logstore::start(Options { shards: 4, ..Options::default() }));

    // While logs come in, and over two kills.
    let mut following = agent(&room, &logstore, "following", &filled(&server, "following"));
    following.start_ready();
    let Some(expected) = std::thread::scope(|scope| {
        let (logstore, seed, begin) = (&logstore, rng.number() % 1_000_000, Instant::now());
        let writer = scope.spawn(move || write(logstore, logs(), seed));
        while !writer.is_finished() {
            wait::pass(Duration::from_millis(rng.within(300, 3000)));
            following.kill();
            following.start_ready();
        }
        eprintln!(
            "{test}: {} logs written in {:?}, the last run is number {}",
            logs(),
            begin.elapsed(),
            following.starts()
        );
        writer.join().expect("the writer")
    }) else {
        return;
    };
    wait::holds("all is counted", LIMIT, || documents(&server, "following") == expected);
    following.stop();

    // What is there already, once, with each form of the sink.
    let with = |name: &str, what: &str, by: &str| {
        let script = filled(&server, name);
        assert!(script.contains(what));
        script.replace(what, by)
    };
    for (name, script) in [
        ("at-once", filled(&server, "at-once")),
        ("full", with("full", "typeName = '_doc'", "typeName = '_doc',\n          updateMode = 'full'")),
        ("inc", with("inc", "typeName = '_doc'", "typeName = '_doc',\n          updateMode = 'inc'")),
        ("no-key", with("no-key", "cnt BIGINT,\n          PRIMARY KEY(a)", "cnt BIGINT")),
    ] {
        let begin = Instant::now();
        agent(&room, &logstore, name, &script).once_well();
        eprintln!("{test}: {name} took {:?}", begin.elapsed());
        assert_eq!(documents(&server, name), expected, "{name}");
    }
}
