//! The documents that were accepted.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

/// One accepted document.
#[derive(Clone, Debug)]
pub struct Document {
    pub source: Bytes,
    /// How many documents were accepted before it.
    pub order: usize,
    /// The external version; 1 where none was given.
    pub version: u64,
}

impl Document {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.source).expect("an accepted document is JSON")
    }
}

#[derive(Debug, Default)]
pub struct Documents {
    indices: HashMap<String, HashMap<String, Document>>,
    accepted: usize,
    /// `create` of what was there with the same content: a resend.
    pub resent: usize,
    /// `create` of what was there but for `@timestamp`: the same line, read again at another time.
    pub read_again: usize,
    /// `create` of what was there with another content, as (index, id).
    pub collisions: Vec<(String, String)>,
    attempts: HashMap<String, u32>,
}

/// A document without the time at which its line was read.
fn timeless(source: &[u8]) -> Option<serde_json::Value> {
    let mut document: serde_json::Value = serde_json::from_slice(source).ok()?;
    document.as_object_mut()?.remove("@timestamp");
    Some(document)
}

impl Documents {
    /// False if it is there already.
    pub(super) fn create(&mut self, index: &str, id: &str, source: Bytes) -> bool {
        let known = self.indices.entry(index.to_owned()).or_default();
        if let Some(there) = known.get(id) {
            if there.source == source {
                self.resent += 1;
            } else if timeless(&there.source) == timeless(&source) {
                self.read_again += 1;
            } else {
                self.collisions.push((index.to_owned(), id.to_owned()));
            }
            return false;
        }
        known.insert(id.to_owned(), Document { source, order: self.accepted, version: 1 });
        self.accepted += 1;
        true
    }

    /// Puts a document in place of an older version. The error is the later version that is there.
    pub(super) fn index(&mut self, index: &str, id: &str, source: Bytes, version: Option<u64>) -> Result<(), u64> {
        self.may_change(index, id, version)?;
        let document = Document { source, order: self.accepted, version: version.unwrap_or(1) };
        self.indices.entry(index.to_owned()).or_default().insert(id.to_owned(), document);
        self.accepted += 1;
        Ok(())
    }

    /// `update` with `doc_as_upsert`: changes the fields that `doc` has.
    pub(super) fn update(&mut self, index: &str, id: &str, doc: &Value) {
        let mut document = self.get(index, id).map_or_else(|| serde_json::json!({}), Document::json);
        for (name, value) in doc.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        let source = document.to_string().into_bytes().into();
        let known = self.indices.entry(index.to_owned()).or_default();
        known.insert(id.to_owned(), Document { source, order: self.accepted, version: 1 });
        self.accepted += 1;
    }

    /// Takes a document out. `Ok(false)`: there is none.
    pub(super) fn delete(&mut self, index: &str, id: &str, version: Option<u64>) -> Result<bool, u64> {
        self.may_change(index, id, version)?;
        Ok(self.indices.get_mut(index).and_then(|known| known.remove(id)).is_some())
    }

    fn may_change(&self, index: &str, id: &str, version: Option<u64>) -> Result<(), u64> {
        match (self.get(index, id), version) {
            (Some(there), Some(version)) if there.version > version => Err(there.version),
            _ => Ok(()),
        }
    }

    /// Counts attempts of `id`; gives how many there were before. Only refused ids are remembered.
    pub(super) fn attempt(&self, id: &str) -> u32 {
        self.attempts.get(id).copied().unwrap_or(0)
    }

    pub(super) fn refused(&mut self, id: &str) {
        *self.attempts.entry(id.to_owned()).or_default() += 1;
    }

    /// How often `id` was refused.
    pub fn refusals(&self, id: &str) -> u32 {
        self.attempt(id)
    }

    pub fn get(&self, index: &str, id: &str) -> Option<&Document> {
        self.indices.get(index)?.get(id)
    }

    /// (id, document) of one index, in no order.
    pub fn of(&self, index: &str) -> impl Iterator<Item = (&str, &Document)> {
        self.indices.get(index).into_iter().flatten().map(|(id, document)| (id.as_str(), document))
    }

    /// Names of indices that hold something.
    pub fn indices(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.indices.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Documents of `index` as JSON in the order of their arrival.
    pub fn in_order(&self, index: &str) -> Vec<Value> {
        let mut all: Vec<&Document> = self.of(index).map(|(_, document)| document).collect();
        all.sort_by_key(|document| document.order);
        all.into_iter().map(Document::json).collect()
    }
}
