//! What the packages bring beside the binaries: example jobs, dashboards, the unit's conversation with systemd.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use e2e::agent::{PATIENCE, Room};
use e2e::ctl::Ctl;
use e2e::endpoint::Endpoint;
use e2e::service::Service;
use e2e::{binaries, wait};
use rustix::process::Signal;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(binaries::workspace().join("packaging").join(folder)).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

fn check(arguments: &[&std::path::Path]) -> (Output, String) {
    let output = Command::new(binaries::splashdam()).arg("check").args(arguments).output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_example_and_the_packages_own_configuration_pass_the_check() {
    let room = Room::new();
    let examples = files("examples");
    assert!(examples.len() >= 4, "{examples:?}");
    for example in &examples {
        let (output, said) = check(&[example]);
        assert!(output.status.success(), "{said}");
        let name = example.file_name().unwrap().to_str().unwrap();
        room.file(&format!("etc/jobs.d/{name}"), std::fs::read(example).unwrap());
    }
    for packaged in ["etc/splashdam.toml", "container.toml"] {
        let text = std::fs::read(binaries::workspace().join("packaging").join(packaged)).unwrap();
        let config = room.file("etc/splashdam.toml", text);
        let (output, said) = check(&[&config]);
        assert!(output.status.success() && said.contains("4 jobs"), "{said}");
    }
}

#[test]
fn what_the_packaged_settings_have_commented_out_is_right_too() {
    let room = Room::new();
    std::fs::create_dir_all(room.path().join("etc/jobs.d")).unwrap();
    let text = std::fs::read_to_string(binaries::workspace().join("packaging/etc/splashdam.toml")).unwrap();
    let settings = text.lines().map(|line| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line));
    let config = room.file("etc/splashdam.toml", settings.collect::<Vec<_>>().join("\n"));
    let (output, said) = check(&[&config]);
    assert!(output.status.success(), "{said}");
}

/// Words of `text` that name a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("splashdam_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_know_no_metric_that_there_is_not() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs", ""));
    agent.start_ready();
    let text = agent.ctl().run(&["metrics"]);
    let real: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| metrics_in(line).into_iter().take(1))
        .collect();
    for file in files("monitoring") {
        let text = std::fs::read_to_string(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        let named = metrics_in(&text);
        assert!(named.len() >= 5, "{}: {named:?}", file.display());
        let unknown: Vec<&String> = named.difference(&real).collect();
        assert!(unknown.is_empty(), "{}: no metric is called {unknown:?}", file.display());
    }
    agent.stop();
}

#[test]
fn the_unit_does_not_start_again_what_can_t_get_better() {
    let unit = std::fs::read_to_string(binaries::workspace().join("systemd/splashdam.service")).unwrap();
    let never = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    // Wrong settings, a wrong command line, the data of a newer version.
    assert_eq!(never, "1 2 9");
}

/// The socket that systemd listens on.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn new(room: &Room) -> Systemd {
        let path = room.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Systemd { socket, path }
    }

    /// The next thing said, within `limit`.
    fn hears(&self, limit: Duration) -> Option<String> {
        let (begin, mut buffer) = (Instant::now(), [0; 4096]);
        while begin.elapsed() < limit {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                return Some(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        None
    }

    fn hears_of(&self, what: &str) -> String {
        wait::until(what, PATIENCE, || self.hears(PATIENCE).filter(|said| said.contains(what)))
    }
}

#[test]
fn the_watchdog_is_fed_by_moving_pipelines_whatever_elasticsearch_does() {
    let (room, mut endpoint) = (Room::new(), Endpoint::start());
    let systemd = Systemd::new(&room);
    endpoint.down();
    room.file("logs/app.log", "one\n");
    room.file("logs/empty.log", "");
    room.file("etc/jobs.d/app.toml", room.raw_job("app.log", &endpoint.url(), "logs-app", ""));
    // One that sleeps for an hour if nobody wakes it.
    let idle = room.raw_job("empty.log", &endpoint.url(), "logs-idle", "").replace("paths", "rescan = \"1h\"\npaths");
    room.file("etc/jobs.d/idle.toml", idle);
    room.file("etc/jobs.d/wrong.toml", "[sorce]\n");
    let (config, log) = (Service::config(&room, ""), room.path().join("serve.log"));
    let environment = [("NOTIFY_SOCKET", systemd.path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let service = Service::start_with(&config, &log, &environment);
    let ready = systemd.hears_of("READY=1");
    assert!(ready.contains("STATUS=2 jobs"), "{ready}");
    assert!(service.log().contains("wrong.toml:1:2: unknown section [sorce]"), "{}", service.log());
    let ctl = Ctl::new(&room.data());
    wait::holds("it owes", PATIENCE, || ctl.metric("owed_records") == 1);
    for _ in 0..10 {
        systemd.hears_of("WATCHDOG=1");
    }
    let told = systemd.hears_of("STATUS=");
    assert!(told.contains("waits (app: ") && told.contains(" 1 owed"), "{told}");
    assert!(!service.log().contains("stuck"), "{}", service.log());

    // What does not move feeds nobody.
    service.signal(Signal::STOP);
    while systemd.hears(Duration::from_millis(200)).is_some() {}
    assert_eq!(systemd.hears(Duration::from_millis(1200)), None);
    service.signal(Signal::CONT);
    systemd.hears_of("WATCHDOG=1");
    service.signal(Signal::TERM);
    systemd.hears_of("STOPPING=1");
    service.stop();
}
