//! What is put, where it goes, and what is not taken.

use proptest::prelude::*;

use super::{contains, group, logstore};
use crate::logstore::log_group::{Log, LogGroup, look};
use crate::logstore::{Logstore, Options, Packing};

/// A group that is taken, because its log is of now.
fn fresh(value: &str) -> LogGroup {
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    LogGroup::of([Log::new(now).with("a", value)])
}

#[test]
fn every_compression_is_taken_on_every_path_and_tags_are_added() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let route = format!("/shards/route?key={}", "7".repeat(32));
    for (at, way) in ["", "/shards/lb", &route].into_iter().enumerate() {
        for packing in [Packing::Identity, Packing::Lz4, Packing::Zstd, Packing::Deflate] {
            let value = format!("{at}-{packing:?}");
            let from = caller.cursor(0, "end");
            let reply = caller.put(way, &fresh(&value).encode(), packing);
            assert_eq!((reply.status, reply.body.len()), (200, 0), "{way} {packing:?}");
            let pulled = caller.pull(0, &from, 10, Packing::Identity).body;
            assert!(contains(&pulled, &value) && contains(&pulled, "__client_ip__"), "{value}");
        }
    }
}

#[test]
fn a_key_leads_to_the_shard_that_holds_it() {
    let logstore = logstore(4);
    let caller = logstore.caller();
    let ends = |shard: u32| logstore.end_cursor(shard);
    for (key, shard) in [('0', 0), ('3', 0), ('4', 1), ('9', 2), ('f', 3)] {
        let before = ends(shard);
        let way = format!("/shards/route?key={}", key.to_string().repeat(32));
        assert_eq!(caller.put(&way, &fresh("x").encode(), Packing::Lz4).status, 200);
        assert_eq!(ends(shard), before + 1, "key {key}");
    }
    assert_eq!(caller.put("/shards/route?key=12", &fresh("x").encode(), Packing::Lz4).code(), "ParameterInvalid");
    // After a split only the children are written.
    let [left, right] = logstore.split(0);
    let end = ends(0);
    for _ in 0..10 {
        assert_eq!(caller.put("/shards/lb", &fresh("x").encode(), Packing::Lz4).status, 200);
    }
    assert_eq!(ends(0), end);
    let first = |shard: u32| crate::logstore::shards::parse_cursor(&caller.cursor(shard, "begin")).unwrap();
    assert!(ends(left) > first(left) && ends(right) > first(right));
}

#[test]
fn bytes_that_are_no_utf8_and_repeated_keys_are_kept_as_they_are() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let log = Log::new(fresh("").logs[0].time).with("a", b"\xff\xfe").with("a", "again");
    assert_eq!(caller.put("", &LogGroup::of([log]).encode(), Packing::Lz4).status, 200);
    let body = caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Zstd).unpacked().unwrap();
    assert!(contains(&body, "again") && memchr::memmem::find(&body, b"\xff\xfe").is_some());
}

#[test]
fn what_is_no_log_group_is_not_taken() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let body = fresh("x").encode();
    let code = |body: &[u8]| caller.put("", body, Packing::Lz4).code();
    assert_eq!(code(b"\x0a\x05abc"), "PostBodyInvalid", "cut");
    assert_eq!(code(&LogGroup::of([Log::new(1).with("a", "b")]).encode()), "InvalidTimestamp");
    let now = fresh("").logs[0].time;
    assert_eq!(code(&LogGroup::of([Log::new(now).with("", "b")]).encode()), "InvalidKey");
    assert_eq!(code(&LogGroup::of([Log::new(now).with("k".repeat(129), "b")]).encode()), "InvalidKey");
    let size = body.len().to_string();
    let put = |headers: &[(&str, &str)], body: &[u8]| {
        caller.call("POST", "/logstores/test-logstore", headers, body).unwrap().code()
    };
    let kind = ("content-type", "application/x-protobuf");
    let packed = Packing::Lz4.pack(&body);
    let lz4 = ("x-log-compresstype", "lz4");
    assert_eq!(put(&[kind, lz4, ("x-log-bodyrawsize", "7")], &packed), "PostBodyUncompressError");
    assert_eq!(put(&[kind, lz4, ("x-log-bodyrawsize", &size)], &packed[1..]), "PostBodyUncompressError");
    assert_eq!(put(&[kind, ("x-log-compresstype", "snappy")], &body), "InvalidCompressType");
    assert_eq!(put(&[kind, lz4, ("x-log-bodyrawsize", "99999999")], &packed), "PostBodyTooLarge");
    assert_eq!(put(&[("content-type", "text/plain")], &body), "InvalidContentType");
    assert_eq!(caller.cursor(0, "begin"), caller.cursor(0, "end"), "nothing was kept");
}

#[test]
fn logs_of_any_time_are_taken_where_that_is_asked_for() {
    let logstore = Logstore::start(Options { any_log_time: true, ..Options::default() });
    assert_eq!(logstore.caller().put("", &group("x").encode(), Packing::Lz4).status, 200);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_encoded_is_seen_and_whatever_is_cut_is_refused_or_shorter(
        times in proptest::collection::vec(any::<u32>(), 1..5),
        key in proptest::collection::vec(any::<u8>(), 0..200),
        value in proptest::collection::vec(any::<u8>(), 0..300),
        ns in proptest::option::of(0_u32..1_000_000_000),
        topic in "[a-z]{0,9}",
        cut in any::<proptest::sample::Index>(),
    ) {
        let logs = times.iter().map(|time| Log { time_ns: ns, ..Log::new(*time).with(&key, &value) });
        let tags = vec![("tag".to_owned(), "value".to_owned())];
        let group = LogGroup { topic, tags, ..LogGroup::of(logs) };
        let encoded = group.encode();
        let seen = look(&encoded).unwrap();
        prop_assert_eq!(&seen.times, &times);
        prop_assert_eq!((seen.longest_key, seen.longest_value, seen.empty_key), (key.len(), value.len(), key.is_empty()));
        let cut = look(&encoded[..cut.index(encoded.len())]);
        prop_assert!(cut.is_none_or(|cut| cut.times.len() <= times.len()));
    }
}
