//! What an operator types, and what is shown.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use e2e::agent::{PATIENCE, Room};
use e2e::binaries;
use e2e::endpoint::Endpoint;
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::wait;
use e2e::writer::Writer;
use serde_json::Value;

const INDEX: &str = "logs-operating";

fn splashdam(arguments: &[&str]) -> Output {
    Command::new(binaries::splashdam()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Ten mistakes as people make them: what is replaced in a good job, by what, and what the message must hold.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    ("paths =", "path =", &["path", "paths"]),
    ("type = \"file\"", "type = \"flie\"", &["flie", "file"]),
    ("format = \"raw\"", "format = \"jsn\"", &["jsn", "json"]),
    ("index = \"logs-good\"", "index = \"Logs-Good\"", &["index", "lower"]),
    ("endpoint = \"http://127.0.0.1:9200\"", "endpoint = \"127.0.0.1:9200\"", &["endpoint", "http"]),
    ("endpoint = \"http://127.0.0.1:9200\"\n", "", &["endpoint"]),
    ("[sink]", "[snk]", &["snk", "sink"]),
    ("linger = \"200ms\"", "linger = \"200 furlongs\"", &["linger", "200"]),
    ("max_bytes = \"64 MiB\"", "max_bytes = \"64 XB\"", &["max_bytes"]),
    ("index = \"logs-good\"", "index = \"logs-good", &[":9:"]),
    ("format = \"raw\"", "format = \"raw\"\nhost = \"${env:NO_SUCH_VARIABLE}\"", &["NO_SUCH_VARIABLE"]),
    ("paths = [\"/var/log/*.log\"]", "paths = [\"/var/log/[.log\"]", &["paths"]),
];

const GOOD: &str = "[source]\ntype = \"file\"\npaths = [\"/var/log/*.log\"]\n[decode]\nformat = \"raw\"\n[sink]\n\
    type = \"elasticsearch\"\nendpoint = \"http://127.0.0.1:9200\"\nindex = \"logs-good\"\n[sink.bulk]\n\
    linger = \"200ms\"\n[buffer]\nmax_bytes = \"64 MiB\"\n";

#[test]
fn a_config_mistake_is_shown_with_its_line_and_the_nearest_right_thing() {
    let room = Room::new();
    let good = room.file("good.toml", GOOD);
    let output = splashdam(&["check", path(&good)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for (number, (right, wrong, expected)) in MISTAKES.iter().enumerate() {
        assert!(GOOD.contains(right), "{right}");
        let file = room.file(&format!("mistake-{number}.toml"), GOOD.replacen(right, wrong, 1));
        let output = splashdam(&["check", path(&file)]);
        let said = text(&output);
        eprintln!("--- {right:?} written as {wrong:?}:\n{said}");
        assert_eq!(output.status.code(), Some(1), "{wrong}: {said}");
        assert!(said.contains(&format!("mistake-{number}.toml")), "it names no file: {said}");
        for word in *expected {
            assert!(said.contains(word), "{wrong}: {word:?} is not said:\n{said}");
        }
        let mut run = Command::new(binaries::splashdam());
        let output = run.args(["run", path(&file), "--once", "--data-dir", path(&room.data())]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "run takes what check refuses: {}", text(&output));
    }
    assert!(!room.data().exists(), "a refused job leaves a data folder");
}

#[test]
fn all_problems_of_all_files_are_shown_at_once() {
    let room = Room::new();
    let one = room.file("one.toml", GOOD.replace("paths", "pahts").replace("linger", "lingr"));
    let two = room.file("two.toml", GOOD.replace("[buffer]", "[bufer]"));
    let output = splashdam(&["check", path(&one), path(&two)]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["one.toml", "two.toml", "pahts", "lingr", "bufer", "paths", "linger", "buffer"] {
        assert!(said.contains(word), "{word} is not said:\n{said}");
    }
}

#[test]
fn try_prints_the_bulk_items_and_neither_ships_nor_remembers() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.log", "one\ntwo\nthree\n");
    let job = room.file("job.toml", room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    for _ in 0..2 {
        let output = splashdam(&["try", path(&job), "--limit", "2"]);
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(lines.len(), 4, "{said}");
        assert_eq!(lines[0]["create"]["_index"], INDEX);
        assert_eq!((&lines[1]["message"], &lines[3]["message"]), (&"one".into(), &"two".into()));
    }
    assert_eq!(endpoint.requests(), 0);
    assert!(endpoint.calls().is_empty(), "try talks to the cluster");
}

#[test]
fn once_ends_when_everything_to_the_present_end_is_acknowledged() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("once"));
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    for _ in 0..3 {
        writer.lines(5000);
        agent.once_well();
        assert_eq!(endpoint.count(INDEX), oracle.lines());
    }
    oracle.compare(&endpoint, INDEX).assert_clean();
    agent.once_well();
    assert_eq!(oracle.compare(&endpoint, INDEX).resent, 0);
}

#[test]
fn once_ships_the_others_and_names_the_file_that_it_can_not_read() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    room.file("logs/a.log", "one\ntwo\n");
    // Not even root may read it.
    std::os::unix::fs::symlink("/sys/bus/platform/drivers_probe", room.logs().join("b.log")).unwrap();
    let output = agent.once();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("b.log could not be read"), "{}", text(&output));
    assert_eq!(endpoint.count(INDEX), 2);
}

#[test]
fn status_positions_and_metrics_agree_with_what_was_written() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("status"));
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    writer.lines(1234);
    agent.start_ready();
    endpoint.wait_count(INDEX, 1234, PATIENCE);
    let ctl = agent.ctl();
    wait::holds("all is acknowledged", PATIENCE, || ctl.number("acknowledged_records") == Some(1234));
    wait::holds("and settled", PATIENCE, || ctl.number("owed_records") == Some(0));
    let status = ctl.status();
    let pipeline = &status["pipelines"][0];
    assert_eq!((&pipeline["id"], &pipeline["owed_records"]), (&"job".into(), &0.into()), "{status}");
    assert_eq!(pipeline["read_bytes"], writer.offset());
    assert_eq!(status["health"], "ok", "{status}");
    for (name, value) in
        [("read_records_total", 1234), ("acknowledged_records_total", 1234), ("files", 1), ("dead_letters_total", 0)]
    {
        assert_eq!(ctl.metric(name), value, "{name}");
    }
    let positions = ctl.json(&["positions", "ls", "--json"]);
    let position = &positions[0]["positions"][0];
    assert_eq!((&position["offset"], &position["path"]), (&writer.offset().into(), &path(writer.path()).into()));
    assert!(ctl.run(&["status"]).contains("job"));
    let (well, _, said) = e2e::ctl::Ctl::new(room.path()).try_run(&["status"]);
    assert!(!well && said.contains("is splashdam running?"), "{said}");
}

#[test]
fn flush_ships_what_lingers_and_says_what_is_still_owed() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let more = "[sink.bulk]\nlinger = \"60s\"";
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, more));
    room.file("logs/app.log", "one\ntwo\n");
    agent.start_ready();
    wait::holds("the lines are read", PATIENCE, || agent.ctl().metric("read_bytes_total") == 8);
    let (well, said, error) = agent.ctl().try_run(&["flush"]);
    assert!(well, "{said}{error}");
    assert_eq!(endpoint.count(INDEX), 2, "{said}");
    endpoint.down();
    room.file("logs/b.log", "three\n");
    wait::holds("the line is read", PATIENCE, || agent.ctl().metric("read_bytes_total") == 14);
    let (well, said, _) = agent.ctl().try_run(&["flush"]);
    assert!(!well && said.contains("still owed"), "{said}");
}

#[test]
fn sigterm_ends_an_idle_agent_at_once_and_well() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.log", "one\n");
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    endpoint.wait_count(INDEX, 1, PATIENCE);
    let (status, time) = agent.terminate();
    assert!(status.success() && time < Duration::from_secs(5), "{status:?} after {time:?}");
}

#[test]
fn the_demo_counts_what_arrived_and_ends_well() {
    let output = splashdam(&["demo"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let word = |name: &str| {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("no {name}: {said}"));
        line.chars().filter(char::is_ascii_digit).collect::<String>()
    };
    assert_eq!((word("missing").as_str(), word("double").as_str()), ("0", "0"), "{said}");
}

#[test]
fn the_service_runs_the_jobs_of_its_folder() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/a.log", "one\n");
    room.file("logs/b.log", "two\nthree\n");
    room.file("etc/jobs.d/a.toml", room.raw_job("a.log", &endpoint.url(), "logs-a", ""));
    room.file("etc/jobs.d/b.toml", room.raw_job("b.log", &endpoint.url(), "logs-b", ""));
    let config = format!("data_dir = \"{}\"\ncontrol_socket = \"{0}/control.sock\"\n", room.data().display());
    let config = room.file("etc/splashdam.toml", config);
    let output = splashdam(&["check", "--config", path(&config)]);
    assert!(output.status.success(), "{}", text(&output));
    let mut serve = Command::new(binaries::splashdam());
    serve.args(["serve", "--config", path(&config)]).stdin(Stdio::null());
    let log = std::fs::File::create(room.path().join("serve.log")).unwrap();
    let mut child = serve.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let ctl = e2e::ctl::Ctl::new(&room.data());
    let arrived = || endpoint.count("logs-a") == 1 && endpoint.count("logs-b") == 2;
    let begin = std::time::Instant::now();
    while !(arrived() && ctl.answers()) && begin.elapsed() < PATIENCE {
        wait::pass(Duration::from_millis(50));
    }
    let status = ctl.try_run(&["status", "--json"]).1;
    child.kill().unwrap();
    child.wait().unwrap();
    let said = std::fs::read_to_string(room.path().join("serve.log")).unwrap();
    assert!(arrived(), "{said}\n{status}");
    let status: Value = serde_json::from_str(&status).unwrap_or_else(|_| panic!("no status: {said}"));
    assert_eq!(status["pipelines"].as_array().unwrap().len(), 2, "{status}");
}
