//! Puts what was cut from a source's bytes into a step: chunks, dead letters, gaps, and their counts.

use std::sync::Arc;

use super::lines::Cut;
use crate::metrics::PipelineMetrics;
use crate::record::{Chunk, Gap, GapReason, Part, Piece, Refused, SourceId, Step};

/// Puts what was cut from `data`, which lies at `base`, into `step` and counts it.
pub(super) fn emit(
    cut: &Cut,
    data: &[u8],
    base: u64,
    (source, path): (SourceId, &Arc<str>),
    metrics: &PipelineMetrics,
    step: &mut Step,
) {
    for (range, piece) in &cut.pieces {
        step.chunks.push(Chunk {
            source,
            path: Arc::clone(path),
            offset: base + range.start as u64,
            data: data[range.clone()].to_vec(),
            piece: *piece,
        });
    }
    account(cut, data, base, (source, path), metrics, step);
}

/// Everything that [`Cut`] says beside its pieces: dead letters, gaps and counters.
pub(super) fn account(
    cut: &Cut,
    data: &[u8],
    base: u64,
    (source, path): (SourceId, &Arc<str>),
    metrics: &PipelineMetrics,
    step: &mut Step,
) {
    for range in &cut.dead {
        let offset = base + range.start as u64;
        let head = Chunk {
            source,
            path: Arc::clone(path),
            offset,
            data: data[range.clone()].to_vec(),
            piece: Piece::Part(Part { truncated: true, ..Part::default() }),
        };
        let reason = format!("the line at byte {offset} of {path} is longer than max_line_bytes ({})", range.len());
        step.refused.push(Refused { head, kind: "line_too_long", reason });
    }
    for range in &cut.skipped {
        add_gap(step, path, base + range.start as u64, range.len() as u64, GapReason::LongLine);
    }
    for range in &cut.nuls {
        add_gap(step, path, base + range.start as u64, range.len() as u64, GapReason::NulHole);
        metrics.nul_bytes.inc_by(range.len() as u64);
    }
    metrics.read_bytes.inc_by(cut.consumed as u64);
    metrics.long_lines.inc_by(cut.long_lines);
    metrics.partial_lines.inc_by(cut.partial_lines);
}

/// Adds a gap, joined to the one before it where it goes on from there.
pub(super) fn add_gap(step: &mut Step, path: &Arc<str>, from: u64, bytes: u64, reason: GapReason) {
    if bytes == 0 {
        return;
    }
    if let Some(last) = step.gaps.last_mut()
        && last.path == *path
        && last.reason == reason
        && last.from + last.bytes == from
    {
        last.bytes += bytes;
        return;
    }
    step.gaps.push(Gap { path: Arc::clone(path), from, bytes, reason });
}
