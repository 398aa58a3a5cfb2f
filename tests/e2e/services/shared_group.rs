//! The official Python consumer library and our agent share one consumer group: every log is processed, by one side at a
//! time, while either joins and leaves, and each goes on at the other's checkpoints.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use e2e::agent::{Agent, Room};
use e2e::endpoint::Endpoint;
use e2e::logstore::{Log, LogGroup, Logstore, Options, What, parse_cursor};
use e2e::{services, wait, witness};

const GROUP: &str = "shared";
const INDEX: &str = "logs-shared";
const OURS: &str = "agent";
const THEIRS: &str = "python";
/// How long what follows from a few heartbeats may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A run of `tests/witness/share.py`, and the numbers of the logs that it has processed, repeated ones too.
struct Library {
    child: Child,
    reader: Option<JoinHandle<()>>,
    numbers: Arc<Mutex<Vec<u64>>>,
}

impl Library {
    fn start(logstore: &Logstore, numbers: &Arc<Mutex<Vec<u64>>>) -> Library {
        let key = format!("key-{THEIRS}");
        let arguments = ["tests/witness/share.py", "--group", GROUP, "--name", THEIRS, "--key", &key];
        let mut child =
            witness::python(logstore, &arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdout, into) = (child.stdout.take().unwrap(), Arc::clone(numbers));
        let reader = std::thread::spawn(move || read(stdout, &into));
        Library { child, reader: Some(reader), numbers: Arc::clone(numbers) }
    }

    fn count(&self) -> usize {
        self.numbers.lock().unwrap().len()
    }

    /// Lets it shut down in order; it must.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let status = wait::until("the consumer ends", PATIENCE, || self.child.try_wait().unwrap());
        assert!(status.success(), "{status:?}");
        self.reader.take().unwrap().join().unwrap();
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(stdout: ChildStdout, into: &Mutex<Vec<u64>>) {
    for line in BufReader::new(stdout).lines() {
        let batch: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("a line of JSON");
        let numbers = batch["n"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap());
        into.lock().unwrap().extend(numbers);
    }
}

/// The Logstore with its writer, and what either side has processed.
struct Scene {
    logstore: Logstore,
    endpoint: Endpoint,
    written: u64,
    theirs: Arc<Mutex<Vec<u64>>>,
}

impl Scene {
    fn new() -> Scene {
        let logstore = Logstore::start(Options { shards: 4, ..Options::default() });
        for consumer in [OURS, THEIRS] {
            logstore.add_key(&format!("key-{consumer}"), "test-secret");
        }
        Scene { logstore, endpoint: Endpoint::start(), written: 0, theirs: Arc::default() }
    }

    fn agent(&self, room: &Room) -> Agent {
        room.agent(&format!(
            "id = \"job\"\n[source]\ntype = \"sls\"\nendpoint = \"cn-hangzhou.log.aliyuncs.com\"\nproject = \"test-project\"\n\
             logstore = \"test-logstore\"\naccess_key_id = \"key-{OURS}\"\naccess_key_secret = \"test-secret\"\n\
             group = \"{GROUP}\"\nconsumer = \"{OURS}\"\n\
             [sink]\ntype = \"elasticsearch\"\nendpoint = \"{}\"\nindex = \"{INDEX}\"\n",
            self.endpoint.url(),
        ))
        .env("http_proxy", &self.logstore.url())
    }

    /// Writes some logs to every shard.
    fn write(&mut self) {
        for _ in 0..20 {
            let log = |n: u64| Log::new(1_790_000_000).with("n", n.to_string());
            self.logstore.add_logs(&LogGroup::of((self.written..self.written + 10).map(log)));
            self.written += 10;
        }
    }

    /// How many shards each side holds.
    fn held(&self) -> (usize, usize) {
        let owners = self.logstore.owners(GROUP);
        let of = |name: &str| owners.iter().filter(|(_, owner)| owner == name).count();
        (of(OURS), of(THEIRS))
    }

    /// Writes on until the shards are shared out so.
    fn until_held(&mut self, ours: usize, theirs: usize) {
        wait::holds(&format!("we hold {ours} and they {theirs}"), PATIENCE, || {
            self.write();
            wait::pass(Duration::from_millis(100));
            self.held() == (ours, theirs)
        });
    }

    /// How often each log was processed, by both together.
    fn processed(&self) -> BTreeMap<u64, u64> {
        let ours: Vec<u64> = self.endpoint.documents(|documents| {
            assert!(documents.collisions.is_empty(), "{:?}", documents.collisions.first());
            documents.of(INDEX).map(|(_, document)| document.json()["n"].as_str().unwrap().parse().unwrap()).collect()
        });
        let mut times = BTreeMap::new();
        for n in ours.iter().chain(&*self.theirs.lock().unwrap()) {
            *times.entry(*n).or_default() += 1;
        }
        times
    }

    /// Waits until all is processed and both sides' checkpoints say so.
    fn until_processed(&self) {
        wait::holds("all is processed", PATIENCE, || self.processed().len() as u64 == self.written);
        wait::holds("the checkpoints are at the end", PATIENCE, || {
            let told = |shard: &u32| self.logstore.checkpoint(GROUP, *shard) == Some(self.logstore.end_cursor(*shard));
            self.logstore.shards().iter().all(told)
        });
    }

    /// Whoever was given a shard read it from the checkpoint that the one before had left. How often that was.
    fn assert_begun_at_checkpoints(&self) -> usize {
        let (mut checkpoints, mut due, mut begun) = (BTreeMap::new(), BTreeMap::new(), 0);
        for event in self.logstore.events() {
            match event.what {
                What::CheckPoint { shard, checkpoint, .. } => {
                    checkpoints.insert(shard, parse_cursor(&checkpoint));
                }
                What::Granted { consumer, shard, .. } => drop(due.insert(shard, consumer)),
                What::Pulled { shard, cursor, .. } => {
                    let Some(consumer) = due.remove(&shard) else { continue };
                    assert_eq!(event.key_id, format!("key-{consumer}"));
                    if let Some(checkpoint) = checkpoints.get(&shard) {
                        assert_eq!(Some(cursor), *checkpoint, "{consumer} began with shard {shard}");
                        begun += 1;
                    }
                }
                _ => {}
            }
        }
        begun
    }

    /// Who held each shard, in turn.
    fn turns(&self) -> BTreeMap<u32, Vec<String>> {
        let mut turns: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for event in self.logstore.events() {
            if let What::Granted { consumer, shard, .. } = event.what {
                turns.entry(shard).or_default().push(consumer);
            }
        }
        turns
    }
}

#[test]
fn the_official_consumer_library_and_an_agent_share_a_group() {
    let test = "a group shared with the official consumer library";
    if !services::wanted(test) {
        return;
    }
    let (mut scene, room) = (Scene::new(), Room::new());
    if witness::run_python(&scene.logstore, &["-c", "import aliyun.log"]).is_none() {
        return;
    }
    // They are first, we join: two of their shards come to us.
    let theirs = Arc::clone(&scene.theirs);
    let library = Library::start(&scene.logstore, &theirs);
    scene.until_held(0, 4);
    scene.until_processed();
    let mut agent = scene.agent(&room);
    agent.start_ready();
    scene.until_held(2, 2);
    scene.until_processed();
    // They leave, by falling silent: all is ours.
    library.end();
    scene.until_held(4, 0);
    scene.until_processed();
    // They come back: two shards are handed over when all that we have read of them has arrived.
    let library = Library::start(&scene.logstore, &theirs);
    scene.until_held(2, 2);
    scene.until_processed();
    // We leave, saying so: all is theirs.
    let read = agent.ctl().number("read_records").unwrap();
    agent.stop();
    scene.until_held(0, 4);
    scene.until_processed();
    let before = library.count();
    assert!(read > 0 && before > 0, "both took part: {read}, {before}");

    // Nothing failed so far: each log was processed once.
    let twice: Vec<(u64, u64)> = scene.processed().into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(twice, [], "of {}", scene.written);

    // We are back, and they die: what they had not saved is processed again, nothing is left out.
    agent.start_ready();
    scene.until_held(2, 2);
    drop(library);
    scene.until_held(4, 0);
    scene.until_processed();
    agent.stop();

    let of_key = |key: &str| key.strip_prefix("key-").map(str::to_owned);
    assert_eq!(scene.logstore.conflicts(GROUP, of_key), Vec::<String>::new());
    let begun = scene.assert_begun_at_checkpoints();
    assert!(begun >= 8, "each shard went on at a checkpoint at least twice: {begun}");
    let twice = scene.processed().values().filter(|times| **times > 1).count();
    eprintln!(
        "{test}: {} logs, {twice} of them twice behind a kill; {begun} times begun at the other's checkpoint; each shard's owners in turn: {:?}",
        scene.written,
        scene.turns()
    );
}
