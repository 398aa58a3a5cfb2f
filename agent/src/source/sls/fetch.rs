//! One shard's task: finds out where to begin, pulls, checks, queues.
//!
//! Promises: the position never moves over what was not fetched whole; a cursor that the service does not take any more
//! is answered by going on where there is something, and said and counted; every log group has the same cursor whoever
//! pulls it and however it is cut. Waits only where it can be ended at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{self, Piece};
use super::client::{Client, Pulled, ShardInfo};
use super::cursor::Cursor;
use super::error::{Backoff, SlsError, Verdict};
use super::probe;
use super::rows::{Mark, Position};
use super::shared::{Held, Ready, Shared, Stage};
use crate::metrics::PipelineMetrics;
use crate::plan::{SlsCheckpoint, SlsPlan, SlsStart};
use crate::record::fill_random;

/// A piece is cut when it has so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// What a first pull is taken to be long, and a later one at least.
const EXPECTED: u64 = 1 << 20;
const LEAST_EXPECTED: u64 = 64 << 10;
/// Between looks at a shard that has nothing new: from, to.
const IDLE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// After failures.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
const QUOTA: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What only an operator can help with is tried again so often.
pub(super) const SLOW: Duration = Duration::from_secs(20);
/// While a bounded run's end is not known yet.
const END_LOOK: Duration = Duration::from_millis(100);
/// So long before `stop` nothing is pulled until it has passed by as much: clocks differ.
pub(super) const STOP_MARGIN: i64 = 2;
/// Where cursors were not what they are taken to be, so many pulls are of a single log group.
const SINGLY: u32 = 1000;

/// What all tasks of a source share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: SlsPlan,
    pub(super) client: Client,
    pub(super) shared: Shared,
    pub(super) metrics: PipelineMetrics,
    pub(super) job: String,
    /// Our name in the group.
    pub(super) consumer: String,
    /// The run ends at the ends that the shards have now.
    pub(super) once: bool,
}

impl Context {
    /// The run ends somewhere.
    pub(super) fn bounded(&self) -> bool {
        self.once || self.plan.stop.is_some()
    }
}

/// How far a shard may be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    /// It is not known yet.
    Unknown,
    Before(u64),
}

struct Fetch {
    context: Arc<Context>,
    shard: ShardInfo,
    position: Position,
    /// Bytes of the last pull.
    expected: u64,
    idle: Backoff,
    retry: Backoff,
    quota: Backoff,
    /// Pulls that are of one log group each.
    singly: u32,
    /// Where a bounded run ends, as the service named it.
    end: Option<Cursor>,
}

/// Fetches until the shard is finished, gone, or not ours any more.
pub(super) async fn run(context: Arc<Context>, shard: ShardInfo) {
    let mut retry = Backoff::new(RETRY.0, RETRY.1);
    let (position, arrived) = loop {
        match start(&context, &shard).await {
            Ok(start) => break start,
            Err(error) if error.verdict() == Verdict::ShardGone => {
                context.shared.with(shard.number, |held| held.gone = true);
                return context.shared.nudge.notify_one();
            }
            Err(error) if error.verdict() == Verdict::Login && refresh(&context).await => {}
            Err(error) => settle(&context, shard.number, &error, &mut retry).await,
        }
    };
    let number = position.next;
    tracing::debug!(job = %context.job, shard = shard.number, from = number, "a shard is read");
    if let Ok(time) = context.client.cursor_time(shard.number, &position.cursor).await {
        context.shared.with(shard.number, |held| held.received = Some(time));
    }
    context.shared.state().begin(shard.number, position.clone(), arrived);
    context.shared.nudge.notify_one();
    context.shared.waker.wake();
    let mut fetch = Fetch {
        context,
        shard,
        position,
        expected: EXPECTED,
        idle: Backoff::new(IDLE.0, IDLE.1),
        retry,
        quota: Backoff::new(QUOTA.0, QUOTA.1),
        singly: 0,
        end: None,
    };
    while fetch.turn().await {}
    fetch.context.shared.nudge.notify_one();
    fetch.context.shared.waker.wake();
}

/// Where to begin, and whether all before it has arrived: an unbroken local position, else the later of the local one
/// and the group's, else where the job begins. Where it is to be read again, the group is told so first.
async fn start(context: &Context, shard: &ShardInfo) -> Result<(Position, bool), SlsError> {
    let plan = &context.plan;
    let source = super::rows::source_id(&plan.project, &plan.logstore, shard.number, shard.created);
    let (mut local, mark, began) = {
        let state = context.shared.state();
        let local = state.known.get(&source).map(|(_, position)| position.clone());
        (local, state.marks.get(&source).copied(), state.began)
    };
    let durable = plan.group.as_ref().is_some_and(|group| group.checkpoint == SlsCheckpoint::Durable);
    if mark == Some(Mark::Forgotten) {
        local = if durable { Some(Position::at(begin(context, shard.number, began).await?)) } else { None };
    }
    let again = mark == Some(Mark::Wanted) || (mark.is_some() && durable);
    if let Some(local) = local.clone().filter(|_| again && !plan.all_shards) {
        if let Some(group) = &plan.group {
            context.client.checkpoint(&group.name, &context.consumer, shard.number, &local.cursor).await?;
        }
        return Ok((local, false));
    }
    let ask = !plan.all_shards || (local.is_none() && plan.from_group);
    let mut group = None;
    if let Some(of) = plan.group.as_ref().filter(|_| ask) {
        let found = context.client.checkpoints(&of.name, Some(shard.number)).await?;
        group = found.into_iter().find(|(of, _)| *of == shard.number).map(|(_, cursor)| cursor);
        context.shared.with(shard.number, |held| held.group = group.as_ref().map(Cursor::number));
    }
    match (local, group) {
        (Some(local), Some(group)) if group.number() > local.next => Ok((Position::at(group), true)),
        (Some(local), _) => {
            let arrived = context.shared.state().acknowledged.get(&source).is_some_and(|done| done.next >= local.next);
            Ok((local, arrived))
        }
        (None, Some(group)) => Ok((Position::at(group), true)),
        (None, None) => Ok((Position::at(begin(context, shard.number, began).await?), true)),
    }
}

/// Where the job begins in a shard of which nothing is known.
async fn begin(context: &Context, shard: u32, began: Option<i64>) -> Result<Cursor, SlsError> {
    let from = match (context.plan.start, began) {
        (SlsStart::Beginning, _) => "begin".to_owned(),
        (SlsStart::At(second), _) => second.to_string(),
        (SlsStart::Now, Some(began)) => began.to_string(),
        (SlsStart::Now, None) => "end".to_owned(),
    };
    context.client.cursor(shard, &from).await
}

/// Says what is wrong and waits as long as that calls for.
pub(super) async fn settle(context: &Context, shard: u32, error: &SlsError, retry: &mut Backoff) {
    let verdict = error.verdict();
    let stuck = matches!(verdict, Verdict::Login | Verdict::Fatal);
    let text = probe::explained(&context.plan, error);
    let told = |held: &mut Held| {
        held.stuck = stuck;
        held.problem.replace(text.clone())
    };
    let known = context.shared.with(shard, told).flatten();
    context.shared.waker.wake();
    if known.as_deref() != Some(&text) {
        tracing::warn!(job = %context.job, shard, error = %text, "a shard can't be read; it is tried again");
    }
    let wait = match verdict {
        Verdict::Skewed => IDLE.0,
        Verdict::Login | Verdict::Fatal => SLOW,
        _ => retry.next(random()),
    };
    tokio::time::sleep(wait).await;
}

/// Reads the access keys again. True: they are others now.
pub(super) async fn refresh(context: &Arc<Context>) -> bool {
    let context = context.clone();
    let fresh = tokio::task::spawn_blocking(move || context.client.refresh()).await;
    fresh.is_ok_and(|fresh| fresh.unwrap_or(false))
}

/// From 0 to 1, so that many agents don't come back at once.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // no randomness: then all wait alike
    if fill_random(&mut bytes).is_err() {
        return 0.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

impl Fetch {
    /// One pull, or a wait. False: there is nothing more to do.
    async fn turn(&mut self) -> bool {
        let forgotten = self.context.shared.state().is_forgotten(Instant::now());
        let limit = match self.limit() {
            // Somebody else may read the shard by now; the keeper finds out.
            _ if forgotten => {
                tokio::time::sleep(IDLE.0).await;
                return self.is_ours();
            }
            Limit::Unknown => {
                tokio::time::sleep(END_LOOK).await;
                return self.is_ours();
            }
            Limit::Before(end) if self.position.next >= end => return self.finish(),
            Limit::Before(end) => end,
            Limit::None => u64::MAX,
        };
        let Some(room) = self.context.shared.room(self.shard.number, self.expected).await else { return false };
        match self.pull(limit).await {
            Ok(None) => {
                drop(room);
                self.at_end().await
            }
            Ok(Some(pieces)) => {
                self.retry.reset();
                self.quota.reset();
                self.idle.reset();
                self.queue(pieces, room)
            }
            Err(error) => {
                drop(room);
                self.failed(error).await
            }
        }
    }

    fn is_ours(&self) -> bool {
        self.context.shared.with(self.shard.number, |_| ()).is_some()
    }

    fn limit(&self) -> Limit {
        if !self.context.bounded() {
            return Limit::None;
        }
        if let Some(ends) = &self.context.shared.state().ends {
            // A shard that was made after the end has nothing that belongs to the run.
            return Limit::Before(ends.get(&self.shard.number).copied().unwrap_or(0));
        }
        let now = self.context.client.now().0 / 1000;
        let before = self.context.plan.stop.is_some_and(|stop| now < stop - STOP_MARGIN);
        if before && !self.context.once { Limit::None } else { Limit::Unknown }
    }

    /// Pulls once. `None`: there is nothing at present.
    async fn pull(&mut self, limit: u64) -> Result<Option<(Vec<Piece>, Cursor)>, SlsError> {
        let context = self.context.clone();
        let count = if self.singly > 0 { 1 } else { context.plan.batch };
        let number = self.shard.number;
        let pulled = context.client.pull(number, &self.position.cursor, count, self.end.as_ref()).await?;
        let Pulled { declared, next, last, time, .. } = &pulled;
        let (declared, next, last, time) = (declared.clone(), next.clone(), *last, *time);
        if declared.raw_size == 0 && declared.groups.unwrap_or(0) == 0 {
            return Ok(self.moved_without_groups(next).map(|next| (Vec::new(), next)));
        }
        let body = pulled.body().await?;
        self.expected = declared.raw_size.max(LEAST_EXPECTED);
        let opened = tokio::task::spawn_blocking(move || body::open(&body, &declared)).await;
        let (data, counts) = opened.map_err(|error| SlsError::Unusable(error.to_string()))??;
        let next = next.unwrap_or_else(|| self.position.cursor.clone());
        if counts.groups == 0 {
            return Ok(self.moved_without_groups(Some(next)).map(|next| (Vec::new(), next)));
        }
        let Some(first) = self.first(last, &next, counts.groups)? else {
            return Ok(Some((Vec::new(), self.position.cursor.clone())));
        };
        let pieces = body::cut(data, first, PIECE_BYTES, &(self.position.next..limit));
        if let Some(time) = time {
            self.context.shared.with(number, |held| held.received = Some(time));
        }
        Ok(Some((pieces, next)))
    }

    /// A cursor can move on though nothing lay before it.
    fn moved_without_groups(&self, next: Option<Cursor>) -> Option<Cursor> {
        next.filter(|next| next.number() > self.position.cursor.number())
    }

    /// The first group's cursor. `None`: it can't be told when several are pulled at once; they are pulled one by one.
    fn first(&mut self, last: Option<u64>, next: &Cursor, groups: u64) -> Result<Option<u64>, SlsError> {
        let asked = self.position.cursor.number();
        let last = last.or_else(|| next.number().checked_sub(1)).unwrap_or(asked);
        let first = (last + 1).checked_sub(groups).filter(|first| *first >= asked);
        let Some(first) = first.filter(|_| next.number() > last) else {
            let what = format!("{groups} log groups from cursor {asked} to {last}, and then {}", next.number());
            return Err(SlsError::Unusable(what));
        };
        self.singly = self.singly.saturating_sub(1);
        if first == asked || groups == 1 {
            return Ok(Some(first));
        }
        let shard = self.shard.number;
        tracing::warn!(job = %self.context.job, shard, asked, first, last, groups, "cursors have gaps: log groups are pulled one by one");
        self.singly = SINGLY;
        Ok(None)
    }

    /// Queues what was pulled. False: the shard is not ours any more.
    fn queue(&mut self, (pieces, next): (Vec<Piece>, Cursor), room: super::shared::Room) -> bool {
        let room = Arc::new(room);
        let (start, count) = (self.position.cursor.clone(), pieces.len());
        let received = pieces.last().and_then(|piece| piece.received);
        let mut ready = Vec::with_capacity(count);
        for (i, piece) in pieces.into_iter().enumerate() {
            // the service named a place only behind the last piece
            let behind = match i + 1 == count {
                true => Position::at(next.clone()),
                false => Position { cursor: start.clone(), next: piece.first + piece.groups },
            };
            ready.push(Ready { piece: Some(piece), behind, room: Some(room.clone()) });
        }
        self.position = Position { next: next.number().max(self.position.next), cursor: next };
        let ours = self.context.shared.with(self.shard.number, |held| {
            held.well();
            held.caught_up = false;
            held.received = received.or(held.received);
            held.queue.extend(ready);
        });
        self.context.shared.waker.wake();
        ours.is_some()
    }

    /// Nothing came. A shard that nothing is written to any more is finished then.
    async fn at_end(&mut self) -> bool {
        let Some(readonly) = self.context.shared.with(self.shard.number, |held| held.readonly) else { return false };
        if readonly {
            match self.context.client.cursor(self.shard.number, "end").await {
                Ok(end) if end.number() <= self.position.cursor.number() => return self.finish(),
                Ok(_) => {}
                Err(error) => return self.failed(error).await,
            }
        }
        self.retry.reset();
        self.quota.reset();
        let ours = self.context.shared.with(self.shard.number, |held| {
            held.well();
            held.caught_up = true;
        });
        if ours.is_none() {
            return false;
        }
        tokio::time::sleep(self.idle.next(0.0)).await;
        self.is_ours()
    }

    fn finish(&self) -> bool {
        self.context.shared.with(self.shard.number, |held| {
            held.well();
            held.caught_up = true;
            held.stage = Stage::Finished;
        });
        false
    }

    /// False: there is nothing more to do.
    async fn failed(&mut self, error: SlsError) -> bool {
        let shard = self.shard.number;
        match error.verdict() {
            Verdict::ShardGone => {
                self.context.shared.with(shard, |held| held.gone = true);
                return false;
            }
            Verdict::Quota => {
                self.context.metrics.quota_waits.inc();
                self.context.shared.with(shard, |held| {
                    held.quota_waits += 1;
                    held.problem = Some(error.to_string());
                });
                tracing::debug!(job = %self.context.job, shard, %error, "the quota is used up; the shard waits");
                tokio::time::sleep(self.quota.next(random())).await;
            }
            Verdict::Reset => return self.reset(&error).await,
            // keys that were changed meanwhile are tried at once
            Verdict::Login if refresh(&self.context).await => {}
            _ => settle(&self.context, shard, &error, &mut self.retry).await,
        }
        self.is_ours()
    }

    /// The service does not take the cursor any more: what lay there is too old, or the Logstore is another one.
    async fn reset(&mut self, error: &SlsError) -> bool {
        let shard = self.shard.number;
        let oldest = match self.oldest().await {
            Ok(Some(oldest)) => oldest,
            Ok(None) => {
                // deleted, or made anew under its old number: the keeper knows what to do
                self.context.shared.with(shard, |held| held.gone = true);
                return false;
            }
            Err(error) => {
                settle(&self.context, shard, &error, &mut self.retry).await;
                return self.is_ours();
            }
        };
        if oldest.number() > self.position.cursor.number() {
            let groups = oldest.number().saturating_sub(self.position.next);
            if groups > 0 {
                self.context.metrics.expired_groups.inc_by(groups);
                tracing::error!(job = %self.context.job, shard, groups, %error, "logs were deleted by the service before they were read: reading goes on with the oldest there are");
            }
            let next = self.position.next.max(oldest.number());
            return self.go_on_at(Position { cursor: oldest, next });
        }
        if self.context.plan.all_shards {
            let why = format!(
                "{error}: the cursor is not one of this Logstore, and what was counted of it can't be told from what is there; begin anew with --reset-state"
            );
            self.context.shared.with(shard, |held| (held.problem, held.stuck) = (Some(why), true));
            tokio::time::sleep(SLOW).await;
            return self.is_ours();
        }
        let began = self.context.shared.state().began;
        match begin(&self.context, shard, began).await {
            Ok(start) => {
                tracing::error!(job = %self.context.job, shard, %error, "the cursor is not one of this Logstore: reading begins again where the job does");
                self.go_on_at(Position::at(start))
            }
            Err(error) => {
                settle(&self.context, shard, &error, &mut self.retry).await;
                self.is_ours()
            }
        }
    }

    /// The oldest place in the shard. `None`: there is no such shard any more, or another one of its number (a query
    /// with state waits for its operator then).
    async fn oldest(&self) -> Result<Option<Cursor>, SlsError> {
        let listed = self.context.client.shards().await?;
        let same = |listed: &ShardInfo| listed.number == self.shard.number && listed.created == self.shard.created;
        if !listed.iter().any(same) && !self.context.plan.all_shards {
            return Ok(None);
        }
        self.context.client.cursor(self.shard.number, "begin").await.map(Some)
    }

    fn go_on_at(&mut self, position: Position) -> bool {
        self.position = position.clone();
        self.context.shared.with(self.shard.number, |held| held.go_on_at(position)).is_some()
    }
}
