//! GetCursor, GetCursorTime and PullLogs.

use std::sync::Mutex;

use hyper::Response;
use serde_json::json;

use super::compression::Packing;
use super::events::What;
use super::log_group;
use super::refusal::Refusal;
use super::request::Request;
use super::routes::{self, Answer, required};
use super::shards::{Page, cursor_text};
use super::state::State;
use crate::answer_body::AnswerBody;

/// The most groups in one answer.
const MAX_COUNT: usize = 1000;

/// `type=cursor`.
pub(super) fn cursor(state: &mut State, logstore: &str, shard: u32, request: &Request) -> Result<Answer, Refusal> {
    let from = required(request, "from")?;
    let cursor = state.store(logstore)?.shards.get(shard)?.cursor_from(from)?;
    Ok(routes::json(&json!({ "cursor": cursor_text(cursor) })))
}

/// `type=cursor_time`.
pub(super) fn cursor_time(state: &mut State, logstore: &str, shard: u32, request: &Request) -> Result<Answer, Refusal> {
    let text = required(request, "cursor")?;
    let shard = state.store(logstore)?.shards.get(shard)?;
    let time = shard.time_at(shard.cursor(text)?);
    Ok(routes::json(&json!({ "cursor_time": time })))
}

/// `type=logs` and `type=log`, GET and HEAD. The lock is not held while the answer is packed.
pub(super) fn logs(
    state: &Mutex<State>,
    logstore: &str,
    shard: u32,
    request: &Request,
    key_id: &str,
) -> Result<Answer, Refusal> {
    let page = {
        let mut state = state.lock().unwrap();
        take(&mut state, logstore, shard, request, key_id)?
    };
    Ok(answer(&page, request))
}

fn take(state: &mut State, logstore: &str, id: u32, request: &Request, key_id: &str) -> Result<Page, Refusal> {
    if request.parameter("query").is_some() || request.parameter("processor").is_some() {
        return Err(Refusal::parameter("this server runs no query and no processor"));
    }
    let text = required(request, "cursor")?;
    let count = required(request, "count")?;
    let count: usize = count
        .parse()
        .ok()
        .filter(|count| *count <= MAX_COUNT)
        .ok_or_else(|| Refusal::parameter(format!("count is a number from 0 to {MAX_COUNT}, not {count}")))?;
    let max_bytes = state.options.max_pull_bytes;
    let store = state.store(logstore)?;
    let shard = store.shards.get(id)?;
    let cursor = shard.cursor(text)?;
    let end = request.parameter("end_cursor").filter(|end| !end.is_empty()).map(|end| shard.cursor(end)).transpose()?;
    let page = shard.page(cursor, end, count, max_bytes);
    let holder = |name: &String, consumer: Option<&str>| consumer.map(|consumer| (name.clone(), consumer.to_owned()));
    let holders = store.groups.iter().filter_map(|(name, group)| holder(name, group.owner(id))).collect();
    let (next, groups) = (page.next, page.groups.len());
    let logstore = logstore.to_owned();
    state.note(key_id, What::Pulled { logstore, shard: id, cursor, next, groups, holders });
    Ok(page)
}

fn answer(page: &Page, request: &Request) -> Answer {
    let mut list = Vec::with_capacity(page.raw_size);
    for group in &page.groups {
        log_group::list_entry(&mut list, group);
    }
    assert_eq!(list.len(), page.raw_size, "sizes are counted as they are written");
    let packing =
        if list.is_empty() { Packing::Identity } else { Packing::accepted(request.header("accept-encoding")) };
    let mut head = Response::builder()
        .header("content-type", "application/x-protobuf")
        .header("x-log-cursor", cursor_text(page.next))
        .header("x-log-count", page.groups.len())
        .header("x-log-bodyrawsize", list.len())
        .header("x-log-cursor-time", page.time)
        .header("x-log-end-of-cursor", u16::from(page.at_end));
    if packing != Packing::Identity {
        head = head.header("x-log-compresstype", packing.name());
    }
    if let Some(last) = page.last {
        head = head.header("x-log-read-last-cursor", last);
    }
    head.body(AnswerBody::whole(packing.pack(&list))).unwrap()
}
