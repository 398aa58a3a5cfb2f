//! `splashctl dead-letters replay`: ship them again, after what was wrong is mended.

use std::collections::BTreeSet;

use splashdam_api::words::plural;
use splashdam_api::{Changed, Client, Which};

use super::must_be_there;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(pipeline: &str, which: Which, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    must_be_there(pipeline, &which, client).await?;
    let named = match &which {
        Which::All => None,
        Which::Numbers(numbers) => Some(numbers.iter().collect::<BTreeSet<_>>().len() as u64),
    };
    let dead_letters = client.replay_dead_letters(pipeline, which).await?;
    let replayed = plural(dead_letters, "dead letter");
    output.show(&Changed { dead_letters }, |_| {
        format!("{replayed} of {pipeline} will be shipped again; `splashctl flush` waits for it\n")
    })?;
    let left = named.map_or(0, |named| named.saturating_sub(dead_letters));
    if left > 0 {
        let left = plural(left, "dead letter");
        output.say(&format!("{left} not replayed: there is no document to send again, or it is a partial update"));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}
