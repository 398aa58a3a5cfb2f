//! Cuts a chunk into records: lines without their line ending, or the one piece that the source says it is.

use crate::record::{Chunk, Part, Piece};

/// One record: its bytes without `\n` or `\r\n`, and the offset of its first byte in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) part: Part,
}

/// What editors of some systems put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The records of a chunk in order. A byte order mark at a source's beginning belongs to none. (Log groups have none in
/// this sense.)
pub(crate) fn records(chunk: &Chunk) -> impl Iterator<Item = Record<'_>> {
    let mark = if chunk.offset == 0 && chunk.data.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let (data, base) = (chunk.data.get(mark..).unwrap_or_default(), chunk.offset + mark as u64);
    let part = match chunk.piece {
        Piece::Part(part) => Some(Record { bytes: data, offset: base, part }),
        Piece::Lines | Piece::LogGroups => None,
    };
    let lines: &[u8] = if chunk.piece == Piece::Lines { data } else { &[] };
    part.into_iter().chain(Lines { data: lines, base, at: 0, ends: memchr::memchr_iter(b'\n', lines) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SourceId;

    #[test]
    fn a_byte_order_mark_belongs_to_no_record() {
        let chunk = |offset, piece, data: &str| Chunk {
            source: SourceId(1),
            path: "x".into(),
            offset,
            piece,
            data: data.as_bytes().to_vec(),
        };
        let part = Piece::Part(Part::default());
        for (offset, piece, data, expected) in [
            (0, Piece::Lines, "\u{feff}a\nb\n", vec![(3, "a"), (5, "b")]),
            (0, part, "\u{feff}a", vec![(3, "a")]),
            (7, Piece::Lines, "\u{feff}a\n", vec![(7, "\u{feff}a")]),
        ] {
            let chunk = chunk(offset, piece, data);
            let found: Vec<(u64, &str)> =
                records(&chunk).map(|record| (record.offset, std::str::from_utf8(record.bytes).unwrap())).collect();
            assert_eq!(found, expected, "{data:?}");
        }
    }
}
