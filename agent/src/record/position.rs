//! Where in a source something lies, and the rows that remember it.

/// A source's number, minted once when the source is first seen and never used again within its pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(pub(crate) u64);

/// How reading goes on from an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The offset is the first byte of a line.
    LineStart,
    /// A part of the line that began at `line` has been shipped; the offset is the first byte of the rest.
    Continuing { line: u64 },
    /// The line that began at `line` was too long and is passed over up to its newline.
    Skipping { line: u64 },
}

/// A place in one source: an offset in bytes (of the decompressed content) and how to go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) mode: Mode,
}

/// One changed row of a pipeline's state: a position with what recognises its source. The store keeps rows
/// without reading them. `value: None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) value: Option<Box<[u8]>>,
}
