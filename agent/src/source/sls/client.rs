//! The calls of Log Service that reading a Logstore needs, each a signed HTTP request.
//!
//! Promises: only status 200 is a success; every error keeps what support asks for (code, text, request id); answers
//! are bounded. Does not decide what to do about an error: [`SlsError::verdict`] does. Knows no shards' state.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body::{Declared, LONGEST};
use super::connection::{self, Address, causes};
use super::cursor::Cursor;
use super::error::SlsError;
use super::sign::{self, Keys, Unsigned};
use crate::plan::{SlsCompression, SlsPlan};
use crate::record::Timestamp;

/// Answers that are JSON are not longer.
const LONGEST_JSON: u64 = 8 << 20;
/// So much of an error's text is kept if it is no JSON.
const SHOWN: usize = 300;
/// Clocks that differ by no more milliseconds are taken to agree.
const CLOCKS_AGREE: i64 = 2000;
/// Calls beside pulls must not keep a heartbeat waiting.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One project's and Logstore's door. Shared by all that ask.
#[derive(Debug)]
pub(super) struct Client {
    plan: SlsPlan,
    address: Address,
    http: reqwest::Client,
    keys: Mutex<Keys>,
    /// The service's clock minus ours, in milliseconds.
    skew: AtomicI64,
}

/// A shard as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct ShardInfo {
    #[serde(rename = "shardID")]
    pub(super) number: u32,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default, rename = "inclusiveBeginKey")]
    pub(super) begin: String,
    #[serde(default, rename = "exclusiveEndKey")]
    pub(super) end: String,
    /// Unix seconds; 0 if the service does not say.
    #[serde(default, rename = "createTime")]
    pub(super) created: u64,
}

impl ShardInfo {
    /// Nothing is written to it any more (it was split or merged).
    pub(super) fn readonly(&self) -> bool {
        self.status.eq_ignore_ascii_case("readonly")
    }
}

/// A consumer group as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct GroupInfo {
    pub(super) name: String,
    /// Seconds.
    #[serde(default)]
    pub(super) timeout: u64,
    #[serde(default)]
    pub(super) order: bool,
}

#[derive(Debug, Deserialize)]
struct Checkpoint {
    shard: u32,
    #[serde(default)]
    checkpoint: String,
}

#[derive(Debug, Deserialize)]
struct Failure {
    #[serde(rename = "errorCode")]
    code: String,
    #[serde(default, rename = "errorMessage")]
    message: String,
}

/// The head of an answer to a pull; its body is still to be read.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) declared: Declared,
    /// Where to go on. `None`: where we are.
    pub(super) next: Option<Cursor>,
    /// The last group's cursor.
    pub(super) last: Option<u64>,
    /// When the service received what lies at `next`, unix seconds.
    pub(super) time: Option<i64>,
    response: Response,
}

impl Client {
    /// Reads keys and certificates: blocking.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn new(plan: &SlsPlan) -> Result<Client, SlsError> {
        let address = Address::new(plan)?;
        let keys = Mutex::new(connection::keys(&plan.reach)?);
        let http = connection::build(plan, &address)?;
        Ok(Client { plan: plan.clone(), address, http, keys, skew: AtomicI64::new(0) })
    }

    /// Reads the access keys again: blocking. True if they are others now.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) fn refresh(&self) -> Result<bool, SlsError> {
        let fresh = connection::keys(&self.plan.reach)?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *keys != fresh;
        *keys = fresh;
        Ok(changed)
    }

    /// The service's time, as far as it is known.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(Timestamp::now().0 + self.skew.load(Ordering::Relaxed))
    }

    pub(super) async fn shards(&self) -> Result<Vec<ShardInfo>, SlsError> {
        self.json(Method::GET, &self.path("/shards"), &[], None).await
    }

    /// `from`: `begin`, `end`, or unix seconds of the time of reception.
    pub(super) async fn cursor(&self, shard: u32, from: &str) -> Result<Cursor, SlsError> {
        #[derive(Deserialize)]
        struct Answer {
            cursor: String,
        }
        let query = [("type", "cursor".to_owned()), ("from", from.to_owned())];
        let answer: Answer = self.json(Method::GET, &self.shard(shard), &query, None).await?;
        Cursor::parse(&answer.cursor)
    }

    /// When the service received what lies at the cursor, unix seconds.
    pub(super) async fn cursor_time(&self, shard: u32, cursor: &Cursor) -> Result<i64, SlsError> {
        #[derive(Deserialize)]
        struct Answer {
            cursor_time: serde_json::Value,
        }
        let query = [("type", "cursor_time".to_owned()), ("cursor", cursor.text().to_owned())];
        let answer: Answer = self.json(Method::GET, &self.shard(shard), &query, None).await?;
        // a number, though the documentation has it a string
        let time = answer.cursor_time.as_i64().or_else(|| answer.cursor_time.as_str()?.parse().ok());
        time.ok_or_else(|| SlsError::Unusable("the cursor's time is none".to_owned()))
    }

    /// Log groups from `cursor` on, `count` at most, none from `end` on (the service may not know of that).
    pub(super) async fn pull(
        &self,
        shard: u32,
        cursor: &Cursor,
        count: u32,
        end: Option<&Cursor>,
    ) -> Result<Pulled, SlsError> {
        let mut query =
            vec![("type", "logs".to_owned()), ("cursor", cursor.text().to_owned()), ("count", count.to_string())];
        query.extend(end.map(|end| ("end_cursor", end.text().to_owned())));
        let encoding = match self.plan.compression {
            SlsCompression::Lz4 => "lz4",
            SlsCompression::Zstd => "zstd",
            SlsCompression::Deflate => "deflate",
            SlsCompression::None => "",
        };
        let accept = [("accept", "application/x-protobuf"), ("accept-encoding", encoding)];
        let path = self.shard(shard);
        let response = self.send(Method::GET, &path, &query, None, &accept, self.plan.reach.timeout).await?;
        Pulled::new(response)
    }

    pub(super) async fn groups(&self) -> Result<Vec<GroupInfo>, SlsError> {
        self.json(Method::GET, &self.path("/consumergroups"), &[], None).await
    }

    pub(super) async fn create_group(&self, group: &GroupInfo) -> Result<(), SlsError> {
        let GroupInfo { name, timeout, order } = group;
        let body = serde_json::json!({ "consumerGroup": name, "timeout": timeout, "order": order });
        self.call(Method::POST, &self.path("/consumergroups"), &[], body.to_string()).await
    }

    pub(super) async fn update_group(&self, group: &GroupInfo) -> Result<(), SlsError> {
        let body = serde_json::json!({ "timeout": group.timeout, "order": group.order });
        self.call(Method::PUT, &self.group(&group.name), &[], body.to_string()).await
    }

    /// Says that `consumer` works on these shards; returns those that it shall work on.
    pub(super) async fn heartbeat(
        &self,
        group: &str,
        consumer: &str,
        shards: &[u32],
        within: Duration,
    ) -> Result<Vec<u32>, SlsError> {
        let query = [("type", "heartbeat".to_owned()), ("consumer", consumer.to_owned())];
        let body = serde_json::json!(shards).to_string();
        let path = self.group(group);
        let response = self.send(Method::POST, &path, &query, Some(body), &[], within.min(CALL_TIMEOUT)).await?;
        parse(&path, response).await
    }

    /// Where the group goes on, of one shard or of all. A shard without a checkpoint is left out.
    pub(super) async fn checkpoints(&self, group: &str, shard: Option<u32>) -> Result<Vec<(u32, Cursor)>, SlsError> {
        let query: Vec<_> = shard.map(|shard| ("shard", shard.to_string())).into_iter().collect();
        let found: Vec<Checkpoint> = self.json(Method::GET, &self.group(group), &query, None).await?;
        let set = found.into_iter().filter(|found| !found.checkpoint.is_empty());
        set.map(|found| Ok((found.shard, Cursor::parse(&found.checkpoint)?))).collect()
    }

    /// Moves the group's checkpoint, if the shard is `consumer`'s.
    pub(super) async fn checkpoint(
        &self,
        group: &str,
        consumer: &str,
        shard: u32,
        cursor: &Cursor,
    ) -> Result<(), SlsError> {
        let query = [
            ("type", "checkpoint".to_owned()),
            ("consumer", consumer.to_owned()),
            // never over the head of whoever the shard belongs to now
            ("forceSuccess", "false".to_owned()),
        ];
        let body = serde_json::json!({ "shard": shard, "checkpoint": cursor.text() }).to_string();
        self.call(Method::POST, &self.group(group), &query, body).await
    }

    fn path(&self, rest: &str) -> String {
        format!("/logstores/{}{rest}", self.plan.logstore)
    }

    fn shard(&self, shard: u32) -> String {
        self.path(&format!("/shards/{shard}"))
    }

    fn group(&self, group: &str) -> String {
        self.path(&format!("/consumergroups/{group}"))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<String>,
    ) -> Result<T, SlsError> {
        parse(path, self.send(method, path, query, body, &[], CALL_TIMEOUT).await?).await
    }

    async fn call(&self, method: Method, path: &str, query: &[(&str, String)], body: String) -> Result<(), SlsError> {
        self.send(method, path, query, Some(body), &[], CALL_TIMEOUT).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<String>,
        more: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Response, SlsError> {
        let headers = self.sign(&method, path, query, body.as_deref());
        let query = sign::encoded_query(query, false);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = self.http.request(method, format!("{}{path}{mark}{query}", self.address.base));
        for (name, value) in headers.iter().map(|(n, v)| (*n, v.as_str())).chain(more.iter().copied()) {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let asked = self.now();
        let response = request.timeout(timeout).send().await.map_err(|e| SlsError::Unreachable(causes(&e)))?;
        if response.status().as_u16() != 200 {
            return Err(self.refusal(response).await);
        }
        self.learn_clock(&response, asked);
        Ok(response)
    }

    /// The service's time is what `stop` and lags are about. It is said in whole seconds, some time between the question
    /// and the answer.
    fn learn_clock(&self, response: &Response, asked: Timestamp) {
        let Some(date) = text(response, "date").and_then(|date| sign::parse_date(&date)) else { return };
        let off = date.0 - date.0.clamp(asked.0, self.now().0.max(asked.0));
        if off.abs() > CLOCKS_AGREE {
            self.skew.fetch_add(off, Ordering::Relaxed);
        }
    }

    /// By how much the service's clock is ahead of ours, in seconds.
    pub(super) fn seconds_ahead(&self) -> i64 {
        self.skew.load(Ordering::Relaxed) / 1000
    }

    fn sign(&self, method: &Method, path: &str, query: &[(&str, String)], body: Option<&str>) -> sign::Headers {
        let method = match *method {
            Method::POST => "POST",
            Method::PUT => "PUT",
            _ => "GET",
        };
        let body = body.map(|body| ("application/json", body.as_bytes()));
        let request = Unsigned { method, host: &self.address.host, path, query, body };
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.plan.reach.region {
            Some(region) => sign::v4(&request, &keys, region, self.now()),
            None => sign::v1(&request, &keys, self.now()),
        }
    }

    /// What the service says, without the secrets that it says back to us (a signed text has the token in it).
    fn masked(&self, message: String) -> String {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = [Some(&keys.secret), keys.token.as_ref()];
        secrets
            .into_iter()
            .flatten()
            .filter(|secret| !secret.is_empty())
            .fold(message, |text, secret| text.replace(secret.as_str(), "***"))
    }

    /// Reads why; the service's clock is taken over if it says that ours is wrong.
    async fn refusal(&self, response: Response) -> SlsError {
        let status = response.status().as_u16();
        let request = text(&response, "x-log-requestid").unwrap_or_else(|| "unknown".to_owned());
        let date = text(&response, "date").and_then(|date| sign::parse_date(&date));
        let body = read(response, LONGEST_JSON).await.unwrap_or_default();
        let Failure { code, message } = serde_json::from_slice(&body).unwrap_or_else(|_| {
            let shown: String = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
            Failure { code: "no error of Log Service".to_owned(), message: shown }
        });
        let error = SlsError::Refused { status, code, message: self.masked(message), request };
        if error.verdict() == super::error::Verdict::Skewed
            && let Some(date) = date
        {
            let skew = date.0 - Timestamp::now().0;
            tracing::warn!(seconds = skew / 1000, "the service's clock differs from this machine's: its time is used");
            self.skew.store(skew, Ordering::Relaxed);
        }
        error
    }
}

impl Pulled {
    fn new(response: Response) -> Result<Pulled, SlsError> {
        let number = |name: &str| text(&response, name).and_then(|value| value.trim().parse::<u64>().ok());
        let raw_size = match number("x-log-bodyrawsize") {
            Some(size) => size,
            // an empty answer need not say so
            None if response.content_length() == Some(0) => 0,
            None => return Err(SlsError::Unusable("it does not say how long its body is".to_owned())),
        };
        let next = text(&response, "x-log-cursor").filter(|cursor| !cursor.is_empty());
        Ok(Pulled {
            declared: Declared {
                raw_size,
                compression: text(&response, "x-log-compresstype").map(|name| name.to_ascii_lowercase()),
                groups: number("x-log-count"),
            },
            next: next.map(|cursor| Cursor::parse(&cursor)).transpose()?,
            last: number("x-log-read-last-cursor"),
            time: number("x-log-cursor-time").and_then(|time| i64::try_from(time).ok()),
            response,
        })
    }

    /// The body as it was sent.
    pub(super) async fn body(self) -> Result<Vec<u8>, SlsError> {
        // what can't be compressed gets a little longer
        read(self.response, LONGEST + LONGEST / 16).await
    }
}

fn text(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

async fn parse<T: DeserializeOwned>(path: &str, response: Response) -> Result<T, SlsError> {
    let body = read(response, LONGEST_JSON).await?;
    serde_json::from_slice(&body).map_err(|error| SlsError::Unusable(format!("{path}: {error}")))
}

async fn read(mut response: Response, longest: u64) -> Result<Vec<u8>, SlsError> {
    let cut = |error: reqwest::Error| SlsError::Unreachable(causes(&error));
    let mut body = Vec::with_capacity(response.content_length().unwrap_or(0).min(longest) as usize);
    while let Some(chunk) = response.chunk().await.map_err(cut)? {
        if (body.len() + chunk.len()) as u64 > longest {
            return Err(SlsError::Unusable(format!("it is longer than {longest} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
