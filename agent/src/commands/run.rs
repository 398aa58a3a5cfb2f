//! `splashdam run JOB…`: jobs in the foreground, with a progress line on a terminal.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use splashdam_api::words::{bytes, count, plural};

use super::progress::ProgressLine;
use super::{Exit, STOP_WITHIN, summary};
use crate::config::{self, LogLevel};
use crate::control;
use crate::job::{Datasources, Files, Problems, Vars};
use crate::log;
use crate::pipeline::{Agent, Progress, Settings, StartError};
use crate::plan::{Durability, JobPlan, SourcePlan};
use crate::source::file::matches;
use crate::store::StoreError;

/// How often the end of bounded sources is looked for, and that of the others, which only fail.
const LOOK: Duration = Duration::from_millis(25);
const RARE_LOOK: Duration = Duration::from_millis(500);

/// What the command line says of a run.
pub(super) struct How {
    pub(super) once: bool,
    pub(super) reset_state: bool,
    pub(super) begin_anew: Vec<String>,
    pub(super) vars: Vars,
}

pub(super) fn run(files: &[PathBuf], data_dir: Option<PathBuf>, how: How) -> Exit {
    let How { once, reset_state, begin_anew, vars } = how;
    log::to_stderr(LogLevel::Info);
    let jobs = match config::load_files(files, &vars) {
        Ok((jobs, warnings)) => {
            complain_of(&warnings);
            jobs
        }
        Err(problems) => {
            complain(problems);
            return Exit::Problems;
        }
    };
    let Some(data_dir) = data_dir.or_else(|| default_data_dir(&jobs)) else {
        complain("neither --data-dir nor $XDG_STATE_HOME nor $HOME says where to keep positions");
        return Exit::Usage;
    };
    // What is said of it is to be found from elsewhere, too.
    let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
    let beside: BTreeSet<PathBuf> = files.iter().map(|file| Datasources::beside(file)).collect();
    let settings = Settings {
        data_dir,
        durability: Durability::Group,
        agent_id: None,
        once,
        reset_state,
        service: false,
        begin_anew,
        datasources: beside.into_iter().collect(),
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("can't start: {error}"));
            return Exit::Failed;
        }
    };
    let files = config::files_of_jobs(files, &jobs);
    let exit = runtime.block_on(foreground(settings, jobs, files));
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

async fn foreground(settings: Settings, jobs: Vec<JobPlan>, files: Files) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let once = settings.once;
    let socket = settings.data_dir.join("control.sock");
    summary::announce(&jobs, &settings.data_dir);
    let sources: Vec<SourcePlan> = jobs.iter().flat_map(JobPlan::sources).cloned().collect();
    let agent = match tokio::task::block_in_place(|| Agent::start(&settings, jobs)) {
        Ok(agent) => Arc::new(agent),
        Err(error) => return start_failed(&error),
    };
    agent.configured(files);
    let (stop_control, stopped) = tokio::sync::watch::channel(false);
    if let Err(error) = control::serve(&socket, agent.clone(), stopped) {
        tracing::warn!(%error, "no control socket: splashctl can't reach this agent");
    }
    let mut told = Vec::new();
    let ends = |source: &SourcePlan| matches!(source, SourcePlan::Sls(plan) if plan.ends);
    let mut line = ProgressLine::new(once || sources.iter().all(ends));
    let look = if agent.is_bounded() { LOOK } else { RARE_LOOK };
    let exit = loop {
        complain_of_failures(&agent, &mut told);
        tokio::select! {
            () = signals.next() => break interrupted(agent.is_bounded(), agent.failures().is_empty()),
            () = tokio::time::sleep(look) => {}
        }
        line.show(&agent);
        if let Some(why) = agent.store_failure() {
            complain(why);
            break Exit::Store;
        }
        if agent.finished() {
            let held = agent.held();
            held.iter().for_each(complain);
            let exit = tokio::task::block_in_place(|| told_unreadable(&sources));
            let stuck = agent.stuck();
            stuck.iter().for_each(complain);
            break match held.is_empty() && agent.failures().is_empty() {
                true if stuck.is_empty() => exit,
                true => Exit::StateFull,
                false => Exit::Failed,
            };
        }
    };
    line.end(&agent);
    complain_of_failures(&agent, &mut told);
    stop_control.send_replace(true);
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(Exit::Failed as i32); // asked twice: at once
    });
    if let Err(why) = tokio::task::block_in_place(|| agent.stop(STOP_WITHIN)) {
        complain(why);
    }
    complain(last_words(&agent.progress(), agent.is_bounded(), exit, &settings.data_dir));
    exit
}

/// Says which jobs have failed, each once; the others go on.
fn complain_of_failures(agent: &Agent, told: &mut Vec<String>) {
    for why in agent.failures() {
        if !told.contains(&why) {
            complain(&why);
            told.push(why);
        }
    }
}

/// How a run ends that is told to.
fn interrupted(bounded: bool, well: bool) -> Exit {
    match (bounded, well) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Ok,
        (false, false) => Exit::Failed,
    }
}

/// How a run to the end of all files has ended, once it has: not well if there are files that it can't open.
fn told_unreadable(sources: &[SourcePlan]) -> Exit {
    let mut exit = Exit::Ok;
    for source in sources {
        let SourcePlan::File(files) = source else { continue };
        for missed in files.paths.iter().flat_map(|path| matches::look(path, &files.exclude).missed(path)) {
            complain(format!("not read: {missed}"));
            exit = Exit::Failed;
        }
    }
    exit
}

/// What a run leaves behind, in one line.
fn last_words(progress: &Progress, bounded: bool, exit: Exit, data_dir: &Path) -> String {
    let how = if exit == Exit::Interrupted { "interrupted: " } else { "" };
    let owed = match progress.owed {
        0 => "nothing owed".to_owned(),
        owed if exit != Exit::Store => format!("{} owed and kept in {}", count(owed), data_dir.display()),
        owed => format!("{} were owed", count(owed)),
    };
    // Of a run that was to reach the end, it is also told how far that was.
    let unread = match progress.total.saturating_sub(progress.read) {
        unread if bounded && unread > 0 => format!(", {} not read yet", bytes(unread)),
        _ => String::new(),
    };
    let (read, dead) = (plural(progress.records, "record"), plural(progress.dead_letters, "dead letter"));
    let late = match progress.late_before {
        0 => "came late".to_owned(),
        before => format!("came late ({} since the state began)", count(before + progress.late)),
    };
    let lost = [
        (progress.late, late.as_str()),
        (progress.null, "had NULL for a time or a key"),
        (progress.dropped, "dropped"),
    ];
    let lost = lost.iter().filter(|(number, _)| *number > 0).map(|(number, how)| format!(", {} {how}", count(*number)));
    let lost: String = lost.collect();
    format!("{how}{read} read, {} acknowledged, {dead}{lost}, {owed}{unread}", count(progress.acknowledged))
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
    if let StartError::Store(StoreError::Io { .. }) = error {
        complain(format!("the data directory can't be used: {error}"));
    } else {
        complain(error);
    }
    match error {
        StartError::Store(StoreError::Locked(_)) => Exit::Locked,
        StartError::Store(StoreError::Newer { .. }) => Exit::Newer,
        StartError::Store(_) => Exit::Store,
        StartError::NoJob(_) => Exit::Usage,
        StartError::Remembered { .. }
        | StartError::Source { .. }
        | StartError::Query { .. }
        | StartError::Thread(_) => Exit::Failed,
    }
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Exit {
    complain(error);
    Exit::Failed
}

/// The job of a file, and what is worth a warning said; or the exit code of a command that can't go on.
pub(super) fn one_job(path: &Path, vars: &Vars) -> Result<JobPlan, Exit> {
    match config::load_files(&[path.to_owned()], vars) {
        Ok((mut jobs, warnings)) if jobs.len() == 1 => {
            complain_of(&warnings);
            Ok(jobs.remove(0))
        }
        Ok(_) => Err(failed(&"one job at a time")),
        Err(problems) => {
            complain(problems);
            Err(Exit::Problems)
        }
    }
}

/// Says warnings, if there are any.
pub(super) fn complain_of(warnings: &Problems) {
    if !warnings.is_empty() {
        complain(warnings);
    }
}

pub(super) fn complain(text: impl std::fmt::Display) {
    log::say(text.to_string().trim_end());
}

/// `$XDG_STATE_HOME/splashdam/JOB-ID` (several jobs: their ids joined by `+`).
fn default_data_dir(jobs: &[JobPlan]) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let ids: Vec<&str> = jobs.iter().map(JobPlan::id).collect();
    Some(Path::new(&base).join("splashdam").join(ids.join("+")))
}
