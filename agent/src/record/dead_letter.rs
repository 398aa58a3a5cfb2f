//! A record that cannot be delivered, with the reason: kept for the operator, never silent.

/// One refused record. Two dead letters of one pipeline with the same `index` and `id` are the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Target index ("" if it was refused before one was known).
    pub(crate) index: String,
    /// The document's `_id`.
    pub(crate) id: String,
    /// Elasticsearch's error type, or one of ours (`line_too_long`, `id_collision`, `too_large`).
    pub(crate) kind: String,
    /// The reason as a person wants to read it.
    pub(crate) reason: String,
    /// HTTP-like status of the refusal (0: refused by the agent).
    pub(crate) status: u16,
    /// The action line (`{"create":{…}}`, no newline) as it was sent.
    pub(crate) action: Vec<u8>,
    /// The document as it was sent, or the line's head where no document was made.
    pub(crate) document: Vec<u8>,
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
}
