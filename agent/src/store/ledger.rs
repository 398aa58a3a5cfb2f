//! What the store's thread asks of the state: what a head says, which segments can go, what can be dropped.

use std::collections::HashMap;

use super::Options;
use super::frame::{Entry, Head, LaneSum, Summary, Trailer};
use super::lanes::{Flight, Segment, State, sums};
use crate::record::Row;

impl State {
    /// What a new segment begins with.
    pub(super) fn head(&self, follows: u64) -> Head {
        let bases = self.pipelines.iter().filter_map(|p| Some((p.name.to_string(), p.base?.0)));
        let counters = self.pipelines.iter().map(|p| (p.name.to_string(), p.counters));
        Head {
            follows,
            marks: self.segments.iter().map(|(number, segment)| segment.marks(*number)).collect(),
            bases: bases.collect(),
            counters: counters.filter(|(_, c)| *c != Default::default()).collect(),
        }
    }

    /// Takes over rows that were committed in `segment`.
    pub(super) fn add_rows(&mut self, segment: u64, pipeline: u32, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let bytes: u64 = rows.iter().map(super::lanes::row_bytes).sum();
        if let Some(segment) = self.segments.get_mut(&segment) {
            match segment.rows.iter_mut().find(|(of, _)| *of == pipeline) {
                Some((_, sum)) => *sum += bytes,
                None => segment.rows.push((pipeline, bytes)),
            }
        }
        self.change_rows(pipeline, rows);
    }

    /// (pipeline, index) of a segment's own lane numbers.
    pub(super) fn table_of(&self, segment: &Segment) -> Vec<(String, String)> {
        let name = |lane: &u32| {
            let lane = self.lanes.get(*lane as usize);
            let pipeline = lane.and_then(|l| self.pipelines.get(l.pipeline as usize));
            let index = lane.map_or_else(String::new, |l| l.index.to_string());
            (pipeline.map_or_else(String::new, |p| p.name.to_string()), index)
        };
        segment.table.iter().map(name).collect()
    }

    /// All entries of the segment with its own lane numbers, and what its lanes have.
    pub(super) fn index_of(&self, number: u64) -> (Vec<Entry>, Vec<LaneSum>) {
        let Some(segment) = self.segments.get(&number) else { return (Vec::new(), Vec::new()) };
        let entries: Vec<Entry> = segment.entries.iter().flatten().map(|e| segment.local(e)).collect();
        let sums = sums(&self.table_of(segment), &entries);
        (entries, sums)
    }

    /// The first commit of a pipeline that may owe something; behind the frontier, if none does. Where a segment's
    /// index is not in memory it is the segment's first that may.
    pub(super) fn owed_from(&self, pipeline: u32) -> u64 {
        let ours = |lane: u32| self.lanes.get(lane as usize).is_some_and(|l| l.pipeline == pipeline && l.is_owed());
        let mut before = 0;
        for segment in self.segments.values() {
            if segment.shares.iter().any(|(lane, share)| share.live > 0 && ours(*lane)) {
                let Some(entries) = &segment.entries else { return before + 1 };
                let owed = entries.iter().filter(|e| ours(e.lane) && !segment.done.get(e.ordinal)).map(|e| e.seq);
                return owed.min().unwrap_or(before + 1);
            }
            before = segment.last_seq;
        }
        self.frontier + 1
    }

    /// Whether no row change in the segment is needed any more.
    pub(super) fn rows_covered(&self, number: u64) -> bool {
        let Some(segment) = self.segments.get(&number) else { return false };
        let began = |pipeline: u32| self.pipelines.get(pipeline as usize).and_then(|p| p.base).map_or(0, |b| b.0);
        segment.rows.iter().all(|(pipeline, _)| began(*pipeline) >= segment.last_seq)
    }

    /// Segments in which nothing is owed and no row is needed, but not the newest.
    pub(super) fn settled(&self, newest: u64) -> Vec<u64> {
        let idle = self.segments.iter().filter(|(number, segment)| **number != newest && segment.live == 0);
        let numbers = idle.map(|(number, _)| *number);
        numbers.filter(|number| self.rows_covered(*number) && !self.ends_another(*number)).collect()
    }

    /// The segment before `number`, if a power cut could still take its end: from the head of `number`, then, it
    /// would be known where it ends. With where its frames end now.
    pub(super) fn unsure_before(&self, number: u64) -> Option<(u64, u64)> {
        let (before, segment) = self.segments.range(..number).next_back()?;
        let trailer = segment.trailer.filter(|_| segment.unsure_end)?;
        Some((*before, trailer.index_offset))
    }

    /// Whether the segment's head is what says where the one before it ends: that one was not sealed, and may
    /// have frames that were written again behind this head.
    fn ends_another(&self, number: u64) -> bool {
        self.segments.range(..number).next_back().is_some_and(|(_, before)| before.trailer.is_none())
    }

    /// The oldest segment worth a rewrite: less than half of it is live, and the log is more than twice as long
    /// as what is owed.
    pub(super) fn sparse(&self, newest: u64, options: &Options) -> Option<u64> {
        let (mut bytes, mut live) = (0, 0);
        for segment in self.segments.values() {
            bytes += segment.bytes;
            live += segment.live_bytes;
        }
        if bytes < 2 * live + 2 * options.segment_bytes {
            return None;
        }
        let sparse = |(number, s): &(&u64, &Segment)| {
            let small = s.live > 0 && s.live_bytes * 2 < s.bytes;
            **number != newest && s.trailer.is_some() && small && !self.ends_another(**number)
        };
        self.segments.iter().find(sparse).map(|(number, _)| *number)
    }

    /// Pipelines whose rows need a new base: they pin more log than it would cost, or changed a lot.
    pub(super) fn due_bases(&self, newest: u64, sparse: Option<u64>, options: &Options, least: u64) -> Vec<u32> {
        let mut due = Vec::new();
        let known = self.pipelines.iter().enumerate().filter(|(_, pipeline)| pipeline.lost.is_none());
        for (number, pipeline) in known {
            let (began, size) = pipeline.base.unwrap_or((0, 0));
            let pins = |(at, segment): &(&u64, &Segment)| {
                let idle = segment.live == 0 || Some(**at) == sparse;
                let ours = segment.rows.iter().any(|(of, _)| *of as usize == number);
                **at != newest && idle && ours && segment.last_seq > began
            };
            let pinned: u64 = self.segments.iter().filter(pins).map(|(_, segment)| segment.bytes).sum();
            if pinned >= options.segment_bytes.max(4 * size) || pipeline.changed_bytes > least.max(size) {
                due.push(number as u32);
            }
        }
        due
    }

    /// Takes the oldest owed members of a pipeline that are not handed out, `bytes` of them or a few more, as if
    /// they were handed out; never a part of a query's state, which is not owed to anyone. An error names the segment
    /// whose index must be read first.
    pub(super) fn take_oldest(&mut self, pipeline: u32, bytes: u64) -> Result<Vec<Flight>, (u64, Trailer)> {
        let ours = |lane: u32| self.lanes.get(lane as usize).is_some_and(|l| l.pipeline == pipeline && l.is_owed());
        let mut flying: HashMap<u64, u32> = HashMap::new();
        for flight in self.flights().filter(|flight| ours(flight.entry.lane)) {
            *flying.entry(flight.segment).or_default() += 1;
        }
        let (mut taken, mut sum) = (Vec::new(), 0);
        for (at, segment) in &self.segments {
            if sum >= bytes {
                break;
            }
            // Where all is handed out no index is read: there may be more such segments than indexes are kept.
            let live: u32 = segment.shares.iter().filter(|(lane, _)| ours(**lane)).map(|(_, share)| share.live).sum();
            if live <= flying.get(at).copied().unwrap_or(0) {
                continue;
            }
            let Some(entries) = &segment.entries else {
                match segment.trailer.filter(|_| taken.is_empty()) {
                    Some(trailer) => return Err((*at, trailer)),
                    None => break,
                }
            };
            for e in entries.iter().filter(|e| ours(e.lane) && !segment.done.get(e.ordinal)) {
                if sum < bytes && self.flight(e.seq, e.member).is_none() {
                    sum += u64::from(e.gzip_len);
                    taken.push(Flight { segment: *at, entry: *e });
                }
            }
        }
        taken.iter().for_each(|flight| self.take_off(*flight));
        Ok(taken)
    }

    /// A sealed segment has a new file with what was live.
    pub(super) fn rewritten(&mut self, number: u64, bytes: u64, trailer: Trailer, new: &Summary, entries: Vec<Entry>) {
        let mut table = Vec::with_capacity(new.lanes.len());
        for sum in &new.lanes {
            let pipeline = self.pipeline(&sum.pipeline);
            table.push(self.lane(pipeline, &sum.index.as_str().into()));
        }
        let Some(segment) = self.segments.get_mut(&number) else { return };
        (segment.bytes, segment.trailer, segment.unsure_end) = (bytes, Some(trailer), false);
        segment.rows.clear();
        segment.retable(table);
        self.load(number, entries);
        self.move_flights(number);
    }
}
