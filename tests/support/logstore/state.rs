//! All that the server knows, behind one lock: keys, Logstores with shards and groups, faults, events.

use std::collections::BTreeMap;
use std::time::Duration;

use super::admission::Keys;
use super::clock::Clock;
use super::events::{Events, What};
use super::faults::Faults;
use super::groups::Group;
use super::refusal::Refusal;
use super::shards::Shards;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// `127.0.0.1:0` for a free port.
    pub listen: String,
    pub project: String,
    pub logstore: String,
    pub shards: u32,
    pub access_key_id: String,
    pub access_key_secret: String,
    /// How long data are kept.
    pub ttl: Duration,
    /// The most that one pull gives, uncompressed.
    pub max_pull_bytes: usize,
    /// The only region whose V4 signatures are taken; `None`: any.
    pub region: Option<String>,
    /// Logs put over HTTP may be older than 7 days or more than 15 minutes in the future.
    pub any_log_time: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: "127.0.0.1:0".to_owned(),
            project: "test-project".to_owned(),
            logstore: "test-logstore".to_owned(),
            shards: 2,
            access_key_id: "test-key".to_owned(),
            access_key_secret: "test-secret".to_owned(),
            ttl: Duration::from_secs(30 * 24 * 3600),
            max_pull_bytes: 5 << 20,
            region: None,
            any_log_time: false,
        }
    }
}

/// One Logstore.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) created: i64,
    pub(super) ttl: i64,
    pub(super) shards: Shards,
    pub(super) groups: BTreeMap<String, Group>,
}

impl Store {
    pub(super) fn new(shards: u32, ttl: Duration, now: i64) -> Store {
        let ttl = i64::try_from(ttl.as_secs()).unwrap();
        Store { created: now, ttl, shards: Shards::new(shards, ttl, now), groups: BTreeMap::new() }
    }

    pub(super) fn group(&mut self, name: &str) -> Result<&mut Group, Refusal> {
        let absent = || Refusal::absent("ConsumerGroupNotExist", format!("consumer group {name} does not exist"));
        self.groups.get_mut(name).ok_or_else(absent)
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) keys: Keys,
    pub(super) stores: BTreeMap<String, Store>,
    pub(super) faults: Faults,
    pub(super) events: Events,
    /// Requests so far.
    pub(super) number: u64,
}

impl State {
    pub(super) fn new(options: Options) -> State {
        let mut state = State {
            clock: Clock::default(),
            keys: Keys::new(options.region.clone()),
            stores: BTreeMap::new(),
            faults: Faults::default(),
            events: Events::default(),
            number: 0,
            options,
        };
        state.keys.add(&state.options.access_key_id.clone(), &state.options.access_key_secret.clone());
        state.add_store(&state.options.logstore.clone(), state.options.shards);
        state
    }

    /// A new, empty Logstore; one of that name is gone with all its data and groups.
    pub(super) fn add_store(&mut self, name: &str, shards: u32) {
        let store = Store::new(shards, self.options.ttl, self.clock.seconds());
        self.stores.insert(name.to_owned(), store);
    }

    /// A Logstore with what is too old taken out of it: data, shards, members.
    pub(super) fn store(&mut self, name: &str) -> Result<&mut Store, Refusal> {
        let absent = || Refusal::absent("LogStoreNotExist", format!("logstore {name} does not exist"));
        let store = self.stores.get_mut(name).ok_or_else(absent)?;
        store.shards.forget(self.clock.seconds());
        for group in store.groups.values_mut() {
            for what in group.expire(self.clock.millis()) {
                self.events.add("", what);
            }
        }
        Ok(store)
    }

    pub(super) fn note(&mut self, key_id: &str, what: What) {
        self.events.add(key_id, what);
    }
}
