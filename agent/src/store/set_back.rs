//! Setting a pipeline back: its rows as they were before a damaged commit, so that its source reads on from there
//! under the same ids; while the agent runs, for members that turn out to be damaged when they are read. And
//! letting one begin anew that has lost its rows altogether.
//!
//! Promises: rows that went back are durable before the damaged documents stop being owed; where nothing goes
//! back that far, or going back would read nothing again, the documents are counted and the operator is told.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::base;
use super::commit::{Draft, Unwritten, Writer};
use super::frame::Entry;
use super::fs::Fs;
use super::identity::{Dirs, io_error};
use super::inbox::Reply;
use super::lanes::{Flight, State};
use super::quota::no_space;
use super::recover_damage::lost;
use super::segment::{self, Content, Frame, Item, Walk};
use super::{Rewind, StoreError};

pub(super) type Rows = HashMap<u64, Box<[u8]>>;

/// What there is to make a pipeline's earlier rows from.
pub(super) struct Past {
    name: String,
    /// Where its newest base began; 0: there is none, and all of the log is needed.
    needed: u64,
    segments: Vec<Part>,
}

/// One segment of it.
struct Part {
    number: u64,
    /// Where its frames end.
    end: u64,
    last_seq: u64,
    has_rows: bool,
}

impl Past {
    /// `needed`: a base from then on is known to have been there. `None`: a pipeline that keeps a state never goes
    /// back, because its state can't: what is read again would be counted twice.
    pub(super) fn of(state: &State, pipeline: u32, needed: u64) -> Option<Past> {
        if state.keeps_state(pipeline) {
            return None;
        }
        let of = state.pipelines.get(pipeline as usize)?;
        let part = |(number, segment): (&u64, &super::lanes::Segment)| Part {
            number: *number,
            end: segment.trailer.map_or(segment.bytes, |trailer| trailer.index_offset),
            last_seq: segment.last_seq,
            has_rows: segment.rows.iter().any(|(of, _)| *of == pipeline),
        };
        let needed = of.base.map_or(0, |base| base.0).max(needed);
        Some(Past { name: of.name.to_string(), needed, segments: state.segments.iter().map(part).collect() })
    }

    /// The rows before commit `seq`. `None`: what they would be made from is gone.
    pub(super) fn rows_before(&self, fs: &dyn Fs, dirs: &Dirs, seq: u64) -> io::Result<Option<Rows>> {
        let names = fs.list(&dirs.bases)?;
        let ours = names.iter().filter_map(|name| base::parse_name(name)).filter(|(of, _)| *of == self.name);
        let mut bases: Vec<u64> = ours.map(|(_, began)| began).collect();
        bases.sort_unstable();
        let newest = bases.last().copied().unwrap_or(0).max(self.needed);
        let whole = self.is_whole(fs, &dirs.segments)?;
        let mut start = (newest == 0 || whole).then(|| (0, Rows::new()));
        for began in bases.into_iter().rev().filter(|began| *began < seq && (*began == newest || whole)) {
            let read = base::read(fs, &dirs.bases.join(base::name(&self.name, began)))?;
            if let Some(base) = read.filter(|base| base.pipeline == self.name && base.began == began) {
                start = Some((began, base.rows.into_iter().collect()));
                break;
            }
        }
        let Some((began, mut rows)) = start else { return Ok(None) };
        for part in self.segments.iter().filter(|part| part.has_rows && part.last_seq > began) {
            let disk = fs.open(&segment::path(&dirs.segments, part.number))?;
            let mut walk = Walk::new(&*disk, part.number, part.end, false);
            while let Some(item) = walk.next()? {
                let Item::Frame(Frame { header, content: Content::Commit(meta), .. }) = item else { continue };
                let ours = meta.lanes.first().is_some_and(|(of, _)| *of == self.name);
                if !ours || header.seq <= began || header.seq >= seq {
                    continue;
                }
                for row in meta.rows {
                    match row.value {
                        Some(value) => rows.insert(row.key, value),
                        None => rows.remove(&row.key),
                    };
                }
            }
        }
        Ok(Some(rows))
    }

    /// Whether the log is there from its first segment on, and none was rewritten.
    fn is_whole(&self, fs: &dyn Fs, dir: &Path) -> io::Result<bool> {
        for (part, number) in self.segments.iter().zip(1..) {
            if part.number != number {
                return Ok(false);
            }
            let disk = fs.open(&segment::path(dir, number))?;
            let first = Walk::new(&*disk, number, part.end, false).next()?;
            if matches!(first, Some(Item::Frame(Frame { content: Content::Commit(_), .. }))) {
                return Ok(false);
            }
        }
        Ok(!self.segments.is_empty())
    }
}

/// The rows to go on with: what `rewind` makes of those before the damage and the latest.
pub(super) fn rewound(rewind: Rewind, mut before: Rows, latest: &Rows) -> Rows {
    for (key, value) in latest {
        match rewind(*key, before.get(key).map(|row| &**row), value) {
            Some(row) => before.insert(*key, row),
            None => before.remove(key),
        };
    }
    before
}

/// Whether commit `seq` came after what a pipeline went back to, and before it did: then it is read again.
fn is_in(set_back: Option<(u64, u64)>, seq: u64) -> bool {
    set_back.is_some_and(|(from, to)| (from..=to).contains(&seq))
}

impl Writer {
    /// Lets the view begin anew with the rows of pipelines that it did not have right.
    pub(super) fn rewrite_rows(&mut self, pipelines: &[u32]) {
        let mut state = self.shared.state();
        for number in pipelines {
            let (Some(view), Some(pipeline)) = (&self.view, state.of(*number)) else { continue };
            if let Err(error) = view.clear(&pipeline.name, self.frontier) {
                tracing::error!(%error, "the store runs without sled");
                self.view = None;
                return;
            }
            pipeline.dirty = pipeline.rows.keys().copied().collect();
            self.applied = 0;
        }
    }

    /// A member that was handed out can't be read. It is not handed out again until its pipeline went back.
    pub(super) fn harmed(&mut self, pipeline: u32, seq: u64, member: u16) -> Result<(), StoreError> {
        let behind = {
            let mut state = self.shared.state();
            let Some(flight) = state.flight(seq, member) else { return Ok(()) };
            let Some(of) = state.of(pipeline) else { return Ok(()) };
            if !of.harmed.iter().any(|known| (known.entry.seq, known.entry.member) == (seq, member)) {
                of.harmed.push(flight);
            }
            of.set_back
        };
        // What this process went back for is read again already.
        if is_in(behind, seq) { self.settle_harmed(pipeline, behind) } else { Ok(()) }
    }

    /// Sets `pipeline` back for what it has that can't be read. The reply says whether its rows are others now.
    pub(super) fn set_back(&mut self, pipeline: u32, reply: Reply<bool>) -> Result<(), StoreError> {
        self.sync()?;
        let went = match self.go_back(pipeline) {
            Ok(went) => went,
            Err(error) => {
                super::commit::answer(reply, Err(io_error(&self.shared.dirs.root)(error)));
                return Ok(());
            }
        };
        self.settle_harmed(pipeline, Some((0, u64::MAX)))?;
        super::commit::answer(reply, Ok(went));
        Ok(())
    }

    /// An error: everything is as it was.
    fn go_back(&mut self, number: u32) -> io::Result<bool> {
        self.look_for_more(number)?;
        let (past, seq, latest, line) = {
            let mut state = self.shared.state();
            let past = Past::of(&state, number, 0);
            let Some(of) = state.of(number) else { return Ok(false) };
            let (name, harmed, latest) = (of.name.clone(), of.harmed.clone(), of.rows.clone());
            let behind = of.set_back;
            let open = harmed.iter().map(|flight| flight.entry.seq).filter(|seq| !is_in(behind, *seq));
            let Some(seq) = open.min() else { return Ok(false) };
            let line = format!("{name}: stored requests are damaged from commit {seq} on{}", lost(&state, &harmed));
            (past, seq, latest, line)
        };
        let before = match past {
            Some(past) => past.rows_before(&*self.shared.fs, &self.shared.dirs, seq)?,
            None => None,
        };
        let rows = before.map(|before| rewound(self.shared.options.rewind, before, &latest));
        let went = match rows.filter(|rows| *rows != latest) {
            Some(rows) => {
                self.swap_rows(number, rows);
                if let Err(error) = self.keep_rows(number) {
                    self.swap_rows(number, latest);
                    return Err(error);
                }
                true
            }
            None => false,
        };
        let mut state = self.shared.state();
        let end = if went { "what followed is read again" } else { "nothing can be read again: documents are lost" };
        tracing::error!("{line}; {end}");
        state.damage.push(format!("{line}; {end}"));
        let range = (seq, self.frontier);
        state.of(number).filter(|_| went).into_iter().for_each(|of| of.set_back = Some(range));
        drop(state);
        if went {
            self.rewrite_rows(&[number]);
        }
        Ok(went)
    }

    /// A pipeline that has lost its rows goes on with others. An error: everything is as it was.
    pub(super) fn begin_anew(&mut self, number: u32, rows: Rows) -> io::Result<bool> {
        let Some(why) = self.shared.state().of(number).and_then(|of| of.lost.clone()) else { return Ok(false) };
        let before = self.swap_rows(number, rows);
        if let Err(error) = self.keep_rows(number) {
            self.swap_rows(number, before);
            return Err(error);
        }
        {
            let mut state = self.shared.state();
            state.damage.retain(|line| *line != why);
            state.of(number).into_iter().for_each(|of| of.lost = None);
            state.notify(number);
        }
        self.rewrite_rows(&[number]);
        Ok(true)
    }

    /// Gives a pipeline other rows; returns those it had.
    fn swap_rows(&self, number: u32, rows: Rows) -> Rows {
        self.shared.state().of(number).map(|of| std::mem::replace(&mut of.rows, rows)).unwrap_or_default()
    }

    /// Damage seldom comes alone: what else of the pipeline is owed in the same segments is read, so that it
    /// goes back once.
    fn look_for_more(&self, number: u32) -> io::Result<()> {
        let mut segments: Vec<u64> = {
            let mut state = self.shared.state();
            state.of(number).map_or_else(Vec::new, |of| of.harmed.iter().map(|flight| flight.segment).collect())
        };
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            let Some(entries) = self.owed_of(number, segment)? else { continue };
            let disk = self.shared.fs.open(&segment::path(&self.shared.dirs.segments, segment))?;
            for entry in entries {
                let mut body = vec![0; entry.gzip_len as usize];
                if disk.read_at(entry.offset, &mut body).is_ok() && crc32c::crc32c(&body) == entry.crc {
                    continue;
                }
                let mut state = self.shared.state();
                // It may have been settled or handed out meanwhile: then nobody needs it, or whoever has it will say.
                let open = state.segments.get(&segment).is_some_and(|s| !s.done.get(entry.ordinal));
                if open && state.flight(entry.seq, entry.member).is_none() {
                    let flight = Flight { segment, entry };
                    state.take_off(flight);
                    state.of(number).into_iter().for_each(|of| of.harmed.push(flight));
                }
            }
        }
        Ok(())
    }

    /// What a pipeline has in a segment that is owed and not handed out.
    fn owed_of(&self, pipeline: u32, segment: u64) -> io::Result<Option<Vec<Entry>>> {
        let trailer = self.shared.state().segments.get(&segment).and_then(|s| s.trailer);
        if let Some(trailer) = trailer {
            self.shared.load((segment, trailer)).map_err(|error| io::Error::other(error.to_string()))?;
        }
        let state = self.shared.state();
        let Some(of) = state.segments.get(&segment) else { return Ok(None) };
        let ours = |e: &&Entry| state.lanes.get(e.lane as usize).is_some_and(|lane| lane.pipeline == pipeline);
        let owed = |e: &&Entry| !of.done.get(e.ordinal) && state.flight(e.seq, e.member).is_none();
        Ok(of.entries.as_ref().map(|entries| entries.iter().filter(ours).filter(owed).copied().collect()))
    }

    /// Makes rows that went back durable, as a base.
    pub(super) fn keep_rows(&mut self, number: u32) -> io::Result<()> {
        // A commit without content, so that the base is newer than what the view says it has.
        self.append_surely(Draft { pipeline: number, ..Draft::default() }).map_err(|unwritten| unwritten.error)?;
        self.sync().map_err(|error| io::Error::other(error.to_string()))?;
        match self.write_base(number) {
            Err(error) if no_space(&error) && self.space.drop_ballast() => self.write_base(number),
            written => written,
        }
    }

    /// The damaged members of the commits in `range` are not owed any more; those that are not read again are
    /// counted. What can't be written down now is tried again.
    fn settle_harmed(&mut self, pipeline: u32, range: Option<(u64, u64)>) -> Result<(), StoreError> {
        let (flights, items, counters) = {
            let mut state = self.shared.state();
            let Some(of) = state.of(pipeline) else { return Ok(()) };
            let of_range = |flight: &Flight| is_in(range, flight.entry.seq);
            let (flights, kept): (Vec<Flight>, _) = std::mem::take(&mut of.harmed).into_iter().partition(of_range);
            of.harmed = kept;
            let behind = of.set_back;
            let lost = flights.iter().filter(|flight| !is_in(behind, flight.entry.seq));
            let items: u64 = lost.map(|flight| state.owed_items(flight)).sum();
            let Some(of) = state.of(pipeline) else { return Ok(()) };
            of.counters.quarantined_items += items;
            (flights, items, of.counters)
        };
        if !self.settle_damaged(pipeline, flights.clone(), counters)
            && let Some(of) = self.shared.state().of(pipeline)
        {
            of.counters.quarantined_items -= items;
            of.harmed.extend(flights);
        }
        self.sync()
    }

    /// Keeps copies and settles. False: they stay in their segments, and are found again.
    pub(super) fn settle_damaged(&mut self, pipeline: u32, flights: Vec<Flight>, counters: super::Counters) -> bool {
        if flights.is_empty() {
            return true;
        }
        flights.iter().for_each(|flight| self.keep_copy(flight));
        let settled = flights.into_iter().map(|flight| (flight, None)).collect();
        let draft = Draft { pipeline, settled, counters: Some(counters), ..Draft::default() };
        let Err(Unwritten { error, .. }) = self.append_surely(draft) else { return true };
        tracing::warn!(%error, "a damaged request stays in its segment");
        false
    }
}
