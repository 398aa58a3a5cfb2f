//! A service takes up other jobs while it runs: what is unchanged is not touched, what is wrong changes nothing, and
//! no line is lost or double.
//!
//! T25 reloads 30 times; `RELOADS=1000` is the long run, which also asks that no pipeline stood still for a second.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::agent::{PATIENCE, Room};
use e2e::ctl::Ctl;
use e2e::endpoint::{Endpoint, Reply};
use e2e::oracle::Oracle;
use e2e::seed::Rng;
use e2e::service::Service;
use e2e::wait;
use e2e::writer::Writer;
use rustix::process::Signal;
use serde_json::Value;

/// Jobs that are edited, beside one that never is.
const EDITED: usize = 4;
const MISTAKES: &[(&str, &str)] =
    &[("paths =", "pathes ="), ("index =", "indx ="), ("[sink]", "[snk]"), ("\"raw\"", "\"rwa\"")];

fn script(room: &Room, url: &str, aggregate: &str, linger: &str) -> String {
    format!(
        "CREATE TABLE s (k STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}/k.json', 'format' = 'json');\n\
         CREATE TABLE t (k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH \
         ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = 'counts', 'sink.bulk-flush.interval' = '{linger}');\n\
         INSERT INTO t SELECT k, {aggregate} FROM s GROUP BY k;\n",
        room.logs().display()
    )
}

/// A room with a service's configuration and some jobs.
struct Site {
    room: Room,
    endpoint: Endpoint,
    ctl: Ctl,
}

impl Site {
    fn new() -> Site {
        let room = Room::new();
        let ctl = Ctl::new(&room.data());
        Site { endpoint: Endpoint::start(), ctl, room }
    }

    fn job(&self, name: &str, more: &str) -> String {
        self.room.raw_job(&format!("{name}.log"), &self.endpoint.url(), &format!("logs-{name}"), more)
    }

    fn put(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.room.file(&format!("etc/jobs.d/{file}"), text)
    }

    fn take(&self, file: &str) {
        std::fs::remove_file(self.room.path().join("etc/jobs.d").join(file)).unwrap();
    }

    fn append(&self, name: &str, lines: &str) {
        let path = self.room.logs().join(name);
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(lines.as_bytes()).unwrap();
    }

    fn serve(&self) -> Service {
        let config = Service::config(&self.room, "");
        let service = Service::start(&config, &self.room.path().join("serve.log"));
        wait::holds("the service answers", PATIENCE, || self.ctl.answers());
        service
    }

    fn reload(&self) -> Result<Value, String> {
        let (well, out, err) = self.ctl.try_run(&["reload", "--json"]);
        if well { Ok(serde_json::from_str(&out).unwrap()) } else { Err(format!("{out}{err}")) }
    }

    fn started(&self, id: &str) -> Option<Value> {
        let status = self.ctl.status();
        let all = status["pipelines"].as_array().unwrap().clone();
        all.into_iter().find(|pipeline| pipeline["id"] == id)
    }

    fn count(&self) -> Option<i64> {
        self.endpoint.documents(|all| all.of("counts").next().and_then(|(_, document)| document.json()["n"].as_i64()))
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

#[test]
fn a_reload_starts_what_is_new_stops_what_is_gone_and_leaves_the_rest_alone() {
    let site = Site::new();
    site.put("a.toml", site.job("a", ""));
    site.put("b.toml", site.job("b", ""));
    for name in ["a.log", "b.log", "c.log"] {
        site.append(name, "one\n");
    }
    let service = site.serve();
    wait::holds("both run", PATIENCE, || site.endpoint.count("logs-a") == 1 && site.endpoint.count("logs-b") == 1);
    assert_eq!(site.ctl.run(&["reload"]), "nothing has changed: 2 jobs\n");

    site.put("c.toml", site.job("c", ""));
    site.take("b.toml");
    let told = site.reload().unwrap();
    assert_eq!(
        (ids(&told["started"]), ids(&told["stopped"]), ids(&told["unchanged"])),
        (vec!["c"], vec!["b"], vec!["a"])
    );
    wait::holds("the new one runs", PATIENCE, || site.endpoint.count("logs-c") == 1);
    assert!(site.started("b").is_none());
    assert!(!site.ctl.run(&["metrics"]).contains("pipeline=\"b\""), "counters of a job that is gone are shown");
    site.append("b.log", "two\n");

    // By the signal, too.
    site.put("b.toml", site.job("b", ""));
    service.signal(Signal::HUP);
    wait::holds("it goes on from where it was", PATIENCE, || site.endpoint.count("logs-b") == 2);
    let refused = site.endpoint.documents(|all| all.of("logs-b").map(|(id, _)| all.refusals(id)).sum::<u32>());
    assert_eq!(refused, 0, "lines of before were sent again");
    service.stop();
}

#[test]
fn a_refused_configuration_leaves_all_as_it_was_and_names_file_line_and_key() {
    let site = Site::new();
    site.put("a.toml", site.job("a", ""));
    let service = site.serve();
    let wrong = site.job("a", "").replace("index =", "indx =");
    let line = wrong.lines().position(|line| line.contains("indx")).unwrap() + 1;
    let file = site.put("a.toml", wrong);
    site.put("new.toml", site.job("new", ""));
    let said = site.reload().unwrap_err();
    assert!(said.contains(&format!("{}:{line}:1: unknown key \"indx\"", file.display())), "{said}");
    assert!(service.log().contains("the reload is refused"), "{}", service.log());
    let status = site.ctl.status();
    assert!(status["notes"][0].as_str().unwrap().contains("the last reload was refused"), "{status}");
    assert!(site.started("new").is_none(), "a part of a refused configuration was taken up");
    site.append("a.log", "one\n");
    wait::holds("it runs on", PATIENCE, || site.endpoint.count("logs-a") == 1);

    site.put("a.toml", site.job("a", ""));
    let told = site.reload().unwrap();
    assert_eq!((ids(&told["unchanged"]), ids(&told["started"])), (vec!["a"], vec!["new"]));
    assert_eq!(site.ctl.status()["notes"].as_array().unwrap().len(), 0);
    service.stop();
}

#[test]
fn a_changed_job_that_can_t_start_runs_on_as_it_was() {
    let site = Site::new();
    let url = site.endpoint.url();
    site.put("counts.sql", script(&site.room, &url, "COUNT(*)", "1s"));
    site.append("k.json", "{\"k\":\"a\",\"n\":7}\n");
    let service = site.serve();
    wait::holds("it counts", PATIENCE, || site.count() == Some(1));
    site.put("counts.sql", script(&site.room, &url, "MAX(n)", "1s"));
    let said = site.reload().unwrap_err();
    assert!(said.contains("does not fit its stored state") && said.contains("It runs on as it was."), "{said}");
    site.append("k.json", "{\"k\":\"a\",\"n\":9}\n");
    wait::holds("it counts on", PATIENCE, || site.count() == Some(2));
    assert!(
        site.ctl.run(&["status"]).contains("does not fit"),
        "status does not tell that the file says another thing"
    );

    // Something else about it may change, and its state goes on.
    site.put("counts.sql", script(&site.room, &url, "COUNT(*)", "2s"));
    assert_eq!(ids(&site.reload().unwrap()["changed"]), ["counts"]);
    site.append("k.json", "{\"k\":\"a\",\"n\":9}\n");
    wait::holds("it counts on from there", PATIENCE, || site.count() == Some(3));
    service.stop();
}

/// Who ends gives back what was never answered; it must not lie there until a restart.
#[test]
fn what_was_under_way_when_its_job_changed_is_sent_by_its_successor() {
    let site = Site::new();
    let script = |linger: &str| {
        let (logs, url) = (site.room.logs().display().to_string(), site.endpoint.url());
        format!(
            "CREATE TABLE s (k STRING) WITH ('connector' = 'filesystem', 'path' = '{logs}/k.json', 'format' = 'json');\n\
             CREATE TABLE t (k STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = '{url}', 'index' = 'rows', \
             'sink.bulk-flush.interval' = '{linger}');\nINSERT INTO t SELECT k FROM s;\n"
        )
    };
    let lines = |linger: &str| site.job("app", &format!("[sink.bulk]\nlinger = \"{linger}\"\n"));
    site.put("app.toml", lines("50ms"));
    site.put("rows.sql", script("50ms"));
    // Whatever comes is never answered.
    site.endpoint.on_bulk(|_| Reply::Hang);
    let service = site.serve();
    site.append("app.log", "one\n");
    site.append("k.json", "{\"k\":\"a\"}\n");
    let asked = |index: &str| site.endpoint.log().iter().any(|request| request.index == index);
    wait::holds("both are under way", PATIENCE, || asked("logs-app") && asked("rows"));
    site.endpoint.heal();
    assert!(site.endpoint.count("logs-app") + site.endpoint.count("rows") == 0, "something arrived already");
    site.put("app.toml", lines("60ms"));
    site.put("rows.sql", script("60ms"));
    assert_eq!(ids(&site.reload().unwrap()["changed"]), ["app", "rows"]);
    // Well before the first request's own timeout of a minute.
    let soon = Duration::from_secs(30);
    wait::holds("both have arrived", soon, || site.endpoint.count("logs-app") == 1 && site.endpoint.count("rows") == 1);
    service.stop();
}

#[test]
fn rows_that_came_late_before_a_reload_are_counted_after_it_once() {
    let site = Site::new();
    let script = |linger: &str| {
        format!(
            "CREATE TABLE s (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '{}/w.csv', 'format' = 'csv');\n\
             CREATE TABLE t (ws TIMESTAMP(3), n BIGINT, PRIMARY KEY (ws) NOT ENFORCED) WITH \
             ('connector' = 'elasticsearch-7', 'hosts' = '{}', 'index' = 'minutes', 'sink.bulk-flush.interval' = '{linger}');\n\
             INSERT INTO t SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE), COUNT(*) FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE);\n",
            site.room.logs().display(),
            site.endpoint.url()
        )
    };
    let late = || site.started("minutes").and_then(|job| job["late_rows"].as_u64());
    site.put("minutes.sql", script("1s"));
    site.append("w.csv", "2026-01-01 00:05:00.000\n2026-01-01 00:00:00.000\n");
    let service = site.serve();
    wait::holds("a row is late", PATIENCE, || late() == Some(1));
    site.put("minutes.sql", script("2s"));
    assert_eq!(ids(&site.reload().unwrap()["changed"]), ["minutes"]);
    assert_eq!((late(), site.ctl.metric("late_rows_total")), (Some(1), 1));
    site.append("w.csv", "2026-01-01 00:00:00.000\n");
    wait::holds("another one is late", PATIENCE, || late() == Some(2));
    assert_eq!(site.ctl.metric("late_rows_total"), 2);
    service.stop();
}

#[test]
fn a_run_without_a_configuration_says_that_there_is_nothing_to_reload() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = room.agent(&room.raw_job("*.log", &endpoint.url(), "logs", ""));
    agent.start_ready();
    let (well, _, said) = agent.ctl().try_run(&["reload"]);
    assert!(!well && said.contains("only the service"), "{said}");
    agent.stop();
}

/// Writes all logs until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<i64>,
}

impl Load {
    fn start(site: &Site, mut writers: Vec<Writer>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, path) = (stop.clone(), site.room.logs().join("k.json"));
        let thread = std::thread::spawn(move || {
            let mut json = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            let mut rows = 0;
            while !until.load(Ordering::Relaxed) {
                writers.iter_mut().for_each(|writer| writer.lines(4));
                json.write_all(b"{\"k\":\"a\",\"n\":1}\n").unwrap();
                rows += 1;
                // The pace of the load; nothing waits for it.
                std::thread::park_timeout(Duration::from_millis(10));
            }
            rows
        });
        Load { stop, thread }
    }

    /// Gives the rows of the JSON file.
    fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// One random edit of one of the jobs; says whether the reload is to be refused.
fn edit(site: &Site, rng: &mut Rng) -> bool {
    let number = rng.within(0, EDITED as u64);
    let name = format!("edited-{number}");
    let linger = rng.within(50, 400);
    let good = site.job(&name, &format!("[sink.bulk]\nlinger = \"{linger}ms\"\n"));
    let file = site.room.path().join(format!("etc/jobs.d/{name}.toml"));
    match rng.within(0, 5) {
        0 if file.exists() => site.take(&format!("{name}.toml")),
        1 => {
            let (right, wrong) = MISTAKES[rng.within(0, MISTAKES.len() as u64) as usize];
            site.put(&format!("{name}.toml"), good.replacen(right, wrong, 1));
            return true;
        }
        2 => {
            let script = script(&site.room, &site.endpoint.url(), "COUNT(*)", &format!("{linger}ms"));
            site.put("counts.sql", script);
        }
        _ => {
            site.put(&format!("{name}.toml"), good);
        }
    }
    false
}

#[test]
fn t25_many_reloads_under_load_lose_nothing_double_nothing_and_stop_nobody() {
    let reloads: u64 = std::env::var("RELOADS").ok().map_or(30, |n| n.parse().unwrap());
    let (site, mut rng) = (Site::new(), Rng::for_test("t25"));
    let names: Vec<String> = (0..EDITED).map(|n| format!("edited-{n}")).chain(["steady".to_owned()]).collect();
    let oracles: Vec<Oracle> = names.iter().map(|_| Oracle::new(Rng::new(rng.number()))).collect();
    let writers =
        names.iter().zip(&oracles).map(|(n, oracle)| Writer::new(site.room.logs().join(format!("{n}.log")), oracle));
    names.iter().for_each(|name| drop(site.put(&format!("{name}.toml"), site.job(name, ""))));
    site.put("counts.sql", script(&site.room, &site.endpoint.url(), "COUNT(*)", "200ms"));
    let load = Load::start(&site, writers.collect());
    let service = site.serve();
    wait::holds("all run", PATIENCE, || names.iter().all(|name| site.endpoint.count(&format!("logs-{name}")) > 0));
    let (begin, mut refused) = (std::time::Instant::now(), 0);
    for n in 0..reloads {
        let wrong = edit(&site, &mut rng);
        let told = site.reload();
        assert_eq!(told.is_err(), wrong, "reload {n}: {told:?}");
        refused += u64::from(wrong);
        match told {
            Ok(told) => assert!(ids(&told["unchanged"]).contains(&"steady"), "{told}"),
            // A mistake stays only until the next edit, which may be of another file.
            Err(_) => names.iter().take(EDITED).for_each(|name| {
                site.put(&format!("{name}.toml"), site.job(name, ""));
            }),
        }
    }
    let end = std::time::Instant::now();
    names.iter().for_each(|name| drop(site.put(&format!("{name}.toml"), site.job(name, ""))));
    site.reload().unwrap();
    let rows = load.end();
    for (name, oracle) in names.iter().zip(&oracles) {
        site.endpoint.wait_count(&format!("logs-{name}"), oracle.lines(), PATIENCE);
        oracle.compare(&site.endpoint, &format!("logs-{name}")).assert_clean();
    }
    wait::holds("every row is counted once", PATIENCE, || site.count() == Some(rows));
    let log = site.endpoint.log();
    let times: Vec<_> = log
        .iter()
        .filter(|bulk| bulk.index == "logs-steady" && bulk.at > begin && bulk.at < end)
        .map(|b| b.at)
        .collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    let lines: usize = oracles.iter().map(Oracle::lines).sum();
    eprintln!(
        "{reloads} reloads ({refused} refused) in {:?}, {lines} lines and {rows} rows: longest pause of the steady job {longest:?}",
        end - begin
    );
    // The short run shares its machine with other tests.
    assert!(reloads < 1000 || longest < Duration::from_secs(1), "the steady job stood still for {longest:?}");
    service.stop();
}
