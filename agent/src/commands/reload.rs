//! A reload of the service: its configuration and jobs are read again and taken up, or refused as a whole.
//!
//! Promises: with an error in any of the files nothing changes, and who asked is told all of them with file, line and
//! key. One reload at a time; the service goes on meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use splashdam_api::Reloaded;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::serve::share_buffer;
use crate::config::{self, Config};
use crate::job::Files;
use crate::pipeline::{Agent, Asking};
use crate::plan::JobPlan;

/// Answers SIGHUP and all who ask over the control socket, until it is aborted or the agent is gone.
///
/// # Errors
/// If the signal can't be had.
pub(super) fn answer(path: &Path, config: &Config, agent: &Arc<Agent>) -> std::io::Result<JoinHandle<()>> {
    let hangup = signal(SignalKind::hangup())?;
    let taken = agent.take_reloads().ok_or_else(|| std::io::Error::other("reloads are answered already"))?;
    let reloader = Reloader { path: path.to_owned(), booted: config.clone(), agent: agent.clone() };
    Ok(tokio::spawn(reloader.run(hangup, taken)))
}

#[derive(Clone)]
struct Reloader {
    path: PathBuf,
    /// What the service was started with.
    booted: Config,
    agent: Arc<Agent>,
}

impl Reloader {
    async fn run(self, mut hangup: Signal, mut asked: mpsc::Receiver<Asking>) {
        loop {
            let asking = tokio::select! {
                Some(()) = hangup.recv() => None,
                Some(asking) = asked.recv() => Some(asking),
                else => return,
            };
            let work = self.clone();
            let result =
                tokio::task::spawn_blocking(move || work.reload()).await.unwrap_or_else(|e| Err(e.to_string()));
            told(&result);
            if asking.is_some_and(|asking| asking.send(result).is_err()) {
                tracing::debug!("who asked for the reload is gone");
            }
        }
    }

    fn reload(&self) -> Result<Reloaded, String> {
        let refused = |why: String| {
            self.agent.refuse_reload(&why);
            why.trim_end().to_owned()
        };
        let config = Config::load(&self.path).map_err(|problems| refused(problems.to_string()))?;
        let (found, problems) = config::load_all(&config);
        if problems.has_errors() {
            return Err(refused(problems.to_string()));
        }
        let mut files = config::files_of(&self.path, &config, &found, &problems);
        self.keep_what_waits(&config, &mut files);
        let mut plans: Vec<JobPlan> = found.into_iter().filter_map(|found| found.plan).collect();
        share_buffer(&mut plans, config.buffer_max_bytes);
        let mut reloaded = self.agent.reload(plans)?;
        let failed: Vec<&str> = reloaded.failed.iter().map(|job| job.id.as_str()).collect();
        self.agent.configured_anew(files, &failed);
        reloaded.warnings.extend(problems.to_string().lines().map(str::to_owned));
        reloaded.warnings.extend(self.for_a_restart(&config));
        Ok(reloaded)
    }

    /// Settings that have changed and are read at a start only.
    fn waiting(&self, now: &Config) -> Vec<&'static str> {
        let booted = &self.booted;
        let changed = [
            ("data_dir", booted.data_dir != now.data_dir),
            ("agent_id", booted.agent_id != now.agent_id),
            ("durability", booted.durability != now.durability),
            ("control_socket", booted.control_socket != now.control_socket),
            ("http_listen", booted.http_listen != now.http_listen),
            ("log_level", booted.log_level != now.log_level),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }

    fn for_a_restart(&self, now: &Config) -> Option<String> {
        let (file, names) = (self.path.display(), self.waiting(now).join(", "));
        (!names.is_empty()).then(|| format!("{file}: warning: what changed in {names} waits for a restart"))
    }

    /// What is shown is what holds.
    fn keep_what_waits(&self, now: &Config, files: &mut Files) {
        let waiting = self.waiting(now);
        if let Some((written, held)) = &mut files.service {
            written.settings.retain(|(key, _)| !waiting.contains(&key.as_str()));
            held.retain(|(key, _)| !waiting.contains(key));
            held.extend(self.booted.in_words().into_iter().filter(|(key, _)| waiting.contains(key)));
        }
    }
}

/// The journal hears of every reload.
fn told(result: &Result<Reloaded, String>) {
    let reloaded = match result {
        Ok(reloaded) => reloaded,
        Err(why) => return tracing::error!("the reload is refused, and all runs on as before:\n{why}"),
    };
    for warning in &reloaded.warnings {
        tracing::warn!("{warning}");
    }
    for job in &reloaded.failed {
        tracing::error!(job = %job.id, "{}", job.why);
    }
    let Reloaded { unchanged, started, changed, stopped, .. } = reloaded;
    let list = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    let (started, changed, stopped) = (list(started), list(changed), list(stopped));
    tracing::info!(%started, %changed, %stopped, unchanged = unchanged.len(), "reloaded");
}
