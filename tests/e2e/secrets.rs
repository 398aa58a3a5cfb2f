//! No secret is ever told: not in the log at its loudest, not in what any command prints, not on the page, in metrics or
//! in a support bundle, while connections fail and are refused in every way.
//!
//! Every secret holds the word `hush`, which stands nowhere else; what is made of one for a header is looked for, too.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::agent::{PATIENCE, Room};
use e2e::binaries;
use e2e::ctl::Ctl;
use e2e::endpoint::{Endpoint, Reply};
use e2e::service::Service;
use e2e::wait;

use crate::sls;

const WORD: &str = "hush";

/// What must be found nowhere: the word in any case, and what headers make of secrets.
fn leaks(text: &str) -> Option<String> {
    let pair = |user: &str, secret: &str| STANDARD.encode(format!("{user}:{secret}"));
    let made = [
        pair("elastic", "hush-basic"),
        pair("key-id", "hush-api-key"),
        pair("u", "hush-proxy"),
        pair("legacy", "hush-legacy"),
        STANDARD.encode("hush-api-key"),
    ];
    let lower = text.to_lowercase();
    let at = lower.find(WORD).or_else(|| made.iter().find_map(|made| text.find(made.as_str())))?;
    let from = (0..=at.saturating_sub(200)).rev().find(|from| lower.is_char_boundary(*from)).unwrap_or(0);
    Some(lower[from..].chars().take(400).collect())
}

fn assert_quiet(what: &str, text: &str) {
    if let Some(leak) = leaks(text) {
        panic!("{what} tells a secret: …{leak}…");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A service whose jobs have secrets of every kind.
struct Site {
    room: Room,
    ctl: Ctl,
    config: std::path::PathBuf,
    port: u16,
    _answering: Vec<Endpoint>,
    _logstore: e2e::logstore::Logstore,
}

impl Site {
    fn new() -> Site {
        let room = Room::new();
        let port = free_port();
        // Every way to be refused: 401, 403 with a reason, HTML, a connection that is cut, what was sent said back, nobody there.
        let [shut, forbidding, strange, cutting, echoing] = std::array::from_fn(|_| Endpoint::start());
        let echo = format!("you sent hush-basic as Basic {}", STANDARD.encode("elastic:hush-basic"));
        echoing.on_bulk(move |_| Reply::status(400, "parse_exception", &echo));
        shut.on_authorization(|_| false);
        forbidding.on_bulk(|_| Reply::Status {
            status: 403,
            kind: "security_exception".to_owned(),
            reason: "action [indices:data/write/bulk] is unauthorized for user [elastic]".to_owned(),
            retry_after: None,
        });
        strange.on_bulk(|_| Reply::Html);
        cutting.on_bulk(|_| Reply::Hang);
        let logstore = sls::start(1);
        let nobody = "http://127.0.0.1:1";
        room.file("credentials/token", "hush-bearer\n");
        room.file("key", "key-id:hush-api-key\n");
        room.file("logs/app.log", "one\n");
        room.file("logs/k.json", "{\"a\":1}\n");
        let line = |url: &str, more: &str| room.raw_job("app.log", url, "logs", more);
        let put = |name: &str, text: String| room.file(&format!("etc/jobs.d/{name}"), text);
        put("basic.toml", line(&shut.url(), "user = \"elastic\"\npassword = \"hush-basic\" # hush-comment"));
        put(
            "key.toml",
            line(&forbidding.url(), &format!("api_key = \"${{file:{}}}\"", room.path().join("key").display())),
        );
        put("echo.toml", line(&echoing.url(), "user = \"elastic\"\npassword = \"hush-basic\""));
        put("bearer.toml", line(&cutting.url(), "bearer_token = \"${credential:token}\""));
        put(
            "header.toml",
            line(&strange.url(), "headers = { X-Token = \"hush-header\", Authorization = \"Custom hush-auth\" }"),
        );
        put("env.toml", line(nobody, "user = \"elastic\"\npassword = \"pre${env:SPLASHDAM_TEST_SECRET}\""));
        put("proxy.toml", line("http://elastic.invalid:9200", "proxy = \"http://u:hush-proxy@127.0.0.1:1\""));
        put("tls.toml", line(&shut.url().replace("http", "https"), "user = \"elastic\"\npassword = \"hush-basic\""));
        put("named.toml", line("X", "").replace("endpoint = \"X\"", "datasource = \"logs\""));
        let logs = sls::job(&logstore, &shut, "test-key", "security_token = \"hush-token\"");
        put("shop.toml", logs.replace("id = \"job\"\n", "").replace("\"test-secret\"", "\"hush-secret\""));
        put("sts.toml", sls::job(&logstore, &shut, "unknown-key-id", "").replace("id = \"job\"\n", ""));
        put("rows.sql", script(&room, &logstore.address().to_string(), nobody));
        let named = "type = \"elasticsearch\"\nuser = \"elastic\"\n";
        room.file(
            "etc/datasources.toml",
            format!("[logs]\nendpoint = \"{nobody}\"\n{named}password = \"hush-named\"\n"),
        );
        let vars = "log_level = \"trace\"\n";
        let more = format!("{vars}http_listen = \"127.0.0.1:{port}\"\n[vars]\npass = \"hush-legacy\"\n");
        let config = Service::config(&room, &more);
        let ctl = Ctl::new(&room.data());
        let answering = vec![shut, forbidding, strange, cutting, echoing];
        Site { room, ctl, config, port, _answering: answering, _logstore: logstore }
    }

    fn serve(&self) -> Service {
        let credentials = self.room.path().join("credentials");
        let environment = [
            ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
            ("SPLASHDAM_TEST_SECRET", "hush-env"),
            ("RUST_BACKTRACE", "full"),
        ];
        let service = Service::start_with(&self.config, &self.room.path().join("serve.log"), &environment);
        wait::holds("it answers", PATIENCE, || self.ctl.answers());
        service
    }

    /// What the port answers.
    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Logs by SQL, in the legacy dialect, with keys written and by a variable.
fn script(room: &Room, logstore: &str, url: &str) -> String {
    format!(
        "-- hush-comment\nCREATE TABLE s (a INT) WITH (type = 'sls', endPoint = 'http://cn-hangzhou.log.aliyuncs.com',\n\
         project = 'test-project', logStore = 'test-logstore', accessId = 'test-key', accessKey = 'hush-secret', source.connect = '{logstore}');\n\
         CREATE TABLE f (a INT) WITH (type = 'file', path = '{}/k.json', format = 'json');\n\
         CREATE TABLE t (a INT, cnt BIGINT, PRIMARY KEY (a)) WITH (\n\
         type = 'elasticsearch', endPoint = '{url}', accessId = 'legacy', accessKey = '${{pass}}', index = 'counts', typeName = '_doc');\n\
         INSERT INTO t SELECT a, COUNT(*) AS cnt FROM (SELECT a FROM s UNION ALL SELECT a FROM f) x GROUP BY a;\n",
        room.logs().display()
    )
}

/// All that can be asked of an agent, but for what needs a terminal.
fn asked(jobs: &[String], to: &Path) -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let mut all: Vec<Vec<String>> = [
        "status",
        "metrics",
        "positions ls",
        "dead-letters ls",
        "flush",
        "pause --all",
        "resume --all",
        "config show",
        "doctor",
        "reload",
        "search logs *",
        "search counts * --job rows",
        "test-connection logs",
        "test-connection nowhere",
        "dead-letters show 1 --pipeline basic",
        "positions reset basic --to beginning --fill --yes",
    ]
    .iter()
    .map(|line| words(line))
    .collect();
    for job in jobs {
        all.push(words(&format!("test-connection {job}")));
        all.push(words(&format!("config show {job}")));
        all.push(words(&format!("search logs * --job {job}")));
    }
    all.push([words("support-bundle --to"), vec![to.display().to_string()]].concat());
    all
}

#[test]
fn no_secret_is_told_by_anything_while_all_connections_fail() {
    let site = Site::new();
    let service = site.serve();
    let jobs: Vec<String> = {
        let status = site.ctl.status();
        status["pipelines"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(jobs.len(), 12, "{jobs:?}: {}", service.log());
    // Until those that are refused have been.
    wait::holds("connections have failed", PATIENCE, || {
        let status = site.ctl.status();
        let failed = |job: &&serde_json::Value| !job["why"].is_null() || !job["last_error"].is_null();
        status["pipelines"].as_array().unwrap().iter().filter(failed).count() >= 8
    });
    let to = site.room.path().join("bundle.tar.gz");
    for command in asked(&jobs, &to) {
        for json in [false, true] {
            if json && command[0] == "support-bundle" {
                continue;
            }
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.extend(json.then_some("--json"));
            let (_, out, err) = site.ctl.try_run(&arguments);
            assert!(!format!("{out}{err}").is_empty(), "{arguments:?} said nothing");
            assert_quiet(&format!("splashctl {}", arguments.join(" ")), &format!("{out}\n{err}"));
        }
    }
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&to).unwrap()).read_to_end(&mut tar).unwrap();
    let tar = String::from_utf8_lossy(&tar);
    assert!(
        tar.contains("splashdam-support/log.txt") && tar.contains("password = \"***\""),
        "the bundle lacks something"
    );
    assert_quiet("the support bundle", &tar);
    for path in
        ["/", "/page.js", "/status", "/metrics", "/healthz", "/dead-letters?pipeline=basic", "/config", "/nowhere"]
    {
        assert_quiet(path, &site.page(path));
    }
    broken(&site);
    let log = service.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG") || log.contains("INFO"), "there is no log: {log}");
    assert_quiet("the log", &log);
    service.stop();
}

/// Files that are broken just where a secret stands: `check` and a reload say so without it.
fn broken(site: &Site) {
    let good = site.room.raw_job("app.log", "http://127.0.0.1:1", "logs", "");
    let lines = [
        "pasword = \"hush\"",
        "password = \"hush",
        "password = hush",
        "password: hush",
        "password = [\"hush\"]",
        "api_key = 5 # hush",
        "bearer_token = \"${hush}\"",
        "bearer_token = \"${file:/nowhere/x}hush\"",
        "headers = { Host = \"hush\" }",
        "headers = \"hush\"",
        "proxy = \"ftp://u:hush@x\"",
        "endpoints = [\"http://u:hush@es:9200\"]",
        "user = \"elastic\", password = \"hush\"",
        "user = \"u\"\npassword = \"hush\"\napi_key = \"hush\"",
        "[vars]\npass = hush",
    ];
    for (number, line) in lines.into_iter().enumerate() {
        let file = site.room.file("broken.toml", format!("{good}{line}\n"));
        let output = Command::new(binaries::splashdam()).arg("check").arg(&file).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains("broken.toml:"), "{line}: {said}");
        assert_quiet(&format!("check of {line:?}"), &said);
        std::fs::copy(&file, site.room.path().join("etc/jobs.d").join(format!("broken-{number}.toml"))).unwrap();
    }
    let sql = [
        ("accessKey = 'hush-secret'", "accesKey = 'hush-secret'"),
        ("accessKey = 'hush-secret'", "accessKey = 'hush-secret"),
        ("accessKey = 'hush-secret'", "accessKey = hush secret"),
        ("accessKey = 'hush-secret'", "accessKey 'hush-secret'"),
        ("accessKey = '${pass}'", "accessKey = '${pas}', password = 'hush'"),
        ("endPoint = 'http://127", "endPoint = 'http://u:hush@127"),
    ];
    let script = std::fs::read_to_string(site.room.path().join("etc/jobs.d/rows.sql")).unwrap();
    for (number, (right, wrong)) in sql.into_iter().enumerate() {
        assert!(script.contains(right), "{right}");
        let file = site.room.file("broken.sql", script.replacen(right, wrong, 1));
        let mut check = Command::new(binaries::splashdam());
        let output = check.args(["check", "--var", "pass=hush-legacy"]).arg(&file).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains("broken.sql"), "{wrong}: {said}");
        assert_quiet(&format!("check of {wrong:?}"), &said);
        std::fs::copy(&file, site.room.path().join("etc/jobs.d").join(format!("broken-{number}.sql"))).unwrap();
    }
    let (well, out, err) = site.ctl.try_run(&["reload"]);
    assert!(!well && err.contains("broken-0.toml"), "{out}{err}");
    assert_quiet("a refused reload", &format!("{out}{err}"));
    assert_quiet("status after it", &site.ctl.run(&["status"]));
    assert_quiet("the page after it", &site.page("/status"));
}
