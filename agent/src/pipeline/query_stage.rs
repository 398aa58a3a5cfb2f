//! The stateful part of a query in the ingest loop: prepared rows go into the engine, and every commit takes the
//! state rows that changed, the results, and a piece of the next base if one is being written.
//!
//! Promises: results, state and positions are in one commit; what an upsert stream owes may leave only when its
//! commit is durable; the state is hardly larger than its cap: near it, input is read in small pieces.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use splashdam_api::words::plural;

use super::places::Places;
use super::query_codec::context;
use super::query_outputs::{Outputs, Ready};
use super::state_log::{Found, Marks, StateError, StateLog};
use super::tap::Ring;
use super::upserts::{self, Upserts};
use super::versions;
use crate::encode::Scratch;
use crate::metrics::PipelineMetrics;
use crate::plan::QueryPlan;
use crate::query::{Cursor, Engine, Prepared, Program, Tick};
use crate::record::{DeadLetter, Row, SourceId, Timestamp};
use crate::source::Source;
use crate::store::{self, Commit, StoreError};

/// A commit with input comes so long after the one before, unless much is waiting.
const STEP_EVERY: Duration = Duration::from_millis(200);
/// And at the latest when so many rows have been applied.
const STEP_ROWS: usize = 200_000;
/// How often time passes for the engine.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// While so many commits are not durable yet, no further piece of a base is written.
const COMMITS_UNDER_WAY: usize = 4;
/// A piece of a base.
const BASE_PIECE: usize = 4 << 20;
/// Undelivered rows are made ready in pieces of so many.
const UNDELIVERED_ROWS: usize = 10_000;
/// Near its cap a state takes pieces of at least so many bytes of input, one at a time.
const SMALL_PIECE: usize = 4 << 10;
/// What a byte of input is taken to add to the state before there is experience, and at least.
const GROWTH_FIRST: f64 = 8.0;
const GROWTH_MIN: f64 = 1.0;
/// A source without new rows for so long holds no window back, unless the script says how long.
const IDLE_AFTER: Duration = Duration::from_secs(30);

/// Why a query can't go on from what is stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(
        "the script does not fit its stored state any more:\n{0}\nBegin it anew with --reset-state, or run the script that it was"
    )]
    Changed(String),
    #[error("this job has positions but no state: it was another kind of job before. Begin it anew with --reset-state")]
    NoState,
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}. Begin it anew with --reset-state")]
    Tables(String),
    #[error("rendering failed: {0}")]
    Encode(#[from] io::Error),
}

/// Everything since the step before, as one commit.
pub(super) struct Stepped {
    pub(super) commit: Commit,
    pub(super) step: u64,
    /// For standard output, once the commit is durable.
    pub(super) printed: Vec<u8>,
}

pub(super) struct QueryStage {
    engine: Engine,
    log: StateLog,
    outputs: Arc<Outputs>,
    places: Places,
    upserts: Arc<Upserts>,
    zone: jiff::tz::TimeZone,
    idle_after: Duration,
    max_bytes: u64,
    /// Bytes that the state grew by for a byte of input, as it was last; rather too many than too few.
    growth: f64,
    metrics: PipelineMetrics,
    scratch: Scratch,
    step: u64,
    /// What belongs into the next commit.
    ready: Ready,
    rows: HashMap<u64, Option<Box<[u8]>>>,
    applied: usize,
    changed: bool,
    last_step: Instant,
    last_tick: Instant,
    /// When each source last had rows, and whether the engine takes it for idle.
    seen: HashMap<SourceId, (Instant, bool)>,
    /// Sources that have nothing more, which the engine has not been told.
    finished: Vec<SourceId>,
    base: Option<Cursor>,
    /// When its writing began.
    base_begun: Instant,
    /// How far the state has been walked through for what is owed.
    walk: Cursor,
    /// The step with which a base was finished.
    base_ends: Option<u64>,
    /// What the last link says, and the last step that had documents to deliver.
    written: Marks,
    content: u64,
    /// How many rows had come late by each step that is not durable yet.
    late: VecDeque<(u64, u64)>,
}

impl QueryStage {
    /// Loads what is stored. `positions`: there are positions; `committed`: the step that they are of.
    ///
    /// # Errors
    /// A state that is damaged or another script's.
    pub(super) fn open(
        plan: &QueryPlan,
        places: Places,
        program: Arc<Program>,
        outputs: Arc<Outputs>,
        door: &store::Pipeline,
        (positions, committed): (bool, Option<u64>),
        metrics: PipelineMetrics,
    ) -> Result<QueryStage, QueryError> {
        let mut engine = Engine::new(program).map_err(QueryError::Unsupported)?;
        let meaning = crate::sql::explain::explain(&plan.query);
        let load = |rows: &[u8]| if engine.load(rows) { Ok(()) } else { Err("it has rows of another kind".to_owned()) };
        let (log, found) = StateLog::open(door.clone(), &plan.id, meaning.clone(), load)?;
        match &found {
            Some(found) if found.plan != meaning => return Err(QueryError::Changed(difference(&found.plan, &meaning))),
            None if positions => return Err(QueryError::NoState),
            _ => {}
        }
        if found.as_ref().map(|found| found.marks.step) != committed {
            // As after damage for which positions were set back.
            let what = "positions and state are not of one commit".to_owned();
            return Err(StateError::Damaged { pipeline: plan.id.clone(), what }.into());
        }
        let marks = found.map_or_else(Marks::default, |found: Found| found.marks);
        metrics.late_rows.inner().store(engine.late_rows(), Ordering::Relaxed);
        let level = plan.sinks.iter().map(|sink| sink.rows.compression).max().unwrap_or(1);
        let room = upserts::MEMORY.min(plan.buffer.max_bytes / 2);
        let upserts = Arc::new(Upserts::new(level, room, marks.delivered, marks.clock));
        let set = plan.query.settings.idle_timeout;
        let mut stage = QueryStage {
            engine,
            log,
            outputs,
            places,
            upserts,
            zone: plan.query.settings.zone.clone(),
            idle_after: if set.is_zero() { IDLE_AFTER } else { set },
            max_bytes: plan.query.settings.state_max_bytes,
            growth: GROWTH_FIRST,
            metrics,
            scratch: Scratch::default(),
            step: marks.step,
            ready: Ready::default(),
            rows: HashMap::new(),
            applied: 0,
            changed: false,
            last_step: Instant::now(),
            last_tick: Instant::now(),
            seen: HashMap::new(),
            finished: Vec::new(),
            base: None,
            base_begun: Instant::now(),
            walk: Cursor::default(),
            base_ends: None,
            written: marks,
            content: marks.step,
            late: VecDeque::new(),
        };
        // What was changed after the last step known as delivered.
        if marks.delivered < marks.step {
            stage.upserts.leave(marks.delivered + 1, 0);
            stage.owe_again(Timestamp::now())?;
            stage.upserts.durable(marks.step);
        }
        // Who held the watermark when the last process ended may have nothing more to say.
        let now = Instant::now();
        stage.seen.extend(stage.engine.active().map(|source| (source, (now, false))));
        Ok(stage)
    }

    /// Rows that were left to the state are owed again, as many as there is room for: those of `self.step`, which
    /// nothing has been added to.
    fn owe_again(&mut self, at: Timestamp) -> io::Result<()> {
        let mut cx = context(at, &self.zone);
        while self.upserts.wants_walk()
            && let Some(after) = self.upserts.walk()
        {
            let Some(changes) = self.engine.undelivered(after, &mut self.walk, UNDELIVERED_ROWS, &mut cx) else {
                self.walk = Cursor::default();
                self.upserts.walked();
                return Ok(());
            };
            let rows: usize = changes.iter().map(|changes| changes.batch.rows).sum();
            let version = self.upserts.clock().draw(micros(at), rows as u64);
            let ready = self.outputs.encode(&changes, version, at, u64::MAX, &mut self.scratch)?;
            self.ready.dead.extend(ready.dead);
            self.upserts.again(self.step, ready.documents);
        }
        Ok(())
    }

    pub(super) fn upserts(&self) -> Arc<Upserts> {
        self.upserts.clone()
    }

    /// Takes a worker's batch in that was made of `bytes` of input, with the rows of positions to commit with it.
    pub(super) fn take(&mut self, ready: Ready, prepared: Vec<Prepared>, rows: Vec<Row>, bytes: usize, now: Instant) {
        let before = self.engine.state_bytes();
        let mut cx = context(Timestamp::now(), &self.zone);
        for prepared in prepared {
            if let Some(source) = prepared.source() {
                self.seen.insert(source, (now, false));
            }
            self.applied += prepared.rows();
            self.engine.apply(prepared, &mut cx);
        }
        if bytes > 0 {
            let growth = self.engine.state_bytes().saturating_sub(before) as f64 / bytes as f64;
            self.growth = growth.max(self.growth * 0.9).max(GROWTH_MIN);
        }
        self.ready.add(ready);
        self.rows.extend(rows.into_iter().map(|row| (row.key, row.value)));
        self.changed = true;
    }

    /// These have nothing behind what was taken in; the next tick tells the engine.
    pub(super) fn finished(&mut self, sources: Vec<SourceId>) {
        for source in &sources {
            self.seen.remove(source);
        }
        self.finished.extend(sources);
    }

    /// The next commit is due. `waiting`: batches are with the workers.
    /// `under_way`: commits that are not durable yet. A base waits for those.
    pub(super) fn due(&self, now: Instant, waiting: bool, under_way: usize) -> bool {
        let soon = now.duration_since(self.last_step) >= STEP_EVERY || !waiting || self.applied >= STEP_ROWS;
        (self.changed && soon) || ((self.base.is_some() || self.wants_walk()) && under_way < COMMITS_UNDER_WAY)
    }

    /// Rows were left to the state, and now there is room for some.
    pub(super) fn wants_walk(&self) -> bool {
        self.upserts.wants_walk()
    }

    /// Lets time pass for the engine, if it is time for that.
    pub(super) fn pass_time(&mut self, source: &Source, now: Instant) {
        if now.duration_since(self.last_tick) < TICK_EVERY {
            return;
        }
        self.last_tick = now;
        let known = self.unread(source, now);
        let delivered = self.upserts.delivered();
        let idle_after = self.idle_after;
        let quiet = |(at, idle): &(Instant, bool)| !idle && now.duration_since(*at) >= idle_after;
        let idle: Vec<SourceId> = self.seen.iter().filter(|(_, seen)| quiet(seen)).map(|(source, _)| *source).collect();
        for source in &idle {
            self.seen.insert(*source, (now, true));
        }
        let idle = self.scanned(idle);
        let finished = std::mem::take(&mut self.finished);
        let tick = Tick { known, idle, finished, delivered };
        let mut cx = context(Timestamp::now(), &self.zone);
        self.engine.tick(&tick, &mut cx);
        self.changed |=
            !tick.idle.is_empty() || !tick.finished.is_empty() || self.engine.has_news() || self.wants_mark();
    }

    /// More has been delivered than is written down.
    fn wants_mark(&self) -> bool {
        self.content > self.written.delivered && self.upserts.delivered() > self.written.delivered
    }

    /// Sources with something to read hold the watermark, also before their first row.
    fn unread(&mut self, source: &Source, now: Instant) -> Vec<(usize, SourceId)> {
        let unread = source.unread();
        for source in &unread {
            self.seen.insert(*source, (now, false));
        }
        self.scanned(unread)
    }

    /// Sources with the scans that read them.
    fn scanned(&self, sources: Vec<SourceId>) -> Vec<(usize, SourceId)> {
        sources.into_iter().filter_map(|source| Some((self.places.scan(source)?, source))).collect()
    }

    /// Before the first row of a run: what there is to read holds the watermark from the beginning.
    pub(super) fn begin(&mut self, source: &Source, now: Instant) {
        self.last_tick = now.checked_sub(TICK_EVERY).unwrap_or(now);
        // What has ended since the state was written, or with the last process.
        let living: HashSet<SourceId> = source.living().into_iter().collect();
        self.finished(self.engine.sources().filter(|source| !living.contains(source)).collect());
        self.pass_time(source, now);
    }

    /// Bounded input has ended: all windows close.
    pub(super) fn finish(&mut self) {
        let mut cx = context(Timestamp::now(), &self.zone);
        self.engine.finish(&mut cx);
        self.changed = true;
    }

    /// Everything since the last step; what an upsert stream owes from now on is shown to `tap`.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(super) fn step(&mut self, now: Instant, tap: &Ring) -> io::Result<Stepped> {
        self.step += 1;
        let at = Timestamp::now();
        let mut cx = context(at, &self.zone);
        let result = self.engine.step(self.step, &mut cx);
        let rows: usize = result.changes.iter().map(|changes| changes.batch.rows).sum();
        let version = self.upserts.clock().draw(micros(at), rows as u64);
        let mut ready = std::mem::take(&mut self.ready);
        ready.add(self.outputs.encode(&result.changes, version, at, self.upserts.room(), &mut self.scratch)?);
        ready.add(self.outputs.encode_late(result.late, at, &mut self.scratch)?);
        if !ready.documents.is_empty() || ready.left > 0 {
            self.content = self.step;
        }
        tap.documents(&ready.documents, ready.left);
        self.upserts.committed(self.step, std::mem::take(&mut ready.documents));
        if ready.left > 0 {
            self.upserts.leave(self.step, ready.left);
        }
        self.owe_again(at)?;
        ready.add(std::mem::take(&mut self.ready));
        ready.dead.extend(result.refused.iter().map(|row| self.outputs.refused(row, at)));
        self.late.push_back((self.step, self.engine.late_rows()));
        self.metrics.null_rows.inc_by(result.counts.null_times + result.counts.null_columns);
        let marks = Marks { step: self.step, delivered: self.upserts.delivered(), clock: self.upserts.clock().mark() };
        let Ready { mut members, dead, printed, .. } = ready;
        members.push(self.log.changes(marks, &result.delta));
        self.write_base(marks, &mut members);
        self.count(&dead, &members);
        let mut rows: Vec<Row> = self.rows.drain().map(|(key, value)| Row { key, value }).collect();
        rows.push(versions::step_row(self.step));
        (self.applied, self.changed, self.last_step, self.written) = (0, false, now, marks);
        Ok(Stepped { commit: Commit { members, rows, dead }, step: self.step, printed })
    }

    fn count(&self, dead: &[DeadLetter], members: &[crate::record::Member]) {
        let sent = members.iter().filter(|member| *member.index != *store::STATE_LANE);
        self.metrics.committed_records.inc_by(sent.map(|member| u64::from(member.items)).sum());
        self.metrics.committed_bytes.inc_by(members.iter().map(|member| member.gzip.len() as u64).sum());
        self.metrics.dead_letters.inc_by(dead.len() as u64);
        self.metrics.state_bytes.set(self.engine.state_bytes() as i64);
        self.metrics.groups.set(self.engine.groups() as i64);
    }

    fn write_base(&mut self, marks: Marks, members: &mut Vec<crate::record::Member>) {
        if self.base.is_none() && self.base_ends.is_none() && self.log.wants_base() {
            self.base = Some(Cursor::default());
            self.base_begun = Instant::now();
        }
        let Some(cursor) = &mut self.base else { return };
        match self.engine.base(cursor, BASE_PIECE) {
            Some(piece) => members.push(self.log.base(marks, &piece)),
            None => {
                members.extend(self.log.end_base(marks));
                (self.base, self.base_ends) = (None, Some(self.step));
            }
        }
    }

    /// All steps up to this one, which was begun then, are durable.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(super) fn durable(&mut self, step: u64, begun: Instant) -> Result<(), StoreError> {
        self.upserts.durable(step);
        // What is not durable may be counted again after a kill.
        while let Some((of, late)) = self.late.front().copied()
            && of <= step
        {
            self.metrics.late_rows.inner().store(late, Ordering::Relaxed);
            self.late.pop_front();
        }
        self.metrics.query_commits.inc();
        self.metrics.commit_micros.set(begun.elapsed().as_micros() as i64);
        if self.base_ends.is_some_and(|ends| ends <= step) {
            self.base_ends = None;
            self.log.base_is_durable()?;
            self.metrics.bases.inc();
            self.metrics.base_micros.set(self.base_begun.elapsed().as_micros() as i64);
        }
        Ok(())
    }

    /// Something is waiting for the next commit.
    pub(super) fn pending(&self) -> bool {
        self.changed
    }

    /// Everything owed has been delivered; writes that down with the next commit, if it is not yet.
    pub(super) fn delivered(&mut self) -> bool {
        let all = self.upserts.delivered() >= self.content;
        self.changed |= all && self.wants_mark();
        all
    }

    /// How many bytes of input may be read while `under_way` are: as many as the state is likely to have room for.
    pub(super) fn budget(&self, under_way: usize) -> usize {
        let left = self.max_bytes.saturating_sub(self.engine.state_bytes() as u64) as f64;
        let fits = (left / self.growth) as usize;
        match fits.saturating_sub(under_way) {
            0..SMALL_PIECE if under_way == 0 && self.full().is_none() => SMALL_PIECE,
            0..SMALL_PIECE => 0,
            fits => fits,
        }
    }

    /// Why nothing more may be read, if the state is as large as it may be.
    pub(super) fn full(&self) -> Option<String> {
        let bytes = self.engine.state_bytes() as u64;
        (bytes >= self.max_bytes).then(|| {
            let max = crate::job::show_size(self.max_bytes);
            format!(
                "the query's state has {} in {bytes} bytes and is as large as splashdam.state.max-bytes allows ({max}): \
                 raise it with SET, or give the query a window or a state TTL",
                plural(self.engine.groups() as u64, "group")
            )
        })
    }
}

fn micros(now: Timestamp) -> u64 {
    u64::try_from(now.0).unwrap_or(0).saturating_mul(1000)
}

/// The lines that the two texts do not share, as a person would mark them; a line that stands there twice is two.
fn difference(before: &str, now: &str) -> String {
    let lacking = |all: &str, others: &str, mark: char| -> Vec<String> {
        let mut others: Vec<&str> = others.lines().collect();
        let mut lacks = |line: &&str| match others.iter().position(|other| other == line) {
            Some(at) => {
                others.swap_remove(at);
                false
            }
            None => true,
        };
        all.lines().filter(|line| lacks(line)).map(|line| format!("  {mark} {}", line.trim())).collect()
    };
    let lines = [lacking(before, now, '-'), lacking(now, before, '+')].concat();
    if lines.is_empty() { "  the same parts, in another order".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_names_each_line_that_came_or_went_and_is_never_empty() {
        assert_eq!(difference("a\n b\n b\nc", "a\n b\nd"), "  - b\n  - c\n  + d");
        assert_eq!(difference("a\nb", "b\na"), "  the same parts, in another order");
    }
}
