//! A small Elasticsearch on a real port: takes documents as `_bulk` does, and answers anything it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::deliver::served::TlsAcceptor;
use crate::record::gzip;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) wire: usize,
    pub(super) proxied: bool,
    /// Decompressed.
    pub(super) body: Vec<u8>,
    /// (id, document) of a bulk request.
    pub(super) items: Vec<(String, String)>,
}

impl Request {
    pub(super) fn is_bulk(&self) -> bool {
        self.path.contains("/_bulk")
    }

    pub(super) fn index(&self) -> String {
        self.path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default().to_owned()
    }
}

/// What to do with a request instead of the usual.
pub(super) enum Act {
    /// Status, further header lines, body; nothing is taken.
    Say(u16, &'static str, String),
    /// Close the connection; nothing is taken.
    Cut,
    /// Take the documents, then close without an answer.
    TakeAndCut,
    /// Take them and close within the answer.
    TakeAndCutInside,
    /// Take them and answer as the usual, but through this.
    TakeAnd(fn(Vec<u8>) -> (&'static str, Vec<u8>)),
    /// One byte a tenth of a second.
    Drip,
    /// Per item: this status and error instead of the usual.
    Each(fn(&str, &str) -> Option<(u16, &'static str)>),
}

type Script = Box<dyn FnMut(&Request) -> Option<Act> + Send>;

#[derive(Default)]
pub(super) struct World {
    script: Mutex<Option<Script>>,
    /// (index, id) → document.
    pub(super) documents: Mutex<BTreeMap<(String, String), String>>,
    pub(super) requests: Mutex<Vec<Request>>,
}

impl World {
    pub(super) fn bulks(&self) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.is_bulk()).count()
    }

    pub(super) fn count(&self) -> usize {
        self.documents.lock().unwrap().len()
    }
}

pub(super) struct Server {
    pub(super) url: String,
    pub(super) world: Arc<World>,
}

impl Server {
    pub(super) fn start(script: impl FnMut(&Request) -> Option<Act> + Send + 'static) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), None, script)
    }

    /// Serves until the process ends.
    pub(super) fn on(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        script: impl FnMut(&Request) -> Option<Act> + Send + 'static,
    ) -> Server {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let world = Arc::new(World { script: Mutex::new(Some(Box::new(script))), ..World::default() });
        let shared = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (world, tls) = (shared.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(&world, stream),
                    Some(acceptor) => serve(&world, acceptor.accept(stream)),
                });
            }
        });
        Server { url, world }
    }
}

fn serve(world: &World, stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream) {
        world.requests.lock().unwrap().push(request.clone());
        let act = world.script.lock().unwrap().as_mut().and_then(|script| script(&request));
        let out = stream.get_mut();
        let said = match act {
            None => say(out, 200, "", &usual(world, &request, |_, _| None)),
            Some(Act::Say(status, headers, body)) => say(out, status, headers, body.as_bytes()),
            Some(Act::Cut) => return,
            Some(Act::TakeAndCut) => {
                usual(world, &request, |_, _| None);
                return;
            }
            Some(Act::TakeAndCutInside) => {
                let answer = usual(world, &request, |_, _| None);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
                drop(out.write_all(&[head.as_bytes(), &answer[..answer.len() - 1]].concat()));
                drop(out.flush());
                return;
            }
            Some(Act::TakeAnd(change)) => {
                let (headers, body) = change(usual(world, &request, |_, _| None));
                say(out, 200, headers, &body)
            }
            Some(Act::Each(verdict)) => say(out, 200, "", &usual(world, &request, verdict)),
            Some(Act::Drip) => drip(out),
        };
        if said.is_err() {
            return;
        }
    }
}

fn say(out: &mut impl Write, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
    out.write_all(&[head.as_bytes(), body].concat())?;
    out.flush()
}

fn drip(out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
    loop {
        out.write_all(b" ")?;
        out.flush()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn receive(stream: &mut impl BufRead) -> Option<Request> {
    let mut request = Request::default();
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    request.method = words.next()?.to_owned();
    // A proxy is asked for whole URLs.
    let target = words.next()?;
    request.path = target.strip_prefix("http://").map_or(target, |url| &url[url.find('/').unwrap_or(0)..]).to_owned();
    request.proxied = target.starts_with("http://");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = request.headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.wire = body.len();
    let gzipped = request.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    request.body = if gzipped { gzip::decompress(&body, 1 << 30).unwrap() } else { body };
    if request.is_bulk() {
        let text = String::from_utf8(request.body.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks(2) {
            let action: serde_json::Value = serde_json::from_str(pair[0]).unwrap();
            request.items.push((action["create"]["_id"].as_str().unwrap().to_owned(), pair[1].to_owned()));
        }
    }
    Some(request)
}

/// What Elasticsearch would do.
fn usual(world: &World, request: &Request, verdict: impl Fn(&str, &str) -> Option<(u16, &'static str)>) -> Vec<u8> {
    let index = request.index();
    let mut documents = world.documents.lock().unwrap();
    if request.is_bulk() {
        let mut errors = false;
        let mut items = Vec::new();
        for (id, document) in &request.items {
            let key = (index.clone(), id.clone());
            let (status, error) = match verdict(id, document) {
                Some(verdict) => verdict,
                None if documents.contains_key(&key) => {
                    (409, r#"{"type":"version_conflict_engine_exception","reason":"exists"}"#)
                }
                None => {
                    documents.insert(key, document.clone());
                    (201, "")
                }
            };
            errors |= status != 201;
            let error = if error.is_empty() { String::new() } else { format!(",\"error\":{error}") };
            items.push(format!("{{\"create\":{{\"status\":{status}{error}}}}}"));
        }
        return format!("{{\"errors\":{errors},\"items\":[{}]}}", items.join(",")).into_bytes();
    }
    if request.path.contains("/_mget") {
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let docs = asked["docs"].as_array().unwrap().iter().map(|doc| {
            match documents.get(&(index.clone(), doc["_id"].as_str().unwrap().to_owned())) {
                Some(document) => format!("{{\"found\":true,\"_source\":{document}}}"),
                None => "{\"found\":false}".to_owned(),
            }
        });
        return format!("{{\"docs\":[{}]}}", docs.collect::<Vec<_>>().join(",")).into_bytes();
    }
    if request.path.contains("/_settings") {
        return format!(r#"{{"{index}":{{"settings":{{"index":{{"creation_date":"1"}}}}}}}}"#).into_bytes();
    }
    br#"{"cluster_uuid":"U","version":{"number":"8.19.21"}}"#.to_vec()
}
