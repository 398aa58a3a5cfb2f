//! An Elasticsearch stand-in in this process, over real HTTP, that can be told to answer anything.
//!
//! It keeps every document it accepted under (index, `_id`) and refuses a second `create` of the same with 409,
//! as the real one does. It promises nothing about mappings, search or replication.

mod answer;
mod documents;
mod routes;
mod script;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub use documents::{Document, Documents};
pub use script::{Bulk, Item, Judgement, Reply, refuse};

use crate::wait;

/// One answered bulk request.
#[derive(Clone, Debug)]
pub struct Logged {
    pub index: String,
    pub items: usize,
    pub raw_bytes: usize,
    pub wire_bytes: usize,
    pub status: u16,
    pub at: std::time::Instant,
}

/// A call that was no bulk request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub body: String,
}

type OnBulk = Box<dyn FnMut(&Bulk) -> Reply + Send>;
type OnItem = Box<dyn FnMut(&Item) -> Judgement + Send>;
type OnHeader = Box<dyn FnMut(Option<&str>) -> bool + Send>;

/// All that the endpoint knows and does.
pub(crate) struct State {
    version: String,
    cluster_uuid: String,
    documents: Documents,
    on_bulk: OnBulk,
    on_item: OnItem,
    authorized: OnHeader,
    log: Vec<Logged>,
    calls: Vec<Call>,
    answers: Vec<(String, u16, Value)>,
}

/// A running endpoint. Dropping it ends it.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Option<Runtime>,
}

impl Endpoint {
    /// Version 8.19.21, on a free port, accepting everything.
    pub fn start() -> Endpoint {
        Endpoint::start_version("8.19.21")
    }

    pub fn start_version(version: &str) -> Endpoint {
        let state = State {
            version: version.to_owned(),
            cluster_uuid: "hH1oQkR5SjWc0mZ0T1aB2g".to_owned(),
            documents: Documents::default(),
            on_bulk: Box::new(|_| Reply::Judge),
            on_item: Box::new(|_| Judgement::Accept),
            authorized: Box::new(|_| true),
            log: Vec::new(),
            calls: Vec::new(),
            answers: Vec::new(),
        };
        let mut endpoint = Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: Arc::new(Mutex::new(state)),
            server: None,
        };
        endpoint.up();
        endpoint
    }

    /// Begins to listen (again, on the same port).
    pub fn up(&mut self) {
        assert!(self.server.is_none(), "it listens already");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = self.address;
        let listener = wait::until("the port is free", Duration::from_secs(20), || {
            runtime.block_on(TcpListener::bind(address)).ok()
        });
        self.address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, Arc::clone(&self.state)));
        self.server = Some(runtime);
    }

    /// Ends all connections at once and refuses new ones. What it knows is kept.
    pub fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_timeout(Duration::from_secs(2));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on each bulk request is answered as `script` says.
    pub fn on_bulk(&self, script: impl FnMut(&Bulk) -> Reply + Send + 'static) {
        self.lock().on_bulk = Box::new(script);
    }

    /// From now on each item of requests that are judged is answered as `script` says.
    pub fn on_item(&self, script: impl FnMut(&Item) -> Judgement + Send + 'static) {
        self.lock().on_item = Box::new(script);
    }

    /// From now on only requests whose `Authorization` header passes are let in; others get 401.
    pub fn on_authorization(&self, passes: impl FnMut(Option<&str>) -> bool + Send + 'static) {
        self.lock().authorized = Box::new(passes);
    }

    /// Accepts everything again.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.on_bulk = Box::new(|_| Reply::Judge);
        state.on_item = Box::new(|_| Judgement::Accept);
        state.authorized = Box::new(|_| true);
    }

    /// From now on calls of `path` (without its query) are answered so.
    pub fn on_path(&self, path: &str, status: u16, answer: Value) {
        self.lock().answers.insert(0, (path.to_owned(), status, answer));
    }

    /// Becomes another cluster.
    pub fn set_cluster_uuid(&self, uuid: &str) {
        self.lock().cluster_uuid = uuid.to_owned();
    }

    /// Puts a document there as somebody else would.
    pub fn put(&self, index: &str, id: &str, source: &str) {
        self.lock().documents.create(index, id, source.as_bytes().to_vec().into());
    }

    /// Changes a document as somebody else would.
    pub fn replace(&self, index: &str, id: &str, source: &str) {
        self.lock().documents.index(index, id, source.as_bytes().to_vec().into(), None).expect("it has no version");
    }

    /// Lets `look` see the documents.
    pub fn documents<T>(&self, look: impl FnOnce(&Documents) -> T) -> T {
        look(&self.lock().documents)
    }

    /// Documents in `index`.
    pub fn count(&self, index: &str) -> usize {
        self.documents(|documents| documents.of(index).count())
    }

    pub fn log(&self) -> Vec<Logged> {
        self.lock().log.clone()
    }

    pub fn requests(&self) -> usize {
        self.lock().log.len()
    }

    /// Calls that were no bulk requests.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Waits until `index` holds at least `count` documents.
    pub fn wait_count(&self, index: &str, count: usize, limit: Duration) {
        let end = std::time::Instant::now() + limit;
        while self.count(index) < count {
            assert!(
                std::time::Instant::now() < end,
                "after {limit:?} {} of {count} documents are in {index}",
                self.count(index)
            );
            wait::pass(Duration::from_millis(20));
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.down();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&state)));
    }
}

/// One connection, until either side ends it. A service error cuts it without an answer.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request| routes::answer(Arc::clone(&state), request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        // A cut connection is what many scripts ask for.
        let _ended = error;
    }
}
