//! What can be asked on the loopback port: numbers, health, and a page that shows them.
//!
//! Promises: nothing can be changed here, and no document can be read; who asks in the name of a web site of somebody
//! else is refused. Everybody on this machine may look: there is no password.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use splashdam_api::{DeadLetter, parse_query};

use super::handlers::{Answer, Answered, Query, healthz, json, metrics, page_of_dead_letters, refused, said};
use super::operations::Operations;
use super::quotes::quiet;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
/// Nothing of the page comes from elsewhere, and nothing in what it shows can become part of it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'";

pub(super) async fn answer<O: Operations>(
    agent: Arc<O>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let mut response = said(&what, route(&*agent, &request)).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn route<O: Operations>(agent: &O, request: &Request<Incoming>) -> Answer {
    if !is_meant_for_us(request) {
        let why = "ask for http://localhost or http://127.0.0.1: other names are refused here".to_owned();
        return Err(refused(StatusCode::FORBIDDEN, why));
    }
    if request.method() != Method::GET {
        let why = format!("{} is not possible here: splashctl changes things", request.method());
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    match request.uri().path() {
        "/" => text("text/html; charset=utf-8", PAGE),
        "/page.js" => text("text/javascript; charset=utf-8", SCRIPT),
        "/page.css" => text("text/css; charset=utf-8", STYLE),
        "/status" => json(&quiet(&agent.status())),
        "/healthz" => healthz(agent),
        "/metrics" => metrics(agent),
        "/dead-letters" => {
            let query = Query(parse_query(request.uri().query().unwrap_or_default()));
            let page = page_of_dead_letters(agent, &query).await?;
            json(&quiet(&page.into_iter().map(without_document).collect::<Vec<_>>()))
        }
        path => {
            let known = "/ /status /healthz /metrics /dead-letters?pipeline=JOB";
            Err(refused(StatusCode::NOT_FOUND, format!("there is no {path} here; there is {known}")))
        }
    }
}

/// A web site can lead a browser's requests here by a name of its own; they carry that name.
fn is_meant_for_us(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn without_document(letter: DeadLetter) -> DeadLetter {
    DeadLetter { action: String::new(), document: String::new(), ..letter }
}

fn text(content_type: &'static str, body: &'static str) -> Answer {
    Ok(Answered { status: StatusCode::OK, content_type, body: Bytes::from_static(body.as_bytes()) })
}
