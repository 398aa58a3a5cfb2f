//! `splashctl` against a running agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binaries;

#[derive(Clone, Debug)]
pub struct Ctl {
    data: PathBuf,
}

impl Ctl {
    pub fn new(data: &Path) -> Ctl {
        Ctl { data: data.to_owned() }
    }

    /// Runs it; gives whether it ended well, stdout, stderr.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(binaries::splashctl());
        command.arg("--data-dir").arg(&self.data).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("splashctl starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs it, which must end well; gives stdout.
    pub fn run(&self, arguments: &[&str]) -> String {
        let (well, stdout, stderr) = self.try_run(arguments);
        assert!(well, "splashctl {arguments:?} failed: {stdout}{stderr}");
        stdout
    }

    /// Runs it and reads its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("splashctl {arguments:?}: {error}: {text}"))
    }

    pub fn answers(&self) -> bool {
        self.try_run(&["status", "--json"]).0
    }

    pub fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    /// The metric `splashdam_NAME` summed over all pipelines; 0 where it is missing.
    pub fn metric(&self, name: &str) -> u64 {
        self.try_metric(name).unwrap_or(0)
    }

    /// The same; `None` while the agent does not answer.
    pub fn try_metric(&self, name: &str) -> Option<u64> {
        let (well, text, _) = self.try_run(&["metrics"]);
        let full = format!("splashdam_{name}");
        well.then(|| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let ours = lines.filter(|line| line.split(['{', ' ']).next() == Some(&full));
            ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
        })
    }

    /// All dead letters.
    pub fn dead_letters(&self) -> Vec<Value> {
        match self.json(&["dead-letters", "ls", "--limit", "1000000", "--json"]) {
            Value::Array(list) => list,
            other => panic!("no list of dead letters: {other}"),
        }
    }

    /// A number of the first pipeline's status, `None` while the agent does not answer.
    pub fn number(&self, name: &str) -> Option<u64> {
        let (well, text, _) = self.try_run(&["status", "--json"]);
        let status: Value = serde_json::from_str(&text).ok().filter(|_| well)?;
        status["pipelines"][0][name].as_u64()
    }

    /// The first pipeline's state, as one word; empty while the agent does not answer.
    pub fn state(&self) -> String {
        let (well, text, _) = self.try_run(&["status", "--json"]);
        let status: Value = if well { serde_json::from_str(&text).unwrap_or_default() } else { Value::Null };
        status["pipelines"][0]["state"].as_str().unwrap_or("").to_owned()
    }

    /// Indices of the first pipeline that are parked.
    pub fn parked(&self) -> Vec<String> {
        let status = self.status();
        let lanes = status["pipelines"][0]["parked"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = lanes.iter().filter_map(|lane| Some(lane["index"].as_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// Commits, retries what is parked, waits for acknowledgements. Something may still be owed afterwards.
    pub fn flush(&self) {
        self.try_run(&["flush"]);
    }
}
