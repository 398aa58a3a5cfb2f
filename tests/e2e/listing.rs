//! What `splashctl` lists and writes out: jobs, also those that don't run, and dead letters as a file.

use std::os::unix::fs::PermissionsExt;

use e2e::agent::{PATIENCE, Room};
use e2e::ctl::Ctl;
use e2e::endpoint::{Endpoint, Judgement};
use e2e::service::Service;
use e2e::wait;
use serde_json::Value;

const INDEX: &str = "logs-listed";

#[test]
fn jobs_shows_what_runs_and_which_files_are_refused_and_why() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let job = room.raw_job("*.log", &endpoint.url(), "logs-%Y.%m.%d", "");
    let web = room.file("etc/jobs.d/web.toml", format!("id = \"nginx\"\n{job}"));
    room.file("etc/jobs.d/bad.toml", job.replace("paths =", "pahts ="));
    let script = format!(
        "CREATE TABLE s (k STRING) WITH ('connector' = 'filesystem', 'path' = '{}/*.json', 'format' = 'json');\n\
         CREATE TABLE t (k STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'keys-{{k}}');\n\
         INSERT INTO t SELECT k FROM s;\n",
        room.logs().display(),
        endpoint.url()
    );
    room.file("etc/jobs.d/keys.sql", script);
    let config = Service::config(&room, "");
    let service = Service::start(&config, &room.path().join("serve.log"));
    let ctl = Ctl::new(&room.data());
    wait::holds("the service answers", PATIENCE, || ctl.answers());
    let jobs = ctl.json(&["jobs", "--json"]);
    let of = |id: &str| jobs.as_array().unwrap().iter().find(|job| job["id"] == id).unwrap_or_else(|| panic!("{jobs}"));
    assert_eq!(jobs.as_array().unwrap().len(), 3, "{jobs}");
    assert_eq!(
        (&of("nginx")["kind"], &of("keys")["kind"], &of("bad")["kind"]),
        (&"file".into(), &"SQL".into(), &"".into())
    );
    assert_eq!((&of("nginx")["targets"][0], &of("keys")["targets"][0]), (&"logs-%Y.%m.%d".into(), &"keys-{k}".into()));
    assert_eq!(of("nginx")["file"], web.display().to_string());
    assert_eq!(of("nginx")["sources"][0], format!("{}/*.log", room.logs().display()));
    assert_eq!(of("bad")["state"], "refused", "{jobs}");
    let why = of("bad")["why"].as_str().unwrap();
    assert!(why.contains("pahts") && why.contains("did you mean \"paths\"?") && !why.contains('\n'), "{why}");
    let shown = ctl.run(&["jobs"]);
    assert!(shown.lines().count() == 5 && shown.contains("jobs.d/keys.sql") && shown.contains(why), "{shown}");
    let status = ctl.status();
    assert_eq!(status["health"], "degraded", "{status}");
    assert!(status["notes"][0].as_str().unwrap().contains("bad.toml is refused"), "{status}");
    let (well, said, _) = ctl.try_run(&["doctor"]);
    assert!(!well && said.contains("bad.toml is refused"), "{said}");
    // What is mended is a job after a reload, and what is gone is none.
    room.file("etc/jobs.d/bad.toml", job.replace("logs-%Y", "other-%Y"));
    std::fs::remove_file(&web).unwrap();
    ctl.run(&["reload"]);
    let jobs = ctl.json(&["jobs", "--json"]);
    let ids: Vec<&str> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["bad", "keys"], "{jobs}");
    service.stop();
}

/// The numbers and messages of exported dead letters.
fn exported(text: &str) -> Vec<(u64, String)> {
    let letters = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let seen = letters.map(|letter| {
        assert_eq!((&letter["index"], &letter["kind"]), (&INDEX.into(), &"mapper_parsing_exception".into()));
        assert!(letter["at"].is_string() && letter["reason"] == "no number", "{letter}");
        assert_eq!(letter["action"]["create"]["_id"], letter["id"]);
        (letter["number"].as_u64().unwrap(), letter["document"]["message"].as_str().unwrap().to_owned())
    });
    seen.collect()
}

#[test]
fn dead_letters_are_exported_whole_each_once_and_stay_until_they_are_replayed() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    endpoint.on_item(|item| match item.source.windows(3).any(|text| text == b"bad") {
        true => Judgement::Refuse { status: 400, kind: "mapper_parsing_exception", reason: "no number".to_owned() },
        false => Judgement::Accept,
    });
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    let lines: String = (0..2600).map(|n| format!("{} {n}\n", if n % 40 == 0 { "bad" } else { "good" })).collect();
    room.file("logs/app.log", lines);
    agent.start_ready();
    let ctl = agent.ctl();
    wait::holds("they are dead letters", PATIENCE, || ctl.number("dead_letters") == Some(65));
    let (file, text) = (room.path().join("dead.ndjson"), |file: &str| std::fs::read_to_string(file).unwrap());
    let name = file.display().to_string();
    let (well, out, said) = ctl.try_run(&["dead-letters", "export", "job", "--to", &name]);
    assert!(well && out.is_empty(), "{said}");
    assert_eq!(said, format!("65 dead letters of job exported to {name}\n"));
    let all = exported(&text(&name));
    let messages: Vec<String> = all.iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(messages, (0..65).map(|n| format!("bad {}", 40 * n)).collect::<Vec<_>>());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (well, _, said) = ctl.try_run(&["dead-letters", "export", "job", "--to", &name]);
    assert!(!well && said.contains("--force"), "{said}");
    let (well, _, said) = ctl.try_run(&["dead-letters", "export", "job", "--to", "/dev/null", "--force"]);
    assert!(!well && said.contains("/dev/null is no regular file"), "{said}");
    let kept = std::fs::metadata(room.data().join("dead")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o700, "documents lie there");
    // What was replayed meanwhile is not there any more, and an export goes on behind any number.
    let middle = all[40].0.to_string();
    endpoint.heal();
    ctl.run(&["dead-letters", "replay", "--pipeline", "job", &all[3].0.to_string(), &all[50].0.to_string()]);
    let rest = exported(&ctl.run(&["dead-letters", "export", "job", "--from", &middle]));
    assert_eq!(rest, all[40..].iter().filter(|letter| letter.0 != all[50].0).cloned().collect::<Vec<_>>());
    ctl.run(&["dead-letters", "replay", "--all"]);
    ctl.run(&["dead-letters", "export", "--to", &name, "--force"]);
    assert_eq!(text(&name), "");
    endpoint.wait_count(INDEX, 2600, PATIENCE);
    let (well, _, said) = ctl.try_run(&["dead-letters", "export", "jbo"]);
    assert!(!well && said.contains("did you mean \"job\"?"), "{said}");
}
