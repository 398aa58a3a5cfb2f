//! `splashctl` asks and tells a running Splashdam agent over its control socket.
//!
//! Promises: what was asked for goes to stdout, all other talk to stderr; every way to end has a number
//! ([`exit::Exit`]); nothing is dropped without a yes. Holds no state and opens no file of the agent's.

mod args;
mod commands;
mod exit;
mod output;
mod pipeline;
mod table;
mod words;

use clap::Parser;
use splashdam_api::{Client, ClientError};

use crate::args::Args;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let mut output = Output::stdout(args.json);
    let ended = run(&args, &mut output);
    let exit = match ended {
        Ok(exit) => exit,
        Err(error) if output::is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            output.say(&format!("splashctl: {error:#}"));
            match error.downcast_ref::<ClientError>() {
                // It runs, and its message says who may ask it.
                Some(ClientError::Denied { .. } | ClientError::Silent { .. }) => Exit::Unreachable,
                Some(error) if error.is_unreachable() => {
                    args.hints().iter().for_each(|hint| output.say(hint));
                    Exit::Unreachable
                }
                _ => Exit::Failed,
            }
        }
    };
    exit.into()
}

fn run(args: &Args, output: &mut Output) -> anyhow::Result<Exit> {
    let client = Client::new(args.socket());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(commands::run(&args.command, &client, output));
    // What is written to somebody who does not read would never end.
    runtime.shutdown_background();
    ended
}
