//! Log files as a source: found by globs, followed through every kind of rotation.
//!
//! One thread drives it by [`FileSource::poll`]. A poll takes in file events, looks at the files that are due
//! (`look`), lists folders that may have changed (`discover`), decides which stored source a new file is
//! (`recognise`, `copies`), and reads the files that have unread bytes in turn (`read`, `compressed`). What has
//! to survive a crash is in the rows that each step carries; everything else is found again from the files.

mod compressed;
mod copies;
mod discover;
mod fingerprint;
mod globs;
mod gzip;
mod look;
pub(crate) mod matches;
pub(in crate::source) mod place;
mod read;
mod recognise;
pub(in crate::source) mod rows;
mod schedule;
mod start;
mod stat;
mod table;
#[cfg(test)]
mod tests;
mod tracked;
mod unseen;
mod watch;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::emit::add_gap;
use super::{FilePosition, Progress, SourceError, Waker};
use crate::metrics::PipelineMetrics;
use crate::plan::FilePlan;
use crate::record::{GapReason, Row, SourceId, Step, Timestamp};
use discover::{Folders, Sought};
use globs::Globs;
use rows::{COUNTERS, Counters, Kind, Stored};
use schedule::Looks;
use table::{Slot, Table};
use tracked::{State, Tick, Tracked};
use unseen::Unseen;
use watch::Watch;

/// So many descriptors are held open; files beyond are opened for their turn.
const MOST_OPEN: usize = 1000;
/// A source without file and without anything left to read is remembered this long, in seconds.
const REMEMBER_S: u32 = 600;
/// How old the stored size of a file with unread bytes may be.
const UNSAVED_MS: Tick = 1000;
/// Buffers kept for the next large reads.
const SPARE: usize = 8;

/// The files of one job.
#[derive(Debug)]
pub(crate) struct FileSource {
    plan: FilePlan,
    once: bool,
    globs: Globs,
    metrics: PipelineMetrics,
    waker: Waker,
    watch: Watch,
    opened: Instant,
    /// Seconds since 1970 at `opened`.
    opened_unix: u64,
    /// The time of this poll.
    now: Tick,
    counters: Counters,
    counters_dirty: bool,
    table: Table,
    looks: Looks,
    /// Files with unread bytes, in turn.
    ready: VecDeque<Slot>,
    /// Entries whose row has changed.
    dirty: Vec<Slot>,
    /// Entries of which only the size has changed; their rows are written once a second.
    unsaved: Vec<Slot>,
    unsaved_due: Tick,
    folders: Folders,
    rescan_due: Tick,
    started: bool,
    /// While files of this run's first scan are still to be decided on: their slots are below this.
    first_scan: Option<Slot>,
    /// Files whose place is no longer theirs.
    adrift: Vec<Slot>,
    /// New files of which it is not decided whether they are sources of their own.
    newcomers: Vec<Slot>,
    open_files: usize,
    most_open: usize,
    /// Files that have no name any more, in the order in which they lost it.
    nameless: Vec<Slot>,
    /// Files that went before it was known what was written to them last.
    unseen: Unseen,
    had_budget: bool,
    read: u64,
    spare: Vec<Vec<u8>>,
    step: Step,
}

impl FileSource {
    pub(super) fn open(
        plan: &FilePlan,
        rows: Vec<(u64, Box<[u8]>)>,
        once: bool,
        metrics: PipelineMetrics,
    ) -> Result<FileSource, SourceError> {
        FileSource::open_for(plan, rows, once, metrics, Waker::default())
    }

    /// Begins anew with other rows; whoever can wake this source still can.
    pub(super) fn set_back(&mut self, rows: Vec<(u64, Box<[u8]>)>) -> Result<(), SourceError> {
        let (metrics, waker) = (self.metrics.clone(), self.waker.clone());
        let mut source = FileSource::open_for(&self.plan, rows, self.once, metrics, waker)?;
        (source.read, source.spare) = (self.read, std::mem::take(&mut self.spare));
        *self = source;
        Ok(())
    }

    fn open_for(
        plan: &FilePlan,
        rows: Vec<(u64, Box<[u8]>)>,
        once: bool,
        metrics: PipelineMetrics,
        waker: Waker,
    ) -> Result<FileSource, SourceError> {
        let mut source = FileSource {
            globs: Globs::compile(&plan.paths, &plan.exclude)?,
            watch: Watch::open(plan.watch && !once, waker.clone()),
            plan: plan.clone(),
            once,
            unseen: Unseen::new(metrics.clone()),
            metrics,
            waker,
            opened: Instant::now(),
            opened_unix: Timestamp::now().0 as u64 / 1000,
            now: 0,
            counters: Counters::default(),
            counters_dirty: false,
            table: Table::default(),
            looks: Looks::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            unsaved: Vec::new(),
            unsaved_due: 0,
            folders: Folders::default(),
            rescan_due: 0,
            started: false,
            first_scan: None,
            adrift: Vec::new(),
            newcomers: Vec::new(),
            open_files: 0,
            most_open: most_open(),
            nameless: Vec::new(),
            had_budget: true,
            read: 0,
            spare: Vec::new(),
            step: Step::default(),
        };
        for (key, value) in rows {
            let refused = |reason| SourceError::Row { key, reason };
            if key == COUNTERS {
                source.counters = Counters::decode(&value).map_err(refused)?;
            } else {
                let stored = Stored::decode(&value).map_err(refused)?;
                source.table.insert(Tracked::from_stored(SourceId(key), stored));
            }
        }
        // The counters ride in the same frames as the rows, so this only guards against rows put together by hand.
        let highest = source.table.slots().map(|slot| source.table.get(slot).source.0).max().unwrap_or(0);
        source.counters.next_source = source.counters.next_source.max(highest + 1);
        Ok(source)
    }

    pub(super) fn poll(&mut self, budget: usize, now: Instant) -> Step {
        self.now = self.tick(now);
        self.had_budget = budget > 0;
        if self.started {
            self.take_changes();
        } else {
            self.start();
        }
        while let Some(slot) = self.looks.pop(&mut self.table, self.now) {
            self.look(slot);
        }
        self.find_adrift();
        self.decide_newcomers();
        self.read_ready(budget);
        self.tell_unseen();
        self.collect_rows();
        self.metrics.lag_bytes.set(i64::try_from(self.table.lag()).unwrap_or(i64::MAX));
        self.metrics.files.set(self.table.live() as i64);
        std::mem::take(&mut self.step)
    }

    pub(super) fn next_look(&self, now: Instant) -> Instant {
        if !self.started
            || (self.had_budget && !self.ready.is_empty())
            || !self.adrift.is_empty()
            || !self.newcomers.is_empty()
        {
            return now;
        }
        let due = self.looks.next().unwrap_or(Tick::MAX).min(self.rescan_due).min(self.unseen.next());
        (self.opened + Duration::from_millis(due)).max(now)
    }

    pub(super) fn wait(&self, until: Instant) {
        self.waker.wait(until);
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn finished(&self) -> bool {
        let looked_at = self.looks.next().is_none_or(|due| due > self.now);
        let decided = self.newcomers.is_empty() && self.adrift.is_empty();
        self.once && self.started && looked_at && decided && self.ready.is_empty()
    }

    /// Sources with bytes that were seen and not handed out.
    pub(super) fn unread(&self) -> Vec<SourceId> {
        let entries = self.table.slots().map(|slot| self.table.get(slot));
        entries
            .filter(|entry| entry.is_minted() && entry.unread() > 0 && entry.examined < entry.limit())
            .map(|entry| entry.source)
            .collect()
    }

    /// Sources that may have more.
    pub(super) fn living(&self) -> Vec<SourceId> {
        let entries = self.table.slots().map(|slot| self.table.get(slot));
        let living =
            entries.filter(|entry| entry.is_minted() && !matches!(entry.state, State::Gone { .. } | State::Free));
        living.map(|entry| entry.source).collect()
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { read: self.read, total: self.read + self.table.lag() }
    }

    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE && buffer.capacity() >= read::RECYCLED {
            self.spare.push(buffer);
        }
    }

    /// The first scan of this run: every stored source is looked for, then every new file decided on.
    fn start(&mut self) {
        self.started = true;
        self.rescan_due = self.now + self.rescan_ms();
        for slot in self.table.slots() {
            if matches!(self.table.get(slot).state, State::Gone { .. }) {
                self.looks.at(&mut self.table, slot, self.now + 1000);
            }
        }
        self.first_scan = Some(Slot::MAX);
        self.scan(true);
        self.find_stored();
        self.first_scan = Some(self.table.end());
        self.decide_newcomers();
    }

    /// Takes in what the kernel told us, and lists folders when it is time.
    fn take_changes(&mut self) {
        let changes = self.watch.take();
        if changes.rescan {
            self.unseen.doubt(self.unix_seconds());
        }
        for (path, written) in &changes.ended {
            let Some(slot) = self.table.at_place(path) else {
                self.unseen.ended(path, *written);
                continue;
            };
            let entry = self.table.get_mut(slot);
            entry.end_told = true;
            entry.written |= written;
        }
        for (path, written) in &changes.grown {
            if let Some(slot) = self.table.at_place(path) {
                // Where one file had the name and another has it now, this is of the new one.
                self.table.get_mut(slot).written |= *written && !changes.ended.contains_key(path);
                self.looks.by(&mut self.table, slot, self.now);
            }
        }
        for path in &changes.names {
            self.name_seen(path);
        }
        if changes.rescan || (self.now >= self.rescan_due && !self.once) {
            self.rescan_due = self.now + self.rescan_ms();
            self.scan(changes.rescan);
        }
    }

    fn rescan_ms(&self) -> Tick {
        if self.once { Tick::MAX / 4 } else { self.plan.rescan.as_millis().max(20) as Tick }
    }

    /// Looks for the files whose place was taken: by the inode, in the folder where they were.
    fn find_adrift(&mut self) {
        let adrift = std::mem::take(&mut self.adrift);
        let mut folders = HashSet::new();
        let mut sought = Sought::new();
        for slot in &adrift {
            let entry = self.table.get(*slot);
            if entry.state == State::Adrift {
                sought.insert(entry.identity.ino, *slot);
                folders.extend(entry.place().parent().map(std::path::Path::to_path_buf));
            }
        }
        for folder in folders {
            if let Ok(stat) = stat::Stat::of(&folder) {
                self.list(&folder, stat.mtime, &sought);
            }
        }
        for slot in adrift {
            if self.table.get(slot).state == State::Adrift {
                self.lost(slot);
            }
        }
    }

    /// Stored sources that the first scan did not come across may lie in their folder under another name.
    fn find_stored(&mut self) {
        for slot in self.table.slots() {
            if self.table.get(slot).state == State::Stored {
                let place = self.table.get(slot).place().to_path_buf();
                if let Ok(stat) = stat::Stat::of(&place)
                    && stat.is_file()
                    && stat.identity.may_be(self.table.get(slot).identity)
                {
                    self.found(&place, &stat);
                } else {
                    self.table.forget_place(slot);
                    self.table.get_mut(slot).state = State::Adrift;
                    self.adrift.push(slot);
                }
            }
        }
        self.find_adrift();
    }

    /// The entry's row goes into this step.
    fn mark(&mut self, slot: Slot) {
        let entry = self.table.get_mut(slot);
        if !entry.dirty && entry.is_minted() {
            entry.dirty = true;
            self.dirty.push(slot);
        }
    }

    fn collect_rows(&mut self) {
        if self.now >= self.unsaved_due {
            self.unsaved_due = self.now + UNSAVED_MS;
            for slot in std::mem::take(&mut self.unsaved) {
                if std::mem::take(&mut self.table.get_mut(slot).unsaved) {
                    self.mark(slot);
                }
            }
        }
        for slot in std::mem::take(&mut self.dirty) {
            let entry = self.table.get_mut(slot);
            if std::mem::take(&mut entry.dirty) && entry.is_minted() {
                let row = Row { key: entry.source.0, value: Some(entry.stored().encode()) };
                self.step.rows.push(row);
            }
        }
        if std::mem::take(&mut self.counters_dirty) {
            self.step.rows.push(Row { key: COUNTERS, value: Some(self.counters.encode()) });
        }
    }

    /// Makes the file a source of its own.
    fn mint(&mut self, slot: Slot) {
        let source = SourceId(self.counters.next_source);
        self.counters.next_source += 1;
        self.counters_dirty = true;
        self.table.get_mut(slot).source = source;
        tracing::debug!(path = %self.table.get(slot).place().display(), source = source.0, "new source");
        self.mark(slot);
    }

    /// Bytes of this source will never be read: they are counted, and the log says so.
    fn gap(&mut self, slot: Slot, from: u64, bytes: u64, reason: GapReason) {
        if bytes == 0 {
            return;
        }
        let entry = self.table.get(slot);
        tracing::warn!(path = %entry.path.display(), source = entry.source.0, from, bytes, ?reason, "bytes are lost");
        let path: Arc<str> = entry.path.to_string_lossy().into();
        self.metrics.gap_bytes.inc_by(bytes);
        add_gap(&mut self.step, &path, from, bytes, reason);
    }

    fn close(&mut self, slot: Slot) {
        self.listen_again(slot);
        if self.table.get_mut(slot).open.take().is_some() {
            self.open_files -= 1;
        }
    }

    fn unix_seconds(&self) -> u32 {
        (self.opened_unix + self.now / 1000) as u32
    }

    fn tick(&self, now: Instant) -> Tick {
        let since = now.saturating_duration_since(self.opened).as_millis() as Tick;
        since.max(self.now)
    }
}

/// Half of what the process may open, so that there is room for the others.
fn most_open() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(MOST_OPEN, |limit| MOST_OPEN.min(limit as usize / 2))
}

/// Decodes rows for an operator.
pub(super) fn positions(rows: &[(u64, Box<[u8]>)]) -> Vec<FilePosition> {
    let readable = rows.iter().filter(|(key, _)| *key != COUNTERS);
    readable
        .filter_map(|(key, value)| {
            let stored = Stored::decode(value).ok()?;
            Some(FilePosition {
                source: SourceId(*key),
                path: stored.path.to_string_lossy().into_owned(),
                moved_to: stored.place.as_ref().map(|place| place.to_string_lossy().into_owned()),
                offset: stored.position.offset,
                size: Some(if stored.kind == Kind::Gzip { stored.compressed } else { stored.known }),
                state: match (stored.gone_at, stored.kind) {
                    (Some(_), _) => "gone",
                    (None, Kind::Gzip) => "compressed",
                    (None, Kind::Plain) => "following",
                },
            })
        })
        .collect()
}
