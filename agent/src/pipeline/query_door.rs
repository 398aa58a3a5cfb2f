//! What one sink of a query owes: the members in the store's lanes that are its own, and the documents of its upsert
//! streams. Delivery walks through it as through the store's own door.
//!
//! Promises: a dead letter of an upsert is durable before its document counts as delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lane_door::Door;
use super::upserts::{OURS, Upserts};
use super::versions::Clock;
use crate::record::DeadLetter;
use crate::store::{self, Lane, Limit, Owed, Receipt, Settled, StoreError};

pub(super) struct QueryDoor {
    pub(super) store: store::Pipeline,
    /// `None`: the script has no state.
    pub(super) upserts: Option<Arc<Upserts>>,
    /// What the names of this sink's lanes begin with.
    pub(super) prefix: Arc<str>,
    /// Where the versions of its documents come from.
    pub(super) clock: Arc<Clock>,
    /// The change of `upserts` that this door has told of last.
    pub(super) seen: AtomicU64,
}

impl Clone for QueryDoor {
    fn clone(&self) -> QueryDoor {
        QueryDoor {
            store: self.store.clone(),
            upserts: self.upserts.clone(),
            prefix: self.prefix.clone(),
            clock: self.clock.clone(),
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
        }
    }
}

impl QueryDoor {
    fn own(&self, lane: Lane) -> Option<Lane> {
        let index = lane.index.strip_prefix(&*self.prefix)?.into();
        Some(Lane { index, ..lane })
    }

    fn lane(&self, index: &str) -> String {
        format!("{}{index}", self.prefix)
    }
}

impl Door for QueryDoor {
    fn lanes(&self) -> Vec<Lane> {
        let mut lanes = self.store.lanes();
        for lane in self.upserts.iter().flat_map(|upserts| upserts.lanes()) {
            match lanes.iter_mut().find(|known| known.index == lane.index) {
                Some(known) => (known.items, known.bytes) = (known.items + lane.items, known.bytes + lane.bytes),
                None => lanes.push(lane),
            }
        }
        lanes.into_iter().filter_map(|lane| self.own(lane)).collect()
    }

    fn next(&self, index: &str, limit: Limit) -> Result<Vec<Owed>, StoreError> {
        let lane = self.lane(index);
        let stored = self.store.next(&lane, limit)?;
        Ok(match &self.upserts {
            Some(upserts) if stored.is_empty() => upserts.next(&lane, limit),
            _ => stored,
        })
    }

    /// Documents are in memory, but making a member of them takes its time: not for an async thread either.
    fn next_at_hand(&self, index: &str, limit: Limit) -> Option<Vec<Owed>> {
        let stored = self.store.next_at_hand(&self.lane(index), limit)?;
        let more = self.upserts.as_ref().is_some_and(|upserts| upserts.owes(&self.lane(index)));
        (!stored.is_empty() || !more).then_some(stored)
    }

    fn read(&self, owed: &Owed) -> Result<Vec<u8>, StoreError> {
        match &self.upserts {
            Some(upserts) if owed.seq & OURS != 0 => {
                upserts.read(owed.seq).ok_or(StoreError::Damaged { seq: owed.seq, member: owed.member })
            }
            _ => self.store.read(owed),
        }
    }

    fn give_back(&self, owed: Vec<Owed>) {
        let (ours, stored): (Vec<Owed>, Vec<Owed>) = owed.into_iter().partition(|owed| owed.seq & OURS != 0);
        for owed in ours {
            self.upserts.iter().for_each(|upserts| upserts.give_back(&owed));
        }
        if !stored.is_empty() {
            self.store.give_back(stored);
        }
    }

    /// Blocks until dead letters of upserts are durable.
    fn settle(&self, settled: Vec<Settled>, mut dead: Vec<DeadLetter>) -> Result<Receipt, StoreError> {
        dead.iter_mut().for_each(|letter| letter.index = self.lane(&letter.index));
        let (ours, stored): (Vec<Settled>, Vec<Settled>) = settled.into_iter().partition(|s| s.seq & OURS != 0);
        let Some(upserts) = self.upserts.as_ref().filter(|_| !ours.is_empty()) else {
            return self.store.settle(stored, dead);
        };
        let kept =
            if dead.is_empty() && stored.is_empty() { Ok(()) } else { store::wait(self.store.settle(stored, dead)?) };
        for settled in ours {
            match &kept {
                Ok(()) => upserts.settle(settled.seq, settled.still_owed.as_ref()),
                Err(_) => upserts.keep(settled.seq),
            }
        }
        let (said, receipt) = tokio::sync::oneshot::channel();
        drop(said.send(kept)); // we hold the other end
        Ok(receipt)
    }

    async fn changed(&self) {
        match &self.upserts {
            Some(upserts) => tokio::select! {
                () = self.store.changed() => {}
                () = upserts.changed(&self.seen) => {}
            },
            None => self.store.changed().await,
        }
    }

    fn issued(&self) -> u64 {
        self.clock.issued()
    }

    fn overtake(&self, version: u64) {
        self.clock.overtake(version);
    }
}
