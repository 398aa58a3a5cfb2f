//! A job in a few words: for the line of `check`, and for what a start says.
//!
//! Shows no secret: endpoints hold no credentials, and nothing else of a connection is told.

use std::path::Path;

use splashdam_api::words::plural;

use crate::plan::{JobPlan, Plan, QueryPlan, SinkTarget, SourcePlan};
use crate::source::file::matches;

/// `2 paths → http://127.0.0.1:9200 index logs-nginx`
pub(super) fn of(job: &JobPlan) -> String {
    match job {
        JobPlan::Ship(plan) => of_lines(plan),
        JobPlan::Query(plan) => of_query(plan),
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
    format!("{from} → {} index {}", plan.sink.endpoints.join(", "), plan.sink.index.shown())
}

/// Tells the log which jobs are about to start, where their data lie, and where there is nothing to read yet.
pub(super) fn announce(jobs: &[JobPlan], data_dir: &Path) {
    for plan in jobs {
        let job = plan.id();
        tracing::info!(%job, ships = %of(plan), data_dir = %data_dir.display(), "starting");
        for source in plan.sources() {
            let SourcePlan::File(files) = source else { continue };
            for why in files.paths.iter().filter_map(|path| matches::why_nothing(path, &files.exclude)) {
                tracing::warn!(%job, "{why}");
            }
        }
    }
}
