//! What became of a bulk request: the one place where an answer becomes verdicts.
//!
//! Pure. Every item of a request gets exactly one verdict, by error type first, then by status: a flood-stage
//! block comes as 429 and a closed index as 400. An answer that can't be read, or that does not speak of as many
//! documents as were sent, says nothing about any of them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Failure, Reply};
use super::compare::same_fields;
use super::refusal::{self, About, Refusal};
use super::retry::retry_after;
use crate::record::Timestamp;

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// The index had it already, from an earlier send.
    Duplicate,
    /// The id is taken although this was the first send: whether by the same document must be looked up.
    Compare,
    /// The index has this later version of it: ours, if we ever issued it.
    Outdated(u64),
    /// Not now. `rejected`: because of load.
    Retry {
        rejected: bool,
    },
    /// Never as it is: a dead letter.
    Refused(Box<Refusal>),
    /// Its index takes nothing, or says something that we do not know: the lane is parked, the document stays owed.
    Parked(Box<Refusal>),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    AllDone,
    /// One verdict per document, in the order sent.
    Items(Vec<Verdict>),
    Whole(Whole),
}

/// One verdict for all documents of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// Again later; never counted against the documents.
    Retry {
        trouble: Trouble,
        wait: Option<Duration>,
        status: u16,
        reason: String,
    },
    /// Too large, or one of them spoils it for the others: in halves.
    Halve {
        too_large: bool,
        refusal: Refusal,
    },
    ParkSink(Refusal),
    ParkLane(Refusal),
}

/// What kind of trouble a retry is due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing was sent.
    Unreachable,
    /// The cluster is alive and asks for less.
    Rejected,
    /// Anything else; the request may have been carried out.
    Failed,
}

/// Documents of a request that share a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) items: u32,
    /// They may have been sent before.
    pub(crate) before: bool,
}

/// Judges an answer to a bulk request of `sent` items.
pub(crate) fn judge(reply: &Reply, sent: &[Sent], now: Timestamp) -> Answer {
    let expected: usize = sent.iter().map(|s| s.items as usize).sum();
    if reply.is_success() {
        return judge_items(&reply.body, sent, expected);
    }
    let wait = reply.retry_after.as_deref().and_then(|value| retry_after(value, now));
    Answer::Whole(judge_whole(reply, wait))
}

/// Judges a request without an answer.
pub(crate) fn judge_failure(failure: &Failure) -> Whole {
    let trouble = match failure {
        Failure::Unreachable(_) => Trouble::Unreachable,
        Failure::Broken(_) | Failure::TimedOut(_) => Trouble::Failed,
        Failure::Settings(reason) => return Whole::ParkSink(ours("settings", reason)),
        Failure::IndexName(_) => return Whole::ParkLane(ours("invalid_index_name", &failure.to_string())),
    };
    Whole::Retry { trouble, wait: None, status: 0, reason: failure.to_string() }
}

/// Judges the answer to a question or a piece of set-up (`what`) without which nothing can be sent.
///
/// # Errors
/// The verdict for what was to be sent. Since it was not, a failure is not counted against it.
pub(crate) fn judge_question(reply: &Result<Reply, Failure>, what: &str) -> Result<(), Whole> {
    let whole = match reply {
        Ok(reply) if reply.is_success() => return Ok(()),
        Ok(reply) => judge_whole(reply, None),
        Err(failure) => judge_failure(failure),
    };
    let about = |refusal: Refusal| Refusal { reason: format!("{what}: {}", refusal.reason), ..refusal };
    Err(match whole {
        Whole::Retry { trouble, wait, status, reason } => {
            let trouble = if trouble == Trouble::Failed { Trouble::Unreachable } else { trouble };
            Whole::Retry { trouble, wait, status, reason: format!("{what}: {reason}") }
        }
        Whole::Halve { refusal, .. } | Whole::ParkSink(refusal) => Whole::ParkSink(about(refusal)),
        Whole::ParkLane(refusal) => Whole::ParkLane(about(refusal)),
    })
}

/// Judges a document whose id was taken at its first send, by what is stored under that id. `processed`: an
/// ingest pipeline is in between.
pub(crate) fn judge_conflict(sent: &[u8], stored: Option<&[u8]>, processed: bool) -> Verdict {
    match stored {
        None => Verdict::Compare, // gone meanwhile: it can be created
        Some(stored) if same_fields(sent, stored, processed) => Verdict::Duplicate,
        Some(_) => Verdict::Refused(Box::new(Refusal {
            kind: "id_collision".to_owned(),
            reason: "another document has this id".to_owned(),
            status: 409,
        })),
    }
}

fn ours(kind: &str, reason: &str) -> Refusal {
    Refusal { kind: kind.to_owned(), reason: reason.to_owned(), status: 0 }
}

fn judge_whole(reply: &Reply, wait: Option<Duration>) -> Whole {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    let status = reply.status;
    let (about, refusal) = match serde_json::from_slice::<Body<'_>>(&reply.body) {
        Ok(body) => refusal::read(body.error.get(), status),
        Err(_) => (About::Unknown, refusal::bare(status, &reply.body)),
    };
    match (about, status) {
        (About::Index, _) => Whole::ParkLane(refusal),
        (About::Rights, _) => Whole::ParkSink(refusal),
        (About::Load, _) | (_, 429 | 503) => {
            Whole::Retry { trouble: Trouble::Rejected, wait, status, reason: refusal.to_string() }
        }
        (_, 408 | 500..) | (_, ..=399) => {
            Whole::Retry { trouble: Trouble::Failed, wait, status, reason: refusal.to_string() }
        }
        (_, 400) => Whole::Halve { too_large: false, refusal },
        (_, 413) => Whole::Halve { too_large: true, refusal },
        (_, 401 | 403 | 404 | 405) => Whole::ParkSink(refusal),
        _ => Whole::ParkLane(refusal),
    }
}

fn judge_items(body: &[u8], sent: &[Sent], expected: usize) -> Answer {
    if all_created(body) == Some(expected) {
        return Answer::AllDone;
    }
    let unreadable = |why: String| {
        let reason = format!("the answer can't be read: {why}");
        Answer::Whole(Whole::Retry { trouble: Trouble::Failed, wait: None, status: 0, reason })
    };
    let items = match serde_json::from_slice::<Bulk<'_>>(body) {
        Ok(bulk) => bulk.items,
        Err(error) if body.trim_ascii_start().starts_with(b"{") => return unreadable(error.to_string()),
        Err(_) => return unreadable(format!("it is no JSON object: {}", refusal::bare(0, body).reason)),
    };
    if items.len() != expected {
        return unreadable(format!("it speaks of {} documents, {expected} were sent", items.len()));
    }
    let before = sent.iter().flat_map(|s| std::iter::repeat_n(s.before, s.items as usize));
    let verdicts: Vec<Verdict> = items.iter().zip(before).map(|(item, before)| judge_item(item, before)).collect();
    if verdicts.iter().all(|verdict| *verdict == Verdict::Done) { Answer::AllDone } else { Answer::Items(verdicts) }
}

fn judge_item(item: &BulkItem<'_>, before: bool) -> Verdict {
    let (BulkItem::Create(outcome) | BulkItem::Index(outcome) | BulkItem::Update(outcome) | BulkItem::Delete(outcome)) =
        item;
    let status = outcome.status;
    let (about, refusal) = match outcome.error {
        None if (200..300).contains(&status) => return Verdict::Done,
        // What is to be gone was not there.
        None if status == 404 && matches!(item, BulkItem::Delete(_)) => return Verdict::Done,
        None => (About::Unknown, refusal::bare(status, b"no error was given")),
        Some(error) => refusal::read(error.get(), status),
    };
    match (about, status) {
        (About::Load, _) => Verdict::Retry { rejected: true },
        (About::Conflict, _) | (About::Unknown, 409) => judge_taken(item, before, &refusal),
        (About::Document, _) => Verdict::Refused(Box::new(refusal)),
        (About::Index | About::Rights, _) => Verdict::Parked(Box::new(refusal)),
        (About::Unknown, 429 | 503) => Verdict::Retry { rejected: true },
        (About::Unknown, 408 | 500..=599) => Verdict::Retry { rejected: false },
        (About::Unknown, _) => Verdict::Parked(Box::new(refusal)),
    }
}

/// A conflict means something else for each action.
fn judge_taken(item: &BulkItem<'_>, before: bool, refusal: &Refusal) -> Verdict {
    match item {
        BulkItem::Create(_) if before => Verdict::Duplicate,
        BulkItem::Create(_) => Verdict::Compare,
        BulkItem::Index(_) | BulkItem::Delete(_) => match current_version(&refusal.reason) {
            Some(version) => Verdict::Outdated(version),
            None => Verdict::Parked(Box::new(refusal.clone())),
        },
        // Somebody else changed the document between the cluster's reading and writing of it.
        BulkItem::Update(_) => Verdict::Retry { rejected: false },
    }
}

/// From `[id]: version conflict, current version [5] is higher than the one provided [4]`.
fn current_version(reason: &str) -> Option<u64> {
    let (_, rest) = reason.rsplit_once("current version [")?;
    rest.split(']').next()?.parse().ok()
}

const HEAD: &[u8] = br#"{"errors":false,"items":["#;
const CREATED: &[u8; 26] = br#"{"create":{"status":201}},"#;

/// The number of documents in an answer that says of each that it was created, in exactly the bytes in which
/// every version writes it. `None`: another answer, to be parsed. (A backlog's answers are megabytes of this.)
fn all_created(body: &[u8]) -> Option<usize> {
    let items = body.strip_prefix(HEAD)?.strip_suffix(b"]}")?;
    let (last, whole) = match items.len().checked_sub(CREATED.len() - 1)? {
        0 => (items, &[][..]),
        before => (items.get(before..)?, items.get(..before)?),
    };
    let (chunks, rest) = whole.as_chunks::<26>();
    let created = rest.is_empty() && last == &CREATED[..25] && chunks.iter().all(|chunk| chunk == CREATED);
    created.then_some(chunks.len() + 1)
}

/// A bulk answer, borrowed from its bytes.
#[derive(Deserialize)]
struct Bulk<'a> {
    /// Must be there: something else that happens to have `items` is no bulk answer.
    #[serde(rename = "errors")]
    _errors: bool,
    #[serde(borrow)]
    items: Vec<BulkItem<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BulkItem<'a> {
    #[serde(borrow)]
    Create(Outcome<'a>),
    #[serde(borrow)]
    Index(Outcome<'a>),
    #[serde(borrow)]
    Update(Outcome<'a>),
    #[serde(borrow)]
    Delete(Outcome<'a>),
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests;
