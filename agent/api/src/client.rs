//! A client for the control socket: one connection for each request, each request with a deadline.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::owed::{DropOwed, OwedToGone};
use crate::types::{
    Changed, Chosen, ConnectionTest, Connections, DeadLetter, Flushed, PipelinePositions, Refusal, Reloaded, Reset,
    ResetSources, Selection, Status, Steered, Which,
};
use crate::{Configuration, Diagnosis, Found, Search, ShortPath, query, who_may};

/// The agent answers at once except to these: dead letters are written, a flush waits for Elasticsearch. Longer
/// than the agent's own deadlines, so that its explanation is heard.
const DEADLINE: Duration = Duration::from_secs(90);

/// The longest answer that is taken in.
const MAX_ANSWER: usize = 256 << 20;

/// Talks to the agent behind one socket. Cheap to make; holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error("is splashdam running? looked for {0}, and there is nothing")]
    NoSocket(PathBuf),
    #[error("is splashdam running? nobody listens on {0} (left behind by an agent that was killed)")]
    NobodyListens(PathBuf),
    #[error("{0} is no socket")]
    NotASocket(PathBuf),
    #[error("permission denied on {path}: {who}")]
    Denied { path: PathBuf, who: String },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("the conversation over {path} broke off: {error}")]
    Http { path: PathBuf, error: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "no answer from {path} within {seconds} s: the agent is there and stuck or very busy; its log says more, and `systemctl restart splashdam` loses nothing"
    )]
    Silent { path: PathBuf, seconds: u64 },
    #[error("the answer to {what} can't be understood ({error}); is the agent of another version?")]
    Answer { what: String, error: serde_json::Error },
    /// The agent understood and said no; the text is its own.
    #[error("{message}")]
    Refused { status: u16, message: String },
}

impl ClientError {
    /// Whether no agent was reached at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            ClientError::NoSocket(_)
                | ClientError::NobodyListens(_)
                | ClientError::NotASocket(_)
                | ClientError::Denied { .. }
                | ClientError::Io { .. }
                | ClientError::Silent { .. }
        )
    }
}

fn chosen(pipeline: Option<&str>) -> Chosen {
    Chosen { pipeline: pipeline.map(str::to_owned) }
}

impl Client {
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/status", &[]).await
    }

    /// Prometheus text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let body = self.ask(Method::GET, "/metrics", Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// What the agent runs with: of one job, or of all with the service.
    pub async fn configuration(&self, job: Option<&str>) -> Result<Configuration, ClientError> {
        let pairs: Vec<(&str, &str)> = job.map(|id| ("pipeline", id)).into_iter().collect();
        self.get("/config", &pairs).await
    }

    /// Of one pipeline, or of all.
    pub async fn positions(&self, pipeline: Option<&str>) -> Result<Vec<PipelinePositions>, ClientError> {
        match pipeline {
            Some(id) => self.get("/positions", &[("pipeline", id)]).await,
            None => self.get("/positions", &[]).await,
        }
    }

    /// One page of dead letters with numbers of `from` and above, in order: at most `limit`, and fewer where
    /// they are large. An empty page is the end; the next page begins behind the last number.
    pub async fn dead_letters(&self, pipeline: &str, from: u64, limit: u64) -> Result<Vec<DeadLetter>, ClientError> {
        let (from, limit) = (from.to_string(), limit.to_string());
        self.get("/dead-letters", &[("pipeline", pipeline), ("from", &from), ("limit", &limit)]).await
    }

    pub async fn dead_letter(&self, pipeline: &str, number: u64) -> Result<DeadLetter, ClientError> {
        self.get(&format!("/dead-letters/{number}"), &[("pipeline", pipeline)]).await
    }

    /// Owes dead letters again; gives their number.
    pub async fn replay_dead_letters(&self, pipeline: &str, which: Which) -> Result<u64, ClientError> {
        let selection = Selection { pipeline: pipeline.to_owned(), which };
        self.post("/dead-letters/replay", &selection).await.map(|changed: Changed| changed.dead_letters)
    }

    /// Forgets dead letters for good; gives their number.
    pub async fn drop_dead_letters(&self, pipeline: &str, which: Which) -> Result<u64, ClientError> {
        let selection = Selection { pipeline: pipeline.to_owned(), which };
        self.post("/dead-letters/drop", &selection).await.map(|changed: Changed| changed.dead_letters)
    }

    /// Asks for everything read so far to be shipped now, and waits (bounded) for it.
    pub async fn flush(&self, pipeline: Option<&str>) -> Result<Flushed, ClientError> {
        self.post("/flush", &chosen(pipeline)).await
    }

    /// Has the service read its configuration and jobs again.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post("/reload", &serde_json::json!({})).await
    }

    /// Nothing more is read of one job, or of all, until it is resumed or the agent starts again; what was read is
    /// shipped.
    pub async fn pause(&self, pipeline: Option<&str>) -> Result<Steered, ClientError> {
        self.post("/pause", &chosen(pipeline)).await
    }

    pub async fn resume(&self, pipeline: Option<&str>) -> Result<Steered, ClientError> {
        self.post("/resume", &chosen(pipeline)).await
    }

    /// Lets a job read again, or shows what that would be.
    pub async fn reset_positions(&self, reset: &Reset) -> Result<ResetSources, ClientError> {
        self.post("/positions/reset", reset).await
    }

    /// Drops what a job owes to sinks that its script has no more, or shows what that would be.
    pub async fn drop_owed(&self, asked: &DropOwed) -> Result<OwedToGone, ClientError> {
        self.post("/owed/drop", asked).await
    }

    /// Lets the agent look at everything around it.
    pub async fn doctor(&self) -> Result<Diagnosis, ClientError> {
        self.post("/doctor", &serde_json::json!({})).await
    }

    /// Looks for documents that have arrived.
    pub async fn search(&self, search: &Search) -> Result<Found, ClientError> {
        self.post("/search", search).await
    }

    /// A gzipped tar archive for who is to find out what is wrong; no secret and no document is in it.
    pub async fn support_bundle(&self) -> Result<Vec<u8>, ClientError> {
        Ok(self.ask(Method::POST, "/support-bundle", Bytes::from_static(b"{}")).await?.to_vec())
    }

    /// Tries what a job, or a connection of `datasources.toml`, connects to.
    pub async fn test_connection(&self, name: &str) -> Result<Connections, ClientError> {
        self.post("/test-connection", &ConnectionTest { name: name.to_owned() }).await
    }

    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str, pairs: &[(&str, &str)]) -> Result<A, ClientError> {
        let target = if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", query::encode(pairs)) };
        let body = self.ask(Method::GET, &target, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer { what: path.to_owned(), error })
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(&self, path: &str, question: &Q) -> Result<A, ClientError> {
        let not_understood = |error| ClientError::Answer { what: path.to_owned(), error };
        let question = serde_json::to_vec(question).map_err(not_understood)?;
        let body = self.ask(Method::POST, path, question.into()).await?;
        serde_json::from_slice(&body).map_err(not_understood)
    }

    async fn ask(&self, method: Method, target: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let silent = || ClientError::Silent { path: self.socket.clone(), seconds: DEADLINE.as_secs() };
        let (status, body) = tokio::time::timeout(DEADLINE, self.exchange(method, target, body))
            .await
            .unwrap_or_else(|_elapsed| Err(silent()))?;
        if status.is_success() {
            return Ok(body);
        }
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) if !refusal.error.is_empty() => refusal.error,
            _ => format!("{status}: {}", String::from_utf8_lossy(&body)),
        };
        Err(ClientError::Refused { status: status.as_u16(), message })
    }

    async fn exchange(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes), ClientError> {
        let address = ShortPath::of(&self.socket).map_err(|error| self.unreachable(error))?;
        let stream = UnixStream::connect(address.path()).await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        let conversation = async {
            let request = Request::builder()
                .method(method)
                .uri(target)
                .header(header::HOST, "splashdam")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(body))
                .map_err(|error| self.broken(error))?;
            let answer = sender.send_request(request).await.map_err(|error| self.broken(error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| self.broken(error))?.to_bytes()))
        };
        // The connection has to be polled for the conversation to go on; it may end first, with an answer that
        // is complete, or with an error that the conversation sees as well.
        tokio::pin!(conversation);
        tokio::select! {
            answer = &mut conversation => answer,
            _ended = connection => conversation.await,
        }
    }

    fn unreachable(&self, error: io::Error) -> ClientError {
        let path = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket(path),
            io::ErrorKind::ConnectionRefused if !is_socket(&path) => ClientError::NotASocket(path),
            io::ErrorKind::ConnectionRefused => ClientError::NobodyListens(path),
            io::ErrorKind::PermissionDenied => ClientError::Denied { who: who_may::describe(&path), path },
            _ => ClientError::Io { path, error },
        }
    }

    fn broken(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Http { path: self.socket.clone(), error: error.into() }
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|seen| seen.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn status_of(socket: &Path) -> ClientError {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Client::new(socket).status()).unwrap_err()
    }

    #[test]
    fn no_socket_asks_whether_splashdam_is_running_and_says_where_it_looked() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let error = status_of(&socket);
        assert!(error.is_unreachable());
        let text = error.to_string();
        assert!(text.starts_with("is splashdam running?") && text.contains(socket.to_str().unwrap()), "{text}");
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        drop(UnixListener::bind(&socket).unwrap());
        assert!(matches!(status_of(&socket), ClientError::NobodyListens(_)));
        std::fs::write(folder.path().join("file"), "").unwrap();
        for other in [folder.path().join("file"), folder.path().to_owned()] {
            assert!(matches!(status_of(&other), ClientError::NotASocket(_)), "{}", other.display());
        }
    }

    #[test]
    fn an_answer_that_is_no_http_is_an_error_not_a_hang() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"220 mail.example.org\r\n\r\n").unwrap();
        });
        assert!(matches!(status_of(&socket), ClientError::Http { .. }));
        peer.join().unwrap();
    }
}
