//! TLS: who is trusted, and who is not.
//!
//! `tls/` holds a test authority, a server's and a client's certificate by it (for localhost, a hundred years),
//! a self-signed one, and an authority that has nothing to do with them.

use std::path::PathBuf;

use super::Running;
use super::door::MemoryDoor;
use super::server::{Act, Server};
use crate::deliver::served::{self, TlsAcceptor};
use crate::plan::{ElasticsearchPlan, Secret, SlsPlan, SlsReach, TlsPlan};
use crate::source::sls;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/lane_tests/tls").join(name)
}

fn fingerprint(name: &str) -> String {
    served::fingerprint(&file(name))
}

/// A server with the test authority's certificate; it sends its chain, as Elasticsearch does.
fn server(ask_clients: bool) -> Server {
    server_with(&["server.pem", "ca.pem"], "server.key", ask_clients)
}

fn server_with(chain: &[&str], key: &str, ask_clients: bool) -> Server {
    let chain: Vec<PathBuf> = chain.iter().map(|name| file(name)).collect();
    let chain: Vec<_> = chain.iter().map(PathBuf::as_path).collect();
    let clients = ask_clients.then(|| file("ca.pem"));
    let acceptor = TlsAcceptor::new(&chain, &file(key), clients.as_deref());
    Server::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Some(acceptor), |_| None)
}

/// Whether three documents arrive; if not, the error that is shown.
async fn arrives(server: &Server, tls: TlsPlan) -> Result<(), String> {
    let mut plan = ElasticsearchPlan::new(server.url.clone(), "logs");
    plan.tls = tls;
    let door = MemoryDoor::default();
    door.owe_lines("logs", 3);
    let running = Running::start(plan, door);
    running.until("an end", |running| running.door.owed() == 0 || running.state.status().last_error.is_some()).await;
    assert_eq!(running.door.dead(), []);
    match running.state.status().last_error {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_authority_is_trusted_and_another_is_not() {
    let server = server(false);
    assert_eq!(arrives(&server, TlsPlan { ca_file: Some(file("ca.pem")), ..TlsPlan::default() }).await, Ok(()));
    let error = arrives(&server, TlsPlan { ca_file: Some(file("other.pem")), ..TlsPlan::default() }).await.unwrap_err();
    assert!(error.contains("UnknownIssuer") || error.contains("certificate"), "{error}");
    let error = arrives(&server, TlsPlan { ca_file: Some(file("none.pem")), ..TlsPlan::default() }).await.unwrap_err();
    assert!(error.contains("none.pem"), "{error}");
    assert_eq!(arrives(&server, TlsPlan { insecure: true, ..TlsPlan::default() }).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_http_where_https_is_spoken_is_told_so() {
    let mut server = server(false);
    server.url = server.url.replace("https://", "http://");
    let error = arrives(&server, TlsPlan::default()).await.unwrap_err();
    assert!(error.contains("does it want https://?"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_signed_certificate_is_trusted_where_the_plan_names_it() {
    // `selfsigned.pem` is marked as an authority's, as `openssl req -x509` makes it.
    let server = server_with(&["selfsigned.pem"], "selfsigned.key", false);
    assert_eq!(arrives(&server, TlsPlan { ca_file: Some(file("selfsigned.pem")), ..TlsPlan::default() }).await, Ok(()));
    let tls = TlsPlan { fingerprint: Some(fingerprint("selfsigned.pem")), ..TlsPlan::default() };
    assert_eq!(arrives(&server, tls).await, Ok(()));
    assert!(arrives(&server, TlsPlan { ca_file: Some(file("ca.pem")), ..TlsPlan::default() }).await.is_err());
    let tls = TlsPlan { ca_file: Some(file("other.pem")), ..TlsPlan::default() };
    let nameless = server_with(&["other.pem"], "other.key", false);
    assert!(arrives(&nameless, tls).await.is_err(), "it is not for this name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fingerprint_trusts_that_certificate_or_what_it_issued_and_nothing_else() {
    let server = server(false);
    for name in ["server.pem", "ca.pem"] {
        let tls = TlsPlan { fingerprint: Some(fingerprint(name)), ..TlsPlan::default() };
        assert_eq!(arrives(&server, tls).await, Ok(()), "{name}");
    }
    let tls = TlsPlan { fingerprint: Some(fingerprint("other.pem")), ..TlsPlan::default() };
    assert!(arrives(&server, tls).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let server = server(true);
    let with = |fingerprint: Option<String>| TlsPlan {
        ca_file: Some(file("ca.pem")),
        certificate_file: Some(file("client.pem")),
        key_file: Some(file("client.key")),
        fingerprint,
        insecure: false,
    };
    assert_eq!(arrives(&server, with(None)).await, Ok(()));
    assert_eq!(arrives(&server, with(Some(fingerprint("ca.pem")))).await, Ok(()));
    assert!(arrives(&server, TlsPlan { ca_file: Some(file("ca.pem")), ..TlsPlan::default() }).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logstore_behind_tls_is_reached_if_its_authority_is_trusted() {
    let acceptor = TlsAcceptor::new(&[&file("server.pem"), &file("ca.pem")], &file("server.key"), None);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _server = Server::on(listener, Some(acceptor), |request| {
        let cursor = request.path.contains("type=cursor");
        let body = if cursor { r#"{"cursor":"MQ=="}"# } else { r#"[{"shardID":0,"status":"readwrite"}]"# };
        Some(Act::Say(200, "", body.to_owned()))
    });
    let endpoint = format!("https://localhost:{}", address.port());
    let probe = async |tls: TlsPlan| {
        let mut reach = SlsReach::new(&*endpoint, Secret::literal("ak"), Secret::literal("hush"));
        (reach.connect, reach.own_name, reach.tls) = (Some(address.to_string()), true, tls);
        sls::probe(&SlsPlan::new(reach, "proj", "ls")).await
    };
    let trusting = |name: &str| TlsPlan { ca_file: Some(file(name)), ..TlsPlan::default() };
    assert_eq!(probe(trusting("ca.pem")).await, Ok(vec!["1 shard".to_owned()]));
    assert_eq!(probe(TlsPlan { insecure: true, ..TlsPlan::default() }).await, Ok(vec!["1 shard".to_owned()]));
    let Err(sls::Trouble::Unreachable(why)) = probe(trusting("other.pem")).await else { panic!("it is not trusted") };
    assert!(why.contains("certificate"), "{why}");
    let Err(sls::Trouble::Refused { step, reason }) = probe(trusting("none.pem")).await else { panic!("no such file") };
    assert!(step == "settings" && reason.contains("none.pem"), "{reason}");
}
