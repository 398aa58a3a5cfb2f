//! A query's state on disk: a chain of changes in the store's own lane, begun anew by a base now and then.
//!
//! Every commit adds a link with the rows that it changed (whole rows or tombstones, as the query encodes them). A
//! base is the whole state, written over as many commits as it takes while changes go on, with a link that says where
//! it ends; when that is durable, all links before the base's beginning are settled. So the links that are left, read in
//! order, are the state.
//! Promises: a link that is missing or damaged is noticed (links are numbered), and nothing is made of what is
//! behind it; a chain without its beginning is a state only with a base that has its end. Does not know what a row
//! means.

use std::collections::VecDeque;

use super::versions::ClockMark;
use crate::record::Member;
use crate::store::{self, Limit, Owed, STATE_LANE, Settled, StoreError};

const MAGIC: [u8; 4] = *b"SpQ\x02";
const HEADER: usize = 4 + 1 + 5 * 8 + 4;
/// Changes of less than this are no reason for a base.
const CHANGED_MIN: u64 = 32 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the stored state of {pipeline} is damaged: {what}; it can't be continued. Begin it anew with --reset-state"
    )]
    Damaged { pipeline: String, what: String },
}

/// What a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changed rows.
    Changes = 0,
    /// The first link of a base, or of everything.
    Begins = 1,
    /// A piece of a base.
    Base = 2,
    /// The base is whole that began with the link of the number in here.
    Ends = 3,
}

/// What every link says beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The step that it belongs to.
    pub(super) step: u64,
    /// Everything changed up to this step has been delivered.
    pub(super) delivered: u64,
    /// The versions issued and found.
    pub(super) clock: ClockMark,
}

/// What was found when a state was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) marks: Marks,
    /// What the script meant when the state was begun.
    pub(super) plan: String,
}

/// The chain of one pipeline.
pub(super) struct StateLog {
    door: store::Pipeline,
    plan: String,
    /// The next link's number.
    next: u64,
    /// The oldest link that is kept.
    first: u64,
    /// Links that the store has handed out to us, from `first` on.
    held: VecDeque<(u64, u16)>,
    /// Bytes of links since the newest base began, and that base's own.
    changed: u64,
    base: u64,
    /// The number of the first link of the base that is being written, and its bytes so far.
    writing: Option<(u64, u64)>,
}

struct Link<'a> {
    kind: Kind,
    number: u64,
    marks: Marks,
    plan: &'a str,
    rows: &'a [u8],
}

impl StateLog {
    /// Reads the chain that is there, handing each link's rows to `load` in order if they were written with this
    /// `plan`, which is what the script means now: others' can have any form. What it was is in [`Found`].
    ///
    /// # Errors
    /// A link that is missing or damaged; rows that `load` can't read.
    pub(super) fn open(
        door: store::Pipeline,
        pipeline: &str,
        plan: String,
        mut load: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(StateLog, Option<Found>), StateError> {
        let damaged = |what: String| StateError::Damaged { pipeline: pipeline.to_owned(), what };
        let mut log =
            StateLog { door, plan, next: 0, first: 0, held: VecDeque::new(), changed: 0, base: 0, writing: None };
        let mut found: Option<Found> = None;
        let mut whole = Whole::default();
        for owed in hand_out(&log.door)? {
            let bytes = match log.door.read(&owed) {
                Ok(bytes) => bytes,
                Err(StoreError::Damaged { .. }) => return Err(damaged(format!("a part of commit {} is", owed.seq))),
                Err(error) => return Err(error.into()),
            };
            let link = decode(&bytes).ok_or_else(|| damaged(format!("commit {} has none of it", owed.seq)))?;
            match &mut found {
                _ if !log.held.is_empty() && link.number != log.next => {
                    return Err(damaged(format!("link {} of it is missing", log.next)));
                }
                Some(found) => found.marks = link.marks,
                None if link.kind == Kind::Begins => {
                    found = Some(Found { marks: link.marks, plan: link.plan.to_owned() });
                }
                // Of what was given up when it was cut off; a base that stands for it must follow.
                None => {}
            }
            if log.held.is_empty() {
                log.first = link.number;
            }
            whole.see(&link);
            let ours = found.as_ref().is_some_and(|found| found.plan == log.plan);
            if ours && link.kind != Kind::Ends {
                load(link.rows).map_err(damaged)?;
            }
            log.next = link.number + 1;
            log.changed += bytes.len() as u64;
            log.held.push_back((owed.seq, owed.member));
        }
        if !log.held.is_empty() && !whole.is() {
            return Err(damaged("its beginning is missing, and no whole base stands for it".to_owned()));
        }
        Ok((log, found))
    }

    /// The next commit's link. The very first begins the chain.
    pub(super) fn changes(&mut self, marks: Marks, rows: &[u8]) -> Member {
        let kind = if self.next == self.first && self.held.is_empty() { Kind::Begins } else { Kind::Changes };
        self.link(kind, marks, rows)
    }

    /// A base is due.
    pub(super) fn wants_base(&self) -> bool {
        self.writing.is_none() && self.changed > CHANGED_MIN.max(2 * self.base)
    }

    /// The next piece of a base, the first one beginning it.
    pub(super) fn base(&mut self, marks: Marks, rows: &[u8]) -> Member {
        let number = self.next;
        let kind = if self.writing.is_some() { Kind::Base } else { Kind::Begins };
        let member = self.link(kind, marks, rows);
        let (first, bytes) = self.writing.unwrap_or((number, 0));
        self.writing = Some((first, bytes + member.gzip.len() as u64));
        member
    }

    /// Says that the base that is being written is whole, if one is.
    pub(super) fn end_base(&mut self, marks: Marks) -> Option<Member> {
        let (begins, _) = self.writing?;
        Some(self.link(Kind::Ends, marks, &begins.to_le_bytes()))
    }

    /// The base that was being written is whole and durable: what is before it goes.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(super) fn base_is_durable(&mut self) -> Result<(), StoreError> {
        let Some((begins, bytes)) = self.writing.take() else { return Ok(()) };
        for owed in hand_out(&self.door)? {
            self.held.push_back((owed.seq, owed.member));
        }
        let count = usize::try_from(begins - self.first).unwrap_or(0).min(self.held.len());
        let old = self.held.drain(..count).map(|(seq, member)| Settled { seq, member, still_owed: None });
        let settled = self.door.settle(old.collect(), Vec::new())?.blocking_recv().map_err(|_| StoreError::Stopped)?;
        (self.base, self.changed) = (bytes, bytes);
        match settled {
            Ok(()) => self.first = begins,
            // On a full disk, say. They are still there, and go with the next base.
            Err(error) => {
                tracing::warn!(%error, "a query's old state could not be given up yet");
                let again: Vec<Owed> = hand_out(&self.door)?;
                again.into_iter().rev().for_each(|owed| self.held.push_front((owed.seq, owed.member)));
            }
        }
        Ok(())
    }

    /// Forgets everything, at once or not at all.
    ///
    /// # Errors
    /// If the store has stopped or can't write.
    pub(super) fn forget(door: &store::Pipeline) -> Result<(), StoreError> {
        let all = hand_out(door)?;
        if all.is_empty() {
            return Ok(());
        }
        let settled = all.iter().map(|o| Settled { seq: o.seq, member: o.member, still_owed: None }).collect();
        store::wait(door.settle(settled, Vec::new())?)
    }

    fn link(&mut self, kind: Kind, marks: Marks, rows: &[u8]) -> Member {
        let plan = if kind == Kind::Begins { self.plan.as_str() } else { "" };
        let mut bytes = Vec::with_capacity(HEADER + plan.len() + rows.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(kind as u8);
        for n in [self.next, marks.step, marks.delivered, marks.clock.highest, marks.clock.issued] {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&(plan.len() as u32).to_le_bytes());
        bytes.extend_from_slice(plan.as_bytes());
        bytes.extend_from_slice(rows);
        self.next += 1;
        self.changed += bytes.len() as u64;
        let raw_len = bytes.len() as u32;
        Member { index: STATE_LANE.into(), items: 1, raw_len, gzip: bytes, sent_before: false }
    }
}

/// All links that are durable and not handed out, in order.
fn hand_out(door: &store::Pipeline) -> Result<Vec<Owed>, StoreError> {
    let mut all = Vec::new();
    loop {
        let some = door.next(STATE_LANE, Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX })?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// Whether the links seen are a whole state.
#[derive(Default)]
struct Whole {
    begun: Vec<u64>,
    is: bool,
}

impl Whole {
    fn see(&mut self, link: &Link<'_>) {
        match link.kind {
            Kind::Begins => {
                self.is |= link.number == 0; // the very first: before it there was nothing
                self.begun.push(link.number);
            }
            Kind::Ends => {
                let begins = link.rows.try_into().ok().map(u64::from_le_bytes);
                self.is |= begins.is_some_and(|begins| self.begun.contains(&begins));
            }
            Kind::Changes | Kind::Base => {}
        }
    }

    fn is(&self) -> bool {
        self.is
    }
}

fn decode(bytes: &[u8]) -> Option<Link<'_>> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, mut rest) = rest.split_first()?;
    let kind = match kind {
        0 => Kind::Changes,
        1 => Kind::Begins,
        2 => Kind::Base,
        3 => Kind::Ends,
        _ => return None,
    };
    let mut numbers = [0; 5];
    for number in &mut numbers {
        let (bytes, behind) = rest.split_first_chunk::<8>()?;
        (*number, rest) = (u64::from_le_bytes(*bytes), behind);
    }
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (plan, rows) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    let [number, step, delivered, highest, issued] = numbers;
    let marks = Marks { step, delivered, clock: ClockMark { highest, issued } };
    (*magic == MAGIC).then_some(Link { kind, number, marks, plan: std::str::from_utf8(plan).ok()?, rows })
}

#[cfg(test)]
mod tests;
