//! `splashctl config show [JOB]`: what the agent runs with. The agent has put stars in the place of secrets.

use splashdam_api::Client;

use crate::exit::Exit;
use crate::output::{Output, Tone, paint};

pub(crate) async fn run(job: Option<&str>, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let configuration = client.configuration(job).await?;
    if configuration.jobs.is_empty() {
        output.say("no job is running");
    }
    output.show(&configuration, |colour| configuration.in_words(|text| paint(text, Tone::Faint, colour)))?;
    Ok(Exit::Done)
}
