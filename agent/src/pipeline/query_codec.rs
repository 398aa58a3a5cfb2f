//! What the workers do for a query: chunks become columns, and everything is computed that needs no state. The
//! outputs of a script without state are encoded here too.

use std::io;
use std::sync::Arc;

use super::codec::{Batch, Encoded};
use super::places::Places;
use super::query_outputs::{Outputs, Ready};
use crate::decode::{ColumnDecoder, DecodeFacts};
use crate::encode::Scratch;
use crate::metrics::PipelineMetrics;
use crate::plan::QueryPlan;
use crate::query::{Prepared, Program};
use crate::record::{Chunk, DeadLetter, Piece, Timestamp};
use crate::sql::expr::Context;

/// One script's stateless part, shared by the workers.
pub(crate) struct QueryCodec {
    decoders: Vec<ColumnDecoder>,
    places: Places,
    program: Arc<Program>,
    outputs: Arc<Outputs>,
    zone: jiff::tz::TimeZone,
    job: String,
    metrics: PipelineMetrics,
}

impl QueryCodec {
    pub(super) fn new(
        plan: &QueryPlan,
        places: Places,
        program: Arc<Program>,
        outputs: Arc<Outputs>,
        host: &str,
        metrics: PipelineMetrics,
    ) -> QueryCodec {
        let decoders = plan.tables.iter().map(|table| ColumnDecoder::new(table, host)).collect();
        let (zone, job) = (plan.query.settings.zone.clone(), plan.id.clone());
        QueryCodec { decoders, places, program, outputs, zone, job, metrics }
    }

    /// Decodes and computes a batch.
    ///
    /// # Errors
    /// What compressing into memory can fail with; a chunk of no table of the script, which nobody may pass over.
    pub(super) fn work(&self, batch: Batch, now: Timestamp, scratch: &mut Scratch) -> io::Result<Encoded> {
        let mut ready = Ready::default();
        let mut prepared = Vec::with_capacity(batch.chunks.len());
        for chunk in &batch.chunks {
            prepared.push(self.prepare(chunk, now, &mut ready)?);
        }
        for refused in &batch.refused {
            let head = &refused.head;
            let bytes = head.data.clone();
            ready.dead.push(self.dead_letter(refused.kind, refused.reason.clone(), head, head.offset, bytes, now));
        }
        if !self.program.stateful() {
            self.finish(std::mem::take(&mut prepared), batch.version, now, &mut ready, scratch)?;
        }
        let lines = batch.chunks.into_iter().filter(|c| c.piece == Piece::Lines);
        Ok(Encoded { ready, prepared, untimed: None, buffers: lines.map(|c| c.data).collect() })
    }

    fn prepare(&self, chunk: &Chunk, now: Timestamp, ready: &mut Ready) -> io::Result<Prepared> {
        let of = self.places.scan(chunk.source).and_then(|scan| Some((scan, self.decoders.get(scan)?)));
        let Some((scan, decoder)) = of else {
            let what = format!("{} (source {}) belongs to no table of the script", chunk.path, chunk.source.0);
            return Err(io::Error::other(what));
        };
        let (batch, facts) = decoder.decode(chunk, now);
        self.count(&facts);
        for refused in facts.refused {
            let bytes = match refused.text.is_empty() {
                true => chunk.data.get(refused.bytes).unwrap_or_default().to_vec(),
                false => refused.text.into_bytes(),
            };
            let mut letter = self.dead_letter("record_unreadable", refused.reason, chunk, refused.offset, bytes, now);
            if chunk.piece == Piece::LogGroups {
                letter.id.push_str(&format!(".{}", refused.place));
            }
            ready.dead.push(letter);
        }
        let mut cx = context(now, &self.zone);
        Ok(self.program.prepare(scan, batch, &mut cx))
    }

    fn count(&self, facts: &DecodeFacts) {
        self.metrics.read_records.inc_by(facts.records);
        self.metrics.invalid_utf8_records.inc_by(facts.invalid_utf8);
        self.metrics.undecodable_records.inc_by(facts.skipped + facts.refused.len() as u64);
        self.metrics.null_fields.inc_by(facts.null_fields);
        if let Some(example) = &facts.example {
            tracing::warn!(job = %self.job, fields = facts.null_fields, %example, "fields can't be read as their column's type and are NULL");
        }
    }

    /// A script without state: what was prepared is the result.
    fn finish(
        &self,
        prepared: Vec<Prepared>,
        version: u64,
        now: Timestamp,
        ready: &mut Ready,
        scratch: &mut Scratch,
    ) -> io::Result<()> {
        let mut changes = Vec::new();
        for prepared in prepared {
            let result = prepared.into_result();
            self.metrics.null_rows.inc_by(result.counts.null_columns + result.counts.null_times);
            ready.dead.extend(result.refused.iter().map(|row| self.outputs.refused(row, now)));
            changes.extend(result.changes);
        }
        ready.add(self.outputs.encode(&changes, version, now, u64::MAX, scratch)?);
        Ok(())
    }

    fn dead_letter(
        &self,
        kind: &str,
        reason: String,
        chunk: &Chunk,
        offset: u64,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> DeadLetter {
        let text = String::from_utf8_lossy(&bytes);
        let document = serde_json::json!({
            "message": text.trim_end_matches(['\n', '\r']),
            "log.file.path": &*chunk.path,
            "log.offset": offset,
        });
        DeadLetter {
            index: self.job.clone(),
            id: format!("{}.{offset}", chunk.source.0),
            kind: kind.to_owned(),
            reason,
            status: 0,
            action: Vec::new(),
            document: document.to_string().into_bytes(),
            at_ms: now.0,
        }
    }
}

/// What a computation at this time may know.
pub(super) fn context(now: Timestamp, zone: &jiff::tz::TimeZone) -> Context {
    Context { now: now.0.saturating_mul(1000), zone: zone.clone(), errors: Vec::new() }
}
