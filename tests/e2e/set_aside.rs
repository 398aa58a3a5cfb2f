//! A job that can't be started is set aside with its reason: the others run, and nothing of it is lost.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::ctl::Ctl;
use e2e::endpoint::Endpoint;
use e2e::service::Service;
use e2e::wait;

const WHY: &str = "the script does not fit its stored state any more";

/// A script that counts the lines of `logs/*.json`, and the same with another meaning.
fn scripts(room: &Room, url: &str) -> [String; 2] {
    ["COUNT(*)", "MAX(n)"].map(|aggregate| {
        format!(
            "CREATE TABLE s (k STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n\
             CREATE TABLE t (k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH \
             ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = 'counts');\n\
             INSERT INTO t SELECT k, {aggregate} FROM s GROUP BY k;\n",
            room.logs().display()
        )
    })
}

fn count(endpoint: &Endpoint) -> Option<i64> {
    endpoint
        .documents(|documents| documents.of("counts").next().and_then(|(_, document)| document.json()["n"].as_i64()))
}

fn append(room: &Room, name: &str, lines: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(room.logs().join(name)).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn healthz(socket: &PathBuf) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_service_sets_a_job_aside_that_can_t_start_and_runs_the_others() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let [right, wrong] = scripts(&room, &endpoint.url());
    append(&room, "app.log", "one\n");
    append(&room, "k.json", "{\"k\":\"a\",\"n\":7}\n");
    room.file("etc/jobs.d/app.toml", room.raw_job("app.log", &endpoint.url(), "logs-app", ""));
    let script = room.file("etc/jobs.d/counts.sql", &right);
    let config = format!("data_dir = \"{}\"\ncontrol_socket = \"{0}/control.sock\"\n", room.data().display());
    let config = room.file("etc/splashdam.toml", config);
    let (ctl, log) = (Ctl::new(&room.data()), room.path().join("serve.log"));
    let service = Service::start(&config, &log);
    wait::holds("both run", PATIENCE, || endpoint.count("logs-app") == 1 && count(&endpoint) == Some(1));
    service.stop();

    std::fs::write(&script, wrong).unwrap();
    append(&room, "app.log", "two\n");
    append(&room, "k.json", "{\"k\":\"a\",\"n\":8}\n");
    let service = Service::start(&config, &log);
    wait::holds("the other runs", PATIENCE, || endpoint.count("logs-app") == 2 && ctl.answers());
    let status = ctl.status();
    let of = |id: &str| status["pipelines"].as_array().unwrap().iter().find(|p| p["id"] == id).unwrap();
    assert_eq!((&of("app")["state"], &of("counts")["state"]), (&"running".into(), &"failed".into()), "{status}");
    let why = of("counts")["why"].as_str().unwrap();
    let advice = "Begin it anew with --begin-anew counts";
    assert!(why.contains(WHY) && why.contains(advice) && !why.contains("--reset-state"), "{status}");
    assert_eq!((&status["health"], status["notes"].as_array().unwrap().len()), (&"degraded".into(), 0), "{status}");
    assert_eq!(healthz(&room.data().join("control.sock")), "HTTP/1.1 503 Service Unavailable");
    let shown = ctl.run(&["status"]);
    assert!(shown.contains("failed") && shown.contains(WHY) && !shown.contains('\u{fffd}'), "{shown}");
    assert!(ctl.run(&["dead-letters", "ls", "--pipeline", "counts"]).is_empty());
    assert!(ctl.run(&["positions", "ls", "--pipeline", "counts"]).contains("k.json"), "its positions are gone");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains(&format!("job counts: {WHY}")) && said.contains("  + "),
        "the difference is not shown: {said}"
    );
    service.stop();

    std::fs::write(&script, right).unwrap();
    let service = Service::start(&config, &log);
    wait::holds("it goes on from where it was", PATIENCE, || count(&endpoint) == Some(2));
    wait::holds("all is well", PATIENCE, || ctl.answers() && ctl.status()["health"] == "ok");
    service.stop();
}

/// Also where the rows of the state could not be read with the new script: they are not damaged.
#[test]
fn a_changed_script_is_refused_with_the_difference_whatever_its_state_would_be() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let [right, _] = scripts(&room, &endpoint.url());
    append(&room, "k.json", "{\"k\":\"a\",\"n\":7}\n");
    let script = room.file("counts.sql", &right);
    let mut agent = Agent::new(&room, std::slice::from_ref(&script));
    agent.once_well();
    for (before, now, said) in [
        (
            "COUNT(*)",
            "COUNT(*) + MAX(n) + MIN(n)",
            "+ aggregate COUNT(*) BIGINT as EXPR$0, MAX(n) BIGINT as EXPR$1, MIN(n)",
        ),
        ("COUNT(*)", "COUNT(DISTINCT n)", "COUNT(DISTINCT n)"),
        ("k, COUNT(*) FROM s GROUP BY k", "CAST(n AS STRING), COUNT(*) FROM s GROUP BY CAST(n AS STRING)", "+ "),
    ] {
        std::fs::write(&script, right.replace(before, now)).unwrap();
        let output = agent.once();
        let log = agent.log();
        assert_eq!(output.status.code(), Some(5), "{now}: {log}");
        assert!(log.contains(WHY) && log.contains(said) && !log.contains("damaged"), "{now}: {log}");
    }
    std::fs::write(&script, right).unwrap();
    append(&room, "k.json", "{\"k\":\"a\",\"n\":8}\n");
    agent.once_well();
    assert_eq!(count(&endpoint), Some(2), "{}", agent.log());
}

#[test]
fn a_run_of_several_files_goes_on_without_the_one_that_can_t_start_and_ends_with_5() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let [right, wrong] = scripts(&room, &endpoint.url());
    append(&room, "app.log", "one\n");
    append(&room, "k.json", "{\"k\":\"a\",\"n\":7}\n");
    let app = room.file("app.toml", room.raw_job("app.log", &endpoint.url(), "logs-app", ""));
    let script = room.file("counts.sql", &right);
    let mut agent = Agent::new(&room, &[script.clone(), app]);
    agent.once_well();
    assert_eq!((endpoint.count("logs-app"), count(&endpoint)), (1, Some(1)));
    std::fs::write(&script, wrong).unwrap();
    append(&room, "app.log", "two\n");
    append(&room, "k.json", "{\"k\":\"a\",\"n\":8}\n");
    let output = agent.once();
    assert_eq!(output.status.code(), Some(5), "{}", agent.log());
    assert!(agent.log().contains("Begin it anew with --reset-state"), "{}", agent.log());
    assert!(agent.log().contains(WHY) && agent.log().matches("job counts: ").count() == 1, "{}", agent.log());
    assert_eq!((endpoint.count("logs-app"), count(&endpoint)), (2, Some(1)));
    agent.start_ready();
    let (status, _) = agent.interrupt();
    assert_eq!(status.code(), Some(5), "{}", agent.log());
    std::fs::write(&script, right).unwrap();
    agent.once_well();
    assert_eq!((endpoint.count("logs-app"), count(&endpoint)), (2, Some(2)));
}
