//! Documents that have only their order: nothing newer goes before something older, whatever happens to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Running;
use super::door::MemoryDoor;
use super::server::{Act, Request, Server};
use crate::plan::ElasticsearchPlan;

fn plan(server: &Server) -> ElasticsearchPlan {
    let mut plan = ElasticsearchPlan::new(server.url.clone(), "logs");
    plan.bulk.timeout = Duration::from_millis(1500);
    (plan.bulk.ordered, plan.bulk.max_in_flight, plan.bulk.max_bytes) = (true, 1, 400); // one member a request
    plan
}

/// The ids of each bulk request, in the order in which they came.
fn sent(server: &Server) -> Vec<Vec<String>> {
    let requests = server.world.requests.lock().unwrap();
    let bulk = requests.iter().filter(|request| request.is_bulk());
    bulk.map(|request| request.items.iter().map(|(id, _)| id.clone()).collect()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_failed_goes_out_before_anything_newer() {
    let busy = || Act::Say(503, "", "{\"error\":{\"type\":\"busy\",\"reason\":\"later\"},\"status\":503}".to_owned());
    let mut seen = 0;
    let server = Server::start(move |request: &Request| {
        seen += usize::from(request.is_bulk());
        (request.is_bulk() && [1, 2, 4].contains(&seen)).then(busy)
    });
    let door = MemoryDoor::default();
    for _ in 0..6 {
        door.owe_lines("logs", 5);
    }
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    let first: Vec<String> = sent(&server).into_iter().map(|ids| ids[0].clone()).collect();
    let expected = [1, 1, 1, 2, 2, 3, 4, 5, 6].map(|seq| format!("logs.{seq}.0"));
    assert_eq!(first, expected);
}

static REFUSED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// `logs.1.0` and `logs.1.3` are dead letters, `logs.1.1` is wanted only when asked the fifth time.
fn verdict<const TEST: usize>(id: &str, _: &str) -> Option<(u16, &'static str)> {
    match id {
        "logs.1.1" if REFUSED[TEST].fetch_add(1, Ordering::Relaxed) < 4 => {
            Some((429, r#"{"type":"es_rejected_execution_exception","reason":"full"}"#))
        }
        "logs.1.0" | "logs.1.3" => {
            Some((400, r#"{"type":"document_parsing_exception","reason":"failed to parse field [n]"}"#))
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_document_to_be_sent_again_is_sent_again_behind_it_and_a_dead_one_blocks_nothing() {
    let server = Server::start(|request: &Request| request.is_bulk().then_some(Act::Each(verdict::<0>)));
    let door = MemoryDoor::default();
    for _ in 0..3 {
        door.owe_lines("logs", 5);
    }
    let running = Running::start(plan(&server), door);
    running.until_nothing_is_owed().await;
    let sent = sent(&server);
    let member: Vec<char> = sent.iter().map(|ids| ids[0].as_bytes()[5] as char).collect();
    assert_eq!(member, ['1', '1', '1', '1', '1', '2', '3'], "{sent:?}");
    assert!(sent[1..5].iter().all(|ids| *ids == ["logs.1.1", "logs.1.2", "logs.1.4"]), "{sent:?}");
    let dead: Vec<String> = running.door.dead().into_iter().map(|letter| letter.id).collect();
    assert_eq!(dead, ["logs.1.0", "logs.1.3"]);
    assert_eq!(server.world.count(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_back_to_the_store_takes_along_what_waits_behind_it() {
    let server = Server::start(|request: &Request| request.is_bulk().then_some(Act::Each(verdict::<1>)));
    let door = MemoryDoor::default();
    for _ in 0..2 {
        door.owe_lines("logs", 5);
    }
    let mut plan = plan(&server);
    plan.bulk.max_bytes = 1; // a document at a time
    let running = Running::start(plan, door);
    running.until_nothing_is_owed().await;
    let sent = sent(&server).concat();
    assert!(sent.is_sorted(), "{sent:?}");
    assert_eq!((server.world.count(), running.door.dead().len()), (8, 2));
}
