//! Who comes in, and what the others are told.

use std::time::Duration;

use super::{group, logstore};
use crate::logstore::caller::Caller;
use crate::logstore::{Action, Logstore, Options, Packing};

fn both_ways(logstore: &Logstore) -> [Caller; 2] {
    let v1 = logstore.caller();
    [v1.clone(), Caller { region: Some("cn-hangzhou".to_owned()), ..v1 }]
}

#[test]
fn a_right_signature_comes_in_and_a_wrong_secret_does_not() {
    let logstore = logstore(1);
    for caller in both_ways(&logstore) {
        assert_eq!(caller.get("/shards").status, 200);
        let wrong = Caller { secret: "wrong".to_owned(), ..caller.clone() };
        let reply = wrong.get("/shards");
        assert_eq!((reply.status, reply.code().as_str()), (401, "SignatureNotMatch"));
        assert_eq!(reply.header("x-log-requestid").len(), 24);
        let nobody = Caller { key_id: "nobody".to_owned(), ..caller };
        assert_eq!((nobody.get("/shards").status, nobody.get("/shards").code().as_str()), (401, "Unauthorized"));
    }
}

#[test]
fn what_was_changed_behind_the_signature_is_noticed() {
    let logstore = logstore(1);
    for caller in both_ways(&logstore) {
        let path = "/logstores/test-logstore/shards/lb";
        let signed = |body: &[u8]| {
            let mut made = caller.unsigned("POST", path, body);
            caller.sign(&mut made);
            made
        };
        let mut body = signed(b"one");
        body.body = bytes::Bytes::from_static(b"two");
        assert_eq!(caller.send(&body, path).unwrap().code(), "PostBodyInvalid");
        let other = caller.send(&signed(b"one"), "/logstores/test-logstore").unwrap();
        assert_eq!(other.code(), "SignatureNotMatch", "the path is signed");
        let mut header = signed(b"one");
        header.headers.insert("x-log-bodyrawsize", "4".parse().unwrap());
        assert_eq!(caller.send(&header, path).unwrap().code(), "SignatureNotMatch", "the service's headers are signed");
    }
}

#[test]
fn headers_that_are_missing_or_wrong_are_named() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let without = |name: &'static str, value: Option<&str>| {
        let mut made = caller.unsigned("GET", "/logstores/test-logstore/shards", b"");
        caller.sign(&mut made);
        made.headers.remove(name);
        if let Some(value) = value {
            made.headers.insert(name, value.parse().unwrap());
        }
        caller.send(&made, "/logstores/test-logstore/shards").unwrap().code()
    };
    assert_eq!(without("x-log-apiversion", None), "MissingAPIVersion");
    assert_eq!(without("x-log-apiversion", Some("0.5.0")), "InvalidAPIVersion");
    assert_eq!(without("x-log-signaturemethod", None), "MissingSignatureMethod");
    assert_eq!(without("x-log-signaturemethod", Some("hmac-md5")), "InvalidSignatureMethod");
    assert_eq!(without("x-log-bodyrawsize", Some("many")), "InvalidBodyRawSize");
    assert_eq!(without("date", None), "MissingDate");
    assert_eq!(without("date", Some("yesterday")), "InvalidDateFormat");
    assert_eq!(without("authorization", None), "MissAccessKeyId");
    let mut put = caller.unsigned("POST", "/logstores/test-logstore", b"body");
    put.headers.remove("content-type");
    caller.sign(&mut put);
    assert_eq!(caller.send(&put, "/logstores/test-logstore").unwrap().code(), "MissingContentType");
}

#[test]
fn a_clock_that_is_wrong_by_more_than_fifteen_minutes_is_refused_with_the_right_time() {
    let logstore = logstore(1);
    for caller in both_ways(&logstore) {
        for (ahead, right) in [(800, true), (-800, true), (1000, false), (-1000, false)] {
            let reply = Caller { ahead, ..caller.clone() }.get("/shards");
            assert_eq!(reply.code(), if right { "" } else { "RequestTimeTooSkewed" }, "{ahead} s ahead");
        }
        // The server's own clock is wrong: a client that takes over its date comes in.
        logstore.set_skew(3600);
        assert_eq!(caller.get("/shards").code(), "RequestTimeTooSkewed");
        assert_eq!(Caller { ahead: 3600, ..caller.clone() }.get("/shards").status, 200);
        logstore.set_skew(0);
    }
}

#[test]
fn a_temporary_key_needs_its_token_and_expires() {
    let logstore = logstore(1);
    logstore.add_temporary_key("sts", "sts-secret", "token", Duration::from_secs(600));
    for caller in both_ways(&logstore) {
        let (key_id, secret) = ("sts".to_owned(), "sts-secret".to_owned());
        let bare = Caller { key_id, secret, ..caller };
        let reply = bare.get("/shards");
        assert_eq!((reply.status, reply.code().as_str()), (401, "Unauthorized"));
        let right = Caller { token: Some("token".to_owned()), ..bare.clone() };
        assert_eq!(right.get("/shards").status, 200);
        assert_eq!(Caller { token: Some("other".to_owned()), ..bare }.get("/shards").status, 401);
        logstore.let_pass(Duration::from_secs(601));
        assert_eq!(right.get("/shards").code(), "SecurityTokenExpired");
        logstore.add_temporary_key("sts", "sts-secret", "token", Duration::from_secs(600));
    }
}

#[test]
fn a_permission_that_was_taken_away_is_named() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    logstore.deny("test-key", Action::ListShards);
    let reply = caller.get("/shards");
    assert_eq!((reply.status, reply.code().as_str()), (401, "Unauthorized"));
    assert!(reply.json()["errorMessage"].as_str().unwrap().contains("log:ListShards"));
    assert_eq!(caller.get("").status, 200, "other calls are allowed");
    logstore.allow("test-key", Action::ListShards);
    assert_eq!(caller.get("/shards").status, 200);
}

#[test]
fn a_region_is_part_of_v4_only() {
    let logstore = Logstore::start(Options { region: Some("cn-beijing".to_owned()), ..Options::default() });
    let elsewhere = logstore.caller();
    assert_eq!(elsewhere.get("/shards").code(), "ProjectNotExist", "in the region that the name says there is none");
    let host = "test-project.cn-beijing.log.aliyuncs.com".to_owned();
    let [v1, v4] = both_ways(&logstore).map(|caller| Caller { host: host.clone(), ..caller });
    assert_eq!(v1.get("/shards").status, 200);
    assert_eq!(v4.get("/shards").code(), "SignatureNotMatch");
    assert_eq!(Caller { region: Some("cn-beijing".to_owned()), ..v4 }.get("/shards").status, 200);
}

#[test]
fn the_project_is_in_the_host_name_or_stands_behind_the_servers_own() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let other = Caller { host: "other.cn-hangzhou.log.aliyuncs.com".to_owned(), ..caller.clone() };
    assert_eq!((other.get("/shards").status, other.get("/shards").code().as_str()), (404, "ProjectNotExist"));
    assert_eq!(Caller { host: logstore.address().to_string(), ..caller.clone() }.get("/shards").status, 200);
    let with_port = Caller { host: "test-project.cn-hangzhou.log.aliyuncs.com:80".to_owned(), ..caller.clone() };
    assert_eq!(with_port.get("/shards").status, 200);
    assert_eq!(Caller { logstore: "other".to_owned(), ..caller.clone() }.get("/shards").code(), "LogStoreNotExist");
    assert_eq!(caller.get("/nonsense").code(), "ParameterInvalid");
}

#[test]
fn a_logstore_that_is_made_anew_is_another_one() {
    let logstore = logstore(1);
    let caller = logstore.caller();
    let created = || caller.get("").json()["createTime"].as_i64().unwrap();
    let first = created();
    logstore.add_logs(&group("x"));
    logstore.let_pass(Duration::from_secs(10));
    logstore.recreate("test-logstore", 3);
    assert!(created() >= first + 10);
    assert_eq!(logstore.shards(), [0, 1, 2]);
    let empty = caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Lz4);
    assert_eq!(empty.header("x-log-count"), "0");
}

#[test]
fn it_comes_back_on_the_same_port_with_what_it_knew() {
    let mut logstore = logstore(1);
    let caller = logstore.caller();
    logstore.add_logs(&group("x"));
    logstore.down();
    assert!(caller.call("GET", "/logstores/test-logstore/shards", &[], b"").is_none());
    logstore.up();
    assert_eq!(caller.pull(0, &caller.cursor(0, "begin"), 10, Packing::Lz4).header("x-log-count"), "1");
}
