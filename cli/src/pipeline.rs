//! Which job is meant when none is named.

use anyhow::bail;
use splashdam_api::Client;

/// The named one, or the only one there is. `option`: what stands before a name where one is given.
pub(crate) async fn meant(named: Option<&str>, option: &str, client: &Client) -> anyhow::Result<String> {
    if let Some(id) = named {
        return Ok(id.to_owned());
    }
    let ids: Vec<String> = client.status().await?.pipelines.into_iter().map(|pipeline| pipeline.id).collect();
    match ids.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("this agent runs no job"),
        several => bail!("which job? {option}{}", several.join(" | ")),
    }
}
