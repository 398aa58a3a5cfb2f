//! The keeper's part in a consumer group: making it or adopting it, heartbeats, hand-overs, checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::client::{GroupInfo, ShardInfo};
use super::cursor::Cursor;
use super::error::{SlsError, Verdict};
use super::keeper::{GROUP_TIMEOUT, Keeper, Member};
use super::lineage;
use super::membership::Orders;
use super::rows::Position;
use super::shared::{Held, Stage, State};
use crate::plan::SlsCheckpoint;
use crate::record::SourceId;

/// Checkpoints move so often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3);

/// The group's settings are looked at so often: other members may write their own over them.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The last heartbeat.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

impl Keeper {
    /// Finds the shards, and the group or makes it.
    pub(super) async fn prepare(&mut self) -> Result<(), SlsError> {
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
        group.look_due = Instant::now() + LOOK_EVERY;
        let (group, consumer) = (&group.plan.name, &group.consumer);
        tracing::info!(job = %self.context.job, %group, %consumer, timeout_seconds = info.timeout, in_order = info.order, "sharing shards");
        Ok(())
    }

    pub(super) async fn heartbeat(&mut self, now: Instant) -> Result<(), SlsError> {
        let Some(group) = self.group.as_mut().filter(|group| now >= group.beat_due) else { return Ok(()) };
        let (name, report) = (&group.plan.name, group.membership.report());
        let within = group.interval() * 2;
        match self.context.client.heartbeat(name, &group.consumer, &report, within).await {
            Ok(assigned) => {
                let orders = group.membership.answered(&assigned, now);
                group.beat_due = now + group.interval();
                self.context.shared.state().lease = Some(now + group.timeout);
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
                if group.membership.is_forgotten(Instant::now(), group.timeout) {
                    tracing::warn!(job = %self.context.job, %error, "no heartbeat was answered for too long: the group has given the shards away");
                    self.forget();
                }
                Err(error)
            }
        }
    }

    /// Every SDK writes its own timeout over the group's when it joins. Ours follows: by a longer one we would think that shards
    /// are ours which the group has given away, and be silent for too long.
    pub(super) async fn look_at_group(&mut self, now: Instant) -> Result<(), SlsError> {
        let Some(group) = self.group.as_mut().filter(|group| now >= group.look_due) else { return Ok(()) };
        let found = self.context.client.groups().await?.into_iter().find(|found| found.name == group.plan.name);
        group.look_due = now + LOOK_EVERY;
        let timeout = found.map(|found| Duration::from_secs(found.timeout.max(1)));
        // One that is deleted is told by the next heartbeat.
        let Some(timeout) = timeout.filter(|timeout| *timeout != group.timeout) else { return Ok(()) };
        tracing::info!(job = %self.context.job, group = %group.plan.name, was_seconds = group.timeout.as_secs(), timeout_seconds = timeout.as_secs(), "another member has changed the group's timeout");
        group.timeout = timeout;
        group.beat_due = group.beat_due.min(now + group.interval());
        let mut state = self.context.shared.state();
        state.lease = state.lease.map(|lease| lease.min(group.membership.heard() + timeout));
        Ok(())
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

    /// Gives up what is to be given up and has arrived.
    pub(super) async fn hand_over(&mut self) -> Result<(), SlsError> {
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
    pub(super) async fn checkpoint(&mut self) -> Result<(), SlsError> {
        let moved: Vec<(u32, Cursor)> = {
            let state = self.context.shared.state();
            let arrived = self.arrived(&state);
            let at = |(shard, held): (&u32, &Held)| Some((*shard, arrived.get(&held.source)?.cursor.clone()));
            state.shards.iter().filter_map(at).collect()
        };
        for (shard, cursor) in moved {
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
        if !self.context.shared.state().is_news(shard, cursor.number()) {
            return Ok(());
        }
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
    pub(super) async fn end(&mut self) {
        self.tasks.values().for_each(tokio::task::AbortHandle::abort);
        if self.group.is_none() {
            return;
        }
        // Whoever ends may not wait for what does not answer: the group finds out by itself.
        if let Err(error) = self.checkpoint().await {
            tracing::debug!(job = %self.context.job, %error, "the last checkpoints could not be saved");
            return;
        }
        if let Some(group) = &self.group
            && let Err(error) =
                self.context.client.heartbeat(&group.plan.name, &group.consumer, &[], LEAVE_WITHIN).await
        {
            tracing::debug!(job = %self.context.job, %error, "the group could not be left");
        }
    }
}

impl Member {
    /// Three heartbeats at least before the group forgets us.
    pub(super) fn interval(&self) -> Duration {
        self.plan.heartbeat.min(self.timeout / 3).max(Duration::from_millis(100))
    }
}
