//! What is carried from room to room: positions, chunks, rows, members. Plain data and small pure helpers;
//! nothing here does I/O or reads a clock.

mod batch;
mod bitmap;
mod changes;
mod chunk;
mod dead_letter;
pub(crate) mod escape;
pub(crate) mod gzip;
pub(crate) mod log_group;
mod member;
mod number;
mod position;
pub(crate) mod print;
mod random;
mod time;
mod types;

pub(crate) use batch::{Batch, Column, Data, Origin, Strings, Value};
pub(crate) use bitmap::Bitmap;
#[allow(unused_imports, reason = "the columns way is not joined yet")]
pub(crate) use changes::{ChangeKind, Changes, Identity, Kinds, RefusedRow};
pub(crate) use chunk::{Chunk, Gap, GapReason, Part, Piece, Refused, Step};
pub(crate) use dead_letter::DeadLetter;
pub(crate) use member::Member;
pub(crate) use number::push_number;
pub(crate) use position::{Mode, Position, Row, SourceId};
pub(crate) use random::fill_random;
pub(crate) use time::Timestamp;
pub(crate) use types::Type;
