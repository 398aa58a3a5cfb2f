//! The rows that the store keeps for us: how a source is recognised and where reading goes on.
//!
//! Row 0 holds the counters, row *n* the source *n*. The first byte is the version; a row of another version is
//! refused, never guessed at.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::fingerprint::Print;
use super::stat::Identity;
use crate::record::{Mode, Position, Row};
use crate::source::Again;

/// The key of the row with the counters.
pub(in crate::source) const COUNTERS: u64 = 0;
const VERSION: u8 = 1;

/// What belongs to the pipeline's source as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Counters {
    /// The number that the next source gets.
    pub(in crate::source) next_source: u64,
    /// `start` has been applied: files found from now on begin at 0.
    pub(in crate::source) first_scan_done: bool,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters { next_source: COUNTERS + 1, first_scan_done: false }
    }
}

impl Counters {
    pub(in crate::source) fn encode(self) -> Box<[u8]> {
        let mut bytes = vec![VERSION, u8::from(self.first_scan_done)];
        bytes.extend_from_slice(&self.next_source.to_le_bytes());
        bytes.into()
    }

    pub(in crate::source) fn decode(bytes: &[u8]) -> Result<Counters, &'static str> {
        let mut reader = Reader { bytes };
        reader.version()?;
        let first_scan_done = reader.array::<1>()?[0] != 0;
        let next_source = u64::from_le_bytes(reader.array()?);
        Ok(Counters { next_source, first_scan_done })
    }
}

/// The row to go on with after what was committed from `before` to `latest` was lost. The counters stay as they
/// are now, so that no number is given out twice; a source first seen in between keeps its number and is read
/// from its beginning.
pub(in crate::source) fn rewind(key: u64, before: Option<&[u8]>, latest: &[u8]) -> Option<Box<[u8]>> {
    if key == COUNTERS {
        return Some(latest.into());
    }
    if let Some(before) = before {
        return Some(before.into());
    }
    let mut stored = Stored::decode(latest).ok()?;
    stored.position = Position { offset: 0, mode: Mode::LineStart };
    stored.tail = Print::default();
    stored.compressed = 0;
    Some(stored.encode())
}

/// Rows with which all files that are there are read from their beginning: under the numbers that they have, or, if
/// `anew`, under new ones.
pub(in crate::source) fn reread(rows: &[(u64, Box<[u8]>)], anew: bool) -> Vec<Again> {
    let mut again = Vec::new();
    for (key, value) in rows {
        if *key == COUNTERS {
            // What is found then is not found for the first time, so that `start` is not applied again.
            let Ok(counters) = Counters::decode(value) else { continue };
            let counters = Counters { first_scan_done: true, ..counters };
            let row = Row { key: *key, value: Some(counters.encode()) };
            again.push(Again { row, path: String::new(), from: 0, to: 0 });
            continue;
        }
        let Some(stored) = Stored::decode(value).ok().filter(|stored| stored.gone_at.is_none()) else { continue };
        let from = stored.position.offset;
        let value = if anew { None } else { rewind(*key, None, value) };
        again.push(Again { row: Row { key: *key, value }, path: stored.path.display().to_string(), from, to: 0 });
    }
    again
}

/// The row with which the file that is shown as `path` is read on from `offset`, where a line begins.
pub(in crate::source) fn put(rows: &[(u64, Box<[u8]>)], path: &str, offset: u64) -> Option<Again> {
    rows.iter().find_map(|(key, value)| {
        let mut stored = of_path(*key, value, path)?;
        let from = stored.position.offset;
        stored.position = Position { offset, mode: Mode::LineStart };
        // The head tells that it is the same file.
        stored.tail = Print::default();
        stored.known = stored.known.max(offset);
        let row = Row { key: *key, value: Some(stored.encode()) };
        Some(Again { row, path: path.to_owned(), from, to: offset })
    })
}

/// The source of this row, if it is shown as `path` and there still is a file.
pub(super) fn of_path(key: u64, value: &[u8], path: &str) -> Option<Stored> {
    let stored = (key != COUNTERS).then(|| Stored::decode(value).ok()).flatten()?;
    (stored.gone_at.is_none() && stored.path.to_string_lossy() == path).then_some(stored)
}

/// How the bytes of a file are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// gzip; offsets, head and tail are those of the decompressed content.
    Gzip,
}

/// One source as it is stored, about 100 bytes and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    /// Where the file lies, if not at `path`.
    pub(super) place: Option<PathBuf>,
    pub(super) identity: Identity,
    pub(super) kind: Kind,
    pub(super) head: Print,
    /// Hash of the first bytes, by which files that begin alike are found.
    pub(super) start: u64,
    pub(super) tail: Print,
    pub(super) position: Position,
    /// So many bytes of this content were seen.
    pub(super) known: u64,
    /// The file is a copy that is not (yet) so long.
    pub(super) filling: bool,
    /// Bytes of a compressed file that were read; 0 of others.
    pub(super) compressed: u64,
    /// Modification time in nanoseconds since 1970.
    pub(super) mtime: i64,
    /// Unix seconds since when there is nothing left to read and no file.
    pub(super) gone_at: Option<u32>,
}

const GZIP: u8 = 1;
const MOVED: u8 = 2;
const GONE: u8 = 4;
const CONTINUING: u8 = 8;
const SKIPPING: u8 = 16;
const FILLING: u8 = 32;
/// Version and flags, seven numbers, two prints, the length of the path.
const FIXED_LEN: usize = 2 + 7 * 8 + 2 * 10 + 2;

impl Stored {
    pub(super) fn encode(&self) -> Box<[u8]> {
        let path = self.path.as_os_str().as_bytes();
        let mut flags = if self.kind == Kind::Gzip { GZIP } else { 0 };
        flags |= if self.place.is_some() { MOVED } else { 0 };
        flags |= if self.gone_at.is_some() { GONE } else { 0 };
        flags |= if self.filling { FILLING } else { 0 };
        let line = match self.position.mode {
            Mode::LineStart => None,
            Mode::Continuing { line } => Some((CONTINUING, line)),
            Mode::Skipping { line } => Some((SKIPPING, line)),
        };
        flags |= line.map_or(0, |(flag, _)| flag);
        // Exactly what it will have: a hundred thousand of them stay in memory.
        let place = self.place.as_ref().map_or(0, |place| place.as_os_str().len());
        let optional = [self.kind == Kind::Gzip, line.is_some(), self.gone_at.is_some()];
        let optional: usize = optional.iter().zip([8, 8, 4]).map(|(there, len)| if *there { len } else { 0 }).sum();
        let len = FIXED_LEN + optional + path.len() + place;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&[VERSION, flags]);
        for number in [self.identity.dev, self.identity.ino, self.position.offset, self.known, self.start] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.identity.btime.to_le_bytes());
        bytes.extend_from_slice(&self.mtime.to_le_bytes());
        for print in [self.head, self.tail] {
            bytes.extend_from_slice(&print.len.to_le_bytes());
            bytes.extend_from_slice(&print.hash.to_le_bytes());
        }
        if self.kind == Kind::Gzip {
            bytes.extend_from_slice(&self.compressed.to_le_bytes());
        }
        if let Some((_, line)) = line {
            bytes.extend_from_slice(&line.to_le_bytes());
        }
        if let Some(at) = self.gone_at {
            bytes.extend_from_slice(&at.to_le_bytes());
        }
        // Paths are shorter than PATH_MAX (4096).
        bytes.extend_from_slice(&(path.len() as u16).to_le_bytes());
        bytes.extend_from_slice(path);
        if let Some(place) = &self.place {
            bytes.extend_from_slice(place.as_os_str().as_bytes());
        }
        debug_assert_eq!(bytes.len(), len);
        bytes.into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Stored, &'static str> {
        let mut reader = Reader { bytes };
        reader.version()?;
        let flags = reader.array::<1>()?[0];
        let [dev, ino] = [reader.u64()?, reader.u64()?];
        let [offset, known, start] = [reader.u64()?, reader.u64()?, reader.u64()?];
        let btime = i64::from_le_bytes(reader.array()?);
        let mtime = i64::from_le_bytes(reader.array()?);
        let [head, tail] = [reader.print()?, reader.print()?];
        let compressed = if flags & GZIP != 0 { reader.u64()? } else { 0 };
        let mode = match flags & (CONTINUING | SKIPPING) {
            0 => Mode::LineStart,
            CONTINUING => Mode::Continuing { line: reader.u64()? },
            SKIPPING => Mode::Skipping { line: reader.u64()? },
            _ => return Err("two modes at once"),
        };
        let gone_at = if flags & GONE != 0 { Some(u32::from_le_bytes(reader.array()?)) } else { None };
        let path_len = usize::from(u16::from_le_bytes(reader.array()?));
        let path = PathBuf::from(OsStr::from_bytes(reader.take(path_len)?));
        let place = (flags & MOVED != 0).then(|| PathBuf::from(OsString::from_vec(reader.bytes.to_vec())));
        Ok(Stored {
            path,
            place,
            identity: Identity { dev, ino, btime },
            kind: if flags & GZIP != 0 { Kind::Gzip } else { Kind::Plain },
            head,
            start,
            tail,
            position: Position { offset, mode },
            known,
            filling: flags & FILLING != 0,
            compressed,
            mtime,
            gone_at,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or("it ends early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or("it ends early")?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn print(&mut self) -> Result<Print, &'static str> {
        let len = u16::from_le_bytes(self.array()?);
        Ok(Print { len, hash: self.u64()? })
    }

    fn version(&mut self) -> Result<(), &'static str> {
        if self.array::<1>()?[0] == VERSION { Ok(()) } else { Err("it was written by another version of the agent") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_bytes_and_one_cut_short_is_refused() {
        let stored = Stored {
            path: PathBuf::from("/var/log/a.log"),
            place: Some(PathBuf::from("/var/log/a.log.1")),
            identity: Identity { dev: 3, ino: 9, btime: -5 },
            kind: Kind::Gzip,
            head: Print { len: 1024, hash: 7 },
            start: 6,
            tail: Print { len: 256, hash: 8 },
            position: Position { offset: 1 << 40, mode: Mode::Continuing { line: 77 } },
            known: 123,
            filling: true,
            compressed: 45,
            mtime: 99,
            gone_at: Some(1_800_000_000),
        };
        let bytes = stored.encode();
        assert!(bytes.len() < 200, "{}", bytes.len());
        assert_eq!(Stored::decode(&bytes), Ok(stored));
        assert!(Stored::decode(&bytes[..80]).is_err());
        let counters = Counters { next_source: 12, first_scan_done: true };
        assert_eq!(Counters::decode(&counters.encode()), Ok(counters));
        assert!(Counters::decode(&[9; 10]).is_err());
    }

    #[test]
    fn after_a_rewind_no_number_is_free_again_and_nothing_is_passed_over() {
        let counters = Counters { next_source: 12, first_scan_done: true }.encode();
        let old = Counters { next_source: 3, first_scan_done: false }.encode();
        assert_eq!(rewind(COUNTERS, Some(&old), &counters), Some(counters));
        let stored = |offset| Stored {
            path: PathBuf::from("/var/log/a.log"),
            place: None,
            identity: Identity { dev: 3, ino: 9, btime: -5 },
            kind: Kind::Plain,
            head: Print { len: 1024, hash: 7 },
            start: 6,
            tail: if offset == 0 { Print::default() } else { Print { len: 256, hash: 8 } },
            position: Position { offset, mode: Mode::LineStart },
            known: 123_456,
            filling: false,
            compressed: 0,
            mtime: 99,
            gone_at: None,
        };
        let (before, latest) = (stored(5000).encode(), stored(90_000).encode());
        assert_eq!(rewind(7, Some(&before), &latest), Some(before));
        assert_eq!(rewind(7, None, &latest), Some(stored(0).encode()));
    }
}
