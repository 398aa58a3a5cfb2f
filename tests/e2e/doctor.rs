//! What an operator asks when something is wrong: what it runs with, the doctor, a look at the index, a bundle to send.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::binaries;
use e2e::ctl::Ctl;
use e2e::endpoint::{Endpoint, refuse};
use e2e::service::Service;
use e2e::wait;
use serde_json::{Value, json};

const INDEX: &str = "logs-doctor";
const NOBODY: u32 = 65534;

/// The checks of a job (or of the machine, by the empty name) as `verdict name: found → advice`.
fn checks(diagnosis: &Value, job: &str) -> Vec<String> {
    let of = |check: &&Value| check["job"].as_str().unwrap_or("") == job;
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or("").to_owned();
    let shown = |check: &Value| {
        let [verdict, name, found, advice] = ["verdict", "name", "found", "advice"].map(|key| word(check, key));
        format!("{verdict} {name}: {found} → {advice}")
    };
    diagnosis["checks"].as_array().unwrap().iter().filter(of).map(shown).collect()
}

fn diagnose(ctl: &Ctl) -> (bool, Value) {
    let (well, out, err) = ctl.try_run(&["doctor", "--json"]);
    (well, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
}

fn has(checks: &[String], begin: &str, holds: &str) -> bool {
    checks.iter().any(|check| check.starts_with(begin) && check.contains(holds))
}

/// One document has arrived.
fn shipping(room: &Room, endpoint: &Endpoint) -> Agent {
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    room.file("logs/app.log", "one\n");
    agent.start_ready();
    endpoint.wait_count(INDEX, 1, PATIENCE);
    agent
}

#[test]
fn the_doctor_finds_nothing_bad_where_all_is_well() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = shipping(&room, &endpoint);
    let (well, diagnosis) = diagnose(&agent.ctl());
    let machine = checks(&diagnosis, "");
    for name in ["store", "open files", "disk", "data directory", "file system"] {
        assert!(machine.iter().any(|check| check.contains(&format!(" {name}: "))), "{name}: {machine:?}");
    }
    let job = checks(&diagnosis, "job");
    assert!(has(&job, "ok paths", "1 file, all can be read"), "{job:?}");
    assert!(has(&job, "ok connection", "elasticsearch 8.19.21") && has(&job, "ok dead letters", "none"), "{job:?}");
    assert!(well || machine.iter().any(|check| check.starts_with("bad")), "{diagnosis}");
    let bulk = endpoint.calls().into_iter().filter(|call| call.method == "PUT" || call.method == "DELETE").count();
    assert_eq!(bulk, 0, "the doctor changed something");
    let (_, shown, _) = agent.ctl().try_run(&["doctor"]);
    assert!(shown.starts_with("machine and agent\n") && shown.contains("\njob job\n"), "{shown}");
    agent.stop();
}

#[test]
fn the_doctor_says_what_is_wrong_with_a_cluster_and_what_to_do() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = shipping(&room, &endpoint);
    let mapping = json!({ "dynamic": "strict", "properties": {
        "@timestamp": { "type": "date" }, "host": { "type": "keyword" }, "message": { "type": "long" },
        "log": { "properties": { "file": { "properties": { "path": { "type": "keyword" } } } } } } });
    endpoint.on_path(&format!("/{INDEX}/_mapping"), 200, json!({ INDEX: { "mappings": mapping } }));
    let settings = json!({ "index.blocks.read_only_allow_delete": "true", "index.mapping.total_fields.limit": "6" });
    endpoint.on_path(&format!("/{INDEX}/_settings"), 200, json!({ INDEX: { "settings": settings } }));
    endpoint.on_path("/_cat/health", 200, json!([{ "epoch": "1000000000" }]));
    let health = json!({ "status": "red", "active_shards": 999, "number_of_data_nodes": 1 });
    endpoint.on_path("/_cluster/health", 200, health);
    let defaults = json!({ "defaults": { "cluster": { "max_shards_per_node": "1000" } } });
    endpoint.on_path("/_cluster/settings", 200, defaults);
    let full = json!([{ "node": "n1", "disk.avail": "10", "disk.total": "1000" }]);
    endpoint.on_path("/_cat/allocation", 200, full);
    let (well, diagnosis) = diagnose(&agent.ctl());
    let job = checks(&diagnosis, "job");
    assert!(!well, "{job:?}");
    for (begin, holds) in [
        ("bad clock", "NTP"),
        ("bad cluster:", "red"),
        ("bad shards", "999 of 1,000 shards"),
        ("bad cluster disks", "flood stage"),
        ("bad blocks", "index.blocks.read_only_allow_delete"),
        ("bad mapping", "host is of type keyword, and we send it with fields of its own (host.name)"),
        ("bad mapping", "log.offset is not in the mapping, which is strict"),
        ("bad mapping", "message is of type long, and we send text"),
        ("warn mapping", "6 fields of 6"),
    ] {
        assert!(has(&job, begin, holds), "{begin} … {holds}: {job:#?}");
    }
    agent.stop();
}

#[test]
fn the_doctor_names_fields_of_dead_letters_and_an_address_where_nobody_is() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    endpoint.on_item(|_| {
        let reason =
            "failed to parse field [status] of type [long] in document with id 'x'. Preview of field's value: 'hush'";
        refuse(400, "document_parsing_exception", reason)
    });
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), INDEX, ""));
    room.file("logs/app.log", "one\ntwo\n");
    agent.start_ready();
    wait::holds("both are dead letters", PATIENCE, || agent.ctl().dead_letters().len() == 2);
    let (_, diagnosis) = diagnose(&agent.ctl());
    let job = checks(&diagnosis, "job");
    assert!(
        has(&job, "warn dead letters", "2 dead letters, by what was refused: field status of type long (2)"),
        "{job:?}"
    );
    assert!(!diagnosis.to_string().contains("hush"), "{diagnosis}");

    let bundle = bundle(&agent.ctl(), &room.path().join("b.tar.gz"));
    let letters = &bundle["splashdam-support/dead-letters.json"];
    assert!(letters.contains("failed to parse field [status] of type [long]"), "{letters}");
    let all: String = bundle.values().cloned().collect();
    assert!(!all.contains("hush") && !all.contains("\"message\""), "a document is in the bundle");

    endpoint.down();
    let (well, diagnosis) = diagnose(&agent.ctl());
    assert!(!well && has(&checks(&diagnosis, "job"), "bad connection", "(TCP)"), "{diagnosis}");
    agent.stop();
}

#[test]
fn the_doctor_names_the_folder_that_lets_nobody_pass() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let shut = room.path().join("shut");
    room.file("shut/inner/app.log", "one\n");
    let file = room.file("logs/secret.log", "two\n");
    for (path, mode) in [(&shut, 0o700), (&file, 0o600), (&room.path().to_owned(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = room.raw_job("*.log", &endpoint.url(), INDEX, "").replace(
        "paths = [",
        &format!("paths = [\"{}/inner/*.log\", \"{}/none/*.log\", ", shut.display(), room.path().display()),
    );
    let job = room.file("job.toml", text);
    std::fs::create_dir(room.data()).unwrap();
    if !rustix::process::geteuid().is_root() {
        return; // only root can become somebody else
    }
    let program = room.path().join("splashdam");
    binaries::copy(&binaries::splashdam(), &program);
    std::os::unix::fs::chown(room.data(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut run = Command::new(&program);
    run.arg("run").arg(&job).arg("--data-dir").arg(room.data()).uid(NOBODY).gid(NOBODY);
    let mut child = run.stderr(std::fs::File::create(room.path().join("log")).unwrap()).spawn().unwrap();
    let ctl = Ctl::new(&room.data());
    wait::holds("it answers", PATIENCE, || ctl.answers());
    let (_, diagnosis) = diagnose(&ctl);
    child.kill().unwrap();
    child.wait().unwrap();
    let job = checks(&diagnosis, "job");
    let barrier = format!(
        "{} (root:root, mode 0700) can't be passed → setfacl -m u:nobody:rx {}",
        shut.display(),
        shut.display()
    );
    assert!(has(&job, "bad paths", &barrier), "{job:#?}");
    assert!(
        has(
            &job,
            "bad paths",
            &format!("can't be read: {} (root:root, mode 0600) → setfacl -m u:nobody:r ", file.display())
        ),
        "{job:#?}"
    );
    assert!(has(&job, "warn paths", "no file matches"), "{job:#?}");
}

#[test]
fn a_search_shows_what_has_arrived_by_the_connection_of_the_job() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = shipping(&room, &endpoint);
    let hit = json!({ "_index": INDEX, "_id": "a", "_score": 1.0, "_source": { "message": "one" } });
    let found = json!({ "hits": { "total": { "value": 12, "relation": "eq" }, "hits": [hit] } });
    endpoint.on_path(&format!("/{INDEX}/_search"), 200, found);
    let (well, out, err) = agent.ctl().try_run(&["search", INDEX, "message:one", "--limit", "1"]);
    assert!(well && out == format!("{INDEX}\ta\t{{\"message\":\"one\"}}\n"), "{out}{err}");
    assert!(err.contains("12 documents, 1 shown"), "{err}");
    let call = endpoint.calls().into_iter().rfind(|call| call.path.ends_with("/_search")).unwrap();
    let body: Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!((&body["query"]["query_string"]["query"], &body["size"]), (&json!("message:one"), &json!(1)));
    assert_eq!(agent.ctl().json(&["search", INDEX, "*", "--json"])[0]["_source"]["message"], "one");

    let cause = json!({ "type": "query_shard_exception", "reason": "Failed to parse query [a:]" });
    let refused = json!({ "error": { "root_cause": [cause], "type": "search_phase_execution_exception", "reason": "all shards failed" } });
    endpoint.on_path(&format!("/{INDEX}/_search"), 400, refused);
    let (well, out, err) = agent.ctl().try_run(&["search", INDEX, "a:"]);
    assert!(!well && out.is_empty() && err.contains("Failed to parse query [a:]"), "{out}{err}");
    agent.stop();
}

/// The files of a support bundle by their names.
fn bundle(ctl: &Ctl, to: &Path) -> BTreeMap<String, String> {
    let (well, out, err) = ctl.try_run(&["support-bundle", "--to", to.to_str().unwrap()]);
    assert!(well && out.trim() == to.to_str().unwrap() && err.contains("No document"), "{out}{err}");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(to).unwrap()).read_to_end(&mut tar).unwrap();
    let (mut files, mut at) = (BTreeMap::new(), 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    // Headers of 512 bytes: a name of 100, the size in octal at 124; contents are padded to 512.
    while tar[at] != 0 {
        let size = usize::from_str_radix(text(&tar[at + 124..at + 136]).trim(), 8).unwrap();
        files.insert(text(&tar[at..at + 100]), text(&tar[at + 512..at + 512 + size]));
        at += 512 + size.div_ceil(512) * 512;
    }
    files
}

#[test]
fn a_support_bundle_is_for_its_owner_and_never_written_over_a_file() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = shipping(&room, &endpoint);
    let to = room.path().join("bundle.tar.gz");
    let files = bundle(&agent.ctl(), &to);
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    for (name, holds) in [
        ("README.txt", "No document is in it"),
        ("about.json", "made_at"),
        ("status.json", "\"pipelines\""),
        ("positions.json", "app.log"),
        ("metrics.txt", "splashdam_acknowledged_records_total"),
        ("config.txt", "index = \"logs-doctor\""),
        ("doctor.json", "\"checks\""),
        ("log.txt", "starting"),
        ("machine.txt", "Max open files"),
    ] {
        let file = files.get(&format!("splashdam-support/{name}")).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(file.contains(holds), "{name} lacks {holds}: {file}");
    }
    let before = std::fs::read(&to).unwrap();
    let (well, _, err) = agent.ctl().try_run(&["support-bundle", "--to", to.to_str().unwrap()]);
    assert!(!well && err.contains("is there already") && std::fs::read(&to).unwrap() == before, "{err}");
    agent.stop();
}

#[test]
fn what_an_agent_runs_with_is_what_its_files_were_when_they_were_taken_up() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let config = Service::config(&room, "[buffer]\nmax_bytes = \"64 MiB\"\n");
    let job = room.raw_job(
        "*.log",
        &endpoint.url(),
        INDEX,
        "user = \"u\"\npassword = \"hush\"\n[sink.bulk]\nlinger = \"300ms\"\n",
    );
    room.file("etc/jobs.d/web.toml", &job);
    let script = format!(
        "-- hush\nCREATE TABLE s (a INT) WITH ('connector' = 'filesystem', 'path' = '{}/k.json', 'format' = 'json');\n\
         CREATE TABLE t (a INT) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'i', 'username' = 'u', 'password' = 'hush');\n\
         INSERT INTO t SELECT a FROM s;\n",
        room.logs().display(),
        endpoint.url()
    );
    room.file("etc/jobs.d/rows.sql", script);
    let service = Service::start(&config, &room.path().join("serve.log"));
    let ctl = Ctl::new(&room.data());
    wait::holds("it answers", PATIENCE, || ctl.answers());
    room.file("etc/jobs.d/web.toml", job.replace("300ms", "400ms"));
    let shown = ctl.run(&["config", "show"]);
    for line in [
        "linger = \"300ms\"",
        "password = \"***\"",
        "compression = 1  # default",
        "when_full = \"block\"  # default",
        "max_bytes = \"32 MiB\"  # its share of the service's buffer",
        "log_level = \"info\"  # default",
        "'password' = ***",
        "INSERT INTO t SELECT a FROM s;",
    ] {
        assert!(shown.contains(line), "{line} is missing:\n{shown}");
    }
    assert!(!shown.contains("hush"), "{shown}");
    ctl.run(&["reload"]);
    let one = ctl.run(&["config", "show", "web"]);
    assert!(one.contains("linger = \"400ms\"") && !one.contains("log_level") && !one.contains("INSERT"), "{one}");
    assert_eq!(ctl.json(&["config", "show", "web", "--json"])["jobs"][0]["id"], "web");
    service.stop();
}
