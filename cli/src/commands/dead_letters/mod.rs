//! `splashctl dead-letters …`: records that were refused for good.

mod drop;
mod export;
mod ls;
mod replay;
mod show;

use std::collections::BTreeSet;

use anyhow::bail;
use splashdam_api::{Client, DeadLetter, Which};

use crate::args::DeadLetters;
use crate::exit::Exit;
use crate::output::Output;
use crate::pipeline;

/// So many numbers are named in a message.
const NAMED: u64 = 10;

pub(crate) async fn run(command: &DeadLetters, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    match command {
        DeadLetters::Ls { pipeline, limit } => ls::run(pipeline.as_deref(), *limit, client, output).await,
        DeadLetters::Show { number, pipeline } => {
            let pipeline = pipeline::meant(pipeline.as_deref(), "--pipeline ", client).await?;
            show::run(&pipeline, *number, client, output).await
        }
        DeadLetters::Replay(chosen) => {
            let pipeline = pipeline::meant(chosen.pipeline.as_deref(), "--pipeline ", client).await?;
            replay::run(&pipeline, chosen.which(), client, output).await
        }
        DeadLetters::Export(asked) => {
            let pipeline = pipeline::meant(asked.job.as_deref(), "", client).await?;
            export::run(&pipeline, asked, client, output).await
        }
        DeadLetters::Drop { chosen, yes } => {
            let pipeline = pipeline::meant(chosen.pipeline.as_deref(), "--pipeline ", client).await?;
            drop::run(&pipeline, chosen.which(), *yes, client, output).await
        }
    }
}

/// Fails where a named one is not there, before anything is done: with its number, and with what there is.
async fn must_be_there(pipeline: &str, which: &Which, client: &Client) -> anyhow::Result<()> {
    let Which::Numbers(numbers) = which else { return Ok(()) };
    let mut missing = Vec::new();
    for number in numbers.iter().copied().collect::<BTreeSet<u64>>() {
        let found = client.dead_letters(pipeline, number, 1).await?;
        if !found.iter().any(|letter| letter.number == number) {
            missing.push(number);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let there: Vec<u64> =
        client.dead_letters(pipeline, 0, NAMED + 1).await?.iter().map(|letter| letter.number).collect();
    bail!(absent(pipeline, &missing, &there))
}

fn absent(pipeline: &str, missing: &[u64], there: &[u64]) -> String {
    let list = |numbers: &[u64]| {
        let shown: Vec<String> = numbers.iter().take(NAMED as usize).map(u64::to_string).collect();
        let more = if numbers.len() as u64 > NAMED { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    };
    let noun = if missing.len() == 1 { "dead letter" } else { "dead letters" };
    let has = match there {
        [] => "it has none".to_owned(),
        there => format!("it has {} (`splashctl dead-letters ls`)", list(there)),
    };
    format!("{pipeline} has no {noun} {}; {has}. Nothing was done", list(missing))
}

/// What refused it, in a word: Elasticsearch's status, or the agent.
fn refused_by(letter: &DeadLetter) -> String {
    if letter.status == 0 { "agent".to_owned() } else { letter.status.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_there_is_named_with_those_that_are() {
        assert_eq!(
            absent("web", &[99], &[3, 7]),
            "web has no dead letter 99; it has 3, 7 (`splashctl dead-letters ls`). Nothing was done"
        );
        assert_eq!(absent("web", &[98, 99], &[]), "web has no dead letters 98, 99; it has none. Nothing was done");
        let there: Vec<u64> = (1..=11).collect();
        assert!(absent("web", &[99], &there).contains("it has 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"));
    }
}
