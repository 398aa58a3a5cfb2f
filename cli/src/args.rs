//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use splashdam_api::{DEFAULT_SOCKET, ResetHow, SOCKET_NAME, Search, Which};

/// Asks and tells a running Splashdam agent
#[derive(Debug, Parser)]
#[command(
    name = "splashctl",
    version = splashdam_api::VERSION,
    after_help = "Exit codes: 0 done, 1 the agent said no, 2 wrong command line, 3 no agent reached,\n\
                  4 still owed after a flush, 5 not confirmed, 6 not connectable, 7 the doctor found something bad."
)]
pub(crate) struct Args {
    /// The agent's control socket [default: /run/splashdam/control.sock]
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "data_dir")]
    pub(crate) socket: Option<PathBuf>,
    /// The data directory of the agent, with its control socket in it (`splashdam run`)
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What every job does: state, lag, what is owed and why
    Status,
    /// What there is to do: each job with its source, its index and its file
    Jobs,
    /// Look at records that were refused for good; replay, export or drop them
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Ship everything that was read, now, and wait for it
    Flush {
        /// Only this job
        #[arg(long, value_name = "JOB")]
        pipeline: Option<String>,
    },
    /// Let the service read its configuration and jobs again: unchanged jobs run on untouched
    Reload,
    /// Watch all jobs live: rates, lag, what is owed and why; keys pause, resume and flush
    Top,
    /// Read nothing more for now; what was read is shipped
    Pause(OneOrAll),
    /// Go on reading
    Resume(OneOrAll),
    /// Show documents as they pass, until Ctrl-C
    Tap(Tapping),
    /// How far every source is read; read again
    #[command(subcommand)]
    Positions(Positions),
    /// Forget what a job owes to sinks that its script has no more
    DropOwed(DroppingOwed),
    /// Try what a job connects to, or a connection of datasources.toml; nothing is changed there
    TestConnection {
        /// A job's id, or a name of datasources.toml
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// The agent's counters in Prometheus form
    Metrics,
    /// Let the agent look at machine, paths, connections, cluster and index: what is wrong, and what to do next
    Doctor,
    /// Documents that have arrived, by a connection of the agent's
    Search(Searching),
    /// One archive for who is to find out what is wrong, without secrets and documents
    SupportBundle {
        /// Where to; never over a file that is there [default: splashdam-support-TIME.tar.gz]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// What the agent runs with
    #[command(subcommand)]
    Config(Config),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Searching {
    /// An index, several with commas, or a pattern: logs-*
    #[arg(value_name = "INDEX")]
    index: String,
    /// A Lucene query string, for example 'message:error AND host.name:web1'; '*' is all
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    query: String,
    /// Whose connection [default: the only one, or that of the job which writes to INDEX]
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// At most so many documents
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Searching {
    pub(crate) fn search(&self) -> Search {
        let Searching { index, query, job, limit } = self;
        Search { index: index.clone(), query: query.clone(), limit: *limit, job: job.clone() }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The service's settings and those of each job, with what holds by default; secrets are stars
    Show {
        /// Only this job
        #[arg(value_name = "JOB")]
        job: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct OneOrAll {
    /// The job
    #[arg(value_name = "JOB", group = "which")]
    pub(crate) pipeline: Option<String>,
    /// All jobs
    #[arg(long, group = "which")]
    pub(crate) all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DroppingOwed {
    /// The job
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Only to this sink [default: to all that are gone]
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tapping {
    /// The job
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Only documents with this text in them, as their JSON has it
    #[arg(long = "where", value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Positions {
    /// One line for each file or shard
    Ls {
        /// Only this job
        #[arg(long, value_name = "JOB")]
        pipeline: Option<String>,
    },
    /// Read again what a job has read: files from their beginning, Logstores from a time on
    Reset(Resetting),
    /// Read one file on from another place: again from there, or passing over what lies before
    Set(Setting),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Setting {
    /// The job
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// The file, as `positions ls` shows it
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// Where to: "end", or the byte at which a line begins
    #[arg(long, value_name = "OFFSET")]
    pub(crate) to: String,
    /// Replace documents that are there [default: they stay, and those that are missing are added]
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how").required(true))]
pub(crate) struct Resetting {
    /// The job
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Where to: "beginning", or the time (UTC) from which on a Logstore received what is read again
    #[arg(long, value_name = "TIME")]
    pub(crate) to: String,
    /// Leave documents that are there as they are, and add those that are missing
    #[arg(long, group = "how")]
    fill: bool,
    /// Replace documents that are there
    #[arg(long, group = "how")]
    overwrite: bool,
    /// Ship everything under new ids, so that what is there is there twice
    #[arg(long, group = "how")]
    again: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

impl Resetting {
    pub(crate) fn how(&self) -> ResetHow {
        match (self.fill, self.overwrite, self.again) {
            (true, ..) => ResetHow::Fill,
            (_, true, _) => ResetHow::Overwrite,
            _ => ResetHow::Again,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// One line for each dead letter
    Ls {
        /// Only this job
        #[arg(long, value_name = "JOB")]
        pipeline: Option<String>,
        /// At most so many of each job
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// One dead letter, whole
    Show {
        /// Its number, as `ls` prints it
        #[arg(value_name = "N")]
        number: u64,
        /// The job; can be left out where there is one
        #[arg(long, value_name = "JOB")]
        pipeline: Option<String>,
    },
    /// Ship dead letters again, after what was wrong is mended
    Replay(Chosen),
    /// Write all dead letters of a job as JSON, one on a line; they stay
    Export(Exporting),
    /// Forget dead letters for good
    Drop {
        #[command(flatten)]
        chosen: Chosen,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Exporting {
    /// The job; can be left out where there is one
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,
    /// The file to write to [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
    /// Only those with this number and above: to go on behind an export that was broken off
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) from: u64,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct Chosen {
    /// Their numbers, as `ls` prints them
    #[arg(value_name = "N", group = "which")]
    pub(crate) numbers: Vec<u64>,
    /// All of the job
    #[arg(long, group = "which")]
    pub(crate) all: bool,
    /// The job; can be left out where there is one
    #[arg(long, value_name = "JOB")]
    pub(crate) pipeline: Option<String>,
}

impl Chosen {
    pub(crate) fn which(&self) -> Which {
        if self.all { Which::All } else { Which::Numbers(self.numbers.clone()) }
    }
}

impl Args {
    pub(crate) fn socket(&self) -> PathBuf {
        match (&self.socket, &self.data_dir) {
            (Some(socket), _) => socket.clone(),
            (None, Some(folder)) => folder.join(SOCKET_NAME),
            (None, None) => PathBuf::from(DEFAULT_SOCKET),
        }
    }

    /// What to do when nobody was found: how to start it or where else to look, and where what is asked for is to be
    /// had without an agent.
    pub(crate) fn hints(&self) -> Vec<String> {
        let mut hints = vec![match (&self.data_dir, &self.socket) {
            (Some(folder), _) => format!("Start it with `splashdam run JOB --data-dir {}`.", folder.display()),
            (None, Some(_)) => "The service's socket is `control_socket` in its splashdam.toml; that of a `splashdam run` \
                 lies in its data directory (--data-dir DIR)."
                .to_owned(),
            (None, None) => "Start the service with `systemctl start splashdam` (`systemctl status splashdam` says why it does \
                 not run). An agent started with `splashdam run` is reached with --data-dir DIR; it said DIR at its start."
                .to_owned(),
        }];
        if matches!(self.command, Command::DeadLetters(_)) {
            let kept =
                "Dead letters are shown by the agent: they are kept in the data directory while it does not run.";
            hints.push(kept.to_owned());
        }
        if matches!(self.command, Command::Config(_)) {
            hints.push("Without an agent `splashdam check` reads the service's configuration and jobs.".to_owned());
        }
        if matches!(self.command, Command::SupportBundle { .. } | Command::Doctor) {
            hints.push(
                "Why it does not run is in its log: `journalctl -u splashdam`, and `splashdam check`.".to_owned(),
            );
        }
        if matches!(self.command, Command::TestConnection { .. }) {
            hints.push("Without an agent `splashdam check --connect JOB` tries the connections of a job.".to_owned());
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words after `splashctl` as `Debug` shows what they mean, or the first line of the complaint.
    fn parsed(line: &str) -> String {
        match Args::try_parse_from(std::iter::once("splashctl").chain(line.split_whitespace())) {
            Ok(args) => format!("{:?} {:?}", args.command, args.socket()),
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn the_command_line_means_what_it_says() {
        for (line, want) in [
            ("status", "Status \"/run/splashdam/control.sock\""),
            ("status --json --socket /x.sock", "Status \"/x.sock\""),
            ("--data-dir /var/d status", "Status \"/var/d/control.sock\""),
            ("reload", "Reload \"/run/splashdam/control.sock\""),
            ("metrics", "Metrics \"/run/splashdam/control.sock\""),
            ("flush", "Flush { pipeline: None } \"/run/splashdam/control.sock\""),
            ("flush --pipeline web", "Flush { pipeline: Some(\"web\") } \"/run/splashdam/control.sock\""),
            ("positions ls --socket s", "Positions(Ls { pipeline: None }) \"s\""),
            ("dead-letters ls --socket s", "DeadLetters(Ls { pipeline: None, limit: 100 }) \"s\""),
            (
                "positions reset web --to beginning --fill --socket s",
                "Positions(Reset(Resetting { job: \"web\", to: \"beginning\", fill: true, overwrite: false, again: false, yes: false })) \"s\"",
            ),
            ("doctor --socket s", "Doctor \"s\""),
            (
                "search logs-* -x --limit 3 --socket s",
                "Search(Searching { index: \"logs-*\", query: \"-x\", job: None, limit: 3 }) \"s\"",
            ),
            ("support-bundle --to x --socket s", "SupportBundle { to: Some(\"x\") } \"s\""),
            ("config show --socket s", "Config(Show { job: None }) \"s\""),
            ("config show web --socket s", "Config(Show { job: Some(\"web\") }) \"s\""),
            ("tap web --where 404 --socket s", "Tap(Tapping { job: \"web\", text: Some(\"404\"), limit: None }) \"s\""),
            ("jobs --socket s", "Jobs \"s\""),
            (
                "dead-letters export web --to f --force --socket s",
                "DeadLetters(Export(Exporting { job: Some(\"web\"), to: Some(\"f\"), force: true, from: 0 })) \"s\"",
            ),
            (
                "positions set web /var/log/a.log --to end --socket s",
                "Positions(Set(Setting { job: \"web\", path: \"/var/log/a.log\", to: \"end\", overwrite: false, yes: false })) \"s\"",
            ),
            ("test-connection web --socket s", "TestConnection { name: \"web\" } \"s\""),
            ("dead-letters show 7 --socket s", "DeadLetters(Show { number: 7, pipeline: None }) \"s\""),
            (
                "dead-letters replay 3 4 --pipeline web --socket s",
                "DeadLetters(Replay(Chosen { numbers: [3, 4], all: false, pipeline: Some(\"web\") })) \"s\"",
            ),
            (
                "dead-letters drop --all --yes --socket s",
                "DeadLetters(Drop { chosen: Chosen { numbers: [], all: true, pipeline: None }, yes: true }) \"s\"",
            ),
        ] {
            assert_eq!(parsed(line), want, "splashctl {line}");
        }
    }

    #[test]
    fn who_asks_for_dead_letters_of_an_agent_that_is_gone_is_told_the_way() {
        let hints = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().hints().join("\n");
        assert!(hints("splashctl dead-letters ls --data-dir /d").contains("kept in the data directory"));
        assert!(hints("splashctl status --data-dir /d").contains("`splashdam run JOB --data-dir /d`"));
        let service = hints("splashctl dead-letters show 1");
        assert!(service.contains("with --data-dir DIR") && service.contains("systemctl start"), "{service}");
        assert!(hints("splashctl status --socket /s").contains("`control_socket`"));
    }

    #[test]
    fn a_crooked_command_line_is_refused_with_the_reason() {
        for (line, want) in [
            ("statsu", "error: unrecognized subcommand 'statsu'"),
            ("dead-letters drop", "error: the following required arguments were not provided:"),
            ("dead-letters drop --all 3", "error: the argument '--all' cannot be used with '[N]...'"),
            (
                "dead-letters ls --limit 0",
                "error: invalid value '0' for '--limit <N>': 0 is not in 1..18446744073709551615",
            ),
            ("positions reset web --to beginning", "error: the following required arguments were not provided:"),
            (
                "positions reset web --to beginning --fill --again",
                "error: the argument '--fill' cannot be used with '--again'",
            ),
            ("dead-letters show x", "error: invalid value 'x' for '<N>': invalid digit found in string"),
            (
                "status --socket a --data-dir b",
                "error: the argument '--socket <PATH>' cannot be used with '--data-dir <DIR>'",
            ),
        ] {
            assert_eq!(parsed(line), want, "splashctl {line}");
        }
    }
}
