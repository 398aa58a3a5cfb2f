//! The verdict table carried out: dead letters, parks, halves, and what of them is told to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Running;
use super::door::MemoryDoor;
use super::server::{Act, Request, Server};
use crate::plan::ElasticsearchPlan;

const MAPPING: &str = r#"{"type":"document_parsing_exception","reason":"failed to parse field [n]"}"#;
const BLOCK: &str =
    r#"{"type":"cluster_block_exception","reason":"index [logs] blocked by: [FORBIDDEN/8/index write (api)];"}"#;

fn plan(server: &Server) -> ElasticsearchPlan {
    ElasticsearchPlan::new(server.url.clone(), "logs")
}

fn documents(count: usize, mut text: impl FnMut(usize) -> String) -> Vec<String> {
    (0..count).map(|i| format!("{{\"message\":\"{}\"}}", text(i))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_bulk_gets_exactly_one_verdict_per_document() {
    // Each document says how it is answered the first time.
    let again = Arc::new(AtomicBool::new(false));
    let server = Server::start(move |request: &Request| {
        if !request.is_bulk() {
            return None;
        }
        let second = again.swap(true, Ordering::Relaxed);
        Some(Act::Each(if second {
            |_, document| document.contains("is-400").then_some((400, MAPPING))
        } else {
            |_, document| match document {
                d if d.contains("is-400") => Some((400, MAPPING)),
                d if d.contains("is-429") => {
                    Some((429, r#"{"type":"es_rejected_execution_exception","reason":"full"}"#))
                }
                d if d.contains("is-503") => Some((503, r#"{"type":"unavailable_shards_exception","reason":"wait"}"#)),
                _ => None,
            }
        }))
    });
    let door = MemoryDoor::default();
    let kinds = ["is-201", "is-400", "is-429", "is-503"];
    for _ in 0..3 {
        door.owe("logs", &documents(20, |i| format!("{} {i}", kinds[i % 4])));
    }
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    assert_eq!(server.world.count(), 45);
    let dead = running.door.dead();
    assert_eq!(dead.len(), 15);
    assert!(dead.iter().all(|letter| letter.kind == "document_parsing_exception" && letter.status == 400));
    assert!(dead.iter().all(|letter| String::from_utf8_lossy(&letter.document).contains("is-400")));
    assert_eq!((dead[0].id.as_str(), dead[0].index.as_str()), ("logs.1.1", "logs"));
    assert_eq!(dead[0].action, br#"{"create":{"_id":"logs.1.1"}}"#);
    // Counted when they are known to be durable, which is later than when they are not owed any more.
    running.until("dead letters are counted", |running| running.metrics.dead_letters.get() == 15).await;
    assert_eq!(running.metrics.acknowledged_records.get(), 45);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_index_is_parked_others_flow_and_it_comes_back() {
    let blocked = Arc::new(AtomicBool::new(true));
    let told = blocked.clone();
    let server = Server::start(move |request: &Request| {
        (request.is_bulk() && request.index() == "bad" && told.load(Ordering::Relaxed))
            .then_some(Act::Each(|_, _| Some((429, BLOCK))))
    });
    let door = MemoryDoor::default();
    for _ in 0..3 {
        door.owe_lines("bad", 10);
        door.owe_lines("good", 10);
    }
    let running = Running::start(plan(&server), door);
    running.until("bad parked", |running| !running.state.status().parked_lanes.is_empty()).await;
    running.until("good done", |running| running.door.owed() == 30).await;
    for _ in 0..20 {
        running.door.owe_lines("good", 10);
        running.until("good done", |running| running.door.owed() == 30).await;
    }
    let status = running.state.status();
    assert_eq!(&*status.parked_lanes[0].0, "bad");
    assert_eq!(status.parked_lanes[0].1.kind, "cluster_block_exception");
    assert_eq!(running.metrics.parked_lanes.get(), 1);
    blocked.store(false, Ordering::Relaxed);
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    assert_eq!((server.world.count(), running.door.dead().len()), (260, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_of_several_sinks_are_summed() {
    let server = Server::start(|request: &Request| request.is_bulk().then_some(Act::Each(|_, _| Some((429, BLOCK)))));
    let doors: [MemoryDoor; 2] = Default::default();
    for door in &doors {
        door.owe_lines("bad", 10);
    }
    let folder = tempfile::tempdir().unwrap();
    let [door, other] = doors;
    let one = Running::in_folder(plan(&server), door, folder.path());
    let other = Running::counting(plan(&server), other, folder.path(), one.metrics.clone());
    one.until("both are counted", |running| running.metrics.parked_lanes.get() == 2).await;
    let metrics = one.metrics.clone();
    other.stop().await;
    assert_eq!(metrics.parked_lanes.get(), 1);
    one.stop().await;
    assert_eq!((metrics.parked_lanes.get(), metrics.in_flight.get()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn park_for_makes_dead_letters_of_what_waited_long_enough() {
    let server = Server::start(|request: &Request| request.is_bulk().then_some(Act::Each(|_, _| Some((429, BLOCK)))));
    let door = MemoryDoor::default();
    for _ in 0..3 {
        door.owe_lines("bad", 10);
    }
    let mut plan = plan(&server);
    plan.park_for = Some(Duration::from_millis(50));
    let running = Running::start(plan, door);
    running.until_nothing_is_owed().await;
    let dead = running.door.dead();
    assert_eq!(dead.len(), 30);
    assert!(dead.iter().all(|letter| letter.kind == "cluster_block_exception"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_systemic_mistake_parks_the_lane_instead_of_filling_the_dead_letters() {
    let broken = Arc::new(AtomicBool::new(true));
    let told = broken.clone();
    let server = Server::start(move |request: &Request| {
        (request.is_bulk() && told.load(Ordering::Relaxed)).then_some(Act::Each(|_, _| Some((400, MAPPING))))
    });
    let door = MemoryDoor::default();
    for _ in 0..20 {
        door.owe_lines("logs", 100);
    }
    let running = Running::start(plan(&server), door);
    running.until("parked", |running| !running.state.status().parked_lanes.is_empty()).await;
    assert_eq!((running.door.owed(), running.door.dead().len()), (2000, 0));
    assert!(running.state.status().parked_lanes[0].1.reason.contains("mistake in a template"));
    broken.store(false, Ordering::Relaxed);
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    assert_eq!((server.world.count(), running.door.dead().len()), (2000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_too_large_is_halved_and_the_limit_is_kept() {
    let server = Server::start(|request: &Request| {
        (request.is_bulk() && request.body.len() > 100_000).then(|| Act::Say(413, "", String::new()))
    });
    let door = MemoryDoor::default();
    let sizes = |i: usize| if i == 17 { "x".repeat(150_000) } else { "y".repeat(1000) };
    door.owe("logs", &documents(64, sizes));
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    let dead = running.door.dead();
    assert_eq!(
        dead.iter().map(|letter| (letter.id.as_str(), letter.kind.as_str())).collect::<Vec<_>>(),
        [("logs.1.17", "too_large")]
    );
    assert_eq!(server.world.count(), 63);
    let refused =
        server.world.requests.lock().unwrap().iter().filter(|r| r.is_bulk() && r.body.len() > 100_000).count();
    assert!(refused <= 7, "{refused} requests for a document among 64"); // log2(64) + the document itself
    // What was learned holds for what comes.
    let learned = running.state.status().max_raw_bytes.unwrap();
    let before = server.world.bulks();
    for _ in 0..40 {
        running.door.owe_lines("logs", 200);
    }
    running.until_nothing_is_owed().await;
    let requests = server.world.requests.lock().unwrap();
    let later: Vec<usize> = requests.iter().filter(|r| r.is_bulk()).skip(before).map(|r| r.body.len()).collect();
    assert!(later.iter().all(|len| *len as u64 <= learned), "{learned}: {later:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_document_that_spoils_the_request_is_found() {
    let server = Server::start(|request: &Request| {
        let spoiled = request.items.iter().any(|(_, document)| document.contains("spoil"));
        spoiled.then(|| {
            Act::Say(400, "", r#"{"error":{"type":"parse_exception","reason":"bad"},"status":400}"#.to_owned())
        })
    });
    let door = MemoryDoor::default();
    door.owe("logs", &documents(50, |i| if i == 31 { "spoil".to_owned() } else { i.to_string() }));
    door.owe_lines("logs", 50);
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    let dead = running.door.dead();
    assert_eq!(
        dead.iter().map(|l| (l.id.as_str(), l.kind.as_str())).collect::<Vec<_>>(),
        [("logs.1.31", "parse_exception")]
    );
    assert_eq!(server.world.count(), 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_refuses_every_document_alone_is_parked_and_nothing_is_dropped() {
    let broken = Arc::new(AtomicBool::new(true));
    let told = broken.clone();
    let server = Server::start(move |request: &Request| {
        (request.is_bulk() && told.load(Ordering::Relaxed)).then(|| Act::Say(400, "", "<html>no</html>".to_owned()))
    });
    let door = MemoryDoor::default();
    door.owe_lines("logs", 100);
    let running = Running::start(plan(&server), door);
    running.until("parked", |running| running.state.status().parked.is_some()).await;
    assert_eq!((running.door.owed(), running.door.dead().len()), (100, 0));
    broken.store(false, Ordering::Relaxed);
    running.until_nothing_is_owed().await;
    assert_eq!((server.world.count(), running.door.dead().len()), (100, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_always_fails_while_others_pass_is_halved_to_its_cause() {
    let server = Server::start(|request: &Request| {
        let spoiled = request.items.iter().any(|(_, document)| document.contains("spoil"));
        spoiled.then(|| Act::Say(500, "", "null pointer".to_owned()))
    });
    let door = MemoryDoor::default();
    door.owe("logs", &documents(2, |i| if i == 1 { "spoil".to_owned() } else { i.to_string() }));
    let mut plan = plan(&server);
    plan.bulk.max_bytes = 1;
    for _ in 0..10 {
        door.owe_lines("logs", 10);
    }
    let running = Running::start(plan, door);
    running
        .until("all but one", |running| {
            running.state.retry_now();
            running.door.owe_lines("logs", 1);
            running.door.dead().len() == 1
        })
        .await;
    assert_eq!(running.door.dead()[0].id, "logs.1.1");
    running.until_nothing_is_owed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_taken_at_the_first_send_is_compared() {
    let server = Server::start(|_| None);
    let door = MemoryDoor::default();
    door.owe_lines("logs", 4);
    let taken =
        |n: usize, text: &str| (("logs".to_owned(), format!("logs.1.{n}")), format!("{{\"message\":\"{text}\"}}"));
    server.world.documents.lock().unwrap().extend([taken(1, "line 1"), taken(2, "something else")]);
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    let dead = running.door.dead();
    assert_eq!(
        dead.iter().map(|l| (l.id.as_str(), l.kind.as_str())).collect::<Vec<_>>(),
        [("logs.1.2", "id_collision")]
    );
    assert_eq!(running.metrics.duplicate_records.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_process_may_have_sent_is_not_compared() {
    let server = Server::start(|_| None);
    let door = MemoryDoor::default();
    door.owe_lines("logs", 4);
    door.mark_sent();
    server.world.documents.lock().unwrap().insert(("logs".to_owned(), "logs.1.1".to_owned()), "{}".to_owned());
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    assert_eq!((running.door.dead().len(), running.metrics.duplicate_records.get()), (0, 1));
    assert!(server.world.requests.lock().unwrap().iter().all(|request| !request.path.contains("_mget")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_across_a_rollover_sends_only_what_is_missing() {
    // `logs` is an alias: two documents reached the older index before the rollover.
    let server = Server::start(|request: &Request| {
        let behind = r#"{"logs-1":{"settings":{"index":{"creation_date":"1"}}},"logs-2":{"settings":{"index":{"creation_date":"2"}}}}"#;
        request.path.starts_with("/logs/_settings").then(|| Act::Say(200, "", behind.to_owned()))
    });
    let arrived = |n: usize| (("logs-1".to_owned(), format!("logs.1.{n}")), "{}".to_owned());
    server.world.documents.lock().unwrap().extend([arrived(0), arrived(3)]);
    let door = MemoryDoor::default();
    door.owe_lines("logs", 5);
    door.mark_sent();
    door.owe_lines("logs", 5);
    door.mark_sent();
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    assert_eq!(server.world.count(), 10, "two in the old index, eight in the new one");
    assert_eq!(running.metrics.acknowledged_records.get(), 10);
    assert_eq!(running.metrics.duplicate_records.get(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_behind_the_address_parks_what_is_owed() {
    let other = Arc::new(AtomicBool::new(false));
    let told = other.clone();
    let server = Server::start(move |request: &Request| {
        let text = r#"{"cluster_uuid":"OTHER","version":{"number":"8.0.0"}}"#;
        (request.path == "/" && told.load(Ordering::Relaxed)).then(|| Act::Say(200, "", text.to_owned()))
    });
    let folder = tempfile::tempdir().unwrap();
    let door = MemoryDoor::default();
    door.owe_lines("logs", 5);
    let running = Running::in_folder(plan(&server), door.clone(), folder.path());
    running.until_nothing_is_owed().await;
    running.stop().await;
    other.store(true, Ordering::Relaxed);
    door.owe_lines("logs", 5);
    let running = Running::in_folder(plan(&server), door, folder.path());
    running.until("parked", |running| running.state.status().parked.is_some()).await;
    let parked = running.state.status().parked.unwrap();
    assert!(parked.reason.contains("cluster U") && parked.reason.contains("OTHER"), "{parked:?}");
    assert_eq!((running.door.owed(), server.world.count()), (5, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_job_wants_put_up_is_there_first_and_again_after_a_404() {
    let gone = Arc::new(AtomicBool::new(true));
    let told = gone.clone();
    let server = Server::start(move |request: &Request| {
        fn absent(_: &str, _: &str) -> Option<(u16, &'static str)> {
            Some((404, r#"{"type":"index_not_found_exception","reason":"no such index"}"#))
        }
        (request.is_bulk() && told.swap(false, Ordering::Relaxed)).then_some(Act::Each(absent))
    });
    let mut plan = plan(&server);
    plan.bootstrap.template = Some(("t".to_owned(), r#"{"index_patterns":["logs*"],"template":{}}"#.to_owned()));
    plan.bootstrap.lifecycle = Some(("l".to_owned(), r#"{"policy":{}}"#.to_owned()));
    let door = MemoryDoor::default();
    door.owe_lines("logs", 5);
    let running = Running::start(plan, door);
    running.until("parked", |running| !running.state.status().parked_lanes.is_empty()).await;
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    let requests = server.world.requests.lock().unwrap();
    let told: Vec<&str> = requests
        .iter()
        .filter(|r| r.method == "PUT" || r.is_bulk())
        .map(|r| r.path.split('?').next().unwrap())
        .collect();
    let put = ["/_ilm/policy/l", "/_index_template/t"];
    assert_eq!(told, [put[0], put[1], "/logs/_bulk", put[0], put[1], "/logs/_bulk"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_that_the_store_has_no_room_for_stay_owed_and_the_lane_parks() {
    let server = Server::start(|request: &Request| {
        request.is_bulk().then_some(Act::Each(|_, document| document.contains("bad").then_some((400, MAPPING))))
    });
    let door = MemoryDoor::default();
    door.refuse_dead_letters(true);
    door.owe("logs", &documents(10, |i| if i == 4 { "bad".to_owned() } else { i.to_string() }));
    let running = Running::start(plan(&server), door);
    running.until("parked", |running| !running.state.status().parked_lanes.is_empty()).await;
    assert_eq!((running.door.owed(), running.metrics.dead_letters.get()), (10, 0));
    running.door.refuse_dead_letters(false);
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    running.until("unparked", |running| running.state.status().parked_lanes.is_empty()).await;
    assert_eq!((running.door.dead().len(), server.world.count(), running.metrics.dead_letters.get()), (1, 9, 1));
}
