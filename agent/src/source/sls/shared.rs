//! What the tasks that fetch and the ingest loop have in common: what was fetched, how far each shard is.
//!
//! Promises: of a shard that is being given up nothing more is handed out from that moment on; what is fetched and not
//! handed out is bounded, by bytes for all shards together and by pulls for each; every section is short and does no
//! I/O. Does not talk to the service.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::body::Piece;
use super::rows::{Mark, Position};
use crate::record::{Row, SourceId};
use crate::source::Waker;

/// Bytes that are fetched and not handed out, of all shards together, in KiB.
const FETCHED_KIB: u32 = 24 << 10;
/// Pulls of one shard that are fetched and not handed out.
const PULLS_WAITING: usize = 2;

/// A part of a pull and where reading goes on behind it, or only the latter. Its share of memory is given back when
/// it is dropped.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) piece: Option<Piece>,
    pub(super) behind: Position,
    /// Shared by the pieces of one pull; only held.
    #[allow(dead_code, reason = "it is there to be dropped")]
    pub(super) room: Option<Arc<Room>>,
}

/// A pull's share of what may be fetched ahead.
#[derive(Debug)]
pub(super) struct Room {
    _pull: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

/// What a shard that is ours is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Where to begin is being found out.
    Starting,
    Reading,
    /// Read to its end (of the run, or because nothing is written to it any more).
    Finished,
    /// Nothing more is handed out; what was is waited for.
    GivingUp,
}

/// A shard that is ours.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) source: SourceId,
    pub(super) path: Arc<str>,
    pub(super) stage: Stage,
    pub(super) queue: VecDeque<Ready>,
    /// Behind what was handed out.
    pub(super) handed: Option<Position>,
    /// What the group's checkpoint was when we took the shard: it never goes back behind that.
    pub(super) group: Option<u64>,
    /// Everything that the service has was fetched, at the last look.
    pub(super) caught_up: bool,
    /// When the service received what comes next, unix seconds.
    pub(super) received: Option<i64>,
    pub(super) quota_waits: u64,
    /// What is wrong at present, and whether only an operator can help.
    pub(super) problem: Option<String>,
    pub(super) stuck: bool,
    /// Nothing is written to it any more (it was split or merged).
    pub(super) readonly: bool,
    /// The service has no such shard.
    pub(super) gone: bool,
    pulls: Arc<Semaphore>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By number.
    pub(super) shards: BTreeMap<u32, Held>,
    /// Where shards go on that are or were ours, by source number.
    pub(super) known: BTreeMap<SourceId, (u32, Position)>,
    /// Those of them that do not say how far they were read.
    pub(super) marks: BTreeMap<SourceId, Mark>,
    /// Behind what is on the local disk, and what Elasticsearch has, by source number.
    pub(super) durable: BTreeMap<SourceId, Position>,
    pub(super) acknowledged: BTreeMap<SourceId, Position>,
    /// When the job began for the first time, unix seconds.
    pub(super) began: Option<i64>,
    /// Changed rows that are not positions behind chunks.
    pub(super) rows: Vec<Row>,
    /// What is wrong with all shards at present, and whether only an operator can help.
    pub(super) problem: Option<(String, bool)>,
    /// Why nothing may be handed out, though there may be something.
    pub(super) gate: Option<String>,
    /// All shards of the first look have begun, and whoever keeps a watermark has been told of them: only then a
    /// query with state gets rows, else those of one shard could close windows that another still has rows of.
    pub(super) ready: bool,
    pub(super) told: bool,
    /// Until then the group gives our shards to nobody else. `None`: there is no group.
    pub(super) lease: Option<Instant>,
    /// Where a bounded run ends, by shard; `None`: not known yet.
    pub(super) ends: Option<BTreeMap<u32, u64>>,
    /// A bounded run has nothing more to read, as far as the group is concerned.
    pub(super) others_done: bool,
    /// Shards were found at least once.
    pub(super) looked: bool,
    /// Positions were set back: fetching begins again from what is known.
    pub(super) set_back: bool,
    pub(super) stopping: bool,
    /// Handed out since the start.
    pub(super) bytes: u64,
    pub(super) groups: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the ingest loop.
    pub(super) waker: Waker,
    /// Wakes the keeper.
    pub(super) nudge: Notify,
    memory: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            state: Mutex::new(State::default()),
            waker: Waker::default(),
            nudge: Notify::new(),
            memory: Arc::new(Semaphore::new(FETCHED_KIB as usize)),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a pull of about so many bytes may be fetched. `None`: the shard is not ours any more.
    pub(super) async fn room(&self, shard: u32, bytes: u64) -> Option<Room> {
        let pulls = self.state().shards.get(&shard).map(|held| held.pulls.clone())?;
        let pull = pulls.acquire_owned().await.ok()?;
        let kib = u32::try_from(bytes >> 10).unwrap_or(FETCHED_KIB).clamp(1, FETCHED_KIB);
        let memory = self.memory.clone().acquire_many_owned(kib).await.ok()?;
        Some(Room { _pull: pull, _memory: memory })
    }

    /// Lets a task change a shard that is ours and being read. `None`: it is not.
    pub(super) fn with<T>(&self, shard: u32, change: impl FnOnce(&mut Held) -> T) -> Option<T> {
        let mut state = self.state();
        let held = state.shards.get_mut(&shard).filter(|held| held.stage != Stage::GivingUp)?;
        Some(change(held))
    }
}

impl Held {
    pub(super) fn new(source: SourceId, path: Arc<str>, readonly: bool) -> Held {
        Held {
            source,
            path,
            stage: Stage::Starting,
            queue: VecDeque::new(),
            handed: None,
            group: None,
            caught_up: false,
            received: None,
            quota_waits: 0,
            problem: None,
            stuck: false,
            readonly,
            gone: false,
            pulls: Arc::new(Semaphore::new(PULLS_WAITING)),
        }
    }

    /// Nothing is wrong any more.
    pub(super) fn well(&mut self) {
        (self.problem, self.stuck) = (None, false);
    }

    /// Reading goes on there, to be committed even if nothing follows.
    pub(super) fn go_on_at(&mut self, position: Position) {
        self.queue.push_back(Ready { piece: None, behind: position, room: None });
    }
}

impl State {
    /// The group may have given our shards to others: nothing of them may be read until it answers again.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.lease.is_some_and(|lease| now >= lease)
    }

    /// Takes a shard in whose position is to be found out.
    pub(super) fn take(&mut self, shard: u32, held: Held) {
        self.shards.insert(shard, held);
    }

    /// Reading begins there. `arrived`: everything before it has arrived, wherever it was read.
    pub(super) fn begin(&mut self, shard: u32, position: Position, arrived: bool) {
        let Some(held) = self.shards.get_mut(&shard).filter(|held| held.stage == Stage::Starting) else { return };
        held.stage = Stage::Reading;
        held.go_on_at(position.clone());
        held.handed = Some(position.clone());
        if arrived {
            raise(&mut self.durable, held.source, &position);
            raise(&mut self.acknowledged, held.source, &position);
        }
        self.marks.remove(&held.source);
        self.known.insert(held.source, (shard, position));
    }

    /// Nothing more of the shard is handed out from now on.
    pub(super) fn give_up(&mut self, shard: u32) {
        if let Some(held) = self.shards.get_mut(&shard) {
            held.stage = Stage::GivingUp;
            held.queue.clear();
        }
    }

    /// Everything that was handed out of the shard is behind `done`, and so it can be handed over: its position.
    /// `Some(None)`: nothing was ever handed out.
    pub(super) fn is_done(&self, shard: u32, done: &BTreeMap<SourceId, Position>) -> Option<Option<Position>> {
        let Some(held) = self.shards.get(&shard) else { return Some(None) };
        let Some(handed) = &held.handed else { return Some(None) };
        let done = done.get(&held.source).filter(|done| done.next >= handed.next)?;
        Some(Some(done.clone()))
    }

    /// The group is to be told of this position in a shard, as far as was found when we took it. Before it is found where to
    /// begin nothing is: what we know to have arrived may be from long ago, when the shard was ours before.
    pub(super) fn is_news(&self, shard: u32, position: u64) -> bool {
        let held = self.shards.get(&shard).filter(|held| held.handed.is_some());
        held.is_some_and(|held| held.group.is_none_or(|group| position > group))
    }

    /// Sources of which there is something to read.
    pub(super) fn unread(&self) -> BTreeSet<SourceId> {
        let unread = |held: &&Held| match held.stage {
            Stage::Starting => true,
            Stage::Reading => !held.caught_up || !held.queue.is_empty(),
            Stage::Finished => !held.queue.is_empty(),
            Stage::GivingUp => false,
        };
        self.shards.values().filter(unread).map(|held| held.source).collect()
    }

    /// Sources that may have more: shards that are or were ours, but for those that end where they were read to.
    pub(super) fn living(&self) -> Vec<SourceId> {
        let ended = |held: &Held| held.readonly && held.stage == Stage::Finished && held.queue.is_empty();
        let lives = |shard: &u32| !self.shards.get(shard).is_some_and(ended);
        self.known.iter().filter(|(_, (shard, _))| lives(shard)).map(|(source, _)| *source).collect()
    }

    /// A bounded run has handed out all that it was to.
    pub(super) fn is_finished(&self) -> bool {
        let Some(ends) = &self.ends else { return false };
        let read = |(shard, end): (&u32, &u64)| {
            let held = self.shards.get(shard);
            held.is_some_and(|held| held.handed.as_ref().is_some_and(|handed| handed.next >= *end))
        };
        let idle = self.shards.values().all(|held| held.queue.is_empty());
        idle && self.rows.is_empty() && (self.others_done || ends.iter().all(read))
    }

    /// What a bounded run still has to read, in log groups.
    pub(super) fn groups_left(&self) -> u64 {
        let left = |(shard, end): (&u32, &u64)| {
            let handed = self.shards.get(shard).and_then(|held| held.handed.as_ref());
            handed.map_or(0, |handed| end.saturating_sub(handed.next))
        };
        self.ends.iter().flatten().map(left).sum()
    }
}

/// Notes a position, unless a later one is known.
pub(super) fn raise(to: &mut BTreeMap<SourceId, Position>, source: SourceId, position: &Position) {
    let known = to.entry(source).or_insert_with(|| position.clone());
    if known.next < position.next || known.cursor.number() < position.cursor.number() {
        *known = position.clone();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::sls::cursor::Cursor;

    fn at(number: u64) -> Position {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(number.to_string());
        Position::at(Cursor::parse(&text).unwrap())
    }

    fn state() -> State {
        let mut state = State::default();
        state.take(3, Held::new(SourceId(30), "p/l/3".into(), false));
        state
    }

    #[test]
    fn a_shard_is_handed_over_only_when_all_of_it_has_arrived() {
        let mut state = state();
        state.begin(3, at(100), false);
        state.shards.get_mut(&3).unwrap().handed = Some(at(120));
        state.give_up(3);
        assert_eq!(state.is_done(3, &state.acknowledged), None);
        raise(&mut state.acknowledged, SourceId(30), &at(110));
        assert_eq!(state.is_done(3, &state.acknowledged), None);
        raise(&mut state.acknowledged, SourceId(30), &at(120));
        raise(&mut state.acknowledged, SourceId(30), &at(90));
        assert_eq!(state.is_done(3, &state.acknowledged), Some(Some(at(120))));
    }

    #[test]
    fn what_was_read_elsewhere_or_never_need_not_be_waited_for() {
        let mut state = state();
        assert_eq!(state.is_done(3, &state.acknowledged), Some(None), "it had not begun");
        state.begin(3, at(100), true);
        assert_eq!(state.is_done(3, &state.acknowledged), Some(Some(at(100))));
        state.begin(3, at(50), false);
        assert_eq!(state.known[&SourceId(30)].1, at(100), "a second beginning is none");
    }

    #[test]
    fn the_group_is_told_nothing_of_a_shard_that_is_older_than_what_it_knew() {
        let mut state = state();
        raise(&mut state.acknowledged, SourceId(30), &at(50));
        assert!(!state.is_news(3, 50), "ours of an earlier time; another consumer has been further since");
        state.shards.get_mut(&3).unwrap().group = Some(100);
        state.begin(3, at(120), false);
        assert_eq!([50, 100, 101].map(|position| state.is_news(3, position)), [false, false, true]);
        assert!(!state.is_news(4, 101), "it is not ours");
    }

    #[test]
    fn nothing_is_read_when_the_group_may_have_given_the_shards_away() {
        let now = Instant::now();
        assert!(!State::default().is_forgotten(now), "without a group nobody gives shards away");
        let state = State { lease: Some(now), ..State::default() };
        assert!(state.is_forgotten(now) && !state.is_forgotten(now.checked_sub(Duration::from_secs(1)).unwrap()));
    }

    #[tokio::test]
    async fn fetching_waits_while_two_pulls_of_a_shard_are_not_handed_out() {
        let shared = Shared::new();
        shared.state().take(3, Held::new(SourceId(30), "p/l/3".into(), false));
        drop(shared.room(3, 1 << 40).await.unwrap());
        let _first = shared.room(3, 10).await.unwrap();
        let _second = shared.room(3, 10).await.unwrap();
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), shared.room(3, 10)).await;
        assert!(third.is_err());
        assert!(shared.room(4, 10).await.is_none(), "a shard that is not ours gets none");
    }
}
