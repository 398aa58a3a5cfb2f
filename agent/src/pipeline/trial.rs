//! A script tried out: its files are read to their present end and its results handed over, with nothing kept and
//! nothing sent.

use std::sync::Arc;
use std::time::Instant;

use super::codec::Batch;
use super::places::Places;
use super::query_codec::{QueryCodec, context};
use super::query_outputs::{Outputs, Ready, Sinks};
use super::resets::Overwrites;
use crate::encode::Scratch;
use crate::metrics::PipelineMetrics;
use crate::plan::QueryPlan;
use crate::query::{Engine, Program};
use crate::record::{Timestamp, gzip};
use crate::source::{Reader, Source};

const LOOK_BYTES: usize = 256 << 10;

/// One thing that a script would do.
pub(crate) enum Tried {
    /// A bulk item for this index: its lines, each with a newline.
    Item { index: Arc<str>, lines: Vec<u8> },
    /// Lines that a print sink would write.
    Printed(Vec<u8>),
    /// A dead letter: its kind and reason.
    Dead { kind: String, reason: String },
}

/// Runs `plan` once. `take` says whether it wants more.
///
/// # Errors
/// A source that can't be opened, a plan that can't be run.
pub(crate) fn try_query(
    plan: &QueryPlan,
    agent: &str,
    host: &str,
    mut take: impl FnMut(Tried) -> bool,
) -> Result<(), String> {
    let metrics = PipelineMetrics::default();
    let program = Arc::new(program_of(plan)?);
    let outputs = Arc::new(Outputs::new(plan, agent));
    let mut engine = Engine::new(program.clone())?;
    let places = Places::in_order(plan.tables.len());
    let codec = QueryCodec::new(plan, places.clone(), program.clone(), outputs.clone(), host, metrics.clone());
    let sources: Vec<_> =
        places.sources(&plan.tables).into_iter().map(|(place, source)| (place, source.unshared())).collect();
    let reader = Reader { agent, job: &plan.id };
    let opened = Source::open_all(&sources, Vec::new(), true, reader, metrics);
    let mut source = opened.map_err(|error| error.to_string())?;
    let mut scratch = Scratch::default();
    let sinks = Sinks::of(plan);
    let zone = &plan.query.settings.zone;
    loop {
        let step = source.poll(LOOK_BYTES, Instant::now()).map_err(|error| error.to_string())?;
        let idle = step.chunks.is_empty() && step.refused.is_empty();
        let now = Timestamp::now();
        let batch = Batch { chunks: step.chunks, refused: step.refused, version: 1, overwrites: Overwrites::default() };
        let encoded = codec.work(batch, now, &mut scratch).map_err(|error| error.to_string())?;
        if !hand_over(encoded.ready, &sinks, &mut take)? {
            return Ok(());
        }
        let mut cx = context(now, zone);
        encoded.prepared.into_iter().for_each(|prepared| engine.apply(prepared, &mut cx));
        if idle && source.finished() {
            break;
        }
        if let Some(why) = source.parked() {
            return Err(why);
        }
        if idle {
            source.wait(source.next_look(Instant::now()));
        }
    }
    let now = Timestamp::now();
    let mut cx = context(now, zone);
    engine.finish(&mut cx);
    let result = engine.step(1, &mut cx);
    let mut ready =
        outputs.encode(&result.changes, 1, now, u64::MAX, &mut scratch).map_err(|error| error.to_string())?;
    ready.add(outputs.encode_late(result.late, now, &mut scratch).map_err(|error| error.to_string())?);
    ready.dead.extend(result.refused.iter().map(|row| outputs.refused(row, now)));
    hand_over(ready, &sinks, &mut take).map(drop)
}

/// A script's plan made ready.
///
/// # Errors
/// What the engine does not do.
pub(super) fn program_of(plan: &QueryPlan) -> Result<Program, String> {
    let mut program = Program::new(&plan.query)?;
    let late: Vec<usize> = plan.sinks.iter().filter(|sink| sink.late.is_some()).map(|sink| sink.table).collect();
    program.hand_over_late(&late);
    Ok(program)
}

/// False: enough.
fn hand_over(ready: Ready, sinks: &Sinks, take: &mut impl FnMut(Tried) -> bool) -> Result<bool, String> {
    for letter in ready.dead {
        if !take(Tried::Dead { kind: letter.kind, reason: letter.reason }) {
            return Ok(false);
        }
    }
    if !ready.printed.is_empty() && !take(Tried::Printed(ready.printed)) {
        return Ok(false);
    }
    for member in ready.members {
        let raw = gzip::decompress(&member.gzip, u64::from(member.raw_len)).map_err(|error| error.to_string())?;
        let items = crate::deliver::items(&raw, member.items).map_err(|error| error.to_string())?;
        for item in items {
            let mut lines = [item.action, b"\n"].concat();
            if !item.document.is_empty() {
                lines.extend_from_slice(item.document);
                lines.push(b'\n');
            }
            if !take(Tried::Item { index: sinks.shown(&member.index).into(), lines }) {
                return Ok(false);
            }
        }
    }
    for document in ready.documents {
        if !take(Tried::Item { index: sinks.shown(&document.index).into(), lines: document.item.into() }) {
            return Ok(false);
        }
    }
    Ok(true)
}
