//! A query's state on disk: a chain of changes in the store's own lane, begun anew by a base now and then.
//!
//! Every commit adds a link with the rows that it changed (whole rows or tombstones, as the query encodes them). A
//! base is the whole state, written over as many commits as it takes while changes go on; when it is durable, all
//! links before its beginning are settled. So the links that are left, read in order, are the state.
//! Promises: a link that is missing or damaged is noticed (links are numbered), and nothing is made of what is
//! behind it. Does not know what a row means.

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
    /// Reads the chain that is there, handing each link's rows to `load` in order. `plan` is what the script means
    /// now; nothing is compared here.
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
        for owed in log.hand_out()? {
            let bytes = match log.door.read(&owed) {
                Ok(bytes) => bytes,
                Err(StoreError::Damaged { .. }) => return Err(damaged(format!("a part of commit {} is", owed.seq))),
                Err(error) => return Err(error.into()),
            };
            let link = decode(&bytes).ok_or_else(|| damaged(format!("commit {} has none of it", owed.seq)))?;
            match &mut found {
                None if link.kind == Kind::Begins => {
                    log.first = link.number;
                    found = Some(Found { marks: link.marks, plan: link.plan.to_owned() });
                }
                Some(found) if link.number == log.next => found.marks = link.marks,
                _ => return Err(damaged(format!("link {} of it is missing", log.next))),
            }
            load(link.rows).map_err(damaged)?;
            log.next = link.number + 1;
            log.changed += bytes.len() as u64;
            log.held.push_back((owed.seq, owed.member));
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

    /// The base that was being written is whole and durable: what is before it goes.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(super) fn base_is_durable(&mut self) -> Result<(), StoreError> {
        let Some((begins, bytes)) = self.writing.take() else { return Ok(()) };
        for owed in self.hand_out()? {
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
                let again: Vec<Owed> = self.hand_out()?;
                again.into_iter().rev().for_each(|owed| self.held.push_front((owed.seq, owed.member)));
            }
        }
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// If the store has stopped or can't write.
    pub(super) fn forget(door: &store::Pipeline) -> Result<(), StoreError> {
        loop {
            let all = door.next(STATE_LANE, Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX })?;
            if all.is_empty() {
                return Ok(());
            }
            let settled = all.iter().map(|o| Settled { seq: o.seq, member: o.member, still_owed: None }).collect();
            door.settle(settled, Vec::new())?.blocking_recv().map_err(|_| StoreError::Stopped)??;
        }
    }

    fn hand_out(&self) -> Result<Vec<Owed>, StoreError> {
        let mut all = Vec::new();
        loop {
            let some = self.door.next(STATE_LANE, Limit { raw_bytes: u64::MAX, wire_bytes: u64::MAX })?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
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

fn decode(bytes: &[u8]) -> Option<Link<'_>> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, mut rest) = rest.split_first()?;
    let kind = match kind {
        0 => Kind::Changes,
        1 => Kind::Begins,
        2 => Kind::Base,
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
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::plan::{BufferPlan, Durability};
    use crate::store::{Commit, Options, Store};

    fn store(dir: &Path) -> (Store, store::Pipeline) {
        let store = Store::open(Options {
            dir: dir.to_path_buf(),
            durability: Durability::Group,
            segment_bytes: 64 << 10,
            min_free_bytes: 0,
            ballast_bytes: 0,
            agent_id: None,
            machine: "this one".to_owned(),
            rewind: |_, before, _| before.map(Box::from),
        })
        .unwrap();
        let door = store.pipeline("q", &BufferPlan::default()).unwrap();
        (store, door)
    }

    fn commit(door: &store::Pipeline, member: Member) {
        let receipt = door.commit(Commit { members: vec![member], ..Commit::default() }).unwrap();
        assert_eq!(door.owed_bytes(), 0, "not while it is on its way, either");
        receipt.blocking_recv().unwrap().unwrap();
    }

    fn open(door: &store::Pipeline) -> Result<(StateLog, Option<Found>, Vec<String>), StateError> {
        let mut rows = Vec::new();
        let load = |bytes: &[u8]| {
            rows.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        };
        let (log, found) = StateLog::open(door.clone(), "q", "a plan".to_owned(), load)?;
        Ok((log, found, rows))
    }

    fn marks(step: u64) -> Marks {
        Marks { step, delivered: step / 2, clock: ClockMark { highest: 7 * step, issued: 6 * step } }
    }

    #[test]
    fn the_links_since_the_last_base_come_back_in_order_and_what_was_before_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (all, door) = store(dir.path());
        let (mut log, found, _) = open(&door).unwrap();
        assert_eq!(found, None);
        for step in 1..=5 {
            commit(&door, log.changes(marks(step), format!("{step}").as_bytes()));
        }
        assert!(door.lanes().is_empty() && door.owed_bytes() == 0, "a state is not owed");
        all.close(Duration::from_secs(9)).unwrap();

        let (all, door) = store(dir.path());
        let (mut log, found, rows) = open(&door).unwrap();
        assert_eq!(found, Some(Found { marks: marks(5), plan: "a plan".to_owned() }));
        assert_eq!(rows, ["1", "2", "3", "4", "5"]);
        commit(&door, log.base(marks(6), b"base"));
        commit(&door, log.changes(marks(7), b"7"));
        commit(&door, log.base(marks(8), b"more"));
        log.base_is_durable().unwrap();
        commit(&door, log.changes(marks(9), b"9"));
        all.close(Duration::from_secs(9)).unwrap();

        let (all, door) = store(dir.path());
        let (_, found, rows) = open(&door).unwrap();
        assert_eq!(rows, ["base", "7", "more", "9"]);
        assert_eq!(found.unwrap().marks, marks(9));
        StateLog::forget(&door).unwrap();
        all.close(Duration::from_secs(9)).unwrap();
        let (all, door) = store(dir.path());
        assert!(open(&door).is_err() || open(&door).unwrap().2.is_empty());
        all.close(Duration::from_secs(9)).unwrap();
    }

    #[test]
    fn a_base_that_was_not_finished_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (all, door) = store(dir.path());
        let (mut log, ..) = open(&door).unwrap();
        commit(&door, log.changes(marks(1), b"1"));
        commit(&door, log.base(marks(2), b"half"));
        all.close(Duration::from_secs(9)).unwrap();
        let (all, door) = store(dir.path());
        let (mut log, _, rows) = open(&door).unwrap();
        assert_eq!(rows, ["1", "half"]);
        commit(&door, log.changes(marks(3), b"3"));
        all.close(Duration::from_secs(9)).unwrap();
        let (all, door) = store(dir.path());
        assert_eq!(open(&door).unwrap().2, ["1", "half", "3"]);
        all.close(Duration::from_secs(9)).unwrap();
    }

    #[test]
    fn nothing_is_made_of_what_lies_behind_a_damaged_link() {
        let dir = tempfile::tempdir().unwrap();
        let (all, door) = store(dir.path());
        let (mut log, ..) = open(&door).unwrap();
        for step in 1..=40 {
            commit(&door, log.changes(marks(step), format!("{step:05000}").as_bytes()));
        }
        all.close(Duration::from_secs(9)).unwrap();
        let segment = dir.path().join("segments/00000001.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[10_000] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        for _ in 0..2 {
            let (all, door) = store(dir.path());
            let error = open(&door).err().expect("refused each time").to_string();
            assert!(error.contains("--reset-state"), "{error}");
            all.close(Duration::from_secs(9)).unwrap();
        }
    }
}
