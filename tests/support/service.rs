//! `splashdam serve` on a configuration, as an init system starts it. It is ended when the test is over.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::agent::Room;
use crate::{binaries, process};

/// A running service.
#[derive(Debug)]
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it; what it says goes to `log`.
    pub fn start(config: &Path, log: &Path) -> Service {
        Service::start_with(config, log, &[])
    }

    /// The same with further variables in its environment.
    pub fn start_with(config: &Path, log: &Path, environment: &[(&str, &str)]) -> Service {
        let file = std::fs::File::create(log).unwrap();
        let mut serve = Command::new(binaries::splashdam());
        serve.args(["serve", "--config"]).arg(config).stdin(Stdio::null()).envs(environment.iter().copied());
        let child = serve.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Service { child, log: log.to_owned() }
    }

    /// A `splashdam.toml` in the room's `etc`, with data and control socket in its data folder, and `more`.
    pub fn config(room: &Room, more: &str) -> PathBuf {
        let data = room.data();
        let text = format!("data_dir = \"{}\"\ncontrol_socket = \"{0}/control.sock\"\n{more}", data.display());
        std::fs::create_dir_all(room.path().join("etc/jobs.d")).unwrap();
        room.file("etc/splashdam.toml", text)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn runs(&self) -> bool {
        !process::ended(self.pid())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).expect("a pid"), signal).unwrap();
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// SIGTERM, which must end it well.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            tail.iter().rev().for_each(|line| eprintln!("    {line}"));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
