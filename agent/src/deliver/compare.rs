//! Whether a stored document is the one that we meant to create.
//!
//! Pure. Documents are compared by their leaves: dotted names and nested objects are the same thing, and neither
//! order nor a single value's array matters, since synthetic `_source` gives them back in its own form.

use std::collections::BTreeMap;

use serde_json::Value;

/// The two documents have the same fields. `processed`: an ingest pipeline may have added, changed the type of
/// or removed fields, so those that both have must agree, and there must be one.
pub(crate) fn same_fields(sent: &[u8], stored: &[u8], processed: bool) -> bool {
    let (Ok(sent), Ok(stored)) = (serde_json::from_slice(sent), serde_json::from_slice(stored)) else { return false };
    let (sent, stored) = (leaves(&sent), leaves(&stored));
    if !processed {
        return sent == stored;
    }
    let mut common = sent.iter().filter_map(|(path, values)| Some((values, stored.get(path)?))).peekable();
    common.peek().is_some() && common.all(|(ours, theirs)| ours == theirs)
}

fn leaves(document: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    collect(document, String::new(), &mut found);
    for values in found.values_mut() {
        values.sort_unstable();
        values.dedup();
    }
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, path.clone(), found)),
        Value::String(text) => found.entry(path).or_default().push(text.clone()),
        other => found.entry(path).or_default().push(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_does_not_matter_and_content_does() {
        let sent = br#"{"@timestamp":"2026-01-01T00:00:00.000Z","log.offset":5,"message":"a","tags":["x"],"n":null}"#;
        let stored = br#"{"message":"a","tags":"x","log":{"offset":5},"@timestamp":"2026-01-01T00:00:00.000Z"}"#;
        assert!(same_fields(sent, stored, false));
        assert!(!same_fields(sent, br#"{"message":"b"}"#, false));
        assert!(!same_fields(sent, br#"{"message":"a"}"#, false));
        assert!(!same_fields(sent, b"", false) && !same_fields(sent, b"[", true));
    }

    #[test]
    fn behind_an_ingest_pipeline_what_is_left_must_agree() {
        let sent = br#"{"message":"GET / 200","log.offset":5}"#;
        assert!(same_fields(sent, br#"{"log":{"offset":5},"status":200}"#, true));
        assert!(!same_fields(sent, br#"{"log":{"offset":6},"status":200}"#, true));
        assert!(!same_fields(sent, br#"{"status":200}"#, true));
    }
}
