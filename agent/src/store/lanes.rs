//! What is owed, in memory: pipelines, their lanes, the live segments and who holds what in flight.
//!
//! A lane walks the segments by a cursor (segment, ordinal); a sealed segment's index is read when a cursor
//! reaches it and forgotten when a few others were read since. So what is owed costs some hundred bytes a
//! segment, however many members it has.
//!
//! Promises: only members behind the durable frontier are in here, so only those can be handed out; no member
//! is handed out twice at a time; all sections are short and do no I/O.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::plan::BufferPlan;
use crate::record::{Bitmap, Row};

use super::frame::{Counters, Entry, LaneSum, SegmentMarks, Trailer};
use super::{Lane, Limit, Owed};

/// So many indexes of sealed segments are kept in memory.
const INDEXES_KEPT: usize = 3;

/// A growing set of small numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(pub(super) Vec<u64>);

impl Bits {
    pub(super) fn set(&mut self, i: u32) {
        let word = (i / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (i % 64);
    }

    pub(super) fn get(&self, i: u32) -> bool {
        self.0.get((i / 64) as usize).is_some_and(|word| word >> (i % 64) & 1 == 1)
    }
}

/// A lane's part of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Its number in the segment's own table.
    pub(super) local: u32,
    pub(super) live: u32,
}

/// One segment with something owed, or the newest.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    /// Where its index lies. `None`: not sealed, all entries are in memory.
    pub(super) trailer: Option<Trailer>,
    /// It was sealed by an earlier process, which may have been killed before its end was durable.
    pub(super) unsure_end: bool,
    pub(super) last_seq: u64,
    /// The segment's own lane numbers → the process's.
    pub(super) table: Vec<u32>,
    pub(super) shares: HashMap<u32, Share>,
    /// (pipeline, bytes of row changes).
    pub(super) rows: Vec<(u32, u64)>,
    pub(super) done: Bits,
    /// Handed out at least once.
    pub(super) handed: Bits,
    pub(super) partial: BTreeMap<u32, Bitmap>,
    pub(super) live: u32,
    pub(super) live_bytes: u64,
    /// By ordinal. `None`: not in memory now.
    pub(super) entries: Option<Vec<Entry>>,
}

impl Segment {
    pub(super) fn marks(&self, segment: u64) -> SegmentMarks {
        let partial = self.partial.iter().map(|(ordinal, still)| (*ordinal, still.clone())).collect();
        SegmentMarks { segment, done: self.done.0.clone(), partial }
    }

    /// The entry with the segment's own lane number.
    pub(super) fn local(&self, entry: &Entry) -> Entry {
        Entry { lane: self.shares.get(&entry.lane).map_or(u32::MAX, |share| share.local), ..*entry }
    }

    /// What is live, with the segment's own lane numbers. `None`: its index is not in memory.
    pub(super) fn live_entries(&self) -> Option<Vec<Entry>> {
        let live = self.entries.as_ref()?.iter().filter(|e| !self.done.get(e.ordinal));
        Some(live.map(|e| self.local(e)).collect())
    }

    /// Replaces the table; what each lane has live stays.
    pub(super) fn retable(&mut self, table: Vec<u32>) {
        let live = std::mem::take(&mut self.shares);
        for (local, lane) in table.iter().enumerate() {
            let live = live.get(lane).map_or(0, |share| share.live);
            self.shares.insert(*lane, Share { local: local as u32, live });
        }
        self.table = table;
    }

    /// A lane of a sealed segment, in the order of its table.
    pub(super) fn add_lane(&mut self, lane: u32, members: u32, bytes: u64) {
        self.live += members;
        self.live_bytes += bytes;
        self.share(lane).live += members;
    }

    /// The segment's own number of `lane`, given one if need be.
    pub(super) fn share(&mut self, lane: u32) -> &mut Share {
        let table = &mut self.table;
        self.shares.entry(lane).or_insert_with(|| {
            table.push(lane);
            Share { local: table.len() as u32 - 1, live: 0 }
        })
    }
}

#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) pipeline: u32,
    pub(super) index: Arc<str>,
    pub(super) items: u64,
    pub(super) bytes: u64,
    /// Everything owed before this (segment, ordinal) is in flight.
    cursor: (u64, u32),
}

impl LaneState {
    /// A query's state is kept, not owed.
    pub(super) fn is_owed(&self) -> bool {
        *self.index != *super::STATE_LANE
    }
}

/// A member that is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) segment: u64,
    pub(super) entry: Entry,
}

#[derive(Debug)]
pub(super) struct PipelineState {
    pub(super) name: Arc<str>,
    pub(super) plan: Option<BufferPlan>,
    pub(super) rows: HashMap<u64, Box<[u8]>>,
    /// Rows that the view does not have yet.
    pub(super) dirty: HashSet<u64>,
    pub(super) live_bytes: u64,
    /// Bytes of members that were committed and are not durable yet.
    pub(super) queued_bytes: u64,
    /// Live bytes whose drop is not durable yet.
    pub(super) dropping_bytes: u64,
    pub(super) counters: Counters,
    /// The frontier when its newest base was written, and that base's size.
    pub(super) base: Option<(u64, u64)>,
    /// Bytes of row changes since.
    pub(super) changed_bytes: u64,
    /// Why it can't go on.
    pub(super) parked: Option<String>,
    /// Its rows are lost: nothing may be read until an operator says that it begins anew.
    pub(super) lost: Option<String>,
    /// Its rows were set back: what came in these commits is read again, and may be in the index already.
    pub(super) set_back: Option<(u64, u64)>,
    /// Members that were handed out and can't be read.
    pub(super) harmed: Vec<Flight>,
    /// Counts changes that a sleeping reader or sender wants to hear of.
    pub(super) changes: tokio::sync::watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pipelines: Vec<PipelineState>,
    names: HashMap<Arc<str>, u32>,
    pub(super) lanes: Vec<LaneState>,
    lane_numbers: HashMap<(u32, Arc<str>), u32>,
    pub(super) segments: BTreeMap<u64, Segment>,
    flights: HashMap<(u64, u16), Flight>,
    pub(super) frontier: u64,
    /// Members of commits before this one may have been sent by an earlier process.
    pub(super) born: u64,
    /// Sealed segments whose index is in memory, the latest used last.
    loaded: Vec<u64>,
    /// Lines for the operator.
    pub(super) notes: BTreeMap<&'static str, String>,
    /// More of them: what became of each pipeline that damage was found for at open.
    pub(super) damage: Vec<String>,
    pub(super) disk_full: bool,
    pub(super) stopped: bool,
    /// Why it has stopped by itself.
    pub(super) failure: Option<String>,
}

/// What `next` found.
pub(super) enum Next {
    Owed(Vec<Owed>),
    /// The index of this segment must be read first.
    Load(u64, Trailer),
}

impl State {
    /// The number of pipeline `name`, given one if need be.
    pub(super) fn pipeline(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.pipelines.len() as u32;
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), number);
        self.pipelines.push(PipelineState {
            name,
            plan: None,
            rows: HashMap::new(),
            dirty: HashSet::new(),
            live_bytes: 0,
            queued_bytes: 0,
            dropping_bytes: 0,
            counters: Counters::default(),
            base: None,
            changed_bytes: 0,
            parked: None,
            lost: None,
            set_back: None,
            harmed: Vec::new(),
            changes: tokio::sync::watch::Sender::new(0),
        });
        number
    }

    pub(super) fn of(&mut self, pipeline: u32) -> Option<&mut PipelineState> {
        self.pipelines.get_mut(pipeline as usize)
    }

    /// The number of the lane, given one if need be.
    pub(super) fn lane(&mut self, pipeline: u32, index: &Arc<str>) -> u32 {
        let key = (pipeline, index.clone());
        if let Some(lane) = self.lane_numbers.get(&key) {
            return *lane;
        }
        let lane = self.lanes.len() as u32;
        self.lane_numbers.insert(key, lane);
        self.lanes.push(LaneState { pipeline, index: index.clone(), items: 0, bytes: 0, cursor: (0, 0) });
        lane
    }

    pub(super) fn notify(&self, pipeline: u32) {
        if let Some(pipeline) = self.pipelines.get(pipeline as usize) {
            pipeline.changes.send_modify(|n| *n += 1);
        }
    }

    pub(super) fn notify_all(&self) {
        for pipeline in &self.pipelines {
            pipeline.changes.send_modify(|n| *n += 1);
        }
    }

    /// A durable member.
    pub(super) fn add(&mut self, segment: u64, entry: Entry) {
        let bytes = u64::from(entry.gzip_len);
        let Some(to) = self.segments.get_mut(&segment) else { return };
        to.live += 1;
        to.live_bytes += bytes;
        to.share(entry.lane).live += 1;
        to.entries.get_or_insert_default().push(entry);
        self.owe(entry.lane, u64::from(entry.items), bytes);
    }

    /// Counts what a lane owes.
    pub(super) fn owe(&mut self, lane: u32, items: u64, bytes: u64) {
        let Some(lane) = self.lanes.get_mut(lane as usize) else { return };
        lane.items += items;
        lane.bytes += bytes;
        if lane.is_owed()
            && let Some(pipeline) = self.pipelines.get_mut(lane.pipeline as usize)
        {
            pipeline.live_bytes += bytes;
        }
    }

    /// Takes over a pipeline's changed rows.
    pub(super) fn change_rows(&mut self, pipeline: u32, rows: Vec<Row>) {
        let Some(pipeline) = self.of(pipeline) else { return };
        for row in rows {
            pipeline.changed_bytes += row_bytes(&row);
            pipeline.dirty.insert(row.key);
            match row.value {
                Some(value) => pipeline.rows.insert(row.key, value),
                None => pipeline.rows.remove(&row.key),
            };
        }
    }

    /// What became of a member; nothing if it was settled before.
    pub(super) fn settle(&mut self, segment: u64, entry: &Entry, still: Option<Bitmap>) {
        let Some(from) = self.segments.get_mut(&segment) else { return };
        if from.done.get(entry.ordinal) {
            return;
        }
        let before = from.partial.get(&entry.ordinal).map_or(entry.items, Bitmap::count);
        let after = still.as_ref().map_or(0, Bitmap::count);
        let mut bytes = 0;
        match still {
            Some(still) if after > 0 => {
                from.partial.insert(entry.ordinal, still);
            }
            _ => {
                bytes = u64::from(entry.gzip_len);
                from.done.set(entry.ordinal);
                from.partial.remove(&entry.ordinal);
                from.live -= 1;
                from.live_bytes -= bytes;
                from.share(entry.lane).live -= 1;
            }
        }
        let Some(lane) = self.lanes.get_mut(entry.lane as usize) else { return };
        lane.items -= u64::from(before.saturating_sub(after));
        lane.bytes -= bytes;
        if after > 0 {
            lane.cursor = lane.cursor.min((segment, entry.ordinal));
        }
        let (number, owed) = (lane.pipeline, lane.is_owed());
        if owed && let Some(pipeline) = self.of(number) {
            pipeline.live_bytes -= bytes;
        }
    }

    pub(super) fn flight(&self, seq: u64, member: u16) -> Option<Flight> {
        self.flights.get(&(seq, member)).copied()
    }

    /// All that is handed out.
    pub(super) fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.flights.values()
    }

    /// The member is not handed out any more; its lane will come to it again.
    pub(super) fn land(&mut self, seq: u64, member: u16) {
        let Some(flight) = self.flights.remove(&(seq, member)) else { return };
        if let Some(lane) = self.lanes.get_mut(flight.entry.lane as usize) {
            lane.cursor = lane.cursor.min((flight.segment, flight.entry.ordinal));
        }
    }

    /// Lands all that is handed out of a pipeline but what was found damaged.
    pub(super) fn reclaim(&mut self, pipeline: u32) {
        let Some(of) = self.pipelines.get(pipeline as usize) else { return };
        let harmed: HashSet<(u64, u16)> = of.harmed.iter().map(|f| (f.entry.seq, f.entry.member)).collect();
        let lanes = &self.lanes;
        let ours = |f: &Flight| lanes.get(f.entry.lane as usize).is_some_and(|lane| lane.pipeline == pipeline);
        let all = self.flights.iter().filter(|(key, flight)| ours(flight) && !harmed.contains(key));
        let keys: Vec<(u64, u16)> = all.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|(seq, member)| self.land(seq, member));
    }

    /// A member that was handed out is settled.
    pub(super) fn end_flight(&mut self, seq: u64, member: u16) {
        self.flights.remove(&(seq, member));
    }

    /// Hands out a member without giving it to anyone.
    pub(super) fn take_off(&mut self, flight: Flight) {
        self.flights.insert((flight.entry.seq, flight.entry.member), flight);
    }

    /// The members of `segment` lie elsewhere in it now.
    pub(super) fn move_flights(&mut self, segment: u64) {
        let Some(entries) = self.segments.get(&segment).and_then(|s| s.entries.as_ref()) else { return };
        for flight in self.flights.values_mut().filter(|f| f.segment == segment) {
            let found = entries.binary_search_by_key(&flight.entry.ordinal, |e| e.ordinal);
            if let Some(entry) = found.ok().and_then(|i| entries.get(i)) {
                flight.entry = *entry;
            }
        }
    }

    pub(super) fn lanes_of(&self, pipeline: u32) -> Vec<Lane> {
        let owing = self.lanes.iter().filter(|lane| lane.pipeline == pipeline && lane.items > 0 && lane.is_owed());
        owing.map(|l| Lane { index: l.index.clone(), items: l.items, bytes: l.bytes }).collect()
    }

    /// A query's state is kept in the log, and rows are only right together with it.
    pub(super) fn keeps_state(&self, pipeline: u32) -> bool {
        self.lane_numbers.contains_key(&(pipeline, Arc::from(super::STATE_LANE)))
    }

    /// Hands out the oldest members of a lane.
    pub(super) fn next(&mut self, pipeline: u32, index: &str, limit: Limit) -> Next {
        let again = self.pipelines.get(pipeline as usize).is_some_and(|p| p.set_back.is_some());
        let mut owed = Vec::new();
        let Some(number) = self.lane_numbers.get(&(pipeline, Arc::from(index))).copied() else {
            return Next::Owed(owed);
        };
        let Some(lane) = self.lanes.get_mut(number as usize) else { return Next::Owed(owed) };
        let (mut raw, mut wire) = (0, 0);
        for (at, segment) in self.segments.range_mut(lane.cursor.0..) {
            if *at > lane.cursor.0 {
                lane.cursor = (*at, 0);
            }
            if segment.shares.get(&number).is_none_or(|share| share.live == 0) {
                continue;
            }
            let Some(entries) = &segment.entries else {
                let Some(trailer) = segment.trailer.filter(|_| owed.is_empty()) else { break };
                return Next::Load(*at, trailer);
            };
            let from = entries.partition_point(|e| e.ordinal < lane.cursor.1);
            for e in &entries[from..] {
                let key = (e.seq, e.member);
                if e.lane == number && !segment.done.get(e.ordinal) && !self.flights.contains_key(&key) {
                    raw += u64::from(e.raw_len);
                    wire += u64::from(e.gzip_len);
                    if !owed.is_empty() && (raw > limit.raw_bytes || wire > limit.wire_bytes) {
                        return Next::Owed(owed);
                    }
                    let partial = segment.partial.get(&e.ordinal).cloned();
                    let sent_before = again || e.sent_before || e.seq < self.born || segment.handed.get(e.ordinal);
                    segment.handed.set(e.ordinal);
                    self.flights.insert(key, Flight { segment: *at, entry: *e });
                    owed.push(hand_out(e, partial, sent_before));
                }
                lane.cursor.1 = e.ordinal + 1;
            }
        }
        Next::Owed(owed)
    }

    /// Keeps the index of a sealed segment in memory for a while.
    pub(super) fn load(&mut self, segment: u64, mut entries: Vec<Entry>) {
        let Some(to) = self.segments.get_mut(&segment) else { return };
        for entry in &mut entries {
            entry.lane = to.table.get(entry.lane as usize).copied().unwrap_or(u32::MAX);
        }
        to.entries = Some(entries);
        self.used(segment);
    }

    /// Forgets the index that was not used for the longest time.
    fn used(&mut self, segment: u64) {
        self.loaded.retain(|s| *s != segment);
        self.loaded.push(segment);
        while self.loaded.len() > INDEXES_KEPT {
            let oldest = self.loaded.remove(0);
            if let Some(oldest) = self.segments.get_mut(&oldest).filter(|s| s.trailer.is_some()) {
                oldest.entries = None;
            }
        }
    }

    /// A segment was sealed: its index may be forgotten now, and read again.
    pub(super) fn sealed(&mut self, segment: u64, bytes: u64, trailer: Trailer) {
        let Some(to) = self.segments.get_mut(&segment) else { return };
        to.bytes = bytes;
        to.trailer = Some(trailer);
        to.entries.get_or_insert_default().shrink_to_fit();
        self.used(segment);
    }

    /// The items of a member that are still owed.
    pub(super) fn owed_items(&self, flight: &Flight) -> u64 {
        let partial = self.segments.get(&flight.segment).and_then(|s| s.partial.get(&flight.entry.ordinal));
        u64::from(partial.map_or(flight.entry.items, Bitmap::count))
    }
}

pub(super) fn row_bytes(row: &Row) -> u64 {
    12 + row.value.as_ref().map_or(0, |v| v.len() as u64)
}

fn hand_out(e: &Entry, owed: Option<Bitmap>, sent_before: bool) -> Owed {
    Owed { seq: e.seq, member: e.member, items: e.items, raw_len: e.raw_len, gzip_len: e.gzip_len, owed, sent_before }
}

/// What each lane of a segment's table has in it.
pub(super) fn sums(lanes: &[(String, String)], entries: &[Entry]) -> Vec<LaneSum> {
    let empty = |(pipeline, index): &(String, String)| LaneSum {
        pipeline: pipeline.clone(),
        index: index.clone(),
        members: 0,
        items: 0,
        bytes: 0,
    };
    let mut sums: Vec<LaneSum> = lanes.iter().map(empty).collect();
    for entry in entries {
        if let Some(sum) = sums.get_mut(entry.lane as usize) {
            sum.members += 1;
            sum.items += u64::from(entry.items);
            sum.bytes += u64::from(entry.gzip_len);
        }
    }
    sums
}
