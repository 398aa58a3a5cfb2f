//! As much of Elasticsearch as a demo needs: it names itself, takes `_bulk`, and writes every document into the ledger.
//!
//! Promises: answers have the real shape (items in order, 201 for a new id, 409 for one that is there, 400 for what
//! is no document; shortened when `filter_path` is asked for); a body that did not arrive whole changes nothing.
//! Keeps ids, no documents.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use crate::record::gzip;

/// What it says it is.
const VERSION: &str = "8.19.21";
const MAX_CONNECTIONS: usize = 64;
/// Elasticsearch's own limit of a request, on the wire and unpacked.
const MAX_BODY: usize = 100 << 20;
const HEAD_DEADLINE: Duration = Duration::from_secs(60);

/// A running endpoint; ends when dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    pub(super) async fn start(ledger: Arc<Ledger>) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Endpoint { url, accepting: tokio::spawn(accept(listener, ledger)) })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                // A peer that was killed between knocking and entering is no concern.
                let Ok((stream, _)) = accepted else { continue };
                let ledger = Arc::clone(&ledger);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&ledger), request));
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_DEADLINE)
                        .serve_connection(TokioIo::new(stream), service);
                    // It breaks off whenever the agent is killed.
                    connection.await.ok();
                });
            }
        }
    }
}

async fn answer(ledger: Arc<Ledger>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = route(&ledger, request).await;
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));
    Ok(response)
}

async fn route(ledger: &Ledger, request: Request<Incoming>) -> (StatusCode, Value) {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    match (&method, path.trim_matches('/')) {
        (&Method::GET | &Method::HEAD, "") => (StatusCode::OK, identity()),
        (&Method::POST | &Method::PUT, inner) if inner == "_bulk" || inner.ends_with("/_bulk") => {
            let short = request.uri().query().is_some_and(|query| query.contains("filter_path"));
            let index = inner.split('/').next().filter(|first| *first != "_bulk").unwrap_or_default().to_owned();
            match raw_body(request).await {
                Ok(body) => bulk(ledger, &index, &body, short),
                Err(reason) => (StatusCode::BAD_REQUEST, error("illegal_argument_exception", &reason, 400)),
            }
        }
        _ => {
            let reason = format!("no handler found for uri [{path}] and method [{method}]");
            (StatusCode::BAD_REQUEST, error("illegal_argument_exception", &reason, 400))
        }
    }
}

fn identity() -> Value {
    json!({
        "name": "splashdam-demo",
        "cluster_name": "splashdam-demo",
        "cluster_uuid": "c3BsYXNoZGFtLWRlbW8tMQ",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

async fn raw_body(request: Request<Incoming>) -> Result<Vec<u8>, String> {
    let packed = request.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await.map_err(|error| error.to_string())?;
    let body = body.to_bytes();
    if packed { gzip::decompress(&body, MAX_BODY as u64).map_err(|error| error.to_string()) } else { Ok(body.to_vec()) }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action<'a> {
    #[serde(borrow)]
    Create(Target<'a>),
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "_index")]
    index: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

fn bulk(ledger: &Ledger, index: &str, body: &[u8], short: bool) -> (StatusCode, Value) {
    let bad = |reason: &str| (StatusCode::BAD_REQUEST, error("illegal_argument_exception", reason, 400));
    let Some(text) = body.strip_suffix(b"\n") else {
        return bad("The bulk request must be terminated by a newline [\\n]");
    };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // All actions are read before the first document is taken: a malformed body changes nothing.
    let mut operations = Vec::with_capacity(lines.len() / 2);
    for (at, pair) in lines.chunks(2).enumerate() {
        let (Ok(Action::Create(target)), Some(source)) = (serde_json::from_slice(pair[0]), pair.get(1)) else {
            return bad(&format!("Malformed action/metadata line [{}], or no document after it", 2 * at + 1));
        };
        operations.push((target, *source));
    }
    let items: Vec<Value> =
        operations.iter().map(|(target, source)| item(ledger, index, target, source, short)).collect();
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    let answer = if short {
        json!({ "errors": errors, "items": items })
    } else {
        json!({ "took": 1, "errors": errors, "items": items })
    };
    (StatusCode::OK, answer)
}

fn item(ledger: &Ledger, index: &str, target: &Target<'_>, source: &[u8], short: bool) -> Value {
    let index = target.index.as_deref().unwrap_or(index);
    let document = std::str::from_utf8(source).ok().zip(serde_json::from_slice::<Document<'_>>(source).ok());
    let mut inner = match document {
        None => json!({ "status": 400, "error": cause("document_parsing_exception", "failed to parse") }),
        Some((text, document)) if ledger.receive(&target.id, &document.message, text) => {
            json!({ "status": 201, "_version": 1, "result": "created", "_seq_no": 0, "_primary_term": 1,
                    "_shards": { "total": 1, "successful": 1, "failed": 0 } })
        }
        Some(_) => {
            let reason = format!("[{}]: version conflict, document already exists (current version [1])", target.id);
            json!({ "status": 409, "error": cause("version_conflict_engine_exception", &reason) })
        }
    };
    if let Some(fields) = inner.as_object_mut() {
        if short {
            fields.retain(|name, _| name == "status" || name == "error");
        } else {
            fields.insert("_index".to_owned(), index.into());
            fields.insert("_id".to_owned(), target.id.as_ref().into());
        }
    }
    json!({ "create": inner })
}

fn error(kind: &str, reason: &str, status: u16) -> Value {
    let mut error = cause(kind, reason);
    error["root_cause"] = json!([cause(kind, reason)]);
    json!({ "error": error, "status": status })
}

fn cause(kind: &str, reason: &str) -> Value {
    json!({ "type": kind, "reason": reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::{Client, Identity};
    use crate::plan::ElasticsearchPlan;

    fn client(endpoint: &Endpoint) -> Client {
        Client::new(ElasticsearchPlan::new(endpoint.url(), "logs"))
    }

    /// Sends over real HTTP, as the agent does.
    async fn send(endpoint: &Endpoint, method: Method, path: &str, body: &[u8]) -> (u16, Value) {
        let body = (!body.is_empty()).then(|| body.to_vec());
        let reply = client(endpoint).ask(method.as_str(), path, body, 0).await.unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    fn body(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::new();
        for (id, message) in pairs {
            text.push_str(&format!("{}\n{}\n", json!({"create": {"_id": id}}), json!({"message": message})));
        }
        text.into_bytes()
    }

    async fn endpoint(lines: &[&str]) -> (Endpoint, Arc<Ledger>) {
        let ledger = Arc::new(Ledger::default());
        ledger.write_down(lines.iter().copied());
        (Endpoint::start(Arc::clone(&ledger)).await.unwrap(), ledger)
    }

    #[tokio::test]
    async fn a_second_document_with_an_id_is_a_409_and_counts_once() {
        let (endpoint, ledger) = endpoint(&["seq=0", "seq=1"]).await;
        let (status, answer) = send(&endpoint, Method::POST, "/logs/_bulk", &body(&[("a", "seq=0")])).await;
        assert_eq!((status, &answer["errors"]), (200, &json!(false)));
        assert_eq!(answer["items"][0]["create"]["_index"], "logs");
        let again = body(&[("a", "seq=0"), ("b", "seq=1")]);
        let (status, answer) =
            send(&endpoint, Method::POST, "/logs/_bulk?filter_path=errors,items.*.status,items.*.error", &again).await;
        assert_eq!((status, &answer["errors"]), (200, &json!(true)));
        let statuses = (&answer["items"][0]["create"]["status"], &answer["items"][1]["create"]);
        assert_eq!(statuses, (&json!(409), &json!({"status": 201})));
        let tally = ledger.tally();
        assert!(tally.is_exact());
        assert_eq!((tally.documents, tally.resent), (2, 1));
    }

    #[tokio::test]
    async fn members_laid_end_to_end_are_one_body_and_what_is_not_sent_is_missing() {
        let (endpoint, ledger) = endpoint(&["seq=0", "seq=1", "seq=2"]).await;
        let mut packed = gzip::compress(&body(&[("a", "seq=0")]), 1).unwrap();
        packed.extend(gzip::compress(&body(&[("b", "seq=2")]), 1).unwrap());
        let reply = client(&endpoint).bulk("logs", &Identity::default(), packed.into(), 2).await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        let tally = ledger.tally();
        assert_eq!((tally.missing_lines, tally.double, tally.documents), (vec![1], 0, 2));
    }

    #[tokio::test]
    async fn a_malformed_body_changes_nothing() {
        let (endpoint, ledger) = endpoint(&["seq=0"]).await;
        let mut cut = body(&[("a", "seq=0"), ("b", "seq=0")]);
        cut.truncate(cut.len() - 4);
        assert_eq!(send(&endpoint, Method::POST, "/logs/_bulk", &cut).await.0, 400);
        let odd = [body(&[("a", "seq=0")]), b"{\"create\":{\"_id\":\"b\"}}\n".to_vec()].concat();
        assert_eq!(send(&endpoint, Method::POST, "/logs/_bulk", &odd).await.0, 400);
        assert_eq!(ledger.documents(), 0);
        let unreadable = b"{\"create\":{\"_id\":\"b\"}}\nno json\n";
        let (status, answer) = send(&endpoint, Method::POST, "/logs/_bulk", unreadable).await;
        assert_eq!((status, &answer["items"][0]["create"]["status"]), (200, &json!(400)));
        assert_eq!(ledger.documents(), 0);
    }

    #[tokio::test]
    async fn it_names_itself_and_refuses_what_it_does_not_know() {
        let (endpoint, _) = endpoint(&[]).await;
        let (status, answer) = send(&endpoint, Method::GET, "/", b"").await;
        assert_eq!((status, &answer["version"]["number"]), (200, &json!(VERSION)));
        let (status, answer) = send(&endpoint, Method::GET, "/_cat/indices", b"").await;
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("illegal_argument_exception")));
    }
}
