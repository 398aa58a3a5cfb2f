//! What passes a job, for whoever watches: documents as they are committed, before Elasticsearch has been asked.
//!
//! Promises: while nobody watches, a commit costs one atomic load; while somebody does, a copy of at most
//! [`RATE`] bytes a second of what is compressed anyway. The ingest loop never waits for a reader: what there is no room
//! for is passed over, and readers are told how much that was. Unpacking, cutting and searching are done for the reader
//! that asks, on another thread, for all readers together in a fifth of one processor's time. Readers have no state
//! here: each brings its cursor along, and what nobody asks for is thrown away after [`KEPT`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem;
use splashdam_api as api;
use tokio::sync::{Notify, Semaphore};

use super::agent::Agent;
use super::ingest::Signals;
use super::query_outputs::Sinks;
use super::upserts::Document;
use crate::deliver;
use crate::record::{Member, Timestamp, gzip};
use crate::store::STATE_LANE;

/// Bytes that are kept for readers of a job, and that may come at once.
const ROOM: usize = 4 << 20;
/// Bytes a second that are copied for readers of a job.
const RATE: usize = 4 << 20;
/// Documents that come singly are kept in pieces of about so many bytes.
const PIECE: usize = 256 << 10;
/// After so long without a reader nothing is kept any more.
const KEPT: Duration = Duration::from_secs(15);
/// A reader for whom nothing passes is answered after this.
const WAIT: Duration = Duration::from_secs(5);
/// And looks so often whether the job has been started anew.
const LOOK: Duration = Duration::from_millis(250);
/// So much longer than a reader has used a processor it rests.
const REST: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(1);
/// Readers at once, a quarter of the socket's connections.
const READERS: usize = 8;

/// Of one job: what has passed lately, if somebody watches.
#[derive(Debug, Default)]
pub(super) struct Ring {
    open: AtomicBool,
    passed: Mutex<Passed>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Passed {
    /// Cursors of another opening know nothing of this one.
    opening: u64,
    asked: Option<Instant>,
    parts: VecDeque<Part>,
    bytes: usize,
    /// How many documents have passed since the opening.
    count: u64,
    /// Bytes that may be copied, as of then.
    allowed: usize,
    refilled: Option<Instant>,
}

/// Documents of one index that passed together.
#[derive(Clone, Debug)]
struct Part {
    /// How many had passed before.
    first: u64,
    items: u32,
    lane: Arc<str>,
    body: Bytes,
    /// Length before compression; `None`: it is not compressed.
    raw_len: Option<u32>,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    opening: u64,
    /// So many documents have been seen, or passed over.
    at: u64,
}

impl Ring {
    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are about to be committed.
    pub(super) fn members(&self, members: &[Member]) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let mut passed = self.passed();
        for member in members.iter().filter(|member| *member.index != *STATE_LANE) {
            let body = || Bytes::copy_from_slice(&member.gzip);
            passed.put(&member.index, member.items, Some(member.raw_len), member.gzip.len(), body);
        }
        drop(passed);
        self.news.notify_waiters();
    }

    /// These are owed from now on, and so many more that are left to the state.
    pub(super) fn documents(&self, documents: &[Document], left: u64) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let mut passed = self.passed();
        for lane in documents.chunk_by(|one, next| one.index == next.index) {
            let mut rest = lane;
            while let Some(first) = rest.first() {
                let mut bytes = 0;
                let fits = |document: &&Document| {
                    let had = bytes;
                    bytes += document.item.len();
                    had == 0 || bytes <= PIECE
                };
                let (piece, others) = rest.split_at(rest.iter().take_while(fits).count());
                let len = piece.iter().map(|document| document.item.len()).sum();
                let body = || piece.iter().map(|document| &*document.item).collect::<Vec<_>>().concat().into();
                passed.put(&first.index, piece.len() as u32, None, len, body);
                rest = others;
            }
        }
        passed.count += left;
        drop(passed);
        self.news.notify_waiters();
    }

    /// Somebody watches; gives where what passes from now on is, and whether that is new.
    fn ask(&self, now: Instant) -> (Cursor, bool) {
        let mut passed = self.passed();
        let opened = passed.asked.replace(now).is_none();
        if opened {
            let opening = Timestamp::now().0.unsigned_abs();
            *passed = Passed { opening, asked: Some(now), allowed: ROOM, refilled: Some(now), ..Passed::default() };
            self.open.store(true, Ordering::Relaxed);
        }
        (Cursor { opening: passed.opening, at: passed.count }, opened)
    }

    /// Throws everything away if nobody has asked for long; says whether it did.
    fn close(&self, now: Instant) -> bool {
        let mut passed = self.passed();
        if passed.asked.is_some_and(|asked| now.duration_since(asked) < KEPT) {
            return false;
        }
        self.open.store(false, Ordering::Relaxed);
        *passed = Passed::default();
        true
    }

    /// The first part with something behind `at`, and how many have passed.
    fn behind(&self, at: u64) -> (Option<Part>, u64) {
        let passed = self.passed();
        let first = passed.parts.partition_point(|part| part.end() <= at);
        (passed.parts.get(first).cloned(), passed.count)
    }
}

impl Passed {
    /// Keeps a part if it may be copied, in place of the oldest if need be.
    fn put(&mut self, lane: &Arc<str>, items: u32, raw_len: Option<u32>, len: usize, body: impl FnOnce() -> Bytes) {
        let first = self.count;
        self.count += u64::from(items);
        if items == 0 || !self.may_copy(len, Instant::now()) {
            return;
        }
        while self.bytes + len > ROOM {
            let Some(oldest) = self.parts.pop_front() else { return };
            self.bytes -= oldest.body.len();
        }
        self.bytes += len;
        self.parts.push_back(Part { first, items, lane: lane.clone(), body: body(), raw_len });
    }

    fn may_copy(&mut self, len: usize, now: Instant) -> bool {
        let since = self.refilled.replace(now).map_or(Duration::ZERO, |then| now.duration_since(then));
        self.allowed = self.allowed.saturating_add((since.as_secs_f64() * RATE as f64) as usize).min(ROOM);
        let may = len <= self.allowed;
        self.allowed -= if may { len } else { 0 };
        may
    }
}

impl Part {
    fn end(&self) -> u64 {
        self.first + u64::from(self.items)
    }

    /// The documents behind `at` with `text` in them, `limit` at most, and where that ends. `None`: it can't be read.
    fn documents(&self, at: u64, text: &str, limit: usize, sinks: &Sinks) -> Option<(Vec<api::TappedDocument>, u64)> {
        let raw = match self.raw_len {
            Some(raw_len) => Bytes::from(gzip::decompress(&self.body, u64::from(raw_len)).ok()?),
            None => self.body.clone(),
        };
        let (finder, mut found, mut end) = (memmem::Finder::new(text), Vec::new(), at.max(self.first));
        for item in deliver::items(&raw, self.items).ok()?.into_iter().skip((end - self.first) as usize) {
            if found.len() == limit {
                break;
            }
            end += 1;
            let id = item.id();
            // What is deleted has nothing but an id.
            let searched = if item.document.is_empty() { id.as_bytes() } else { item.document };
            if finder.find(searched).is_some() {
                found.push(api::TappedDocument {
                    index: sinks.shown(&self.lane).to_owned(),
                    id,
                    action: item.operation().to_owned(),
                    document: String::from_utf8_lossy(item.document).into_owned(),
                });
            }
        }
        Some((found, end))
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let (opening, at) = text.split_once('-')?;
        Some(Cursor { opening: opening.parse().ok()?, at: at.parse().ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.opening, self.at)
    }
}

/// What all readers of an agent share.
pub(super) struct Taps {
    readers: Semaphore,
    /// To be the one that unpacks.
    turn: Semaphore,
}

impl Default for Taps {
    fn default() -> Taps {
        Taps { readers: Semaphore::new(READERS), turn: Semaphore::new(1) }
    }
}

impl Agent {
    /// Waits some seconds for documents of a job to pass; gives those that did.
    ///
    /// # Errors
    /// The job does not run, or too many watch.
    pub(crate) async fn tap(&self, tap: &api::Tap) -> Result<api::Tapped, String> {
        let many = || format!("{READERS} taps are open already; end one of them");
        let _reader = self.taps.readers.try_acquire().map_err(|_| many())?;
        let deadline = Instant::now() + WAIT;
        let mut told = api::Tapped::default();
        let mut cursor = tap.from.as_deref().and_then(Cursor::parse);
        loop {
            let running = self.roster.now().of(&tap.pipeline).cloned();
            let running = running.ok_or_else(|| format!("the job {} does not run", tap.pipeline))?;
            let ring = &running.signals.tap;
            let mut news = std::pin::pin!(ring.news.notified());
            news.as_mut().enable();
            let now = watch(&running.signals);
            told.lapsed |= tap.from.is_some() && cursor.is_none_or(|cursor| cursor.opening != now.opening);
            let mut at = cursor.filter(|cursor| cursor.opening == now.opening).unwrap_or(now).at.min(now.at);
            let (part, count) = ring.behind(at);
            if let Some(part) = part {
                told.skipped += part.first.saturating_sub(at);
                (told.documents, at) = self.unpacked(part, at, tap, &running.sinks, &mut told.skipped).await?;
            } else {
                told.skipped += count - at;
                at = count;
                let left = deadline.saturating_duration_since(Instant::now());
                if tap.from.is_some() {
                    tokio::time::timeout(left.min(LOOK), news).await.ok();
                }
            }
            let next = Cursor { opening: now.opening, at };
            if tap.from.is_none() || !told.documents.is_empty() || Instant::now() >= deadline {
                return Ok(api::Tapped { next: next.to_string(), ..told });
            }
            cursor = Some(next);
        }
    }

    /// What `tap` wants of a part, and where that ends. One reader at a time, and then a rest.
    async fn unpacked(
        &self,
        part: Part,
        at: u64,
        tap: &api::Tap,
        sinks: &Sinks,
        skipped: &mut u64,
    ) -> Result<(Vec<api::TappedDocument>, u64), String> {
        let _turn = self.taps.turn.acquire().await.map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let (text, sinks) = (tap.text.clone().unwrap_or_default(), sinks.clone());
        let limit = tap.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let end = part.end();
        let unpacking = tokio::task::spawn_blocking(move || part.documents(at, &text, limit, &sinks));
        let found = unpacking.await.map_err(|error| error.to_string())?;
        tokio::time::sleep((begun.elapsed() * REST).min(REST_MAX)).await;
        Ok(found.unwrap_or_else(|| {
            *skipped += end - at;
            (Vec::new(), end)
        }))
    }
}

/// Keeps what passes for a reader that asks now, until nobody has asked for long; gives where it would begin.
fn watch(signals: &Arc<Signals>) -> Cursor {
    let (cursor, opened) = signals.tap.ask(Instant::now());
    if opened {
        let signals = signals.clone();
        tokio::spawn(async move {
            while !signals.tap.close(Instant::now()) {
                tokio::time::sleep(KEPT).await;
            }
        });
    }
    cursor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(from: u32, items: u32, padding: usize) -> Member {
        let line =
            |n: u32| format!("{{\"create\":{{\"_id\":\"i{n}\"}}}}\n{{\"n\":{n},\"x\":\"{}\"}}\n", noise(padding, n));
        let raw: String = (from..from + items).map(line).collect();
        let gzip = gzip::compress(raw.as_bytes(), 1).unwrap();
        Member { index: "logs".into(), items, raw_len: raw.len() as u32, gzip, sent_before: false }
    }

    /// Text that does not compress well.
    fn noise(length: usize, seed: u32) -> String {
        let mut state = u64::from(seed) + 1;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 60) as u8)
        };
        (0..length).map(next).collect()
    }

    /// Reads on from `at`: ids, what was passed over, where that ends.
    fn read(ring: &Ring, mut at: u64, text: &str, limit: usize) -> (Vec<String>, u64, u64) {
        let (mut ids, mut skipped) = (Vec::new(), 0);
        loop {
            let (part, count) = ring.behind(at);
            let Some(part) = part else { return (ids, skipped + count - at, count) };
            skipped += part.first.saturating_sub(at);
            let (found, end) = part.documents(at, text, limit, &Sinks::default()).unwrap();
            ids.extend(found.into_iter().map(|document| document.id));
            at = end;
        }
    }

    /// Documents that have passed, and bytes of them.
    fn kept(ring: &Ring) -> (u64, usize) {
        let passed = ring.passed();
        (passed.count, passed.bytes)
    }

    fn ids(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| format!("i{n}")).collect()
    }

    #[test]
    fn what_passes_while_nobody_watches_is_not_kept() {
        let ring = Ring::default();
        ring.members(&[member(0, 5, 1)]);
        assert_eq!(kept(&ring), (0, 0));
        let (cursor, opened) = ring.ask(Instant::now());
        assert!(opened && !ring.ask(Instant::now()).1);
        ring.members(&[member(5, 3, 1), Member { index: STATE_LANE.into(), ..member(8, 9, 1) }]);
        assert_eq!(read(&ring, cursor.at, "", usize::MAX), (ids(5..8), 0, 3));
    }

    #[test]
    fn a_reader_goes_on_within_a_part_and_sees_each_document_once() {
        let ring = Ring::default();
        ring.ask(Instant::now());
        ring.members(&[member(0, 5, 1), member(5, 2, 1)]);
        assert_eq!(read(&ring, 0, "", 2), (ids(0..7), 0, 7));
        assert_eq!(read(&ring, 6, "", 2).0, ids(6..7));
        assert_eq!(read(&ring, 0, "\"n\":3,", 9).0, ids(3..4));
        assert_eq!(read(&ring, 0, "i3", 9).0, ids(0..0), "an id is no text of a document");
    }

    #[test]
    fn what_there_is_no_room_or_no_time_for_is_counted_and_the_memory_is_bounded() {
        let ring = Ring::default();
        ring.ask(Instant::now());
        let large = member(0, 10, 100_000);
        assert!(large.gzip.len() > 400_000, "{}", large.gzip.len());
        for _ in 0..30 {
            ring.members(std::slice::from_ref(&large));
        }
        let (seen, skipped, end) = read(&ring, 0, "", usize::MAX);
        assert_eq!((seen.len() as u64 + skipped, end), (300, 300));
        assert!(skipped > 100 && !seen.is_empty(), "{skipped} of 300");
        // When there is time again, the newest take the place of the oldest.
        for _ in 0..5 {
            ring.passed().allowed = ROOM;
            ring.members(std::slice::from_ref(&large));
        }
        let passed = ring.passed();
        assert!(passed.bytes <= ROOM && passed.parts.back().unwrap().end() == 350);
        assert_eq!(passed.bytes, passed.parts.iter().map(|part| part.body.len()).sum::<usize>());
    }

    #[test]
    fn documents_of_an_upsert_stream_are_shown_with_their_deletes() {
        let ring = Ring::default();
        ring.ask(Instant::now());
        let document = |index: &str, item: String| Document {
            index: index.into(),
            id: "k".into(),
            item: item.into_bytes().into_boxed_slice(),
        };
        let index = |n: u32| document("counts#a", format!("{{\"index\":{{\"_id\":\"i{n}\"}}}}\n{{\"n\":{n}}}\n"));
        let delete = document("counts#b", "{\"delete\":{\"_id\":\"i2\"}}\n".to_owned());
        ring.documents(&[index(0), index(1), delete], 4);
        let (part, _) = ring.behind(2);
        let (found, _) = part.unwrap().documents(2, "i2", 9, &Sinks::default()).unwrap();
        assert_eq!((found[0].action.as_str(), found[0].document.as_str()), ("delete", ""));
        assert_eq!(read(&ring, 0, "", 9), (ids(0..3), 4, 7));
        let many: Vec<Document> = (0..3).map(|n| document("c", noise(PIECE / 2 + 1, n) + "\n")).collect();
        ring.documents(&many, 0);
        assert_eq!(ring.passed().parts.len(), 2 + 3, "a piece has as many as fit, and one at least");
    }

    #[test]
    fn nothing_is_kept_when_nobody_has_asked_for_long_and_an_old_cursor_is_told_from_a_new_one() {
        let ring = Ring::default();
        let now = Instant::now();
        let (first, _) = ring.ask(now);
        ring.members(&[member(0, 5, 1)]);
        assert!(!ring.close(now) && ring.close(now + KEPT));
        ring.members(&[member(5, 5, 1)]);
        assert_eq!(kept(&ring), (0, 0));
        assert!(!ring.open.load(Ordering::Relaxed));
        assert_eq!(Cursor::parse(&first.to_string()), Some(first));
        assert_eq!(["", "7", "x-1", "1-x"].map(Cursor::parse), [None; 4]);
    }
}
