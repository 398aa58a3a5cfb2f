//! Against real servers: every supported version takes each line once, says no in its own words, and takes the
//! rest after it was mended. They run where `SPLASHDAM_SERVICES=1` is set; see `tests/services.sh`.

mod doctor; //  what the doctor finds there, and the search
mod logstore; //  the published script word for word: the official SDK writes, Elasticsearch has the counts
mod oracle; //    a real Flink: what was recorded of it, and fresh scripts
mod published; // the published script: its counts, over kill -9
mod refusals; // real mapping conflicts, blocks, limits, missing pipelines
mod secured; //  HTTPS, passwords, authorities
mod shared_group; // the official consumer library and an agent in one consumer group
mod versions; // each version: exactly once over kill -9

use e2e::services::{Service, wanted};

/// The version that most refusals are tried on.
const MAIN: &str = "8.19.21";

/// A server for `test`; `None` where it can't be had or was not asked for.
fn server(test: &str, script: &str, version: &str, arguments: &[&str]) -> Option<Service> {
    if !wanted(test) {
        return None;
    }
    Service::start(script, version, arguments)
}
