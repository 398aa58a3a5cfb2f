//! What the first loop has read and not handed to the workers yet.
//!
//! Promises: what is taken out is everything since it was taken out last, each row of positions with its newest value.
//! Does not know when that should happen but for its own age and size.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::allowance::BATCH_BYTES;
use super::codec::Batch;
use super::resets::Overwrites;
use super::versions::Versions;
use crate::record::{Chunk, Piece, Refused, Row, SourceId, Step, log_group};

/// Rows without lines (a rename, a finished file) wait this long for company.
const ROWS_LINGER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Gathered {
    chunks: Vec<Chunk>,
    refused: Vec<Refused>,
    rows: HashMap<u64, Option<Box<[u8]>>>,
    finished: Vec<SourceId>,
    bytes: usize,
    since: Option<Instant>,
}

/// What is committed with a batch.
pub(super) struct Beside {
    pub(super) rows: Vec<Row>,
    /// Sources that have nothing behind it.
    pub(super) finished: Vec<SourceId>,
    /// Bytes of its lines.
    pub(super) bytes: usize,
}

impl Gathered {
    /// Adds what a look brought; says whether it brought nothing.
    pub(super) fn add(&mut self, step: Step, now: Instant) -> bool {
        let Step { chunks, rows, gaps: _, refused, finished } = step;
        if chunks.is_empty() && rows.is_empty() && refused.is_empty() && finished.is_empty() {
            return true;
        }
        self.since.get_or_insert(now);
        self.bytes += chunks.iter().map(|c| c.data.len()).sum::<usize>();
        self.bytes += refused.iter().map(|r| r.head.data.len()).sum::<usize>();
        self.chunks.extend(chunks);
        self.refused.extend(refused);
        self.finished.extend(finished);
        self.rows.extend(rows.into_iter().map(|row| (row.key, row.value)));
        false
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Bytes of lines.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is large enough to be worked on whatever its age.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes >= BATCH_BYTES * 3 / 4
    }

    /// When it is old enough, where lines wait for `linger`.
    pub(super) fn due(&self, linger: Duration) -> Option<Instant> {
        Some(self.since? + if self.bytes > 0 { linger } else { ROWS_LINGER })
    }

    /// Takes everything out, if there is something.
    pub(super) fn take(&mut self, versions: &mut Versions, overwrites: &mut Overwrites) -> Option<(Batch, Beside)> {
        self.since?;
        let Gathered { chunks, refused, rows, finished, bytes, since: _ } = std::mem::take(self);
        let mut rows: Vec<Row> = rows.into_iter().map(|(key, value)| Row { key, value }).collect();
        let replacing = overwrites.clone();
        rows.extend(overwrites.passed(&chunks));
        let version = versions.draw(|| most_rows(&chunks));
        Some((Batch { chunks, refused, version, overwrites: replacing }, Beside { rows, finished, bytes }))
    }
}

/// More rows than these chunks will give, as far as can be told without decoding them.
fn most_rows(chunks: &[Chunk]) -> u64 {
    let lines = |chunk: &Chunk| match chunk.piece {
        Piece::LogGroups => log_group::groups(&chunk.data).map(|(_, group)| group.logs().count() as u64).sum(),
        Piece::Lines | Piece::Part(_) => memchr::memchr_iter(b'\n', &chunk.data).count() as u64 + 1,
    };
    16 * chunks.iter().map(lines).sum::<u64>()
}
