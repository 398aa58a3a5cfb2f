//! `splashctl dead-letters …`: records that were refused for good.

mod drop;
mod ls;
mod replay;
mod show;

use std::collections::BTreeSet;

use anyhow::bail;
use splashdam_api::words::count;
use splashdam_api::{Client, DeadLetter, Which};

use crate::args::DeadLetters;
use crate::exit::Exit;
use crate::output::Output;
use crate::pipeline;

pub(crate) async fn run(command: &DeadLetters, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    match command {
        DeadLetters::Ls { pipeline, limit } => ls::run(pipeline.as_deref(), *limit, client, output).await,
        DeadLetters::Show { number, pipeline } => {
            let pipeline = pipeline::meant(pipeline.as_deref(), client).await?;
            show::run(&pipeline, *number, client, output).await
        }
        DeadLetters::Replay(chosen) => {
            let pipeline = pipeline::meant(chosen.pipeline.as_deref(), client).await?;
            replay::run(&pipeline, chosen.which(), client, output).await
        }
        DeadLetters::Drop { chosen, yes } => {
            let pipeline = pipeline::meant(chosen.pipeline.as_deref(), client).await?;
            drop::run(&pipeline, chosen.which(), *yes, client, output).await
        }
    }
}

/// Fails where none of the named ones was there, and says so where some were not.
fn found(pipeline: &str, which: &Which, done: u64, output: &Output) -> anyhow::Result<()> {
    let Which::Numbers(numbers) = which else { return Ok(()) };
    let named = numbers.iter().collect::<BTreeSet<_>>().len() as u64;
    match named.saturating_sub(done) {
        0 => {}
        _ if done == 0 => bail!("{pipeline} has no such dead letter; `splashctl dead-letters ls` shows which it has"),
        gone => output.say(&format!("{} of these {} not there", count(gone), if gone == 1 { "was" } else { "were" })),
    }
    Ok(())
}

/// What refused it, in a word: Elasticsearch's status, or the agent.
fn refused_by(letter: &DeadLetter) -> String {
    if letter.status == 0 { "agent".to_owned() } else { letter.status.to_string() }
}
