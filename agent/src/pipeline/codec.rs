//! The worker pool between source and store: batches of chunks become members, in parallel, answered in order
//! by whoever waits for them.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::query_codec::QueryCodec;
use super::query_outputs::Ready;
use super::resets::Overwrites;
use crate::decode::{self, Decoder, records};
use crate::encode::{Encoder, Encoding, Scratch};
use crate::metrics::PipelineMetrics;
use crate::plan::{IndexPart, IndexPlan, Plan};
use crate::query::Prepared;
use crate::record::{Chunk, DeadLetter, Member, Piece, Refused, Timestamp, log_group};
use crate::source::Waker;

/// A worker without work for so long gives its buffers (some megabytes) back.
const IDLE: Duration = Duration::from_secs(5);

/// One job's decoding and encoding, shared by the workers.
pub(crate) struct Codec {
    decoder: Decoder,
    encoder: Encoder,
    /// Where documents go that were refused before their index was known.
    index: String,
    id_prefix: String,
    /// What a record gets that has no readable time; `None`: its time does not matter to us.
    instead_of_time: Option<String>,
    metrics: PipelineMetrics,
}

/// What [`Codec::encode`] makes of chunks.
pub(crate) struct Rendered {
    pub(crate) members: Vec<Member>,
    pub(crate) untimed: Option<Untimed>,
}

/// Records whose time can't be read, and why one of them.
#[derive(Clone, Debug)]
pub(crate) struct Untimed {
    pub(crate) records: u64,
    pub(crate) example: decode::Untimed,
    /// What they get in place of it.
    pub(crate) instead: String,
}

/// What decoding brought to light, in records.
#[derive(Default)]
struct Found {
    records: u64,
    invalid: u64,
    undecodable: u64,
    untimed: u64,
    example: Option<decode::Untimed>,
}

impl Found {
    fn count(&mut self, facts: decode::Facts, timed: bool, example: impl FnOnce() -> decode::Untimed) {
        self.records += 1;
        self.invalid += u64::from(facts.invalid_utf8);
        self.undecodable += u64::from(facts.undecodable);
        if facts.time_ms.is_none() && !facts.undecodable && timed {
            self.untimed += 1;
            self.example.get_or_insert_with(example);
        }
    }
}

/// Chunks in, members out; `chunks` comes back so that its buffers can be used again.
pub(super) struct Batch {
    pub(super) chunks: Vec<Chunk>,
    pub(super) refused: Vec<Refused>,
    /// The first of the versions that its rows may have.
    pub(super) version: u64,
    /// Which of its documents replace those that are there.
    pub(super) overwrites: Overwrites,
}

pub(super) struct Encoded {
    pub(super) ready: Ready,
    /// What must go through a query's state first.
    pub(super) prepared: Vec<Prepared>,
    pub(super) untimed: Option<Untimed>,
    pub(super) buffers: Vec<Vec<u8>>,
}

/// What is done to a batch.
pub(super) enum Work {
    Lines(Box<Codec>),
    Query(Box<QueryCodec>),
}

impl Work {
    fn work(&self, batch: Batch, now: Timestamp, scratch: &mut Scratch) -> io::Result<Encoded> {
        match self {
            Work::Lines(codec) => codec.work(batch, now, scratch),
            Work::Query(codec) => codec.work(batch, now, scratch),
        }
    }
}

struct Task {
    codec: Arc<Work>,
    batch: Batch,
    now: Timestamp,
    answer: SyncSender<io::Result<Encoded>>,
    waker: Waker,
}

/// A few threads that compress. Ends when dropped.
pub(super) struct Pool {
    tasks: Option<SyncSender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl Codec {
    pub(crate) fn new(plan: &Plan, agent_id: &str, host: &str, metrics: PipelineMetrics) -> Codec {
        let index = match &plan.sink.index {
            IndexPlan::Literal(name) => name.clone(),
            IndexPlan::Template { fallback, .. } => fallback.clone(),
        };
        Codec {
            decoder: Decoder::new(&plan.decode, host),
            encoder: Encoder::new(&plan.id, agent_id, &plan.sink),
            index,
            id_prefix: format!("{}.{agent_id}.", plan.id),
            instead_of_time: instead_of_time(plan),
            metrics,
        }
    }

    /// Renders and compresses chunks. `now` becomes the time of records that have none.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(crate) fn encode(&self, chunks: &[Chunk], now: Timestamp, scratch: &mut Scratch) -> io::Result<Rendered> {
        self.encode_replacing(chunks, &Overwrites::default(), now, scratch)
    }

    fn encode_replacing(
        &self,
        chunks: &[Chunk],
        overwrites: &Overwrites,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> io::Result<Rendered> {
        let mut encoding = self.encoder.begin(scratch);
        let mut found = Found::default();
        for chunk in chunks {
            encoding.replace(overwrites.replaces(chunk));
            match chunk.piece {
                Piece::LogGroups => self.log_groups(chunk, &mut encoding, &mut found)?,
                Piece::Lines | Piece::Part(_) => self.lines(chunk, now, &mut encoding, &mut found)?,
            }
        }
        self.metrics.read_records.inc_by(found.records);
        self.metrics.invalid_utf8_records.inc_by(found.invalid);
        self.metrics.undecodable_records.inc_by(found.undecodable);
        self.metrics.untimed_records.inc_by(found.untimed);
        let reason = found.example.zip(self.instead_of_time.clone());
        let untimed = reason.map(|(example, instead)| Untimed { records: found.untimed, example, instead });
        Ok(Rendered { members: encoding.finish()?, untimed })
    }

    fn lines(&self, chunk: &Chunk, now: Timestamp, encoding: &mut Encoding<'_>, found: &mut Found) -> io::Result<()> {
        let decoding = self.decoder.begin(chunk, now);
        encoding.source(chunk.source);
        for record in records(chunk) {
            encoding.document(record.offset, |out| {
                let facts = decoding.document(&record, out);
                found.count(facts, self.instead_of_time.is_some(), || decoding.untimed(&record));
                facts.time_ms
            })?;
        }
        Ok(())
    }

    fn log_groups(&self, chunk: &Chunk, encoding: &mut Encoding<'_>, found: &mut Found) -> io::Result<()> {
        for (cursor, (_, group)) in (chunk.offset..).zip(log_group::groups(&chunk.data)) {
            encoding.log_group(chunk.source, cursor);
            let mut decoding = self.decoder.group(&group);
            for (index, log) in (0..).zip(group.logs()) {
                encoding.document(index, |out| {
                    let facts = decoding.document(log, out);
                    found.count(facts, self.instead_of_time.is_some(), || decoding.untimed(log));
                    facts.time_ms
                })?;
            }
        }
        Ok(())
    }

    /// Makes the dead letter of a record that the source refused.
    fn dead_letter(&self, refused: &Refused, now: Timestamp) -> DeadLetter {
        let chunk = &refused.head;
        let id = format!("{}{}.{}", self.id_prefix, chunk.source.0, chunk.offset);
        let decoding = self.decoder.begin(chunk, now);
        let mut document = Vec::new();
        for record in records(chunk) {
            decoding.document(&record, &mut document);
        }
        DeadLetter {
            index: self.index.clone(),
            action: format!("{{\"create\":{{\"_id\":\"{id}\"}}}}").into_bytes(),
            id,
            kind: refused.kind.to_owned(),
            reason: refused.reason.clone(),
            status: 0,
            document,
            at_ms: now.0,
        }
    }

    fn work(&self, batch: Batch, now: Timestamp, scratch: &mut Scratch) -> io::Result<Encoded> {
        let Rendered { members, untimed } = self.encode_replacing(&batch.chunks, &batch.overwrites, now, scratch)?;
        let dead = batch.refused.iter().map(|r| self.dead_letter(r, now)).collect();
        let lines = batch.chunks.into_iter().filter(|c| c.piece == Piece::Lines);
        let buffers = lines.map(|c| c.data).collect();
        Ok(Encoded { ready: Ready { members, dead, ..Ready::default() }, prepared: Vec::new(), untimed, buffers })
    }
}

/// Records of this job without a readable time get this, in words. `None`: nothing depends on it.
fn instead_of_time(plan: &Plan) -> Option<String> {
    let dated = match &plan.sink.index {
        IndexPlan::Template { parts, fallback, .. } => {
            parts.iter().any(|part| matches!(part, IndexPart::Date(_))).then(|| format!("index {fallback}"))
        }
        IndexPlan::Literal(_) => None,
    };
    let read = plan.decode.timestamp_field.as_ref().map(|_| "the time of reading".to_owned());
    let both: Vec<String> = read.into_iter().chain(dated).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

impl Pool {
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(threads: usize) -> io::Result<Pool> {
        let (sender, receiver) = sync_channel::<Task>(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        let spawn = |i: usize| {
            let receiver = receiver.clone();
            std::thread::Builder::new().name(format!("encode-{i}")).spawn(move || worker(&receiver))
        };
        let threads = (0..threads).map(spawn).collect::<io::Result<Vec<_>>>()?;
        Ok(Pool { tasks: Some(sender), threads })
    }

    /// Hands a batch to the workers; the answer comes through the returned channel, and `waker` is woken then.
    pub(super) fn submit(
        &self,
        codec: &Arc<Work>,
        batch: Batch,
        now: Timestamp,
        waker: Waker,
    ) -> Receiver<io::Result<Encoded>> {
        let (answer, receiver) = sync_channel(1);
        if let Some(tasks) = &self.tasks {
            let task = Task { codec: codec.clone(), batch, now, answer, waker };
            // A closed channel drops `answer` with the task, which the receiver notices.
            drop(tasks.send(task));
        }
        receiver
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("an encoding thread panicked");
            }
        }
    }
}

fn worker(tasks: &Mutex<Receiver<Task>>) {
    let mut scratch = Scratch::default();
    loop {
        let task = match tasks.lock() {
            Ok(tasks) => tasks.recv_timeout(IDLE),
            Err(_) => return,
        };
        let task = match task {
            Ok(task) => task,
            Err(RecvTimeoutError::Timeout) => {
                scratch = Scratch::default();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let encoded = task.codec.work(task.batch, task.now, &mut scratch);
        // Nobody waits any more: the pipeline has ended without this batch, and its positions stay behind it.
        drop(task.answer.send(encoded));
        task.waker.wake();
    }
}
