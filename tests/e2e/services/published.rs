//! The published script, word for word but for what its source is and where the cluster stands: its counts in real
//! servers are right, also over kill -9.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use e2e::agent::{Agent, Room};
use e2e::seed::Rng;
use e2e::services::Service;
use e2e::wait;

/// Rows of the input; `ROWS=1000000` for as many.
fn rows() -> u64 {
    std::env::var("ROWS").map_or(100_000, |rows| rows.parse().expect("ROWS is a number"))
}

const KEYS: u64 = 1000;

/// The three statements as published, `FILE`, `URL` and `INDEX` to be filled in.
const SCRIPT: &str = "        create table sls_stream(
          a int,
          b int,
          c VARCHAR
        )
        WITH (
          type ='file',
          path ='FILE',
          format ='json'
        );
        CREATE TABLE es_stream_sink(
          a int,
          cnt BIGINT,
          PRIMARY KEY(a)
        )
        WITH(
          type ='elasticsearch',
          endPoint = 'URL',
          accessId = 'elastic',
          accessKey = 'secret',
          index = 'INDEX',
          typeName = '_doc'
        );
        INSERT INTO es_stream_sink
        SELECT 
          a,
          count(*) as cnt
        FROM sls_stream GROUP BY a
";

/// A script over `logs/app.json` into an index of its own.
fn agent(room: &Room, server: &Service, index: &str) -> Agent {
    let file = room.logs().join("app.json");
    let text = SCRIPT.replace("FILE", file.to_str().unwrap()).replace("URL", server.url()).replace("INDEX", index);
    let job = room.file(&format!("{index}.sql"), text);
    Agent::new(room, &[job]).data_dir(room.path().join(format!("data-{index}")))
}

/// Lines with keys of which some come more often, and how often each comes.
fn lines(rng: &mut Rng) -> (String, BTreeMap<String, i64>) {
    let (mut text, mut counts) = (String::new(), BTreeMap::new());
    for n in 0..rows() {
        let most = if rng.percent(50) { KEYS } else { KEYS / 10 };
        // Each key at least once.
        let a = if n < KEYS { n } else { rng.within(0, most) };
        writeln!(text, "{{\"a\":{a},\"b\":{n},\"c\":\"row {n}\"}}").unwrap();
        *counts.entry(a.to_string()).or_default() += 1;
    }
    (text, counts)
}

/// `_id` → `cnt`; each document's `a` must be its `_id`.
fn documents(server: &Service, index: &str) -> BTreeMap<String, i64> {
    let one = |document: &serde_json::Value| {
        let (id, source) = (document["_id"].as_str().unwrap().to_owned(), &document["_source"]);
        assert_eq!(source["a"].to_string(), id, "{document}");
        assert_eq!(source.as_object().unwrap().len(), 2, "{document}");
        (id, source["cnt"].as_i64().unwrap())
    };
    server.documents(index).iter().map(one).collect()
}

fn counts_are_right(version: &str) {
    let test = format!("the published script, elasticsearch {version}");
    let Some(server) = super::server(&test, "elasticsearch", version, &[]) else { return };
    let mut rng = Rng::for_test(&test);
    let room = Room::new();
    let (text, expected) = lines(&mut rng);
    let file = room.file("logs/app.json", &text);
    agent(&room, &server, "at-once").once_well();
    assert_eq!(documents(&server, "at-once"), expected);

    // Followed while it grows, killed ten times.
    let mut agent = agent(&room, &server, "over-kills");
    let mut end = 0;
    for part in 1..=10 {
        let next = text.len() * part / 10;
        std::fs::write(&file, &text[..next]).unwrap();
        agent.start();
        wait::pass(Duration::from_millis(rng.within(20, 400)));
        agent.kill();
        assert!(next > end);
        end = next;
    }
    let begin = std::time::Instant::now();
    agent.once_well();
    eprintln!("{test}: {} rows; the last run, behind ten kills, took {:?}", rows(), begin.elapsed());
    assert_eq!(documents(&server, "over-kills"), expected);
}

#[test]
fn published_script_into_v7_17_29() {
    counts_are_right("7.17.29");
}

#[test]
fn published_script_into_v8_19_21() {
    counts_are_right("8.19.21");
}
