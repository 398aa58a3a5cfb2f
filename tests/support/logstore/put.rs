//! PutLogs: one log group, unpacked, looked through, tagged and appended to a shard.

use std::sync::Mutex;

use bytes::Bytes;

use super::compression::Packing;
use super::events::What;
use super::log_group;
use super::refusal::Refusal;
use super::request::Request;
use super::routes::{self, Answer, required};
use super::state::State;

/// The largest group, uncompressed. The service says 3 to 10 MB; its Python SDK sends up to 30.
const MAX_GROUP_BYTES: usize = 30 << 20;
const MAX_KEY_BYTES: usize = 128;
const MAX_VALUE_BYTES: usize = 1 << 20;
/// Seconds that a log's time may lie back and ahead.
const PAST: i64 = 7 * 24 * 3600;
const FUTURE: i64 = 15 * 60;

/// Where a group goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// To any shard.
    Balanced,
    /// To the one that holds this key.
    Key(&'a str),
    /// To this one; only tests ask for that.
    Shard(u32),
}

/// One POST. The lock is not held while the body is unpacked.
pub(super) fn logs(state: &Mutex<State>, logstore: &str, request: &Request, key_id: &str) -> Result<Answer, Refusal> {
    if request.header("content-type") != Some("application/x-protobuf") {
        return Err(Refusal::new(415, "InvalidContentType", "Content-Type must be application/x-protobuf"));
    }
    let way = match request.path.ends_with("/shards/route") {
        true => Way::Key(required(request, "key")?),
        false => Way::Balanced,
    };
    let group = unpack(request)?;
    let seen = log_group::look(&group).ok_or_else(|| Refusal::bad("PostBodyInvalid", "the body is no log group"))?;
    if seen.empty_key || seen.longest_key > MAX_KEY_BYTES {
        return Err(Refusal::bad("InvalidKey", format!("keys have 1 to {MAX_KEY_BYTES} bytes")));
    }
    if seen.longest_value > MAX_VALUE_BYTES {
        return Err(Refusal::bad("PostBodyInvalid", format!("values have up to {MAX_VALUE_BYTES} bytes")));
    }
    let mut state = state.lock().unwrap();
    let now = state.clock.seconds();
    let wrong = |time: &&u32| !(now - PAST..=now + FUTURE).contains(&i64::from(**time));
    if let Some(time) = seen.times.iter().find(wrong).filter(|_| !state.options.any_log_time) {
        return Err(Refusal::bad("InvalidTimestamp", format!("log time {time} is out of range")));
    }
    append(&mut state, logstore, way, &group, &request.peer.ip().to_string(), key_id)?;
    Ok(routes::empty())
}

/// Appends an encoded group with the server's tags; gives shard and cursor.
pub(super) fn append(
    state: &mut State,
    logstore: &str,
    way: Way<'_>,
    group: &Bytes,
    client: &str,
    key_id: &str,
) -> Result<(u32, i64), Refusal> {
    let now = state.clock.seconds();
    let store = state.store(logstore)?;
    let shard = match way {
        Way::Balanced => store.shards.in_turn()?,
        Way::Key(key) => store.shards.of_key(key)?,
        Way::Shard(shard) => shard,
    };
    let mut bytes = Vec::with_capacity(group.len() + 80);
    bytes.extend_from_slice(group);
    log_group::tag(&mut bytes, "__client_ip__", client);
    log_group::tag(&mut bytes, "__receive_time__", &now.to_string());
    let cursor = store.shards.append(shard, bytes.into(), now)?;
    state.note(key_id, What::Put { logstore: logstore.to_owned(), shard, cursor });
    Ok((shard, cursor))
}

fn unpack(request: &Request) -> Result<Bytes, Refusal> {
    let size = request.header("x-log-bodyrawsize");
    let size = size.ok_or_else(|| Refusal::bad("MissingBodyRawSize", "x-log-bodyrawsize header is required"))?;
    let size: usize = size.parse().map_err(|_| Refusal::bad("InvalidBodyRawSize", "x-log-bodyrawsize is no number"))?;
    if size > MAX_GROUP_BYTES {
        return Err(Refusal::bad("PostBodyTooLarge", format!("body size {size} is more than {MAX_GROUP_BYTES}")));
    }
    let packing = Packing::of_body(request.header("x-log-compresstype"))?;
    let wrong = || Refusal::bad("PostBodyUncompressError", format!("the body does not unpack to {size} bytes"));
    packing.unpack(&request.body, size).ok_or_else(wrong)
}
