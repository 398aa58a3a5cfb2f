//! One lane, (pipeline, index): what of it is held in memory, waits, flies, or is parked.
//!
//! Knows the store's members that are handed out to it and what is still owed of each; sends nothing, reads no
//! clock. A member is settled when all its pieces have come to rest, so a half of it is never handed out twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lane_guard::Guard;
use super::lane_status::Parked;
use super::lane_work::{Key, Piece, Work};
use crate::deliver::{Backoff, Refusal};
use crate::record::{Bitmap, DeadLetter, Timestamp};
use crate::store::{Owed, Settled};

/// Something parked is tried again after so long, growing.
const PARK_FIRST: Duration = Duration::from_secs(1);
const PARK_MAX: Duration = Duration::from_secs(30);

/// Kind of a park that the store is the reason for.
pub(super) const STORE: &str = "store";

/// Why something is parked, and when it is tried again.
#[derive(Debug)]
pub(super) struct Park {
    pub(super) refusal: Refusal,
    pub(super) since: Timestamp,
    pub(super) next: Instant,
    backoff: Backoff,
}

impl Park {
    pub(super) fn new(refusal: Refusal, now: Instant) -> Park {
        let mut backoff = Backoff::new(PARK_FIRST, PARK_MAX);
        Park { refusal, since: Timestamp::now(), next: now + backoff.next(), backoff }
    }

    /// Another try has failed.
    pub(super) fn again(&mut self, refusal: Refusal, now: Instant) {
        self.refusal = refusal;
        self.next = now + self.backoff.next();
    }

    /// Another try brought no verdict.
    pub(super) fn later(&mut self, wait: Option<Duration>, now: Instant) {
        self.next = now + wait.unwrap_or_else(|| self.backoff.next());
    }

    /// Because the store does not take dead letters: an answer that makes some is no sign that it does now.
    pub(super) fn is_for_the_store(&self) -> bool {
        self.refusal.kind == STORE
    }

    pub(super) fn is_older(&self, than: Duration) -> bool {
        Timestamp::now().0.saturating_sub(self.since.0) >= than.as_millis() as i64
    }

    /// What was there when `park_for` was over has been buried; what comes now waits as long again.
    pub(super) fn begin_again(&mut self, now: Instant) {
        self.since = Timestamp::now();
        self.next = now + self.backoff.next();
    }

    pub(super) fn shown(&self) -> Parked {
        let Refusal { kind, reason, .. } = self.refusal.clone();
        Parked { kind, reason, since: self.since }
    }
}

/// A member that is handed out.
#[derive(Debug)]
struct Held {
    owed: Arc<Owed>,
    /// What is still owed of it.
    left: Bitmap,
    /// Dead letters of its documents, not settled yet.
    dead: Vec<DeadLetter>,
    /// Its pieces in waiting and flying works.
    pieces: u32,
    sent: bool,
}

/// What came to rest and must be told to the store.
#[derive(Debug, Default)]
pub(super) struct Rested {
    pub(super) settled: Vec<Settled>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) back: Vec<Owed>,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) index: Arc<str>,
    /// The store may have members that are not handed out.
    pub(super) more: bool,
    pub(super) waiting: VecDeque<Work>,
    pub(super) flying: usize,
    pub(super) parked: Option<Park>,
    pub(super) guard: Guard,
    /// Answers so far in which nothing was wrong with the lane.
    pub(super) passes: u64,
    /// Answers in a row that said nothing for long or only failed: no reason to spend the others' turns on it.
    pub(super) troubled: u32,
    /// What was sent last had failed before: something fresh goes first now.
    pub(super) retried: bool,
    /// No new members are taken before this.
    pub(super) rests_until: Option<Instant>,
    /// Nothing is sent before what is older.
    pub(super) ordered: bool,
    /// Settlements under way that give a part back, which is older than what comes next.
    pub(super) returning: u32,
    held: HashMap<Key, Held>,
    /// Members given back after they may have reached the cluster.
    sent: std::collections::HashSet<Key>,
}

impl Lane {
    pub(super) fn new(index: Arc<str>, ordered: bool) -> Lane {
        Lane {
            index,
            more: true,
            waiting: VecDeque::new(),
            flying: 0,
            parked: None,
            guard: Guard::default(),
            passes: 0,
            troubled: 0,
            retried: false,
            rests_until: None,
            ordered,
            returning: 0,
            held: HashMap::new(),
            sent: std::collections::HashSet::new(),
        }
    }

    /// Nothing here that the store does not know.
    pub(super) fn is_idle(&self) -> bool {
        let sending = self.flying > 0 || self.returning > 0 || !self.waiting.is_empty();
        !sending && self.parked.is_none() && self.held.is_empty()
    }

    /// It has something to send or in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.flying > 0 || self.more || !self.waiting.is_empty()
    }

    pub(super) fn is_parked_for_the_store(&self) -> bool {
        self.parked.as_ref().is_some_and(Park::is_for_the_store)
    }

    /// Members from the store become a work.
    pub(super) fn take(&mut self, members: Vec<Owed>) -> Work {
        let pieces = members.into_iter().map(|owed| {
            let key = (owed.seq, owed.member);
            let sent = owed.sent_before || self.sent.remove(&key);
            let owed = Arc::new(owed);
            let left = owed.owed.clone().unwrap_or_else(|| Bitmap::all(owed.items));
            self.held.insert(key, Held { owed: owed.clone(), left, dead: Vec::new(), pieces: 1, sent });
            Piece { items: owed.owed.clone(), owed, sent }
        });
        Work::new(pieces.collect())
    }

    /// Nothing may be sent before something older has come to rest.
    pub(super) fn holds(&self) -> bool {
        self.ordered && (self.flying > 0 || self.returning > 0)
    }

    /// To be sent again later.
    pub(super) fn wait(&mut self, work: Work) {
        if self.ordered { self.waiting.push_front(work) } else { self.waiting.push_back(work) }
    }

    /// The due work that has waited longest.
    pub(super) fn due(&mut self, now: Instant) -> Option<Work> {
        if self.ordered && !self.waiting.front()?.due(now) {
            return None;
        }
        let at = self.waiting.iter().position(|work| work.due(now))?;
        self.waiting.remove(at)
    }

    /// When there is something to send: now or later. `None`: nothing that is not in flight.
    pub(super) fn ready(&self, waiting_max: usize, now: Instant) -> Option<Instant> {
        if self.holds() {
            return None;
        }
        if let Some(oldest) = self.waiting.front().filter(|_| self.ordered) {
            return Some(oldest.not_before.unwrap_or(now));
        }
        let waiting = self.waiting.iter().map(|work| work.not_before.unwrap_or(now)).min();
        let more = self.more && self.waiting.len() < waiting_max;
        waiting.into_iter().chain(more.then(|| self.rests_until.unwrap_or(now))).min()
    }

    /// A work in two halves; a single document comes back.
    pub(super) fn halve(&mut self, work: Work) -> Result<(Work, Work), Box<Work>> {
        let split = work.pieces.len() == 1;
        let key = work.pieces.first().map(Piece::key);
        let halves = work.halves()?;
        if let Some(held) = key.filter(|_| split).and_then(|key| self.held.get_mut(&key)) {
            held.pieces += 1;
        }
        Ok(halves)
    }

    /// The documents of `piece` but those in `left` are done or dead. Gives the piece that is left, if any.
    pub(super) fn finish(
        &mut self,
        piece: Piece,
        left: Option<Bitmap>,
        dead: Vec<DeadLetter>,
        rested: &mut Rested,
    ) -> Option<Piece> {
        let left = left.filter(|left| !left.is_empty());
        let held = self.held.get_mut(&piece.key())?;
        if piece.items.is_none() && left.is_none() {
            held.left = Bitmap::none(held.left.len());
        } else {
            let keep = |i: &u32| left.as_ref().is_some_and(|left| left.get(*i));
            piece.numbers().iter().filter(|i| !keep(i)).for_each(|i| held.left.clear(*i));
        }
        held.dead.extend(dead);
        if let Some(left) = left {
            return Some(Piece { items: Some(left), ..piece });
        }
        self.rest(&piece, rested);
        None
    }

    /// Pieces are not held on to any longer; what is left of their members goes back to the store. Where order counts
    /// so does all that waits behind them.
    pub(super) fn release(&mut self, pieces: Vec<Piece>, rested: &mut Rested) {
        self.let_go(pieces, rested);
        if self.ordered {
            self.release_waiting(rested);
        }
    }

    fn let_go(&mut self, pieces: Vec<Piece>, rested: &mut Rested) {
        for piece in pieces {
            if let Some(held) = self.held.get_mut(&piece.key()) {
                held.sent |= piece.sent;
            }
            self.rest(&piece, rested);
        }
    }

    /// Dead letters that wait for the rest of their member make it rest now, if it can.
    pub(super) fn has_dead(&self, work: &Work) -> bool {
        work.pieces.iter().any(|piece| self.held.get(&piece.key()).is_some_and(|held| !held.dead.is_empty()))
    }

    /// A member whose stored bytes are damaged: the store has taken care of it.
    pub(super) fn forget(&mut self, key: Key) {
        self.held.remove(&key);
    }

    /// All waiting works go back to the store.
    pub(super) fn release_waiting(&mut self, rested: &mut Rested) {
        for work in std::mem::take(&mut self.waiting) {
            self.let_go(work.pieces, rested);
        }
        self.more = true;
    }

    /// Everything goes back to the store, what flies as perhaps sent.
    pub(super) fn abandon(&mut self, rested: &mut Rested) {
        self.release_waiting(rested);
        for (_, held) in self.held.drain() {
            rest_one(held, true, rested);
        }
    }

    fn rest(&mut self, piece: &Piece, rested: &mut Rested) {
        let key = piece.key();
        let Some(held) = self.held.get_mut(&key) else { return };
        held.pieces = held.pieces.saturating_sub(1);
        if held.pieces == 0
            && let Some(held) = self.held.remove(&key)
        {
            let sent = held.sent && !held.owed.sent_before;
            if rest_one(held, false, rested) && sent {
                self.sent.insert(key);
            }
        }
    }
}

/// Tells the store what became of a member; `true` if it was given back as it came.
fn rest_one(held: Held, flying: bool, rested: &mut Rested) -> bool {
    let handed_out = held.owed.owed.as_ref().map_or(held.owed.items, Bitmap::count);
    let untouched = held.left.count() == handed_out && held.dead.is_empty();
    // What flies may arrive: the store is to remember that, unless it does already.
    if untouched && (!flying || held.owed.sent_before) {
        rested.back.push(Owed::clone(&held.owed));
        return true;
    }
    rested.dead.extend(held.dead);
    let still_owed = (!held.left.is_empty()).then_some(held.left);
    rested.settled.push(Settled { seq: held.owed.seq, member: held.owed.member, still_owed });
    false
}
