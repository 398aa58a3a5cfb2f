//! What an upsert stream owes: of each document only the newest, in memory, until Elasticsearch has it.
//!
//! The query's state is what is durable; this can be made from it again. Promises: a document is handed out only
//! when the commit that made it is durable; of one document at most one version is in flight; a newer version takes
//! the place of one that waits; [`Upserts::delivered`] never runs ahead of what has arrived. So a day without a
//! cluster owes as many documents as there are keys. What there is no room for is left to the state: only the step of
//! the first such change is kept, and a walk through the state gives its rows again when there is room.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::versions::{Clock, ClockMark};
use crate::record::{Bitmap, gzip};
use crate::store::{Lane, Limit, Owed};

/// Added to the numbers of members that are made here, so that they are not taken for the store's.
pub(super) const OURS: u64 = 1 << 63;
/// A member is closed when it has so many bytes before compression.
const MEMBER_BYTES: usize = 2 << 20;
/// What a document costs in memory beside its bytes.
const OVERHEAD: u64 = 160;
/// What documents may take in memory altogether, about.
pub(super) const MEMORY: u64 = 32 << 20;

/// One document as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) index: Arc<str>,
    pub(super) id: Box<str>,
    /// Action and document as two lines, or the one line of a delete, each with its newline.
    pub(super) item: Box<[u8]>,
}

impl Document {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.item.len() as u64 + OVERHEAD
    }
}

/// The documents that a pipeline's upsert streams owe. Shared by its two loops.
#[derive(Debug)]
pub(super) struct Upserts {
    state: Mutex<State>,
    /// gzip level.
    level: u32,
    /// Bytes that may be taken, about.
    most: u64,
    /// Counts what a sleeping sender wants to hear of.
    changes: tokio::sync::watch::Sender<u64>,
    clock: Arc<Clock>,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<Arc<str>, Waiting>,
    /// What is committed but not durable yet, oldest first.
    coming: VecDeque<Coming>,
    /// What a walk through the state is to give, and what came to that since it began.
    left: Option<Left>,
    later: Option<Left>,
    walking: bool,
    /// Members that are handed out, by number.
    taken: HashMap<u64, Taken>,
    /// How many owed documents have their first undelivered change in this step.
    firsts: BTreeMap<u64, u64>,
    /// The last step that is durable.
    durable: u64,
    bytes: u64,
    members: u64,
}

/// Documents of one step.
#[derive(Debug)]
struct Coming {
    /// They may leave when this step is durable.
    step: u64,
    /// Their first undelivered change is in this step.
    first: u64,
    documents: Vec<Document>,
}

/// Rows that are owed but are not here.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// All were changed in this step or later.
    first: u64,
    /// At most so many.
    rows: u64,
}

/// The documents of one index that are not handed out, in the order in which their first change came.
#[derive(Debug, Default)]
struct Waiting {
    documents: HashMap<Box<str>, Entry>,
    order: VecDeque<Box<str>>,
    /// Documents of which a version is handed out.
    out: HashSet<Box<str>>,
    /// Of those, how many have changed since and wait, too. They are owed once.
    both: usize,
    /// Of `documents`.
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The step of its first change that has not arrived.
    first: u64,
    item: Box<[u8]>,
}

#[derive(Debug)]
struct Taken {
    index: Arc<str>,
    body: Vec<u8>,
    documents: Vec<(Box<str>, Entry)>,
}

impl Upserts {
    /// `delivered`: the step up to which everything had arrived when the last process wrote it down.
    pub(super) fn new(level: u32, most: u64, delivered: u64, clock: ClockMark) -> Upserts {
        let state = State { durable: delivered, ..State::default() };
        let (changes, clock) = (tokio::sync::watch::Sender::new(0), Arc::new(Clock::new(clock)));
        Upserts { state: Mutex::new(state), level, most, changes, clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the versions of the documents come from.
    pub(super) fn clock(&self) -> Arc<Clock> {
        self.clock.clone()
    }

    /// Bytes of documents that there is room for.
    pub(super) fn room(&self) -> u64 {
        self.most.saturating_sub(self.state().bytes)
    }

    /// A step has been committed; its documents wait until it is durable.
    pub(super) fn committed(&self, step: u64, documents: Vec<Document>) {
        self.state().comes(Coming { step, first: step, documents });
    }

    /// For so many rows that a step changed there is no room.
    pub(super) fn leave(&self, step: u64, rows: u64) {
        let mut state = self.state();
        let place = if state.walking { &mut state.later } else { &mut state.left };
        let left = place.get_or_insert(Left { first: step, rows: 0 });
        left.rows += rows;
    }

    /// A walk through the state is wanted, and there is room for what it gives.
    pub(super) fn wants_walk(&self) -> bool {
        let state = self.state();
        state.left.is_some() && state.bytes <= self.most / 2
    }

    /// Begins a walk, or goes on with it: the rows are wanted that changed behind this step.
    pub(super) fn walk(&self) -> Option<u64> {
        let mut state = self.state();
        let left = state.left?;
        state.walking = true;
        Some(left.first.saturating_sub(1))
    }

    /// A piece of what the walk gave, as the rows are in `step`.
    pub(super) fn again(&self, step: u64, documents: Vec<Document>) {
        let mut state = self.state();
        let Some(left) = &mut state.left else { return };
        left.rows = left.rows.saturating_sub(documents.len() as u64);
        let first = left.first;
        state.comes(Coming { step, first, documents });
    }

    /// The walk has seen the whole state.
    pub(super) fn walked(&self) {
        let mut state = self.state();
        (state.walking, state.left) = (false, state.later.take());
    }

    /// Rows that are owed beside what `lanes` tells, at most.
    pub(super) fn left(&self) -> u64 {
        let state = self.state();
        state.left.iter().chain(&state.later).map(|left| left.rows.max(1)).sum()
    }

    /// All steps up to this one are durable: their documents may leave.
    pub(super) fn durable(&self, step: u64) {
        let mut state = self.state();
        while state.coming.front().is_some_and(|coming| coming.step <= step) {
            if let Some(Coming { first, documents, .. }) = state.coming.pop_front() {
                documents.into_iter().for_each(|document| state.add(first, document));
            }
        }
        state.durable = state.durable.max(step);
        drop(state);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Everything that was changed in steps up to this one has arrived.
    pub(super) fn delivered(&self) -> u64 {
        let state = self.state();
        let first = state.firsts.keys().next().copied().into_iter().chain(state.left.map(|left| left.first)).min();
        first.map_or(state.durable, |first| state.durable.min(first.saturating_sub(1)))
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    pub(super) fn lanes(&self) -> Vec<Lane> {
        let state = self.state();
        let mut lanes: BTreeMap<&Arc<str>, (u64, u64)> = BTreeMap::new();
        for (index, waiting) in &state.lanes {
            let items = waiting.documents.len() + waiting.out.len() - waiting.both;
            lanes.insert(index, (items as u64, waiting.bytes));
        }
        for taken in state.taken.values() {
            lanes.entry(&taken.index).or_default().1 += taken.body.len() as u64;
        }
        let owing = lanes.into_iter().filter(|(_, (items, _))| *items > 0);
        owing.map(|(index, (items, bytes))| Lane { index: index.clone(), items, bytes }).collect()
    }

    /// Something of `index` waits.
    pub(super) fn owes(&self, index: &str) -> bool {
        self.state().lanes.get(index).is_some_and(|waiting| !waiting.documents.is_empty())
    }

    /// Makes a member of documents of `index` that wait and of which none is out; nothing if there are none.
    pub(super) fn next(&self, index: &str, limit: Limit) -> Vec<Owed> {
        let mut state = self.state();
        let Some(waiting) = state.lanes.get_mut(index) else { return Vec::new() };
        let most = usize::try_from(limit.raw_bytes).unwrap_or(usize::MAX).min(MEMBER_BYTES);
        let (mut raw, mut documents, mut later) = (Vec::new(), Vec::new(), VecDeque::new());
        while let Some(id) = waiting.order.pop_front() {
            if waiting.out.contains(&id) {
                later.push_back(id);
                continue;
            }
            let Some(entry) = waiting.documents.get(&id) else { continue };
            if !raw.is_empty() && raw.len() + entry.item.len() > most {
                later.push_back(id);
                break;
            }
            raw.extend_from_slice(&entry.item);
            let Some(entry) = waiting.documents.remove(&id) else { continue };
            waiting.bytes -= entry.item.len() as u64;
            waiting.out.insert(id.clone());
            documents.push((id, entry));
        }
        later.into_iter().rev().for_each(|id| waiting.order.push_front(id));
        let index: Arc<str> = index.into();
        let body = match gzip::compress(&raw, self.level) {
            Ok(body) if !documents.is_empty() => body,
            _ => {
                documents.into_iter().for_each(|(id, entry)| state.put_back(&index, id, entry));
                return Vec::new();
            }
        };
        state.members += 1;
        let seq = OURS | state.members;
        let owed = Owed {
            seq,
            member: 0,
            items: documents.len() as u32,
            raw_len: raw.len() as u32,
            gzip_len: body.len() as u32,
            owed: None,
            // An earlier process may have sent them; versions see to it that it makes no difference.
            sent_before: true,
        };
        state.taken.insert(seq, Taken { index, body, documents });
        vec![owed]
    }

    /// A handed-out member's bytes.
    pub(super) fn read(&self, seq: u64) -> Option<Vec<u8>> {
        self.state().taken.get(&seq).map(|taken| taken.body.clone())
    }

    /// A member comes to rest: what is still owed of it waits again, unless something newer does already.
    pub(super) fn settle(&self, seq: u64, still_owed: Option<&Bitmap>) {
        let mut state = self.state();
        let Some(taken) = state.taken.remove(&seq) else { return };
        for (number, (id, entry)) in taken.documents.into_iter().enumerate() {
            if still_owed.is_some_and(|still| still.get(number as u32)) {
                state.put_back(&taken.index, id, entry);
            } else {
                state.arrived(&taken.index, &id, &entry);
            }
        }
        drop(state);
        self.changes.send_modify(|n| *n += 1);
    }

    /// The whole member is still owed.
    pub(super) fn give_back(&self, owed: &Owed) {
        self.settle(owed.seq, Some(&Bitmap::all(owed.items)));
    }

    /// What became of a member could not be kept: all of it is owed again.
    pub(super) fn keep(&self, seq: u64) {
        let items = self.state().taken.get(&seq).map_or(0, |taken| taken.documents.len() as u32);
        self.settle(seq, Some(&Bitmap::all(items)));
    }

    /// Waits until something has changed since `seen`, which is brought up to date.
    pub(super) async fn changed(&self, seen: &AtomicU64) {
        let mut changes = self.changes.subscribe();
        let before = seen.load(Ordering::Relaxed);
        if let Ok(now) = changes.wait_for(|n| *n != before).await {
            seen.store(*now, Ordering::Relaxed);
        }
    }
}

impl State {
    fn comes(&mut self, coming: Coming) {
        self.bytes += coming.documents.iter().map(Document::bytes).sum::<u64>();
        if !coming.documents.is_empty() {
            *self.firsts.entry(coming.first).or_default() += coming.documents.len() as u64;
        }
        self.coming.push_back(coming);
    }

    /// A durable document: it takes the place of an older version that waits.
    fn add(&mut self, first: u64, document: Document) {
        let waiting = self.lanes.entry(document.index).or_default();
        if let Some(older) = waiting.documents.get_mut(&document.id) {
            self.bytes -= older.item.len() as u64 + OVERHEAD;
            waiting.bytes = waiting.bytes - older.item.len() as u64 + document.item.len() as u64;
            older.item = document.item;
            // The earlier first change counts for both.
            release(&mut self.firsts, first.max(older.first));
            older.first = first.min(older.first);
            return;
        }
        waiting.bytes += document.item.len() as u64;
        waiting.both += usize::from(waiting.out.contains(&document.id));
        waiting.order.push_back(document.id.clone());
        waiting.documents.insert(document.id, Entry { first, item: document.item });
    }

    fn put_back(&mut self, index: &Arc<str>, id: Box<str>, entry: Entry) {
        let waiting = self.lanes.entry(index.clone()).or_default();
        waiting.out.remove(&id);
        if let Some(newer) = waiting.documents.get_mut(&id) {
            waiting.both -= 1;
            self.bytes -= entry.item.len() as u64 + OVERHEAD;
            release(&mut self.firsts, newer.first);
            newer.first = entry.first;
            return;
        }
        waiting.bytes += entry.item.len() as u64;
        waiting.order.push_front(id.clone());
        waiting.documents.insert(id, entry);
    }

    fn arrived(&mut self, index: &Arc<str>, id: &str, entry: &Entry) {
        self.bytes -= entry.item.len() as u64 + OVERHEAD;
        release(&mut self.firsts, entry.first);
        if let Some(waiting) = self.lanes.get_mut(index) {
            waiting.out.remove(id);
            waiting.both -= usize::from(waiting.documents.contains_key(id));
            if waiting.documents.is_empty() && waiting.out.is_empty() {
                self.lanes.remove(index);
            }
        }
    }
}

/// One document less has its first undelivered change in `step`.
fn release(firsts: &mut BTreeMap<u64, u64>, step: u64) {
    if let Some(count) = firsts.get_mut(&step) {
        *count -= 1;
        if *count == 0 {
            firsts.remove(&step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limit = Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX };

    fn document(id: &str, version: u64) -> Document {
        let item = format!("{{\"index\":{{\"_id\":\"{id}\",\"version\":{version}}}}}\n{{\"n\":{version}}}\n");
        Document { index: "i".into(), id: id.into(), item: item.into_bytes().into() }
    }

    fn text(upserts: &Upserts, owed: &Owed) -> String {
        let body = upserts.read(owed.seq).unwrap();
        String::from_utf8(gzip::decompress(&body, u64::from(owed.raw_len)).unwrap()).unwrap()
    }

    #[test]
    fn nothing_leaves_before_its_commit_is_durable() {
        let upserts = Upserts::new(1, MEMORY, 0, ClockMark::default());
        upserts.committed(1, vec![document("a", 1)]);
        assert!(upserts.next("i", ALL).is_empty() && upserts.lanes().is_empty());
        assert_eq!(upserts.delivered(), 0);
        upserts.durable(1);
        assert_eq!(upserts.next("i", ALL).len(), 1);
        assert_eq!(upserts.delivered(), 0);
    }

    #[test]
    fn a_hot_key_owes_one_document_and_makes_progress() {
        let upserts = Upserts::new(1, MEMORY, 0, ClockMark::default());
        upserts.committed(1, vec![document("a", 1), document("b", 1)]);
        upserts.committed(2, vec![document("a", 2)]);
        upserts.durable(2);
        assert_eq!(upserts.lanes()[0].items, 2);
        let flying = upserts.next("i", ALL).remove(0);
        assert!(text(&upserts, &flying).contains("\"n\":2") && flying.items == 2);
        upserts.committed(3, vec![document("a", 3)]);
        upserts.durable(3);
        assert!(upserts.next("i", ALL).is_empty(), "a version of it is in flight");
        assert_eq!(upserts.lanes()[0].items, 2, "each document is owed once");
        upserts.settle(flying.seq, None);
        assert_eq!(upserts.delivered(), 2);
        let last = upserts.next("i", ALL).remove(0);
        assert!(text(&upserts, &last).contains("\"n\":3") && last.items == 1);
        upserts.settle(last.seq, None);
        assert_eq!((upserts.delivered(), upserts.bytes(), upserts.lanes().len()), (3, 0, 0));
    }

    #[test]
    fn what_did_not_arrive_waits_again_but_never_in_place_of_something_newer() {
        let upserts = Upserts::new(1, MEMORY, 0, ClockMark::default());
        upserts.committed(1, vec![document("a", 1), document("b", 1)]);
        upserts.durable(1);
        let flying = upserts.next("i", ALL).remove(0);
        upserts.committed(2, vec![document("a", 2)]);
        upserts.durable(2);
        upserts.give_back(&flying);
        assert_eq!(upserts.delivered(), 0);
        let again = upserts.next("i", ALL).remove(0);
        let body = text(&upserts, &again);
        assert!(body.contains("\"n\":2") && again.items == 2, "{body}");
        upserts.settle(again.seq, None);
        assert_eq!((upserts.delivered(), upserts.bytes()), (2, 0));
    }

    #[test]
    fn a_limit_cuts_members_and_a_single_large_document_passes() {
        let upserts = Upserts::new(1, MEMORY, 0, ClockMark::default());
        upserts.committed(1, (0..10).map(|i| document(&i.to_string(), 1)).collect());
        upserts.durable(1);
        let small = Limit { raw_bytes: 1, wire_bytes: 1 };
        let counts: Vec<u32> = (0..10).map(|_| upserts.next("i", small)[0].items).collect();
        assert_eq!(counts, [1; 10]);
        assert!(upserts.next("i", small).is_empty());
    }

    #[test]
    fn what_was_left_to_the_state_counts_as_owed_until_a_walk_has_given_it_and_it_has_arrived() {
        let upserts = Upserts::new(1, 1000, 0, ClockMark::default());
        upserts.committed(1, vec![document("a", 1)]);
        upserts.leave(2, 2);
        upserts.durable(2);
        assert_eq!((upserts.delivered(), upserts.left()), (0, 2));
        upserts.settle(upserts.next("i", ALL).remove(0).seq, None);
        assert_eq!(upserts.delivered(), 1);
        assert_eq!(upserts.walk(), Some(1));
        upserts.again(3, vec![document("b", 2)]);
        upserts.leave(4, 1); // while the walk goes on
        upserts.again(4, vec![document("c", 2)]);
        upserts.walked();
        upserts.durable(3);
        assert_eq!(upserts.next("i", ALL).remove(0).items, 1, "the second is not durable");
        upserts.durable(4);
        upserts.settle(upserts.next("i", ALL).remove(0).seq, None);
        assert_eq!((upserts.delivered(), upserts.left()), (1, 1), "the first has not arrived");
        assert_eq!(upserts.walk(), Some(3), "what was left meanwhile needs another walk");
        upserts.walked();
        upserts.settle(OURS | 2, None);
        assert_eq!((upserts.delivered(), upserts.left(), upserts.bytes()), (4, 0, 0));
    }
}
