//! `splashdam serve`: the service. Runs the jobs of a configuration, tells systemd how it is, ends on SIGTERM.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use splashdam_api::words::plural;

use super::run::{Signals, complain, complain_of, failed, start_failed};
use super::{Exit, STOP_WITHIN, summary};
use crate::config::Config;
use crate::pipeline::{Agent, Settings};
use crate::plan::JobPlan;
use crate::{config, control, log};

/// How often systemd's watchdog is fed, if it asks to be.
const FEED: Duration = Duration::from_secs(5);

pub(super) fn serve(path: &Path, begin_anew: Vec<String>) -> Exit {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(problems) => {
            complain(problems);
            if !path.exists() {
                complain("This is about the service; `splashdam run JOB.toml` runs a job without it.");
            }
            return Exit::Problems;
        }
    };
    log::to_stderr(config.log_level);
    // A bad job is named and set aside; the good ones run.
    let (mut plans, problems) = config::load_all(&config);
    complain_of(&problems);
    share_buffer(&mut plans, config.buffer_max_bytes);
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let exit = runtime.block_on(service(&config, plans, begin_anew));
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

/// A limit for all jobs together gives each an equal share, so that none can use up another's.
fn share_buffer(plans: &mut [JobPlan], all: Option<u64>) {
    let Some(all) = all else { return };
    let share = all / (plans.len().max(1) as u64);
    for plan in plans {
        let buffer = plan.buffer_mut();
        buffer.max_bytes = buffer.max_bytes.min(share);
    }
}

async fn service(config: &Config, plans: Vec<JobPlan>, begin_anew: Vec<String>) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    if plans.is_empty() {
        tracing::warn!(jobs_dir = %config.jobs_dir.display(), "there is no job to run: no good *.toml or *.sql lies there");
    }
    summary::announce(&plans, &config.data_dir);
    let settings = Settings {
        data_dir: config.data_dir.clone(),
        durability: config.durability,
        agent_id: config.agent_id.clone(),
        once: false,
        reset_state: false,
        begin_anew,
        datasources: vec![config.datasources.clone()],
    };
    let agent = match tokio::task::block_in_place(|| Agent::start(&settings, plans)) {
        Ok(agent) => Arc::new(agent),
        Err(error) => return start_failed(&error),
    };
    for why in agent.failures() {
        complain(format!("{why}\nThis job is set aside, and all that it has is kept; the others run."));
    }
    let jobs = agent.jobs();
    let (stop_control, stopped) = tokio::sync::watch::channel(false);
    let socket = config.control_socket.clone();
    if let Err(error) = control::serve(&socket, agent.clone(), stopped) {
        return failed(&error);
    }
    tell(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&plural(jobs as u64, "job"))]);
    tracing::info!(jobs, socket = %socket.display(), "running");
    let mut watch = Watch { turns: Vec::new() };
    let failure = loop {
        tokio::select! {
            () = signals.next() => break None,
            () = tokio::time::sleep(FEED) => watch.feed(&agent),
        }
        // Without its store it can do nothing: whoever started it may start it again.
        if let Some(why) = agent.store_failure() {
            break Some(why);
        }
    };
    tell(&[sd_notify::NotifyState::Stopping]);
    stop_control.send_replace(true);
    let stopped = tokio::task::block_in_place(|| agent.stop(STOP_WITHIN));
    match (failure, stopped) {
        (Some(why), _) => {
            complain(why);
            Exit::Store
        }
        (None, Ok(())) => Exit::Ok,
        (None, Err(why)) => failed(&why),
    }
}

/// Feeds the watchdog as long as every ingest loop that has not ended still turns.
struct Watch {
    turns: Vec<Option<u64>>,
}

impl Watch {
    fn feed(&mut self, agent: &Agent) {
        let turns = agent.turns();
        let stuck = turns.iter().zip(&self.turns).any(|(now, before)| now.is_some() && now == before);
        self.turns = turns;
        if !stuck {
            tell(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
