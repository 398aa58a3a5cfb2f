//! The keeper of a source: which shards are ours, who fetches them, how far the group is told that we are.
//!
//! Promises: with a group, nothing is fetched of a shard that is not ours by the group's last word, and a shard is
//! given up only when all that was handed out of it has arrived; checkpoints never run ahead of that, and never go
//! over the head of another owner. Heartbeats wait for no shard. Ends within a second when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::client::ShardInfo;
use super::error::{Backoff, SlsError, Verdict};
use super::fetch::{self, Context, SLOW, random};
use super::lineage;
use super::membership::Membership;
use super::probe;
use super::rows::source_id;
use super::shared::{Held, Stage};
use crate::plan::SlsGroup;
use crate::record::{Row, SourceId};

/// What a group gets that we make.
pub(super) const GROUP_TIMEOUT: u64 = 60;
/// The keeper looks at everything so often if nobody wakes it.
const TURN: Duration = Duration::from_millis(500);
/// After failures.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));
/// A shard that the service did not know is asked for again so late.
const GONE_AGAIN: Duration = Duration::from_secs(10);

pub(super) struct Keeper {
    pub(super) context: Arc<Context>,
    pub(super) group: Option<Member>,
    /// As the service listed them last.
    pub(super) listed: Vec<ShardInfo>,
    pub(super) tasks: BTreeMap<u32, AbortHandle>,
    pub(super) list_due: Instant,
    pub(super) ends_due: Instant,
    pub(super) retry: Backoff,
}

/// Our part in a group.
pub(super) struct Member {
    pub(super) plan: SlsGroup,
    pub(super) consumer: String,
    pub(super) membership: Membership,
    /// The group forgets whoever is silent for so long.
    pub(super) timeout: Duration,
    pub(super) beat_due: Instant,
    pub(super) look_due: Instant,
    pub(super) checkpoint_due: Instant,
    /// What the group was told, by shard.
    pub(super) saved: BTreeMap<u32, u64>,
}

/// Runs until the source is closed.
pub(super) async fn run(context: Arc<Context>) {
    let now = Instant::now();
    let group = context.plan.group.clone().map(|plan| Member {
        plan,
        consumer: context.consumer.clone(),
        membership: Membership::new(now),
        timeout: Duration::from_secs(GROUP_TIMEOUT),
        beat_due: now,
        look_due: now,
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
        let text = probe::explained(&self.context.plan, error);
        let stuck = matches!(error.verdict(), Verdict::Login | Verdict::Fatal);
        let known = self.context.shared.state().problem.replace((text.clone(), stuck));
        if known.is_none_or(|(known, _)| known != text) {
            tracing::warn!(job = %self.context.job, error = %text, "the Logstore can't be reached; it is tried again");
        }
        self.context.shared.waker.wake();
        match error.verdict() {
            Verdict::Login if fetch::refresh(&self.context).await => Duration::ZERO,
            Verdict::Login | Verdict::Fatal => self.patience().unwrap_or(SLOW),
            Verdict::Skewed => Duration::from_millis(100),
            _ => self.retry.next(random()).min(self.patience().unwrap_or(SLOW)),
        }
    }

    /// Whoever is in a group must not be silent for long.
    fn patience(&self) -> Option<Duration> {
        self.group.as_ref().map(|group| group.interval())
    }

    async fn turn(&mut self) -> Result<(), SlsError> {
        if std::mem::take(&mut self.context.shared.state().set_back) {
            self.begin_again();
        }
        let now = Instant::now();
        self.heartbeat(now).await?;
        self.look_at_group(now).await?;
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

    pub(super) async fn list(&mut self) -> Result<(), SlsError> {
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
                // made anew under its old number (a query with state waits for its operator)
                held.gone |= held.source != self.id(shard) && !context.plan.all_shards;
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
            state.marks.remove(&id);
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

    /// Nothing is ours any more.
    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        if let Some(group) = &mut self.group {
            group.membership.forget(now);
            group.saved.clear();
            (group.beat_due, group.look_due) = (now, now);
        }
        self.tasks.values().for_each(AbortHandle::abort);
        self.tasks.clear();
        self.context.shared.state().shards.clear();
        self.context.shared.waker.wake();
    }

    /// Positions were set back: all that is ours is begun again from them.
    fn begin_again(&mut self) {
        if let Some(group) = &mut self.group {
            group.saved.clear();
        }
        let shards: Vec<u32> = self.tasks.keys().copied().collect();
        shards.into_iter().for_each(|shard| self.stop_task(shard));
        let mut state = self.context.shared.state();
        let giving_up: Vec<u32> =
            state.shards.iter().filter(|(_, held)| held.stage == Stage::GivingUp).map(|(shard, _)| *shard).collect();
        state.shards.clear();
        drop(state);
        giving_up.into_iter().for_each(|shard| self.released(shard));
    }

    pub(super) fn stop_task(&mut self, shard: u32) {
        if let Some(task) = self.tasks.remove(&shard) {
            task.abort();
        }
    }

    pub(super) fn released(&mut self, shard: u32) {
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
        let mut state = self.context.shared.state();
        self.context.metrics.files.set(state.shards.len() as i64);
        state.ready |= !state.shards.is_empty() && state.shards.values().all(|held| held.stage != Stage::Starting);
        drop(state);
        self.context.shared.waker.wake();
    }

    /// Shards that the service has deleted; those that it only did not find for once are tried again.
    fn drop_gone(&mut self) {
        let gone: Vec<(u32, SourceId, bool)> = {
            let state = self.context.shared.state();
            let gone = state.shards.iter().filter(|(_, held)| held.gone && held.queue.is_empty());
            gone.map(|(shard, held)| (*shard, held.source, held.caught_up)).collect()
        };
        for (shard, source, caught_up) in gone {
            let listed = self.listed.iter().find(|listed| listed.number == shard);
            if listed.is_some_and(|listed| self.id(listed) == source) {
                self.list_due = self.list_due.min(Instant::now() + GONE_AGAIN);
            } else {
                // Nothing of it is waited for any more.
                if let Some(ends) = &mut self.context.shared.state().ends {
                    ends.remove(&shard);
                }
                if caught_up {
                    tracing::info!(job = %self.context.job, shard, "the service has deleted a shard that was read to its end");
                } else {
                    self.context.metrics.deleted_shards.inc();
                    tracing::error!(job = %self.context.job, shard, "the service has deleted a shard: what it had and was not read is lost");
                }
            }
            self.released(shard);
        }
    }
}
