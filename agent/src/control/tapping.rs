//! `GET /tap`: what a reader wants to see of the documents that pass. On the socket alone: the port shows no document.

use splashdam_api::Tap;

use super::handlers::{Answer, Query, Refused, json, must_exist, no};
use super::operations::Operations;

pub(super) async fn tap<O: Operations>(agent: &O, query: &Query) -> Answer {
    let tap = wanted(query)?;
    must_exist(agent, &tap.pipeline)?;
    json(&agent.tap(&tap).await.map_err(no)?)
}

fn wanted(query: &Query) -> Result<Tap, Refused> {
    Ok(Tap {
        pipeline: query.required("pipeline")?.to_owned(),
        text: query.get("where").map(str::to_owned),
        from: query.get("from").map(str::to_owned),
        limit: query.number("limit")?,
    })
}
