//! The keeper of a source: which shards are ours, who fetches them, how far the group is told that we are.
//!
//! Promises: with a group, nothing is fetched of a shard that is not ours by the group's last word, and a shard is
//! given up only when all that was handed out of it has arrived; checkpoints never run ahead of that, and never go
//! over the head of another owner. Heartbeats wait for no shard. Ends within a second when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::client::{GroupInfo, ShardInfo};
use super::cursor::Cursor;
use super::error::{Backoff, SlsError, Verdict};
use super::fetch::{self, Context, SLOW, STOP_MARGIN, random};
use super::lineage;
use super::membership::{Membership, Orders};
use super::rows::{Position, source_id};
use super::shared::{Held, Stage, State};
use crate::plan::{SlsCheckpoint, SlsGroup};
use crate::record::{Row, SourceId};

/// What a group gets that we make.
const GROUP_TIMEOUT: u64 = 60;
/// Checkpoints move so often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3);
/// The keeper looks at everything so often if nobody wakes it.
const TURN: Duration = Duration::from_millis(500);
/// After failures.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));
/// A shard that the service did not know is asked for again so late.
const GONE_AGAIN: Duration = Duration::from_secs(10);
/// In a bounded run, between looks at what others have read.
const OTHERS_LOOK: Duration = Duration::from_secs(2);

pub(super) struct Keeper {
    context: Arc<Context>,
    group: Option<Member>,
    /// As the service listed them last.
    listed: Vec<ShardInfo>,
    tasks: BTreeMap<u32, AbortHandle>,
    list_due: Instant,
    ends_due: Instant,
    retry: Backoff,
}

/// Our part in a group.
struct Member {
    plan: SlsGroup,
    consumer: String,
    membership: Membership,
    /// The group forgets whoever is silent for so long.
    timeout: Duration,
    beat_due: Instant,
    checkpoint_due: Instant,
    /// What the group was told, by shard.
    saved: BTreeMap<u32, u64>,
}

/// Runs until the source is closed.
pub(super) async fn run(context: Arc<Context>, consumer: String) {
    let now = Instant::now();
    let group = context.plan.group.clone().map(|plan| Member {
        plan,
        consumer,
        membership: Membership::new(now),
        timeout: Duration::from_secs(GROUP_TIMEOUT),
        beat_due: now,
        checkpoint_due: now,
        saved: BTreeMap::new(),
    });
    let mut keeper = Keeper {
        context: context.clone(),
        group,
        listed: Vec::new(),
        tasks: BTreeMap::new(),
        list_due: now,
        ends_due: now,
        retry: Backoff::new(RETRY.0, RETRY.1),
    };
    let mut prepared = false;
    while !context.shared.state().stopping {
        let turned = match prepared {
            true => keeper.turn().await,
            false => keeper.prepare().await.map(|()| prepared = true),
        };
        let wait = match turned {
            Ok(()) => {
                keeper.retry.reset();
                keeper.context.shared.state().problem = None;
                if prepared { TURN } else { Duration::ZERO }
            }
            Err(error) => keeper.failed(&error).await,
        };
        let nudged = context.shared.nudge.notified();
        drop(tokio::time::timeout(wait, nudged).await);
    }
    keeper.end().await;
}

impl Keeper {
    /// Says what is wrong; returns how long to wait.
    async fn failed(&mut self, error: &SlsError) -> Duration {
        let text = error.to_string();
        let stuck = matches!(error.verdict(), Verdict::Login | Verdict::Fatal);
        let known = self.context.shared.state().problem.replace((text.clone(), stuck));
        if known.is_none_or(|(known, _)| known != text) {
            tracing::warn!(job = %self.context.job, error = %text, "the Logstore can't be reached; it is tried again");
        }
        self.context.shared.waker.wake();
        match error.verdict() {
            Verdict::Login if self.refresh().await => Duration::ZERO,
            Verdict::Login | Verdict::Fatal => self.patience().unwrap_or(SLOW),
            Verdict::Skewed => Duration::from_millis(100),
            _ => self.retry.next(random()).min(self.patience().unwrap_or(SLOW)),
        }
    }

    /// Whoever is in a group must not be silent for long.
    fn patience(&self) -> Option<Duration> {
        self.group.as_ref().map(|group| group.interval())
    }

    /// Reads the access keys again. True: they are others now.
    async fn refresh(&self) -> bool {
        let context = self.context.clone();
        let fresh = tokio::task::spawn_blocking(move || context.client.refresh()).await;
        fresh.is_ok_and(|fresh| fresh.unwrap_or(false))
    }

    /// Finds the shards, and the group or makes it.
    async fn prepare(&mut self) -> Result<(), SlsError> {
        self.list().await?;
        let Some(group) = &mut self.group else { return Ok(()) };
        let name = &group.plan.name;
        let ask = |timeout: u64, order: bool| GroupInfo { name: name.clone(), timeout, order };
        let wanted = (group.plan.timeout.map(|timeout| timeout.as_secs()), group.plan.in_order);
        let found = self.context.client.groups().await?.into_iter().find(|found| found.name == *name);
        let info = match found {
            Some(found) => {
                // what nobody asked for stays as the group's other members have it
                let info = ask(wanted.0.unwrap_or(found.timeout), wanted.1.unwrap_or(found.order));
                if info != found {
                    self.context.client.update_group(&info).await?;
                }
                info
            }
            None => {
                let info = ask(wanted.0.unwrap_or(GROUP_TIMEOUT), wanted.1.unwrap_or(false));
                match self.context.client.create_group(&info).await {
                    Err(error) if error.verdict() == Verdict::GroupExists => return Box::pin(self.prepare()).await,
                    made => made?,
                }
                info
            }
        };
        group.timeout = Duration::from_secs(info.timeout.max(1));
        let (group, consumer) = (&group.plan.name, &group.consumer);
        tracing::info!(job = %self.context.job, %group, %consumer, timeout_seconds = info.timeout, in_order = info.order, "sharing shards");
        Ok(())
    }

    async fn turn(&mut self) -> Result<(), SlsError> {
        if std::mem::take(&mut self.context.shared.state().set_back) {
            self.begin_again();
        }
        let now = Instant::now();
        self.heartbeat(now).await?;
        if now >= self.list_due || self.has_gone() {
            self.list().await?;
        }
        self.find_ends(now).await?;
        self.work();
        self.hand_over().await?;
        if self.group.as_ref().is_some_and(|group| now >= group.checkpoint_due) {
            self.checkpoint().await?;
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<(), SlsError> {
        let context = self.context.clone();
        let mut listed = context.client.shards().await?;
        if let Some((divisor, rest)) = context.plan.shards {
            listed.retain(|shard| shard.number % divisor.max(1) == rest);
        }
        self.listed = listed;
        let every = context.plan.discover.unwrap_or(Duration::from_secs(365 * 24 * 3600));
        // Children of a split are wanted soon where their parents may not be read for long.
        self.list_due = Instant::now() + every;
        self.forget_deleted();
        let mut state = context.shared.state();
        state.looked = true;
        for shard in &self.listed {
            if let Some(held) = state.shards.get_mut(&shard.number) {
                held.readonly = shard.readonly();
            }
        }
        drop(state);
        context.shared.waker.wake();
        Ok(())
    }

    /// Rows of shards that the service has deleted are of no use any more.
    fn forget_deleted(&mut self) {
        let ids: BTreeSet<SourceId> = self.listed.iter().map(|shard| self.id(shard)).collect();
        let mut state = self.context.shared.state();
        let state = &mut *state;
        let ours: BTreeSet<SourceId> = state.shards.values().map(|held| held.source).collect();
        let all = self.context.plan.shards.is_none();
        let deleted: Vec<SourceId> =
            state.known.keys().filter(|id| all && !ids.contains(id) && !ours.contains(id)).copied().collect();
        for id in deleted {
            state.known.remove(&id);
            state.durable.remove(&id);
            state.acknowledged.remove(&id);
            state.rows.push(Row { key: id.0, value: None });
        }
    }

    fn id(&self, shard: &ShardInfo) -> SourceId {
        source_id(&self.context.plan.project, &self.context.plan.logstore, shard.number, shard.created)
    }

    /// A shard of which its task said that there is none.
    fn has_gone(&self) -> bool {
        self.context.shared.state().shards.values().any(|held| held.gone)
    }

    async fn heartbeat(&mut self, now: Instant) -> Result<(), SlsError> {
        let Some(group) = self.group.as_mut().filter(|group| now >= group.beat_due) else { return Ok(()) };
        let (name, report) = (&group.plan.name, group.membership.report());
        match self.context.client.heartbeat(name, &group.consumer, &report).await {
            Ok(assigned) => {
                let orders = group.membership.answered(&assigned, now);
                group.beat_due = now + group.interval();
                self.obey(orders);
                Ok(())
            }
            Err(error) if error.verdict() == Verdict::Expelled => {
                tracing::warn!(job = %self.context.job, %error, "the group does not know this consumer any more: its shards are begun anew");
                self.forget();
                Ok(())
            }
            Err(error) if error.verdict() == Verdict::GroupMissing => {
                self.forget();
                self.prepare().await
            }
            Err(error) => {
                let patience = group.timeout + group.interval();
                if group.membership.is_forgotten(Instant::now(), patience) {
                    tracing::warn!(job = %self.context.job, %error, "no heartbeat was answered for too long: the group has given the shards away");
                    self.forget();
                }
                Err(error)
            }
        }
    }

    fn obey(&mut self, orders: Orders) {
        let Orders { take, give_up, keep } = orders;
        let all = self.context.plan.all_shards;
        let mut state = self.context.shared.state();
        for shard in give_up.iter().filter(|_| !all) {
            state.give_up(*shard);
        }
        for shard in keep.iter().filter(|_| !all) {
            // Its queue is gone; it goes on behind what was handed out.
            if let Some(held) = state.shards.remove(shard) {
                state.take(*shard, Held::new(held.source, held.path, held.readonly));
            }
        }
        drop(state);
        if !all {
            give_up.iter().chain(&keep).for_each(|shard| self.stop_task(*shard));
        }
        if !(take.is_empty() && give_up.is_empty()) {
            tracing::info!(job = %self.context.job, ?take, ?give_up, "the group shares its shards anew");
        }
        self.guard();
        if take.iter().any(|shard| !self.listed.iter().any(|listed| listed.number == *shard)) {
            self.list_due = Instant::now();
        }
    }

    /// A query with state reads all shards or none.
    fn guard(&mut self) {
        let Some(group) = self.group.as_ref().filter(|_| self.context.plan.all_shards) else { return };
        let assigned = group.membership.assigned();
        let finished: BTreeSet<u32> = {
            let state = self.context.shared.state();
            let read = |(_, held): &(&u32, &Held)| held.stage == Stage::Finished;
            state.shards.iter().filter(read).map(|(shard, _)| *shard).collect()
        };
        // A group that keeps the order holds children back until their parents are read.
        let due = |shard: &&ShardInfo| lineage::waits_for(shard, &self.listed, &finished).is_none();
        let missing = self.listed.iter().filter(due).map(|shard| shard.number);
        let missing: Vec<u32> = missing.filter(|shard| !assigned.contains(shard)).collect();
        let gate = (!missing.is_empty()).then(|| {
            format!(
                "the group {} has given shards {missing:?} to another consumer, and a query with state must read all of them: end the other one, or give this job a group of its own",
                group.plan.name
            )
        });
        self.context.shared.state().gate = gate;
        self.context.shared.waker.wake();
    }

    /// Nothing is ours any more.
    fn forget(&mut self) {
        let now = Instant::now();
        if let Some(group) = &mut self.group {
            group.membership.forget(now);
            group.saved.clear();
            group.beat_due = now;
        }
        self.tasks.values().for_each(AbortHandle::abort);
        self.tasks.clear();
        self.context.shared.state().shards.clear();
        self.context.shared.waker.wake();
    }

    /// Positions were set back: all that is ours is begun again from them.
    fn begin_again(&mut self) {
        let shards: Vec<u32> = self.tasks.keys().copied().collect();
        shards.into_iter().for_each(|shard| self.stop_task(shard));
        let mut state = self.context.shared.state();
        let giving_up: Vec<u32> =
            state.shards.iter().filter(|(_, held)| held.stage == Stage::GivingUp).map(|(shard, _)| *shard).collect();
        state.shards.clear();
        drop(state);
        giving_up.into_iter().for_each(|shard| self.released(shard));
    }

    fn stop_task(&mut self, shard: u32) {
        if let Some(task) = self.tasks.remove(&shard) {
            task.abort();
        }
    }

    fn released(&mut self, shard: u32) {
        self.stop_task(shard);
        self.context.shared.state().shards.remove(&shard);
        if let Some(group) = &mut self.group {
            group.membership.released(shard);
            group.saved.remove(&shard);
            group.beat_due = Instant::now();
        }
    }

    /// Sees to it that every shard that is ours is worked on.
    fn work(&mut self) {
        let wanted: Vec<ShardInfo> = match &self.group {
            Some(group) => {
                let leaving = group.membership.giving_up();
                let leaving = if self.context.plan.all_shards { Vec::new() } else { leaving };
                let ours: BTreeSet<u32> =
                    group.membership.report().into_iter().filter(|shard| !leaving.contains(shard)).collect();
                self.listed.iter().filter(|shard| ours.contains(&shard.number)).cloned().collect()
            }
            None => {
                let state = self.context.shared.state();
                let read = |(_, held): &(&u32, &Held)| held.stage == Stage::Finished && held.queue.is_empty();
                let finished = state.shards.iter().filter(read).map(|(shard, _)| *shard).collect();
                let ready = |shard: &&ShardInfo| lineage::waits_for(shard, &self.listed, &finished).is_none();
                self.listed.iter().filter(ready).cloned().collect()
            }
        };
        self.drop_gone();
        for shard in wanted {
            if self.tasks.get(&shard.number).is_some_and(|task| !task.is_finished()) {
                continue;
            }
            let source = self.id(&shard);
            let path = format!("{}/{}/{}", self.context.plan.project, self.context.plan.logstore, shard.number);
            {
                let mut state = self.context.shared.state();
                // a task that has done its work needs no other
                let done = |held: &Held| held.gone || matches!(held.stage, Stage::Finished | Stage::GivingUp);
                let stands = state.shards.get(&shard.number).is_some_and(done);
                if stands {
                    continue;
                }
                state.take(shard.number, Held::new(source, path.into(), shard.readonly()));
            }
            let number = shard.number;
            let task = tokio::spawn(fetch::run(self.context.clone(), shard));
            self.tasks.insert(number, task.abort_handle());
        }
        self.context.metrics.files.set(self.context.shared.state().shards.len() as i64);
        self.context.shared.waker.wake();
    }

    /// Shards that the service has deleted; those that it only did not find for once are tried again.
    fn drop_gone(&mut self) {
        let gone: Vec<u32> = {
            let state = self.context.shared.state();
            state.shards.iter().filter(|(_, held)| held.gone && held.queue.is_empty()).map(|(shard, _)| *shard).collect()
        };
        for shard in gone {
            if self.listed.iter().any(|listed| listed.number == shard) {
                self.list_due = self.list_due.min(Instant::now() + GONE_AGAIN);
            } else {
                tracing::warn!(job = %self.context.job, shard, "the service has deleted a shard: what it had and was not read is lost");
            }
            self.released(shard);
        }
    }

    /// Where a bounded run ends, once that can be known, and whether all of it was read, here or by others.
    async fn find_ends(&mut self, now: Instant) -> Result<(), SlsError> {
        let context = self.context.clone();
        if !context.bounded() || now < self.ends_due {
            return Ok(());
        }
        if context.shared.state().ends.is_none() {
            let service_now = context.client.now().0 / 1000;
            let passed = context.plan.stop.is_some_and(|stop| service_now >= stop + STOP_MARGIN);
            if !context.once && !passed {
                return Ok(());
            }
            // children of a last split belong to the run
            self.list().await?;
            let from = context.plan.stop.filter(|_| passed).map_or_else(|| "end".to_owned(), |stop| stop.to_string());
            let mut ends = BTreeMap::new();
            for shard in &self.listed {
                match context.client.cursor(shard.number, &from).await {
                    Ok(end) => drop(ends.insert(shard.number, end.number())),
                    Err(error) if error.verdict() == Verdict::ShardGone => {}
                    Err(error) => return Err(error),
                }
            }
            context.shared.state().ends = Some(ends);
        }
        self.ends_due = now + OTHERS_LOOK;
        let Some(group) = &self.group else { return Ok(()) };
        let checkpoints = context.client.checkpoints(&group.plan.name, None).await?;
        let mut state = context.shared.state();
        let state = &mut *state;
        let read = |(shard, end): (&u32, &u64)| {
            let here = state.shards.get(shard).and_then(|held| held.handed.as_ref()).map(|handed| handed.next);
            let there = checkpoints.iter().find(|(of, _)| of == shard).map(|(_, cursor)| cursor.number());
            here.max(there).is_some_and(|read| read >= *end)
        };
        state.others_done = state.ends.as_ref().is_some_and(|ends| ends.iter().all(read));
        context.shared.waker.wake();
        Ok(())
    }

    /// Gives up what is to be given up and has arrived.
    async fn hand_over(&mut self) -> Result<(), SlsError> {
        let Some(group) = self.group.as_ref().filter(|_| !self.context.plan.all_shards) else { return Ok(()) };
        for shard in group.membership.giving_up() {
            let done = {
                let state = self.context.shared.state();
                state.is_done(shard, self.arrived(&state))
            };
            match done {
                None => {}
                Some(None) => self.released(shard),
                Some(Some(position)) => {
                    self.save(shard, &position.cursor).await?;
                    self.released(shard);
                }
            }
        }
        Ok(())
    }

    /// The positions that the group may be told.
    fn arrived<'s>(&self, state: &'s State) -> &'s BTreeMap<SourceId, Position> {
        match self.group.as_ref().map(|group| group.plan.checkpoint) {
            Some(SlsCheckpoint::Durable) => &state.durable,
            _ => &state.acknowledged,
        }
    }

    /// Tells the group how far all our shards are.
    async fn checkpoint(&mut self) -> Result<(), SlsError> {
        let moved: Vec<(u32, Cursor)> = {
            let state = self.context.shared.state();
            let arrived = self.arrived(&state);
            let at = |(shard, held): (&u32, &Held)| Some((*shard, arrived.get(&held.source)?.cursor.clone()));
            state.shards.iter().filter_map(at).collect()
        };
        for (shard, cursor) in moved {
            if !self.context.shared.state().shards.contains_key(&shard) {
                continue;
            }
            self.save(shard, &cursor).await?;
            self.heartbeat(Instant::now()).await?;
        }
        if let Some(group) = &mut self.group {
            group.checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
        }
        Ok(())
    }

    /// Tells the group how far a shard is, if that is news. A shard that is not ours any more is let go.
    async fn save(&mut self, shard: u32, cursor: &Cursor) -> Result<(), SlsError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        if group.saved.get(&shard).is_some_and(|saved| *saved >= cursor.number()) {
            return Ok(());
        }
        match self.context.client.checkpoint(&group.plan.name, &group.consumer, shard, cursor).await {
            Ok(()) => {
                group.saved.insert(shard, cursor.number());
                Ok(())
            }
            Err(error) => match error.verdict() {
                Verdict::Lost | Verdict::ShardGone => {
                    tracing::warn!(job = %self.context.job, shard, %error, "the shard is another consumer's now");
                    self.released(shard);
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    /// Tells the group the last word and leaves it.
    async fn end(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
        if self.group.is_none() {
            return;
        }
        // Whoever ends may not wait for what does not answer: the group finds out by itself.
        if let Err(error) = self.checkpoint().await {
            tracing::debug!(job = %self.context.job, %error, "the last checkpoints could not be saved");
            return;
        }
        if let Some(group) = &self.group
            && let Err(error) = self.context.client.heartbeat(&group.plan.name, &group.consumer, &[]).await
        {
            tracing::debug!(job = %self.context.job, %error, "the group could not be left");
        }
    }
}

impl Member {
    /// Three heartbeats at least before the group forgets us.
    fn interval(&self) -> Duration {
        self.plan.heartbeat.min(self.timeout / 3).max(Duration::from_millis(100))
    }
}
