//! The real server and the real client over a real socket; only the agent behind them is a stand-in.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use splashdam_api::{
    Client, ClientError, Configuration, Connections, DeadLetter, Diagnosis, DropOwed, Flushed, FlushedPipeline, Found,
    Health, Job, OwedToGone, PipelinePositions, PipelineStatus, Position, Reloaded, Reset, ResetSources, Search, State,
    Status, Steered, Tap, Tapped, Which,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::operations::Operations;
use super::server::{ControlError, open_port, start};

/// An agent with one pipeline `web` and dead letters of half a megabyte.
struct StandIn {
    health: Health,
    dead: Mutex<Vec<u64>>,
}

impl Operations for StandIn {
    fn status(&self) -> Status {
        let web = PipelineStatus { id: "web".to_owned(), state: State::DiskFull, ..PipelineStatus::default() };
        Status { version: "1.2.3".to_owned(), health: self.health, pipelines: vec![web], ..Status::default() }
    }
    fn jobs(&self) -> Vec<Job> {
        vec![Job { id: "web".to_owned(), kind: "SQL".to_owned(), ..Job::default() }]
    }
    fn metrics_text(&self) -> String {
        "# EOF\n".to_owned()
    }
    fn configuration(&self, job: Option<&str>) -> Result<Configuration, String> {
        Err(format!("no job {job:?}"))
    }
    fn positions(&self, pipeline: Option<&str>) -> Vec<PipelinePositions> {
        let position = Position { path: "/var/log/a b.log".to_owned(), offset: 7, ..Position::default() };
        vec![PipelinePositions { pipeline: pipeline.unwrap_or("all").to_owned(), positions: vec![position] }]
    }
    fn pause(&self, pipeline: Option<&str>, paused: bool) -> Result<Steered, String> {
        let job = pipeline.unwrap_or("all");
        Ok(Steered { pipelines: vec![format!("{job} {paused}")] })
    }
    async fn flush(&self, pipeline: Option<&str>) -> Result<Flushed, String> {
        let id = pipeline.unwrap_or("web").to_owned();
        Ok(Flushed { pipelines: vec![FlushedPipeline { id, owed_records: 3, ..FlushedPipeline::default() }] })
    }
    async fn reload(&self) -> Result<Reloaded, String> {
        Err("jobs.d/web.toml:3:1: unknown key".to_owned())
    }
    async fn reset_positions(&self, _: &Reset) -> Result<ResetSources, String> {
        Ok(ResetSources::default())
    }
    async fn drop_owed(&self, asked: &DropOwed) -> Result<OwedToGone, String> {
        Err(format!("{} owes nothing to a sink that its script has no more", asked.pipeline))
    }
    async fn test_connection(&self, name: &str) -> Result<Connections, String> {
        Err(format!("there is no job and no datasource \"{name}\" here"))
    }
    async fn doctor(&self) -> Result<Diagnosis, String> {
        Err("the doctor is here already".to_owned())
    }
    async fn search(&self, search: &Search) -> Result<Found, String> {
        Ok(Found { job: search.query.clone(), total: u64::from(search.limit), ..Found::default() })
    }
    async fn tap(&self, tap: &Tap) -> Result<Tapped, String> {
        Ok(Tapped { next: format!("{tap:?}"), ..Tapped::default() })
    }
    async fn dead_letters(&self, _: &str, from: u64, limit: usize) -> Result<Vec<DeadLetter>, String> {
        let dead = self.dead.lock().map_err(|_| "poisoned")?;
        let some = dead.iter().filter(|number| **number >= from).take(limit);
        Ok(some.map(|n| DeadLetter { number: *n, document: "x".repeat(500_000), ..DeadLetter::default() }).collect())
    }
    async fn replay_dead_letters(&self, _: &str, _: Option<Vec<u64>>) -> Result<u64, String> {
        Err("the buffer is full".to_owned())
    }
    async fn drop_dead_letters(&self, _: &str, numbers: Option<Vec<u64>>) -> Result<u64, String> {
        let mut dead = self.dead.lock().map_err(|_| "poisoned")?;
        let before = dead.len();
        dead.retain(|n| numbers.as_ref().is_some_and(|numbers| !numbers.contains(n)));
        Ok((before - dead.len()) as u64)
    }
}

/// A served socket in a folder of its own.
struct Served {
    _folder: TempDir,
    socket: PathBuf,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Served {
    fn new(health: Health) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let (stop, stopped) = watch::channel(false);
        let agent = StandIn { health, dead: Mutex::new((1..=30).collect()) };
        let running = start(&socket, Arc::new(agent), stopped).unwrap();
        Served { _folder: folder, socket, stop, running }
    }

    fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    /// One raw request, as any other HTTP client sends it.
    async fn raw(&self, request: &str) -> String {
        let socket = self.socket.clone();
        answer_to(request.to_owned(), || UnixStream::connect(socket)).await
    }
}

/// What comes back over a connection of its own.
async fn answer_to<S: Read + Write>(
    request: String,
    connect: impl FnOnce() -> std::io::Result<S> + Send + 'static,
) -> String {
    let conversation = move || {
        let mut stream = connect().unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    tokio::task::spawn_blocking(conversation).await.unwrap()
}

#[tokio::test]
async fn what_the_agent_says_arrives_as_it_was_said() {
    let served = Served::new(Health::Ok);
    let client = served.client();
    let status = client.status().await.unwrap();
    assert_eq!((status.version.as_str(), status.pipelines[0].state), ("1.2.3", State::DiskFull));
    assert_eq!(client.jobs().await.unwrap()[0].kind, "SQL");
    assert_eq!(client.metrics().await.unwrap(), "# EOF\n");
    assert_eq!(client.positions(None).await.unwrap()[0].pipeline, "all");
    assert_eq!(client.positions(Some("web")).await.unwrap()[0].positions[0].path, "/var/log/a b.log");
    assert!(!client.flush(None).await.unwrap().complete());
    assert_eq!(client.pause(Some("web")).await.unwrap().pipelines, ["web true"]);
    assert_eq!(client.resume(None).await.unwrap().pipelines, ["all false"]);
    let tap = Tap { pipeline: "web".to_owned(), text: Some("a&b \"c\"".to_owned()), from: None, limit: Some(3) };
    assert_eq!(client.tap(&tap).await.unwrap().next, format!("{tap:?}"));
    assert_eq!(client.reload().await.unwrap_err().to_string(), "jobs.d/web.toml:3:1: unknown key");
    assert_eq!(client.dead_letter("web", 30).await.unwrap().number, 30);
    assert_eq!(client.drop_dead_letters("web", Which::Numbers(vec![2, 4, 99])).await.unwrap(), 2);
    assert_eq!(client.drop_dead_letters("web", Which::All).await.unwrap(), 28);
}

#[tokio::test]
async fn large_dead_letters_come_in_pages_and_none_is_left_out() {
    let served = Served::new(Health::Ok);
    let mut numbers = Vec::new();
    let mut from = 0;
    loop {
        let page = served.client().dead_letters("web", from, 500).await.unwrap();
        assert!(page.len() <= 20, "a page of {} large documents", page.len());
        let Some(last) = page.last() else { break };
        from = last.number + 1;
        numbers.extend(page.iter().map(|letter| letter.number));
    }
    assert_eq!(numbers, (1..=30).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_refusal_comes_with_its_reason() {
    let served = Served::new(Health::Ok);
    let client = served.client();
    let error = client.replay_dead_letters("web", Which::All).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 409, message } if message == "the buffer is full"));
    let error = client.positions(Some("wbe & co")).await.unwrap_err();
    assert_eq!(error.to_string(), "no job \"wbe & co\" runs here; there is web");
    let error = client.tap(&Tap { pipeline: "wbe".to_owned(), ..Tap::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "no job \"wbe\" runs here; did you mean \"web\"?");
    assert_eq!(client.dead_letter("web", 31).await.unwrap_err().to_string(), "web has no dead letter 31");
    let error = client.drop_dead_letters("web", Which::Numbers(Vec::new())).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 400, .. }), "{error}");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_so() {
    let served = Served::new(Health::Ok);
    for (request, status, text) in [
        ("GET /flush HTTP/1.1\r\nhost: x\r\n\r\n", "405", "it takes POST"),
        ("GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", "404", "this agent knows"),
        ("GET /dead-letters HTTP/1.1\r\nhost: x\r\n\r\n", "400", "?pipeline=… is missing"),
        ("GET /dead-letters?pipeline=web&from=x HTTP/1.1\r\nhost: x\r\n\r\n", "400", "is not a number"),
        ("GET /dead-letters/x?pipeline=web HTTP/1.1\r\nhost: x\r\n\r\n", "400", "is not the number"),
        (
            "POST /dead-letters/drop HTTP/1.1\r\nhost: x\r\ncontent-length: 18\r\n\r\n{\"pipeline\":\"web\"}",
            "400",
            "which",
        ),
    ] {
        let answer = served.raw(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(text), "{request} gave {answer}");
    }
}

#[tokio::test]
async fn health_is_a_status_code_for_monitors() {
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let well = Served::new(Health::Ok).raw(ask).await;
    assert!(well.starts_with("HTTP/1.1 200") && well.contains("\"ok\""), "{well}");
    let degraded = Served::new(Health::Degraded).raw(ask).await;
    assert!(degraded.starts_with("HTTP/1.1 503") && degraded.contains("\"degraded\""), "{degraded}");
}

#[tokio::test]
async fn only_user_and_group_may_use_the_socket() {
    let served = Served::new(Health::Ok);
    let mode = std::fs::metadata(&served.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn a_live_socket_is_refused_and_still_answers() {
    let served = Served::new(Health::Ok);
    let (_stop, stopped) = watch::channel(false);
    let agent = Arc::new(StandIn { health: Health::Ok, dead: Mutex::default() });
    let error = start(&served.socket, agent, stopped).unwrap_err();
    assert!(matches!(error, ControlError::InUse(_)), "{error}");
    served.client().status().await.unwrap();
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (_stop, stopped) = watch::channel(false);
    let agent = Arc::new(StandIn { health: Health::Ok, dead: Mutex::default() });
    let _running = start(&socket, Arc::clone(&agent), stopped.clone()).unwrap();
    Client::new(&socket).status().await.unwrap();

    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    assert!(matches!(start(&file, agent, stopped), Err(ControlError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn a_stop_ends_the_server_and_takes_the_socket_away() {
    let served = Served::new(Health::Ok);
    // A client that never finishes its request does not hold it up.
    let mut slow = UnixStream::connect(&served.socket).unwrap();
    slow.write_all(b"GET /sta").unwrap();
    served.stop.send(true).unwrap();
    served.running.await.unwrap();
    assert!(!served.socket.exists());
    assert!(matches!(Client::new(&served.socket).status().await, Err(ClientError::NoSocket(_))));
}

#[tokio::test]
async fn clients_that_hang_up_give_their_places_back() {
    let served = Served::new(Health::Ok);
    let gone: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&served.socket).unwrap()).collect();
    drop(gone);
    served.client().status().await.unwrap();
}

/// What a browser on this machine is answered.
async fn looked(host: &str, method: &str, path: &str) -> String {
    let (_stop, stopped) = watch::channel(false);
    let agent = Arc::new(StandIn { health: Health::Ok, dead: Mutex::new(vec![1, 2]) });
    let address = open_port(([127, 0, 0, 1], 0).into(), agent, stopped).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
    answer_to(request, move || std::net::TcpStream::connect(address)).await
}

#[tokio::test]
async fn on_the_port_one_can_look_and_change_nothing() {
    for (path, want) in [
        ("/", "<!doctype html>"),
        ("/page.js", "fetch"),
        ("/page.css", "table"),
        ("/status", "\"version\":\"1.2.3\""),
        ("/healthz", "\"ok\""),
        ("/metrics", "# EOF"),
    ] {
        let answer = looked("localhost:9600", "GET", path).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(want), "{path} gave {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        // What the policy refuses is an error in the console of who looks.
        assert!(!answer.contains("href=\"data:") || answer.contains("img-src data:"), "{answer}");
    }
    for path in ["/flush", "/pause", "/reload", "/dead-letters/drop"] {
        let answer = looked("127.0.0.1:9600", "POST", path).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{path} gave {answer}");
    }
    for path in ["/positions", "/tap?pipeline=web"] {
        assert!(looked("[::1]:9600", "GET", path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn on_the_port_no_document_can_be_read_and_no_foreign_site_looks() {
    let letters = looked("localhost", "GET", "/dead-letters?pipeline=web").await;
    assert!(letters.contains("\"number\":2") && !letters.contains("xxx"), "{} bytes", letters.len());
    let rebound = looked("evil.example", "GET", "/status").await;
    assert!(rebound.starts_with("HTTP/1.1 403") && !rebound.contains("1.2.3"), "{rebound}");
}
