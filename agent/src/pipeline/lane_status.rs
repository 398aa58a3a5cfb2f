//! What an operator sees of a pipeline's delivery, and the cluster that it remembers.
//!
//! Holds no secret: errors come here after `deliver` has taken URLs and values out of them. The cluster's uuid
//! is kept in a small file, so that an address that leads to another cluster is noticed after a restart too.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_128;

use super::query_outputs::SINK_MARK;
use crate::deliver::{Identity, Refusal};
use crate::record::Timestamp;

/// Longest name of a sink in a file's name: a job's id is added to it, and 255 bytes is all there is.
const LONGEST_NAME: usize = 120;

/// One pipeline's delivery as `status` shows it. Shared by the delivery loop and the control socket.
#[derive(Debug)]
pub(crate) struct Delivery {
    job: String,
    file: PathBuf,
    shown: Mutex<DeliveryStatus>,
    cluster: Mutex<Option<String>>,
    pub(super) wake: Notify,
    /// Something is read again: documents that are there already are those that were sent before.
    pub(super) filling: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DeliveryStatus {
    /// "elasticsearch 8.19.21"; empty until the cluster was reached.
    pub(crate) cluster: String,
    pub(crate) cluster_uuid: String,
    /// Why nothing at all is sent, if so.
    pub(crate) parked: Option<Parked>,
    /// Indices that wait, by name.
    pub(crate) parked_lanes: Vec<(Arc<str>, Parked)>,
    /// The last failed attempt, and when; kept when things go well again.
    pub(crate) last_error: Option<(Timestamp, String)>,
    pub(crate) in_flight: usize,
    /// Requests that may be in flight now.
    pub(crate) concurrency: usize,
    /// What the cluster has taught us about the size of a request.
    pub(crate) max_raw_bytes: Option<u64>,
    pub(crate) max_wire_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Error type, or one of ours.
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    cluster_uuid: String,
}

impl Delivery {
    /// The status of a job's sink (named where a script has given it a name), with what a file of its own in `folder` remembers
    /// of its cluster. Blocking.
    ///
    /// # Errors
    /// If the file is there and can't be read.
    pub(crate) fn open(folder: &Path, job: &str, sink: Option<&str>) -> std::io::Result<Delivery> {
        let file = folder.join(file_name(job, sink));
        let cluster = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice::<Remembered>(&text).ok().map(|r| r.cluster_uuid),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(std::io::Error::new(error.kind(), format!("{}: {error}", file.display()))),
        };
        Ok(Delivery {
            job: sink.map_or_else(|| job.to_owned(), |sink| format!("{job}.{sink}")),
            file,
            shown: Mutex::default(),
            cluster: Mutex::new(cluster),
            wake: Notify::new(),
            filling: Arc::default(),
        })
    }

    pub(super) fn job(&self) -> &str {
        &self.job
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        self.shown().clone()
    }

    /// What is parked or resting is tried at once.
    pub(crate) fn retry_now(&self) {
        self.wake.notify_one();
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, DeliveryStatus> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, text: &str) {
        self.shown().last_error = Some((Timestamp::now(), text.to_owned()));
    }

    /// Takes note of who is there. Blocking where the cluster is new. `owed`: something was accepted while the
    /// remembered cluster was the one there.
    ///
    /// # Errors
    /// If it is another cluster than the one that documents are owed to.
    pub(super) fn meet(&self, identity: &Identity, owed: bool) -> Result<(), Refusal> {
        if let Some(uuid) = &identity.cluster_uuid {
            self.recognise(uuid, owed)?;
        }
        let product = identity.product();
        let uuid = identity.cluster_uuid.clone().unwrap_or_default();
        let mut shown = self.shown();
        if (&shown.cluster, &shown.cluster_uuid) != (&product, &uuid) {
            let job = &self.job;
            match (&identity.version, &identity.cluster_name) {
                (None, None) => tracing::warn!(%job, "something answers, but it does not say which cluster it is"),
                (_, name) => {
                    let name = name.as_deref().unwrap_or("(not told)");
                    tracing::info!(%job, cluster = %product, %name, "reached");
                }
            }
        }
        (shown.cluster, shown.cluster_uuid) = (product, uuid);
        Ok(())
    }

    /// Compares the cluster with the one that is remembered, and remembers it.
    fn recognise(&self, uuid: &str, owed: bool) -> Result<(), Refusal> {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if cluster.as_deref() == Some(uuid) {
            return Ok(());
        }
        if let Some(before) = cluster.as_ref().filter(|_| owed) {
            let file = self.file.display();
            return Err(Refusal {
                kind: "other_cluster".to_owned(),
                reason: format!(
                    "documents are owed to cluster {before}, but the endpoint leads to {uuid}; if that is meant, \
                     stop the agent, remove {file}, and start it again"
                ),
                status: 0,
            });
        }
        if let Err(error) = remember(&self.file, uuid) {
            tracing::warn!(file = %self.file.display(), %error, "can't remember the cluster");
        }
        *cluster = Some(uuid.to_owned());
        Ok(())
    }
}

/// `JOB.json` or `JOB#SINK.json`. No job has a `#` in its id, so no two names are alike. A sink is called as a script
/// likes: what does not belong into a file's name is written as `%` and a code, and a long name as its hash.
fn file_name(job: &str, sink: Option<&str>) -> String {
    let Some(sink) = sink else { return format!("{job}.json") };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let written = |c: char| if plain(c) { c.to_string() } else { format!("%{:x}.", u32::from(c)) };
    let name: String = sink.chars().map(written).collect();
    let name = if name.len() <= LONGEST_NAME { name } else { format!("%{:032x}", xxh3_128(sink.as_bytes())) };
    format!("{job}{SINK_MARK}{name}.json")
}

fn remember(file: &Path, uuid: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_vec(&Remembered { cluster_uuid: uuid.to_owned() })?;
    let new = file.with_extension("json.new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sinks_share_a_file() {
        let long = ["a", "b"].map(|end| format!("{}{end}", "é".repeat(300)));
        let sinks = [
            ("a.b", None),
            ("a", Some("b")),
            ("a", None),
            ("a", Some("b.json")),
            ("a.b", Some("c")),
            ("a", Some("b.c")),
            ("a", Some("x/y")),
            ("a", Some("x%2f.y")),
            ("a", Some("../a")),
            ("a", Some(&long[0])),
            ("a", Some(&long[1])),
        ];
        let names: std::collections::BTreeSet<String> = sinks.iter().map(|(job, sink)| file_name(job, *sink)).collect();
        assert_eq!(names.len(), sinks.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 255 && !name.contains('/')), "{names:?}");
        assert_eq!(file_name("a", None), "a.json");
    }
}
