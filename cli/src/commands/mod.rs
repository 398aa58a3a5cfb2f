//! One file for each command.

mod ask;
mod config;
mod dead_letters;
mod doctor;
mod drop_owed;
mod flush;
mod jobs;
mod metrics;
mod pause;
mod positions;
mod reload;
mod reset;
mod search;
mod status;
mod support_bundle;
mod tap;
mod test_connection;
mod top;

use splashdam_api::Client;

use crate::args::{Command, Config, Positions};
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(command: &Command, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    match command {
        Command::TestConnection { name } => test_connection::run(name, client, output).await,
        Command::Status => status::run(client, output).await,
        Command::DeadLetters(command) => dead_letters::run(command, client, output).await,
        Command::Flush { pipeline } => flush::run(pipeline.as_deref(), client, output).await,
        Command::Positions(Positions::Reset(asked)) => reset::run(asked, client, output).await,
        Command::Positions(Positions::Set(asked)) => reset::set(asked, client, output).await,
        Command::Positions(Positions::Ls { pipeline }) => positions::run(pipeline.as_deref(), client, output).await,
        Command::DropOwed(asked) => drop_owed::run(asked, client, output).await,
        Command::Reload => reload::run(client, output).await,
        Command::Top => top::run(client, output).await,
        Command::Pause(jobs) => pause::run(jobs.pipeline.as_deref(), true, client, output).await,
        Command::Resume(jobs) => pause::run(jobs.pipeline.as_deref(), false, client, output).await,
        Command::Doctor => doctor::run(client, output).await,
        Command::Search(asked) => search::run(&asked.search(), client, output).await,
        Command::SupportBundle { to } => support_bundle::run(to.as_deref(), client, output).await,
        Command::Config(Config::Show { job }) => config::run(job.as_deref(), client, output).await,
        Command::Jobs => jobs::run(client, output).await,
        Command::Tap(asked) => tap::run(asked, client, output).await,
        Command::Metrics => metrics::run(client, output).await,
    }
}
