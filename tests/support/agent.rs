//! The real agent in a fresh folder. It is killed when the test is over; if the test failed, what it said on
//! stderr is shown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ctl::Ctl;
use crate::{binaries, process, wait};

/// How long an agent may take for what should be quick, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A fresh folder with room for logs, jobs and the agent's data.
#[derive(Debug)]
pub struct Room {
    folder: TempDir,
}

impl Room {
    pub fn new() -> Room {
        Room { folder: tempfile::Builder::new().prefix("splashdam-").tempdir().expect("a fresh folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder `logs`, made on first use.
    pub fn logs(&self) -> PathBuf {
        let logs = self.path().join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        logs
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes `text` into the room's file `name`.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// An agent for the job `toml`, not yet started.
    pub fn agent(&self, toml: &str) -> Agent {
        let job = self.file("job.toml", toml);
        Agent::new(self, &[job])
    }

    /// A short job: all of `logs/PATTERN`, raw, into `index` at `url`; `more` is appended as it stands.
    pub fn raw_job(&self, pattern: &str, url: &str, index: &str, more: &str) -> String {
        format!(
            "[source]\ntype = \"file\"\npaths = [\"{}/{pattern}\"]\n\n[decode]\nformat = \"raw\"\n\n\
             [sink]\ntype = \"elasticsearch\"\nendpoint = \"{url}\"\nindex = \"{index}\"\n{more}\n",
            self.logs().display()
        )
    }
}

impl Default for Room {
    fn default() -> Room {
        Room::new()
    }
}

/// `splashdam run JOB… --data-dir D`, over and over.
#[derive(Debug)]
pub struct Agent {
    jobs: Vec<PathBuf>,
    data: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Option<PathBuf>,
    child: Option<Child>,
    runs: u32,
}

impl Agent {
    pub fn new(room: &Room, jobs: &[PathBuf]) -> Agent {
        Agent {
            jobs: jobs.to_vec(),
            data: room.data(),
            folder: room.path().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
            child: None,
            runs: 0,
        }
    }

    /// Further arguments of `run`.
    pub fn with(mut self, arguments: &[&str]) -> Agent {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Agent {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it reads as standard input.
    pub fn stdin(mut self, file: PathBuf) -> Agent {
        self.stdin = Some(file);
        self
    }

    /// Keeps its data in another folder than the room's own.
    pub fn data_dir(mut self, data: PathBuf) -> Agent {
        self.data = data;
        self
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn ctl(&self) -> Ctl {
        Ctl::new(&self.data)
    }

    /// Starts it; returns at once.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.runs += 1;
        let mut command = self.command(&[]);
        let log = File::create(self.log_path()).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("the agent starts"));
    }

    /// Starts it and waits until it answers on its control socket. Gives the time that took.
    pub fn start_ready(&mut self) -> Duration {
        let begin = Instant::now();
        self.start();
        wait::holds("the agent answers on its control socket", PATIENCE, || {
            assert!(!process::ended(self.pid()), "the agent ended at its start:\n{}", self.log());
            self.ctl().answers()
        });
        begin.elapsed()
    }

    /// `run … --once` to its end.
    pub fn once(&mut self) -> Output {
        assert!(self.child.is_none(), "it runs already");
        self.runs += 1;
        let output = self.command(&["--once"]).output().expect("the agent starts");
        std::fs::write(self.log_path(), &output.stderr).unwrap();
        output
    }

    /// `run … --once`, which must end well.
    pub fn once_well(&mut self) {
        let output = self.once();
        assert!(output.status.success(), "{:?}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(binaries::splashdam());
        command.arg("run").args(&self.jobs).arg("--data-dir").arg(&self.data).args(&self.arguments).args(more);
        command.current_dir(&self.folder).envs(self.environment.iter().map(|(k, v)| (k, v)));
        match &self.stdin {
            Some(file) => command.stdin(File::open(file).unwrap()),
            None => command.stdin(Stdio::null()),
        };
        command
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the agent runs").id()
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.runs
    }

    pub fn runs(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !process::ended(child.id()))
    }

    /// Kills it at this very instant, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a pid");
        kill_process(pid, signal).unwrap();
    }

    /// Stops the process without ending it, and lets it go on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM; gives the exit status and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.end_by(Signal::TERM)
    }

    /// SIGINT, as Ctrl-C sends it.
    pub fn interrupt(&mut self) -> (ExitStatus, Duration) {
        self.end_by(Signal::INT)
    }

    fn end_by(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        self.signal(signal);
        let status = self.wait(PATIENCE);
        (status, begin.elapsed())
    }

    /// SIGTERM, which must end it well.
    pub fn stop(&mut self) {
        let (status, _) = self.terminate();
        assert!(status.success(), "{status:?}:\n{}", self.log());
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("the agent runs");
        let status = wait::until("the agent ends", limit, || child.try_wait().unwrap());
        self.child = None;
        status
    }

    /// Everything it said in its latest run.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("agent-{}.log", self.runs))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.child.is_some() && self.runs() {
                eprintln!("--- status: {}", self.ctl().try_run(&["status", "--json"]).1);
            }
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the agent's last words (run {}):", self.runs);
            tail.iter().rev().for_each(|line| eprintln!("    {line}"));
        }
        self.kill();
    }
}
