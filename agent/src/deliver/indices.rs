//! The indices behind a name: put up before the first request, looked into before a resend.
//!
//! A data stream and an alias keep an `_id` unique within one backing index only. Whoever sends again across a
//! rollover must look into the backing indices since the first send; a realtime `_mget` does, and sees documents
//! that no search shows yet. For a plain index nothing of this costs a request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::client::{Client, encoded};
use super::identity::{Flavour, Identity};
use super::refusal::Refusal;
use super::response::{Trouble, Whole, judge_question};
use crate::plan::BootstrapPlan;

/// Documents asked for in one `_mget`.
const ASKED_AT_ONCE: usize = 1000;
/// The same, where documents are wanted and not just their presence.
const FETCHED_AT_ONCE: usize = 64;
/// Names whose backing indices are remembered.
const REMEMBERED: usize = 4096;

/// What is known of the indices of one sink.
#[derive(Debug, Default)]
pub(crate) struct Indices {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Templates and policies have been put.
    common: bool,
    /// Name → the index behind it that took writes when it was last looked at; `None`: there was none yet.
    names: HashMap<Arc<str>, Option<Arc<str>>>,
}

/// A document asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: String,
    pub(crate) routing: Option<String>,
}

impl Indices {
    /// Puts up what the plan wants to be there, once per process and again after [`Indices::forget`]. Gives the
    /// index that takes writes now or took them not long ago, if there is one.
    ///
    /// # Errors
    /// The verdict for whatever was to be sent.
    pub(crate) async fn prepare(
        &self,
        client: &Client,
        plan: &BootstrapPlan,
        identity: &Identity,
        index: &Arc<str>,
    ) -> Result<Option<Arc<str>>, Whole> {
        let mut state = self.state.lock().await;
        if !state.common {
            bootstrap(client, plan, identity).await?;
            state.common = true;
        }
        if let Some(write_index) = state.names.get(index) {
            return Ok(write_index.clone());
        }
        if plan.data_stream {
            make_data_stream(client, identity, index).await?;
        }
        let write_index = backing(client, index).await?.pop();
        if state.names.len() >= REMEMBERED {
            state.names.clear();
        }
        state.names.insert(index.clone(), write_index.clone());
        Ok(write_index)
    }

    /// The index was not found: what was put up may be gone with it.
    pub(crate) async fn forget(&self, index: &str) {
        let mut state = self.state.lock().await;
        state.common = false;
        state.names.remove(index);
    }

    /// The indices to look into before a resend: those behind `index` since `write_index` (all, if that is not
    /// known). `None`: there is just one, whose ids are unique.
    pub(crate) async fn since(
        &self,
        client: &Client,
        index: &Arc<str>,
        write_index: Option<&str>,
    ) -> Result<Option<Vec<Arc<str>>>, Whole> {
        let known = self.state.lock().await.names.get(index).cloned().flatten();
        if known.is_some_and(|name| name == *index) {
            return Ok(None); // a plain index
        }
        let mut behind = backing(client, index).await?;
        if let Some(newest) = behind.last() {
            self.state.lock().await.names.insert(index.clone(), Some(newest.clone()));
        }
        let since = behind.iter().position(|name| Some(&**name) == write_index).unwrap_or(0);
        behind.drain(..since);
        Ok((behind.len() > 1).then_some(behind))
    }

    /// The documents as stored, `None` where there is none. `sources`: with their fields (else `{}`).
    pub(crate) async fn stored(
        &self,
        client: &Client,
        indices: &[Arc<str>],
        wanted: &[Wanted],
        sources: bool,
    ) -> Result<Vec<Option<Vec<u8>>>, Whole> {
        let mut stored = vec![None; wanted.len()];
        let at_once = if sources { FETCHED_AT_ONCE } else { ASKED_AT_ONCE };
        for index in indices {
            for (asked, found) in wanted.chunks(at_once).zip(stored.chunks_mut(at_once)) {
                for (source, slot) in mget(client, index, asked, sources).await?.into_iter().zip(found) {
                    if source.is_some() {
                        *slot = source;
                    }
                }
            }
        }
        Ok(stored)
    }

    /// The indices to look into for a document of `index`.
    pub(crate) async fn behind(&self, client: &Client, index: &Arc<str>) -> Result<Vec<Arc<str>>, Whole> {
        let behind = backing(client, index).await?;
        Ok(if behind.is_empty() { vec![index.clone()] } else { behind })
    }
}

async fn bootstrap(client: &Client, plan: &BootstrapPlan, identity: &Identity) -> Result<(), Whole> {
    if let Some((name, text)) = &plan.lifecycle {
        let folder = match identity.flavour {
            Flavour::Elasticsearch => "_ilm/policy",
            Flavour::OpenSearch => "_plugins/_ism/policies",
        };
        let reply = client.ask("PUT", &format!("/{folder}/{}", encoded(name)), Some(text.clone().into()), 0).await;
        // OpenSearch does not overwrite one that is there.
        if !reply.as_ref().is_ok_and(|reply| reply.status == 409) {
            judge_question(&reply, &format!("lifecycle policy {name}"))?;
        }
    }
    if let Some((name, text)) = &plan.template {
        let folder = if identity.composable_templates() && !is_legacy(text) { "_index_template" } else { "_template" };
        let reply = client.ask("PUT", &format!("/{folder}/{}", encoded(name)), Some(text.clone().into()), 0).await;
        judge_question(&reply, &format!("index template {name}"))?;
    }
    Ok(())
}

/// Settings or mappings at the top: a template of the kind that Elasticsearch had before 7.8.
fn is_legacy(template: &str) -> bool {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(template).unwrap_or_default();
    fields.contains_key("settings") || fields.contains_key("mappings")
}

async fn make_data_stream(client: &Client, identity: &Identity, index: &str) -> Result<(), Whole> {
    if !identity.composable_templates() {
        let version = identity.version.clone().unwrap_or_default();
        let reason = format!("{version} has no data streams; they need Elasticsearch 7.9 or OpenSearch");
        return Err(Whole::ParkSink(Refusal { kind: "no_data_streams".to_owned(), reason, status: 0 }));
    }
    let reply = client.ask("PUT", &format!("/_data_stream/{}", encoded(index)), None, 0).await;
    match judge_question(&reply, &format!("data stream {index}")) {
        Err(Whole::ParkSink(refusal)) if refusal.kind == "resource_already_exists_exception" => Ok(()),
        // A build without this request makes the stream with its first document.
        Err(Whole::ParkSink(refusal)) if refusal.reason.contains("no handler found") || refusal.status == 405 => Ok(()),
        result => result,
    }
}

/// The concrete indices behind a name, oldest first; none if it does not exist or we may not look.
async fn backing(client: &Client, index: &str) -> Result<Vec<Arc<str>>, Whole> {
    #[derive(Deserialize)]
    struct Index {
        settings: Settings,
    }
    #[derive(Deserialize)]
    struct Settings {
        index: Created,
    }
    #[derive(Deserialize)]
    struct Created {
        creation_date: String,
    }
    let path = format!("/{}/_settings?filter_path=*.settings.index.creation_date", encoded(index));
    let reply = client.ask("GET", &path, None, 10_000).await;
    // Not there, or nothing that we may look at: then there is nothing to be known.
    let unknown = reply.as_ref().is_ok_and(|reply| matches!(reply.status, 400 | 403..=405));
    if !unknown {
        judge_question(&reply, "which indices are behind the name")?;
    }
    let reply = reply.ok().filter(|_| !unknown).unwrap_or_default();
    let found: BTreeMap<String, Index> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let mut found: Vec<(u64, Arc<str>)> = found
        .into_iter()
        .map(|(name, index)| (index.settings.index.creation_date.parse().unwrap_or(0), name.into()))
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

async fn mget(client: &Client, index: &str, wanted: &[Wanted], sources: bool) -> Result<Vec<Option<Vec<u8>>>, Whole> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        docs: Vec<Doc<'a>>,
    }
    #[derive(Deserialize)]
    struct Doc<'a> {
        #[serde(default)]
        found: bool,
        #[serde(borrow, rename = "_source")]
        source: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let docs: Vec<serde_json::Value> = wanted
        .iter()
        .map(|wanted| match &wanted.routing {
            Some(routing) => serde_json::json!({"_id": wanted.id, "routing": routing, "_source": sources}),
            None => serde_json::json!({"_id": wanted.id, "_source": sources}),
        })
        .collect();
    let body = serde_json::json!({ "docs": docs }).to_string().into_bytes();
    let path = format!("/{}/_mget?realtime=true&filter_path=docs.found,docs._source,docs.error", encoded(index));
    // Documents may be a megabyte each: the bound is generous where they are asked for.
    let bound = if sources { wanted.len() * 256 } else { wanted.len() };
    let reply = client.ask("POST", &path, Some(body), bound as u32).await;
    if reply.as_ref().is_ok_and(|reply| reply.status == 404) {
        return Ok(vec![None; wanted.len()]); // deleted by its lifecycle meanwhile
    }
    judge_question(&reply, "looking for documents that may be there")?;
    let reply = reply.unwrap_or_default();
    let answer: Answer<'_> = serde_json::from_slice(&reply.body).map_err(|_| unreadable())?;
    if answer.docs.len() != wanted.len() {
        return Err(unreadable());
    }
    answer.docs.iter().map(|doc| stored(doc.found, doc.source, doc.error)).collect()
}

fn stored(found: bool, source: Option<&RawValue>, error: Option<&RawValue>) -> Result<Option<Vec<u8>>, Whole> {
    match error.map(RawValue::get) {
        Some(error) if !error.contains("index_not_found_exception") => {
            let reason = format!("looking for documents that may be there: {error}");
            Err(Whole::ParkLane(Refusal { kind: "lookup_failed".to_owned(), reason, status: 0 }))
        }
        _ => Ok(found.then(|| source.map_or_else(|| b"{}".to_vec(), |source| source.get().as_bytes().to_vec()))),
    }
}

fn unreadable() -> Whole {
    let reason = "the answer of _mget can't be read".to_owned();
    Whole::Retry { trouble: Trouble::Rejected, wait: None, status: 0, reason }
}
