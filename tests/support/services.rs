//! Real servers, started by the scripts in `../shared/services` beside the workspace.
//!
//! They run where `SPLASHDAM_SERVICES=1` is set. What is missing is a loud skip line with its reason; with
//! `CI=true` only what [`MAY_BE_MISSING`] names may be skipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::workspace;

/// What CI may go without, and why.
pub const MAY_BE_MISSING: &[(&str, &str)] = &[("a small disk", "a container may not be allowed to mount one")];

/// True where real servers are asked for; else says on stderr that `test` is skipped.
pub fn wanted(test: &str) -> bool {
    let wanted = std::env::var("SPLASHDAM_SERVICES").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("\nSKIP {test}: needs real servers; set SPLASHDAM_SERVICES=1 (tests/services.sh does)");
    }
    wanted
}

/// Says loudly that `what` is missing.
///
/// # Panics
/// In CI, unless the allow-list names it.
pub fn skip(what: &str, reason: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(may_be_missing(what) || !ci, "{what} is missing in CI: {reason}");
    eprintln!("\nSKIP {what}: {reason}");
}

fn may_be_missing(what: &str) -> bool {
    MAY_BE_MISSING.iter().any(|(name, _)| *name == what)
}

/// One real server; ended when dropped.
#[derive(Debug)]
pub struct Service {
    script: PathBuf,
    port: u16,
    url: String,
    password: Option<String>,
    data: TempDir,
}

impl Service {
    /// Starts `script --version VERSION` with further `arguments`. `None`, after a skip line, if it can't be had.
    pub fn start(script: &str, version: &str, arguments: &[&str]) -> Option<Service> {
        let name = format!("{script} {version}");
        let path = scripts().join(script);
        if !path.exists() {
            skip(&name, &format!("{} is not there", path.display()));
            return None;
        }
        let port = free_port();
        let data = tempfile::Builder::new().prefix("splashdam-service-").tempdir().unwrap();
        let mut command = Command::new(&path);
        command.args(["start", "--version", version, "--port", &port.to_string(), "--data"]).arg(data.path());
        command.args(arguments);
        // To a file, not a pipe: a server that inherits a pipe would keep it open for ever.
        let said = data.path().join("start.log");
        let log = std::fs::File::create(&said).unwrap();
        let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().expect("the script starts");
        let said = std::fs::read_to_string(said).unwrap_or_default();
        if !status.success() {
            skip(&name, said.trim());
            return None;
        }
        let url = said.lines().last().unwrap_or("").trim().to_owned();
        let password = arguments.iter().position(|a| *a == "--password").map(|at| arguments[at + 1].to_owned());
        eprintln!("{name} answers at {url}");
        Some(Service { script: path, port, url, password, data })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its own certificate, where it speaks HTTPS.
    pub fn certificate(&self) -> PathBuf {
        self.data.path().join("config/http.crt")
    }

    /// Calls it; gives the status and the answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-k", "--max-time", "60", "-X", method, "-w", "\n%{http_code}"]);
        curl.args(["-H", "Content-Type: application/json"]);
        if let Some(password) = &self.password {
            curl.args(["-u", &format!("elastic:{password}")]);
        }
        if !body.is_empty() {
            curl.args(["--data-binary", body]);
        }
        let output: Output = curl.arg(format!("{}{path}", self.url)).output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{method} {path}: {}", String::from_utf8_lossy(&output.stderr));
        let (answer, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a status"), serde_json::from_str(answer).unwrap_or(Value::Null))
    }

    /// Calls it, which must go well.
    pub fn must(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Documents in `index`, counted after a refresh; 0 where there is none.
    pub fn count(&self, index: &str) -> u64 {
        let (status, _) = self.call("POST", &format!("/{index}/_refresh"), "");
        if status >= 400 {
            return 0;
        }
        let (_, answer) = self.call("GET", &format!("/{index}/_count"), "");
        answer["count"].as_u64().unwrap_or(0)
    }

    /// Up to 10,000 documents of `index`.
    pub fn documents(&self, index: &str) -> Vec<Value> {
        self.call("POST", &format!("/{index}/_refresh"), "");
        let answer = self.must("GET", &format!("/{index}/_search?size=10000"), "");
        answer["hits"]["hits"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut stop = Command::new(&self.script);
        stop.args(["stop", "--port", &self.port.to_string(), "--data"]).arg(self.data.path());
        let stopped = stop.output();
        if !stopped.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("{} did not stop: {stopped:?}", self.script.display());
        }
    }
}

/// The scripts' folder: `SPLASHDAM_SERVICE_SCRIPTS`, else beside the workspace.
pub fn scripts() -> PathBuf {
    match std::env::var_os("SPLASHDAM_SERVICE_SCRIPTS") {
        Some(folder) => folder.into(),
        None => workspace().parent().unwrap_or(Path::new("/")).join("shared/services"),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
