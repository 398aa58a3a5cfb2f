//! Which call is answered how.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use serde_json::{Value, json};

use super::script::{Bulk, Reply};
use super::{Call, Logged, State, answer};
use crate::answer_body::AnswerBody;

type Answer = Response<AnswerBody>;

/// A request that has come in whole.
struct Arrived {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    authorization: Option<String>,
    body: Bytes,
    wire_bytes: usize,
}

/// Answers one call. An error cuts the connection.
pub(super) async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> io::Result<Answer> {
    let arrived = arrive(request).await?;
    if !(state.lock().unwrap().authorized)(arrived.authorization.as_deref()) {
        return Ok(error(401, "security_exception", "missing authentication credentials for REST request", None));
    }
    match arrived.path.strip_suffix("/_bulk") {
        Some(index) => {
            let index = index.trim_start_matches('/').trim_end_matches("/_doc").to_owned();
            bulk(&state, arrived, index).await
        }
        None => Ok(other(&mut state.lock().unwrap(), &arrived)),
    }
}

async fn arrive(request: Request<Incoming>) -> io::Result<Arrived> {
    let (head, body) = request.into_parts();
    let wire = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let wire_bytes = wire.len();
    let body = if find("content-encoding").as_deref() == Some("gzip") {
        let mut raw = Vec::with_capacity(wire_bytes * 6);
        MultiGzDecoder::new(&wire[..]).read_to_end(&mut raw)?;
        raw.into()
    } else {
        wire
    };
    Ok(Arrived {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        authorization: find("authorization"),
        headers,
        body,
        wire_bytes,
    })
}

async fn bulk(state: &Mutex<State>, arrived: Arrived, index: String) -> io::Result<Answer> {
    let items = match answer::parse(&arrived.body, &index) {
        Ok(items) => items,
        Err(reason) => return Ok(error(400, "illegal_argument_exception", &reason, None)),
    };
    let mut bulk = Bulk {
        number: 0,
        index,
        path: format!("{}?{}", arrived.path, arrived.query),
        items: items.len(),
        raw_bytes: arrived.body.len(),
        wire_bytes: arrived.wire_bytes,
        authorization: arrived.authorization,
        headers: arrived.headers,
    };
    let reply = {
        let mut state = state.lock().unwrap();
        bulk.number = state.log.len();
        let reply = (state.on_bulk)(&bulk);
        let status = if let Reply::Status { status, .. } = &reply { *status } else { 200 };
        state.log.push(Logged {
            index: bulk.index.clone(),
            items: bulk.items,
            raw_bytes: bulk.raw_bytes,
            wire_bytes: bulk.wire_bytes,
            status,
            at: Instant::now(),
        });
        reply
    };
    match reply {
        Reply::Slow(time) => tokio::time::sleep(time).await,
        Reply::Hang => tokio::time::sleep(Duration::from_secs(3600)).await,
        _ => {}
    }
    reply_to(&reply, || state.lock().unwrap().judge(&items, &arrived.query))
}

/// Makes the answer that `reply` names; `judge` lets the documents in.
fn reply_to(reply: &Reply, judge: impl FnOnce() -> Value) -> io::Result<Answer> {
    let cut = || Err(io::Error::other("cut"));
    Ok(match reply {
        Reply::Judge | Reply::Slow(_) => ok(AnswerBody::whole(judge().to_string())),
        Reply::Trickle(pause) => ok(AnswerBody::trickled(judge().to_string(), *pause)),
        Reply::CutBeforeLastByte => ok(AnswerBody::cut(judge().to_string())),
        Reply::FewerItems => {
            let mut answer = judge();
            answer["items"].as_array_mut().expect("items").pop();
            ok(AnswerBody::whole(answer.to_string()))
        }
        Reply::Gzip => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(judge().to_string().as_bytes())?;
            let mut answer = ok(AnswerBody::whole(gzip.finish()?));
            answer.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().expect("a header"));
            answer
        }
        Reply::CutAfterBody { judged } => {
            if *judged {
                judge();
            }
            return cut();
        }
        Reply::Hang => return cut(),
        Reply::Html => {
            let mut answer = ok(AnswerBody::whole("<html><body><h1>Welcome to nginx!</h1></body></html>"));
            answer.headers_mut().insert(header::CONTENT_TYPE, "text/html".parse().expect("a header"));
            answer
        }
        Reply::Redirect(to) => {
            let mut answer = ok(AnswerBody::whole(""));
            *answer.status_mut() = hyper::StatusCode::FOUND;
            answer.headers_mut().insert(header::LOCATION, to.parse().expect("a header"));
            answer
        }
        Reply::Status { status, kind, reason, retry_after } => error(*status, kind, reason, *retry_after),
    })
}

fn ok(body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().expect("a header"));
    answer.headers_mut().insert("x-elastic-product", "Elasticsearch".parse().expect("a header"));
    answer
}

fn error(status: u16, kind: &str, reason: &str, retry_after: Option<u32>) -> Answer {
    let cause = json!({ "type": kind, "reason": reason });
    let text = json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status });
    let mut answer = ok(AnswerBody::whole(text.to_string()));
    *answer.status_mut() = status.try_into().expect("a status");
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// Everything that is no bulk request.
fn other(state: &mut State, arrived: &Arrived) -> Answer {
    let path = arrived.path.trim_end_matches('/');
    let body = String::from_utf8_lossy(&arrived.body).into_owned();
    state.calls.push(Call { method: arrived.method.clone(), path: arrived.path.clone(), body });
    if let Some((_, status, answer)) = state.answers.iter().find(|(known, ..)| known == path) {
        let mut scripted = ok(AnswerBody::whole(answer.to_string()));
        *scripted.status_mut() = (*status).try_into().expect("a status");
        return scripted;
    }
    let value = if path.is_empty() {
        json!({
            "name": "n1", "cluster_name": "local", "cluster_uuid": state.cluster_uuid,
            "version": { "number": state.version, "build_flavor": "default", "lucene_version": "9.12.0" },
            "tagline": "You Know, for Search",
        })
    } else if let Some(index) = path.strip_suffix("/_mget") {
        mget(state, index.trim_start_matches('/').trim_end_matches("/_doc"), &arrived.body)
    } else if path == "/_nodes" {
        json!({ "nodes": { "x": { "version": state.version } } })
    } else if path == "/_cluster/health" {
        json!({ "cluster_name": "local", "status": "yellow" })
    } else {
        json!({ "acknowledged": true })
    };
    ok(AnswerBody::whole(value.to_string()))
}

fn mget(state: &State, index: &str, body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |value: &Value| value.as_str().or_else(|| value.get("_id")?.as_str()).unwrap_or("").to_owned();
    let ids = asked.get("ids").or_else(|| asked.get("docs")).and_then(Value::as_array);
    let found = ids.into_iter().flatten().map(|id| {
        let id = of(id);
        match state.documents.get(index, &id) {
            Some(document) => json!({ "_index": index, "_id": id, "found": true, "_source": document.json() }),
            None => json!({ "_index": index, "_id": id, "found": false }),
        }
    });
    json!({ "docs": found.collect::<Vec<_>>() })
}
