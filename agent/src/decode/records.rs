//! Cuts a chunk into records: lines without their line ending, or the one piece that the source says it is.

use crate::record::{Chunk, Part, Piece};

/// One record: its bytes without `\n` or `\r\n`, and the offset of its first byte in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) part: Part,
}

/// The records of a chunk in order. (Log groups have none in this sense.)
pub(crate) fn records(chunk: &Chunk) -> impl Iterator<Item = Record<'_>> {
    let part = match chunk.piece {
        Piece::Part(part) => Some(Record { bytes: &chunk.data, offset: chunk.offset, part }),
        Piece::Lines | Piece::LogGroups => None,
    };
    let lines: &[u8] = if chunk.piece == Piece::Lines { &chunk.data } else { &[] };
    part.into_iter().chain(Lines { data: lines, base: chunk.offset, at: 0, ends: memchr::memchr_iter(b'\n', lines) })
}

struct Lines<'a> {
    data: &'a [u8],
    base: u64,
    at: usize,
    ends: memchr::Memchr<'a>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.at >= self.data.len() {
            return None;
        }
        // A chunk of lines ends in a newline; should it not, its tail is a record too rather than lost.
        let end = self.ends.next().unwrap_or(self.data.len());
        let line = self.data.get(self.at..end)?;
        let bytes = line.strip_suffix(b"\r").unwrap_or(line);
        let record = Record { bytes, offset: self.base + self.at as u64, part: Part::default() };
        self.at = end + 1;
        Some(record)
    }
}
