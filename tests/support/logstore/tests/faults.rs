//! Each fault goes wrong as it says, once or as often as it says, and nothing else does.

use std::time::{Duration, Instant};

use super::{group, logstore};
use crate::logstore::caller::{Caller, Reply};
use crate::logstore::{Action, Fault, Logstore, Packing};

/// A server with something to pull.
fn with_logs() -> (Logstore, Caller) {
    let logstore = logstore(1);
    logstore.add_logs(&group(&"some text ".repeat(500)));
    let caller = logstore.caller();
    (logstore, caller)
}

fn pull(caller: &Caller) -> Reply {
    caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Lz4)
}

#[test]
fn a_refusal_comes_as_often_as_it_shall_and_to_that_call_only() {
    let (logstore, caller) = with_logs();
    logstore.faults().times(2, Action::PullLogs, Fault::read_quota());
    for _ in 0..2 {
        let reply = pull(&caller);
        assert_eq!((reply.status, reply.code().as_str()), (403, "ShardReadQuotaExceed"));
        assert_eq!(reply.header("x-log-requestid").len(), 24);
    }
    assert_eq!(pull(&caller).status, 200);
    assert_eq!(logstore.faults().spoilt(), 2);
    logstore.faults().once(Action::PullLogs, Fault::busy());
    logstore.faults().once(Action::PullLogs, Fault::internal());
    assert_eq!((pull(&caller).status, pull(&caller).status, pull(&caller).status), (503, 500, 200));
    logstore.faults().always(Action::PullLogs, Fault::invalid_cursor());
    assert_eq!((pull(&caller).code(), pull(&caller).code()), ("InvalidCursor".to_owned(), "InvalidCursor".to_owned()));
    logstore.faults().clear();
    assert_eq!(pull(&caller).status, 200);
}

#[test]
fn a_rule_may_be_for_one_shard_and_a_script_for_anything() {
    let logstore = logstore(2);
    let caller = logstore.caller();
    logstore.faults().on_shard(None, Action::GetCursor, 1, Fault::busy());
    let cursor = |shard: u32| caller.get(&format!("/shards/{shard}?type=cursor&from=begin")).status;
    assert_eq!((cursor(0), cursor(1), cursor(1)), (200, 503, 503));
    logstore.faults().clear();
    let mut seen = 0;
    logstore.faults().script(move |request| {
        seen += 1;
        (request.parameter("from") == Some("begin") && seen == 2).then(Fault::internal)
    });
    assert_eq!((cursor(0), cursor(0), cursor(0)), (200, 500, 200));
}

#[test]
fn connections_are_cut_before_within_and_instead_of_the_answer() {
    let (logstore, caller) = with_logs();
    let put = || {
        let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
        let log = crate::logstore::Log::new(now).with("a", "b");
        let body = crate::logstore::LogGroup::of([log]).encode();
        let size = body.len().to_string();
        let headers = [("content-type", "application/x-protobuf"), ("x-log-bodyrawsize", size.as_str())];
        caller.call("POST", "/logstores/test-logstore", &headers, &body)
    };
    let end = logstore.end_cursor(0);
    logstore.faults().once(Action::PutLogs, Fault::Cut);
    assert!(put().is_none());
    assert_eq!(logstore.end_cursor(0), end, "nothing was done");
    logstore.faults().once(Action::PutLogs, Fault::LoseAnswer);
    assert!(put().is_none());
    assert_eq!(logstore.end_cursor(0), end + 1, "it was done, but nobody was told");
    logstore.faults().once(Action::PullLogs, Fault::CutBody);
    let cut = pull(&caller);
    assert!(!cut.whole && !cut.body.is_empty(), "announced were {}", cut.header("content-length"));
    assert!(pull(&caller).whole);
}

#[test]
fn bodies_are_spoilt_where_only_looking_closely_shows_it() {
    let (logstore, caller) = with_logs();
    let right = pull(&caller);
    let spoilt = |fault: Fault| {
        logstore.faults().once(Action::PullLogs, fault);
        let reply = pull(&caller);
        assert!(reply.whole && reply.status == 200, "as HTTP all is well: {reply:?}");
        reply
    };
    assert_eq!(spoilt(Fault::RawSizeOff(1)).unpacked(), None);
    assert_eq!(spoilt(Fault::RawSizeOff(-1)).unpacked(), None);
    assert_eq!(spoilt(Fault::CountOff(1)).header("x-log-count"), "2");
    assert_eq!(spoilt(Fault::Truncate(3)).unpacked(), None);
    assert_ne!(spoilt(Fault::Garble).body, right.body);
    assert_eq!(spoilt(Fault::WithoutHeader("x-log-cursor")).header("x-log-cursor"), "");
    assert_eq!(spoilt(Fault::Header("x-log-compresstype", "snappy".to_owned())).header("x-log-compresstype"), "snappy");
    assert_eq!(pull(&caller).unpacked(), right.unpacked());
}

#[test]
fn answers_come_late_in_pieces_or_from_a_proxy() {
    let (logstore, caller) = with_logs();
    let wait = Duration::from_millis(300);
    logstore.faults().once(Action::ListShards, Fault::Slow(wait));
    let begin = Instant::now();
    assert_eq!(caller.get("/shards").status, 200);
    assert!(begin.elapsed() >= wait);
    logstore.faults().once(Action::ListShards, Fault::Trickle(Duration::from_millis(1)));
    assert_eq!(caller.get("/shards").json().as_array().unwrap().len(), 1);
    logstore.faults().once(Action::ListShards, Fault::Foreign { status: 502, body: "<html>bad gateway".to_owned() });
    let proxy = caller.get("/shards");
    assert_eq!((proxy.status, proxy.body.as_ref()), (502, b"<html>bad gateway".as_slice()));
}
