//! The page for those who come from other shippers, `packaging/moving-in.md`: each of our jobs on it is taken as it
//! stands there, with this test's folders and addresses put in, and ships sample lines. What the page shows of others
//! is not run; that it is complete is.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::{Endpoint, Reply};
use e2e::oracle::field;
use e2e::{binaries, wait};
use serde_json::{Value, json};

/// The set-ups of the page: the lines of each, behind its `## N. title`.
fn set_ups() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(binaries::workspace().join("packaging/moving-in.md")).unwrap();
    let mut found: Vec<Vec<String>> = Vec::new();
    for section in text.split("\n## ").skip(1) {
        let (title, body) = section.split_once('\n').unwrap();
        let Some((number, _)) = title.split_once(". ") else { break };
        assert_eq!(number.parse(), Ok(found.len() + 1), "{title}");
        found.push(body.lines().map(str::to_owned).collect());
    }
    found
}

/// The fenced blocks of a set-up: language, name of the file in the first line's comment, text.
fn blocks(lines: &[String]) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").map(String::as_str).collect();
        let name = text[0].trim_start_matches(['#', '-', ' ']).to_owned();
        found.push((language.to_owned(), name, text.join("\n") + "\n"));
    }
    found
}

/// Our job of a set-up in a fresh folder, with an endpoint for it.
struct Moved {
    room: Room,
    endpoint: Endpoint,
    job: PathBuf,
}

impl Moved {
    fn new(number: usize) -> Moved {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        let (_, name, text) = blocks(&set_ups()[number - 1]).pop().unwrap();
        let folder = room.path().display().to_string();
        let mut text = text.replace("http://127.0.0.1:9200", &endpoint.url());
        for place in ["/var/log/", "/var/lib/docker/", "/etc/splashdam/"] {
            text = text.replace(place, &format!("{folder}{place}"));
        }
        let job = room.file(&format!("jobs.d/{name}"), text);
        Moved { room, endpoint, job }
    }

    /// As `new`, with the servers of the page reached without TLS. What the page says of TLS is checked all the same.
    fn without_tls(number: usize) -> Moved {
        let moved = Moved::new(number);
        let text = std::fs::read_to_string(&moved.job).unwrap();
        let mut plain = text.clone();
        for server in ["https://es1.example.org:9200", "https://es2.example.org:9200"] {
            plain = plain.replace(server, &moved.endpoint.url());
        }
        assert_ne!(plain, text, "no server is named");
        std::fs::write(&moved.job, plain).unwrap();
        moved
    }

    fn log(&self, path: &str, text: &str) {
        self.room.file(path, text);
    }

    fn append(&self, path: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.room.path().join(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn agent(&self) -> Agent {
        Agent::new(&self.room, std::slice::from_ref(&self.job))
    }

    /// Ships what there is; gives the documents of `index` in order.
    fn ship(&self, index: &str) -> Vec<Value> {
        self.agent().once_well();
        self.documents(index)
    }

    fn documents(&self, index: &str) -> Vec<Value> {
        self.endpoint.documents(|documents| documents.in_order(index))
    }
}

fn messages(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["message"].as_str().unwrap()).collect()
}

/// Today's name of an index with a date, by the documents' own times.
fn dated(prefix: &str, document: &Value) -> String {
    let day = document["@timestamp"].as_str().unwrap()[..10].replace('-', ".");
    format!("{prefix}-{day}")
}

#[test]
fn ten_set_ups_stand_there_each_as_the_others_and_as_ours() {
    let set_ups = set_ups();
    assert_eq!(set_ups.len(), 10);
    for (number, lines) in set_ups.iter().enumerate() {
        let names: Vec<String> = blocks(lines).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names[..3], ["filebeat.yml", "fluent-bit.yaml", "vector.yaml"], "set-up {}", number + 1);
        assert_eq!(names.len(), 4, "set-up {}", number + 1);
        assert!(names[3].ends_with(".toml") || names[3].ends_with(".sql"), "{}", names[3]);
    }
}

#[test]
fn moving_1_a_file_goes_to_an_index_for_each_day() {
    let moved = Moved::new(1);
    moved.log("var/log/app.log", "one\ntwo\n");
    moved.agent().once_well();
    let names: Vec<String> = moved.endpoint.log().into_iter().map(|request| request.index).collect();
    let documents = moved.documents(names.first().unwrap());
    // Not even at midnight is a line in another day's index than its own.
    let mut shipped = 0;
    for name in &names {
        let here = moved.documents(name);
        shipped += here.len();
        assert!(here.iter().all(|document| dated("logs-app", document) == *name), "{here:?} in {name}");
    }
    assert_eq!(shipped, 2);
    let path = moved.room.path().join("var/log/app.log");
    assert_eq!(documents[0]["message"], "one");
    assert_eq!(field(&documents[0], "log.file.path"), Some(&json!(path)));
    assert_eq!(field(&documents[0], "log.offset"), Some(&json!(0)));
    assert!(field(&documents[0], "host.name").is_some());
}

#[test]
fn moving_2_many_files_are_read_from_now_on_but_those_left_out() {
    let moved = Moved::new(2);
    for name in ["a/app.log", "a/debug.log", "b/app.log"] {
        moved.log(&format!("var/log/services/{name}"), "old\n");
    }
    let mut agent = moved.agent();
    agent.start_ready();
    wait::holds("both files are known", PATIENCE, || {
        agent.ctl().run(&["positions", "ls"]).matches("app.log").count() == 2
    });
    moved.append("var/log/services/a/app.log", "a\n");
    moved.append("var/log/services/a/debug.log", "debug\n");
    moved.log("var/log/services/c/app.log", "c, from its beginning\n");
    moved.endpoint.wait_count("logs-services", 2, PATIENCE);
    moved.append("var/log/services/b/app.log", "b\n");
    moved.endpoint.wait_count("logs-services", 3, PATIENCE);
    agent.stop();
    let documents = moved.documents("logs-services");
    let mut said = messages(&documents);
    said.sort_unstable();
    assert_eq!(said, ["a", "b", "c, from its beginning"]);
}

#[test]
fn moving_3_json_lines_go_by_their_own_time_and_service() {
    let moved = Moved::new(3);
    let lines = [
        r#"{"time":"2026-11-20 23:59:59.250","service":"shop","level":"warn","took":1.5}"#,
        r#"{"time":"2026-11-21 00:00:00","service":"mail"}"#,
        r#"{"time":"2026-11-21 00:00:01","level":"of no service"}"#,
        "no JSON",
    ];
    moved.log("var/log/app/a.json", &(lines.join("\n") + "\n"));
    let shop = moved.ship("app-shop-2026.11.20");
    assert_eq!(shop.len(), 1);
    assert_eq!(shop[0]["@timestamp"], "2026-11-20T23:59:59.250Z");
    assert_eq!((&shop[0]["level"], &shop[0]["took"]), (&json!("warn"), &json!(1.5)));
    assert_eq!(moved.documents("app-mail-2026.11.21").len(), 1);
    let unsorted = moved.documents("app-unsorted");
    assert_eq!(unsorted.len(), 2);
    assert_eq!(unsorted[0]["level"], "of no service");
    assert_eq!(unsorted[1]["message"], "no JSON");
    assert!(unsorted[1].get("error").is_some(), "{}", unsorted[1]);
}

#[test]
fn moving_4_fields_of_ones_own_are_in_every_document() {
    let moved = Moved::new(4);
    moved.log("var/log/app.log", "one\n");
    let documents = moved.ship("logs-app");
    let document = &documents[0];
    assert_eq!(document["service"], "shop");
    assert_eq!(document["environment"], "production");
    assert_eq!(document["tags"], json!(["web"]));
    assert_eq!(field(document, "host.name"), Some(&json!("web1")));
}

#[test]
fn moving_5_nginx_lines_are_taken_apart() {
    let moved = Moved::new(5);
    let lines = [
        r#"10.0.0.7 - - [21/Nov/2026:13:00:00 +0100] "GET /a?b=c HTTP/1.1" 200 612 "http://x/" "curl/8 (y)""#,
        r#"2001:db8::1 - kim [21/Nov/2026:12:00:01 +0000] "POST /cart HTTP/2.0" 503 0 "-" "-""#,
        "what no nginx writes",
        r#"1.2.3.4 - - [21/Nov/2026:12:00:02 +0000] "" 400 0 "-" "-""#,
        r#"1.2.3.4 - - [21/Nov/2026:12:00:03 +0000] "\x16\x03\x01" 400 157 "-" "-""#,
    ];
    moved.log("var/log/nginx/access.log", &(lines.join("\n") + "\n"));
    let documents = moved.ship("nginx-access");
    assert_eq!(documents.len(), 5);
    let expected = json!({
        "@timestamp": "2026-11-21T12:00:00Z", "client": "10.0.0.7", "verb": "GET", "url": "/a?b=c",
        "status": 200, "bytes": 612, "referrer": "http://x/", "agent": "curl/8 (y)",
    });
    assert_eq!(documents[0], expected);
    assert_eq!(documents[1]["@timestamp"], "2026-11-21T12:00:01Z");
    assert_eq!((&documents[1]["status"], &documents[1]["verb"]), (&json!(503), &json!("POST")));
    assert_eq!((&documents[2]["client"], &documents[2]["status"]), (&json!("what"), &Value::Null));
    for (document, bytes) in documents[3..].iter().zip([0, 157]) {
        assert_eq!((&document["status"], &document["bytes"]), (&json!(400), &json!(bytes)));
        assert_eq!((&document["verb"], &document["url"]), (&Value::Null, &Value::Null), "{document}");
    }
}

#[test]
fn moving_6_only_the_lines_that_are_wanted_are_shipped() {
    let moved = Moved::new(6);
    moved.log("var/log/app.log", "INFO up\nWARN disk\nERROR in the health check\nERROR out of paper\nDEBUG x\n");
    let documents = moved.ship("logs-app-warnings");
    assert_eq!(messages(&documents), ["WARN disk", "ERROR out of paper"]);
    assert_eq!(documents[0]["file"], json!(moved.room.path().join("var/log/app.log")));
    assert!(documents[0]["host"].is_string());
    let time = documents[0]["@timestamp"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
}

#[test]
fn moving_7_containers_lines_keep_their_times() {
    let moved = Moved::new(7);
    let line = r#"{"log":"hello\n","stream":"stdout","time":"2026-11-20T09:00:00.123456789Z"}"#;
    moved.log("var/lib/docker/containers/c0ffee/c0ffee-json.log", &format!("{line}\n"));
    let documents = moved.ship("logs-containers-2026.11.20");
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0]["@timestamp"], "2026-11-20T09:00:00.123Z");
    assert_eq!((&documents[0]["log"], &documents[0]["stream"]), (&json!("hello\n"), &json!("stdout")));
}

/// Whoever it belongs to: a certificate.
const AUTHORITY: &str = include_str!("../../agent/src/pipeline/lane_tests/tls/ca.pem");

#[test]
fn moving_8_user_and_password_are_shown_to_the_server() {
    let moved = Moved::without_tls(8);
    moved.log("etc/splashdam/elasticsearch-password", "hunter2\n");
    moved.log("etc/splashdam/ca.pem", AUTHORITY);
    // "shipper:hunter2"
    moved.endpoint.on_authorization(|header| header == Some("Basic c2hpcHBlcjpodW50ZXIy"));
    moved.log("var/log/app.log", "one\n");
    assert_eq!(messages(&moved.ship("logs-app")), ["one"]);
}

#[test]
fn moving_9_an_api_key_a_pipeline_and_a_data_stream_are_used() {
    let moved = Moved::without_tls(9);
    moved.log("credentials/elasticsearch-key", "the-id:the-key");
    // "the-id:the-key"
    moved.endpoint.on_authorization(|header| header == Some("ApiKey dGhlLWlkOnRoZS1rZXk="));
    // A request that does not name the pipeline is refused.
    moved.endpoint.on_bulk(|bulk| match bulk.path.contains("pipeline=shop") {
        true => Reply::Judge,
        false => Reply::status(400, "illegal_argument_exception", "no pipeline is named"),
    });
    moved.log("var/log/shop.log", "one\n");
    let credentials = moved.room.path().join("credentials");
    moved.agent().env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()).once_well();
    assert_eq!(messages(&moved.documents("logs-shop-default")), ["one"]);
}

#[test]
fn moving_10_what_can_t_be_sent_lies_on_the_disk_over_kills() {
    let mut moved = Moved::new(10);
    moved.endpoint.down();
    moved.log("var/log/app.log", "one\ntwo\n");
    let mut agent = moved.agent();
    agent.start_ready();
    let owed = || agent.ctl().metric("owed_records") == 2;
    wait::holds("both lines are owed", PATIENCE, owed);
    agent.kill();
    // What is owed is on the disk: the file is not needed any more.
    std::fs::remove_file(moved.room.path().join("var/log/app.log")).unwrap();
    moved.endpoint.up();
    agent.start_ready();
    moved.endpoint.wait_count("logs-app", 2, PATIENCE);
    agent.stop();
    assert_eq!(messages(&moved.documents("logs-app")), ["one", "two"]);
}
