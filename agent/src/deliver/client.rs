//! The only place that sends a byte to the cluster.
//!
//! Gives back whatever was answered, unjudged, or says that no answer came and whether anything can have
//! been sent. Follows no redirect, repeats no request, prints no secret.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{Method, StatusCode};

use super::connection::{self, Material};
use super::endpoints::Endpoints;
use super::identity::Identity;
use crate::plan::{ElasticsearchPlan, Routing};
use crate::record::gzip;

/// An answer may have this many bytes, and more for each document asked about.
const ANSWER_BASE: usize = 4 << 20;
const ANSWER_PER_ITEM: usize = 4 << 10;
/// Questions about the cluster are answered quickly or not at all.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);
/// After failures the cluster is asked again who it is, not more often than this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What came back, unjudged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    /// When it was sent, by the server's clock, where it says so.
    pub(crate) date: Option<String>,
    /// Decompressed. Empty if it was longer than anything that can be an answer.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why nothing came back. The texts hold host and cause, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was sent.
    #[error("can't connect: {0}")]
    Unreachable(String),
    /// The request may have been carried out.
    #[error("no answer: {0}")]
    Broken(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The settings or the files that they name do not work; nothing was sent.
    #[error("{0}")]
    Settings(String),
    /// No request can name this index; nothing was sent.
    #[error("`{0}` can't be an index name")]
    IndexName(String),
}

/// The sink's client. All requests of a pipeline share it.
pub(crate) struct Client {
    plan: ElasticsearchPlan,
    endpoints: Mutex<Endpoints>,
    pool: RwLock<Option<Pool>>,
    known: tokio::sync::Mutex<Known>,
}

#[derive(Clone)]
struct Pool {
    http: reqwest::Client,
    material: Arc<Material>,
}

#[derive(Default)]
struct Known {
    identity: Option<Arc<Identity>>,
    asked: Option<Instant>,
    doubted: bool,
}

impl Client {
    pub(crate) fn new(plan: ElasticsearchPlan) -> Client {
        let endpoints = Mutex::new(Endpoints::new(&plan.endpoints));
        Client { plan, endpoints, pool: RwLock::default(), known: tokio::sync::Mutex::default() }
    }

    /// Sends one bulk request. `body` is gzip, one or more members, of `items` bulk items.
    pub(crate) async fn bulk(
        &self,
        index: &str,
        identity: &Identity,
        body: Bytes,
        items: u32,
    ) -> Result<Reply, Failure> {
        if matches!(index, "" | "." | "..") {
            return Err(Failure::IndexName(index.to_owned())); // a URL would swallow it
        }
        let mut path = format!("/{}", encoded(index));
        path.push_str(if identity.wants_type() { "/_doc/_bulk" } else { "/_bulk" });
        path.push_str("?filter_path=errors,items.*.status,items.*.error");
        if let Some(pipeline) = &self.plan.pipeline {
            path.push_str("&pipeline=");
            path.push_str(&encoded(pipeline));
        }
        if let Some(Routing::Literal(routing)) = &self.plan.routing {
            path.push_str("&routing=");
            path.push_str(&encoded(routing));
        }
        let request = Request { method: Method::POST, path: &path, items, timeout: self.plan.bulk.timeout };
        self.send(request, Some((body, "application/x-ndjson", true))).await
    }

    /// Asks with `GET`, or with `POST`/`PUT` if there is a JSON body. `items` bounds the answer's length.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        json: Option<Vec<u8>>,
        items: u32,
    ) -> Result<Reply, Failure> {
        let method = match method {
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            _ => Method::GET,
        };
        let timeout = QUESTION_TIMEOUT.min(self.plan.bulk.timeout);
        self.send(Request { method, path, items, timeout }, json.map(|j| (Bytes::from(j), "application/json", false)))
            .await
    }

    /// Who is there; asked once, and again after [`Client::doubt`].
    ///
    /// # Errors
    /// The failure, or the answer of a cluster that refuses (401) or is not ready (429, 5xx).
    pub(crate) async fn identity(&self) -> Result<Arc<Identity>, Result<Reply, Failure>> {
        let mut known = self.known.lock().await;
        let fresh = !known.doubted || known.asked.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        if let Some(identity) = known.identity.as_ref().filter(|_| fresh) {
            return Ok(identity.clone());
        }
        known.asked = Some(Instant::now());
        let mut identity = self.find_identity().await.map_err(|why| match why {
            Err(Failure::Broken(text)) if known.identity.is_none() && text.contains("http://") => {
                Err(Failure::Broken(format!("{text} (does it want https://?)")))
            }
            why => why,
        })?;
        if let Some(before) = &known.identity
            && identity.version.is_none()
        {
            identity.version.clone_from(&before.version);
            identity.flavour = before.flavour;
            identity.cluster_name.clone_from(&before.cluster_name);
        }
        let identity = Arc::new(identity);
        known.identity = Some(identity.clone());
        known.doubted = false;
        Ok(identity)
    }

    /// No host is expected to answer.
    pub(crate) fn all_resting(&self) -> bool {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).all_resting(Instant::now())
    }

    /// After a failure the cluster behind the address may be another one.
    pub(crate) async fn doubt(&self) {
        self.known.lock().await.doubted = true;
    }

    async fn find_identity(&self) -> Result<Identity, Result<Reply, Failure>> {
        let root = self.ask("GET", "/", None, 0).await.map_err(Err)?;
        if let Some(identity) = Identity::from_root(&root.body).filter(|_| root.is_success()) {
            return Ok(identity);
        }
        if matches!(root.status, 401 | 408 | 429 | 500..) {
            return Err(Ok(root));
        }
        let nodes = self.ask("GET", "/_nodes?filter_path=nodes.*.version", None, 1000).await.map_err(Err)?;
        let state = self
            .ask("GET", "/_cluster/state/version?filter_path=cluster_uuid,cluster_name", None, 0)
            .await
            .map_err(Err)?;
        Ok(Identity::from_nodes(&nodes.body, &state.body))
    }

    /// Reads secrets and certificates again; `true` if one has changed and the connections were made anew.
    pub(crate) async fn reload(&self) -> Result<bool, Failure> {
        let plan = self.plan.clone();
        let before =
            self.pool.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|pool| pool.material.clone());
        let made = tokio::task::spawn_blocking(move || {
            let material = Material::read(&plan)?;
            if before.is_some_and(|before| *before == material) {
                return Ok(None);
            }
            let http = connection::build(&plan, &material)?;
            Ok(Some(Pool { http, material: Arc::new(material) }))
        });
        match made.await {
            Ok(Ok(None)) => Ok(false),
            Ok(Ok(pool)) => {
                *self.pool.write().unwrap_or_else(PoisonError::into_inner) = pool;
                Ok(true)
            }
            Ok(Err(text)) => Err(Failure::Settings(text)),
            Err(_) => Err(Failure::Settings("the runtime is shutting down".to_owned())),
        }
    }

    async fn pool(&self) -> Result<Pool, Failure> {
        loop {
            if let Some(pool) = &*self.pool.read().unwrap_or_else(PoisonError::into_inner) {
                return Ok(pool.clone());
            }
            self.reload().await?;
        }
    }

    async fn send(&self, request: Request<'_>, body: Option<(Bytes, &'static str, bool)>) -> Result<Reply, Failure> {
        let Pool { http, material } = self.pool().await?;
        let next = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
        let Some((host, base)) = next else { return Err(Failure::Settings("no endpoint is set".to_owned())) };
        let mut builder =
            http.request(request.method.clone(), format!("{base}{}", request.path)).timeout(request.timeout);
        if let Some((bytes, kind, gzip)) = body {
            builder = builder.header(CONTENT_TYPE, kind).body(bytes);
            if gzip {
                builder = builder.header(CONTENT_ENCODING, "gzip");
            }
        }
        let mut result = exchange(builder, request.items).await.map_err(|error| failure(error, &base, request.timeout));
        if let Some(refused) = result.as_mut().ok().filter(|reply| !reply.is_success()) {
            refused.body = material.masked(std::mem::take(&mut refused.body));
        }
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(reply) if !matches!(reply.status, 502..=504) => endpoints.worked(host),
            _ => endpoints.failed(host, Instant::now()),
        }
        result
    }
}

struct Request<'a> {
    method: Method,
    path: &'a str,
    items: u32,
    timeout: Duration,
}

async fn exchange(builder: reqwest::RequestBuilder, items: u32) -> Result<Reply, reqwest::Error> {
    let mut response = builder.send().await?;
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (retry_after, date) = (text(RETRY_AFTER), text(DATE));
    // Not asked for, but some gateways compress whatever they are asked.
    let gzipped = text(CONTENT_ENCODING).is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
    let limit = ANSWER_BASE + ANSWER_PER_ITEM * items as usize;
    let length = response.content_length().unwrap_or(0).min(limit as u64);
    let mut body = Vec::with_capacity(length as usize);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            body.clear(); // unreadable; the rest is not worth hearing
            break;
        }
        body.extend_from_slice(&chunk);
    }
    if gzipped {
        body = gzip::decompress(&body, limit as u64).unwrap_or_default();
    }
    Ok(Reply { status: StatusCode::as_u16(&status), retry_after, date, body })
}

fn failure(error: reqwest::Error, base: &str, timeout: Duration) -> Failure {
    let error = error.without_url();
    if error.is_connect() {
        Failure::Unreachable(format!("{base}: {}", connection::causes(&error)))
    } else if error.is_builder() {
        Failure::Settings(format!("{base}: {}", connection::causes(&error)))
    } else if error.is_timeout() {
        Failure::TimedOut(timeout)
    } else {
        Failure::Broken(format!("{base}: {}", connection::causes(&error)))
    }
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_so_that_no_index_reaches_another_path() {
        assert_eq!(encoded("logs-2026.01.02_a~"), "logs-2026.01.02_a~");
        assert_eq!(encoded("<logs-{now/d}>"), "%3Clogs-%7Bnow%2Fd%7D%3E");
        assert_eq!(encoded("a/../_all?x&y#z%é"), "a%2F..%2F_all%3Fx%26y%23z%25%C3%A9");
    }
}
