//! Which call is answered how; the calls that are plain JSON.

use std::sync::Mutex;

use hyper::Response;
use serde_json::{Value, json};

use super::action::Action;
use super::events::What;
use super::groups::Group;
use super::refusal::Refusal;
use super::request::Request;
use super::shards::shard_not_exist;
use super::state::State;
use super::{pull, put};
use crate::answer_body::AnswerBody;

pub(super) type Answer = Response<AnswerBody>;

/// Answers a request that was let in with the key `key_id`.
pub(super) fn answer(state: &Mutex<State>, request: &Request, action: Action, key_id: &str) -> Result<Answer, Refusal> {
    let segments = request.segments();
    let logstore = segments.get(1).map_or("", String::as_str);
    match action {
        Action::PullLogs => pull::logs(state, logstore, shard(&segments)?, request, key_id),
        Action::PutLogs => put::logs(state, logstore, request, key_id),
        _ => {
            let mut state = state.lock().unwrap();
            match action {
                Action::GetProject => Ok(project(&state)),
                Action::ListLogstores => Ok(logstores(&state)),
                Action::GetLogstore => get_logstore(&mut state, logstore),
                Action::ListShards => Ok(json(&state.store(logstore)?.shards.json(None))),
                Action::SplitShard | Action::MergeShards => reshard(&mut state, logstore, shard(&segments)?, request),
                Action::GetCursor => pull::cursor(&mut state, logstore, shard(&segments)?, request),
                Action::GetCursorTime => pull::cursor_time(&mut state, logstore, shard(&segments)?, request),
                _ => group_call(&mut state, logstore, segments.get(3).map(String::as_str), action, request, key_id),
            }
        }
    }
}

fn shard(segments: &[String]) -> Result<u32, Refusal> {
    let text = segments.get(3).map_or("", String::as_str);
    text.parse().map_err(|_| shard_not_exist(text))
}

/// A query parameter that must be there.
pub(super) fn required<'a>(request: &'a Request, name: &str) -> Result<&'a str, Refusal> {
    request.parameter(name).ok_or_else(|| Refusal::parameter(format!("parameter {name} is missing")))
}

fn project(state: &State) -> Answer {
    json(&json!({ "projectName": state.options.project, "status": "Normal", "description": "", "owner": "" }))
}

fn logstores(state: &State) -> Answer {
    let names: Vec<&String> = state.stores.keys().collect();
    json(&json!({ "count": names.len(), "total": names.len(), "logstores": names }))
}

fn get_logstore(state: &mut State, name: &str) -> Result<Answer, Refusal> {
    let store = state.store(name)?;
    Ok(json(&json!({
        "logstoreName": name,
        "ttl": (store.ttl / (24 * 3600)).max(1),
        "shardCount": store.shards.ids().len(),
        "autoSplit": false,
        "maxSplitShard": 64,
        "enable_tracking": false,
        "createTime": store.created,
        "lastModifyTime": store.created,
    })))
}

fn reshard(state: &mut State, logstore: &str, shard: u32, request: &Request) -> Result<Answer, Refusal> {
    let now = state.clock.seconds();
    let shards = &mut state.store(logstore)?.shards;
    let changed = match request.action() {
        Some(Action::MergeShards) => shards.merge(shard, now)?,
        _ => {
            let key = request.parameter("key").or_else(|| request.parameter("splitKey"));
            shards.split(shard, Some(key.ok_or_else(|| Refusal::parameter("parameter key is missing"))?), now)?
        }
    };
    Ok(json(&shards.json(Some(changed))))
}

/// Calls below `/consumergroups`.
fn group_call(
    state: &mut State,
    logstore: &str,
    name: Option<&str>,
    action: Action,
    request: &Request,
    key_id: &str,
) -> Result<Answer, Refusal> {
    let now_ms = state.clock.millis();
    let store = state.store(logstore)?;
    let name = name.unwrap_or("");
    match action {
        Action::CreateConsumerGroup => create_group(state, logstore, request),
        Action::ListConsumerGroup => Ok(json(&store.groups.values().map(Group::json).collect())),
        Action::UpdateConsumerGroup => update_group(store.group(name)?, request),
        Action::DeleteConsumerGroup => {
            store.group(name)?;
            store.groups.remove(name);
            Ok(empty())
        }
        Action::GetCheckPoint => {
            let only = request.parameter("shard").map(str::parse).transpose();
            let only = only.map_err(|_| Refusal::parameter("shard is no number"))?;
            store.group(name)?;
            Ok(json(&store.groups[name].checkpoints_json(only, &store.shards)))
        }
        Action::HeartBeat => {
            let consumer = required(request, "consumer")?;
            let listed: Vec<u32> = serde_json::from_slice(&request.body).map_err(|_| not_json())?;
            store.group(name)?;
            let group = store.groups.get_mut(name).unwrap();
            let (held, events) = group.heartbeat(consumer, &listed, &store.shards, now_ms)?;
            events.into_iter().for_each(|what| state.note(key_id, what));
            Ok(json(&json!(held)))
        }
        _ => {
            store.group(name)?;
            let group = store.groups.get_mut(name).unwrap();
            let body = body(request)?;
            let shard = body.get("shard").and_then(Value::as_u64).and_then(|shard| u32::try_from(shard).ok());
            let cursor = body.get("checkpoint").and_then(Value::as_str);
            let (Some(shard), Some(cursor)) = (shard, cursor) else { return Err(not_json()) };
            // Python writes `True`.
            let forced = request.parameter("forceSuccess").is_some_and(|text| text.eq_ignore_ascii_case("true"));
            let consumer = request.parameter("consumer").filter(|name| !name.is_empty());
            let what = group.update_checkpoint(consumer, forced, shard, cursor, &store.shards, now_ms)?;
            state.note(key_id, what);
            Ok(empty())
        }
    }
}

fn create_group(state: &mut State, logstore: &str, request: &Request) -> Result<Answer, Refusal> {
    let body = body(request)?;
    let name = body.get("consumerGroup").and_then(Value::as_str).filter(|name| !name.is_empty());
    let timeout = body.get("timeout").and_then(Value::as_i64).filter(|timeout| *timeout > 0);
    let order = body.get("order").map_or(Some(false), Value::as_bool);
    let (Some(name), Some(timeout), Some(order)) = (name, timeout, order) else { return Err(not_json()) };
    let store = state.store(logstore)?;
    if store.groups.contains_key(name) {
        return Err(Refusal::bad("ConsumerGroupAlreadyExist", format!("consumer group {name} already exists")));
    }
    store.groups.insert(name.to_owned(), Group::new(name, timeout, order));
    Ok(empty())
}

fn update_group(group: &mut Group, request: &Request) -> Result<Answer, Refusal> {
    let body = body(request)?;
    if let Some(timeout) = body.get("timeout") {
        group.timeout = timeout.as_i64().filter(|timeout| *timeout > 0).ok_or_else(not_json)?;
    }
    if let Some(order) = body.get("order") {
        group.order = order.as_bool().ok_or_else(not_json)?;
    }
    Ok(empty())
}

/// The body as a JSON object.
fn body(request: &Request) -> Result<Value, Refusal> {
    serde_json::from_slice(&request.body).ok().filter(Value::is_object).ok_or_else(not_json)
}

fn not_json() -> Refusal {
    Refusal::bad("JsonInfoInvalid", "the body is not the JSON that this call takes")
}

/// 200 with JSON.
pub(super) fn json(value: &Value) -> Answer {
    let body = AnswerBody::whole(value.to_string());
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

/// 200 with nothing.
pub(super) fn empty() -> Answer {
    Response::new(AnswerBody::whole(""))
}

/// The answer to a call that is not done.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let body = AnswerBody::whole(refusal.json().to_string());
    let head = Response::builder().status(refusal.status).header("content-type", "application/json");
    head.body(body).unwrap()
}

/// Notes a refusal among the events.
pub(super) fn note_refusal(state: &Mutex<State>, action: Option<Action>, key_id: &str, refusal: &Refusal) {
    let what = What::Refused { action, status: refusal.status, code: refusal.code.clone() };
    state.lock().unwrap().note(key_id, what);
}
