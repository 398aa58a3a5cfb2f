//! Somebody watches documents pass: `splashctl tap`. Shipping does not notice.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::binaries;
use e2e::endpoint::Endpoint;
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::wait;
use e2e::writer::Writer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const INDEX: &str = "logs-tapped";

/// A running `splashctl tap`; it is ended when the test is over.
struct Tap {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Tap {
    /// Starts it on a job of `agent` and waits until it watches.
    fn start(agent: &Agent, room: &Room, job: &str, more: &[&str]) -> Tap {
        let (out, err) = (room.path().join("tap.out"), room.path().join("tap.err"));
        Tap::start_into(agent, job, more, File::create(&out).unwrap().into(), (out, err))
    }

    fn start_into(agent: &Agent, job: &str, more: &[&str], stdout: Stdio, (out, err): (PathBuf, PathBuf)) -> Tap {
        let mut command = Command::new(binaries::splashctl());
        command.args(["tap", job, "--data-dir"]).arg(agent.data()).args(more).stdin(Stdio::null());
        let child = command.stdout(stdout).stderr(File::create(&err).unwrap()).spawn().unwrap();
        let tap = Tap { child, out, err };
        wait::holds("the tap is open", PATIENCE, || tap.said().starts_with("tapping "));
        tap
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    /// The lines so far.
    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.out).unwrap().lines().map(str::to_owned).collect()
    }

    fn documents(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    fn interrupt(&mut self) -> ExitStatus {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
        self.ended()
    }

    fn ended(&mut self) -> ExitStatus {
        wait::until("the tap ends", PATIENCE, || self.child.try_wait().unwrap())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn documents_are_shown_as_they_are_shipped_until_ctrl_c() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let oracle = Oracle::new(Rng::for_test("tapped"));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    writer.lines(50);
    agent.start_ready();
    endpoint.wait_count(INDEX, 50, PATIENCE);
    let mut tap = Tap::start(&agent, &room, "job", &["--json"]);
    for lines in [1, 300, 20] {
        writer.lines(lines);
        wait::holds("they are shown", PATIENCE, || tap.lines().len() as u64 == oracle.lines() as u64 - 50);
    }
    endpoint.wait_count(INDEX, 371, PATIENCE);
    oracle.compare(&endpoint, INDEX).assert_clean();
    let shown = tap.documents();
    endpoint.documents(|documents| {
        for one in &shown {
            let there = documents.get(INDEX, one["id"].as_str().unwrap()).expect("what is shown is shipped");
            assert_eq!(
                (&one["document"], &one["action"], &one["index"]),
                (&there.json(), &"create".into(), &INDEX.into())
            );
        }
    });
    let ids: std::collections::HashSet<&str> = shown.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 321, "a document is shown twice");
    assert!(tap.interrupt().success(), "{}", tap.said());
    assert_eq!(tap.said(), "tapping job; Ctrl-C ends\n321 documents shown\n");
}

#[test]
fn only_documents_with_a_text_are_shown_and_only_so_many() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    let mut tap = Tap::start(&agent, &room, "job", &["--where", "nee dle", "--limit", "2"]);
    let lines: String =
        (0..500).map(|n| if n % 100 == 7 { format!("nee dle {n}\n") } else { format!("hay {n}\n") }).collect();
    room.file("logs/app.log", lines);
    assert!(tap.ended().success(), "{}", tap.said());
    let lines = tap.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("create {INDEX} job.")) && lines[0].contains("nee dle 7\""), "{lines:?}");
    assert!(lines[1].contains("nee dle 107\"") && !lines[1].contains('\x1b'), "{lines:?}");
    assert!(tap.said().ends_with("\n2 documents shown\n"), "{}", tap.said());
    endpoint.wait_count(INDEX, 500, PATIENCE);
}

#[test]
fn a_tap_that_is_not_read_holds_up_nobody_and_ends_on_ctrl_c() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let oracle = Oracle::new(Rng::for_test("stalled"));
    let mut writer = Writer::new(room.logs().join("app.log"), &oracle);
    agent.start_ready();
    let files = (room.path().join("unread"), room.path().join("tap.err"));
    let mut stalled = Tap::start_into(&agent, "job", &[], Stdio::piped(), files);
    let mut read = Tap::start(&agent, &room, "job", &["--json"]);
    for _ in 0..20 {
        writer.bytes(1 << 20);
    }
    endpoint.wait_count(INDEX, oracle.lines(), PATIENCE * 3);
    agent.ctl().flush();
    oracle.compare(&endpoint, INDEX).assert_clean();
    assert_eq!(agent.ctl().number("owed_records"), Some(0));
    // What the other one is shown and what passed it by is all there was.
    let told = |tap: &Tap| tap.said().lines().last().map(str::to_owned).unwrap_or_default();
    let mut before = 0;
    wait::holds("it has shown what it will", PATIENCE, || {
        let now = read.lines().len();
        let done = now > 0 && now == before;
        before = now;
        done || now == oracle.lines()
    });
    assert!(read.interrupt().success(), "{}", read.said());
    assert!(told(&read).contains(" documents shown"), "{}", read.said());
    assert!(read.lines().len() <= oracle.lines());
    assert!(stalled.interrupt().success(), "{}", stalled.said());
    assert!(told(&stalled).contains("shown"), "{}", stalled.said());
}

#[test]
fn documents_are_shown_although_elasticsearch_is_dead_and_none_is_shown_again_when_it_comes_back() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.down();
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    let mut tap = Tap::start(&agent, &room, "job", &[]);
    room.file("logs/app.log", "one\ntwo\n");
    wait::holds("both are shown", PATIENCE, || tap.lines().len() == 2);
    assert_eq!(agent.ctl().number("owed_records"), Some(2));
    endpoint.up();
    endpoint.wait_count(INDEX, 2, PATIENCE);
    room.file("logs/later.log", "three\n");
    wait::holds("the third is shown", PATIENCE, || tap.lines().len() >= 3);
    assert_eq!(tap.lines().len(), 3, "{:?}", tap.lines());
    agent.stop();
    assert!(tap.ended().success(), "{}", tap.said());
    assert!(tap.said().ends_with("the agent has stopped; 3 documents shown\n"), "{}", tap.said());
}

#[test]
fn changes_of_an_upsert_stream_are_shown_as_what_they_are() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let script = format!(
        "CREATE TABLE s (k STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n\
         CREATE TABLE t (k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH \
         ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'counts');\n\
         INSERT INTO t SELECT k, SUM(n) FROM s GROUP BY k HAVING SUM(n) < 10;\n",
        room.logs().display(),
        endpoint.url()
    );
    let script = room.file("counts.sql", script);
    let mut agent = Agent::new(&room, &[script]);
    agent.start_ready();
    let mut tap = Tap::start(&agent, &room, "counts", &["--json"]);
    room.file("logs/1.json", "{\"k\":\"a\",\"n\":7}\n");
    wait::holds("the first is shown", PATIENCE, || tap.lines().len() == 1);
    room.file("logs/2.json", "{\"k\":\"a\",\"n\":8}\n");
    wait::holds("the delete is shown", PATIENCE, || tap.lines().len() == 2);
    let shown = tap.documents();
    assert_eq!((&shown[0]["action"], &shown[0]["index"]), (&"update".into(), &"counts".into()), "{shown:?}");
    assert_eq!(shown[0]["document"], serde_json::json!({ "doc": { "k": "a", "n": 7 }, "doc_as_upsert": true }));
    assert_eq!((&shown[1]["action"], &shown[1]["id"]), (&"delete".into(), &"a".into()), "{shown:?}");
    assert_eq!(shown[1]["document"], Value::Null);
    assert!(tap.interrupt().success(), "{}", tap.said());
}

#[test]
fn a_job_that_there_is_not_is_refused_with_the_nearest() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    agent.start_ready();
    let (well, _, said) = agent.ctl().try_run(&["tap", "jbo"]);
    assert!(!well && said == "splashctl: no job \"jbo\" runs here; did you mean \"job\"?\n", "{said}");
    agent.stop();
    let (well, _, said) = agent.ctl().try_run(&["tap", "job"]);
    assert!(!well && said.contains("is splashdam running?"), "{said}");
}
