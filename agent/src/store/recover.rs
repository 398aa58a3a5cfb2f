//! Opening what an earlier process left: which frames count, what is owed, and every pipeline's rows.
//!
//! The first bad frame behind the highest frontier known ends the log: it and all after it are cut, since
//! nothing of them has left. A bad frame before that is damage: what is sound around it is kept, it is copied
//! to `quarantine/` and told. Sealed segments are known by their summaries; only the newest, and those behind
//! the oldest row that is still needed, are walked through.
//!
//! Promises: what was durable and undamaged is back; opening does not read bodies of sealed segments.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use splashdam_api::words::bytes;

use super::frame::{Entry, Head, Meta, SegmentMarks, Summary, Trailer};
use super::fs::{Disk, Fs};
use super::identity::{Dirs, io_error};
use super::lanes::{Bits, Segment, State};
use super::recover_damage::{Damage, Repair};
use super::segment::{self, Active, Content, Frame, Item, Walk};
use super::{Rewind, StoreError, view};

/// The state after the last durable commit.
pub(super) struct Recovered {
    pub(super) state: State,
    /// The newest segment, if more can be appended to it.
    pub(super) active: Option<Active>,
    /// Older ones that were not sealed.
    pub(super) unsealed: Vec<Active>,
    /// The newest segment's number, 0 if there is none.
    pub(super) newest: u64,
    /// Dead letters that a durable commit owes again.
    pub(super) replayed: Vec<(u32, Vec<u64>)>,
    pub(super) repair: Repair,
}

/// A segment file as found.
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) len: u64,
    sealed: Option<(Trailer, Summary)>,
    /// Where its sound frames end.
    pub(super) end: u64,
    pub(super) last_seq: u64,
    pub(super) damaged: bool,
}

pub(super) struct Recovery<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) dirs: &'a Dirs,
    pub(super) state: State,
    pub(super) rewind: Rewind,
    pub(super) found: Vec<Found>,
    /// The highest sequence that is known to have been durable.
    pub(super) frontier: u64,
    pub(super) damage: Vec<Damage>,
    /// Pipeline → where each of its bases began.
    pub(super) bases: HashMap<String, Vec<u64>>,
    lost: u64,
    replayed: Vec<(u32, Vec<u64>)>,
    /// Pipeline → rows are taken from frames behind this sequence.
    pub(super) start: HashMap<u32, u64>,
    pub(super) repair: Repair,
}

pub(super) fn recover(fs: &dyn Fs, dirs: &Dirs, seen: view::Content, rewind: Rewind) -> Result<Recovered, StoreError> {
    let recovery = Recovery {
        fs,
        dirs,
        state: State::default(),
        rewind,
        found: Vec::new(),
        frontier: seen.applied.max(seen.reached),
        damage: Vec::new(),
        bases: HashMap::new(),
        lost: 0,
        replayed: Vec::new(),
        start: HashMap::new(),
        repair: Repair::default(),
    };
    recovery.run(seen).map_err(io_error(&dirs.root))
}

impl Recovery<'_> {
    fn run(mut self, seen: view::Content) -> io::Result<Recovered> {
        self.list_bases()?;
        self.list()?;
        self.find_end()?;
        self.look_for_lost_end();
        let (head_at, head) = self.newest_head()?;
        self.drop_settled(head_at, &head)?;
        self.add_segments()?;
        self.choose_rows(seen, &head)?;
        let needed: HashMap<String, u64> = head.bases.iter().cloned().collect();
        let marks = self.walk(head_at, head)?;
        self.apply_marks(marks)?;
        self.set_back(&needed)?;
        self.state.frontier = self.last_seq().max(self.frontier);
        self.state.born = self.state.frontier + 1;
        if self.lost > 0 {
            let lost = self.lost;
            let note = format!("of the log, {} were damaged; see {}", bytes(lost), self.dirs.quarantine.display());
            self.state.notes.insert("damage", note);
        }
        let newest = self.found.last().map_or(0, |f| f.number);
        let (mut active, mut unsealed) = (None, Vec::new());
        for found in self.found.iter().filter(|f| f.sealed.is_none()) {
            let appendable = self.reopen(found)?;
            if found.number == newest && !found.damaged {
                active = Some(appendable);
            } else {
                unsealed.push(appendable);
            }
        }
        let (state, replayed, repair) = (self.state, self.replayed, self.repair);
        Ok(Recovered { state, active, unsealed, newest, replayed, repair })
    }

    fn list(&mut self) -> io::Result<()> {
        for name in self.fs.list(&self.dirs.segments)? {
            let path = self.dirs.segments.join(&name);
            let Some(number) = segment::number(&name) else {
                self.fs.unlink(&path)?;
                continue;
            };
            let disk = self.fs.open(&path)?;
            let len = disk.len()?;
            let sealed = segment::read_summary(&*disk)?;
            let end = sealed.as_ref().map_or(len, |(trailer, _)| trailer.index_offset);
            let last_seq = match &sealed {
                Some((_, summary)) => summary.last_seq,
                None => highest_seq(&*disk, number, len)?,
            };
            self.found.push(Found { number, disk, len, sealed, end, last_seq, damaged: false });
        }
        self.found.sort_by_key(|f| f.number);
        Ok(())
    }

    /// Cuts what is behind the frontier in the segments that were not sealed.
    fn find_end(&mut self) -> io::Result<()> {
        // A frame that was written again into the next segment counts there only.
        let (mut follows, mut exact) = (None, false);
        for at in (0..self.found.len()).rev() {
            // What a segment follows matters only to one that was not sealed.
            let asked = self.found[at].sealed.is_none() || at > 0 && self.found[at - 1].sealed.is_none();
            let head = if asked { self.first_head(at)? } else { None };
            if self.found[at].sealed.is_none() {
                // What an earlier segment has beyond that is not cut yet.
                let before = head.as_ref().map(|head| head.follows);
                let before = before.unwrap_or_else(|| self.found[..at].last().map_or(0, |f| f.last_seq));
                self.examine(at, before, follows.unwrap_or(u64::MAX))?;
                self.look_for_gap(at, follows.filter(|_| exact));
            }
            let found = &self.found[at];
            if found.sealed.is_none() && found.end == 0 {
                self.fs.unlink(&segment::path(&self.dirs.segments, found.number))?;
                self.found.remove(at);
                continue;
            }
            exact = head.is_some();
            follows = head.map(|head| head.follows).or(follows);
        }
        self.fs.sync_dir(&self.dirs.segments)
    }

    /// Walks through an unsealed segment, cuts its tail and syncs what is left: after a kill it may lie in
    /// the page cache only, and is about to be sent.
    fn examine(&mut self, at: usize, before: u64, follows: u64) -> io::Result<()> {
        let steps = self.steps(at, before)?;
        let number = self.found[at].number;
        let (mut end, mut last_seq, mut damaged, mut unsure) = (self.found[at].len, before, false, None);
        for step in steps {
            let expected = step.seq.unwrap_or(last_seq + 1);
            if expected > self.frontier {
                unsure.get_or_insert(step.offset);
            }
            if expected > follows || (!step.is_sound() && expected > self.frontier) {
                end = step.offset;
                break;
            }
            damaged |= !step.is_sound();
            self.damage.extend(step.damage(number, last_seq));
            last_seq = step.seq.unwrap_or(last_seq).max(last_seq);
        }
        let found = &mut self.found[at];
        if end < found.len {
            found.disk.truncate(end)?;
        }
        // The process before may have ended after a failed sync: the system then takes the pages of the tail for
        // written, and would not write them at the next sync. Writing them again makes it.
        let mut written = unsure.unwrap_or(end);
        while written < end {
            let mut piece = vec![0; (end - written).min(1 << 20) as usize];
            found.disk.read_at(written, &mut piece)?;
            found.disk.write_at(written, &[&piece])?;
            written += piece.len() as u64;
        }
        found.disk.sync()?;
        (found.end, found.len, found.last_seq, found.damaged) = (end, end, last_seq, damaged);
        Ok(())
    }

    pub(super) fn first_head(&self, at: usize) -> io::Result<Option<Head>> {
        let found = &self.found[at];
        match Walk::new(&*found.disk, found.number, found.end, false).next()? {
            Some(Item::Frame(Frame { content: Content::Head(head), .. })) => Ok(Some(head)),
            _ => Ok(None),
        }
    }

    /// The newest segment that begins with a head, and the head.
    fn newest_head(&self) -> io::Result<(u64, Head)> {
        for at in (0..self.found.len()).rev() {
            if let Some(head) = self.first_head(at)? {
                return Ok((self.found[at].number, head));
            }
        }
        Ok((0, Head::default()))
    }

    /// A segment that the head does not know was settled and removed; its removal may not have been durable.
    fn drop_settled(&mut self, head_at: u64, head: &Head) -> io::Result<()> {
        let live: Vec<u64> = head.marks.iter().map(|m| m.segment).collect();
        let gone = |f: &Found| f.number < head_at && !live.contains(&f.number);
        for found in self.found.iter().filter(|f| gone(f)) {
            self.fs.unlink(&segment::path(&self.dirs.segments, found.number))?;
        }
        self.found.retain(|f| !gone(f));
        Ok(())
    }

    fn add_segments(&mut self) -> io::Result<()> {
        for at in 0..self.found.len() {
            let number = self.found[at].number;
            let (bytes, last_seq) = (self.found[at].len, self.found[at].last_seq);
            let mut segment = Segment { bytes, last_seq, ..Segment::default() };
            match self.found[at].sealed.clone() {
                Some((trailer, summary)) => {
                    (segment.trailer, segment.unsure_end) = (Some(trailer), true);
                    for (pipeline, bytes) in &summary.rows {
                        segment.rows.push((self.state.pipeline(pipeline), *bytes));
                    }
                    for sum in &summary.lanes {
                        let pipeline = self.state.pipeline(&sum.pipeline);
                        let lane = self.state.lane(pipeline, &Arc::from(sum.index.as_str()));
                        segment.add_lane(lane, sum.members, sum.bytes);
                        self.state.owe(lane, sum.items, sum.bytes);
                    }
                    self.state.segments.insert(number, segment);
                }
                None => {
                    segment.entries = Some(Vec::new());
                    self.state.segments.insert(number, segment);
                    self.add_entries(at)?;
                }
            }
        }
        Ok(())
    }

    /// The members of an unsealed segment, from its frames.
    fn add_entries(&mut self, at: usize) -> io::Result<()> {
        let (number, disk, end) = (self.found[at].number, self.found[at].disk.clone(), self.found[at].end);
        let mut walk = Walk::new(&*disk, number, end, false);
        let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
        while let Some(item) = walk.next()? {
            let Item::Frame(frame) = item else { continue };
            let at = frame.bodies_at();
            let Content::Commit(meta) = frame.content else { continue };
            let pipeline = meta.lanes.first().map_or("", |(pipeline, _)| pipeline);
            if !meta.rows.is_empty() {
                let pipeline = self.state.pipeline(pipeline);
                *rows.entry(pipeline).or_default() += meta.rows.iter().map(super::lanes::row_bytes).sum::<u64>();
            }
            for entry in entries(&mut self.state, &meta, at) {
                self.state.add(number, entry);
            }
        }
        if let Some(segment) = self.state.segments.get_mut(&number) {
            segment.rows = rows.into_iter().collect();
        }
        Ok(())
    }

    /// Goes through all frames that still say something: rows behind what was chosen, settlements since the
    /// newest head.
    fn walk(&mut self, head_at: u64, head: Head) -> io::Result<BTreeMap<u64, SegmentMarks>> {
        let mut marks: BTreeMap<u64, SegmentMarks> = head.marks.into_iter().map(|m| (m.segment, m)).collect();
        for (name, counters) in &head.counters {
            let number = self.state.pipeline(name);
            self.state.pipelines[number as usize].counters = *counters;
        }
        for at in 0..self.found.len() {
            let found = &self.found[at];
            let (number, disk, end) = (found.number, found.disk.clone(), found.end);
            let wanted = self.state.segments.get(&number).is_some_and(|segment| {
                let start = |pipeline| self.start.get(pipeline).copied().unwrap_or(0);
                segment.rows.iter().any(|(pipeline, _)| start(pipeline) < segment.last_seq)
            });
            if number < head_at && !wanted {
                continue;
            }
            let mut walk = Walk::new(&*disk, number, end, false);
            while let Some(item) = walk.next()? {
                match item {
                    Item::Frame(Frame { header, content: Content::Commit(meta), .. }) => {
                        self.replay(header.seq, meta, number >= head_at, &mut marks);
                    }
                    Item::Frame(_) => {}
                    Item::Bad { from, to } => self.quarantine(number, &*disk, from, to)?,
                }
            }
        }
        Ok(marks)
    }

    fn replay(&mut self, seq: u64, meta: Meta, settles: bool, marks: &mut BTreeMap<u64, SegmentMarks>) {
        let Some((name, _)) = meta.lanes.first() else { return };
        let pipeline = self.state.pipeline(name);
        if seq > self.start.get(&pipeline).copied().unwrap_or(0) {
            self.state.change_rows(pipeline, meta.rows);
        }
        if !settles {
            return;
        }
        if let Some(counters) = meta.counters {
            self.state.pipelines[pipeline as usize].counters = counters;
        }
        if !meta.replayed.is_empty() {
            self.replayed.push((pipeline, meta.replayed));
        }
        for mark in meta.settled {
            let of = marks.entry(mark.segment).or_default();
            of.partial.retain(|(ordinal, _)| *ordinal != mark.ordinal);
            match mark.still {
                Some(still) => of.partial.push((mark.ordinal, still)),
                None => {
                    let mut done = Bits(std::mem::take(&mut of.done));
                    done.set(mark.ordinal);
                    of.done = done.0;
                }
            }
        }
    }

    fn apply_marks(&mut self, marks: BTreeMap<u64, SegmentMarks>) -> io::Result<()> {
        for (number, marks) in marks {
            let Some(found) = self.found.iter().find(|f| f.number == number) else { continue };
            if marks.partial.is_empty() && marks.done.iter().all(|word| *word == 0) {
                continue;
            }
            let sealed = found.sealed.as_ref().map(|(trailer, _)| *trailer);
            let entries = match sealed {
                Some(trailer) => match segment::read_index(&*found.disk, &trailer)? {
                    Some(entries) => self.with_lanes(number, entries),
                    None => self.entries_by_walk(number)?,
                },
                None => self.state.segments.get(&number).and_then(|s| s.entries.clone()).unwrap_or_default(),
            };
            let done = Bits(marks.done);
            for entry in entries.iter().filter(|e| done.get(e.ordinal)) {
                self.state.settle(number, entry, None);
            }
            for (ordinal, still) in marks.partial {
                if let Some(entry) = entries.iter().find(|e| e.ordinal == ordinal && e.items == still.len()) {
                    self.state.settle(number, entry, Some(still));
                }
            }
        }
        Ok(())
    }

    fn with_lanes(&self, number: u64, mut entries: Vec<Entry>) -> Vec<Entry> {
        if let Some(segment) = self.state.segments.get(&number) {
            for entry in &mut entries {
                entry.lane = segment.table.get(entry.lane as usize).copied().unwrap_or(u32::MAX);
            }
        }
        entries
    }

    /// The members of a sealed segment whose index is damaged.
    fn entries_by_walk(&mut self, number: u64) -> io::Result<Vec<Entry>> {
        let Some(found) = self.found.iter().find(|f| f.number == number) else { return Ok(Vec::new()) };
        let (disk, end) = (found.disk.clone(), found.end);
        walk_entries(&mut self.state, &*disk, number, end)
    }

    /// Keeps a copy of damaged bytes for whoever wants to look.
    fn quarantine(&mut self, number: u64, disk: &dyn Disk, from: u64, to: u64) -> io::Result<()> {
        self.lost += to - from;
        let name = self.dirs.quarantine.join(format!("{number:08}-{from}.seg"));
        let mut bytes = vec![0; (to - from).min(64 << 20) as usize];
        disk.read_at(from, &mut bytes)?;
        self.fs.create(&name)?.write_at(0, &[&bytes])
    }

    /// A segment that was not sealed, as the process that wrote it had it.
    fn reopen(&self, found: &Found) -> io::Result<Active> {
        let mut active = Active::new(found.number, found.disk.clone());
        active.len = found.end;
        let mut walk = Walk::new(&*found.disk, found.number, found.end, false);
        while let Some(item) = walk.next()? {
            let Item::Frame(frame) = item else { continue };
            active.check = frame.header.check;
            active.last_seq = frame.header.seq;
            if active.first_seq == 0 {
                active.first_seq = frame.header.seq;
            }
        }
        let Some(segment) = self.state.segments.get(&found.number) else { return Ok(active) };
        active.ordinals = segment.entries.as_ref().and_then(|e| e.last()).map_or(0, |e| e.ordinal + 1);
        for (pipeline, bytes) in &segment.rows {
            if let Some(pipeline) = self.state.pipelines.get(*pipeline as usize) {
                active.rows.insert(pipeline.name.to_string(), *bytes);
            }
        }
        Ok(active)
    }
}

pub(super) fn highest_seq(disk: &dyn Disk, number: u64, end: u64) -> io::Result<u64> {
    let (mut walk, mut highest) = (Walk::new(disk, number, end, false), 0);
    while let Some(item) = walk.next()? {
        if let Item::Frame(frame) = item {
            highest = highest.max(frame.header.seq);
        }
    }
    Ok(highest)
}

/// The members of all sound frames.
pub(super) fn walk_entries(state: &mut State, disk: &dyn Disk, number: u64, end: u64) -> io::Result<Vec<Entry>> {
    let mut walk = Walk::new(disk, number, end, false);
    let mut all = Vec::new();
    while let Some(item) = walk.next()? {
        if let Item::Frame(frame) = item
            && let Content::Commit(meta) = &frame.content
        {
            all.extend(entries(state, meta, frame.bodies_at()));
        }
    }
    Ok(all)
}

/// A frame's members as entries with the process's lane numbers.
pub(super) fn entries(state: &mut State, meta: &Meta, mut at: u64) -> Vec<Entry> {
    let mut lanes: HashMap<u16, u32> = HashMap::new();
    let mut entries = Vec::with_capacity(meta.members.len());
    for m in &meta.members {
        let lane = *lanes.entry(m.lane).or_insert_with(|| {
            let (pipeline, index) = &meta.lanes[usize::from(m.lane)];
            let pipeline = state.pipeline(pipeline);
            state.lane(pipeline, &Arc::from(index.as_str()))
        });
        let offset = at;
        at += u64::from(m.gzip_len);
        let (seq, member, sent_before) = (m.seq, m.member, m.sent_before);
        let (ordinal, items, raw_len, gzip_len, crc) = (m.ordinal, m.items, m.raw_len, m.gzip_len, m.crc);
        entries.push(Entry { seq, offset, ordinal, lane, items, raw_len, gzip_len, crc, member, sent_before });
    }
    entries
}
