//! A job in a few words: for the line of `check`, and for what a start says.
//!
//! Shows no secret: endpoints hold no credentials, and nothing else of a connection is told.

use std::path::Path;

use splashdam_api::words::plural;

use super::matches;
use crate::plan::{IndexPart, IndexPlan, Plan, SourcePlan};

/// `2 paths → http://127.0.0.1:9200 index logs-nginx`
pub(super) fn of(plan: &Plan) -> String {
    let from = match &plan.source {
        SourcePlan::Stdin(_) => "stdin".to_owned(),
        SourcePlan::File(files) => plural(files.paths.len() as u64, "path"),
    };
    let index = match &plan.sink.index {
        IndexPlan::Literal(name) => name.clone(),
        IndexPlan::Template { parts, .. } => parts
            .iter()
            .map(|part| match part {
                IndexPart::Literal(text) | IndexPart::Date(text) => text.clone(),
                IndexPart::Field(name) => format!("%{{{name}}}"),
            })
            .collect(),
    };
    format!("{from} → {} index {index}", plan.sink.endpoints.join(", "))
}

/// Tells the log which jobs are about to start, where their data lie, and where there is nothing to read yet.
pub(super) fn announce(plans: &[Plan], data_dir: &Path) {
    for plan in plans {
        let job = &plan.id;
        tracing::info!(%job, ships = %of(plan), data_dir = %data_dir.display(), "starting");
        let SourcePlan::File(files) = &plan.source else { continue };
        for why in files.paths.iter().filter_map(|path| matches::why_nothing(path, &files.exclude)) {
            tracing::warn!(%job, "{why}");
        }
    }
}
