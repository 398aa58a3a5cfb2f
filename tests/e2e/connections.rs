//! What somebody is told whose keys, names, addresses or permissions are wrong, before anything is read.

use std::process::Command;

use e2e::agent::Room;
use e2e::binaries;
use e2e::endpoint::Endpoint;
use e2e::logstore::{Action, Logstore, Options};
use serde_json::Value;

use crate::sls::{GROUP, Numbers, job, start};

/// `splashdam check --connect FILE`: whether it ended well, what it printed.
fn check(room: &Room, name: &str, text: &str) -> (bool, String) {
    let file = room.file(name, text);
    let mut command = Command::new(binaries::splashdam());
    let output = command.args(["check", "--connect"]).arg(file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_mistake_is_told_by_what_it_is_about() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let region = Some("cn-hangzhou".to_owned());
    let logstore = Logstore::start(Options { shards: 2, region, ..Options::default() });
    let good = job(&logstore, &endpoint, "test-key", &format!("group = \"{GROUP}\""));
    let (well, said) = check(&room, "good.toml", &good);
    assert!(well, "{said}");
    for line in ["Connectable\n    2 shards\n", "splashdam is not there yet: the job makes it", "elasticsearch 8.19.21"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(logstore.owners(GROUP).is_empty() && logstore.checkpoint(GROUP, 0).is_none(), "nothing was made");
    let nobody = "127.0.0.1:1";
    let of_region = "region = \"cn-beijing\"";
    for (text, told) in [
        (good.replace("test-key", "test-kei"), "(keys): the service does not know the access key id"),
        (
            good.replace("test-secret", "hush-hush"),
            "(keys): the access key secret does not belong to the access key id",
        ),
        (good.replace("test-project", "test-projekt"), "(project): there is no project test-projekt at http://cn-"),
        (good.replace("cn-hangzhou", "cn-beijing"), "no project test-project at http://cn-beijing"),
        (
            good.replace("test-logstore", "test-logstor"),
            "(logstore): the project test-project has no Logstore test-logstor",
        ),
        (
            good.replace("group =", &format!("{of_region}\ngroup =")),
            "\"cn-beijing\" is not the region of http://cn-hangzhou",
        ),
        (good.replace(&logstore.address().to_string(), nobody), "(TCP): nobody listens there"),
        (
            good.replace("connect =", "timeout = \"5s\"\n# ").replace("cn-hangzhou", "cn-nowhere.invalid"),
            "(name): its name can't be resolved",
        ),
        (good.replace("\"cn-hangzhou", "\"https://cn-hangzhou"), "(TLS): it does not speak TLS"),
        (
            good.replace(&endpoint.url(), "http://127.0.0.1:1"),
            "sink: Elasticsearch at http://127.0.0.1:1\n    Not connectable (TCP)",
        ),
        (good.replace(&endpoint.url(), &logstore.url()), "(service): "),
    ] {
        let (well, said) = check(&room, "bad.toml", &text);
        assert!(!well && said.contains(told), "{told}: {said}\n{text}");
        assert!(!said.contains("hush"), "{said}");
    }
    for (action, told) in [
        (Action::ListShards, "(permission): the access key may not list shards: add the action to its RAM policy"),
        (Action::GetCursor, "(permission): the access key may not read logs"),
        (Action::ListConsumerGroup, "(permission): the access key may not list consumer groups"),
    ] {
        logstore.deny("test-key", action);
        let (well, said) = check(&room, "denied.toml", &good);
        assert!(!well && said.contains(told) && said.contains(action.permission()), "{told}: {said}");
        logstore.allow("test-key", action);
    }
}

#[test]
fn a_trial_of_a_job_that_is_not_let_in_ends_and_says_why() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(1));
    let text = job(&logstore, &endpoint, "test-key", "").replace("test-secret", "hush-hush");
    let file = room.file("bad.toml", &text);
    let output = Command::new(binaries::splashdam()).arg("try").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the access key secret does not belong"), "{said}");
    assert!(said.contains("SignatureNotMatch") && !said.contains("hush-hush"), "{said}");
}

#[test]
fn a_running_agent_tries_its_jobs_and_the_named_connections() {
    let (room, endpoint, logstore) = (Room::new(), Endpoint::start(), start(2));
    room.file(
        "datasources.toml",
        format!(
            "[logs]\ntype = \"elasticsearch\"\nendpoint = \"{}\"\n[gone]\ntype = \"elasticsearch\"\nendpoint = \"http://127.0.0.1:1\"\n",
            endpoint.url()
        ),
    );
    let mut agent = room.agent(&job(&logstore, &endpoint, "test-key", ""));
    agent.start_ready();
    let tried = |name: &str| {
        let (well, out, _) = agent.ctl().try_run(&["test-connection", name, "--json"]);
        (well, serde_json::from_str::<Value>(&out).unwrap_or_default())
    };
    let (well, tested) = tried("job");
    assert!(well, "{tested}");
    let both: Vec<_> = tested["connections"].as_array().unwrap().iter().map(|one| &one["connectable"]).collect();
    assert_eq!(both, [true, true], "{tested}");
    assert!(tried("logs").0);
    let (well, tested) = tried("gone");
    assert_eq!((well, &tested["connections"][0]["step"]), (false, &"TCP".into()), "{tested}");
    let (_, _, said) = agent.ctl().try_run(&["test-connection", "nobody"]);
    assert!(said.contains("no job and no datasource \"nobody\" here; there is job, gone, logs"), "{said}");
    // Nobody has to run for it.
    let mut numbers = Numbers::new("sls-connections");
    numbers.write(&logstore, 10);
    agent.stop();
    let (_, _, said) = agent.ctl().try_run(&["test-connection", "job"]);
    assert!(said.contains("splashdam check --connect JOB"), "{said}");
}
