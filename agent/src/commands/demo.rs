//! `splashdam demo`: shows the promise, nothing lost and nothing doubled, with a real agent that is killed on the way.
//!
//! A log grows and is rotated in a temporary folder; a *child* agent ships it over real HTTP to an embedded endpoint
//! or to a cluster; it is killed with SIGKILL and started again. The table at the end is counted from the documents
//! that arrived. What the agent says about itself is not asked.

mod child;
mod cluster;
mod endpoint;
mod ledger;
mod report;
mod sample;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::child::Child;
use self::cluster::{Cluster, PASSWORD};
use self::endpoint::Endpoint;
use self::ledger::Ledger;
use self::report::{Report, Stage};
use self::sample::{Growth, Sample};
use super::run::Signals;
use crate::plan::SecretSource;

/// How often the agent is killed and started again.
const RESTARTS: u64 = 3;
/// How often the log is rotated.
const ROTATIONS: u64 = 6;
/// Without a new document for this long, what is not there is missing.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_WITH_CLUSTER: Duration = Duration::from_secs(90);
/// The agent promises to be out within 5 s after SIGTERM.
const GOODBYE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// Ship a growing, rotated log with an agent that is killed on the way, and count what arrives
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ship to this cluster (https://host:9200) instead of the embedded endpoint
    #[arg(long, value_name = "URL")]
    pub(crate) elasticsearch: Option<String>,
    /// Its user; the password is read from $SPLASHDAM_PASSWORD
    #[arg(long, value_name = "NAME", requires = "elasticsearch")]
    pub(crate) user: Option<String>,
    /// PEM file of the authority to trust, where it is none of the system's
    #[arg(long, value_name = "FILE", requires = "elasticsearch")]
    pub(crate) ca: Option<PathBuf>,
    /// Lines to write
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) lines: u64,
    /// Seconds to write them in
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
}

/// How a demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every line arrived, each once.
    Exact,
    /// Something is missing or double.
    NotExact,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// Runs the demo; prints talk to stderr and the table to stdout.
///
/// # Errors
/// It could not be played to its end: no temporary folder, cluster not reached, agent ended by itself.
pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut stage = Stage::new()?;
        let ended = tokio::select! {
            ended = play(args, &mut stage) => ended,
            () = signals.next() => Ok(Ended::Interrupted),
        };
        if let Ok(Ended::Exact | Ended::Interrupted) = ended {
            stage.clear();
        }
        ended
    })
}

/// Where documents go, and who counts them.
enum Target {
    Embedded(Endpoint),
    Cluster(Box<Cluster>),
}

impl Target {
    /// What has arrived so far.
    async fn received(&self, ledger: &Ledger) -> u64 {
        match self {
            Target::Embedded(_) => ledger.documents(),
            Target::Cluster(cluster) => cluster.count_or_last().await,
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Target::Embedded(_) => PATIENCE,
            Target::Cluster(_) => PATIENCE_WITH_CLUSTER,
        }
    }

    /// How long to wait before asking again.
    fn pace(&self) -> Duration {
        match self {
            Target::Embedded(_) => TICK,
            Target::Cluster(_) => Duration::from_millis(500),
        }
    }

    /// What the agent is to find in its environment.
    fn password(&self) -> Option<&str> {
        let Target::Cluster(cluster) = self else { return None };
        match &cluster.access().user.as_ref()?.1.from {
            SecretSource::Literal(password) => Some(password),
            SecretSource::File(_) => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Target::Embedded(endpoint) => format!("an embedded endpoint, {}", endpoint.url()),
            Target::Cluster(cluster) => cluster.describe(),
        }
    }
}

async fn play(args: &Args, stage: &mut Stage) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let ledger = Arc::new(Ledger::default());
    let target = match &args.elasticsearch {
        None => Target::Embedded(Endpoint::start(Arc::clone(&ledger)).await?),
        Some(url) => Target::Cluster(Box::new(Cluster::reach(url, args, &fresh_index()).await?)),
    };
    let logs = stage.folder().join("logs");
    std::fs::create_dir(&logs)?;
    let job = stage.folder().join("demo.toml");
    std::fs::write(&job, job_text(&logs, &target))?;
    let program = std::env::current_exe().context("the demo starts its own binary as the agent and can't find it")?;

    let mut report = Report::new(began);
    report.opening(args, &logs.join(sample::NAME), &target.describe(), RESTARTS);
    stage.keep();
    let mut child = Child::start(&program, &job, stage.folder(), target.password())?;
    report.event(&format!("agent {} started", child.id()));
    let growth = Growth { lines: args.lines, over: Duration::from_secs(args.seconds), rotations: ROTATIONS };
    let sample = Sample::grow(&logs, growth, Arc::clone(&ledger))?;

    let restarts = grow_and_kill(args, &mut child, &sample, &target, &ledger, &mut report).await?;
    sample.finish()?;
    arrive(args, &mut child, &target, &ledger, &mut report).await?;
    let seconds = began.elapsed();
    if let Err(error) = child.stop(GOODBYE).await {
        report.event(&format!("{error:#}"));
    }
    if let Target::Cluster(cluster) = &target {
        report.event("counting the documents in the cluster");
        cluster.collect(&ledger).await?;
    }
    let tally = ledger.tally();
    report.closing(&tally, seconds, restarts)?;
    if !tally.is_exact() {
        report.wrong(&tally, stage.folder(), child.log());
        return Ok(Ended::NotExact);
    }
    if let Target::Cluster(cluster) = &target {
        report.left_behind(cluster);
    }
    Ok(Ended::Exact)
}

/// While the log grows: kills the agent at even distances and starts it again. Gives the number of restarts.
async fn grow_and_kill(
    args: &Args,
    child: &mut Child,
    sample: &Sample,
    target: &Target,
    ledger: &Ledger,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let mut restarts = 0;
    let mut rotations = 0;
    while !sample.is_finished() || restarts < RESTARTS {
        tokio::time::sleep(TICK).await;
        child.must_live()?;
        let written = ledger.written();
        if sample.rotations() > rotations {
            rotations = sample.rotations();
            report.event(&format!("{name} renamed to {name}.1, a new one begun", name = sample::NAME));
        }
        if restarts < RESTARTS && written >= args.lines * (restarts + 1) / (RESTARTS + 1) {
            let killed = child.id();
            child.kill_and_start()?;
            restarts += 1;
            report.event(&format!("agent {killed} killed with kill -9; agent {} started", child.id()));
        }
        report.progress(written, args.lines, || target.received(ledger)).await;
    }
    Ok(restarts)
}

/// After the log has stopped growing: waits until every line is there, or nothing has come for too long.
async fn arrive(
    args: &Args,
    child: &mut Child,
    target: &Target,
    ledger: &Ledger,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut best = 0;
    let mut moved = Instant::now();
    loop {
        let received = target.received(ledger).await;
        report.progress(ledger.written(), args.lines, async || received).await;
        if received >= args.lines {
            return Ok(());
        }
        if received > best {
            best = received;
            moved = Instant::now();
        } else if moved.elapsed() > target.patience() {
            report.event(&format!("no new document for {} s", target.patience().as_secs()));
            return Ok(());
        }
        child.must_live()?;
        tokio::time::sleep(target.pace()).await;
    }
}

fn job_text(logs: &Path, target: &Target) -> String {
    let paths = logs.join(format!("{}*", sample::NAME));
    let (endpoint, index, access) = match target {
        Target::Embedded(endpoint) => (endpoint.url(), "splashdam-demo", None),
        Target::Cluster(cluster) => (cluster.access().url.as_str(), cluster.index(), Some(cluster.access())),
    };
    let mut text = format!(
        "# written by `splashdam demo`\nid = \"demo\"\n\n\
         [source]\ntype  = \"file\"\npaths = [{}]\n\n\
         [decode]\nformat = \"raw\"\n\n\
         [sink]\ntype     = \"elasticsearch\"\nendpoint = {}\nindex    = {}\n",
        quoted(&paths.to_string_lossy()),
        quoted(endpoint),
        quoted(index),
    );
    if let Some((user, _)) = access.and_then(|access| access.user.as_ref()) {
        text.push_str(&format!("user     = {}\npassword = \"${{env:{PASSWORD}}}\"\n", quoted(user)));
    }
    if let Some(ca) = access.and_then(|access| access.ca.as_ref()) {
        text.push_str(&format!("\n[sink.tls]\nca_file = {}\n", quoted(&ca.to_string_lossy())));
    }
    text
}

/// A TOML basic string; JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An index of its own for each run, so that a count is a count of this run.
fn fresh_index() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("splashdam-demo-{now}-{}", std::process::id())
}
