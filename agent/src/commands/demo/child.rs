//! The agent of a demo: a child process, killed without warning and started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::cluster::PASSWORD;

/// How often an ending process is looked at.
const TICK: Duration = Duration::from_millis(20);

/// So many lines of its log are shown when it ends by itself.
const LAST_WORDS: usize = 15;

/// A running `splashdam run JOB`. Killed when dropped.
pub(super) struct Child {
    process: std::process::Child,
    command: Command,
    log: PathBuf,
}

impl Child {
    /// Its data go to `folder/data`, what it says to `folder/agent.log`. The job takes `password` from the environment.
    pub(super) fn start(program: &Path, job: &Path, folder: &Path, password: Option<&str>) -> anyhow::Result<Child> {
        let log = folder.join("agent.log");
        let said = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.arg("run").arg(job).arg("--data-dir").arg(folder.join("data"));
        command.envs(password.map(|password| (PASSWORD, password)));
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let process = spawn(&mut command)?;
        Ok(Child { process, command, log })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// SIGKILL, and at once a new process on the same data.
    pub(super) fn kill_and_start(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(&mut self.command)?;
        Ok(())
    }

    /// # Errors
    /// It ended by itself; the message has its last words.
    pub(super) fn must_live(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait()? else { return Ok(()) };
        bail!("the agent ended by itself ({status}); its log {} ends with:\n{}", self.log.display(), self.last_words())
    }

    /// SIGTERM, and its end within `within`.
    ///
    /// # Errors
    /// It took longer (then it was killed), or it ended with an error.
    pub(super) async fn stop(&mut self, within: Duration) -> anyhow::Result<()> {
        let id = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.context("the agent has no process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while began.elapsed() < within {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the agent was asked to end and did so with {status}:\n{}", self.last_words()),
                None => tokio::time::sleep(TICK).await,
            }
        }
        self.process.kill()?;
        bail!("the agent had not ended {} s after SIGTERM and was killed", within.as_secs())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<std::process::Child> {
    command.spawn().with_context(|| format!("the agent {} can't be started", command.get_program().display()))
}

#[cfg(test)]
mod tests {

    use super::*;

    /// A stand-in for the agent: a shell script that is run with the agent's arguments.
    fn script(folder: &Path, text: &str) -> PathBuf {
        let (draft, path) = (folder.join("draft"), folder.join("agent"));
        std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
        // By a process of its own: what this one has open for writing, and any child that it makes meanwhile, can't be run.
        let made = std::process::Command::new("install").args(["-m", "755"]).args([&draft, &path]).status();
        assert!(made.unwrap().success());
        path
    }

    fn wait_for(mut happened: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happened() {
            assert!(Instant::now() < deadline, "waited too long");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn said(child: &Child) -> String {
        std::fs::read_to_string(child.log()).unwrap()
    }

    #[test]
    fn a_killed_agent_is_started_again_on_the_same_data() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "echo $* $SPLASHDAM_PASSWORD; exec sleep 60");
        let mut child = Child::start(&program, Path::new("j.toml"), folder.path(), Some("hush")).unwrap();
        wait_for(|| said(&child).lines().count() == 1);
        let first = child.id();
        child.kill_and_start().unwrap();
        wait_for(|| said(&child).lines().count() == 2);
        assert_ne!(child.id(), first);
        let want = format!("run j.toml --data-dir {}/data hush", folder.path().display());
        assert!(said(&child).lines().all(|line| line == want), "{}", said(&child));
        child.must_live().unwrap();
    }

    #[test]
    fn an_agent_that_ends_by_itself_is_noticed_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "echo no such option >&2; exit 2");
        let mut child = Child::start(&program, Path::new("j.toml"), folder.path(), None).unwrap();
        let mut error = None;
        wait_for(|| {
            error = child.must_live().err();
            error.is_some()
        });
        let text = error.unwrap().to_string();
        assert!(text.contains("exit status: 2") && text.ends_with("no such option"), "{text}");
    }

    #[tokio::test]
    async fn an_agent_that_will_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        let mut child = Child::start(&program, Path::new("j.toml"), folder.path(), None).unwrap();
        wait_for(|| said(&child).contains("ready"));
        let error = child.stop(Duration::from_millis(200)).await.unwrap_err();
        assert!(error.to_string().contains("was killed"), "{error}");
    }
}
