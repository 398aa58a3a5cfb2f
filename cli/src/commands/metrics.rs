//! `splashctl metrics`: the agent's counters as they are.

use splashdam_api::Client;

use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let text = client.metrics().await?;
    output.data(&text)?;
    Ok(Exit::Done)
}
