//! Against a real cluster, where `SPLASHDAM_TEST_ELASTICSEARCH` names one (`http://127.0.0.1:9200`; for HTTPS
//! with a password, `SPLASHDAM_TEST_PASSWORD` and `SPLASHDAM_TEST_CA`). Without it these tests say nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::Running;
use super::door::MemoryDoor;
use crate::deliver::Client;
use crate::plan::{Auth, ElasticsearchPlan, Secret};

fn plan(index: &str) -> Option<ElasticsearchPlan> {
    let mut plan = ElasticsearchPlan::new(std::env::var("SPLASHDAM_TEST_ELASTICSEARCH").ok()?, index);
    if let Ok(password) = std::env::var("SPLASHDAM_TEST_PASSWORD") {
        plan.auth = Auth::Basic { user: "elastic".to_owned(), password: Secret::literal(password) };
    }
    plan.tls.ca_file = std::env::var("SPLASHDAM_TEST_CA").ok().map(Into::into);
    Some(plan)
}

/// A cluster to ask, and a name that nobody has used.
struct Cluster {
    client: Client,
    name: String,
    major: u32,
    old: bool,
}

impl Cluster {
    async fn connect() -> Option<Cluster> {
        let client = Client::new(plan("x")?);
        let nonce = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let identity = client.identity().await.unwrap();
        let major = identity.number().unwrap().0;
        Some(Cluster { client, name: format!("splashdam-{nonce}"), major, old: identity.wants_type() })
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then(|| body.to_string().into_bytes());
        let reply = self.client.ask(method, path, body, 1000).await.unwrap();
        let answer = serde_json::from_slice(&reply.body).unwrap_or_default();
        assert!(reply.is_success(), "{method} {path}: {} {answer}", reply.status);
        answer
    }

    async fn count(&self, index: &str) -> Value {
        self.ask("POST", &format!("/{index}/_refresh"), Value::Null).await;
        self.ask("GET", &format!("/{index}/_count"), Value::Null).await["count"].clone()
    }

    /// An index whose field `n` is a number.
    async fn make(&self, index: &str) {
        let properties = json!({"properties": {"n": {"type": "long"}}});
        let mappings = if self.old { json!({"_doc": properties}) } else { properties };
        self.ask("PUT", &format!("/{index}"), json!({"mappings": mappings, "settings": {"number_of_replicas": 0}}))
            .await;
    }

    async fn set(&self, index: &str, settings: Value) {
        self.ask("PUT", &format!("/{index}/_settings"), settings).await;
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|i| json!({"n": i}).to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_has_every_document_once() {
    let Some(cluster) = Cluster::connect().await else { return };
    let index = cluster.name.clone();
    let door = MemoryDoor::default();
    for _ in 0..10 {
        door.owe_lines(&index, 1000);
    }
    let running = Running::start(plan(&index).unwrap(), door);
    running.until_nothing_is_owed().await;
    println!("{:?}", running.state.status());
    assert_eq!(cluster.count(&index).await, 10_000);
    assert_eq!(running.metrics.requests.get(), 1);
    let (_, took) = running.stop().await;
    assert!(took < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_tells_documents_from_indices() {
    let Some(cluster) = Cluster::connect().await else { return };
    let (good, closed, blocked) =
        (cluster.name.clone(), format!("{}-closed", cluster.name), format!("{}-blocked", cluster.name));
    for index in [&good, &closed, &blocked] {
        cluster.make(index).await;
    }
    cluster.ask("POST", &format!("/{closed}/_close"), Value::Null).await;
    cluster.set(&blocked, json!({"index.blocks.write": true})).await;
    let door = MemoryDoor::default();
    let mut mixed = numbers(20);
    mixed[3] = json!({"n": "not a number"}).to_string();
    mixed[7] = json!({"n": 1, "k": "x".repeat(40_000)}).to_string(); // an immense term, or just ignored
    door.owe(&good, &mixed);
    door.owe(&closed, &numbers(5));
    door.owe(&blocked, &numbers(5));
    let running = Running::start(plan(&good).unwrap(), door);
    running.until("two lanes parked", |running| running.state.status().parked_lanes.len() == 2).await;
    running.until("the good one done", |running| running.door.owed() == 10).await;
    let dead = running.door.dead();
    println!(
        "{:?}\n{:?}",
        running.state.status().parked_lanes,
        dead.iter().map(|l| (&l.kind, &l.reason)).collect::<Vec<_>>()
    );
    assert_eq!(dead.iter().filter(|letter| letter.id.ends_with(".3")).count(), 1);
    cluster.ask("POST", &format!("/{closed}/_open"), Value::Null).await;
    cluster.set(&blocked, json!({"index.blocks.write": false})).await;
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    assert_eq!((cluster.count(&closed).await, cluster.count(&blocked).await), (json!(5), json!(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_clusters_pipeline_and_shard_limit_park_the_lane() {
    let Some(cluster) = Cluster::connect().await else { return };
    let door = MemoryDoor::default();
    door.owe(&cluster.name, &numbers(3));
    let mut with_pipeline = plan(&cluster.name).unwrap();
    with_pipeline.pipeline = Some("no-such-pipeline".to_owned());
    let running = Running::start(with_pipeline, door);
    running.until("parked", |running| running.state.status().parked_lanes.len() == 1).await;
    println!("{:?}", running.state.status().parked_lanes);
    running.stop().await;
    if cluster.major < 7 {
        return; // 6.8 only warns
    }
    cluster.ask("PUT", "/_cluster/settings", json!({"transient": {"cluster.max_shards_per_node": 1}})).await;
    let door = MemoryDoor::default();
    door.owe(&format!("{}-over", cluster.name), &numbers(3));
    let running = Running::start(plan("x").unwrap(), door);
    running.until("parked", |running| running.state.status().parked_lanes.len() == 1).await;
    println!("{:?}", running.state.status().parked_lanes);
    cluster.ask("PUT", "/_cluster/settings", json!({"transient": {"cluster.max_shards_per_node": null}})).await;
    running.state.retry_now();
    running.until_nothing_is_owed().await;
    assert_eq!(running.door.dead(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_finds_what_arrived_before_a_rollover() {
    let Some(cluster) = Cluster::connect().await else { return };
    let alias = cluster.name.clone();
    let (old, new) = (format!("{alias}-000001"), format!("{alias}-000002"));
    cluster.make(&old).await;
    let point = |index: &str, write: bool| json!({"add": {"index": index, "alias": alias, "is_write_index": write}});
    cluster.ask("POST", "/_aliases", json!({"actions": [point(&old, true)]})).await;
    let door = MemoryDoor::default();
    door.owe(&alias, &numbers(10));
    let running = Running::start(plan(&alias).unwrap(), door);
    running.until_nothing_is_owed().await;
    running.stop().await;
    // The answer was lost, and the alias rolled over.
    cluster.make(&new).await;
    cluster.ask("POST", "/_aliases", json!({"actions": [point(&old, false), point(&new, true)]})).await;
    let door = MemoryDoor::default();
    door.owe(&alias, &numbers(12)); // the same ids, and two more
    door.mark_sent();
    let running = Running::start(plan(&alias).unwrap(), door);
    running.until_nothing_is_owed().await;
    assert_eq!((cluster.count(&old).await, cluster.count(&new).await), (json!(10), json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_makes_a_data_stream_and_compares_taken_ids() {
    let Some(cluster) = Cluster::connect().await else { return };
    let mut plan = plan(&cluster.name).unwrap();
    let documents = |n: usize| -> Vec<String> {
        (0..n)
            .map(|i| json!({"@timestamp": "2026-01-01T00:00:00.000Z", "message": format!("m{i}")}).to_string())
            .collect()
    };
    // The test build of 7 has none.
    if !cluster.old && cluster.major != 7 {
        let template = json!({"index_patterns": [cluster.name], "data_stream": {}, "priority": 500});
        plan.bootstrap.template = Some((cluster.name.clone(), template.to_string()));
        plan.bootstrap.data_stream = true;
    }
    let door = MemoryDoor::default();
    door.owe(&cluster.name, &documents(5));
    let running = Running::start(plan.clone(), door);
    running.until_nothing_is_owed().await;
    running.stop().await;
    let door = MemoryDoor::default();
    let mut again = documents(6);
    again[2] = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "message": "another"}).to_string();
    door.owe(&cluster.name, &again);
    let running = Running::start(plan, door);
    running.until_nothing_is_owed().await;
    let dead = running.door.dead();
    assert_eq!(dead.iter().map(|l| l.kind.as_str()).collect::<Vec<_>>(), ["id_collision"]);
    assert_eq!((running.metrics.duplicate_records.get(), running.metrics.acknowledged_records.get()), (4, 5));
    assert_eq!(cluster.count(&cluster.name).await, 6);
}
