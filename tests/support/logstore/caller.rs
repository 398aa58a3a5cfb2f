//! A small client of the test Logstore: the calls a test needs to be a second member of a group or to look at the wire.
//!
//! It speaks plain HTTP/1.1 over one connection for each call and shows the answer as it came. It is no reference for clients; the
//! official SDKs are the witnesses.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Logstore;
use super::admission::rfc1123;
use super::compression::Packing;
use super::refusal::Refusal;
use super::request::{Request, query_pairs};
use super::signature;

/// Who calls, and how it signs.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: SocketAddr,
    pub host: String,
    pub logstore: String,
    pub key_id: String,
    pub secret: String,
    pub token: Option<String>,
    /// Signs with V4 for this region instead of with V1.
    pub region: Option<String>,
    /// Seconds by which its clock is ahead.
    pub ahead: i64,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
    /// The body is as long as was announced.
    pub whole: bool,
}

impl Logstore {
    /// A caller with the key of the options.
    pub fn caller(&self) -> Caller {
        let options = self.options();
        Caller {
            address: self.address(),
            host: format!("{}.cn-hangzhou.log.aliyuncs.com", options.project),
            logstore: options.logstore,
            key_id: options.access_key_id,
            secret: options.access_key_secret,
            token: None,
            region: None,
            ahead: 0,
        }
    }
}

impl Caller {
    /// Makes one call. `target` is path and query; `None`: the connection was cut before an answer.
    pub fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Reply> {
        let mut request = self.unsigned(method, target, body);
        headers.iter().for_each(|(name, value)| set(&mut request, name, value));
        self.sign(&mut request);
        self.send(&request, target)
    }

    /// A request with the headers that all must have, but for those of the signature.
    pub(super) fn unsigned(&self, method: &str, target: &str, body: &[u8]) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query_pairs(query),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body),
            host: self.host.clone(),
            peer: self.address,
        };
        set(&mut request, "x-log-apiversion", "0.6.0");
        set(&mut request, "x-log-bodyrawsize", &body.len().to_string());
        if !body.is_empty() {
            set(&mut request, "content-type", "application/x-protobuf");
        }
        request
    }

    /// Sends a request as it is, in absolute form as to a proxy.
    pub(super) fn send(&self, request: &Request, target: &str) -> Option<Reply> {
        let mut text = format!("{} http://{}{target} HTTP/1.1\r\n", request.method, self.host);
        text.push_str(&format!("host: {}\r\nconnection: close\r\n", request.host));
        text.push_str(&format!("content-length: {}\r\n", request.body.len()));
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let sent = [text.as_bytes(), b"\r\n", &request.body].concat();
        stream.write_all(&sent).ok()?;
        let mut answer = Vec::new();
        // What came before a cut is looked at all the same.
        let _end = stream.read_to_end(&mut answer);
        parse(&answer, request.method == "HEAD")
    }

    pub(super) fn sign(&self, request: &mut Request) {
        let now = Timestamp::now().as_second() + self.ahead;
        if let Some(token) = &self.token {
            set(request, "x-acs-security-token", token);
        }
        let authorization = match &self.region {
            None => {
                set(request, "x-log-signaturemethod", "hmac-sha1");
                set(request, "date", &rfc1123(now));
                if !request.body.is_empty() {
                    let hash = signature::hex(&Md5::digest(&request.body)).to_uppercase();
                    set(request, "content-md5", &hash);
                }
                let made = signature::v1_signature(&self.secret, &signature::v1_string_to_sign(request));
                format!("LOG {}:{made}", self.key_id)
            }
            Some(region) => {
                let moment =
                    jiff::fmt::strtime::format("%Y%m%dT%H%M%SZ", Timestamp::from_second(now).unwrap()).unwrap();
                let day = &moment[..8];
                set(request, "x-log-date", &moment);
                let hash = signature::hex(&Sha256::digest(&request.body));
                set(request, "x-log-content-sha256", &hash);
                let string = signature::v4_string_to_sign(request, day, region);
                let made = signature::v4_signature(&self.secret, day, region, &string);
                let scope = format!("{day}/{region}/sls/aliyun_v4_request");
                format!("SLS4-HMAC-SHA256 Credential={}/{scope},Signature={made}", self.key_id)
            }
        };
        set(request, "authorization", &authorization);
    }

    /// A call without a body.
    pub fn get(&self, path: &str) -> Reply {
        let path = format!("/logstores/{}{path}", self.logstore);
        self.call("GET", &path, &[], b"").expect("an answer")
    }

    /// A call with a JSON body below `/consumergroups`.
    pub fn post_group(&self, path: &str, body: &Value) -> Reply {
        let path = format!("/logstores/{}/consumergroups{path}", self.logstore);
        let body = body.to_string();
        self.call("POST", &path, &[("content-type", "application/json")], body.as_bytes()).expect("an answer")
    }

    pub fn create_group(&self, group: &str, timeout: u64, order: bool) -> Result<(), Refusal> {
        let body = json!({ "consumerGroup": group, "timeout": timeout, "order": order });
        self.post_group("", &body).taken().map(drop)
    }

    /// Says which shards the consumer works on; gives those that it shall hold.
    pub fn heartbeat(&self, group: &str, consumer: &str, shards: &[u32]) -> Result<Vec<u32>, Refusal> {
        let reply = self.post_group(&format!("/{group}?type=heartbeat&consumer={consumer}"), &json!(shards)).taken()?;
        Ok(serde_json::from_slice(&reply.body).expect("an array of shards"))
    }

    /// Keeps a checkpoint; `cursor` as the service writes cursors.
    pub fn update_checkpoint(
        &self,
        group: &str,
        consumer: &str,
        shard: u32,
        cursor: &str,
        forced: bool,
    ) -> Result<(), Refusal> {
        let path = format!("/{group}?type=checkpoint&consumer={consumer}&forceSuccess={forced}");
        self.post_group(&path, &json!({ "shard": shard, "checkpoint": cursor })).taken().map(drop)
    }

    /// `begin`, `end` or seconds.
    pub fn cursor(&self, shard: u32, from: &str) -> String {
        let reply = self.get(&format!("/shards/{shard}?type=cursor&from={from}"));
        reply.json()["cursor"].as_str().expect("a cursor").to_owned()
    }

    pub fn pull(&self, shard: u32, cursor: &str, count: usize, packing: Packing) -> Reply {
        let path = format!("/logstores/{}/shards/{shard}?type=logs&cursor={cursor}&count={count}", self.logstore);
        self.call("GET", &path, &[("accept-encoding", packing.name())], b"").expect("an answer")
    }

    /// Puts an encoded group; `way` is `/shards/lb`, `/shards/route?key=…` or nothing.
    pub fn put(&self, way: &str, group: &[u8], packing: Packing) -> Reply {
        let size = group.len().to_string();
        let mut headers = vec![("content-type", "application/x-protobuf"), ("x-log-bodyrawsize", size.as_str())];
        if packing != Packing::Identity {
            headers.push(("x-log-compresstype", packing.name()));
        }
        let path = format!("/logstores/{}{way}", self.logstore);
        self.call("POST", &path, &headers, &packing.pack(group)).expect("an answer")
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The error's code; empty for 200.
    pub fn code(&self) -> String {
        if self.status == 200 {
            return String::new();
        }
        self.json()["errorCode"].as_str().expect("an error code").to_owned()
    }

    fn taken(self) -> Result<Reply, Refusal> {
        if self.status == 200 {
            return Ok(self);
        }
        let message = self.json()["errorMessage"].as_str().unwrap_or("").to_owned();
        Err(Refusal::new(self.status, &self.code(), message))
    }

    /// The body unpacked as its headers say; `None` if that does not come out even.
    pub fn unpacked(&self) -> Option<Bytes> {
        let packing = Packing::of_body(self.headers.get("x-log-compresstype").map(String::as_str)).ok()?;
        packing.unpack(&self.body, self.header("x-log-bodyrawsize").parse().ok()?)
    }
}

fn set(request: &mut Request, name: &str, value: &str) {
    request.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
}

fn parse(answer: &[u8], head_only: bool) -> Option<Reply> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let body = Bytes::copy_from_slice(&answer[end + 4..]);
    let announced = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let whole = head_only || body.len() == announced;
    Some(Reply { status, headers, body, whole })
}
