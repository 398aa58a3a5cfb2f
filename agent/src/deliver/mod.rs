//! Requests go out, verdicts come back: the room that talks to Elasticsearch and OpenSearch.
//!
//! Promises: what became of a document is decided in `response.rs` and nowhere else; nothing that can be
//! delivered later is given up; secrets are read when they are needed and never shown. It does not know where
//! the bytes come from or where verdicts are written: `pipeline` connects it with the store.

mod body;
mod client;
mod compare;
mod concurrency;
mod connection;
mod endpoints;
mod examine;
mod identity;
mod indices;
mod probe;
mod refusal;
mod response;
mod retry;
mod tls;

pub(crate) use body::{Item, cut, items, raise};
pub(crate) use client::{Client, Failure, Reply};
pub(crate) use concurrency::Concurrency;
#[cfg(test)]
pub(crate) use examine::Field;
pub(crate) use examine::{Condition, Disk, Examiner, IndexState, Mapping};
pub(crate) use identity::Identity;
pub(crate) use indices::{Indices, Wanted};
pub(crate) use probe::{Trouble as Unreached, probe};
pub(crate) use refusal::Refusal;
pub(crate) use response::{
    Answer, Sent, Trouble, Verdict, Whole, judge, judge_conflict, judge_failure, judge_question,
};
pub(crate) use retry::Backoff;
#[cfg(test)]
pub(crate) use tls::served;
