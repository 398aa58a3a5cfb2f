//! What a test may say about a request and about an item.

use std::time::Duration;

/// A bulk request as a script sees it.
#[derive(Debug)]
pub struct Bulk {
    /// 0 for the first since the endpoint began.
    pub number: usize,
    pub index: String,
    /// The path with its query.
    pub path: String,
    pub items: usize,
    /// Body bytes after decompression, and as they came.
    pub raw_bytes: usize,
    pub wire_bytes: usize,
    pub authorization: Option<String>,
    /// Other headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// How a whole request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200, and each item on its own.
    Judge,
    /// The same after a while.
    Slow(Duration),
    /// The same, compressed.
    Gzip,
    /// The same, one byte at a time.
    Trickle(Duration),
    /// Judged, but the last item is missing from the answer.
    FewerItems,
    /// Judged, and the connection is cut before the last byte of the answer.
    CutBeforeLastByte,
    /// The connection is cut after the request came in; `judged`: the documents are there all the same.
    CutAfterBody { judged: bool },
    /// No answer for an hour.
    Hang,
    /// 200 with a page of HTML, as a proxy gives it.
    Html,
    /// 302 to there.
    Redirect(String),
    /// This status for the whole request, with an error of this type.
    Status { status: u16, kind: String, reason: String, retry_after: Option<u32> },
}

impl Reply {
    pub fn status(status: u16, kind: &str, reason: &str) -> Reply {
        Reply::Status { status, kind: kind.to_owned(), reason: reason.to_owned(), retry_after: None }
    }

    /// 429 for the whole request.
    pub fn too_many(retry_after: Option<u32>) -> Reply {
        Reply::Status {
            status: 429,
            kind: "es_rejected_execution_exception".to_owned(),
            reason: "rejected execution of coordinating operation".to_owned(),
            retry_after,
        }
    }

    /// 413, as a proxy or `http.max_content_length` gives it.
    pub fn too_large() -> Reply {
        Reply::status(413, "content_too_long_exception", "entity content is too long")
    }
}

/// One item as a script sees it.
#[derive(Debug)]
pub struct Item<'a> {
    pub index: &'a str,
    pub id: &'a str,
    /// `create`, `index`, …
    pub operation: &'a str,
    pub source: &'a [u8],
    /// 0 at the first time this `_id` came.
    pub attempt: u32,
}

impl Item<'_> {
    pub fn contains(&self, text: &str) -> bool {
        memchr::memmem::find(self.source, text.as_bytes()).is_some()
    }
}

/// How one item is answered.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// As a healthy index would: 201, or 409 if it is there.
    Accept,
    Refuse {
        status: u16,
        kind: &'static str,
        reason: String,
    },
}

/// Refuses an item with the words of a real cluster.
pub fn refuse(status: u16, kind: &'static str, reason: &str) -> Judgement {
    Judgement::Refuse { status, kind, reason: reason.to_owned() }
}
