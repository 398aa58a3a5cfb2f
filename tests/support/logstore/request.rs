//! A request as it came: method, path, decoded query, headers, body, and whom it is for.
//!
//! The target may be in absolute form, as a client sends it to a proxy; then host and path are taken from it, since that
//! is what the client signed. Nothing is judged here.

use std::net::SocketAddr;

use bytes::Bytes;
use hyper::header::HeaderMap;
use percent_encoding::percent_decode_str;

use super::action::Action;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As it was sent.
    pub path: String,
    /// Decoded, in the order of the request.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// `project.endpoint`, with its port if there was one.
    pub host: String,
    pub peer: SocketAddr,
}

impl Request {
    /// A query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header as text; `None` if there is none, or none that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// The path's parts, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(|part| decoded(part, false)).collect()
    }

    /// Which call it is; `None` for one that this server does not know.
    pub fn action(&self) -> Option<Action> {
        let segments = self.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let kind = self.parameter("type");
        Some(match (self.method.as_str(), parts.as_slice()) {
            ("GET", []) => Action::GetProject,
            ("GET", ["logstores"]) => Action::ListLogstores,
            ("GET", ["logstores", _]) => Action::GetLogstore,
            ("POST", ["logstores", _] | ["logstores", _, "shards", "lb" | "route"]) => Action::PutLogs,
            ("GET", ["logstores", _, "shards"]) => Action::ListShards,
            ("GET" | "HEAD", ["logstores", _, "shards", _]) if matches!(kind, Some("log" | "logs")) => Action::PullLogs,
            ("GET", ["logstores", _, "shards", _]) if kind == Some("cursor") => Action::GetCursor,
            ("GET", ["logstores", _, "shards", _]) if kind == Some("cursor_time") => Action::GetCursorTime,
            ("POST", ["logstores", _, "shards", _]) if self.parameter("action") == Some("split") => Action::SplitShard,
            ("POST", ["logstores", _, "shards", _]) if self.parameter("action") == Some("merge") => Action::MergeShards,
            ("POST", ["logstores", _, "consumergroups"]) => Action::CreateConsumerGroup,
            ("GET", ["logstores", _, "consumergroups"]) => Action::ListConsumerGroup,
            ("PUT", ["logstores", _, "consumergroups", _]) => Action::UpdateConsumerGroup,
            ("DELETE", ["logstores", _, "consumergroups", _]) => Action::DeleteConsumerGroup,
            ("GET", ["logstores", _, "consumergroups", _]) => Action::GetCheckPoint,
            ("POST", ["logstores", _, "consumergroups", _]) if kind == Some("heartbeat") => Action::HeartBeat,
            ("POST", ["logstores", _, "consumergroups", _]) if kind == Some("checkpoint") => Action::UpdateCheckPoint,
            _ => return None,
        })
    }

    /// The shard in the path of a call that names one.
    pub fn shard(&self) -> Option<u32> {
        match self.segments().as_slice() {
            [_, _, kind, shard] if kind == "shards" => shard.parse().ok(),
            _ => None,
        }
    }
}

/// `a=1&b=x+y` in pairs.
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.map(|(key, value)| (decoded(key, true), decoded(value, true))).collect()
}

/// Percent-decoded; in queries a `+` is a space.
fn decoded(text: &str, plus: bool) -> String {
    let text = if plus { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
