//! The socket itself, and the port for those who only look: taking them, accepting a bounded number of connections,
//! giving them up.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use splashdam_api::ShortPath;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::handlers;
use super::looking;
use super::operations::Operations;
use crate::pipeline::Agent;

/// User and group; the folder decides about everyone else.
const MODE: u32 = 0o660;
const MAX_CONNECTIONS: usize = 32;
/// A client must have sent its request's head within this.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// A whole connection: one request and its answer, read at the client's pace.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(120);
/// What conversations get to end once the agent stops.
const GOODBYE: Duration = Duration::from_millis(500);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ControlError {
    #[error("{0} is in use: another splashdam listens there")]
    InUse(PathBuf),
    #[error("{0} is to be the control socket, but something that is no socket is there")]
    NotASocket(PathBuf),
    #[error("the folder of the control socket {0} does not exist (control_socket in the configuration names another)")]
    NoFolder(PathBuf),
    #[error("the control socket {path} can't be made: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("can't listen on {address} (http_listen): {error}")]
    Port { address: SocketAddr, error: io::Error },
}

/// Where connections come from, and what may be asked there.
trait Door: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn converse<O: Operations>(stream: Self::Stream, agent: Arc<O>) -> impl Future<Output = ()> + Send + 'static;
}

/// The control socket: everything may be asked. Who may connect is decided by its rights.
struct Socket {
    listener: UnixListener,
    _taken: Taken,
}

impl Door for Socket {
    type Stream = tokio::net::UnixStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    async fn converse<O: Operations>(stream: Self::Stream, agent: Arc<O>) {
        converse(stream, service_fn(|request| handlers::answer(Arc::clone(&agent), request))).await;
    }
}

/// The loopback port: anybody on this machine may look.
struct Port(TcpListener);

impl Door for Port {
    type Stream = tokio::net::TcpStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }

    async fn converse<O: Operations>(stream: Self::Stream, agent: Arc<O>) {
        converse(stream, service_fn(|request| looking::answer(Arc::clone(&agent), request))).await;
    }
}

/// Takes `path` and answers there until `stop` says true or its sender is gone; then removes the socket. Must be
/// called on a runtime.
///
/// # Errors
/// Someone else listens there, something else is there, or the socket can't be made.
pub(crate) fn serve(
    path: &Path,
    agent: Arc<Agent>,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ControlError> {
    start(path, agent, stop)
}

pub(super) fn start<O: Operations>(
    path: &Path,
    agent: Arc<O>,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, ControlError> {
    let listener = take(path)?;
    let taken = Taken::new(path);
    tracing::debug!(socket = %path.display(), "control socket is open");
    Ok(tokio::spawn(accept(Socket { listener, _taken: taken }, agent, stop)))
}

/// Listens on a loopback address for those who only look, until `stop` says true or its sender is gone.
///
/// # Errors
/// The port is taken, or there is no such address.
pub(crate) async fn look(
    address: SocketAddr,
    agent: Arc<Agent>,
    stop: watch::Receiver<bool>,
) -> Result<SocketAddr, ControlError> {
    open_port(address, agent, stop).await
}

pub(super) async fn open_port<O: Operations>(
    address: SocketAddr,
    agent: Arc<O>,
    stop: watch::Receiver<bool>,
) -> Result<SocketAddr, ControlError> {
    let failed = |error| ControlError::Port { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tokio::spawn(accept(Port(listener), agent, stop));
    Ok(bound)
}

/// Makes the socket. It is made under another name with its rights set and then renamed, so that it never lies
/// there with wider rights, and a stale one is replaced in one step.
fn take(path: &Path) -> Result<UnixListener, ControlError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ControlError::NoFolder(path.to_owned()),
        _ => ControlError::Io { path: path.to_owned(), error },
    };
    refuse_if_taken(path)?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let address = ShortPath::of(&fresh).map_err(failed)?;
    let listener = std::os::unix::net::UnixListener::bind(address.path()).map_err(failed)?;
    let ready = std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(MODE))
        .and_then(|()| std::fs::rename(&fresh, path))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| UnixListener::from_std(listener));
    ready.map_err(|error| {
        // The first error is the one to tell; the next start removes what is left.
        std::fs::remove_file(&fresh).ok();
        failed(error)
    })
}

fn refuse_if_taken(path: &Path) -> Result<(), ControlError> {
    let failed = |error| ControlError::Io { path: path.to_owned(), error };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(seen) if !seen.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    let address = ShortPath::of(path).map_err(failed)?;
    match std::os::unix::net::UnixStream::connect(address.path()) {
        Ok(_) => Err(ControlError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "replacing a control socket that nobody listens on");
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The socket file that is ours, told by its inode; removed on drop unless someone else's has taken its place.
struct Taken {
    path: PathBuf,
    inode: Option<u64>,
}

impl Taken {
    fn new(path: &Path) -> Taken {
        Taken { path: path.to_owned(), inode: std::fs::symlink_metadata(path).ok().map(|seen| seen.ino()) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let there = std::fs::symlink_metadata(&self.path).ok().map(|seen| seen.ino());
        if there.is_none() || there != self.inode {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "control socket stays behind");
        }
    }
}

async fn accept<D: Door, O: Operations>(door: D, agent: Arc<O>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    // An error means that the sender is gone, and with it the agent.
    let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_ended) = connections.join_next() => {}
            accepted = door.next(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(stream) => {
                    connections.spawn(D::converse(stream, Arc::clone(&agent)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a control connection can't be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await; // out of descriptors, most likely
                }
            },
        }
    }
    drop(door);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// One request and its answer.
async fn converse<I, S>(stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a control connection broke off"),
        Err(_elapsed) => tracing::debug!("a control connection was too slow"),
    }
}
