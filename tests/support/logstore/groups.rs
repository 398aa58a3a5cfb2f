//! A consumer group: members by their heartbeats, who holds which shard, fenced checkpoints.
//!
//! A shard that shall move goes to its new consumer only when the old one's heartbeat no longer lists it, or the old one
//! was silent for the group's timeout. Time is an argument.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::assignment;
use super::events::What;
use super::refusal::Refusal;
use super::shards::{Shards, cursor_text, shard_not_exist};

/// One group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    name: String,
    /// Seconds without a heartbeat after which a member is gone.
    pub(super) timeout: i64,
    /// Children of a split or merge wait until their parents are consumed.
    pub(super) order: bool,
    /// Members and the time of their last heartbeat in milliseconds.
    members: BTreeMap<String, i64>,
    owners: BTreeMap<u32, String>,
    checkpoints: BTreeMap<u32, CheckPoint>,
}

#[derive(Clone, Debug)]
struct CheckPoint {
    cursor: String,
    /// Microseconds.
    updated: i64,
    consumer: String,
}

impl Group {
    pub(super) fn new(name: &str, timeout: i64, order: bool) -> Group {
        Group {
            name: name.to_owned(),
            timeout,
            order,
            members: BTreeMap::new(),
            owners: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "name": self.name, "timeout": self.timeout, "order": self.order })
    }

    /// The consumer that a shard is given to.
    pub(super) fn owner(&self, shard: u32) -> Option<&str> {
        self.owners.get(&shard).map(String::as_str)
    }

    pub(super) fn owners(&self) -> &BTreeMap<u32, String> {
        &self.owners
    }

    /// Members that were silent for too long are gone, and what they held is free.
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<What> {
        let gone = |last: i64| last + self.timeout * 1000 <= now_ms;
        let silent: BTreeSet<String> =
            self.members.iter().filter(|(_, last)| gone(**last)).map(|(name, _)| name.clone()).collect();
        self.members.retain(|name, _| !silent.contains(name));
        let mut events = Vec::new();
        for (shard, consumer) in &self.owners {
            if silent.contains(consumer) {
                events.push(self.released(consumer, *shard, true));
            }
        }
        self.owners.retain(|_, consumer| !silent.contains(consumer));
        events
    }

    /// One heartbeat: `listed` is what the consumer works on; the answer is what it shall hold.
    pub(super) fn heartbeat(
        &mut self,
        consumer: &str,
        listed: &[u32],
        shards: &Shards,
        now_ms: i64,
    ) -> Result<(Vec<u32>, Vec<What>), Refusal> {
        let mut events = self.expire(now_ms);
        if !self.members.contains_key(consumer) && !listed.is_empty() {
            let what = format!("consumer {consumer} does not exist or has expired, and sent shards");
            return Err(Refusal::bad("NotExistConsumerWithBody", what));
        }
        self.members.insert(consumer.to_owned(), now_ms);
        self.owners.retain(|shard, _| shards.get(*shard).is_ok());
        self.note_foreign(consumer, listed, shards, &mut events);
        let target = self.target(shards);
        let shall = |shard: &u32| target.get(shard).is_some_and(|name| name == consumer);
        let given_up = |shard: &u32, owner: &String| owner == consumer && !listed.contains(shard) && !shall(shard);
        for (shard, owner) in self.owners.iter().filter(|(shard, owner)| given_up(shard, owner)) {
            events.push(self.released(owner, *shard, false));
        }
        self.owners.retain(|shard, owner| !given_up(shard, owner));
        let mut held = Vec::new();
        for shard in target.keys().filter(|shard| shall(shard)) {
            match self.owner(*shard) {
                Some(owner) if owner == consumer => held.push(*shard),
                // Still with somebody who has not let go of it.
                Some(_) => {}
                None => {
                    self.owners.insert(*shard, consumer.to_owned());
                    let group = self.name.clone();
                    events.push(What::Granted { group, consumer: consumer.to_owned(), shard: *shard });
                    held.push(*shard);
                }
            }
        }
        let (group, listed) = (self.name.clone(), listed.to_vec());
        events.push(What::HeartBeat { group, consumer: consumer.to_owned(), listed, held: held.clone() });
        Ok((held, events))
    }

    /// A member that lists a shard nobody holds keeps others from it all the same: it says that it works on it.
    fn note_foreign(&mut self, consumer: &str, listed: &[u32], shards: &Shards, events: &mut Vec<What>) {
        for shard in listed.iter().filter(|shard| shards.get(**shard).is_ok()) {
            let owner = self.owner(*shard).map(str::to_owned);
            if owner.as_deref() == Some(consumer) {
                continue;
            }
            if owner.is_none() {
                self.owners.insert(*shard, consumer.to_owned());
            }
            let group = self.name.clone();
            events.push(What::WorksOnForeign { group, consumer: consumer.to_owned(), shard: *shard, owner });
        }
    }

    fn target(&self, shards: &Shards) -> BTreeMap<u32, String> {
        let ids: Vec<u32> = shards.ids().into_iter().filter(|id| !self.order || self.is_due(*id, shards)).collect();
        let consumers: Vec<String> = self.members.keys().cloned().collect();
        assignment::balance(&ids, &consumers, &self.owners)
    }

    /// In ordered groups: all its parents, and theirs, have been consumed or are forgotten.
    fn is_due(&self, id: u32, shards: &Shards) -> bool {
        let parents = shards.get(id).map_or(&[][..], |shard| shard.parents());
        parents.iter().all(|parent| {
            let Ok(shard) = shards.get(*parent) else { return true };
            let end = cursor_text(shard.end_cursor());
            let consumed = self.checkpoints.get(parent).is_some_and(|point| point.cursor == end);
            (consumed || shard.is_empty()) && self.is_due(*parent, shards)
        })
    }

    fn released(&self, consumer: &str, shard: u32, expired: bool) -> What {
        What::Released { group: self.name.clone(), consumer: consumer.to_owned(), shard, expired }
    }

    /// Keeps a checkpoint. Unless it is forced, the consumer must be a member and hold the shard.
    pub(super) fn update_checkpoint(
        &mut self,
        consumer: Option<&str>,
        forced: bool,
        shard: u32,
        cursor: &str,
        shards: &Shards,
        now_ms: i64,
    ) -> Result<What, Refusal> {
        if !forced {
            let consumer =
                consumer.ok_or_else(|| Refusal::parameter("consumer is missing, and forceSuccess is not set"))?;
            if !self.members.contains_key(consumer) {
                return Err(Refusal::absent("ConsumerNotExist", format!("consumer {consumer} does not exist")));
            }
        }
        shards.get(shard).map_err(|_| shard_not_exist(shard))?;
        if STANDARD.decode(cursor).is_err() {
            return Err(Refusal::bad("InvalidShardCheckPoint", "shard checkpoint not encoded by base64"));
        }
        if !forced && self.owner(shard) != consumer {
            let what = format!("shard {shard} belongs to {}", self.owner(shard).unwrap_or("nobody"));
            return Err(Refusal::bad("ConsumerNotMatch", what));
        }
        let name = consumer.unwrap_or("").to_owned();
        let point = CheckPoint { cursor: cursor.to_owned(), updated: now_ms * 1000, consumer: name };
        self.checkpoints.insert(shard, point);
        Ok(What::CheckPoint {
            group: self.name.clone(),
            consumer: consumer.map(str::to_owned),
            shard,
            checkpoint: cursor.to_owned(),
            forced,
        })
    }

    /// A shard's checkpoint; `None` if it never had one.
    pub(super) fn checkpoint(&self, shard: u32) -> Option<&str> {
        self.checkpoints.get(&shard).map(|point| point.cursor.as_str())
    }

    /// As GetCheckPoint gives them: one shard's or all; `""` for a shard that was never written.
    pub(super) fn checkpoints_json(&self, only: Option<u32>, shards: &Shards) -> Value {
        let ids = shards.ids().into_iter().filter(|id| only.is_none_or(|only| only == *id));
        ids.map(|id| {
            let point = self.checkpoints.get(&id);
            let consumer = self.owner(id).or(point.map(|point| point.consumer.as_str())).unwrap_or("");
            json!({
                "shard": id,
                "checkpoint": point.map_or("", |point| point.cursor.as_str()),
                "updateTime": point.map_or(0, |point| point.updated),
                "consumer": consumer,
            })
        })
        .collect()
    }
}
