//! Reads a Logstore of Aliyun Log Service, alone or together with the other members of a consumer group.
//!
//! ## How it fits together
//! A task for each shard (`fetch.rs`) pulls log groups, checks them and queues them, bounded (`shared.rs`); the ingest
//! loop takes them from there by [`SlsSource::poll`], each chunk with the row that says where its shard goes on
//! (`rows.rs`). One more task, the keeper (`keeper.rs`), lists shards, sends heartbeats, takes shards, hands them over
//! and moves the group's checkpoints (`sharing.rs`), and knows where a bounded run ends (`ends.rs`). `client.rs` makes the calls, `error.rs` says what each refusal means.
//!
//! ## Positions, ids, checkpoints
//! - **Ids.** A log is (project, Logstore, shard, the shard's time of creation, cursor of its log group, index in the
//!   group), on every agent and in every reading. What its document says depends on nothing else either (no host, no
//!   time of reading). So whoever reads a log again sends the same document under the same id, and Elasticsearch
//!   takes it once.
//! - **Local position.** The row of a shard is committed in one frame with the documents before it, as for files.
//!   After a kill reading goes on there.
//! - **Acknowledged.** The store says up to which commit nothing is owed any more; the ingest loop turns that into
//!   positions. Only those become the group's checkpoint (or, by `checkpoint = "durable"`, those on the local disk),
//!   and never over the head of another owner. So everything before a checkpoint is in Elasticsearch, whoever read it.
//! - **Begin.** A shard that is taken begins at the later of the local position and the group's checkpoint: what is
//!   before the one lies in our store and will arrive, what is before the other has arrived. With neither it begins
//!   where the job does, and the group is told so at once, so that the next owner does not begin later.
//! - **Hand-over.** A shard that the group takes away is fetched no more at once; it stays in our heartbeats, so that
//!   nobody gets it, until all that was handed out of it has arrived and the checkpoint says so. Whoever is killed, or
//!   silent for too long, is expired by the group; the next owner reads again from the checkpoint, under the same ids.
//!   Who is silent knows it first: a heartbeat that was answered is a lease for the group's timeout, counted from when it
//!   was sent, and without one nothing is pulled or handed out.
//! - **A query with state** keeps what it counted here, so its shards can't move: it begins at its own position only,
//!   keeps reporting all shards, and hands nothing out while the group has given one of them to somebody else.
//!
//! Promises: every log that the service keeps long enough is handed out, in the order of its shard, exactly once for
//! each unbroken owner; what was deleted before it was read is counted; memory is bounded whatever the Logstore holds.
//! Does not decode logs.

mod body;
mod client;
mod connection;
mod cursor;
mod ends;
mod error;
mod fetch;
mod keeper;
mod lineage;
mod membership;
mod probe;
pub(in crate::source) mod rows;
mod shared;
mod sharing;
mod sign;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{Again, FilePosition, Progress, Reader, SourceError, Waker};
use crate::metrics::PipelineMetrics;
use crate::plan::SlsPlan;
use crate::record::{Chunk, Piece, Row, SourceId, Step};
use client::Client;
use fetch::Context;
pub(crate) use probe::{Trouble, probe};
use rows::{Mark, Position, Stored};
use shared::{Ready, Shared, Stage, State, raise};

/// Nobody is woken by what takes so long; then the loop looks by itself.
const LOOK: Duration = Duration::from_secs(1);
/// How long the end waits for the last words to the group.
const CLOSE_WAIT: Duration = Duration::from_millis(1500);
const CLOSE_LOOK: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct SlsSource {
    context: Arc<Context>,
    keeper: JoinHandle<()>,
    /// Whose turn it is to be read first.
    turn: u32,
}

/// What an operator sees of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardState {
    pub(crate) shard: String,
    /// `starting`, `reading`, `finished` or `giving up`.
    pub(crate) state: &'static str,
    /// How long ago the service received what is read next; 0 if there is nothing to read.
    pub(crate) lag_seconds: Option<u64>,
    /// How often it waited because a quota was used up.
    pub(crate) quota_waits: u64,
    pub(crate) problem: Option<String>,
}

/// Looks at a source that another thread reads. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SlsWatch {
    context: Arc<Context>,
}

impl SlsSource {
    /// Begins to fetch where the committed rows say, on the runtime that this is called on. Reads keys: blocking.
    pub(super) fn open(
        plan: &SlsPlan,
        rows: &[(u64, Box<[u8]>)],
        once: bool,
        reader: Reader<'_>,
        metrics: PipelineMetrics,
    ) -> Result<SlsSource, SourceError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SourceError::NoRuntime)?;
        let client = Client::new(plan).map_err(|error| SourceError::Logstore(error.to_string()))?;
        let consumer = plan.group.as_ref().and_then(|group| group.consumer.clone());
        let consumer = consumer.unwrap_or_else(|| format!("{}-{}", reader.agent, reader.job));
        let job = reader.job.to_owned();
        let context = Context { plan: plan.clone(), client, shared: Shared::new(), metrics, job, consumer, once };
        load(&context, rows)?;
        let context = Arc::new(context);
        let keeper = runtime.spawn(keeper::run(context.clone()));
        Ok(SlsSource { context, keeper, turn: 0 })
    }

    pub(super) fn poll(&mut self, budget: usize) -> Step {
        let mut step = Step::default();
        let mut state = self.context.shared.state();
        step.rows.append(&mut state.rows);
        if state.gate.is_some() || state.is_forgotten(Instant::now()) || (self.context.plan.all_shards && !state.told) {
            return step;
        }
        let mut taken = 0;
        let mut turns: Vec<u32> = state.shards.keys().copied().collect();
        let first = turns.iter().position(|shard| *shard >= self.turn).unwrap_or(0);
        turns.rotate_left(first);
        while !turns.is_empty() {
            turns.retain(|shard| {
                let room = budget.saturating_sub(taken);
                let some = hand_out(&mut state, *shard, room, &self.context, &mut step);
                taken += some.unwrap_or(0);
                some.is_some()
            });
        }
        self.turn = self.turn.wrapping_add(1);
        if state.shards.keys().all(|shard| *shard < self.turn) {
            self.turn = 0;
        }
        let queued = |ready: &Ready| ready.piece.as_ref().map_or(0, |piece| piece.data.len());
        let waiting: usize = state.shards.values().flat_map(|held| held.queue.iter().map(queued)).sum();
        self.context.metrics.lag_bytes.set(waiting as i64);
        if taken > 0 {
            self.context.metrics.read_bytes.inc_by(taken as u64);
        }
        step
    }

    pub(super) fn next_look(&self, now: Instant) -> Instant {
        now + LOOK
    }

    pub(super) fn wait(&self, until: Instant) {
        self.context.shared.waker.wait(until);
    }

    pub(super) fn waker(&self) -> Waker {
        self.context.shared.waker.clone()
    }

    pub(super) fn finished(&self) -> bool {
        self.context.bounded() && self.context.shared.state().is_finished()
    }

    pub(super) fn progress(&self) -> Progress {
        let state = self.context.shared.state();
        let average = state.bytes.checked_div(state.groups).unwrap_or(0);
        Progress { read: state.bytes, total: state.bytes + state.groups_left().saturating_mul(average) }
    }

    /// Sources of which there is something to read.
    pub(super) fn unread(&self) -> Vec<SourceId> {
        let mut state = self.context.shared.state();
        state.told |= state.ready;
        state.unread().into_iter().collect()
    }

    pub(super) fn living(&self) -> Vec<SourceId> {
        self.context.shared.state().living()
    }

    /// These rows are on the local disk; everything before them has arrived too, if `acknowledged`.
    pub(super) fn settled(&mut self, rows: &[Row], acknowledged: bool) {
        let mut state = self.context.shared.state();
        for row in rows {
            let Some(Ok(stored)) = row.value.as_deref().map(Stored::decode) else { continue };
            let source = SourceId(row.key);
            raise(&mut state.durable, source, &stored.position);
            if acknowledged {
                raise(&mut state.acknowledged, source, &stored.position);
            }
        }
        // Only a hand-over or an end waits for it; other checkpoints have their time.
        let waited = state.shards.values().any(|held| held.stage == Stage::GivingUp);
        drop(state);
        if waited {
            self.context.shared.nudge.notify_one();
        }
    }

    /// Reads on from earlier rows.
    pub(super) fn set_back(&mut self, rows: &[(u64, Box<[u8]>)]) -> Result<(), SourceError> {
        let mut state = self.context.shared.state();
        state.shards.clear();
        state.known.clear();
        state.marks.clear();
        state.durable.clear();
        state.acknowledged.clear();
        state.others_done = false;
        state.set_back = true;
        drop(state);
        load(&self.context, rows)?;
        self.context.shared.nudge.notify_one();
        Ok(())
    }

    /// Why nothing is read at present, if only an operator can help.
    pub(super) fn parked(&self) -> Option<String> {
        let state = self.context.shared.state();
        let stuck = state.problem.as_ref().filter(|(_, stuck)| *stuck).map(|(problem, _)| problem);
        let of_shard = || {
            let held = state.shards.values().find(|held| held.stuck)?;
            Some(format!("{}: {}", held.path, held.problem.as_deref().unwrap_or_default()))
        };
        state.gate.as_ref().or(stuck).cloned().or_else(of_shard)
    }

    pub(super) fn watch(&self) -> SlsWatch {
        SlsWatch { context: self.context.clone() }
    }

    /// Tells the group how far we are and leaves it. Blocking, for about a second at most.
    pub(super) fn close(&mut self) {
        self.context.shared.state().stopping = true;
        self.context.shared.nudge.notify_one();
        let deadline = Instant::now() + CLOSE_WAIT;
        while !self.keeper.is_finished() && Instant::now() < deadline {
            std::thread::sleep(CLOSE_LOOK);
        }
    }
}

impl Drop for SlsSource {
    fn drop(&mut self) {
        self.context.shared.state().stopping = true;
        self.context.shared.state().shards.clear(); // tasks end when their shard is not theirs
        self.context.shared.nudge.notify_one();
    }
}

/// Takes over committed rows; the first ones say when the job began.
fn load(context: &Context, rows: &[(u64, Box<[u8]>)]) -> Result<(), SourceError> {
    let mut state = context.shared.state();
    for (key, value) in rows.iter().filter(|(_, value)| rows::is_ours(value)) {
        let wrong = |reason| SourceError::Row { key: *key, reason };
        if *key == rows::BEGAN {
            state.began = Some(rows::decode_began(value).map_err(wrong)?);
            continue;
        }
        let stored = Stored::decode(value).map_err(wrong)?;
        if stored.mark != Mark::Read {
            state.marks.insert(SourceId(*key), stored.mark);
        }
        state.known.insert(SourceId(*key), (stored.shard, stored.position));
    }
    if state.began.is_none() {
        let now = context.client.now().0 / 1000;
        state.began = Some(now);
        state.rows.push(Row { key: rows::BEGAN, value: Some(rows::encode_began(now)) });
    }
    Ok(())
}

/// Hands out a shard's next piece (with a budget of 0 only a position): its bytes. `None`: there is none.
fn hand_out(state: &mut State, shard: u32, room: usize, context: &Context, step: &mut Step) -> Option<usize> {
    let held = state.shards.get_mut(&shard)?;
    held.queue.front().filter(|ready| room > 0 || ready.piece.is_none())?;
    let Ready { piece, behind, room: _ } = held.queue.pop_front()?;
    let (source, path) = (held.source, held.path.clone());
    held.handed = Some(behind.clone());
    state.known.insert(source, (shard, behind.clone()));
    let of = format!("{}/{}", context.plan.project, context.plan.logstore);
    let stored = Stored { mark: Mark::Read, shard, position: behind, of };
    step.rows.push(Row { key: source.0, value: Some(stored.encode()) });
    let Some(piece) = piece else { return Some(0) };
    let bytes = piece.data.len();
    state.bytes += bytes as u64;
    state.groups += piece.groups;
    step.chunks.push(Chunk { source, path, offset: piece.first, data: piece.data, piece: Piece::LogGroups });
    Some(bytes)
}

/// What committed rows say, for an operator. Rows that can't be read are left out.
pub(super) fn positions(rows: &[(u64, Box<[u8]>)]) -> Vec<FilePosition> {
    let shown = |(key, value): &(u64, Box<[u8]>)| {
        let stored = Stored::decode(value).ok().filter(|_| *key != rows::BEGAN)?;
        Some(FilePosition {
            source: SourceId(*key),
            path: format!("{}/{}", stored.of, stored.shard),
            moved_to: None,
            offset: stored.position.next,
            size: None,
            state: "elsewhere",
        })
    };
    rows.iter().filter_map(shown).collect()
}

impl SlsWatch {
    /// Rows with which the shards that are ours are read from a time of reception on (unix seconds; `None`: all that
    /// there is).
    ///
    /// # Errors
    /// What the service says.
    pub(crate) async fn again_from(&self, second: Option<i64>) -> Result<Vec<Again>, String> {
        let held: Vec<(u32, SourceId, String, u64)> = {
            let state = self.context.shared.state();
            let ours = state.shards.iter().filter(|(_, held)| held.stage != Stage::GivingUp);
            let read = |source| state.known.get(source).map_or(0, |(_, position)| position.next);
            ours.map(|(shard, held)| (*shard, held.source, held.path.to_string(), read(&held.source))).collect()
        };
        let from = second.map_or_else(|| "begin".to_owned(), |second| second.to_string());
        let of = format!("{}/{}", self.context.plan.project, self.context.plan.logstore);
        let mut again = Vec::new();
        for (shard, source, path, read) in held {
            let cursor = self.context.client.cursor(shard, &from).await.map_err(|error| format!("{path}: {error}"))?;
            let to = cursor.number();
            let stored = Stored { mark: Mark::Wanted, shard, position: Position::at(cursor), of: of.clone() };
            again.push(Again { row: Row { key: source.0, value: Some(stored.encode()) }, path, from: read, to });
        }
        Ok(again)
    }

    pub(crate) fn shards(&self) -> Vec<ShardState> {
        let now = self.context.client.now().0 / 1000;
        let state = self.context.shared.state();
        let shown = |held: &shared::Held| {
            let word = match held.stage {
                Stage::Starting => "starting",
                Stage::Reading => "reading",
                Stage::Finished => "finished",
                Stage::GivingUp => "giving up",
            };
            let nothing = held.caught_up && held.queue.is_empty();
            let late = held.received.map(|received| u64::try_from(now - received).unwrap_or(0));
            ShardState {
                shard: held.path.to_string(),
                state: word,
                lag_seconds: if nothing { Some(0) } else { late },
                quota_waits: held.quota_waits,
                problem: held.problem.clone(),
            }
        };
        state.shards.values().map(shown).collect()
    }
}
