//! What a query tells an output: rows of the sink with what is to become of each. `query` writes it, `encode` reads
//! it. Plain data; how an `_id` is spelled is `encode`'s business.

use super::{Batch, SourceId, Strings};

/// Changes of one output, in the order in which they happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changes {
    /// The number of the output in the script's plan.
    pub(crate) output: usize,
    /// One column for each of the sink's, in its order and types.
    pub(crate) batch: Batch,
    /// What each row of `batch` is.
    pub(crate) kinds: Kinds,
    /// What makes the rows' ids where the sink has no PRIMARY KEY (one with a key takes its columns' values).
    pub(crate) identity: Identity,
}

/// One kind for each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// All rows are of this kind.
    All(ChangeKind),
    Each(Vec<ChangeKind>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A row that is new and stays as it is. A second one with the same id is the same row, sent again.
    Insert,
    /// Takes the place of the row with the same id, if there is one.
    Upsert,
    /// The row with this id goes; columns that are no part of the key say what it was last or nothing useful.
    Delete,
}

/// Where a row's id comes from. Both are the same when the same input is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// From `batch.origin` (it is `Some`): source, offset and ordinal.
    Origin,
    /// From these texts, one for each row: 32 hexadecimal digits that stand for operator, key and window start. Not
    /// unique among jobs and agents: whoever spells the id puts those before it.
    Given(Strings),
}

/// A row that could not be computed (an integer division by zero, a strict cast, a NULL in a NOT NULL column): it
/// has changed nothing and becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRow {
    /// Where its record began; `None` for a row that is no record's (behind an aggregate).
    pub(crate) at: Option<(SourceId, u64)>,
    pub(crate) reason: String,
}

impl Kinds {
    /// The kind of this row.
    pub(crate) fn of(&self, row: usize) -> ChangeKind {
        match self {
            Kinds::All(kind) => *kind,
            Kinds::Each(kinds) => kinds.get(row).copied().unwrap_or(ChangeKind::Upsert),
        }
    }
}
