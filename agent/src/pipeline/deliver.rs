//! The second loop of the walk: what the store owes goes to Elasticsearch, what became of it goes back.
//!
//! One task decides, tries fly beside it. Lanes take turns; one that is parked or only fails is tried outside
//! the usual number of requests, one at a time, so that it costs the others nothing. Nothing is polled: the loop
//! sleeps until the store has something, an answer comes, or a wait is over. When told to stop it abandons what
//! flies at once: ids make sending it again harmless.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::lane::{Lane, Rested};
use super::lane_attempt::{self, Outcome, Shared};
use super::lane_door::Door;
use super::lane_sink::Sink;
pub(crate) use super::lane_status::{Delivery, DeliveryStatus, Parked};
use super::lane_work::Work;
use crate::deliver::{Client, Indices, Refusal};
use crate::metrics::PipelineMetrics;
use crate::plan::ElasticsearchPlan;
use crate::store::{Limit, Owed, StoreError};

/// Lanes that owe nothing are remembered (what became of their last documents) up to so many.
const LANES_KEPT: usize = 256;
/// What is left to say to the store at a stop must be said within this.
const STOP_WITHIN: Duration = Duration::from_millis(600);
/// Should work be overlooked by a start, it is looked at again after this, and not at once for ever.
const NEVER_SPIN: Duration = Duration::from_millis(10);
/// A lane that failed so often in a row is tried one request at a time.
const TROUBLED: u32 = 2;

/// Delivers what `door` owes until `stop` says true (or its sender is gone).
pub(super) async fn deliver<D: Door>(
    door: D,
    plan: ElasticsearchPlan,
    state: Arc<Delivery>,
    metrics: PipelineMetrics,
    mut stop: watch::Receiver<bool>,
) {
    let mut delivering = Delivering::new(door.clone(), plan, state.clone(), metrics);
    delivering.look();
    loop {
        tokio::select! {
            () = delivering.start(Instant::now()) => {}
            () = stopped(&mut stop) => break, // even if the disk is stuck
        }
        delivering.show();
        let wake = delivering.wakes();
        let sleep = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into());
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(landed) = delivering.flights.join_next_with_id() => {
                let Some(outcome) = delivering.landed(landed) else { continue };
                tokio::select! {
                    () = delivering.land(outcome, Instant::now()) => {}
                    () = stopped(&mut stop) => break, // even if the store is stuck
                }
            }
            Some(Ok((index, told, result))) = delivering.receipts.join_next() => delivering.receipt(&index, told, result),
            () = door.changed() => delivering.look(),
            () = state.wake.notified() => delivering.retry_now(Instant::now()),
            () = sleep, if wake.is_some() => {}
        }
    }
    delivering.abandon().await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever wanted the delivery.
    drop(stop.wait_for(|stop| *stop).await);
}

/// What the store was told in a settlement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// How many dead letters.
    pub(super) dead: u64,
    /// A part of some member is still owed.
    pub(super) returns: bool,
}

/// The loop's state.
pub(super) struct Delivering<D> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) lanes: BTreeMap<Arc<str>, Lane>,
    pub(super) sink: Sink,
    pub(super) flights: JoinSet<Outcome>,
    /// What each flight carries, should it never land.
    aboard: HashMap<Id, (Arc<str>, Work)>,
    /// Settlements until they are durable.
    pub(super) receipts: JoinSet<(Arc<str>, Told, Result<(), StoreError>)>,
    /// The lane whose turn it was last.
    turn: Option<Arc<str>>,
    /// Requests in flight and parked lanes, as the gauges have them of this sink.
    counted: [i64; 2],
}

impl<D: Door> Delivering<D> {
    pub(super) fn new(door: D, plan: ElasticsearchPlan, state: Arc<Delivery>, metrics: PipelineMetrics) -> Self {
        let sink = Sink::new(&plan.bulk);
        let owed_at_start = !door.lanes().is_empty();
        let client = Client::new(plan.clone());
        let indices = Indices::default();
        let shared = Shared { door, plan, client, indices, state, metrics, owed_at_start, met: Mutex::default() };
        Delivering {
            shared: Arc::new(shared),
            lanes: BTreeMap::new(),
            sink,
            flights: JoinSet::new(),
            aboard: HashMap::new(),
            receipts: JoinSet::new(),
            turn: None,
            counted: [0; 2],
        }
    }

    /// Asks the store which lanes owe something.
    fn look(&mut self) {
        let owing = self.shared.door.lanes();
        if self.lanes.len() > LANES_KEPT {
            self.lanes.retain(|_, lane| !lane.is_idle());
        }
        let ordered = self.shared.plan.bulk.ordered;
        for owed in owing {
            let lane = self.lanes.entry(owed.index.clone()).or_insert_with(|| Lane::new(owed.index, ordered));
            lane.more = true;
        }
    }

    /// Brings the pipeline's gauges up to date; all its sinks count into the same ones.
    fn count(&mut self, in_flight: usize, parked_lanes: usize) {
        let now = [in_flight as i64, parked_lanes as i64];
        let before = std::mem::replace(&mut self.counted, now);
        let metrics = &self.shared.metrics;
        for ((gauge, now), before) in [&metrics.in_flight, &metrics.parked_lanes].into_iter().zip(now).zip(before) {
            gauge.inc_by(now - before);
        }
    }

    /// Starts all that may start now.
    async fn start(&mut self, now: Instant) {
        if self.sink.parked.is_some() {
            return self.probe_sink(now).await;
        }
        if self.sink.down.is_some_and(|until| until > now) {
            return;
        }
        let order = self.order();
        let busy = order.iter().filter(|index| self.lanes.get(*index).is_some_and(Lane::is_busy)).count();
        let mut started = true;
        while started {
            started = false;
            for index in &order {
                started |= self.start_lane(index, busy, now).await;
            }
        }
    }

    /// The lanes, beginning after the one whose turn it was last.
    fn order(&self) -> Vec<Arc<str>> {
        let after = |index: &&Arc<str>| self.turn.as_ref().is_some_and(|turn| *index > turn);
        let (next, others): (Vec<_>, Vec<_>) = self.lanes.keys().partition(after);
        next.into_iter().chain(others).cloned().collect()
    }

    async fn start_lane(&mut self, index: &Arc<str>, busy: usize, now: Instant) -> bool {
        let max = self.shared.plan.bulk.max_in_flight.max(1);
        let allowed = self.sink.concurrency.limit();
        let Some(lane) = self.lanes.get(index) else { return false };
        let parked = lane.parked.as_ref();
        let probe = parked.is_some() || lane.troubled >= TROUBLED;
        if probe && (lane.flying > 0 || self.sink.probing >= max || parked.is_some_and(|park| park.next > now)) {
            return false;
        }
        // While several lanes have work, none may hold more than half of what may fly.
        let share = if busy > 1 { allowed.div_ceil(2) } else { allowed };
        if !probe && (self.sink.flying >= allowed || lane.flying >= share) {
            return false;
        }
        let expired = self
            .shared
            .plan
            .park_for
            .zip(parked)
            .filter(|(most, park)| !park.is_for_the_store() && park.is_older(*most));
        let bury = expired.map(|(_, park)| park.refusal.clone());
        let limit = match &parked {
            Some(_) if bury.is_none() => Limit { raw_bytes: 1, wire_bytes: 1 }, // one member is enough to try
            _ => self.sink.limit(),
        };
        let Some(work) = self.work(index, limit, now).await else {
            if let Some(park) =
                self.lanes.get_mut(index).and_then(|lane| lane.parked.as_mut()).filter(|_| bury.is_some())
            {
                park.begin_again(now);
            }
            return false;
        };
        self.turn = Some(index.clone());
        let work = if bury.is_none() { self.fitting(index, work) } else { work };
        self.launch(index.clone(), work, probe, bury);
        true
    }

    /// While the sink is parked, one request at a time, from one lane after the other.
    async fn probe_sink(&mut self, now: Instant) {
        let due = self.sink.parked.as_ref().is_some_and(|park| park.next <= now);
        if !due || self.sink.probing + self.sink.flying > 0 {
            return;
        }
        for index in self.order() {
            if let Some(work) = self.work(&index, Limit { raw_bytes: 1, wire_bytes: 1 }, now).await {
                self.turn = Some(index.clone());
                return self.launch(index, work, true, None);
            }
        }
    }

    /// The first part of a work that is not larger than what is known to pass; the other parts wait.
    fn fitting(&mut self, index: &Arc<str>, mut work: Work) -> Work {
        let limit = self.sink.limit();
        let Some(lane) = self.lanes.get_mut(index) else { return work };
        while work.raw_len() > limit.raw_bytes || work.wire_len() > limit.wire_bytes {
            match lane.halve(work) {
                Ok((first, second)) => {
                    lane.waiting.push_front(second);
                    work = first;
                }
                Err(single) => return *single,
            }
        }
        work
    }

    /// Something to send for a lane: what has waited or what the store has, taking turns once it has failed.
    async fn work(&mut self, index: &Arc<str>, limit: Limit, now: Instant) -> Option<Work> {
        let waiting_max = 2 * self.shared.plan.bulk.max_in_flight.max(1);
        let lane = self.lanes.get_mut(index)?;
        if lane.holds() {
            return None;
        }
        if lane.ordered && !lane.waiting.is_empty() {
            return lane.due(now);
        }
        if !lane.retried
            && let Some(work) = lane.due(now)
        {
            lane.retried = work.failures > 0;
            return Some(work);
        }
        lane.retried = false;
        if !lane.more || lane.waiting.len() >= waiting_max || lane.rests_until.is_some_and(|until| until > now) {
            return lane.due(now);
        }
        let members = match take(&self.shared.door, index, limit).await {
            Ok(members) => members,
            Err(error) => {
                self.unreadable(index, &error, now);
                return None;
            }
        };
        if members.is_empty() {
            lane.more = false;
            return lane.due(now);
        }
        Some(lane.take(members))
    }

    /// Sends a work, or makes dead letters of it.
    pub(super) fn launch(&mut self, index: Arc<str>, mut work: Work, probe: bool, bury: Option<Refusal>) {
        work.probe = probe;
        *if probe { &mut self.sink.probing } else { &mut self.sink.flying } += 1;
        if let Some(lane) = self.lanes.get_mut(&index) {
            lane.flying += 1;
        }
        let (shared, aboard) = (self.shared.clone(), (index.clone(), work.clone()));
        let flight = match bury {
            Some(refusal) => self.flights.spawn(lane_attempt::bury(shared, index, work, refusal)),
            None => self.flights.spawn(lane_attempt::attempt(shared, index, work)),
        };
        self.aboard.insert(flight.id(), aboard);
    }

    /// The outcome of a flight. One that broke off (which would be a mistake in this program) is as if the
    /// connection had.
    fn landed(&mut self, landed: Result<(Id, Outcome), JoinError>) -> Option<Outcome> {
        match landed {
            Ok((id, outcome)) => {
                self.aboard.remove(&id);
                Some(outcome)
            }
            Err(error) => {
                tracing::error!(%error, "an attempt to deliver broke off");
                let (index, work) = self.aboard.remove(&error.id())?;
                Some(Outcome::broken(index, work))
            }
        }
    }

    /// When there is something to do although nothing happens.
    fn wakes(&self) -> Option<Instant> {
        let now = Instant::now();
        let waiting_max = 2 * self.shared.plan.bulk.max_in_flight.max(1);
        let idle = self.sink.flying + self.sink.probing == 0;
        let ready = |lane: &Lane| lane.ready(waiting_max, now);
        if let Some(park) = &self.sink.parked {
            let soonest = self.lanes.values().filter_map(ready).min().filter(|_| idle)?;
            return Some(soonest.max(park.next));
        }
        let lanes = self.lanes.values().filter_map(|lane| match &lane.parked {
            Some(park) if lane.flying == 0 => Some(ready(lane)?.max(park.next)),
            Some(_) => None,
            None => ready(lane),
        });
        match self.sink.down {
            Some(until) => lanes.map(|at| at.max(until)).min(),
            // What could start now has been started; what could not waits for a landing.
            None if !idle => lanes.filter(|at| *at > now).min(),
            None => lanes.min().map(|at| at.max(now + NEVER_SPIN)),
        }
    }

    /// An operator wants to see it tried now.
    fn retry_now(&mut self, now: Instant) {
        self.sink.down = None;
        if let Some(park) = &mut self.sink.parked {
            park.next = now;
        }
        for lane in self.lanes.values_mut() {
            if let Some(park) = &mut lane.parked {
                park.next = now;
            }
            lane.rests_until = None;
            lane.waiting.iter_mut().for_each(|work| work.not_before = None);
        }
    }

    /// Brings what `status` shows up to date.
    fn show(&mut self) {
        let flying = self.sink.flying + self.sink.probing;
        let parked = self.lanes.values().filter_map(|lane| Some((lane.index.clone(), lane.parked.as_ref()?.shown())));
        let mut shown = self.shared.state.shown();
        shown.in_flight = flying;
        shown.concurrency = self.sink.concurrency.limit();
        shown.parked = self.sink.parked.as_ref().map(super::lane::Park::shown);
        shown.parked_lanes = parked.collect();
        (shown.max_raw_bytes, shown.max_wire_bytes) = self.sink.learned();
        let parked_lanes = shown.parked_lanes.len();
        drop(shown);
        self.count(flying, parked_lanes);
    }

    /// Gives everything back to the store and ends.
    async fn abandon(mut self) {
        self.flights.abort_all();
        let mut rested = Rested::default();
        self.lanes.values_mut().for_each(|lane| lane.abandon(&mut rested));
        let door = self.shared.door.clone();
        let told = tokio::task::spawn_blocking(move || {
            door.give_back(rested.back);
            if rested.settled.is_empty() { Ok(()) } else { door.settle(rested.settled, rested.dead).map(drop) }
        });
        if let Ok(Ok(Err(error))) = tokio::time::timeout(STOP_WITHIN, told).await {
            tracing::warn!(%error, "the store could not be told what is still owed; it knows from its log");
        }
        self.count(0, 0);
    }
}

/// The next members of a lane. A file that has to be read for that is read on another thread.
async fn take<D: Door>(door: &D, index: &Arc<str>, limit: Limit) -> Result<Vec<Owed>, StoreError> {
    if let Some(members) = door.next_at_hand(index, limit) {
        return Ok(members);
    }
    let (door, index) = (door.clone(), index.clone());
    let taken = tokio::task::spawn_blocking(move || door.next(&index, limit)).await;
    taken.unwrap_or(Err(StoreError::Stopped))
}
