//! Each request of the control socket, from its URL to its answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use splashdam_api::{
    Changed, Chosen, ConnectionTest, DeadLetter, DropOwed, Health, Refusal, Reset, Selection, Which, parse_query,
};

use super::bundle::bundle;
use super::operations::Operations;
use super::tapping;
use crate::job::nearest;

/// Every answer is there by then; the client waits a little longer.
const DEADLINE: Duration = Duration::from_secs(60);
const MAX_QUESTION: usize = 1 << 20;
/// Most dead letters of one page, and the bytes of documents after which a page ends early.
const MAX_PAGE: usize = 500;
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Dead letters are asked of the store so many at a time: one can be as large as the longest line.
const SLICE: usize = 20;
/// So many jobs are named to who asks for one that there is not.
const NAMED: usize = 10;

const JSON: &str = "application/json";
const PROMETHEUS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is said instead of an answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    error: String,
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

pub(super) type Answer = Result<Answered, Refused>;

pub(super) async fn answer<O: Operations>(
    agent: Arc<O>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let what = format!("{} {}", request.method(), request.uri().path());
    Ok(said(&what, route(&*agent, request)).await)
}

/// What an answer becomes that comes in time, or does not.
pub(super) async fn said(what: &str, answer: impl Future<Output = Answer>) -> Response<Full<Bytes>> {
    let answered = match tokio::time::timeout(DEADLINE, answer).await {
        Ok(answered) => answered,
        Err(_elapsed) => Err(refused(
            StatusCode::GATEWAY_TIMEOUT,
            format!("{what} is not done after {} s; the agent goes on with it", DEADLINE.as_secs()),
        )),
    };
    let answered = answered.or_else(|refused| {
        let mut answered = json(&Refusal { error: refused.error })?;
        answered.status = refused.status;
        Ok(answered)
    });
    let (status, content_type, body) = match answered {
        Ok(answered) => (answered.status, answered.content_type, answered.body),
        Err(Refused { status, error }) => (status, "text/plain; charset=utf-8", error.into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn route<O: Operations>(agent: &O, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let query = Query(parse_query(request.uri().query().unwrap_or_default()));
    match (request.method(), path.as_str()) {
        (&Method::GET, "/status") => json(&agent.status()),
        (&Method::GET, "/jobs") => json(&agent.jobs()),
        (&Method::GET, "/healthz") => healthz(agent),
        (&Method::GET, "/metrics") => metrics(agent),
        (&Method::GET, "/positions") => positions(agent, &query),
        (&Method::GET, "/config") => json(&agent.configuration(query.get("pipeline")).map_err(no)?),
        (&Method::GET, "/dead-letters") => dead_letters(agent, &query).await,
        (&Method::GET, "/tap") => tapping::tap(agent, &query).await,
        (&Method::POST, "/dead-letters/replay") => {
            let (pipeline, numbers) = selection(agent, request).await?;
            changed(agent.replay_dead_letters(&pipeline, numbers)).await
        }
        (&Method::POST, "/dead-letters/drop") => {
            let (pipeline, numbers) = selection(agent, request).await?;
            changed(agent.drop_dead_letters(&pipeline, numbers)).await
        }
        (&Method::POST, "/reload") => json(&agent.reload().await.map_err(no)?),
        (&Method::POST, "/positions/reset") => {
            let reset: Reset = body_of(request).await?;
            must_exist(agent, &reset.pipeline)?;
            json(&agent.reset_positions(&reset).await.map_err(no)?)
        }
        (&Method::POST, "/owed/drop") => {
            let asked: DropOwed = body_of(request).await?;
            must_exist(agent, &asked.pipeline)?;
            json(&agent.drop_owed(&asked).await.map_err(no)?)
        }
        (&Method::POST, "/test-connection") => {
            let ConnectionTest { name } = body_of(request).await?;
            json(&agent.test_connection(&name).await.map_err(no)?)
        }
        (&Method::POST, "/doctor") => json(&agent.doctor().await.map_err(no)?),
        (&Method::POST, "/search") => json(&agent.search(&body_of(request).await?).await.map_err(no)?),
        (&Method::POST, "/support-bundle") => archive(bundle(agent).await.map_err(no)?),
        (&Method::POST, "/flush") => flush(agent, request).await,
        (&Method::POST, "/pause") => reading(agent, request, true).await,
        (&Method::POST, "/resume") => reading(agent, request, false).await,
        (&Method::GET, path) if path.starts_with("/dead-letters/") => dead_letter(agent, path, &query).await,
        (method, path) => Err(unknown(method, path)),
    }
}

pub(super) fn metrics<O: Operations>(agent: &O) -> Answer {
    Ok(Answered { status: StatusCode::OK, content_type: PROMETHEUS, body: agent.metrics_text().into() })
}

/// 200 while all is as promised, 503 while degraded: for a monitor. Whether the agent is alive is the watchdog's
/// business.
pub(super) fn healthz<O: Operations>(agent: &O) -> Answer {
    let status = agent.status();
    let mut answered = json(&serde_json::json!({ "health": status.health, "notes": status.notes }))?;
    if status.health == Health::Degraded {
        answered.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(answered)
}

fn positions<O: Operations>(agent: &O, query: &Query) -> Answer {
    let pipeline = query.get("pipeline");
    if let Some(id) = pipeline {
        must_exist(agent, id)?;
    }
    json(&agent.positions(pipeline))
}

async fn dead_letters<O: Operations>(agent: &O, query: &Query) -> Answer {
    json(&page_of_dead_letters(agent, query).await?)
}

pub(super) async fn page_of_dead_letters<O: Operations>(agent: &O, query: &Query) -> Result<Vec<DeadLetter>, Refused> {
    let pipeline = query.required("pipeline")?;
    must_exist(agent, pipeline)?;
    let mut from = query.number("from")?.unwrap_or(0);
    let limit = query.number("limit")?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let mut page: Vec<DeadLetter> = Vec::new();
    let mut bytes = 0;
    while page.len() < limit && bytes < MAX_PAGE_BYTES {
        let slice = agent.dead_letters(pipeline, from, SLICE.min(limit - page.len())).await.map_err(no)?;
        let Some(last) = slice.last() else { break };
        from = last.number.saturating_add(1);
        bytes += slice.iter().map(|letter| letter.document.len() + letter.reason.len()).sum::<usize>();
        page.extend(slice);
    }
    Ok(page)
}

async fn dead_letter<O: Operations>(agent: &O, path: &str, query: &Query) -> Answer {
    let text = path.trim_start_matches("/dead-letters/");
    let number: u64 = text
        .parse()
        .map_err(|_| refused(StatusCode::BAD_REQUEST, format!("\"{text}\" is not the number of a dead letter")))?;
    let pipeline = query.required("pipeline")?;
    must_exist(agent, pipeline)?;
    let found = agent.dead_letters(pipeline, number, 1).await.map_err(no)?;
    match found.into_iter().find(|letter| letter.number == number) {
        Some(letter) => json(&letter),
        None => Err(refused(StatusCode::NOT_FOUND, format!("{pipeline} has no dead letter {number}"))),
    }
}

async fn flush<O: Operations>(agent: &O, request: Request<Incoming>) -> Answer {
    let pipeline = chosen(agent, request).await?;
    json(&agent.flush(pipeline.as_deref()).await.map_err(no)?)
}

async fn reading<O: Operations>(agent: &O, request: Request<Incoming>, paused: bool) -> Answer {
    let pipeline = chosen(agent, request).await?;
    json(&agent.pause(pipeline.as_deref(), paused).map_err(no)?)
}

/// The job that is meant, which there is; `None`: all.
async fn chosen<O: Operations>(agent: &O, request: Request<Incoming>) -> Result<Option<String>, Refused> {
    let Chosen { pipeline } = body_of(request).await?;
    if let Some(id) = &pipeline {
        must_exist(agent, id)?;
    }
    Ok(pipeline)
}

async fn selection<O: Operations>(
    agent: &O,
    request: Request<Incoming>,
) -> Result<(String, Option<Vec<u64>>), Refused> {
    let Selection { pipeline, which } = body_of(request).await?;
    must_exist(agent, &pipeline)?;
    match which {
        Which::All => Ok((pipeline, None)),
        Which::Numbers(numbers) if numbers.is_empty() => {
            Err(refused(StatusCode::BAD_REQUEST, "no dead letter is named; \"all\" means all".to_owned()))
        }
        Which::Numbers(numbers) => Ok((pipeline, Some(numbers))),
    }
}

async fn changed(done: impl Future<Output = Result<u64, String>>) -> Answer {
    json(&Changed { dead_letters: done.await.map_err(no)? })
}

async fn body_of<Q: DeserializeOwned>(request: Request<Incoming>) -> Result<Q, Refused> {
    let bad = |error: &dyn fmt::Display| {
        refused(StatusCode::BAD_REQUEST, format!("the request's body can't be understood: {error}"))
    };
    let body = Limited::new(request.into_body(), MAX_QUESTION).collect().await.map_err(|error| bad(&error))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| bad(&error))
}

pub(super) fn must_exist<O: Operations>(agent: &O, id: &str) -> Result<(), Refused> {
    let known: Vec<String> = agent.status().pipelines.into_iter().map(|pipeline| pipeline.id).collect();
    if known.iter().any(|known| known == id) {
        return Ok(());
    }
    let names = known.iter().map(String::as_str);
    let there_are = match nearest(id, names) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None if known.is_empty() => "there is none".to_owned(),
        None if known.len() > NAMED => {
            format!("there is {} and {} more", known[..NAMED].join(", "), known.len() - NAMED)
        }
        None => format!("there is {}", known.join(", ")),
    };
    Err(refused(StatusCode::NOT_FOUND, format!("no job \"{id}\" runs here; {there_are}")))
}

fn unknown(method: &Method, path: &str) -> Refused {
    const GET: &[&str] =
        &["/status", "/healthz", "/metrics", "/positions", "/dead-letters", "/config", "/jobs", "/tap"];
    const POST: &[&str] = &[
        "/flush",
        "/pause",
        "/resume",
        "/reload",
        "/dead-letters/replay",
        "/dead-letters/drop",
        "/owed/drop",
        "/positions/reset",
        "/test-connection",
        "/doctor",
        "/search",
        "/support-bundle",
    ];
    let (status, other) = match *method {
        Method::GET if POST.contains(&path) => (StatusCode::METHOD_NOT_ALLOWED, "it takes POST".to_owned()),
        Method::POST if GET.contains(&path) => (StatusCode::METHOD_NOT_ALLOWED, "it takes GET".to_owned()),
        _ => {
            let known = format!("GET {}; POST {}", GET.join(" "), POST.join(" "));
            (StatusCode::NOT_FOUND, format!("this agent knows {known}"))
        }
    };
    refused(status, format!("{method} {path}: {other}"))
}

/// The agent's own "no".
pub(super) fn no(error: String) -> Refused {
    refused(StatusCode::CONFLICT, error)
}

pub(super) fn refused(status: StatusCode, error: String) -> Refused {
    Refused { status, error }
}

pub(super) fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Ok(Answered { status: StatusCode::OK, content_type: JSON, body: body.into() }),
        Err(error) => Err(refused(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer can't be written: {error}"))),
    }
}

fn archive(body: Vec<u8>) -> Answer {
    Ok(Answered { status: StatusCode::OK, content_type: "application/gzip", body: body.into() })
}

pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, key: &str) -> Result<&str, Refused> {
        self.get(key).ok_or_else(|| refused(StatusCode::BAD_REQUEST, format!("?{key}=… is missing")))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let bad = |_| refused(StatusCode::BAD_REQUEST, format!("?{key}={text} is not a number"));
        text.parse().map(Some).map_err(bad)
    }
}
