//! `GET /tap?pipeline=JOB&where=TEXT&from=CURSOR&limit=N`: the documents of a job as they pass, a page at a time.
//!
//! Promises: every answer comes within some seconds, with documents or without; what passed and is not shown is told by
//! its number, or that it is not known. Holds nothing: where a reader is stands in its cursor.

use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientError};

/// What a reader wants to see next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tap {
    pub pipeline: String,
    /// Only documents with this text in them, as their JSON has it.
    pub text: Option<String>,
    /// `next` of the answer before. `None`: from now on; that is answered at once, with the first cursor.
    pub from: Option<String>,
    /// At most so many documents.
    pub limit: Option<u64>,
}

/// Answer to `GET /tap`: what passed since the cursor, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tapped {
    /// Where the next page begins; means nothing to anybody but the agent.
    pub next: String,
    pub documents: Vec<TappedDocument>,
    /// Documents that passed faster than they could be kept for this reader.
    pub skipped: u64,
    /// Nobody asked for a while, or the job was started anew: what passed meanwhile is not here and not counted.
    pub lapsed: bool,
}

/// A document as it goes into its request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TappedDocument {
    pub index: String,
    pub id: String,
    /// `create`, `index`, `update` or `delete`.
    pub action: String,
    /// Its JSON, byte for byte (invalid UTF-8 replaced). Empty: a `delete` has none.
    pub document: String,
}

impl Client {
    /// Waits some seconds for documents of a job to pass; gives those that did.
    pub async fn tap(&self, tap: &Tap) -> Result<Tapped, ClientError> {
        let limit = tap.limit.map(|limit| limit.to_string());
        let given = [("where", &tap.text), ("from", &tap.from), ("limit", &limit)];
        let mut pairs = vec![("pipeline", tap.pipeline.as_str())];
        pairs.extend(given.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))));
        self.get("/tap", &pairs).await
    }
}
