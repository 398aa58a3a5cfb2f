//! `splashctl dead-letters drop`: forget them for good, after a yes.

use splashdam_api::words::plural;
use splashdam_api::{Changed, Client, Which};

use super::must_be_there;
use crate::commands::ask::{self, Answer};
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(
    pipeline: &str,
    which: Which,
    yes: bool,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    must_be_there(pipeline, &which, client).await?;
    if !yes {
        let what = match &which {
            Which::All => "all dead letters".to_owned(),
            Which::Numbers(numbers) => plural(numbers.len() as u64, "dead letter"),
        };
        let question = format!("Drop {what} of {pipeline} for good? [y/N]");
        if ask::ask(output, &format!("to drop {what} of {pipeline}"), &question)? == Answer::No {
            output.say("Nothing was dropped.");
            return Ok(Exit::NotConfirmed);
        }
    }
    let dead_letters = client.drop_dead_letters(pipeline, which).await?;
    let dropped = plural(dead_letters, "dead letter");
    output.show(&Changed { dead_letters }, |_| format!("{dropped} of {pipeline} dropped\n"))?;
    Ok(Exit::Done)
}
