//! Cursors and what is pulled with them.

use std::time::Duration;

use bytes::Bytes;

use super::{contains, group, logstore};
use crate::logstore::log_group::{Log, LogGroup, list_entry, list_entry_len};
use crate::logstore::shards::{cursor_text, parse_cursor};
use crate::logstore::{Logstore, Options, Packing};

#[test]
fn a_cursor_is_the_base64_of_a_number() {
    assert_eq!(cursor_text(1_447_299_606_896_632_356), "MTQ0NzI5OTYwNjg5NjYzMjM1Ng==");
    assert_eq!(parse_cursor("MTQ0NzI5OTYwNjg5NjYzMjM1Ng=="), Some(1_447_299_606_896_632_356));
    assert_eq!(parse_cursor("nonsense!"), None);
}

#[test]
fn a_group_has_the_cursor_that_follows_the_one_before_it() {
    let logstore = logstore(1);
    let (_, first) = logstore.add_logs(&group("0"));
    assert_eq!(logstore.add_logs(&group("1")), (0, first + 1));
    assert_eq!(logstore.end_cursor(0), first + 2);
    let caller = logstore.caller();
    let page = caller.pull(0, &cursor_text(first), 1, Packing::Lz4);
    assert_eq!(page.header("x-log-cursor"), cursor_text(first + 1));
    assert_eq!(page.header("x-log-read-last-cursor"), first.to_string());
    assert_eq!(page.header("x-log-end-of-cursor"), "0");
    let rest = caller.pull(0, page.header("x-log-cursor"), 1000, Packing::Lz4);
    assert_eq!((rest.header("x-log-count"), rest.header("x-log-end-of-cursor")), ("1", "1"));
    assert!(contains(&rest.unpacked().unwrap(), "__receive_time__"));
    // At the end the same cursor comes again, with nothing.
    let end = rest.header("x-log-cursor");
    let nothing = caller.pull(0, end, 1000, Packing::Lz4);
    assert_eq!((nothing.header("x-log-cursor"), nothing.header("x-log-count")), (end, "0"));
    assert_eq!((nothing.header("x-log-bodyrawsize"), nothing.body.len()), ("0", 0));
    assert!(!nothing.headers.contains_key("x-log-read-last-cursor"));
}

#[test]
fn a_cursor_is_found_by_receive_time() {
    let logstore = logstore(1);
    let now = jiff::Timestamp::now().as_second();
    let (_, first) = logstore.add_logs(&group("0"));
    logstore.let_pass(Duration::from_secs(100));
    logstore.add_logs(&group("1"));
    let caller = logstore.caller();
    let from = |from: &str| parse_cursor(&caller.cursor(0, from)).unwrap() - first;
    assert_eq!((from("begin"), from("end")), (0, 2));
    assert_eq!(from("1"), 0, "before the beginning: the beginning");
    assert_eq!(from(&(now + 50).to_string()), 1);
    assert_eq!(from(&(now + 1000).to_string()), 2, "behind the end: the end");
    assert_eq!(caller.get("/shards/0?type=cursor&from=noon").code(), "ParameterInvalid");
    let time = |cursor: i64| {
        let reply = caller.get(&format!("/shards/0?type=cursor_time&cursor={}", cursor_text(cursor)));
        reply.json()["cursor_time"].as_i64().unwrap() - now
    };
    assert!((0..50).contains(&time(first)) && (100..150).contains(&time(first + 1)));
    assert_eq!(time(first + 1), time(first + 2), "at the end the time of the last group");
}

#[test]
fn what_is_too_old_is_gone_and_its_cursors_are_invalid() {
    let ttl = Duration::from_secs(1000);
    let logstore = Logstore::start(Options { shards: 1, ttl, ..Options::default() });
    let caller = logstore.caller();
    let (_, first) = logstore.add_logs(&group("old"));
    logstore.let_pass(Duration::from_secs(600));
    logstore.add_logs(&group("new"));
    assert_eq!(caller.pull(0, &cursor_text(first), 10, Packing::Lz4).header("x-log-count"), "2");
    logstore.let_pass(Duration::from_secs(600));
    let old = caller.pull(0, &cursor_text(first), 10, Packing::Lz4);
    assert_eq!((old.status, old.code().as_str()), (400, "InvalidCursor"));
    assert_eq!(caller.cursor(0, "begin"), cursor_text(first + 1));
    assert_eq!(caller.pull(0, &cursor_text(first + 1), 10, Packing::Lz4).header("x-log-count"), "1");
    let time = caller.get(&format!("/shards/0?type=cursor_time&cursor={}", cursor_text(first)));
    assert_eq!(time.code(), "InvalidCursor");
}

#[test]
fn cursors_of_other_shards_and_of_the_future_are_invalid() {
    let logstore = logstore(2);
    let caller = logstore.caller();
    let pull = |shard: u32, cursor: &str| caller.pull(shard, cursor, 10, Packing::Lz4);
    assert_eq!(pull(0, &caller.cursor(1, "begin")).code(), "InvalidCursor");
    assert_eq!(pull(0, &cursor_text(logstore.end_cursor(0) + 1)).code(), "InvalidCursor");
    assert_eq!(pull(0, "?").code(), "InvalidCursor");
    assert_eq!((pull(7, "x").status, pull(7, "x").code().as_str()), (404, "ShardNotExist"));
    assert_eq!(caller.pull(0, &caller.cursor(0, "begin"), 1001, Packing::Lz4).code(), "ParameterInvalid");
}

#[test]
fn a_page_ends_at_its_end_cursor_its_count_or_its_size() {
    let logstore = Logstore::start(Options { shards: 1, max_pull_bytes: 3000, ..Options::default() });
    let caller = logstore.caller();
    let big = "x".repeat(1000);
    let (_, first) = logstore.add_logs(&group(&big));
    for _ in 0..9 {
        logstore.add_logs(&group(&big));
    }
    let count = |query: &str| {
        let cursor = cursor_text(first);
        let path = format!("/shards/0?type=log&cursor={cursor}{query}");
        caller.get(&path).header("x-log-count").to_owned()
    };
    assert_eq!(count("&count=1000"), "2", "the third would make it larger than 3000 bytes");
    assert_eq!(count("&count=1"), "1");
    assert_eq!(count("&count=0"), "0");
    assert_eq!(count(&format!("&count=9&end_cursor={}", cursor_text(first + 1))), "1");
    assert_eq!(count(&format!("&count=9&endCursor={}", cursor_text(first + 1))), "2", "a name the service ignores");
    let alone = Logstore::start(Options { shards: 1, max_pull_bytes: 10, ..Options::default() });
    alone.add_logs(&group(&big));
    let caller = alone.caller();
    let page = caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Lz4);
    assert_eq!(page.header("x-log-count"), "1", "one that is larger alone comes all the same");
}

#[test]
fn every_compression_gives_the_same_list() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    // Bytes that do not compress, and such that do.
    let noise: Vec<u8> = (0_u64..50_000).flat_map(|n| crate::seed::mix(n).to_le_bytes()).collect();
    logstore.add_logs(&LogGroup::of([Log::new(1).with("noise", &noise), Log::new(2).with("plain", "x".repeat(9999))]));
    let pull = |packing| caller.pull(0, &caller.cursor(0, "begin"), 10, packing);
    let plain = pull(Packing::Identity);
    assert!(!plain.headers.contains_key("x-log-compresstype"));
    for packing in [Packing::Lz4, Packing::Zstd, Packing::Deflate] {
        let packed = pull(packing);
        assert_eq!(packed.header("x-log-compresstype"), packing.name());
        assert_eq!(packed.header("x-log-bodyrawsize"), plain.body.len().to_string());
        assert_ne!(packed.body, plain.body);
        assert_eq!(packed.unpacked().unwrap(), plain.body, "{packing:?}");
    }
    let unpacked_wrongly = Packing::Lz4.unpack(&pull(Packing::Lz4).body, plain.body.len() - 1);
    assert_eq!(unpacked_wrongly, None::<Bytes>, "sizes are checked");
    let first = format!("/logstores/test-logstore/shards/0?type=logs&count=1&cursor={}", caller.cursor(0, "begin"));
    let gzip = caller.call("GET", &first, &[("accept-encoding", "gzip")], b"").unwrap();
    assert_eq!(gzip.body, plain.body, "gzip is none of the service's compressions");
    let head = caller.call("HEAD", &first, &[("accept-encoding", "lz4")], b"").unwrap();
    assert_eq!((head.header("x-log-count"), head.body.len()), ("1", 0));
    assert_eq!(head.header("x-log-cursor"), caller.cursor(0, "end"));
}

#[test]
fn the_size_of_a_list_is_known_before_it_is_written() {
    for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let mut list = Vec::new();
        list_entry(&mut list, &vec![0; len]);
        assert_eq!(list.len(), list_entry_len(len), "for {len} bytes");
    }
}

#[test]
fn splitting_and_merging_close_the_parents_and_share_their_keys() {
    let ttl = Duration::from_secs(1000);
    let logstore = Logstore::start(Options { shards: 2, ttl, ..Options::default() });
    let caller = logstore.caller();
    logstore.add_logs_to(0, &group("before"));
    let [left, right] = logstore.split(0);
    let child = logstore.merge(right);
    assert_eq!(logstore.shards(), [0, 1, left, right, child]);
    assert!(left > 2 && right == left + 1 && child > right + 1, "ids have gaps");
    let listed = caller.get("/shards").json();
    let of = |id: u32| {
        let found = listed.as_array().unwrap().iter().find(|shard| shard["shardID"] == id).unwrap();
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        (text("status"), text("inclusiveBeginKey"), text("exclusiveEndKey"))
    };
    assert_eq!((of(0).0.as_str(), of(1).0.as_str(), of(right).0.as_str()), ("readonly", "readonly", "readonly"));
    assert_eq!((of(left).0.as_str(), of(child).0.as_str()), ("readwrite", "readwrite"));
    assert_eq!((of(left).1, of(left).2), (of(0).1, of(child).1.clone()));
    assert_eq!((of(child).1, of(child).2.as_str()), (of(right).1, "f".repeat(32).as_str()));
    // A parent is read to its end, and is gone once its data are.
    assert_eq!(caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Lz4).header("x-log-count"), "1");
    logstore.let_pass(Duration::from_secs(1001));
    assert_eq!(logstore.shards(), [left, child]);
    assert_eq!(caller.get("/shards/0?type=cursor&from=begin").code(), "ShardNotExist");
}
