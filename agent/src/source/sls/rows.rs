//! The rows that the store keeps for us: where each shard goes on, and when the job began.
//!
//! Row 0 says when the job began, row *n* where the shard with source number *n* goes on. A source number is made of
//! project, Logstore, shard and the shard's time of creation and of nothing else, so that every agent gives a log the
//! same id. The first byte tells our rows from those of other sources, the second is the version; a row of another
//! version is refused, never guessed at.

use sha2::{Digest, Sha256};

use super::cursor::Cursor;
use crate::record::SourceId;

/// The key of the row that says when the job began.
pub(in crate::source) const BEGAN: u64 = 0;
const KIND: u8 = b'S';
const VERSION: u8 = 2;
/// The highest byte of a number is the place of its source among a pipeline's.
const BITS: u32 = 56;

/// Where reading goes on: at log group `next`, which is found by pulling from `cursor` on. (A pull is handed out in
/// pieces, and the service names only places between pulls.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) cursor: Cursor,
    pub(super) next: u64,
}

impl Position {
    pub(super) fn at(cursor: Cursor) -> Position {
        Position { next: cursor.number(), cursor }
    }
}

/// Why a row stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was read to there.
    Read = 0,
    /// What had been read behind it was damaged on the local disk.
    SetBack = 1,
    /// As before, and it is not known any more where the shard was begun: the position says nothing.
    Forgotten = 2,
    /// Somebody wants it read from there, whatever the group says.
    Wanted = 3,
}

/// One shard as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) mark: Mark,
    pub(super) shard: u32,
    pub(super) position: Position,
    /// `project/logstore`, for people.
    pub(super) of: String,
}

/// The number under which a shard's logs are known.
pub(super) fn source_id(project: &str, logstore: &str, shard: u32, created: u64) -> SourceId {
    let hash = Sha256::digest(format!("{project}\n{logstore}\n{shard}\n{created}").as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // 0 is the row that says when the job began
    SourceId((number >> (64 - BITS)).max(1))
}

impl Stored {
    pub(super) fn encode(&self) -> Box<[u8]> {
        let mut bytes = vec![KIND, VERSION, self.mark as u8];
        bytes.extend_from_slice(&self.shard.to_le_bytes());
        bytes.extend_from_slice(&self.position.next.to_le_bytes());
        let cursor = self.position.cursor.text().as_bytes();
        bytes.push(cursor.len().min(255) as u8);
        bytes.extend_from_slice(cursor);
        bytes.extend_from_slice(self.of.as_bytes());
        bytes.into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Stored, &'static str> {
        let (mark, rest) = versioned(bytes)?.split_first().ok_or(SHORT)?;
        let marks = [Mark::Read, Mark::SetBack, Mark::Forgotten, Mark::Wanted];
        let mark = marks.into_iter().find(|known| *known as u8 == *mark).ok_or("its mark is none")?;
        let (shard, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (next, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        let (len, rest) = rest.split_first().ok_or(SHORT)?;
        let (cursor, of) = rest.split_at_checked(usize::from(*len)).ok_or(SHORT)?;
        let cursor = std::str::from_utf8(cursor).ok().and_then(|text| Cursor::parse(text).ok());
        let position = Position { cursor: cursor.ok_or("its cursor is none")?, next: u64::from_le_bytes(*next) };
        let of = String::from_utf8_lossy(of).into_owned();
        Ok(Stored { mark, shard: u32::from_le_bytes(*shard), position, of })
    }
}

const SHORT: &str = "it ends early";

fn versioned(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes {
        [KIND, VERSION, rest @ ..] => Ok(rest),
        [KIND, ..] => Err("it was written by another version of the agent"),
        _ => Err("it is of another kind of source"),
    }
}

/// When the job began for the first time, unix seconds.
pub(super) fn encode_began(at: i64) -> Box<[u8]> {
    let mut bytes = vec![KIND, VERSION];
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.into()
}

pub(super) fn decode_began(bytes: &[u8]) -> Result<i64, &'static str> {
    versioned(bytes)?.try_into().map(i64::from_le_bytes).map_err(|_| SHORT)
}

/// Is this a row of ours?
pub(in crate::source) fn is_ours(bytes: &[u8]) -> bool {
    bytes.first() == Some(&KIND)
}

/// The row to go on with after the commits from `before` to `latest` were lost. It says so, since a group whose
/// checkpoint moves with what is on the local disk was told too much.
pub(in crate::source) fn rewind(key: u64, before: Option<&[u8]>, latest: &[u8]) -> Option<Box<[u8]>> {
    if key == BEGAN {
        return Some(latest.into());
    }
    let (row, mark) = before.map_or((latest, Mark::Forgotten), |before| (before, Mark::SetBack));
    let stored = Stored::decode(row).ok()?;
    // What was wanted, or forgotten before, still is.
    let mark = if stored.mark == Mark::Read { mark } else { stored.mark };
    Some(Stored { mark, ..stored }.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let cursor = Cursor::parse("MTQ0NzI5OTYwNjg5NjYzMjM1Ng==").unwrap();
        let position = Position { next: cursor.number() + 7, cursor };
        Stored { mark: Mark::Read, shard: 3, position, of: "proj/ls".to_owned() }
    }

    #[test]
    fn a_row_survives_its_bytes_and_one_that_is_cut_or_foreign_is_refused() {
        let bytes = stored().encode();
        assert_eq!(Stored::decode(&bytes), Ok(stored()));
        assert!(is_ours(&bytes));
        for len in 0..40 {
            assert!(Stored::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert_eq!(Stored::decode(&[1, 0, 0]), Err("it is of another kind of source"));
        assert_eq!(Stored::decode(&[KIND, 1, 0]), Err("it was written by another version of the agent"));
        assert_eq!(decode_began(&encode_began(-5)), Ok(-5));
    }

    #[test]
    fn a_shards_number_is_the_same_everywhere_and_another_for_every_other_shard() {
        let id = source_id("proj", "ls", 3, 1_453_949_705);
        assert_eq!(id, SourceId(43_506_972_159_788_764), "documents in the world carry it");
        let others = [("proj", "ls", 4, 1_453_949_705), ("proj", "ls", 3, 0), ("proj", "lt", 3, 1_453_949_705)];
        for (project, logstore, shard, created) in others {
            assert_ne!(source_id(project, logstore, shard, created), id);
        }
        assert!(id.0 < 1 << BITS);
    }

    #[test]
    fn after_damage_a_shard_goes_back_and_the_beginning_stays() {
        let (before, latest) = (stored().encode(), encode_began(9));
        let marked = |mark| Some(Stored { mark, ..stored() }.encode());
        assert_eq!(rewind(5, Some(&before), &before), marked(Mark::SetBack));
        assert_eq!(rewind(5, None, &before), marked(Mark::Forgotten));
        let wanted = marked(Mark::Wanted).unwrap();
        assert_eq!(rewind(5, Some(&wanted), &before), Some(wanted));
        assert_eq!(rewind(BEGAN, None, &latest), Some(latest));
    }
}
