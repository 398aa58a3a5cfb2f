//! Cuts bytes into whole lines and parts, the same way for every source of lines.
//!
//! Pure: bytes and a position in, pieces and the position behind them out. What it leaves (an incomplete last
//! line, NULs that nothing follows yet) must be offered again, with more behind it. Promises: no piece is
//! longer than `max_line_bytes` except whole lines that are not, and cutting at other borders gives the same
//! records unless a flush or a long line lies between.

use std::ops::Range;

use memchr::memmem;

use crate::plan::{LinePlan, LongLines};
use crate::record::{Mode, Part, Piece, Position};

/// What [`cut`] found. Ranges are indexes into the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) pieces: Vec<(Range<usize>, Piece)>,
    /// Heads of lines that become dead letters.
    pub(super) dead: Vec<Range<usize>>,
    /// Bytes passed over because their line was too long.
    pub(super) skipped: Vec<Range<usize>>,
    /// NULs passed over at a line start.
    pub(super) nuls: Vec<Range<usize>>,
    /// The position behind all of the above.
    pub(super) position: Position,
    /// Bytes accounted for, from the beginning.
    pub(super) consumed: usize,
    pub(super) long_lines: u64,
    pub(super) partial_lines: u64,
}

/// Cuts `data`, which lies at `position`. `flush`: nothing will follow for now, so an incomplete last line is
/// shipped as a part, and NULs at the end are passed over.
pub(super) fn cut(plan: &LinePlan, position: Position, data: &[u8], flush: bool) -> Cut {
    let mut cutter = Cutter {
        max: usize::try_from(plan.max_line_bytes).unwrap_or(usize::MAX).max(4),
        long: plan.long_lines,
        base: position.offset,
        data,
        flush,
        cut: Cut {
            pieces: Vec::new(),
            dead: Vec::new(),
            skipped: Vec::new(),
            nuls: Vec::new(),
            position,
            consumed: 0,
            long_lines: 0,
            partial_lines: 0,
        },
    };
    while cutter.cut.consumed < data.len() && cutter.advance() {}
    cutter.cut.position.offset = position.offset + cutter.cut.consumed as u64;
    cutter.cut
}

struct Cutter<'a> {
    max: usize,
    long: LongLines,
    base: u64,
    data: &'a [u8],
    flush: bool,
    cut: Cut,
}

impl Cutter<'_> {
    /// Cuts one run of lines, one part, one skip. False: the rest must wait.
    fn advance(&mut self) -> bool {
        match self.cut.position.mode {
            Mode::LineStart => self.line_start(),
            Mode::Continuing { line } => self.line_rest(line, Some(line)),
            Mode::Skipping { .. } => self.skip(),
        }
    }

    fn line_start(&mut self) -> bool {
        let at = self.cut.consumed;
        let rest = &self.data[at..];
        if rest[0] == 0 {
            return self.pass_nuls();
        }
        if let Some(end) = whole_lines(rest, self.max) {
            self.cut.pieces.push((at..at + end, Piece::Lines));
            self.consume(end, Mode::LineStart);
            return true;
        }
        self.line_rest(self.base + at as u64, None)
    }

    /// The first line of what is left is incomplete, or too long, or the rest of one that began before.
    fn line_rest(&mut self, line: u64, continues: Option<u64>) -> bool {
        let at = self.cut.consumed;
        let rest = &self.data[at..];
        let window = &rest[..rest.len().min(self.max + 1)];
        if let Some(end) = memchr::memchr(b'\n', window) {
            // Only a rest comes here with its newline: whole lines went the other way.
            let text = window[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
            self.part(at..at + text, Part { continues, ..Part::default() });
            self.consume(end + 1, Mode::LineStart);
            return true;
        }
        if rest.len() > self.max {
            self.too_long(line, continues);
            return true;
        }
        if !self.flush {
            return false;
        }
        // A carriage return may belong to a line ending whose newline is still to come.
        let text = rest.strip_suffix(b"\r").map_or(rest.len(), <[u8]>::len);
        if text > 0 {
            self.part(at..at + text, Part { partial: true, continues, truncated: false });
            self.cut.partial_lines += 1;
            self.consume(text, Mode::Continuing { line });
        }
        false
    }

    fn too_long(&mut self, line: u64, continues: Option<u64>) {
        let at = self.cut.consumed;
        let head = at..at + character_border(&self.data[at..], self.max);
        let len = head.len();
        if self.long != LongLines::Split || continues.is_none() {
            self.cut.long_lines += 1;
        }
        match self.long {
            LongLines::Truncate => {
                self.part(head, Part { truncated: true, continues, partial: false });
                self.consume(len, Mode::Skipping { line });
            }
            LongLines::Split => {
                self.part(head, Part { continues, ..Part::default() });
                self.consume(len, Mode::Continuing { line });
            }
            LongLines::DeadLetter => {
                self.cut.dead.push(head);
                self.consume(len, Mode::Skipping { line });
            }
        }
    }

    fn skip(&mut self) -> bool {
        let at = self.cut.consumed;
        let rest = &self.data[at..];
        match memchr::memchr(b'\n', rest) {
            Some(end) => {
                self.cut.skipped.push(at..at + end);
                self.consume(end + 1, Mode::LineStart);
            }
            None => {
                self.cut.skipped.push(at..at + rest.len());
                self.consume(rest.len(), self.cut.position.mode);
            }
        }
        true
    }

    fn pass_nuls(&mut self) -> bool {
        let at = self.cut.consumed;
        let rest = &self.data[at..];
        let nuls = leading_nuls(rest);
        // Space that was reserved ahead of a writer looks the same until something follows it.
        if nuls == rest.len() && !self.flush {
            return false;
        }
        self.cut.nuls.push(at..at + nuls);
        self.consume(nuls, Mode::LineStart);
        true
    }

    fn part(&mut self, range: Range<usize>, part: Part) {
        if !range.is_empty() {
            self.cut.pieces.push((range, Piece::Part(part)));
        }
    }

    fn consume(&mut self, bytes: usize, mode: Mode) {
        self.cut.consumed += bytes;
        self.cut.position.mode = mode;
    }
}

/// The first line of `data`, or all of it where there is no whole one.
pub(super) fn first_line(data: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', data).map_or(data, |newline| &data[..=newline])
}

/// How much to read where `len` bytes are not even a line: at most `longest`, which is enough.
pub(super) fn more(len: usize, longest: usize) -> usize {
    const LEAST: usize = 16 << 10;
    len.saturating_mul(8).max(LEAST).min(longest)
}

/// The length of the run of whole lines at the start of `data`, all at most `max` long, up to the first line
/// that begins with NULs.
fn whole_lines(data: &[u8], max: usize) -> Option<usize> {
    let mut end = memchr::memrchr(b'\n', data)? + 1;
    if let Some(before) = memmem::find(&data[..end], b"\n\0") {
        end = before + 1;
    }
    let mut from = 0;
    while end - from > max + 1 {
        // Some newline within the next `max` + 1 bytes shows that no line up to it is too long.
        match memchr::memrchr(b'\n', &data[from..=from + max]) {
            Some(newline) => from += newline + 1,
            None => {
                end = from;
                break;
            }
        }
    }
    (end > 0).then_some(end)
}

pub(super) fn leading_nuls(data: &[u8]) -> usize {
    let (words, _) = data.as_chunks::<64>();
    let blocks = words.iter().take_while(|word| **word == [0; 64]).count() * 64;
    blocks + data[blocks..].iter().take_while(|byte| **byte == 0).count()
}

/// The longest prefix of at most `max` bytes that does not end inside a UTF-8 character.
fn character_border(data: &[u8], max: usize) -> usize {
    let is_continuation = |at: usize| data.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (max.saturating_sub(3)..=max).rev().find(|at| !is_continuation(*at)).unwrap_or(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(max: u64, long_lines: LongLines) -> LinePlan {
        LinePlan { max_line_bytes: max, long_lines, ..LinePlan::default() }
    }

    const START: Position = Position { offset: 0, mode: Mode::LineStart };

    /// Pieces as text: lines plainly, parts with their flags.
    fn shown(data: &[u8], cut: &Cut) -> Vec<String> {
        let text = |range: &Range<usize>| String::from_utf8_lossy(&data[range.clone()]).into_owned();
        cut.pieces
            .iter()
            .map(|(range, piece)| match piece {
                Piece::Lines | Piece::LogGroups => text(range),
                Piece::Part(part) => {
                    let partial = if part.partial { "partial " } else { "" };
                    let truncated = if part.truncated { "truncated " } else { "" };
                    let rest = part.continues.map_or(String::new(), |line| format!("rest of {line} "));
                    format!("{partial}{truncated}{rest}<{}>", text(range))
                }
            })
            .collect()
    }

    #[test]
    fn whole_lines_go_together_and_an_incomplete_last_line_waits() {
        let cut = cut(&plan(100, LongLines::Truncate), START, b"a\nbc\r\nd", false);
        assert_eq!(shown(b"a\nbc\r\nd", &cut), ["a\nbc\r\n"]);
        assert_eq!((cut.consumed, cut.position), (6, Position { offset: 6, mode: Mode::LineStart }));
    }

    #[test]
    fn a_flushed_part_is_partial_and_its_rest_names_the_line() {
        let plan = plan(100, LongLines::Truncate);
        let first = cut(&plan, Position { offset: 7, ..START }, b"half\r", true);
        assert_eq!(shown(b"half\r", &first), ["partial <half>"]);
        assert_eq!(first.position, Position { offset: 11, mode: Mode::Continuing { line: 7 } });
        let rest = cut(&plan, first.position, b"\r\nnext\n", false);
        assert_eq!(shown(b"\r\nnext\n", &rest), ["next\n"]);
        let rest = cut(&plan, first.position, b" more\r\nnext\n", false);
        assert_eq!(shown(b" more\r\nnext\n", &rest), ["rest of 7 < more>", "next\n"]);
        assert_eq!(cut(&plan, first.position, b"\r", true).consumed, 0);
    }

    #[test]
    fn long_lines_are_truncated_split_or_refused_and_the_rest_is_counted() {
        let data = b"ok\nabcdefghij\nok\n";
        let truncated = cut(&plan(4, LongLines::Truncate), START, data, false);
        assert_eq!(shown(data, &truncated), ["ok\n", "truncated <abcd>", "ok\n"]);
        assert_eq!(truncated.skipped, vec![Range { start: 7, end: 13 }]);
        let split = cut(&plan(4, LongLines::Split), START, data, false);
        assert_eq!(shown(data, &split), ["ok\n", "<abcd>", "rest of 3 <efgh>", "rest of 3 <ij>", "ok\n"]);
        assert_eq!(split.long_lines, 1);
        let refused = cut(&plan(4, LongLines::DeadLetter), START, data, false);
        assert_eq!(shown(data, &refused), ["ok\n", "ok\n"]);
        assert_eq!(refused.dead, vec![Range { start: 3, end: 7 }]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_characters_are_not_cut() {
        let data = b"abcd\n";
        assert_eq!(shown(data, &cut(&plan(4, LongLines::Truncate), START, data, false)), ["abcd\n"]);
        let data = "abcé\u{20ac}\n".as_bytes();
        assert_eq!(shown(data, &cut(&plan(4, LongLines::Truncate), START, data, false)), ["truncated <abc>"]);
    }

    #[test]
    fn nuls_at_a_line_start_are_passed_over_once_something_follows() {
        let plan = plan(100, LongLines::Truncate);
        let data = b"a\n\0\0\0b\n\0\0";
        let cut_now = cut(&plan, START, data, false);
        assert_eq!(shown(data, &cut_now), ["a\n", "b\n"]);
        assert_eq!((cut_now.nuls, cut_now.consumed), (vec![Range { start: 2, end: 5 }], 7));
        assert_eq!(cut(&plan, START, data, true).consumed, 9);
    }

    #[test]
    fn cutting_at_other_borders_gives_the_same_lines() {
        let plan = plan(8, LongLines::Split);
        let data = b"one\ntwo\n\nlonger than eight\nx\n\0\0y\n";
        let whole = cut(&plan, START, data, false);
        for step in 1..data.len() {
            let (mut position, mut seen, mut upto) = (START, Vec::new(), 0);
            while position.offset < data.len() as u64 {
                upto = (upto + step).min(data.len());
                let at = position.offset as usize;
                let part = cut(&plan, position, &data[at..upto], false);
                seen.extend(shown(&data[at..upto], &part));
                position = part.position;
            }
            assert_eq!(seen.concat(), shown(data, &whole).concat(), "step {step}");
        }
    }
}
