//! Keys of state rows: the node's number, what kind of row it is, and what the kind says. Values begin with
//! [`VERSION`].

use super::codec;

/// A group: window's start and end (if there are windows), key. Its value: accumulators and what else is known.
pub(super) const GROUP: u8 = 0;
/// A member of a DISTINCT call: as for a group, then the call's number and the value.
pub(super) const MEMBER: u8 = 1;
/// A source's watermark: its number.
pub(super) const SOURCE: u8 = 2;
/// The watermark of all sources of a table.
pub(super) const CLOCK: u8 = 3;
/// How many rows came too late since the state began.
pub(super) const LATE: u8 = 4;

/// The version of this build's values.
pub(super) const VERSION: u8 = 1;

/// Node number, kind, rest.
pub(super) fn split(mut key: &[u8]) -> Option<(usize, u8, &[u8])> {
    let node = usize::try_from(codec::varint(&mut key)?).ok()?;
    let (kind, rest) = key.split_first()?;
    Some((node, *kind, rest))
}
