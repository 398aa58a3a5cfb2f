//! `splashctl dead-letters replay`: ship them again, after what was wrong is mended.

use splashdam_api::words::plural;
use splashdam_api::{Changed, Client, Which};

use super::found;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(pipeline: &str, which: Which, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let dead_letters = client.replay_dead_letters(pipeline, which.clone()).await?;
    found(pipeline, &which, dead_letters, output)?;
    let replayed = plural(dead_letters, "dead letter");
    output.show(&Changed { dead_letters }, |_| {
        format!("{replayed} of {pipeline} will be shipped again; `splashctl flush` waits for it\n")
    })?;
    Ok(Exit::Done)
}
