//! Connections: requests come in whole, go through the fault script, the door and the routes, and are answered.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::faults::Fault;
use super::refusal::Refusal;
use super::request::{Request, query_pairs};
use super::routes::{self, Answer};
use super::state::State;
use super::{admission, signature};
use crate::answer_body::AnswerBody;
use crate::seed;

/// The largest request body that is read at all.
const MAX_BODY: usize = 40 << 20;

pub(super) async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, peer)) = listener.accept().await {
        tokio::spawn(serve(stream, peer, Arc::clone(&state)));
    }
}

/// One connection, until either side ends it. A service error cuts it without an answer.
async fn serve(stream: TcpStream, peer: SocketAddr, state: Arc<Mutex<State>>) {
    let local = stream.local_addr().unwrap();
    let service = service_fn(move |request| answer(Arc::clone(&state), request, peer, local));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        // A cut connection is what many faults ask for.
        let _ended = error;
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    incoming: hyper::Request<Incoming>,
    peer: SocketAddr,
    local: SocketAddr,
) -> io::Result<Answer> {
    let (number, date) = {
        let mut state = state.lock().unwrap();
        state.number += 1;
        (state.number, admission::rfc1123(state.clock.told_seconds()))
    };
    let mut answer = match arrive(incoming, peer).await {
        Ok(request) => spoilt(&state, &request, local).await?,
        Err(refusal) => routes::refused(&refusal),
    };
    let id = signature::hex(&seed::mix(number).to_be_bytes()).to_uppercase() + &format!("{number:08X}");
    let own = [("x-log-requestid", id.as_str()), ("date", &date), ("server", "nginx")];
    for (name, value) in own {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    Ok(answer)
}

/// Reads a request. Host and path come from an absolute target where there is one.
async fn arrive(incoming: hyper::Request<Incoming>, peer: SocketAddr) -> Result<Request, Refusal> {
    let (head, body) = incoming.into_parts();
    if head.method == hyper::Method::CONNECT {
        let what = "as a proxy this server takes plain http:// only; use an http:// endpoint";
        return Err(Refusal::new(501, "ParameterInvalid", what));
    }
    let too_large = |_| Refusal::bad("PostBodyTooLarge", "the body is too large or was cut");
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(too_large)?.to_bytes();
    let named = head.headers.get("host").and_then(|host| host.to_str().ok()).map(str::to_owned);
    let host = named.or_else(|| head.uri.authority().map(|authority| authority.to_string()));
    Ok(Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query_pairs(head.uri.query().unwrap_or("")),
        headers: head.headers,
        body,
        host: host.ok_or_else(|| Refusal::bad("MissingHost", "Host header is required"))?,
        peer,
    })
}

/// Lets the fault script have its way with the call.
async fn spoilt(state: &Mutex<State>, request: &Request, local: SocketAddr) -> io::Result<Answer> {
    let fault = state.lock().unwrap().faults.of(request);
    match &fault {
        Some(Fault::Refuse(refusal)) => {
            routes::note_refusal(state, request.action(), "", refusal);
            return Ok(routes::refused(refusal));
        }
        Some(Fault::Foreign { status, body }) => {
            let head = hyper::Response::builder().status(*status).header("content-type", "text/html");
            return Ok(head.body(AnswerBody::whole(body.clone())).unwrap());
        }
        Some(Fault::Cut) => return Err(io::Error::other("cut")),
        Some(Fault::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return Err(io::Error::other("hung"));
        }
        _ => {}
    }
    let done = judged(state, request, local);
    match fault {
        None => Ok(done),
        Some(Fault::LoseAnswer) => Err(io::Error::other("lost")),
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(done)
        }
        Some(fault) => spoil(done, &fault).await,
    }
}

/// The answer of a healthy server.
fn judged(state: &Mutex<State>, request: &Request, local: SocketAddr) -> Answer {
    let action = request.action();
    let (key_id, result) = match admit(state, request, local) {
        Ok(key_id) => {
            let unknown =
                || Refusal::parameter(format!("{} {} is no call of this server", request.method, request.path));
            let result = action.ok_or_else(unknown);
            let result = result.and_then(|action| routes::answer(state, request, action, &key_id));
            (key_id, result)
        }
        Err(refusal) => (String::new(), Err(refusal)),
    };
    result.unwrap_or_else(|refusal| {
        routes::note_refusal(state, action, &key_id, &refusal);
        routes::refused(&refusal)
    })
}

fn admit(state: &Mutex<State>, request: &Request, local: SocketAddr) -> Result<String, Refusal> {
    let state = state.lock().unwrap();
    let key_id = state.keys.admit(request, request.action(), state.clock)?;
    // The server's own address stands for a domain that is bound to the project (CNAME).
    let project = request.host.split(['.', ':']).next().unwrap_or("");
    let of_region = state.options.region.as_ref().is_none_or(|region| request.host.contains(region.as_str()));
    if request.host != local.to_string() && (project != state.options.project || !of_region) {
        return Err(Refusal::absent("ProjectNotExist", format!("The Project does not exist : {project}")));
    }
    Ok(key_id)
}

/// Spoils an answer that is whole.
async fn spoil(mut done: Answer, fault: &Fault) -> io::Result<Answer> {
    let off = |done: &mut Answer, name: &'static str, by: i64| {
        let value = done.headers().get(name).and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
        if let Some(value) = value {
            done.headers_mut().insert(name, HeaderValue::from(value + by));
        }
    };
    match fault {
        Fault::RawSizeOff(by) => off(&mut done, "x-log-bodyrawsize", *by),
        Fault::CountOff(by) => off(&mut done, "x-log-count", *by),
        Fault::WithoutHeader(name) => drop(done.headers_mut().remove(*name)),
        Fault::Header(name, value) => {
            done.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        _ => return Ok(reshape(done, fault).await),
    }
    Ok(done)
}

/// Another body of the same answer.
async fn reshape(done: Answer, fault: &Fault) -> Answer {
    let (head, body) = done.into_parts();
    let mut bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default().to_vec();
    let middle = bytes.len() / 2;
    let body = match fault {
        Fault::CutBody => AnswerBody::cut_at(bytes, middle),
        Fault::Trickle(pause) => AnswerBody::trickled(bytes, *pause),
        Fault::Truncate(by) => {
            bytes.truncate(bytes.len().saturating_sub(*by));
            AnswerBody::whole(bytes)
        }
        _ => {
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0xff;
            }
            AnswerBody::whole(bytes)
        }
    };
    Answer::from_parts(head, body)
}
