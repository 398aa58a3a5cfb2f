//! A look at what has arrived: `POST /search`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Body of `POST /search`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// As Elasticsearch takes it: a name, several with commas, a pattern with `*`.
    pub index: String,
    /// A Lucene query string.
    pub query: String,
    /// At most so many hits, 1 to 10,000.
    pub limit: u32,
    /// Whose connection is used. `None`: the only one, or that of the job which writes to the index.
    #[serde(default)]
    pub job: Option<String>,
}

/// Answer to `POST /search`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Whose connection was used.
    pub job: String,
    /// How many there are in all.
    pub total: u64,
    /// There may be more than `total`.
    pub at_least: bool,
    /// As Elasticsearch gave them, with `_index`, `_id`, `_source`.
    pub hits: Vec<Value>,
}
