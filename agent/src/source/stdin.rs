//! Standard input as a source of lines: read by a thread of its own, handed over through a bounded channel, so
//! that a full pipeline makes the writer wait.
//!
//! Every run is a source of its own: its number is minted from row 0, so two runs never share an id. What was
//! read and not committed when the process dies is lost: a pipe has no second copy.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::emit::emit;
use super::file::rows::{self, Counters};
use super::lines;
use super::{Progress, SourceError, Waker};
use crate::metrics::PipelineMetrics;
use crate::plan::LinePlan;
use crate::record::{Mode, Position, Row, SourceId, Step};

const BLOCK: usize = 256 << 10;
const BLOCKS_WAITING: usize = 4;

/// An open standard input.
#[derive(Debug)]
pub(crate) struct StdinSource {
    plan: LinePlan,
    source: SourceId,
    path: Arc<str>,
    blocks: Receiver<Vec<u8>>,
    /// Blocks that were read and not taken out of the channel.
    waiting: Arc<AtomicUsize>,
    /// It has been asked for bytes.
    asked: bool,
    /// Bytes at `position` that are not handed out yet: an incomplete line, at most about its longest length.
    rest: Vec<u8>,
    position: Position,
    grown_at: Option<Instant>,
    ended: bool,
    /// Row 0, to go with the first commit.
    row: Option<Row>,
    read: u64,
    waker: Waker,
    metrics: PipelineMetrics,
}

impl StdinSource {
    pub(super) fn open(
        plan: &LinePlan,
        rows: &[(u64, Box<[u8]>)],
        input: impl Read + Send + 'static,
        metrics: PipelineMetrics,
    ) -> Result<StdinSource, SourceError> {
        let mut counters = Counters::default();
        if let Some((_, value)) = rows.iter().find(|(key, _)| *key == rows::COUNTERS) {
            counters = Counters::decode(value).map_err(|reason| SourceError::Row { key: rows::COUNTERS, reason })?;
        }
        let source = SourceId(counters.next_source);
        counters.next_source += 1;
        let waker = Waker::default();
        let (sender, blocks) = sync_channel(BLOCKS_WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (wake, sent) = (waker.clone(), waiting.clone());
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || read_all(input, &sender, &sent, &wake))
            .map_err(SourceError::Thread)?;
        metrics.files.set(1);
        Ok(StdinSource {
            plan: plan.clone(),
            source,
            path: Arc::from("stdin"),
            blocks,
            waiting,
            asked: false,
            rest: Vec::new(),
            position: Position { offset: 0, mode: Mode::LineStart },
            grown_at: None,
            ended: false,
            row: Some(Row { key: rows::COUNTERS, value: Some(counters.encode()) }),
            read: 0,
            waker,
            metrics,
        })
    }

    pub(super) fn poll(&mut self, budget: usize, now: Instant) -> Step {
        let mut step = Step::default();
        let mut taken = 0;
        self.asked |= budget > 0;
        while taken < budget && !self.ended {
            match self.blocks.try_recv() {
                Ok(block) => {
                    self.waiting.fetch_sub(1, Ordering::AcqRel);
                    taken += block.len();
                    self.rest.extend_from_slice(&block);
                    self.grown_at = Some(now);
                    self.cut(false, &mut step);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    self.cut(true, &mut step);
                    self.rest = Vec::new();
                    step.finished.push(self.source);
                }
            }
        }
        if budget > 0 && self.flush_due().is_some_and(|due| due <= now) {
            self.grown_at = None;
            self.cut(true, &mut step);
        }
        // The number must be durable with (or before) the first record that carries it.
        step.rows.extend(self.row.take());
        step
    }

    pub(super) fn next_look(&self, now: Instant) -> Instant {
        // Bytes wake the waiting corridor; only the flush of a part needs a time.
        self.flush_due().unwrap_or(now + Duration::from_secs(1))
    }

    pub(super) fn wait(&self, until: Instant) {
        self.waker.wait(until);
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn finished(&self) -> bool {
        self.ended
    }

    /// Itself, while lines wait for us (a pipeline that is full does not read them), or may: nobody has looked yet.
    pub(super) fn unread(&self) -> Vec<SourceId> {
        let waits = !self.asked || self.waiting.load(Ordering::Acquire) > 0;
        if waits && !self.ended { vec![self.source] } else { Vec::new() }
    }

    pub(super) fn living(&self) -> Vec<SourceId> {
        if self.ended { Vec::new() } else { vec![self.source] }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { read: self.read, total: self.read + self.rest.len() as u64 }
    }

    fn flush_due(&self) -> Option<Instant> {
        let waiting = !self.rest.is_empty() && !self.ended;
        self.grown_at.filter(|_| waiting).zip(self.plan.partial_after).map(|(grown, after)| grown + after)
    }

    fn cut(&mut self, flush: bool, step: &mut Step) {
        let cut = lines::cut(&self.plan, self.position, &self.rest, flush);
        emit(&cut, &self.rest, self.position.offset, (self.source, &self.path), &self.metrics, step);
        self.rest.drain(..cut.consumed);
        self.position = cut.position;
        self.read += cut.consumed as u64;
        self.metrics.lag_bytes.set(i64::try_from(self.rest.len()).unwrap_or(i64::MAX));
    }
}

/// Reads until the input ends. An error of the input is its end, but not a silent one.
fn read_all(mut input: impl Read, blocks: &SyncSender<Vec<u8>>, waiting: &AtomicUsize, waker: &Waker) {
    loop {
        let mut block = vec![0; BLOCK];
        match input.read(&mut block) {
            Ok(0) => break,
            Ok(len) => {
                block.truncate(len);
                waiting.fetch_add(1, Ordering::AcqRel);
                if blocks.send(block).is_err() {
                    return;
                }
                waker.wake();
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::error!(%error, "standard input can't be read further");
                break;
            }
        }
    }
    // The end shows as a closed channel, which must be seen before the waiting side sleeps again.
    waker.wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn drain(source: &mut StdinSource) -> (Vec<String>, Vec<Row>) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let (mut seen, mut rows) = (Vec::new(), Vec::new());
        while !source.finished() && Instant::now() < deadline {
            let step = source.poll(1 << 20, Instant::now());
            seen.extend(step.chunks.iter().map(|c| String::from_utf8_lossy(&c.data).into_owned()));
            rows.extend(step.rows);
            source.wait(Instant::now() + Duration::from_millis(50));
        }
        (seen, rows)
    }

    #[test]
    fn standard_input_is_read_to_its_end_and_each_run_has_its_own_number() {
        let plan = LinePlan::default();
        let mut first = StdinSource::open(&plan, &[], &b"one\ntwo\nlast"[..], PipelineMetrics::default()).unwrap();
        let (seen, rows) = drain(&mut first);
        assert_eq!(seen.concat(), "one\ntwo\nlast");
        let kept = vec![(rows[0].key, rows[0].value.clone().unwrap())];
        let second = StdinSource::open(&plan, &kept, &b""[..], PipelineMetrics::default()).unwrap();
        assert_ne!(first.source, second.source);
    }

    #[test]
    fn a_slow_line_is_shipped_as_a_part_and_its_rest_goes_on_from_there() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let plan = LinePlan { partial_after: Some(Duration::from_millis(1)), ..LinePlan::default() };
        let mut source = StdinSource::open(&plan, &[], reader, PipelineMetrics::default()).unwrap();
        writer.write_all(b"slow").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut chunks = Vec::new();
        while chunks.is_empty() && Instant::now() < deadline {
            chunks = source.poll(1 << 20, Instant::now()).chunks;
        }
        writer.write_all(b"er\nnext\n").unwrap();
        drop(writer);
        let (seen, _) = drain(&mut source);
        assert_eq!((chunks[0].data.as_slice(), seen.concat().as_str()), (&b"slow"[..], "ernext\n"));
    }

    #[test]
    fn lines_that_nobody_reads_are_seen_to_wait_and_the_end_is_told() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut source = StdinSource::open(&LinePlan::default(), &[], reader, PipelineMetrics::default()).unwrap();
        assert_eq!(source.unread(), [source.source], "nobody has looked yet");
        writer.write_all(b"one\n").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut chunks = Vec::new();
        while chunks.is_empty() && Instant::now() < deadline {
            chunks = source.poll(1, Instant::now()).chunks;
        }
        assert_eq!(source.unread(), []);
        writer.write_all(b"two\n").unwrap();
        while source.unread().is_empty() && Instant::now() < deadline {
            assert!(source.poll(0, Instant::now()).chunks.is_empty());
        }
        assert_eq!(source.unread(), [source.source]);
        drop(writer);
        let mut finished = Vec::new();
        while finished.is_empty() && Instant::now() < deadline {
            finished = source.poll(1 << 20, Instant::now()).finished;
        }
        assert_eq!((finished, source.unread(), source.living()), (vec![source.source], Vec::new(), Vec::new()));
    }
}
