//! A consumer's side of a group: which shards it works on, which it is told to take and to give up.
//!
//! The service decides who holds which shard; each heartbeat says which shards a consumer still works on, and the
//! answer which it shall work on. Promises: pure (no I/O, no clock); a shard stays in the heartbeats until its hand-over
//! is done, so nobody else gets it before; whoever was silent for longer than the group's patience holds nothing any
//! more. Does not read anything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What an answer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Begin to work on these.
    pub(super) take: Vec<u32>,
    /// Finish with these, and say so by [`Membership::released`].
    pub(super) give_up: Vec<u32>,
    /// These were to be given up and are ours again.
    pub(super) keep: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Membership {
    /// Worked on, those to be given up included.
    working: BTreeSet<u32>,
    giving_up: BTreeSet<u32>,
    /// What the last answer said, whether obeyed or not.
    assigned: BTreeSet<u32>,
    heard: Instant,
}

impl Membership {
    pub(super) fn new(now: Instant) -> Membership {
        let empty = BTreeSet::new();
        Membership { working: empty.clone(), giving_up: empty.clone(), assigned: empty, heard: now }
    }

    /// The shards that the next heartbeat names.
    pub(super) fn report(&self) -> Vec<u32> {
        self.working.iter().copied().collect()
    }

    pub(super) fn giving_up(&self) -> Vec<u32> {
        self.giving_up.iter().copied().collect()
    }

    pub(super) fn assigned(&self) -> &BTreeSet<u32> {
        &self.assigned
    }

    /// When the last heartbeat was sent that was answered.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Takes over an answer to a heartbeat that was sent at `sent`.
    pub(super) fn answered(&mut self, assigned: &[u32], sent: Instant) -> Orders {
        self.heard = sent;
        self.assigned = assigned.iter().copied().collect();
        let mut orders = Orders::default();
        for shard in &self.assigned {
            if self.working.insert(*shard) {
                orders.take.push(*shard);
            } else if self.giving_up.remove(shard) {
                orders.keep.push(*shard);
            }
        }
        for shard in self.working.difference(&self.assigned) {
            if self.giving_up.insert(*shard) {
                orders.give_up.push(*shard);
            }
        }
        orders
    }

    /// The shard was handed over (or is gone, or was lost): heartbeats name it no more.
    pub(super) fn released(&mut self, shard: u32) {
        self.working.remove(&shard);
        self.giving_up.remove(&shard);
    }

    /// The group has given our shards away by now: no answer came for longer than `patience`.
    pub(super) fn is_forgotten(&self, now: Instant, patience: Duration) -> bool {
        !self.working.is_empty() && now.saturating_duration_since(self.heard) > patience
    }

    /// Nothing is ours any more.
    pub(super) fn forget(&mut self, now: Instant) -> Vec<u32> {
        let lost = self.report();
        *self = Membership::new(now);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(take: &[u32], give_up: &[u32], keep: &[u32]) -> Orders {
        Orders { take: take.to_vec(), give_up: give_up.to_vec(), keep: keep.to_vec() }
    }

    #[test]
    fn a_shard_is_named_until_its_hand_over_is_done() {
        let now = Instant::now();
        let mut group = Membership::new(now);
        assert_eq!(group.report(), [0_u32; 0]);
        assert_eq!(group.answered(&[0, 1], now), orders(&[0, 1], &[], &[]));
        assert_eq!(group.answered(&[0, 1], now), Orders::default());
        assert_eq!(group.answered(&[1, 2], now), orders(&[2], &[0], &[]));
        assert_eq!(group.report(), [0, 1, 2], "0 is still worked on");
        assert_eq!(group.answered(&[1, 2], now), Orders::default(), "and is told of once");
        group.released(0);
        assert_eq!((group.report(), group.giving_up()), (vec![1, 2], vec![]));
        assert_eq!(group.answered(&[0, 1, 2], now), orders(&[0], &[], &[]), "it may come back");
    }

    #[test]
    fn a_shard_that_comes_back_before_it_is_handed_over_is_kept() {
        let now = Instant::now();
        let mut group = Membership::new(now);
        group.answered(&[0], now);
        assert_eq!(group.answered(&[], now), orders(&[], &[0], &[]));
        assert_eq!(group.answered(&[0], now), orders(&[], &[], &[0]));
        assert_eq!(group.giving_up(), [0_u32; 0]);
    }

    #[test]
    fn who_is_not_heard_of_for_too_long_holds_nothing() {
        let now = Instant::now();
        let mut group = Membership::new(now);
        let patience = Duration::from_secs(65);
        assert!(!group.is_forgotten(now + patience * 2, patience), "who holds nothing loses nothing");
        group.answered(&[0, 1], now);
        assert!(!group.is_forgotten(now + patience, patience));
        assert!(group.is_forgotten(now + patience + Duration::from_secs(1), patience));
        assert_eq!(group.forget(now), [0, 1]);
        assert_eq!(group.report(), [0_u32; 0], "the next heartbeat asks anew");
    }
}
