//! What an error of the cluster is about, by its type first: a document, an index, load.
//!
//! Pure tables. Only `response` asks; what is found here becomes a verdict there.

use std::borrow::Cow;

use serde::Deserialize;

/// Longest reason kept; Elasticsearch quotes whole documents in some.
const REASON_MAX: usize = 2000;

/// What was refused and why, as the cluster says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Elasticsearch's error type; where there is none, `http_STATUS`.
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) status: u16,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = if self.reason.is_empty() { "no reason was given" } else { &self.reason };
        write!(f, "{} ({}): {reason}", self.kind, self.status)
    }
}

/// What an error's type (and, where the type alone says too little, its reason) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Load,
    /// The id exists.
    Conflict,
    /// One document can't be indexed as it is; others can.
    Document,
    /// The index can't take anything now.
    Index,
    Rights,
    /// The type says nothing that we know: the status decides.
    Unknown,
}

/// An `error` object: `{"type":…,"reason":…,"caused_by":{…}}`, or a bare text.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorBody<'a> {
    #[serde(borrow)]
    Cause(Cause<'a>),
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Default, Deserialize)]
struct Cause<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    caused_by: Option<Box<Cause<'a>>>,
    /// Set where an ingest processor failed on the document.
    #[serde(borrow, default)]
    processor_type: Option<Cow<'a, str>>,
}

/// Reads an `error` value.
pub(super) fn read(error: &str, status: u16) -> (About, Refusal) {
    let cause = match serde_json::from_str(error) {
        Ok(ErrorBody::Cause(cause)) => cause,
        Ok(ErrorBody::Text(text)) => Cause { reason: Some(text), ..Cause::default() },
        Err(_) => Cause { reason: Some(Cow::Borrowed(error)), ..Cause::default() },
    };
    let mut reason = String::new();
    let mut processor = false;
    let mut immense = false;
    let mut next = Some(&cause);
    while let Some(cause) = next {
        processor |= cause.processor_type.is_some();
        immense |= cause.kind.as_deref() == Some("max_bytes_length_exceeded_exception");
        if let Some(text) = cause.reason.as_deref().filter(|text| !reason.contains(*text)) {
            if !reason.is_empty() {
                reason.push_str(": ");
            }
            reason.push_str(text);
        }
        next = cause.caused_by.as_deref();
    }
    shorten(&mut reason);
    let kind = cause.kind.as_deref().map_or_else(|| format!("http_{status}"), str::to_owned);
    let about = match about(&kind, &reason) {
        About::Unknown if immense || processor && status == 400 => About::Document,
        about => about,
    };
    (about, Refusal { kind, reason, status })
}

/// A refusal without an error object: the status, and the head of whatever was said.
pub(super) fn bare(status: u16, body: &[u8]) -> Refusal {
    let head = body.get(..200).unwrap_or(body);
    let reason = String::from_utf8_lossy(head).split_whitespace().collect::<Vec<_>>().join(" ");
    Refusal { kind: format!("http_{status}"), reason, status }
}

fn shorten(reason: &mut String) {
    if reason.len() > REASON_MAX {
        let at = (0..=REASON_MAX).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        reason.truncate(at);
        reason.push('…');
    }
}

fn about(kind: &str, reason: &str) -> About {
    let says = |texts: &[&str]| texts.iter().any(|text| reason.contains(text));
    match kind {
        "es_rejected_execution_exception" | "rejected_execution_exception" | "circuit_breaking_exception" => {
            About::Load
        }
        "version_conflict_engine_exception" => About::Conflict,
        "cluster_block_exception" | "index_closed_exception" | "index_not_found_exception" => About::Index,
        "security_exception" => About::Rights,
        // The mapping itself (from a template) can't be read: no document could be indexed.
        "mapper_parsing_exception" if reason.starts_with("Failed to parse mapping") => About::Index,
        "mapper_parsing_exception"
        | "document_parsing_exception"
        | "strict_dynamic_mapping_exception"
        | "not_x_content_exception"
        | "x_content_parse_exception"
        | "json_parse_exception"
        | "stream_constraints_exception"
        | "fail_processor_exception"
        | "ingest_processor_exception" => About::Document,
        "illegal_argument_exception" | "validation_exception" if says(INDEX_REASONS) => About::Index,
        "illegal_argument_exception" if says(DOCUMENT_REASONS) => About::Document,
        _ => About::Unknown,
    }
}

/// Reasons of `illegal_argument_exception` and `validation_exception` that are about the index.
const INDEX_REASONS: &[&str] = &[
    "this action would add [",                  // more shards than the cluster may have
    "only write ops with an op_type of create", // a data stream
    "] does not exist",                         // pipeline with id [x] does not exist
    "no write index is defined for alias",
];

/// Reasons of `illegal_argument_exception` that are about one document.
const DOCUMENT_REASONS: &[&str] = &[
    "Limit of total fields",
    "Limit of nested fields",
    "Limit of mapping depth",
    "Limit of field name length",
    "The number of nested documents has exceeded",
    "immense term",
    "can't merge a non object mapping",
    "can't merge a non-nested mapping",
    "cannot be changed from",
    "different type, current_type",
    "object mapping for [",
    "field name cannot",
    "field name is null or empty",
    "object field starting or ending with a [.]",
    "data stream timestamp field",
    "outside of ranges of currently writable indices",
    // Of ingest processors (grok, date, dissect, convert and who reads a field), whose name is not always told.
    "Provided Grok expressions do not match",
    "unable to parse date [",
    "Unable to find match for dissect pattern",
    "unable to convert [",
    "] not present as part of path [",
    "] is null, cannot ",
];
