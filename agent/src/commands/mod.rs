//! What the binary can be asked to do, one file each, and every way it can end.

mod check;
mod connections;
mod demo;
mod exit;
mod explain;
mod progress;
mod reload;
mod run;
mod serve;
mod status_line;
mod summary;
mod try_job;
mod try_query;
mod watchdog;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::job::Vars;
pub use exit::Exit;

/// Ships log files to Elasticsearch: each line once, whatever happens.
#[derive(Debug, Parser)]
#[command(
    name = "splashdam",
    version = splashdam_api::VERSION,
    about,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 problems in jobs or configuration, 2 wrong command line, 3 data directory\n\
                  in use, 4 data directory can't be used, 5 failed, or --once can't read a file, 6 the demo found\n\
                  a difference, 7 interrupted before the end of --once or of standard input, 8 a script's state is full,\n\
                  9 data of a newer version."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs in the foreground, until Ctrl-C (or to the end of the files with --once)
    Run {
        /// Job files (*.toml, *.sql)
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<PathBuf>,
        /// Where to keep positions and what is owed [default: $XDG_STATE_HOME/splashdam/JOB-ID]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Read to the present end of every file, wait until everything is acknowledged, then end
        #[arg(long)]
        once: bool,
        /// Let SQL jobs begin anew: their state and positions are forgotten
        #[arg(long)]
        reset_state: bool,
        /// Let a job go on that has lost its positions: what its sources have is read under new ids
        #[arg(long, value_name = "JOB-ID")]
        begin_anew: Vec<String>,
        #[command(flatten)]
        vars: Variables,
    },
    /// Check jobs and configuration, and say everything that is wrong with them
    Check {
        /// Job files; none: the service's configuration and its jobs
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The service's configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/splashdam/splashdam.toml")]
        config: PathBuf,
        #[command(flatten)]
        vars: Variables,
        /// Try what the jobs connect to as well: name, TCP, TLS, keys, permission, version; nothing is changed there
        #[arg(long)]
        connect: bool,
    },
    /// Print the bulk items that a job would send; nothing is sent, no position is kept
    Try {
        #[arg(value_name = "JOB")]
        job: PathBuf,
        /// At most so many items
        #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        #[command(flatten)]
        vars: Variables,
    },
    /// Show what a SQL job means: its plan, what it reads, the keys of its state, where its rows go
    Explain {
        #[arg(value_name = "JOB")]
        job: PathBuf,
        #[command(flatten)]
        vars: Variables,
    },
    /// Run as a service, with the jobs of its configuration
    Serve {
        #[arg(long, value_name = "FILE", default_value = "/etc/splashdam/splashdam.toml")]
        config: PathBuf,
        /// Let a job go on that has lost its positions: what its sources have is read under new ids
        #[arg(long, value_name = "JOB-ID")]
        begin_anew: Vec<String>,
    },
    /// Show that nothing is lost or doubled: a growing, rotated log is shipped while the agent is killed
    Demo(demo::Args),
}

#[derive(Debug, clap::Args)]
struct Variables {
    /// What ${NAME} stands for in SQL jobs
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    vars: Vec<(String, String)>,
}

impl Variables {
    /// By name; of two the later one holds.
    fn all(self) -> Vars {
        self.vars.into_iter().collect()
    }
}

/// How long stopping may take: less than the 5 s that are promised.
const STOP_WITHIN: Duration = Duration::from_millis(4500);

/// Does what was asked.
#[must_use]
pub fn main(arguments: Arguments) -> Exit {
    match arguments.command {
        Command::Run { jobs, data_dir, once, reset_state, begin_anew, vars } => {
            run::run(&jobs, data_dir, run::How { once, reset_state, begin_anew, vars: vars.all() })
        }
        Command::Check { files, config, vars, connect } => check::check(&files, &config, &vars.all(), connect),
        Command::Try { job, limit, vars } => match runtime() {
            Ok(runtime) => {
                let _inside = runtime.enter();
                try_job::try_job(&job, limit, &vars.all())
            }
            Err(error) => run::failed(&error),
        },
        Command::Explain { job, vars } => explain::explain_job(&job, &vars.all()),
        Command::Serve { config, begin_anew } => serve::serve(&config, begin_anew),
        Command::Demo(arguments) => show(&arguments),
    }
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), String> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && name.chars().all(word) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE; a name is letters, digits and _ . -".to_owned()),
    }
}

fn show(arguments: &demo::Args) -> Exit {
    match demo::run(arguments) {
        Ok(demo::Ended::Exact | demo::Ended::Interrupted) => Exit::Ok,
        Ok(demo::Ended::NotExact) => Exit::Mismatch,
        Err(error) => run::failed(&format!("{error:#}")),
    }
}

/// A runtime small enough for an agent: delivery waits far more than it works.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("deliver")
        .thread_keep_alive(Duration::from_secs(60))
        .enable_all()
        .build()
}
