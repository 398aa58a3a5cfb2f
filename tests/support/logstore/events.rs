//! What happened, in order, for tests to judge: who pulled what, who held which shard when, what was refused.

use std::collections::VecDeque;
use std::time::Instant;

use super::action::Action;

/// How many are kept; the oldest are forgotten.
const MAX_EVENTS: usize = 1_000_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Instant,
    /// The access key of the caller; empty for what the server does by itself.
    pub key_id: String,
    pub what: What,
}

/// What it was. Cursors are whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Put {
        logstore: String,
        shard: u32,
        cursor: i64,
    },
    /// `holders`: for each consumer group the consumer that the shard is given to at this moment.
    Pulled {
        logstore: String,
        shard: u32,
        cursor: i64,
        next: i64,
        groups: usize,
        holders: Vec<(String, String)>,
    },
    /// `listed` is what the consumer says it works on, `held` the answer.
    HeartBeat {
        group: String,
        consumer: String,
        listed: Vec<u32>,
        held: Vec<u32>,
    },
    Granted {
        group: String,
        consumer: String,
        shard: u32,
    },
    /// The shard is free again: its consumer stopped listing it, or was gone for too long.
    Released {
        group: String,
        consumer: String,
        shard: u32,
        expired: bool,
    },
    /// A consumer says that it works on a shard that is not given to it.
    WorksOnForeign {
        group: String,
        consumer: String,
        shard: u32,
        owner: Option<String>,
    },
    CheckPoint {
        group: String,
        consumer: Option<String>,
        shard: u32,
        checkpoint: String,
        forced: bool,
    },
    /// A call that was answered with an error, also one from the fault script.
    Refused {
        action: Option<Action>,
        status: u16,
        code: String,
    },
}

/// The last events.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    events: VecDeque<Event>,
}

impl Events {
    pub(super) fn add(&mut self, key_id: &str, what: What) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { at: Instant::now(), key_id: key_id.to_owned(), what });
    }

    pub(super) fn all(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events).into()
    }
}

/// What speaks against "each shard of `group` has one consumer at a time": consumers that list shards of others, and pulls by a key
/// whose consumer (`consumer_of` the key id; `None`: no member) does not hold the shard.
pub(super) fn conflicts<'a>(
    events: impl Iterator<Item = &'a Event>,
    group: &str,
    consumer_of: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        match &event.what {
            What::WorksOnForeign { group: of, consumer, shard, owner } if of == group => {
                found.push(format!("{consumer} works on shard {shard}, which is {owner:?}'s"));
            }
            What::Pulled { shard, cursor, holders, .. } => {
                let Some(consumer) = consumer_of(&event.key_id) else { continue };
                let holder = holders.iter().find(|(of, _)| of == group).map(|(_, holder)| holder.as_str());
                if holder != Some(consumer.as_str()) {
                    found.push(format!("{consumer} pulled shard {shard} at {cursor}, which is {holder:?}'s"));
                }
            }
            _ => {}
        }
    }
    found
}
