//! The doctor and the search against real clusters, from the oldest to the newest.

use e2e::agent::{PATIENCE, Room};
use e2e::wait;

const INDEX: &str = "logs-examined";

/// A good index and one that takes nothing and holds another type.
fn examined(script: &str, version: &str) {
    let Some(server) = super::server(&format!("doctor {script} {version}"), script, version, &[]) else { return };
    let room = Room::new();
    let mut agent = room.agent(&room.raw_job("*.log", server.url(), INDEX, ""));
    room.file("logs/app.log", "needle\nhay\n");
    agent.start_ready();
    wait::holds("both are there", PATIENCE, || server.count(INDEX) == 2);
    let checks = |what: &str| {
        let (well, out, err) = agent.ctl().try_run(&["doctor", "--json"]);
        eprintln!("{script} {version}, {what}: {err}");
        (well, out)
    };
    let (_, good) = checks("a good index");
    for holds in ["clock and the cluster's agree", "shards\"", "the cluster is", "logs-examined can hold what we send"]
    {
        assert!(good.contains(holds), "{holds}: {good}");
    }
    let (well, out, err) = agent.ctl().try_run(&["search", INDEX, "message:needle"]);
    assert!(well && out.contains("\"message\":\"needle\"") && out.lines().count() == 1, "{out}{err}");
    assert!(err.starts_with("1 document "), "{err}");
    let (well, _, err) = agent.ctl().try_run(&["search", INDEX, "message:"]);
    assert!(!well && err.contains("Cannot parse") && err.lines().count() == 1, "{err}");

    server.must("DELETE", &format!("/{INDEX}"), "");
    let properties = r#"{"host":{"type":"keyword"}}"#;
    // Version 6 has a type in between.
    let mapping = if version.starts_with("6.") {
        format!("{{\"_doc\":{{\"properties\":{properties}}}}}")
    } else {
        format!("{{\"properties\":{properties}}}")
    };
    server.must("PUT", &format!("/{INDEX}"), &format!("{{\"mappings\":{mapping}}}"));
    server.must("PUT", &format!("/{INDEX}/_settings"), r#"{"index.blocks.read_only_allow_delete":true}"#);
    let (well, bad) = checks("a bad one");
    assert!(!well, "{bad}");
    for holds in ["index.blocks.read_only_allow_delete", "host is of type keyword"] {
        assert!(bad.contains(holds), "{holds}: {bad}");
    }
    agent.stop();
}

#[test]
fn elasticsearch_6_is_examined() {
    examined("elasticsearch", "6.8.23");
}

#[test]
fn elasticsearch_8_is_examined() {
    examined("elasticsearch", super::MAIN);
}

#[test]
fn elasticsearch_9_is_examined() {
    examined("elasticsearch", "9.2.4");
}

#[test]
fn opensearch_is_examined() {
    examined("opensearch", "3.6.0");
}
