//! A store in memory that keeps the door's promises and can be told to break.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::ThreadId;

use tokio::sync::{Notify, oneshot};

use super::super::lane_door::Door;
use crate::record::{Bitmap, DeadLetter, Member, gzip};
use crate::store::{Lane, Limit, Owed, Receipt, Settled, StoreError};

#[derive(Clone, Default)]
pub(super) struct MemoryDoor {
    state: Arc<Mutex<State>>,
    notify: Arc<Notify>,
}

#[derive(Default)]
struct State {
    members: BTreeMap<(u64, u16), Stored>,
    dead: Vec<DeadLetter>,
    seq: u64,
    damaged: Vec<u64>,
    refuses_dead: bool,
    issued: u64,
    /// What is owed lies in files, which must not be read on this thread.
    in_files: Option<ThreadId>,
    /// So many reads of these files fail.
    unreadable: u32,
}

struct Stored {
    member: Member,
    left: Option<Bitmap>,
    sent: bool,
    out: bool,
}

impl State {
    fn take(&mut self, index: &str, limit: Limit) -> Vec<Owed> {
        let (mut raw, mut wire, mut taken) = (0, 0, Vec::new());
        for (key, stored) in &mut self.members {
            if stored.out || &*stored.member.index != index {
                continue;
            }
            raw += u64::from(stored.member.raw_len);
            wire += stored.member.gzip.len() as u64;
            if !taken.is_empty() && (raw > limit.raw_bytes || wire > limit.wire_bytes) {
                break;
            }
            stored.out = true;
            taken.push(Owed {
                seq: key.0,
                member: key.1,
                items: stored.member.items,
                raw_len: stored.member.raw_len,
                gzip_len: stored.member.gzip.len() as u32,
                owed: stored.left.clone(),
                sent_before: stored.sent,
            });
        }
        taken
    }
}

impl MemoryDoor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Owes documents of one member; ids are `INDEX.SEQ.NUMBER`. Gives its sequence.
    pub(super) fn owe(&self, index: &str, documents: &[String]) -> u64 {
        let mut state = self.state();
        state.seq += 1;
        let seq = state.seq;
        let mut raw = Vec::new();
        for (i, document) in documents.iter().enumerate() {
            raw.extend_from_slice(format!("{{\"create\":{{\"_id\":\"{index}.{seq}.{i}\"}}}}\n{document}\n").as_bytes());
        }
        let member = Member {
            index: index.into(),
            items: documents.len() as u32,
            raw_len: raw.len() as u32,
            gzip: gzip::compress(&raw, 1).unwrap(),
            sent_before: false,
        };
        state.members.insert((seq, 0), Stored { member, left: None, sent: false, out: false });
        drop(state);
        self.notify.notify_one();
        seq
    }

    /// `count` documents `{"message":"line N"}`.
    pub(super) fn owe_lines(&self, index: &str, count: usize) -> u64 {
        self.owe(index, &(0..count).map(|i| format!("{{\"message\":\"line {i}\"}}")).collect::<Vec<_>>())
    }

    /// Everything owed may have been sent by an earlier process.
    pub(super) fn mark_sent(&self) {
        self.state().members.values_mut().for_each(|stored| stored.sent = true);
    }

    pub(super) fn damage(&self, seq: u64) {
        self.state().damaged.push(seq);
    }

    pub(super) fn refuse_dead_letters(&self, refuse: bool) {
        self.state().refuses_dead = refuse;
    }

    /// What is owed must be read from files, never on the calling thread, and `failing` times in vain.
    pub(super) fn keep_in_files(&self, failing: u32) {
        let mut state = self.state();
        (state.in_files, state.unreadable) = (Some(std::thread::current().id()), failing);
    }

    /// Documents owed.
    pub(super) fn owed(&self) -> u64 {
        self.lanes().iter().map(|lane| lane.items).sum()
    }

    /// Members handed out.
    pub(super) fn out(&self) -> usize {
        self.state().members.values().filter(|stored| stored.out).count()
    }

    pub(super) fn dead(&self) -> Vec<DeadLetter> {
        self.state().dead.clone()
    }
}

impl Door for MemoryDoor {
    fn lanes(&self) -> Vec<Lane> {
        let mut lanes: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
        for stored in self.state().members.values() {
            let lane = lanes.entry(stored.member.index.clone()).or_default();
            lane.0 += u64::from(stored.left.as_ref().map_or(stored.member.items, Bitmap::count));
            lane.1 += stored.member.gzip.len() as u64;
        }
        lanes.into_iter().map(|(index, (items, bytes))| Lane { index, items, bytes }).collect()
    }

    fn next(&self, index: &str, limit: Limit) -> Result<Vec<Owed>, StoreError> {
        let mut state = self.state();
        assert_ne!(state.in_files, Some(std::thread::current().id()), "a file is read on an async thread");
        if state.unreadable > 0 {
            state.unreadable -= 1;
            return Err(StoreError::Io { path: "00000001.seg".into(), error: std::io::Error::other("not now") });
        }
        Ok(state.take(index, limit))
    }

    fn next_at_hand(&self, index: &str, limit: Limit) -> Option<Vec<Owed>> {
        let mut state = self.state();
        state.in_files.is_none().then(|| state.take(index, limit))
    }

    fn read(&self, owed: &Owed) -> Result<Vec<u8>, StoreError> {
        let mut state = self.state();
        if state.damaged.contains(&owed.seq) {
            state.members.remove(&(owed.seq, owed.member));
            return Err(StoreError::Damaged { seq: owed.seq, member: owed.member });
        }
        Ok(state.members[&(owed.seq, owed.member)].member.gzip.clone())
    }

    fn give_back(&self, owed: Vec<Owed>) {
        let mut state = self.state();
        for owed in owed {
            let stored = state.members.get_mut(&(owed.seq, owed.member)).unwrap();
            assert!(stored.out, "given back twice");
            stored.out = false;
        }
    }

    fn settle(&self, settled: Vec<Settled>, dead: Vec<DeadLetter>) -> Result<Receipt, StoreError> {
        let mut state = self.state();
        let (send, receipt) = oneshot::channel();
        if state.refuses_dead && !dead.is_empty() {
            for one in settled {
                state.members.get_mut(&(one.seq, one.member)).unwrap().out = false;
            }
            drop(send.send(Err(StoreError::Io { path: "dead".into(), error: std::io::ErrorKind::StorageFull.into() })));
            self.notify.notify_one();
            return Ok(receipt);
        }
        for one in settled {
            let key = (one.seq, one.member);
            let stored = state.members.get_mut(&key).unwrap();
            assert!(stored.out, "settled without being handed out");
            match one.still_owed {
                None => drop(state.members.remove(&key)),
                Some(left) => (stored.left, stored.sent, stored.out) = (Some(left), true, false),
            }
        }
        state.dead.extend(dead);
        drop(send.send(Ok(())));
        Ok(receipt)
    }

    async fn changed(&self) {
        self.notify.notified().await;
    }

    fn issued(&self) -> u64 {
        self.state().issued
    }

    fn overtake(&self, version: u64) {
        self.state().issued = version;
    }
}
