//! A given cluster, asked what it has: nothing here is sent by the agent, nothing is learned from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::net::TcpStream;

use super::ledger::Ledger;

/// Every question is answered within this.
const DEADLINE: Duration = Duration::from_secs(60);
/// A count for the progress line.
const COUNT_DEADLINE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 256 << 20;
/// Documents of one page when counting.
const PAGE: usize = 5_000;

/// A cluster and the index that is this demo's own.
#[derive(Debug)]
pub(super) struct Cluster {
    url: String,
    index: String,
    auth: Option<(String, String)>,
    /// Documents when they were last counted.
    counted: AtomicU64,
}

impl Cluster {
    /// `url` may hold `user:password@`.
    ///
    /// # Errors
    /// The URL makes no sense, or nobody answers there, or it wants other credentials.
    pub(super) async fn reach(url: &str, index: &str) -> anyhow::Result<Cluster> {
        let (url, auth) = split_auth(url)?;
        let cluster = Cluster { url, index: index.to_owned(), auth, counted: AtomicU64::new(0) };
        let asked = cluster.ask(Method::GET, &format!("/{index}/_count"), None).await;
        let (status, _) = asked.with_context(|| format!("{} can't be reached", cluster.url))?;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                bail!("{} answers {status}: give it as http://user:password@host:port", cluster.url)
            }
            _ => Ok(cluster), // 404 is right: the index is not made yet
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn index(&self) -> &str {
        &self.index
    }

    /// User and password.
    pub(super) fn auth(&self) -> Option<(&str, &str)> {
        self.auth.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// Documents that a search finds now, or found when the cluster last answered: one that does not right now is no
    /// reason to stop, and must not hold up the demo either.
    pub(super) async fn count_or_last(&self) -> u64 {
        if let Ok(Ok(count)) = tokio::time::timeout(COUNT_DEADLINE, self.count()).await {
            self.counted.store(count, Ordering::Relaxed);
        }
        self.counted.load(Ordering::Relaxed)
    }

    /// 0 while there is no index.
    async fn count(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        if !self.refresh().await? {
            return Ok(0);
        }
        let (status, body) = self.ask(Method::GET, &format!("/{}/_count", self.index), None).await?;
        Ok(success::<Count>(status, &body)?.count)
    }

    /// Writes every document of the index into the ledger.
    pub(super) async fn collect(&self, ledger: &Ledger) -> anyhow::Result<()> {
        if !self.refresh().await? {
            return Ok(());
        }
        let first = json!({ "size": PAGE, "sort": ["_doc"] });
        let (status, body) =
            self.ask(Method::POST, &format!("/{}/_search?scroll=2m", self.index), Some(first.to_string())).await?;
        let mut scroll = read_page(status, &body, ledger)?;
        while let Some(id) = scroll {
            let next = json!({ "scroll": "2m", "scroll_id": id }).to_string();
            let (status, body) = self.ask(Method::POST, "/_search/scroll", Some(next)).await?;
            scroll = read_page(status, &body, ledger)?;
            if scroll.is_none() {
                // It would end by itself in two minutes.
                self.ask(Method::DELETE, "/_search/scroll", Some(json!({ "scroll_id": id }).to_string())).await.ok();
            }
        }
        Ok(())
    }

    /// Makes everything acknowledged visible. `false`: there is no index yet.
    async fn refresh(&self) -> anyhow::Result<bool> {
        let (status, body) = self.ask(Method::POST, &format!("/{}/_refresh", self.index), None).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        success::<serde::de::IgnoredAny>(status, &body)?;
        Ok(true)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<(StatusCode, Bytes)> {
        ask(method, &format!("{}{path}", self.url), self.auth(), body.unwrap_or_default().into_bytes()).await
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    _scroll_id: String,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    _id: String,
    #[serde(borrow)]
    _source: &'a RawValue,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    message: String,
}

/// Takes one page down; gives the scroll id unless it was the last.
fn read_page(status: StatusCode, body: &[u8], ledger: &Ledger) -> anyhow::Result<Option<String>> {
    let page: Page<'_> = success(status, body)?;
    for hit in &page.hits.hits {
        let source: Source = serde_json::from_str(hit._source.get())?;
        ledger.receive(&hit._id, &source.message, hit._source.get());
    }
    Ok((!page.hits.hits.is_empty()).then_some(page._scroll_id))
}

fn success<'a, A: Deserialize<'a>>(status: StatusCode, body: &'a [u8]) -> anyhow::Result<A> {
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(body).chars().take(500).collect();
        bail!("the cluster answers {status}: {text}");
    }
    serde_json::from_slice(body).context("the cluster's answer can't be understood")
}

/// Takes `user:password@` out of a URL.
fn split_auth(url: &str) -> anyhow::Result<(String, Option<(String, String)>)> {
    let trimmed = url.trim_end_matches('/');
    let (scheme, rest) =
        trimmed.split_once("://").with_context(|| format!("{url} is no URL; expected http://host:9200"))?;
    match rest.rsplit_once('@') {
        None => Ok((trimmed.to_owned(), None)),
        Some((auth, host)) => {
            let (user, password) = auth.split_once(':').unwrap_or((auth, ""));
            Ok((format!("{scheme}://{host}"), Some((user.to_owned(), password.to_owned()))))
        }
    }
}

/// One question to `url` and its answer.
pub(super) async fn ask(
    method: Method,
    url: &str,
    auth: Option<(&str, &str)>,
    body: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let mut request = Request::builder().method(method).uri(url).header(CONTENT_TYPE, "application/json");
    if let Some((user, password)) = auth {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request = request.header(AUTHORIZATION, format!("Basic {pair}"));
    }
    send(request.body(Full::new(Bytes::from(body)))?).await
}

/// Sends a request with an absolute URI over a connection of its own.
pub(super) async fn send(request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
    tokio::time::timeout(DEADLINE, exchange(request)).await.map_err(|_| anyhow!("no answer in {DEADLINE:?}"))?
}

async fn exchange(mut request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
    let uri = request.uri().clone();
    let host = uri.host().with_context(|| format!("{uri} names no host"))?;
    match uri.scheme_str() {
        Some("http") => {}
        other => bail!("{}:// is not spoken here; the demo takes http://host:port", other.unwrap_or_default()),
    }
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    request.headers_mut().insert(HOST, format!("{host}:{port}").parse()?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    let conversation = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| anyhow!(error))?;
        Ok((status, body.to_bytes()))
    };
    // The connection has to be polled for the conversation to go on; its end is not the conversation's.
    tokio::pin!(conversation);
    tokio::select! {
        answer = &mut conversation => answer,
        _ended = connection => conversation.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        for (url, want, auth) in [
            ("http://h:9200/", "http://h:9200", None),
            ("http://u:p@h:9200", "http://h:9200", Some(("u", "p"))),
            ("http://u:a@b@h/es", "http://h/es", Some(("u", "a@b"))),
            ("http://u@h", "http://h", Some(("u", ""))),
        ] {
            let (bare, found) = split_auth(url).unwrap();
            assert_eq!(bare, want);
            assert_eq!(found.as_ref().map(|(u, p)| (u.as_str(), p.as_str())), auth);
        }
        assert!(split_auth("localhost:9200").unwrap_err().to_string().contains("expected http://host:9200"));
    }

    #[test]
    fn pages_are_taken_down_until_an_empty_one() {
        let ledger = Ledger::default();
        ledger.write_down(["seq=0", "seq=1"].into_iter());
        let page = |hits: &str| format!(r#"{{"_scroll_id":"s","took":3,"hits":{{"total":2,"hits":[{hits}]}}}}"#);
        let hit = |id: &str, seq: u32| format!(r#"{{"_index":"i","_id":"{id}","_source":{{"message":"seq={seq}"}}}}"#);
        let full = page(&[hit("a", 0), hit("b", 0)].join(","));
        assert_eq!(read_page(StatusCode::OK, full.as_bytes(), &ledger).unwrap().as_deref(), Some("s"));
        assert_eq!(read_page(StatusCode::OK, page("").as_bytes(), &ledger).unwrap(), None);
        let tally = ledger.tally();
        assert_eq!((tally.documents, tally.double, tally.missing_lines), (2, 1, vec![1]));
        let error = read_page(StatusCode::NOT_FOUND, b"{\"error\":\"gone\"}", &ledger).unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
