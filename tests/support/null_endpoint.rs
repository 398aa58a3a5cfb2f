//! A very cheap Elasticsearch stand-in for benches: it decompresses, counts, and answers in the canonical form.
//!
//! For each `seq=NNNNNNNN` it remembers a hash of the `_id` it came under, so missing and double are exact: the
//! same `_id` again is a resend (409), another `_id` for the same line is a double document. It keeps documents only after
//! `/_null/keep`, where several agents may send the same one: whoever meets it then looks at it by `_mget`.
//! Plain threads and blocking sockets, one thread a connection.

mod wire;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memmem};
use serde_json::{Value, json};

use wire::{Connection, Request};

/// What it has counted so far.
#[derive(Debug, Default)]
struct Counts {
    /// For each line number the hash of its `_id`; 0: not seen.
    seen: Vec<u32>,
    lines: u64,
    /// The same line under the same `_id` again.
    resent: u64,
    /// The same line under another `_id`.
    double: u64,
    documents: u64,
    requests: u64,
    wire_bytes: u64,
    raw_bytes: u64,
    /// The first body, decompressed, up to 64 KiB.
    sample: Vec<u8>,
    /// By `_id`, where that is asked for.
    kept: Option<HashMap<String, Box<[u8]>>>,
    /// When each line was accepted, where that is asked for.
    arrivals: Vec<(u64, Instant)>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    keep_arrivals: AtomicBool,
    /// Milliseconds that each answer waits.
    delay_ms: AtomicU64,
    ended: AtomicBool,
}

/// A running endpoint in this process.
#[derive(Debug)]
pub struct NullEndpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Different lines seen.
    pub lines: u64,
    pub double: u64,
    pub resent: u64,
    pub documents: u64,
    pub requests: u64,
    pub wire_bytes: u64,
    pub raw_bytes: u64,
}

impl NullEndpoint {
    /// Listens on `port` of the loopback; 0 for a free one.
    pub fn start(port: u16) -> NullEndpoint {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || serve(&shared, stream));
            }
        });
        NullEndpoint { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the time of each line's arrival is kept.
    pub fn keep_arrivals(&self) {
        self.shared.keep_arrivals.store(true, Ordering::Relaxed);
    }

    pub fn arrivals(&self) -> Vec<(u64, Instant)> {
        self.shared.counts.lock().unwrap().arrivals.clone()
    }

    pub fn tally(&self) -> Tally {
        self.shared.counts.lock().unwrap().tally()
    }

    /// Lines of `0..written` that did not come.
    pub fn missing(&self, written: u64) -> Vec<u64> {
        self.shared.counts.lock().unwrap().missing(written)
    }
}

impl Drop for NullEndpoint {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the accepting thread so that it sees that.
        drop(TcpStream::connect(self.address));
    }
}

impl Counts {
    fn tally(&self) -> Tally {
        Tally {
            lines: self.lines,
            double: self.double,
            resent: self.resent,
            documents: self.documents,
            requests: self.requests,
            wire_bytes: self.wire_bytes,
            raw_bytes: self.raw_bytes,
        }
    }

    fn missing(&self, written: u64) -> Vec<u64> {
        (0..written).filter(|seq| self.seen.get(*seq as usize).copied().unwrap_or(0) == 0).collect()
    }

    /// Counts all items of a body and writes their answer.
    fn bulk(&mut self, body: &[u8], wire: usize, arrivals: bool, answer: &mut Vec<u8>) {
        self.requests += 1;
        self.wire_bytes += wire as u64;
        self.raw_bytes += body.len() as u64;
        // Requests overtake each other: the one wanted begins with a file's first line.
        let first = memchr::memchr(b'\n', body).and_then(|end| body.get(..end)).is_some_and(|a| a.ends_with(b".0\"}}"));
        if first && self.sample.is_empty() {
            self.sample.extend_from_slice(&body[..body.len().min(64 << 10)]);
        }
        let now = Instant::now();
        let begin = answer.len();
        answer.extend_from_slice(br#"{"errors":false,"items":["#);
        let mut errors = false;
        let mut rest = body;
        while let Some(end) = memchr(b'\n', rest) {
            let action = &rest[..end];
            let document = &rest[end + 1..];
            let end = memchr(b'\n', document).unwrap_or(document.len());
            rest = document.get(end + 1..).unwrap_or_default();
            let fresh = self.document(action, &document[..end], arrivals.then_some(now));
            errors |= !fresh;
            answer.extend_from_slice(if fresh { CREATED } else { CONFLICT });
        }
        if answer.last() == Some(&b',') {
            answer.pop();
        }
        answer.extend_from_slice(b"]}");
        if errors {
            answer[begin + 10..begin + 15].copy_from_slice(b"true ");
        }
    }

    /// Counts one document; false if its `_id` was here before.
    fn document(&mut self, action: &[u8], document: &[u8], now: Option<Instant>) -> bool {
        self.documents += 1;
        let Some(seq) = sequence(document) else { return true };
        let id = hash(action);
        if seq as usize >= self.seen.len() {
            self.seen.resize((seq as usize + 1).next_power_of_two().max(1 << 20), 0);
        }
        let seen = &mut self.seen[seq as usize];
        if *seen == 0 {
            *seen = id;
            self.lines += 1;
            if let Some(kept) = &mut self.kept {
                kept.insert(id_of(action), document.into());
            }
            if let Some(now) = now {
                self.arrivals.push((seq, now));
            }
            return true;
        }
        if *seen == id {
            self.resent += 1;
            return false;
        }
        self.double += 1;
        true
    }

    /// The answer to a `_mget` by `docs`.
    fn look_up(&self, body: &[u8]) -> Value {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let one = |doc: &Value| {
            let kept = self.kept.as_ref().and_then(|kept| kept.get(doc["_id"].as_str()?));
            let source = kept.map(|document| serde_json::from_slice::<Value>(document).unwrap_or_default());
            source.map_or_else(|| json!({ "found": false }), |source| json!({ "found": true, "_source": source }))
        };
        json!({ "docs": asked["docs"].as_array().into_iter().flatten().map(one).collect::<Vec<_>>() })
    }
}

/// The `_id` in an action line.
fn id_of(action: &[u8]) -> String {
    let action: Value = serde_json::from_slice(action).unwrap_or_default();
    action.as_object().and_then(|action| action.values().next()?["_id"].as_str()).unwrap_or_default().to_owned()
}

const CREATED: &[u8] = br#"{"create":{"status":201}},"#;
const CONFLICT: &[u8] =
    br#"{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},"#;

/// The digits behind `seq=`, however many.
fn sequence(document: &[u8]) -> Option<u64> {
    let mut from = 0;
    loop {
        // The first sign is rare in log lines, the rest is compared.
        let at = from + memchr(b'q', document.get(from..)?)?;
        if document[..at].ends_with(b"se") && document.get(at + 1) == Some(&b'=') {
            let digits = document[at + 2..].iter().take_while(|b| b.is_ascii_digit());
            return Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
        }
        if let Some(value) = json_sequence(document, at) {
            return Some(value);
        }
        from = at + 1;
    }
}

/// `"seq":NNN`, with the `q` at `at`.
fn json_sequence(document: &[u8], at: usize) -> Option<u64> {
    if !document[..at].ends_with(b"\"se") || !document[at + 1..].starts_with(b"\":") {
        return None;
    }
    let digits = document[at + 3..].iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// FNV-1a over eight bytes at a time; never 0.
fn hash(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    ((hash ^ (hash >> 32)) as u32).max(1)
}

/// One connection, request by request, until the other side ends it.
fn serve(shared: &Shared, stream: TcpStream) {
    let mut connection = Connection::new(stream);
    let (mut request, mut raw, mut answer) = (Request::default(), Vec::new(), Vec::new());
    while let Ok(true) = connection.read(&mut request) {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        answer.clear();
        let status = if request.path.contains("/_bulk") {
            raw.clear();
            let read = if request.gzip {
                MultiGzDecoder::new(&request.body[..]).read_to_end(&mut raw).is_ok()
            } else {
                raw.write_all(&request.body).is_ok()
            };
            if !read {
                return;
            }
            let delay = shared.delay_ms.load(Ordering::Relaxed);
            if delay > 0 {
                std::thread::sleep(Duration::from_millis(delay));
            }
            let arrivals = shared.keep_arrivals.load(Ordering::Relaxed);
            shared.counts.lock().unwrap().bulk(&raw, request.body.len(), arrivals, &mut answer);
            200
        } else {
            answer.extend_from_slice(other(shared, &request.path, &request.body).to_string().as_bytes());
            200
        };
        if connection.answer(status, &answer).is_err() {
            return;
        }
    }
}

/// The version, and under `/_null/` what was counted.
fn other(shared: &Shared, path: &str, body: &[u8]) -> Value {
    let mut counts = shared.counts.lock().unwrap();
    if let Some(written) = path.strip_prefix("/_null/tally/") {
        let missing = counts.missing(written.parse().unwrap_or(0));
        let tally = counts.tally();
        return json!({
            "lines": tally.lines, "double": tally.double, "resent": tally.resent, "documents": tally.documents,
            "requests": tally.requests, "wire_bytes": tally.wire_bytes, "raw_bytes": tally.raw_bytes,
            "missing": missing.len(), "first_missing": missing.first(),
        });
    }
    if path == "/_null/sample" {
        return Value::String(String::from_utf8_lossy(&counts.sample).into_owned());
    }
    if let Some(ms) = path.strip_prefix("/_null/delay/") {
        shared.delay_ms.store(ms.parse().unwrap_or(0), Ordering::Relaxed);
    }
    if path == "/_null/keep" {
        counts.kept = Some(HashMap::new());
    }
    if memmem::find(path.as_bytes(), b"/_mget").is_some() {
        return counts.look_up(body);
    }
    json!({
        "name": "null", "cluster_name": "null", "cluster_uuid": "null-endpoint-uuid-000",
        "version": { "number": "8.19.21", "build_flavor": "default" },
        "tagline": "You Know, for Search", "acknowledged": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_are_kept_are_found_again() {
        let mut counts = Counts { kept: Some(HashMap::new()), ..Counts::default() };
        counts.bulk(b"{\"create\":{\"_id\":\"a\"}}\n{\"message\":\"x seq=00000003\"}\n", 10, false, &mut Vec::new());
        let found = counts.look_up(br#"{"docs":[{"_id":"b"},{"_id":"a"}]}"#);
        let kept = json!({ "found": true, "_source": { "message": "x seq=00000003" } });
        assert_eq!(found["docs"], json!([{ "found": false }, kept]));
    }

    #[test]
    fn a_line_under_two_ids_is_double_and_under_one_id_twice_is_a_resend() {
        let mut counts = Counts::default();
        let mut answer = Vec::new();
        let body = b"{\"create\":{\"_id\":\"a\"}}\n{\"message\":\"x seq=00000003\"}\n{\"create\":{\"_id\":\"b\"}}\n{\"seq\":4}\n";
        counts.bulk(body, 10, false, &mut answer);
        assert_eq!(answer, br#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#);
        answer.clear();
        counts.bulk(b"{\"create\":{\"_id\":\"a\"}}\n{\"message\":\"x seq=00000003\"}\n", 10, false, &mut answer);
        assert!(answer.starts_with(br#"{"errors":true ,"items":[{"create":{"status":409"#));
        counts.bulk(b"{\"create\":{\"_id\":\"c\"}}\n{\"message\":\"x seq=00000003\"}\n", 10, false, &mut answer);
        assert_eq!((counts.lines, counts.resent, counts.double), (2, 1, 1));
        assert_eq!(counts.missing(5), [0, 1, 2]);
    }
}
