//! The server itself, held against the reference's vectors and over real HTTP. Official SDKs judge it in `tests/witness`.

mod admission; // who comes in, and what others are told
mod cursors; //   cursors, pages, expiry, compressions
mod faults; //    what goes wrong when it shall
mod groups; //    assignment, hand-over, fencing, order
mod logs; //      what is put, and what is not taken
mod signature; // the reference's vectors

use super::{Log, LogGroup, Logstore, Options};

/// A server with so many shards.
fn logstore(shards: u32) -> Logstore {
    Logstore::start(Options { shards, ..Options::default() })
}

/// A group of one log with this value.
fn group(value: &str) -> LogGroup {
    LogGroup { topic: "topic".to_owned(), ..LogGroup::of([Log::new(1_700_000_000).with("a", value)]) }
}

/// True where `bytes` contain `text`.
fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}
