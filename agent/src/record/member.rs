//! One gzip member of bulk body: what a commit stores, and what a request is made of.

use std::sync::Arc;

/// A finished piece of bulk body for one index. Members laid end to end are one gzip stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) index: Arc<str>,
    /// Bulk items (action line + document line each).
    pub(crate) items: u32,
    /// Bytes before compression, at most about 2 MiB unless a single document is larger.
    pub(crate) raw_len: u32,
    pub(crate) gzip: Vec<u8>,
    /// These documents may exist in the index already (a replayed dead letter): a 409 is no surprise.
    pub(crate) sent_before: bool,
}
