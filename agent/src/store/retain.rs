//! Giving space back, and keeping the view up: what the store's thread does between commits.
//!
//! A segment goes when everything in it is settled and every pipeline's base is newer than its rows; one that
//! is mostly settled while the log is twice as long as what is owed is rewritten with what is left. Nothing
//! goes before the newest segment's head, which says what is settled, is durable.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use super::Shared;
use super::base;
use super::commit::{RETRY_EVERY, TIDY_AFTER, Writer};
use super::frame::{Entry, Kind, MemberMeta, Meta};
use super::quota::{SLED_FREE_MIN, no_space};
use super::segment::{self, Active};
use super::view::Changes;

/// The view is brought up to date this often, or less often if that takes long.
const VIEW_EVERY: Duration = Duration::from_secs(1);
/// Rows given to sled in one go, so that a sync does not wait for longer than that.
const VIEW_ROWS: usize = 2000;
/// Row changes since the newest base below this are no reason for a new one.
const CHANGED_MIN: u64 = 4 << 20;
/// A frame of a rewritten segment has about this many bytes.
const KEPT_BYTES: u64 = 4 << 20;

impl Writer {
    /// Writes the bases that are due, removes settled segments, rewrites at most one.
    pub(super) fn tidy(&mut self) {
        if self.frontier < self.head_seq {
            return;
        }
        let (due, sparse) = {
            let state = self.shared.state();
            let sparse = if state.disk_full { None } else { state.sparse(self.active.number, &self.shared.options) };
            (state.due_bases(self.active.number, sparse, &self.shared.options, CHANGED_MIN), sparse)
        };
        for pipeline in due {
            let written = match self.write_base(pipeline) {
                // Without it settled segments stay: the ballast is for that, too.
                Err(error) if no_space(&error) && self.space.drop_ballast() => self.write_base(pipeline),
                written => written,
            };
            if let Err(error) = written {
                tracing::warn!(%error, "a base could not be written");
                self.tidy_at = Some(Instant::now() + RETRY_EVERY);
            }
        }
        if let Err(error) = self.remove_settled() {
            tracing::warn!(%error, "settled segments could not be removed");
            self.tidy_at = Some(Instant::now() + RETRY_EVERY);
        }
        if let Some(number) = sparse
            && self.shared.state().rows_covered(number)
        {
            let rewritten = self.rewrite(number);
            // The next one comes soon: commits go first.
            let again = if rewritten.is_ok() { TIDY_AFTER } else { RETRY_EVERY };
            self.tidy_at.get_or_insert(Instant::now() + again);
            if let Err(error) = rewritten {
                tracing::warn!(%error, segment = number, "a segment could not be rewritten");
            }
        }
    }

    pub(super) fn write_base(&self, number: u32) -> io::Result<()> {
        let began = self.frontier;
        let (name, mut keys) = {
            let state = self.shared.state();
            let Some(pipeline) = state.pipelines.get(number as usize) else { return Ok(()) };
            (pipeline.name.clone(), pipeline.rows.keys().copied().collect::<Vec<u64>>())
        };
        keys.sort_unstable();
        // One by one: a copy of them all would double what they take. Nobody but this thread changes them.
        let value = |key| self.shared.state().pipelines.get(number as usize).and_then(|of| of.rows.get(key).cloned());
        let rows = keys.iter().map(|key| (*key, value(key).unwrap_or_default()));
        let bytes = base::write(&*self.shared.fs, &self.shared.dirs.bases, &name, began, rows)?;
        if let Some(pipeline) = self.shared.state().of(number) {
            pipeline.base = Some((began, bytes));
            pipeline.changed_bytes = 0;
        }
        Ok(())
    }

    fn remove_settled(&self) -> io::Result<()> {
        let settled = self.shared.state().settled(self.active.number);
        if settled.is_empty() {
            return Ok(());
        }
        for number in &settled {
            self.make_sure_of_end(*number, &settled)?;
        }
        for number in &settled {
            match self.shared.fs.unlink(&segment::path(&self.shared.dirs.segments, *number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.shared.fs.sync_dir(&self.shared.dirs.segments)?;
        let mut state = self.shared.state();
        for number in settled {
            state.segments.remove(&number);
        }
        Ok(())
    }

    /// Before the head of `number` goes: the end of the segment before it is durable. A process that was killed
    /// while sealing leaves an end in the page cache that may be lost to a power cut, or, after a failed sync, is
    /// taken for written and never is; so it is written again.
    fn make_sure_of_end(&self, number: u64, going: &[u64]) -> io::Result<()> {
        let Some((before, end)) = self.shared.state().unsure_before(number) else { return Ok(()) };
        if going.contains(&before) {
            return Ok(());
        }
        let disk = self.shared.fs.open(&segment::path(&self.shared.dirs.segments, before))?;
        let mut footer = vec![0; disk.len()?.saturating_sub(end) as usize];
        disk.read_at(end, &mut footer)?;
        disk.write_at(end, &[&footer])?;
        disk.sync()?;
        if let Some(segment) = self.shared.state().segments.get_mut(&before) {
            segment.unsure_end = false;
        }
        Ok(())
    }

    /// Writes what is live of a sealed segment into a new file of the same name.
    fn rewrite(&self, number: u64) -> io::Result<()> {
        self.make_sure_of_end(number, &[])?;
        let Some((entries, lanes, last_seq)) = self.shared.live_entries(number)? else { return Ok(()) };
        let dir = &self.shared.dirs.segments;
        let (path, new) = (segment::path(dir, number), dir.join("segment.new"));
        let (old, fs) = (self.shared.fs.open(&path)?, &self.shared.fs);
        let mut kept = Active::new(number, fs.create(&new)?);
        let mut moved: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|e| {
                bytes += u64::from(e.gzip_len);
                bytes <= KEPT_BYTES
            });
            let (now, later) = rest.split_at(count.count().max(1));
            let mut bodies = Vec::with_capacity(now.len());
            for entry in now {
                let mut body = vec![0; entry.gzip_len as usize];
                old.read_at(entry.offset, &mut body)?;
                bodies.push(body);
            }
            let members = now.iter().map(member_meta).collect();
            let meta = Meta { lanes: lanes.clone(), members, ..Meta::default() };
            let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let mut at = kept.append(Kind::Kept, last_seq, self.frontier, &meta.encode(), &slices)?;
            for entry in now {
                moved.push(Entry { offset: at, ..*entry });
                at += u64::from(entry.gzip_len);
            }
            rest = later;
        }
        kept.ordinals = entries.last().map_or(0, |e| e.ordinal + 1);
        let sums = super::lanes::sums(&lanes, &moved);
        kept.seal(&moved, sums)?;
        let Some((trailer, summary)) = segment::read_summary(&*kept.disk)? else {
            return Err(io::Error::other("the rewritten segment can't be read back"));
        };
        {
            // Readers that took an offset before this find another body there, and ask again.
            let mut state = self.shared.state();
            fs.rename(&new, &path)?;
            state.rewritten(number, kept.len, trailer, &summary, moved);
        }
        fs.sync_dir(dir)
    }

    pub(super) fn view_due(&self) -> Option<Instant> {
        (self.view.is_some() && self.applied < self.frontier).then_some(self.next_view)
    }

    /// Brings the view up to date once a second.
    pub(super) fn apply(&mut self, closing: bool) {
        if self.applied >= self.frontier || (!closing && Instant::now() < self.next_view) {
            return;
        }
        let began = Instant::now();
        self.next_view = began + VIEW_EVERY;
        // sled on a full disk is a handle that can do nothing any more.
        if self.space.free() < SLED_FREE_MIN {
            return;
        }
        let Some(view) = &self.view else { return };
        loop {
            let (changes, all) = changes(&self.shared, self.frontier);
            let result = view.apply(changes).and_then(|()| if all { view.flush() } else { Ok(()) });
            if let Err(error) = result {
                tracing::error!(%error, "the view is given up until the next start; nothing is lost");
                let note = format!("sled failed ({error}); it is rebuilt at the next start");
                self.shared.state().notes.insert("view", note);
                self.view = None;
                return;
            }
            if all {
                self.applied = self.frontier;
            }
            if all || !closing {
                break;
            }
        }
        self.next_view = Instant::now() + VIEW_EVERY.max(began.elapsed() * 10);
    }
}

/// A pipeline with more rows than this is read from its base and the frames behind it.
const VIEW_ROWS_OF_ONE: usize = 256;

/// The next rows for the view, and whether these are all.
fn changes(shared: &Shared, frontier: u64) -> (Changes, bool) {
    let mut changes = Changes::default();
    let mut left = VIEW_ROWS;
    let mut state = shared.state();
    for pipeline in &mut state.pipelines {
        if pipeline.rows.len() > VIEW_ROWS_OF_ONE || pipeline.lost.is_some() {
            // sled would keep about 1 KB in memory for each; its base and the frames behind it have them too. (Rows
            // that are lost stay lost: what there is of them must not be taken for all.)
            changes.without_rows(&pipeline.name);
            pipeline.dirty = HashSet::new();
            continue;
        }
        let keys: Vec<u64> = pipeline.dirty.iter().take(left).copied().collect();
        left -= keys.len();
        for key in keys {
            pipeline.dirty.remove(&key);
            changes.row(&pipeline.name, key, pipeline.rows.get(&key).map(|v| &**v));
        }
    }
    let all = state.pipelines.iter().all(|p| p.dirty.is_empty());
    if all {
        changes.applied(frontier);
    } else {
        changes.reached(frontier);
    }
    (changes, all)
}

fn member_meta(e: &Entry) -> MemberMeta {
    MemberMeta {
        ordinal: e.ordinal,
        seq: e.seq,
        member: e.member,
        lane: e.lane as u16,
        sent_before: e.sent_before,
        items: e.items,
        raw_len: e.raw_len,
        gzip_len: e.gzip_len,
        crc: e.crc,
    }
}
