//! A job in a few words: for the line of `check`, and for what a start says.
//!
//! Shows no secret: endpoints hold no credentials, and nothing else of a connection is told.

use std::path::Path;

use splashdam_api::words::plural;

use crate::plan::{IndexPart, IndexPlan, JobPlan, Plan, QueryPlan, SinkTarget, SourcePlan};
use crate::source::file::matches;

/// `2 paths → http://127.0.0.1:9200 index logs-nginx`
pub(super) fn of(job: &JobPlan) -> String {
    match job {
        JobPlan::Ship(plan) => of_lines(plan),
        JobPlan::Query(plan) => of_query(plan),
    }
}

/// Where a job reads.
pub(super) fn sources(job: &JobPlan) -> Vec<&SourcePlan> {
    match job {
        JobPlan::Ship(plan) => vec![&plan.source],
        JobPlan::Query(plan) => plan.tables.iter().map(|table| &table.source).collect(),
    }
}

/// `access (1 path) → counts (http://127.0.0.1:9200)`
fn of_query(plan: &QueryPlan) -> String {
    let from: Vec<String> =
        plan.tables.iter().map(|table| format!("{} ({})", table.name, place(&table.source))).collect();
    let to = plan.sinks.iter().map(|sink| match &sink.target {
        SinkTarget::Elasticsearch(to) => format!("{} ({})", sink.name, to.endpoints.join(", ")),
        SinkTarget::Print => format!("{} (standard output)", sink.name),
        SinkTarget::Blackhole => format!("{} (nowhere)", sink.name),
    });
    format!("{} → {}", from.join(", "), to.collect::<Vec<_>>().join(", "))
}

fn place(source: &SourcePlan) -> String {
    match source {
        SourcePlan::Stdin(_) => "stdin".to_owned(),
        SourcePlan::File(files) => plural(files.paths.len() as u64, "path"),
        SourcePlan::Sls(plan) => format!("Logstore {}/{}", plan.project, plan.logstore),
    }
}

fn of_lines(plan: &Plan) -> String {
    let from = place(&plan.source);
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
pub(super) fn announce(jobs: &[JobPlan], data_dir: &Path) {
    for plan in jobs {
        let job = plan.id();
        tracing::info!(%job, ships = %of(plan), data_dir = %data_dir.display(), "starting");
        for source in sources(plan) {
            let SourcePlan::File(files) = source else { continue };
            for why in files.paths.iter().filter_map(|path| matches::why_nothing(path, &files.exclude)) {
                tracing::warn!(%job, "{why}");
            }
        }
    }
}
