//! The unit on the walk: bytes of one source, and the step of input that a commit accounts for.

use std::sync::Arc;

use super::{Row, SourceId};

/// Bytes of one source, at most about 1 MiB.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) source: SourceId,
    /// The path as documents show it (invalid UTF-8 replaced).
    pub(crate) path: Arc<str>,
    /// Offset of `data[0]` in the source.
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) piece: Piece,
}

/// How a chunk's bytes are to be cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Whole lines, each with its newline; a line's offset is `chunk.offset` + its index in `data`.
    /// (A `\r` before the newline belongs to the line ending.)
    Lines,
    /// Exactly one record without newline.
    Part(Part),
    /// Log groups of Log Service (see `log_group`), checked; `chunk.offset` is the cursor of the first, and each
    /// following one has the next.
    LogGroups,
}

/// What is special about a record that is not a plain whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Part {
    /// Shipped before its newline was seen (`partial_after`).
    pub(crate) partial: bool,
    /// Cut at `max_line_bytes`; the rest was passed over (`long_lines = "truncate"`).
    pub(crate) truncated: bool,
    /// The rest of (or a further piece of) the line that began at this offset.
    pub(crate) continues: Option<u64>,
}

/// What one look at a source brought. Chunks, rows, gaps and dead letters belong into one commit.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) chunks: Vec<Chunk>,
    /// The positions behind `chunks`, and whatever else the source wants to remember.
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<Gap>,
    /// Records that the source itself refused (`long_lines = "dead-letter"`).
    pub(crate) refused: Vec<Refused>,
    /// Sources that have nothing more, as far as can be seen: all of theirs has been handed out.
    pub(crate) finished: Vec<SourceId>,
}

/// A record that the source refused: it becomes a dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The record's head as one `Piece::Part`.
    pub(crate) head: Chunk,
    /// The dead letter's kind, e.g. `line_too_long`.
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
}

/// Bytes of a source that could not be read and never will be: counted and reported, never silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) path: Arc<str>,
    pub(crate) from: u64,
    pub(crate) bytes: u64,
    pub(crate) reason: GapReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GapReason {
    /// Truncated before it was read, and no copy was found.
    Truncated,
    /// Deleted (or never found again) with unread bytes.
    Vanished,
    /// As `Vanished`, a compressed file: the bytes are compressed ones, of their content nothing is known.
    VanishedCompressed,
    /// A hole of NUL bytes, as a truncation under a writer leaves it.
    NulHole,
    /// A compressed file that ends early or does not decompress.
    BadCompression,
    /// A line passed over because of `long_lines`.
    LongLine,
}
