//! Against a real cluster, where `SPLASHDAM_TEST_ELASTICSEARCH` names one (`http://127.0.0.1:9200`).

use std::time::Duration;

use super::Running;
use super::door::MemoryDoor;
use crate::plan::ElasticsearchPlan;

fn endpoint() -> Option<String> {
    std::env::var("SPLASHDAM_TEST_ELASTICSEARCH").ok()
}

async fn get(url: &str) -> serde_json::Value {
    let text = reqwest_text(url).await;
    serde_json::from_str(&text).unwrap_or_default()
}

async fn reqwest_text(url: &str) -> String {
    let plan = ElasticsearchPlan::new(endpoint().unwrap(), "x");
    let client = crate::deliver::Client::new(plan);
    String::from_utf8(client.ask("GET", url, None, 1000).await.unwrap().body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_has_every_document_once() {
    let Some(url) = endpoint() else { return };
    let nonce = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let index = format!("splashdam-{nonce}");
    let door = MemoryDoor::default();
    for _ in 0..10 {
        door.owe_lines(&index, 1000);
    }
    let running = Running::start(ElasticsearchPlan::new(url, index.clone()), door);
    running.until_nothing_is_owed().await;
    println!("{:?}", running.state.status());
    println!("{:?}", running.metrics);
    get(&format!("/{index}/_refresh")).await;
    let counted = get(&format!("/{index}/_count")).await;
    assert_eq!(counted["count"], 10_000, "{counted}");
    let (_, took) = running.stop().await;
    assert!(took < Duration::from_secs(1));
}
