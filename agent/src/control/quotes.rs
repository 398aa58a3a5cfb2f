//! Texts without what they quote of documents, for who may know how jobs are but not what they ship.
//!
//! Promises: of a refusal that Elasticsearch is known to word so, and of what the agent says itself, nothing is left that
//! stood in a document. Other words can't be told apart from it.

use serde::Serialize;
use serde_json::Value;

/// Behind these a text quotes what was read: the id, the value of a field, what a parser choked on.
const QUOTES: &[&str] = &[
    " in document with id",
    ". Preview of",
    ": For input string",
    ": failed to parse date field",
    "The prefix of the first immense term",
    " match field value",
    "unable to parse date [",
    "unable to convert [",
    "found a concrete value",
    " against source",
    " found=",
    " example=",
];

/// A text up to where it quotes a document.
pub(super) fn told(text: &str) -> &str {
    let end = QUOTES.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// The same of all texts in it.
pub(super) fn quiet(value: &impl Serialize) -> Value {
    fn cut(value: &mut Value) {
        match value {
            Value::String(text) => *text = told(text).to_owned(),
            Value::Array(list) => list.iter_mut().for_each(cut),
            Value::Object(map) => map.values_mut().for_each(cut),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = serde_json::to_value(value).unwrap_or_default();
    cut(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_status_or_a_log_quotes_a_document() {
        let why = "mapper_parsing_exception: failed to parse field [n] of type [long] in document with id 'x'. Preview of field's value: 'hush'";
        let status = serde_json::json!({ "pipelines": [{ "id": "web", "why": why, "owed": 7 }] });
        let want = "mapper_parsing_exception: failed to parse field [n] of type [long]";
        assert_eq!(quiet(&status), serde_json::json!({ "pipelines": [{ "id": "web", "why": want, "owed": 7 }] }));
        assert_eq!(
            told("WARN a record without a readable time job=web field=ts example=hush"),
            "WARN a record without a readable time job=web field=ts"
        );
    }
}
