//! `splashdam serve`: the service. Runs the jobs of a configuration, reads them again when told to (`reload`), tells
//! systemd how it is, ends on SIGTERM.
//!
//! Promises: systemd hears that it is ready when the pipelines run, its watchdog is fed while they move, and a line
//! says how they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::run::{Signals, complain, complain_of, failed, start_failed};
use super::watchdog::Watchdog;
use super::{Exit, STOP_WITHIN, reload, status_line, summary};
use crate::config::Config;
use crate::job::Files;
use crate::pipeline::{Agent, Settings};
use crate::plan::JobPlan;
use crate::{config, control, log};

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
    let (found, problems) = config::load_all(&config);
    complain_of(&problems);
    let files = config::files_of(path, &config, &found, &problems);
    let mut plans: Vec<JobPlan> = found.into_iter().filter_map(|found| found.plan).collect();
    share_buffer(&mut plans, config.buffer_max_bytes);
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let exit = runtime.block_on(service(path, &config, (plans, files), begin_anew));
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

/// A limit for all jobs together gives each an equal share, so that none can use up another's.
pub(super) fn share_buffer(plans: &mut [JobPlan], all: Option<u64>) {
    let Some(all) = all else { return };
    let share = all / (plans.len().max(1) as u64);
    for plan in plans {
        let buffer = plan.buffer_mut();
        buffer.max_bytes = buffer.max_bytes.min(share);
    }
}

async fn service(path: &Path, config: &Config, (plans, files): (Vec<JobPlan>, Files), begin_anew: Vec<String>) -> Exit {
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
        service: true,
        begin_anew,
        datasources: vec![config.datasources.clone()],
    };
    let agent = match tokio::task::block_in_place(|| Agent::start(&settings, plans)) {
        Ok(agent) => Arc::new(agent),
        Err(error) => return start_failed(&error),
    };
    agent.configured(files);
    for why in agent.failures() {
        complain(format!("{why}\nThis job is set aside, and all that it has is kept; the others run."));
    }
    let jobs = agent.jobs();
    let reloads = match reload::answer(path, config, &agent) {
        Ok(reloads) => reloads,
        Err(error) => return failed(&error),
    };
    let (stop_control, stopped) = tokio::sync::watch::channel(false);
    let socket = config.control_socket.clone();
    if let Err(error) = control::serve(&socket, agent.clone(), stopped) {
        return failed(&error);
    }
    if let Some(address) = config.http_listen {
        match control::look(address, agent.clone(), stop_control.subscribe()).await {
            Ok(address) => tracing::info!("to be looked at: http://{address}/"),
            // Nobody is kept from shipping because somebody else has the port.
            Err(error) => complain(error),
        }
    }
    tell(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&status_line::of(&agent.status()))]);
    tracing::info!(jobs, socket = %socket.display(), "running");
    let mut watchdog = Watchdog::default();
    let look = Watchdog::every(sd_notify::watchdog_enabled());
    let failure = loop {
        tokio::select! {
            () = signals.next() => break None,
            () = tokio::time::sleep(look) => feed(&mut watchdog, &agent),
        }
        // Without its store it can do nothing: whoever started it may start it again.
        if let Some(why) = agent.store_failure() {
            break Some(why);
        }
    };
    tell(&[sd_notify::NotifyState::Stopping]);
    stop_control.send_replace(true);
    reloads.abort();
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

/// Feeds systemd's watchdog unless a pipeline is stuck, and says how all are.
fn feed(watchdog: &mut Watchdog, agent: &Agent) {
    let look = watchdog.look(agent.turns());
    look.asleep.iter().for_each(|job| agent.wake(job));
    if look.stuck.is_empty() {
        tell(&[sd_notify::NotifyState::Watchdog, sd_notify::NotifyState::Status(&status_line::of(&agent.status()))]);
    } else {
        tracing::error!(jobs = %look.stuck.join(", "), "stuck: the watchdog is not fed until they go on");
    }
}

fn tell(state: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
