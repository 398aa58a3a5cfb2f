//! What a network and a cluster can do to a request: nothing is lost, nothing is doubled, nothing hangs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Running;
use super::door::MemoryDoor;
use super::server::{Act, Request, Server};
use crate::plan::{Auth, ElasticsearchPlan, Secret, SecretSource};
use crate::record::gzip;

fn plan(server: &Server) -> ElasticsearchPlan {
    let mut plan = ElasticsearchPlan::new(server.url.clone(), "logs");
    plan.bulk.timeout = Duration::from_millis(1500);
    plan
}

fn lines(members: usize, each: usize) -> MemoryDoor {
    let door = MemoryDoor::default();
    for _ in 0..members {
        door.owe_lines("logs", each);
    }
    door
}

/// Calls `act` on the first `n` bulk requests.
fn first(n: usize, mut act: impl FnMut() -> Act + Send + 'static) -> impl FnMut(&Request) -> Option<Act> + Send {
    let mut seen = 0;
    move |request| {
        seen += usize::from(request.is_bulk());
        (request.is_bulk() && seen <= n).then(&mut act)
    }
}

async fn all_arrive(server: &Server, door: MemoryDoor, plan: ElasticsearchPlan, documents: usize) -> Running {
    let running = Running::start(plan, door);
    running.until_nothing_is_owed().await;
    assert_eq!(server.world.count(), documents);
    assert_eq!(running.door.dead(), []);
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_joined_and_sent_as_stored_with_a_length() {
    let server = Server::start(|_| None);
    let running = all_arrive(&server, lines(5, 100), plan(&server), 500).await;
    let requests = server.world.requests.lock().unwrap().clone();
    let bulk: Vec<_> = requests.iter().filter(|request| request.is_bulk()).collect();
    assert_eq!(bulk.len(), 1);
    assert_eq!(bulk[0].path, "/logs/_bulk?filter_path=errors,items.*.status,items.*.error");
    assert_eq!(bulk[0].headers["content-type"], "application/x-ndjson");
    assert_eq!(bulk[0].headers["content-encoding"], "gzip");
    assert_eq!(bulk[0].headers["content-length"], bulk[0].wire.to_string());
    let status = running.state.status();
    assert_eq!((status.cluster.as_str(), status.cluster_uuid.as_str()), ("elasticsearch 8.19.21", "U"));
    assert_eq!((running.metrics.acknowledged_records.get(), running.metrics.requests.get()), (500, 1));
    let (_, took) = running.stop().await;
    assert!(took < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_before_within_and_after_the_answer_double_nothing() {
    let turn = AtomicUsize::new(0);
    let cut = move || match turn.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Act::Cut,
        1 => Act::TakeAndCut,
        _ => Act::TakeAndCutInside,
    };
    let server = Server::start(first(3, cut));
    let running = all_arrive(&server, lines(3, 50), plan(&server), 150).await;
    assert_eq!(running.metrics.acknowledged_records.get(), 150);
    assert_eq!(running.metrics.duplicate_records.get(), 150);
    assert_eq!(running.metrics.retries.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_say_nothing_are_no_success() {
    let html = || Act::Say(200, "content-type: text/html\r\n", "<html>all is well</html>".to_owned());
    let short = || Act::TakeAnd(|_| ("", br#"{"errors":false,"items":[{"create":{"status":201}}]}"#.to_vec()));
    let redirect = || Act::Say(302, "location: /elsewhere\r\n", String::new());
    let bad_gateway = || Act::Say(502, "", "bad gateway".to_owned());
    for act in [html as fn() -> Act, short, redirect, bad_gateway] {
        let server = Server::start(first(2, act));
        let running = all_arrive(&server, lines(1, 20), plan(&server), 20).await;
        assert_eq!(running.metrics.retries.get(), 2, "{:?}", running.state.status());
        assert!(server.world.requests.lock().unwrap().iter().all(|request| !request.path.contains("elsewhere")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_answer_is_read() {
    let zip = || Act::TakeAnd(|answer| ("content-encoding: gzip\r\n", gzip::compress(&answer, 1).unwrap()));
    let server = Server::start(first(9, zip));
    let running = all_arrive(&server, lines(1, 20), plan(&server), 20).await;
    assert_eq!(running.metrics.retries.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_drips_ends_with_the_timeout() {
    let server = Server::start(first(1, || Act::Drip));
    let begun = Instant::now();
    all_arrive(&server, lines(1, 20), plan(&server), 20).await;
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_obeyed() {
    let server = Server::start(first(1, || Act::Say(429, "retry-after: 1\r\n", String::new())));
    let begun = Instant::now();
    let running = all_arrive(&server, lines(1, 20), plan(&server), 20).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(running.metrics.rejected_429.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_quick_whatever_the_cluster_does_and_gives_everything_back() {
    let server = Server::start(first(99, || Act::Drip));
    let running = Running::start(plan(&server), lines(3, 10));
    running.until("a request", |_| server.world.bulks() > 0).await;
    let (door, took) = running.stop().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((door.owed(), door.out()), (30, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_cluster_is_waited_for_and_drains_by_itself() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut plan = ElasticsearchPlan::new(format!("http://{address}"), "logs");
    plan.bulk.timeout = Duration::from_secs(2);
    let running = Running::start(plan, lines(3, 10));
    running.until("an error", |running| running.state.status().last_error.is_some()).await;
    let server = Server::on(std::net::TcpListener::bind(address).unwrap(), None, |_| None);
    running.until_nothing_is_owed().await;
    assert_eq!(server.world.count(), 30);
    assert_eq!(running.metrics.duplicate_records.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rotated_on_disk_is_picked_up_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "old:SECRET-1\n").unwrap();
    let server = Server::start(|request| {
        let right = request.headers.get("authorization").is_some_and(|value| value == "ApiKey bmV3OlNFQ1JFVC0y");
        (!right).then(|| {
            Act::Say(401, "", r#"{"error":{"type":"security_exception","reason":"unable to authenticate"}}"#.to_owned())
        })
    });
    let mut plan = plan(&server);
    plan.auth = Auth::ApiKey(Secret { from: SecretSource::File(file.clone()) });
    let running = Running::start(plan, lines(2, 10));
    running.until("parked", |running| running.state.status().parked.is_some()).await;
    let status = format!("{:?}", running.state.status());
    assert!(status.contains("unable to authenticate") && !status.contains("SECRET"), "{status}");
    assert_eq!((running.door.owed(), running.door.dead().len()), (20, 0));
    std::fs::write(&file, "new:SECRET-2\n").unwrap();
    running.until_nothing_is_owed().await;
    assert_eq!(server.world.count(), 20);
    running.until("unparked", |running| running.state.status().parked.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_members_are_left_out_and_the_others_go() {
    let server = Server::start(|_| None);
    let door = lines(3, 10);
    door.damage(2);
    all_arrive(&server, door, plan(&server), 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_used_with_its_password() {
    let server = Server::start(|request: &Request| {
        let right = request.headers.get("proxy-authorization").is_some_and(|value| value == "Basic dTpw");
        (!request.proxied || !right).then(|| Act::Say(407, "", String::new()))
    });
    let mut plan = ElasticsearchPlan::new("http://elasticsearch.invalid:9200", "logs");
    plan.proxy = Some(Secret::literal(server.url.replace("http://", "http://u:p@")));
    all_arrive(&server, lines(2, 10), plan, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_host_among_several_costs_a_moment() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(|_| None);
    let mut plan = plan(&server);
    plan.endpoints.insert(0, format!("http://{dead}"));
    let begun = Instant::now();
    all_arrive(&server, lines(20, 10), plan, 200).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_has_no_attempt_limit() {
    let mut n = 0_u32;
    let server = Server::start(move |request: &Request| {
        n += 1;
        if request.is_bulk() && n % 20 == 3 {
            return Some(Act::Say(429, "retry-after: 1\r\n", String::new()));
        }
        // Three of ten documents, others each time.
        fn some(id: &str, _: &str) -> Option<(u16, &'static str)> {
            static TURN: AtomicUsize = AtomicUsize::new(0);
            let turn = TURN.fetch_add(1, Ordering::Relaxed) + id.len();
            (turn % 10 < 3).then_some((429, r#"{"type":"es_rejected_execution_exception","reason":"queue"}"#))
        }
        request.is_bulk().then_some(Act::Each(some))
    });
    let running = all_arrive(&server, lines(20, 100), plan(&server), 2000).await;
    assert!(running.metrics.rejected_429.get() > 300);
    assert_eq!(running.metrics.acknowledged_records.get(), 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_hangs_does_not_slow_the_others() {
    let server =
        Server::start(|request: &Request| (request.is_bulk() && request.index() == "hangs").then_some(Act::Drip));
    let door = MemoryDoor::default();
    for _ in 0..8 {
        door.owe_lines("hangs", 10);
    }
    let mut plan = plan(&server);
    plan.bulk.timeout = Duration::from_secs(60);
    let running = Running::start(plan, door);
    running.until("it hangs", |_| server.world.bulks() > 0).await;
    let begun = Instant::now();
    for _ in 0..5 {
        for lane in 0..19 {
            running.door.owe_lines(&format!("good-{lane}"), 10);
        }
        running.until("the others done", |running| running.door.owed() == 80).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(server.world.count(), 950);
    let (_, took) = running.stop().await;
    assert!(took < Duration::from_secs(1));
}

// On the thread of the test alone: what delivery does itself runs on it, and on no other.
#[tokio::test]
async fn no_file_is_read_on_an_async_thread_and_one_that_fails_is_tried_again() {
    let server = Server::start(|_| None);
    let door = lines(3, 50);
    door.keep_in_files(1);
    let running = Running::start(plan(&server), door);
    running.until("parked", |running| running.state.status().parked_lanes.len() == 1).await;
    let reason = running.state.status().parked_lanes[0].1.reason.clone();
    assert!(reason.contains("00000001.seg: not now"), "{reason}");
    running.until_nothing_is_owed().await;
    assert_eq!((server.world.count(), running.door.dead()), (150, Vec::new()));
    running.until("not parked", |running| running.state.status().parked_lanes.is_empty()).await;
}
