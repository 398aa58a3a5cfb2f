//! Damage to what was durable, found at open: which commits it hit, and how their pipelines go on.
//!
//! A pipeline is set back to its rows before the first damaged commit of it, from a base or the log's beginning,
//! so that its source reads the span again under the same ids; what is sound behind stays owed, and sending it
//! twice does no harm. Where a damaged span no longer says whose it was, every pipeline is set back.
//!
//! Promises: rows never go on behind documents that were lost, unless neither base nor log goes back that far:
//! then the documents are counted, and the operator is told. A crash meanwhile finds the same damage again: the
//! new rows are durable before the damaged segment is sealed.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::commit::Writer;
use super::frame::HEADER_LEN;
use super::lanes::{Flight, State};
use super::recover::Recovery;
use super::segment::{Content, Frame, Item, Walk};
use super::set_back::{Past, Rows, rewound};
use super::{StoreError, frame};

/// What is done about damage once the new segment's head is durable.
#[derive(Default)]
pub(super) struct Repair {
    /// Pipelines whose rows the view does not have right.
    pub(super) rewrite_view: Vec<u32>,
    /// Those of them whose rows went back, to before which commit: they need a base that says so.
    set_back: Vec<(u32, u64)>,
    /// Pipeline → members that were owed and can't be read.
    harmed: Vec<(u32, Vec<Flight>)>,
}

/// Something durable that is not there any more.
pub(super) struct Damage {
    /// The first commit that may be hit.
    seq: u64,
    segment: u64,
    /// Whose commit it is and the ordinals of damaged members. `None`: nobody can tell.
    of: Option<(String, Vec<u32>)>,
}

/// One frame of a walk through a segment that was not sealed, or what lies between two.
pub(super) struct Step {
    pub(super) offset: u64,
    /// `None`: not a frame.
    pub(super) seq: Option<u64>,
    chained: bool,
    pipeline: String,
    harmed: Vec<u32>,
    /// Only the segment's head is damaged: it has no rows and no documents.
    only_head: bool,
}

impl Step {
    pub(super) fn is_sound(&self) -> bool {
        self.seq.is_some() && self.chained && self.harmed.is_empty()
    }

    /// What is lost here if the last sound frame before was `last_seq`.
    pub(super) fn damage(&self, segment: u64, last_seq: u64) -> Option<Damage> {
        match self.seq {
            Some(seq) if !self.harmed.is_empty() => {
                Some(Damage { seq, segment, of: Some((self.pipeline.clone(), self.harmed.clone())) })
            }
            Some(seq) if self.chained || seq <= last_seq + 1 => None,
            None if self.only_head => None,
            _ => Some(Damage { seq: last_seq + 1, segment, of: None }),
        }
    }
}

impl Recovery<'_> {
    pub(super) fn last_seq(&self) -> u64 {
        self.found.iter().map(|f| f.last_seq).max().unwrap_or(0)
    }

    /// The frames of a segment with their bodies checked.
    pub(super) fn steps(&mut self, at: usize, before: u64) -> io::Result<Vec<Step>> {
        let found = &self.found[at];
        let mut walk = Walk::new(&*found.disk, found.number, found.len, true);
        let mut steps: Vec<Step> = Vec::new();
        let (mut previous, mut bad_head) = (None, None);
        while let Some(item) = walk.next()? {
            let mut step = Step {
                offset: 0,
                seq: None,
                chained: true,
                pipeline: String::new(),
                harmed: Vec::new(),
                only_head: false,
            };
            match item {
                Item::Frame(Frame { header, offset, content, harmed }) => {
                    self.frontier = self.frontier.max(header.frontier);
                    step.chained =
                        previous.is_none_or(|(seq, check)| (seq + 1, check) == (header.seq, header.previous));
                    previous = Some((header.seq, header.check));
                    if let Content::Commit(meta) = content {
                        step.pipeline = meta.lanes.into_iter().next().map_or_else(String::new, |(name, _)| name);
                    }
                    (step.offset, step.seq, step.harmed) = (offset, Some(header.seq), harmed);
                }
                Item::Bad { from, to } => {
                    step.offset = from;
                    previous = None;
                    if from == 0 {
                        bad_head = Some(to);
                    }
                }
            }
            steps.push(step);
        }
        if let Some(to) = bad_head {
            let next = steps.get(1).and_then(|step| step.seq);
            let found = &self.found[at];
            let mut raw = vec![0; HEADER_LEN.min(found.len as usize)];
            found.disk.read_at(0, &mut raw)?;
            let fits = frame::len_and_seq(&raw).is_some_and(|(len, seq)| len == to || next == seq.checked_add(1));
            steps[0].only_head = fits || next == Some(before + 2);
        }
        Ok(steps)
    }

    /// A segment that was not sealed ends where the next begins; if it ends before, something is missing.
    pub(super) fn look_for_gap(&mut self, at: usize, follows: Option<u64>) {
        let found = &mut self.found[at];
        if follows.is_some_and(|follows| found.last_seq < follows) {
            found.damaged = true;
            self.damage.push(Damage { seq: found.last_seq + 1, segment: found.number, of: None });
        }
    }

    /// Whatever was durable was in the log: if the log ends before, its end was lost.
    pub(super) fn look_for_lost_end(&mut self) {
        let last_seq = self.last_seq();
        if last_seq >= self.frontier {
            return;
        }
        let segment = self.found.last().map_or(0, |f| f.number);
        if let Some(newest) = self.found.last_mut() {
            // What comes next does not follow its last frame.
            newest.damaged = true;
        }
        self.damage.push(Damage { seq: last_seq + 1, segment, of: None });
    }

    /// Sets back the pipelines that damage was found for. `needed`: where the newest base of each began.
    pub(super) fn set_back(&mut self, needed: &HashMap<String, u64>) -> io::Result<()> {
        let mut first: BTreeMap<u32, u64> = BTreeMap::new();
        let mut harmed: BTreeMap<u32, Vec<Flight>> = BTreeMap::new();
        for Damage { seq, segment, of } in std::mem::take(&mut self.damage) {
            let hit = match of {
                Some((name, ordinals)) => {
                    let owed = owed_members(&self.state, segment, &ordinals);
                    if owed.is_empty() {
                        continue;
                    }
                    let number = self.state.pipeline(&name);
                    harmed.entry(number).or_default().extend(owed);
                    number..number + 1
                }
                None => {
                    let note = format!("the log is damaged from commit {seq} on, in segment {segment}");
                    tracing::error!(segment, commit = seq, "the log is damaged: commits that were durable are lost");
                    self.state.notes.insert("log", note);
                    0..self.state.pipelines.len() as u32
                }
            };
            for number in hit {
                let at = first.entry(number).or_insert(seq);
                *at = seq.min(*at);
            }
        }
        for (number, seq) in first {
            let flights = harmed.remove(&number).unwrap_or_default();
            let Some(name) = self.state.of(number).map(|p| p.name.clone()) else { continue };
            let rows = self.rows_before(number, seq, needed.get(&*name).copied().unwrap_or(0))?;
            // Where that changes nothing the source has none of it any more, as standard input.
            let latest = self.state.of(number).map(|p| &p.rows);
            let rows = rows.filter(|rows| flights.is_empty() || latest.is_none_or(|latest| latest != rows));
            let items: u64 = flights.iter().map(|flight| self.state.owed_items(flight)).sum();
            let lost = lost(&self.state, &flights);
            let line = match rows {
                Some(rows) => {
                    self.take_back(number, rows, seq);
                    format!("{name}: the log is damaged at commit {seq}{lost}; what followed it is read again")
                }
                None => {
                    if let Some(pipeline) = self.state.of(number) {
                        pipeline.counters.quarantined_items += items;
                    }
                    format!(
                        "{name}: the log is damaged at commit {seq}{lost}; nothing can be read again: documents are lost"
                    )
                }
            };
            tracing::error!("{line}");
            self.state.damage.push(line);
            if !flights.is_empty() {
                self.repair.harmed.push((number, flights));
            }
        }
        Ok(())
    }

    fn rows_before(&mut self, number: u32, seq: u64, needed: u64) -> io::Result<Option<Rows>> {
        let Some(past) = Past::of(&self.state, number, needed) else { return Ok(None) };
        let before = past.rows_before(self.fs, self.dirs, seq)?;
        let latest = self.state.of(number).map(|p| p.rows.clone()).unwrap_or_default();
        Ok(before.map(|before| rewound(self.rewind, before, &latest)))
    }

    fn take_back(&mut self, number: u32, rows: Rows, seq: u64) {
        let Some(pipeline) = self.state.of(number) else { return };
        pipeline.rows = rows;
        self.repair.set_back.push((number, seq));
        if !self.repair.rewrite_view.contains(&number) {
            self.repair.rewrite_view.push(number);
        }
    }
}

/// Those of the members that are still owed.
fn owed_members(state: &State, segment: u64, ordinals: &[u32]) -> Vec<Flight> {
    let Some(of) = state.segments.get(&segment) else { return Vec::new() };
    let harmed = of.entries.iter().flatten().filter(|e| ordinals.contains(&e.ordinal) && !of.done.get(e.ordinal));
    harmed.map(|entry| Flight { segment, entry: *entry }).collect()
}

/// " (4000 documents for logs)", or nothing if there is nothing to name.
pub(super) fn lost(state: &State, flights: &[Flight]) -> String {
    let mut items: BTreeMap<&str, u64> = BTreeMap::new();
    for flight in flights {
        let index = state.lanes.get(flight.entry.lane as usize).map_or("", |lane| &lane.index);
        *items.entry(index).or_default() += state.owed_items(flight);
    }
    let named: Vec<String> = items.iter().map(|(index, items)| format!("{items} documents for {index}")).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

impl Writer {
    /// Makes durable what was decided about damage. False: not all of it is, and the next open must see it again.
    pub(super) fn repair(&mut self, repair: Repair) -> Result<bool, StoreError> {
        for (number, seq) in repair.set_back {
            let frontier = self.frontier;
            if let Some(pipeline) = self.shared.state().of(number) {
                pipeline.set_back = Some((seq, frontier));
            }
            if let Err(error) = self.keep_rows(number) {
                tracing::error!(%error, "the rows before the damage could not be kept: the next start repeats this");
                // It has the rows behind the damage, and must not seem to be newer than that.
                self.view = None;
                return Ok(false);
            }
        }
        self.rewrite_rows(&repair.rewrite_view);
        let mut all = true;
        for (pipeline, flights) in repair.harmed {
            let counters = self.shared.state().of(pipeline).map(|p| p.counters).unwrap_or_default();
            all &= self.settle_damaged(pipeline, flights, counters);
        }
        self.sync()?;
        Ok(all)
    }
}
