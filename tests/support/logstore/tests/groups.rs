//! Consumer groups: assignment, hand-over, expiry, fencing, order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{group, logstore};
use crate::logstore::assignment::balance;
use crate::logstore::caller::Caller;
use crate::logstore::groups::Group;
use crate::logstore::shards::{Shards, cursor_text};
use crate::logstore::{Logstore, Packing, What};

/// A server with a group of 30 s.
fn with_group(shards: u32, order: bool) -> (Logstore, Caller) {
    let logstore = logstore(shards);
    let caller = logstore.caller();
    caller.create_group("g", 30, order).unwrap();
    (logstore, caller)
}

fn code<T: std::fmt::Debug>(result: Result<T, crate::logstore::Refusal>) -> String {
    result.unwrap_err().code
}

#[test]
fn groups_are_made_changed_listed_and_deleted() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    caller.create_group("g", 60, false).unwrap();
    assert_eq!(code(caller.create_group("g", 60, false)), "ConsumerGroupAlreadyExist");
    let list = || caller.get("/consumergroups").json();
    assert_eq!(list(), serde_json::json!([{ "name": "g", "timeout": 60, "order": false }]));
    let path = "/logstores/test-logstore/consumergroups/g";
    let json = [("content-type", "application/json")];
    assert_eq!(caller.call("PUT", path, &json, br#"{"order":true}"#).unwrap().status, 200);
    assert_eq!(list(), serde_json::json!([{ "name": "g", "timeout": 60, "order": true }]));
    assert_eq!(caller.call("PUT", path, &json, b"[]").unwrap().code(), "JsonInfoInvalid");
    assert_eq!(caller.call("DELETE", path, &[], b"").unwrap().status, 200);
    assert_eq!(caller.call("DELETE", path, &[], b"").unwrap().code(), "ConsumerGroupNotExist");
    assert_eq!(code(caller.heartbeat("g", "a", &[])), "ConsumerGroupNotExist");
}

#[test]
fn a_shard_moves_only_when_its_consumer_has_let_go_of_it() {
    let (logstore, caller) = with_group(4, false);
    let beat = |consumer: &str, shards: &[u32]| caller.heartbeat("g", consumer, shards).unwrap();
    assert_eq!(beat("a", &[]), [0, 1, 2, 3]);
    assert_eq!(beat("b", &[]), [] as [u32; 0], "a works on everything");
    assert_eq!(beat("a", &[0, 1, 2, 3]), [0, 1], "a shall let go of two");
    assert_eq!(beat("b", &[]), [] as [u32; 0], "a has not let go yet");
    assert_eq!(beat("a", &[0, 1, 3]), [0, 1], "a has let go of one");
    assert_eq!(beat("b", &[]), [2]);
    assert_eq!(beat("a", &[0, 1]), [0, 1]);
    assert_eq!(beat("b", &[2]), [2, 3]);
    let owners = [(0, "a"), (1, "a"), (2, "b"), (3, "b")];
    assert_eq!(logstore.owners("g"), owners.map(|(shard, name)| (shard, name.to_owned())));
    assert_eq!(logstore.conflicts("g", |_| None), [] as [&str; 0]);
}

#[test]
fn a_shard_that_was_just_given_is_not_taken_for_let_go() {
    let (_logstore, caller) = with_group(2, false);
    let beat = |consumer: &str, shards: &[u32]| caller.heartbeat("g", consumer, shards).unwrap();
    // a's answer is under way when b comes: a may have begun to work on both.
    assert_eq!(beat("a", &[]), [0, 1]);
    assert_eq!(beat("b", &[]), [] as [u32; 0]);
    assert_eq!(beat("a", &[0, 1]), [0]);
    assert_eq!(beat("b", &[]), [] as [u32; 0]);
}

#[test]
fn a_silent_consumer_loses_its_shards_and_must_begin_anew() {
    let (logstore, caller) = with_group(2, false);
    assert_eq!(caller.heartbeat("g", "a", &[]).unwrap(), [0, 1]);
    caller.heartbeat("g", "b", &[]).unwrap();
    logstore.let_pass(Duration::from_secs(20));
    caller.heartbeat("g", "b", &[]).unwrap();
    logstore.let_pass(Duration::from_secs(11));
    assert_eq!(caller.heartbeat("g", "b", &[]).unwrap(), [0, 1], "a was silent for 31 s");
    assert_eq!(code(caller.heartbeat("g", "a", &[0, 1])), "NotExistConsumerWithBody");
    let cursor = caller.cursor(0, "begin");
    assert_eq!(code(caller.update_checkpoint("g", "a", 0, &cursor, false)), "ConsumerNotExist");
    assert_eq!(caller.heartbeat("g", "a", &[]).unwrap(), [] as [u32; 0], "b must let go first");
    let expired = |what: &What| matches!(what, What::Released { consumer, expired: true, .. } if consumer == "a");
    assert_eq!(logstore.events().iter().filter(|event| expired(&event.what)).count(), 2);
}

#[test]
fn checkpoints_are_fenced_unless_forced() {
    let (logstore, caller) = with_group(2, false);
    let cursor = caller.cursor(0, "begin");
    let number = crate::logstore::shards::parse_cursor(&cursor);
    let update =
        |consumer: &str, shard, cursor: &str, forced| caller.update_checkpoint("g", consumer, shard, cursor, forced);
    caller.heartbeat("g", "a", &[]).unwrap();
    caller.heartbeat("g", "b", &[]).unwrap();
    update("a", 0, &cursor, false).unwrap();
    assert_eq!(logstore.checkpoint("g", 0), number);
    assert_eq!(code(update("b", 0, &cursor, false)), "ConsumerNotMatch");
    assert_eq!(code(update("c", 0, &cursor, false)), "ConsumerNotExist");
    assert_eq!(code(update("a", 9, &cursor, false)), "ShardNotExist");
    assert_eq!(code(update("a", 0, "not base64!", false)), "InvalidShardCheckPoint");
    // While a shard is handed over its old consumer still keeps checkpoints.
    assert_eq!(caller.heartbeat("g", "a", &[0, 1]).unwrap(), [0]);
    update("a", 1, &cursor, false).unwrap();
    assert_eq!(caller.heartbeat("g", "a", &[0]).unwrap(), [0]);
    assert_eq!(code(update("a", 1, &cursor, false)), "ConsumerNotMatch");
    update("anybody", 1, &cursor, true).unwrap();
    let nameless = "/g?type=checkpoint";
    let body = serde_json::json!({ "shard": 1, "checkpoint": cursor });
    assert_eq!(caller.post_group(nameless, &body).code(), "ParameterInvalid");
    assert_eq!(caller.post_group(&format!("{nameless}&forceSuccess=True"), &body).status, 200);
}

#[test]
fn a_shard_that_was_never_written_has_an_empty_checkpoint_and_an_unknown_one_none() {
    let (_logstore, caller) = with_group(2, false);
    caller.heartbeat("g", "a", &[]).unwrap();
    let untouched = serde_json::json!([{ "shard": 1, "checkpoint": "", "updateTime": 0, "consumer": "a" }]);
    assert_eq!(caller.get("/consumergroups/g?shard=1").json(), untouched);
    assert_eq!(caller.get("/consumergroups/g?shard=9").json(), serde_json::json!([]));
    assert_eq!(caller.get("/consumergroups/g").json().as_array().unwrap().len(), 2);
}

#[test]
fn in_ordered_groups_children_wait_until_their_parents_are_consumed() {
    for order in [true, false] {
        let (logstore, caller) = with_group(1, order);
        logstore.add_logs_to(0, &group("x"));
        let [left, right] = logstore.split(0);
        let grandchild = logstore.merge(left);
        let beat = |shards: &[u32]| caller.heartbeat("g", "a", shards).unwrap();
        if !order {
            assert_eq!(beat(&[]), [0, left, right, grandchild], "unordered groups read them all at once");
            continue;
        }
        assert_eq!(beat(&[]), [0]);
        caller.update_checkpoint("g", "a", 0, &caller.cursor(0, "begin"), false).unwrap();
        assert_eq!(beat(&[0]), [0], "there is one group to be read still");
        caller.update_checkpoint("g", "a", 0, &caller.cursor(0, "end"), false).unwrap();
        // The children never had anything, so they hold nobody up.
        assert_eq!(beat(&[0]), [0, left, right, grandchild]);
    }
}

#[test]
fn a_consumer_that_works_on_foreign_shards_is_a_conflict() {
    let (logstore, caller) = with_group(2, false);
    caller.heartbeat("g", "a", &[]).unwrap();
    caller.heartbeat("g", "b", &[]).unwrap();
    caller.heartbeat("g", "b", &[1]).unwrap();
    assert_eq!(logstore.conflicts("g", |_| None).len(), 1);
    // And so is a pull by a key whose consumer does not hold the shard.
    logstore.take_events();
    logstore.add_key("key-of-b", "secret");
    let b = Caller { key_id: "key-of-b".to_owned(), secret: "secret".to_owned(), ..caller.clone() };
    let cursor = caller.cursor(0, "begin");
    let consumer_of = |key: &str| (key == "key-of-b").then(|| "b".to_owned());
    caller.pull(0, &cursor, 1, Packing::Lz4);
    assert_eq!(logstore.conflicts("g", consumer_of).len(), 0, "others may look");
    b.pull(0, &cursor, 1, Packing::Lz4);
    assert_eq!(logstore.conflicts("g", consumer_of).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shares_are_even_deterministic_and_move_as_little_as_possible(
        shards in 0_u32..20,
        consumers in proptest::collection::btree_set("[a-e]", 1..5),
        held in proptest::collection::btree_map(0_u32..20, "[a-f]", 0..20),
    ) {
        let ids: Vec<u32> = (0..shards).collect();
        let names: Vec<String> = consumers.into_iter().collect();
        let target = balance(&ids, &names, &held);
        prop_assert_eq!(&target, &balance(&ids, &names, &held));
        prop_assert_eq!(target.len(), ids.len());
        let counts: Vec<usize> = names.iter().map(|name| target.values().filter(|of| *of == name).count()).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        // Once everybody holds its share nothing moves.
        prop_assert_eq!(balance(&ids, &names, &target), target);
    }

    /// Well-behaved consumers that come, go, are slow and are silent: a shard is never worked on by two, and
    /// in the end all shards are held.
    #[test]
    fn no_shard_has_two_consumers_at_a_time(
        steps in proptest::collection::vec((0_usize..4, 0_u8..10, 0_i64..12), 1..200),
    ) {
        let mut model = Model::new(5);
        for (consumer, action, seconds) in steps {
            model.now += seconds * 1000;
            match action {
                0 => model.crash(consumer),
                1..=3 => model.finish_one(consumer),
                _ => model.beat(consumer),
            }
            prop_assert_eq!(model.shared(), None);
        }
        // Nobody comes or goes any more: some rounds of beating and letting go settle it.
        for _ in 0..8 {
            for consumer in 0..4 {
                model.beat(consumer);
                (0..5).for_each(|_| model.finish_one(consumer));
            }
        }
        let held: usize = model.consumers.values().map(|consumer| consumer.working.len()).sum();
        prop_assert_eq!(held, 5);
    }
}

/// Consumers as the official libraries are: they list what they work on, and let go of what they shall not hold.
struct Model {
    group: Group,
    shards: Shards,
    now: i64,
    consumers: BTreeMap<usize, Consumer>,
}

#[derive(Default)]
struct Consumer {
    working: BTreeSet<u32>,
    shall: BTreeSet<u32>,
    last: i64,
}

impl Model {
    fn new(shards: u32) -> Model {
        let shards = Shards::new(shards, 1000, 0);
        Model { group: Group::new("g", 30, false), shards, now: 0, consumers: BTreeMap::new() }
    }

    fn beat(&mut self, name: usize) {
        let now = self.now;
        let consumer = self.consumers.entry(name).or_default();
        if now - consumer.last >= 30_000 {
            // It knows itself that it has expired.
            *consumer = Consumer::default();
        }
        let listed: Vec<u32> = consumer.working.iter().copied().collect();
        match self.group.heartbeat(&name.to_string(), &listed, &self.shards, now) {
            Ok((held, _)) => {
                consumer.shall = held.into_iter().collect();
                consumer.working.extend(&consumer.shall);
                consumer.last = now;
            }
            Err(_) => *consumer = Consumer::default(),
        }
    }

    /// Lets go of one shard that it shall not hold any more.
    fn finish_one(&mut self, name: usize) {
        let Some(consumer) = self.consumers.get_mut(&name) else { return };
        let done = consumer.working.difference(&consumer.shall).next().copied();
        done.map(|shard| consumer.working.remove(&shard));
    }

    fn crash(&mut self, name: usize) {
        self.consumers.remove(&name);
    }

    /// A shard that two live consumers work on, if there is one.
    fn shared(&self) -> Option<u32> {
        let live = self.consumers.values().filter(|consumer| self.now - consumer.last < 30_000);
        let mut seen = BTreeSet::new();
        live.flat_map(|consumer| &consumer.working).find(|shard| !seen.insert(**shard)).copied()
    }
}

#[test]
fn a_forgotten_parent_holds_nobody_up() {
    let mut shards = Shards::new(1, 100, 0);
    shards.append(0, group("x").encode(), 0).unwrap();
    let [_, left, right] = shards.split(0, None, 0).unwrap();
    let mut group = Group::new("g", 30, true);
    assert_eq!(group.heartbeat("a", &[], &shards, 0).unwrap().0, [0]);
    shards.forget(100);
    assert_eq!(group.heartbeat("a", &[0], &shards, 1000).unwrap().0, [left, right]);
    assert_eq!(cursor_text(1), "MQ==");
}
