//! An Aliyun Log Service in this process, believable to the official SDKs, that can be told to fail in any way.
//!
//! It speaks the service's data plane over HTTP: signatures V1 and V4, cursors, PutLogs and PullLogs with every compression, splitting
//! and merging, consumer groups with hand-over and fenced checkpoints. It takes targets in absolute form, so that any client
//! reaches it as its HTTP proxy, with the host names of production. It keeps everything in memory, runs no queries, and
//! knows one project.

mod action; //      the calls and their permissions
mod admission; //   who may come in
mod assignment; //  which consumer shall hold which shard
mod caller; //      a small client for tests
mod clock; //       time that tests can move
mod compression; // lz4 blocks, zstd, zlib
mod events; //      what happened, for tests to judge
mod faults; //      what goes wrong
mod groups; //      consumer groups
mod log_group; //   the protobuf of logs
mod pull; //        GetCursor, GetCursorTime, PullLogs
mod put; //         PutLogs
mod refusal; //     error answers
mod request; //     a request as it came
mod routes; //      which call is answered how
mod server; //      connections
mod shards; //      data, cursors, key ranges
mod signature; //   V1 and V4
mod state; //       all that the server knows
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use action::Action;
pub use caller::{Caller, Reply};
pub use compression::Packing;
pub use events::{Event, What};
pub use faults::Fault;
pub use log_group::{Log, LogGroup};
pub use refusal::Refusal;
pub use request::Request;
pub use shards::parse_cursor;
pub use state::Options;

use crate::wait;
use put::Way;
use state::State;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Logstore {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Option<Runtime>,
}

impl Logstore {
    /// Listens as the options say.
    ///
    /// # Panics
    /// If the address can't be had within 20 s.
    pub fn start(options: Options) -> Logstore {
        let address = options.listen.parse().expect("an address such as 127.0.0.1:0");
        let state = Arc::new(Mutex::new(State::new(options)));
        let mut logstore = Logstore { address, state, server: None };
        logstore.up();
        logstore
    }

    /// Begins to listen (again, on the same port).
    pub fn up(&mut self) {
        assert!(self.server.is_none(), "it listens already");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = self.address;
        let listener = wait::until("the port is free", Duration::from_secs(20), || {
            runtime.block_on(TcpListener::bind(address)).ok()
        });
        self.address = listener.local_addr().unwrap();
        runtime.spawn(server::accept(listener, Arc::clone(&self.state)));
        self.server = Some(runtime);
    }

    /// Ends all connections at once and refuses new ones. What it knows is kept.
    pub fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_timeout(Duration::from_secs(2));
        }
    }

    /// Where it listens: an HTTP proxy for the endpoint of any region, or a domain bound to the project.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, as `http_proxy` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn options(&self) -> Options {
        self.lock().options.clone()
    }

    // Data and shards. Without a name it is the Logstore of the options.

    /// Appends a group to the next shard in turn, as a producer would but without a limit on times. Gives shard and cursor.
    pub fn add_logs(&self, group: &LogGroup) -> (u32, i64) {
        self.append(Way::Balanced, group)
    }

    /// Appends a group to this shard.
    pub fn add_logs_to(&self, shard: u32, group: &LogGroup) -> (u32, i64) {
        self.append(Way::Shard(shard), group)
    }

    fn append(&self, way: Way<'_>, group: &LogGroup) -> (u32, i64) {
        let mut state = self.lock();
        let name = state.options.logstore.clone();
        put::append(&mut state, &name, way, &group.encode(), "127.0.0.1", "").expect("the shard can be written")
    }

    /// Another Logstore of the project; one of that name is deleted first, with its data and groups.
    pub fn recreate(&self, logstore: &str, shards: u32) {
        self.lock().add_store(logstore, shards);
    }

    /// Deletes a Logstore.
    pub fn delete(&self, logstore: &str) {
        self.lock().stores.remove(logstore);
    }

    /// Splits a shard in the middle; gives the children.
    pub fn split(&self, shard: u32) -> [u32; 2] {
        let [_, left, right] =
            self.with_store(|store, now| store.shards.split(shard, None, now).expect("it can be split"));
        [left, right]
    }

    /// Merges a shard with its right neighbour; gives the child.
    pub fn merge(&self, shard: u32) -> u32 {
        self.with_store(|store, now| store.shards.merge(shard, now).expect("it can be merged"))[0]
    }

    /// The shards that there are.
    pub fn shards(&self) -> Vec<u32> {
        self.with_store(|store, _| store.shards.ids())
    }

    /// The cursor behind a shard's last group.
    pub fn end_cursor(&self, shard: u32) -> i64 {
        self.with_store(|store, _| store.shards.get(shard).expect("it is there").end_cursor())
    }

    fn with_store<T>(&self, act: impl FnOnce(&mut state::Store, i64) -> T) -> T {
        let mut state = self.lock();
        let (name, now) = (state.options.logstore.clone(), state.clock.seconds());
        act(state.store(&name).expect("the logstore is there"), now)
    }

    // Groups.

    /// Who holds which shard in a consumer group.
    pub fn owners(&self, group: &str) -> Vec<(u32, String)> {
        self.with_store(|store, _| {
            let group = store.groups.get(group);
            group.map_or(Vec::new(), |group| group.owners().iter().map(|(id, name)| (*id, name.clone())).collect())
        })
    }

    /// A shard's checkpoint as a whole number.
    pub fn checkpoint(&self, group: &str, shard: u32) -> Option<i64> {
        self.with_store(|store, _| shards::parse_cursor(store.groups.get(group)?.checkpoint(shard)?))
    }

    // Time, keys, faults.

    /// Lets time pass for data and members: they grow old, and what comes in now is that much later.
    pub fn let_pass(&self, time: Duration) {
        self.lock().clock.pass(time);
    }

    /// The server's clock is wrong by so many seconds when it judges dates and writes its own.
    pub fn set_skew(&self, seconds: i64) {
        self.lock().clock.skew(seconds);
    }

    /// Adds a key, or gives it another secret.
    pub fn add_key(&self, id: &str, secret: &str) {
        self.lock().keys.add(id, secret);
    }

    /// Adds temporary credentials that expire after `lifetime` (0: they have expired).
    pub fn add_temporary_key(&self, id: &str, secret: &str, token: &str, lifetime: Duration) {
        let mut state = self.lock();
        let expires = state.clock.millis() + i64::try_from(lifetime.as_millis()).unwrap();
        state.keys.add_temporary(id, secret, token, expires);
    }

    pub fn remove_key(&self, id: &str) {
        self.lock().keys.remove(id);
    }

    /// Takes a permission away from a key …
    pub fn deny(&self, key_id: &str, action: Action) {
        self.lock().keys.deny(key_id, action);
    }

    /// … and gives it back.
    pub fn allow(&self, key_id: &str, action: Action) {
        self.lock().keys.allow(key_id, action);
    }

    /// What shall go wrong.
    pub fn faults(&self) -> FaultScript<'_> {
        FaultScript { logstore: self }
    }

    // What happened.

    pub fn events(&self) -> Vec<Event> {
        self.lock().events.all()
    }

    /// The events so far, which are then forgotten.
    pub fn take_events(&self) -> Vec<Event> {
        self.lock().events.take()
    }

    /// What speaks against "each shard has one consumer of the group at a time": consumers that list shards of others, and pulls by
    /// keys whose consumer does not hold the shard (`consumer_of` a key's id; `None`: it is no member).
    pub fn conflicts(&self, group: &str, consumer_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
        events::conflicts(self.lock().events.iter(), group, consumer_of)
    }

    /// Requests that came in so far.
    pub fn requests(&self) -> u64 {
        self.lock().number
    }
}

impl Drop for Logstore {
    fn drop(&mut self) {
        self.down();
    }
}

/// The fault script of a server. Rules are asked in the order in which they were added, then the closure.
#[derive(Clone, Copy, Debug)]
pub struct FaultScript<'a> {
    logstore: &'a Logstore,
}

impl FaultScript<'_> {
    /// The next such call goes wrong.
    pub fn once(&self, action: Action, fault: Fault) {
        self.times(1, action, fault);
    }

    /// The next `count` such calls go wrong.
    pub fn times(&self, count: usize, action: Action, fault: Fault) {
        self.logstore.lock().faults.add(Some(action), None, Some(count), fault);
    }

    /// All such calls go wrong from now on.
    pub fn always(&self, action: Action, fault: Fault) {
        self.logstore.lock().faults.add(Some(action), None, None, fault);
    }

    /// The same for calls of one shard.
    pub fn on_shard(&self, count: Option<usize>, action: Action, shard: u32, fault: Fault) {
        self.logstore.lock().faults.add(Some(action), Some(shard), count, fault);
    }

    /// Every call is shown to `script`, which says what goes wrong with it.
    pub fn script(&self, script: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.logstore.lock().faults.set_script(Box::new(script));
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.logstore.lock().faults.clear();
    }

    /// How many calls have gone wrong.
    pub fn spoilt(&self) -> usize {
        self.logstore.lock().faults.spoilt
    }
}
