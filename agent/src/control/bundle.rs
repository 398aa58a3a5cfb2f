//! The support bundle: one archive with what somebody needs who is to find out what is wrong.
//!
//! Promises: no secret is in it and no document; what it holds is listed in it. It is made in memory, of answers that
//! have a bound each. Nothing is written to a disk here.

use std::path::PathBuf;

use serde::Serialize;
use splashdam_api::DeadLetter;

use super::machine;
use super::operations::Operations;
use super::quotes::{quiet, told};
use crate::log;
use crate::record::{Timestamp, gzip};

/// Dead letters of a job whose reasons are told.
const LETTERS: usize = 200;
const SLICE: usize = 20;

const README: &str = "\
A support bundle of Splashdam.

about.json         versions, when it was made
status.json        splashctl status --json
positions.json     splashctl positions ls --json: paths, and how far they are read
metrics.txt        splashctl metrics
config.txt         splashctl config show: settings and scripts; what may be secret is ***
config.json        the same for programs
doctor.json        splashctl doctor --json
dead-letters.json  why documents were refused: kinds, fields and the head of the reason
log.txt            the last lines of the agent's log
machine.txt        kernel, limits, memory, disk

No document is in it, and no password, key or token. Names of files, indices, hosts and users are.
";

/// A dead letter without its document, its id and what Elasticsearch quotes of it.
#[derive(Serialize)]
struct Reason {
    pipeline: String,
    number: u64,
    at: String,
    index: String,
    kind: String,
    reason: String,
    status: u16,
}

/// The archive: tar, gzipped.
///
/// # Errors
/// Why it can't be made.
pub(super) async fn bundle<O: Operations>(agent: &O) -> Result<Vec<u8>, String> {
    let now = Timestamp::now();
    let status = agent.status();
    let mut files = vec![("README.txt", README.as_bytes().to_vec())];
    let about = serde_json::json!({ "version": splashdam_api::VERSION, "made_at": now.to_rfc3339() });
    files.push(("about.json", json(&about)));
    files.push(("status.json", json(&quiet(&status))));
    files.push(("positions.json", json(&agent.positions(None))));
    files.push(("metrics.txt", agent.metrics_text().into_bytes()));
    match agent.configuration(None) {
        Ok(configuration) => {
            files.push(("config.txt", configuration.in_words(str::to_owned).into_bytes()));
            files.push(("config.json", json(&configuration)));
        }
        Err(why) => files.push(("config.txt", why.into_bytes())),
    }
    files.push(match agent.doctor().await {
        Ok(diagnosis) => ("doctor.json", json(&quiet(&diagnosis))),
        Err(why) => ("doctor.txt", why.into_bytes()),
    });
    let mut reasons = Vec::new();
    for pipeline in status.pipelines.iter().filter(|pipeline| pipeline.dead_letters > 0) {
        reasons.extend(reasons_of(agent, &pipeline.id).await);
    }
    files.push(("dead-letters.json", json(&reasons)));
    let lines: String = log::recent().iter().map(|line| format!("{}\n", told(line))).collect();
    files.push(("log.txt", lines.into_bytes()));
    let folder = PathBuf::from(&status.data_dir);
    let made = tokio::task::spawn_blocking(move || {
        files.push(("machine.txt", machine::facts(&folder).into_bytes()));
        archive(&files, now).and_then(|tar| gzip::compress(&tar, 6))
    });
    made.await.map_err(|error| error.to_string())?.map_err(|error| format!("the archive can't be made: {error}"))
}

async fn reasons_of<O: Operations>(agent: &O, pipeline: &str) -> Vec<Reason> {
    let (mut reasons, mut from) = (Vec::new(), 0);
    while reasons.len() < LETTERS {
        let Ok(page) = agent.dead_letters(pipeline, from, SLICE).await else { break };
        let Some(last) = page.last() else { break };
        from = last.number.saturating_add(1);
        reasons.extend(page.into_iter().map(reason));
    }
    reasons
}

fn reason(letter: DeadLetter) -> Reason {
    let DeadLetter { pipeline, number, at, index, kind, reason, status, .. } = letter;
    Reason { pipeline, number, at, index, kind, reason: head(&reason).to_owned(), status }
}

/// Why a document was refused: more than its beginning may quote it.
fn head(reason: &str) -> &str {
    let reason = told(reason);
    reason.split_once(": ").map_or(reason, |(head, _)| head)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_else(|error| error.to_string().into_bytes())
}

fn archive(files: &[(&'static str, Vec<u8>)], now: Timestamp) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.0 / 1000).unwrap_or(0));
        archive.append_data(&mut header, format!("splashdam-support/{name}"), content.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_reason_nothing_is_kept_that_quotes_the_document() {
        for (reason, want) in [
            (
                "failed to parse field [status] of type [long] in document with id 'x'. Preview of field's value: 'hush'",
                "failed to parse field [status] of type [long]",
            ),
            ("failed to parse: For input string: \"hush\"", "failed to parse"),
            (
                "mapping set to strict, dynamic introduction of [u] within [_doc] is not allowed",
                "mapping set to strict, dynamic introduction of [u] within [_doc] is not allowed",
            ),
        ] {
            assert_eq!(head(reason), want);
        }
    }
}
