//! The shards of a Logstore: append-only lists of log groups, cursors into them, key ranges, splitting and merging.
//!
//! Cursors are whole numbers, one for each group, in ranges of their own for each shard, so that a cursor of another shard is
//! foreign. Time is an argument; nothing is checked here that is not about shards.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::log_group;
use super::refusal::Refusal;

/// Where cursors begin, as seen on the real service, and how far the shards' ranges are apart.
const FIRST_CURSOR: i64 = 1_447_299_606_896_632_356;
const CURSORS_OF_A_SHARD: i64 = 1_000_000_000_000;

/// A log group as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    /// Serialized, with the server's tags.
    bytes: Bytes,
    /// Seconds.
    received: i64,
}

/// One shard.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    id: u32,
    /// Keys from here on …
    begin: u128,
    /// … to before this; all ones: to the end.
    end: u128,
    created: i64,
    /// When it was split or merged away; it is only read since.
    closed: Option<i64>,
    /// The shards that it was made from.
    parents: Vec<u32>,
    /// The cursor of the oldest group that is kept.
    first: i64,
    groups: VecDeque<Kept>,
}

/// What one pull takes out.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) groups: Vec<Bytes>,
    /// Length of the serialized list.
    pub(super) raw_size: usize,
    pub(super) next: i64,
    /// The cursor of the last group in it.
    pub(super) last: Option<i64>,
    /// Receive time of the last group, or of the place where nothing came; seconds.
    pub(super) time: i64,
    pub(super) at_end: bool,
}

/// All shards of a Logstore.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    shards: BTreeMap<u32, Shard>,
    /// Seconds that data are kept.
    ttl: i64,
    next_id: u32,
    /// Writers are served in turn.
    turn: usize,
}

impl Shards {
    /// `count` shards that share the keys evenly.
    pub(super) fn new(count: u32, ttl: i64, now: i64) -> Shards {
        let mut all = Shards { shards: BTreeMap::new(), ttl, next_id: 0, turn: 0 };
        let width = u128::MAX / u128::from(count.max(1));
        for at in 0..count {
            let end = if at + 1 == count { u128::MAX } else { width * u128::from(at + 1) };
            all.open(width * u128::from(at), end, now, Vec::new());
        }
        all
    }

    fn open(&mut self, begin: u128, end: u128, now: i64, parents: Vec<u32>) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let first = FIRST_CURSOR + i64::from(id) * CURSORS_OF_A_SHARD;
        let shard = Shard { id, begin, end, created: now, closed: None, parents, first, groups: VecDeque::new() };
        self.shards.insert(id, shard);
        id
    }

    /// Forgets groups that are too old, and closed shards that have none left.
    pub(super) fn forget(&mut self, now: i64) {
        let ttl = self.ttl;
        for shard in self.shards.values_mut() {
            while shard.groups.front().is_some_and(|group| group.received + ttl <= now) {
                shard.groups.pop_front();
                shard.first += 1;
            }
        }
        let gone = |shard: &Shard| shard.groups.is_empty() && shard.closed.is_some_and(|at| at + ttl <= now);
        self.shards.retain(|_, shard| !gone(shard));
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        self.shards.keys().copied().collect()
    }

    pub(super) fn get(&self, id: u32) -> Result<&Shard, Refusal> {
        self.shards.get(&id).ok_or_else(|| shard_not_exist(id))
    }

    /// The shard that holds `key` among those that are written.
    pub(super) fn of_key(&self, key: &str) -> Result<u32, Refusal> {
        let key = parse_key(key)?;
        let open = self.shards.values().filter(|shard| shard.closed.is_none());
        let mut holds = open.filter(|shard| shard.begin <= key && (key < shard.end || shard.end == u128::MAX));
        holds.next().map(|shard| shard.id).ok_or_else(without_shard)
    }

    /// The next shard in turn among those that are written.
    pub(super) fn in_turn(&mut self) -> Result<u32, Refusal> {
        let open: Vec<u32> =
            self.shards.values().filter(|shard| shard.closed.is_none()).map(|shard| shard.id).collect();
        self.turn += 1;
        open.get(self.turn % open.len().max(1)).copied().ok_or_else(without_shard)
    }

    /// Appends a group that has its tags already; gives its cursor.
    pub(super) fn append(&mut self, id: u32, bytes: Bytes, now: i64) -> Result<i64, Refusal> {
        let shard = self.shards.get_mut(&id).ok_or_else(|| shard_not_exist(id))?;
        if shard.closed.is_some() {
            return Err(Refusal::parameter(format!("shard {id} is readonly")));
        }
        // Receive times never go back, or `from=` could not be looked up.
        let received = shard.groups.back().map_or(now, |last| last.received.max(now));
        shard.groups.push_back(Kept { bytes, received });
        Ok(shard.end_cursor() - 1)
    }

    /// Cuts a shard in two at `key` (in the middle without one). Gives the ids of parent, left and right child.
    pub(super) fn split(&mut self, id: u32, key: Option<&str>, now: i64) -> Result<[u32; 3], Refusal> {
        let shard = self.open_shard(id)?;
        let (begin, end) = (shard.begin, shard.end);
        let key = key.map(parse_key).transpose()?.unwrap_or(begin + (end - begin) / 2);
        if key <= begin || key >= end {
            return Err(Refusal::parameter("the key is not inside the shard's range"));
        }
        self.close(id, now);
        Ok([id, self.open(begin, key, now, vec![id]), self.open(key, end, now, vec![id])])
    }

    /// Merges a shard with its right neighbour. Gives the ids of the child and of both parents.
    pub(super) fn merge(&mut self, id: u32, now: i64) -> Result<[u32; 3], Refusal> {
        let shard = self.open_shard(id)?;
        let (begin, middle) = (shard.begin, shard.end);
        let right = self.shards.values().find(|other| other.closed.is_none() && other.begin == middle);
        let right = right.ok_or_else(|| Refusal::parameter(format!("shard {id} has no right neighbour")))?;
        let (right, end) = (right.id, right.end);
        self.close(id, now);
        self.close(right, now);
        Ok([self.open(begin, end, now, vec![id, right]), id, right])
    }

    fn open_shard(&self, id: u32) -> Result<&Shard, Refusal> {
        let shard = self.get(id)?;
        match shard.closed {
            None => Ok(shard),
            Some(_) => Err(Refusal::parameter(format!("shard {id} is readonly"))),
        }
    }

    fn close(&mut self, id: u32, now: i64) {
        if let Some(shard) = self.shards.get_mut(&id) {
            shard.closed = Some(now);
        }
        // Ids have gaps, as on a service where others split too.
        self.next_id += 1;
    }

    /// As ListShards gives them: all, or those named.
    pub(super) fn json(&self, only: Option<[u32; 3]>) -> Value {
        match only {
            None => self.shards.values().map(Shard::json).collect(),
            Some(ids) => ids.iter().filter_map(|id| self.shards.get(id)).map(Shard::json).collect(),
        }
    }
}

impl Shard {
    pub(super) fn parents(&self) -> &[u32] {
        &self.parents
    }

    /// The cursor that the next group will have.
    pub(super) fn end_cursor(&self) -> i64 {
        self.first + i64::try_from(self.groups.len()).unwrap()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// `begin`, `end` or seconds of receive time.
    pub(super) fn cursor_from(&self, from: &str) -> Result<i64, Refusal> {
        match from {
            "begin" => Ok(self.first),
            "end" => Ok(self.end_cursor()),
            seconds => {
                let wrong = |_| Refusal::parameter(format!("from is neither begin, end nor a time: {seconds}"));
                let seconds: i64 = seconds.parse().map_err(wrong)?;
                let before = self.groups.partition_point(|group| group.received < seconds);
                Ok(self.first + i64::try_from(before).unwrap())
            }
        }
    }

    /// Reads a cursor of this shard that is not too old.
    pub(super) fn cursor(&self, text: &str) -> Result<i64, Refusal> {
        let wrong = || Refusal::bad("InvalidCursor", format!("Invalid cursor {text}"));
        let cursor = parse_cursor(text).ok_or_else(wrong)?;
        (self.first..=self.end_cursor()).contains(&cursor).then_some(cursor).ok_or_else(wrong)
    }

    /// Receive time in seconds of the group at `cursor`; at the end that of the last group, in a shard that never had one that
    /// of its creation.
    pub(super) fn time_at(&self, cursor: i64) -> i64 {
        let at = usize::try_from(cursor - self.first).unwrap();
        self.groups.get(at).or(self.groups.back()).map_or(self.created, |group| group.received)
    }

    /// Groups from `cursor` to before `end`: at most `count`, and no more than `max_bytes` unless the first alone is larger.
    pub(super) fn page(&self, cursor: i64, end: Option<i64>, count: usize, max_bytes: usize) -> Page {
        let limit = end.unwrap_or(i64::MAX).min(self.end_cursor());
        let from = usize::try_from(cursor - self.first).unwrap();
        let available = usize::try_from(limit - cursor).unwrap_or(0).min(count);
        let (mut groups, mut raw_size) = (Vec::new(), 0);
        for group in self.groups.iter().skip(from).take(available) {
            let entry = log_group::list_entry_len(group.bytes.len());
            if !groups.is_empty() && raw_size + entry > max_bytes {
                break;
            }
            raw_size += entry;
            groups.push(group.bytes.clone());
        }
        let next = cursor + i64::try_from(groups.len()).unwrap();
        let last = (next > cursor).then_some(next - 1);
        let time = self.time_at(last.unwrap_or(cursor));
        Page { groups, raw_size, next, last, time, at_end: next == self.end_cursor() }
    }

    fn json(&self) -> Value {
        json!({
            "shardID": self.id,
            "status": if self.closed.is_some() { "readonly" } else { "readwrite" },
            "inclusiveBeginKey": format!("{:032x}", self.begin),
            "exclusiveEndKey": format!("{:032x}", self.end),
            "createTime": self.created,
        })
    }
}

/// Base64 of the decimal number.
pub(super) fn cursor_text(cursor: i64) -> String {
    STANDARD.encode(cursor.to_string())
}

pub fn parse_cursor(text: &str) -> Option<i64> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()?.parse().ok()
}

fn parse_key(key: &str) -> Result<u128, Refusal> {
    let parsed = u128::from_str_radix(key, 16).ok().filter(|_| key.len() == 32);
    parsed.ok_or_else(|| Refusal::parameter(format!("a key has 32 hexadecimal digits, not {key}")))
}

pub(super) fn shard_not_exist(id: impl std::fmt::Display) -> Refusal {
    Refusal::absent("ShardNotExist", format!("shard {id} does not exist"))
}

fn without_shard() -> Refusal {
    Refusal::bad("LogStoreWithoutShard", "the logstore has no shard to write to")
}
