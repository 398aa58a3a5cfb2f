//! `splashdam run JOB…`: jobs in the foreground, with a progress line on a terminal.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Exit, STOP_WITHIN};
use crate::config::{self, LogLevel};
use crate::control;
use crate::log;
use crate::pipeline::{Agent, Progress, Settings, StartError};
use crate::plan::{Durability, Plan};
use crate::store::StoreError;

/// How often the end of bounded sources is looked for, and that of the others, which only fail.
const LOOK: Duration = Duration::from_millis(25);
const RARE_LOOK: Duration = Duration::from_millis(500);
const PROGRESS: Duration = Duration::from_millis(500);

pub(super) fn run(jobs: &[PathBuf], data_dir: Option<PathBuf>, once: bool) -> Exit {
    log::to_stderr(LogLevel::Info);
    let plans = match config::load_files(jobs) {
        Ok(plans) => plans,
        Err(problems) => {
            complain(problems);
            return Exit::Problems;
        }
    };
    let Some(data_dir) = data_dir.or_else(|| default_data_dir(&plans)) else {
        complain("neither --data-dir nor $XDG_STATE_HOME nor $HOME says where to keep positions");
        return Exit::Usage;
    };
    let settings = Settings { data_dir, durability: Durability::Group, agent_id: None, once };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("can't start: {error}"));
            return Exit::Failed;
        }
    };
    let exit = runtime.block_on(foreground(settings, plans));
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

async fn foreground(settings: Settings, plans: Vec<Plan>) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let once = settings.once;
    let socket = settings.data_dir.join("control.sock");
    let agent = match tokio::task::block_in_place(|| Agent::start(&settings, plans)) {
        Ok(agent) => Arc::new(agent),
        Err(error) => return start_failed(&error),
    };
    let (stop_control, stopped) = tokio::sync::watch::channel(false);
    if let Err(error) = control::serve(&socket, agent.clone(), stopped) {
        tracing::warn!(%error, "no control socket: splashctl can't reach this agent");
    }
    let mut line = ProgressLine::new(once);
    let look = if agent.is_bounded() { LOOK } else { RARE_LOOK };
    let exit = loop {
        tokio::select! {
            () = signals.next() => break if once { Exit::Interrupted } else { Exit::Ok },
            () = tokio::time::sleep(look) => {}
        }
        line.show(&agent);
        let failures = agent.failures();
        if !failures.is_empty() {
            failures.iter().for_each(complain);
            break Exit::Failed;
        }
        if agent.finished() {
            break ended(&agent.unreadable());
        }
    };
    line.end(&agent);
    stop_control.send_replace(true);
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(Exit::Failed as i32); // asked twice: at once
    });
    if let Err(why) = tokio::task::block_in_place(|| agent.stop(STOP_WITHIN)) {
        complain(why);
    }
    complain(last_words(&agent.progress(), exit, &settings.data_dir));
    exit
}

/// The end of a bounded run; what it could not read is named.
fn ended(unreadable: &[PathBuf]) -> Exit {
    unreadable.iter().for_each(|path| complain(format!("{} could not be read", path.display())));
    if unreadable.is_empty() { Exit::Ok } else { Exit::Problems }
}

/// What a run leaves behind, in one line.
fn last_words(progress: &Progress, exit: Exit, data_dir: &Path) -> String {
    let how = if exit == Exit::Interrupted { "interrupted: " } else { "" };
    let owed = match progress.owed {
        0 => "nothing owed".to_owned(),
        owed => format!("{owed} owed and kept in {}", data_dir.display()),
    };
    format!(
        "{how}{} records read, {} acknowledged, {} dead letters, {owed}",
        progress.records, progress.acknowledged, progress.dead_letters
    )
}

/// SIGINT and SIGTERM.
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The exit code and message for an agent that did not start.
pub(super) fn start_failed(error: &StartError) -> Exit {
    complain(error);
    match error {
        StartError::Store(StoreError::Locked(_)) => Exit::Locked,
        StartError::Store(_) => Exit::Store,
        StartError::Source { .. } | StartError::Thread(_) => Exit::Failed,
    }
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Exit {
    complain(error);
    Exit::Failed
}

pub(super) fn complain(text: impl std::fmt::Display) {
    // Nobody is left to be told if stderr is gone.
    drop(writeln!(std::io::stderr(), "{}", text.to_string().trim_end()));
}

/// `$XDG_STATE_HOME/splashdam/JOB-ID` (several jobs: their ids joined by `+`).
fn default_data_dir(plans: &[Plan]) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let ids: Vec<&str> = plans.iter().map(|plan| plan.id.as_str()).collect();
    Some(Path::new(&base).join("splashdam").join(ids.join("+")))
}

/// One line on a terminal, written over itself; nothing elsewhere.
struct ProgressLine {
    shown: Option<(Instant, u64)>,
    enabled: bool,
    once: bool,
    rate: u64,
}

impl ProgressLine {
    fn new(once: bool) -> ProgressLine {
        ProgressLine { shown: None, enabled: std::io::stderr().is_terminal(), once, rate: 0 }
    }

    fn show(&mut self, agent: &Agent) {
        let now = Instant::now();
        let due = self.shown.is_none_or(|(at, _)| now.duration_since(at) >= PROGRESS);
        if !self.enabled || !due {
            return;
        }
        let progress = agent.progress();
        if let Some((at, records)) = self.shown {
            self.rate = (progress.records.saturating_sub(records) as f64 / now.duration_since(at).as_secs_f64()) as u64;
        }
        self.shown = Some((now, progress.records));
        let text = self.text(&progress);
        drop(write!(std::io::stderr(), "\r\x1b[2K{text}").and_then(|()| std::io::stderr().flush()));
    }

    fn text(&self, p: &Progress) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let read = if self.once {
            format!("read {:.1} of {:.1} MiB", mib(p.read), mib(p.total))
        } else {
            format!("read {:.1} MiB, {:.1} to go", mib(p.read), mib(p.total.saturating_sub(p.read)))
        };
        let dead = if p.dead_letters > 0 { format!(" · {} dead letters", p.dead_letters) } else { String::new() };
        format!("{read} · {} lines/s · {} owed · {} acknowledged{dead}", self.rate, p.owed, p.acknowledged)
    }

    fn end(&mut self, agent: &Agent) {
        if self.enabled {
            self.shown = None;
            self.show(agent);
            drop(writeln!(std::io::stderr()));
        }
    }
}
