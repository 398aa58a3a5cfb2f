//! What a real cluster refuses, in its own words: documents become dead letters, indices are parked.

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::services::Service;
use e2e::wait;

/// An agent over JSON lines `{"n":…}`.
fn json_agent(room: &Room, server: &Service, index: &str, more: &str) -> Agent {
    room.agent(&room.raw_job("*.log", server.url(), index, more).replace("\"raw\"", "\"json\""))
}

fn parked_and_nothing_dead(agent: &Agent, index: &str) {
    wait::holds(&format!("{index} is parked"), PATIENCE, || agent.ctl().parked() == [index]);
    eprintln!("{index}: {}", agent.ctl().status()["pipelines"][0]["parked"][0]["why"]);
    assert_eq!(agent.ctl().dead_letters().len(), 0);
}

fn flushed(agent: &Agent, server: &Service, index: &str, count: u64) {
    wait::holds(&format!("{count} documents in {index}"), PATIENCE, || {
        agent.ctl().flush();
        server.count(index) == count
    });
}

#[test]
fn a_real_cluster_refuses_documents_one_by_one_and_indices_as_a_whole() {
    let Some(server) = super::server("refusals", "elasticsearch", super::MAIN, &[]) else { return };
    a_mapping_conflict_becomes_dead_letters_that_can_be_replayed(&server);
    a_read_only_index_is_parked(&server);
    a_closed_index_is_parked(&server);
    the_shard_limit_parks(&server);
    a_missing_ingest_pipeline_parks(&server);
}

fn a_mapping_conflict_becomes_dead_letters_that_can_be_replayed(server: &Service) {
    let (index, room) = ("logs-conflict", Room::new());
    server.must("PUT", &format!("/{index}"), r#"{"mappings":{"properties":{"n":{"type":"long"}}}}"#);
    let lines: String = (0..1000)
        .map(|n| if n % 10 == 0 { format!("{{\"n\":\"number {n}\"}}\n") } else { format!("{{\"n\":{n}}}\n") })
        .collect();
    room.file("logs/app.log", lines);
    let mut agent = json_agent(&room, server, index, "");
    agent.start_ready();
    wait::holds("the good ones are there", PATIENCE, || server.count(index) == 900);
    wait::holds("the bad ones are dead letters", PATIENCE, || agent.ctl().dead_letters().len() == 100);
    let letter = &agent.ctl().dead_letters()[0];
    eprintln!("conflict: {letter}");
    assert_eq!(letter["status"], 400);
    assert!(letter["reason"].as_str().unwrap().contains("[n]"), "{letter}");
    // Mended as an operator would: a new mapping under the old name.
    server.must("DELETE", &format!("/{index}"), "");
    server.must("PUT", &format!("/{index}"), r#"{"mappings":{"properties":{"n":{"type":"keyword"}}}}"#);
    agent.ctl().run(&["dead-letters", "replay", "--all"]);
    wait::holds("they are indexed", PATIENCE, || server.count(index) == 100);
    wait::holds("none is left", PATIENCE, || agent.ctl().dead_letters().is_empty());
}

fn a_read_only_index_is_parked(server: &Service) {
    let (index, room) = ("logs-read-only", Room::new());
    server.must("PUT", &format!("/{index}"), "");
    let settings = |value: &str| format!(r#"{{"index.blocks.read_only_allow_delete":{value}}}"#);
    server.must("PUT", &format!("/{index}/_settings"), &settings("true"));
    room.file("logs/app.log", "{\"n\":1}\n{\"n\":2}\n");
    let mut agent = json_agent(&room, server, index, "");
    agent.start_ready();
    parked_and_nothing_dead(&agent, index);
    server.must("PUT", &format!("/{index}/_settings"), &settings("null"));
    flushed(&agent, server, index, 2);
}

fn a_closed_index_is_parked(server: &Service) {
    let (index, room) = ("logs-closed", Room::new());
    server.must("PUT", &format!("/{index}"), "");
    server.must("POST", &format!("/{index}/_close"), "");
    room.file("logs/app.log", "{\"n\":1}\n{\"n\":2}\n");
    let mut agent = json_agent(&room, server, index, "");
    agent.start_ready();
    parked_and_nothing_dead(&agent, index);
    server.must("POST", &format!("/{index}/_open"), "");
    flushed(&agent, server, index, 2);
}

fn the_shard_limit_parks(server: &Service) {
    let (index, room) = ("logs-one-too-many", Room::new());
    let limit = |value: &str| format!(r#"{{"persistent":{{"cluster.max_shards_per_node":{value}}}}}"#);
    server.must("PUT", "/_cluster/settings", &limit("1"));
    room.file("logs/app.log", "{\"n\":1}\n");
    let mut agent = json_agent(&room, server, index, "");
    agent.start_ready();
    parked_and_nothing_dead(&agent, index);
    server.must("PUT", "/_cluster/settings", &limit("null"));
    flushed(&agent, server, index, 1);
}

fn a_missing_ingest_pipeline_parks(server: &Service) {
    let (index, room) = ("logs-pipeline", Room::new());
    room.file("logs/app.log", "{\"n\":1}\n");
    let mut agent = json_agent(&room, server, index, "pipeline = \"not-there\"");
    agent.start_ready();
    wait::holds("it is parked", PATIENCE, || agent.ctl().state() == "parked");
    let status = agent.ctl().status();
    assert!(status.to_string().contains("not-there"), "{status}");
    assert_eq!(agent.ctl().dead_letters().len(), 0);
    assert_eq!(server.count(index), 0);
}
