//! The floor: the least work that the same bodies cost. One thread renders and compresses them in memory:
//! split, escape (or validate and splice), action line, document, gzip level 1 in members of 2 MiB.
//!
//! The form of ids and documents is learnt from the first body that the agent sent, and what is rendered must be
//! equal to that body to the byte: both sides do the same work.

use std::io::Write;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use memchr::memchr;
use serde_json::value::RawValue;

use crate::works::Work;

const MEMBER_BYTES: usize = 2 << 20;

/// The constant parts of an item. Between them come what varies: the offset (in the id), the line, the offset again.
#[derive(Debug)]
pub(crate) struct Form {
    work: Work,
    before_id: Vec<u8>,
    /// Each is followed by the piece it names; the last by nothing.
    parts: Vec<(Vec<u8>, Piece)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Line,
    Offset,
    Nothing,
}

/// What a run of the floor took and made.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) raw_bytes: u64,
    pub(crate) wire_bytes: u64,
}

impl Form {
    /// Learns the form from the first items of `sample`, which were made of the first lines of `input`.
    ///
    /// # Errors
    /// What is different, if the items are not of the form id with offset, line as it stands, offset.
    pub(crate) fn learn(work: Work, sample: &[u8], input: &[u8]) -> Result<Form, String> {
        let first = input.split(|b| *b == b'\n').next().unwrap_or_default();
        let second_offset = first.len() + 1;
        let second = input[second_offset..].split(|b| *b == b'\n').next().unwrap_or_default();
        // The second item, because an offset of 0 could be found anywhere.
        let mut lines = sample.split(|b| *b == b'\n').skip(2);
        let (action, document) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let offset = second_offset.to_string().into_bytes();
        let mut id_end = b".".to_vec();
        id_end.extend_from_slice(&offset);
        id_end.extend_from_slice(b"\"");
        let at = memchr::memmem::find(action, &id_end).ok_or("the action has no offset in its id")?;
        let before_id = action[..=at].to_vec();
        let mut between = action[at + 1 + offset.len()..].to_vec();
        between.push(b'\n');

        let mut line = Vec::new();
        piece(work, second, &mut line).ok_or("the line is not JSON")?;
        let line_at = memchr::memmem::find(document, &line).ok_or("the document does not hold the line")?;
        let mut number = b":".to_vec();
        number.extend_from_slice(&offset);
        let mut marks = vec![(line_at, line.len(), Piece::Line)];
        let outside = |at: usize| at < line_at || at >= line_at + line.len();
        let found = memchr::memmem::find_iter(document, &number).find(|at| outside(*at));
        marks.push((found.ok_or("the document has no offset")? + 1, offset.len(), Piece::Offset));
        marks.sort_unstable_by_key(|mark| mark.0);

        let (mut parts, mut from) = (Vec::new(), 0);
        for (at, length, kind) in marks {
            between.extend_from_slice(&document[from..at]);
            parts.push((std::mem::take(&mut between), kind));
            from = at + length;
        }
        between.extend_from_slice(&document[from..]);
        between.push(b'\n');
        parts.push((between, Piece::Nothing));
        let form = Form { work, before_id, parts };
        form.check(sample, input)?;
        Ok(form)
    }

    /// The sample must be what this form makes of the input, to the byte.
    fn check(&self, sample: &[u8], input: &[u8]) -> Result<(), String> {
        let mut body = Vec::new();
        let mut from = 0;
        while body.len() < sample.len() {
            from = self.item(input, from, &mut body).ok_or("the input ended")?;
        }
        let same = body.iter().zip(sample).take_while(|(a, b)| a == b).count();
        if same == sample.len() {
            return Ok(());
        }
        let around = same.saturating_sub(60);
        let show = |text: &[u8]| String::from_utf8_lossy(&text[around..(same + 60).min(text.len())]).into_owned();
        Err(format!("bodies differ at byte {same}:\n  floor: {}\n  agent: {}", show(&body), show(sample)))
    }

    /// Appends the item of the line that begins at `from`; gives where the next line begins.
    fn item(&self, input: &[u8], from: usize, body: &mut Vec<u8>) -> Option<usize> {
        let rest = input.get(from..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest)?;
        let mut digits = [0; 20];
        let offset = decimal(from as u64, &mut digits);
        body.extend_from_slice(&self.before_id);
        body.extend_from_slice(offset);
        for (constant, what) in &self.parts {
            body.extend_from_slice(constant);
            match what {
                Piece::Line => piece(self.work, &rest[..end], body)?,
                Piece::Offset => body.extend_from_slice(offset),
                Piece::Nothing => {}
            }
        }
        Some(from + end + 1)
    }

    /// Renders and compresses all of `input`.
    pub(crate) fn run(&self, input: &[u8]) -> Cost {
        let begin = thread_cpu();
        let mut body = Vec::with_capacity(MEMBER_BYTES + (64 << 10));
        let mut gzip = Vec::with_capacity(MEMBER_BYTES);
        let mut cost = Cost { cpu: Duration::ZERO, raw_bytes: 0, wire_bytes: 0 };
        let mut from = 0;
        while from < input.len() {
            body.clear();
            while body.len() < MEMBER_BYTES {
                match self.item(input, from, &mut body) {
                    Some(next) => from = next,
                    None => {
                        from = input.len();
                        break;
                    }
                }
            }
            gzip.clear();
            let mut encoder = GzEncoder::new(gzip, Compression::new(1));
            encoder.write_all(&body).unwrap();
            gzip = encoder.finish().unwrap();
            cost.raw_bytes += body.len() as u64;
            cost.wire_bytes += std::hint::black_box(&gzip).len() as u64;
        }
        cost.cpu = thread_cpu() - begin;
        cost
    }
}

/// The part of a document that is made of the line: escaped, or the inside of its braces.
fn piece(work: Work, line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match work {
        Work::W1 => escape(line, out),
        Work::W2 => {
            serde_json::from_slice::<&RawValue>(line).ok()?;
            out.extend_from_slice(line.strip_prefix(b"{")?.strip_suffix(b"}")?);
        }
    }
    Some(())
}

/// Appends `text` as the inside of a JSON string; looks at eight bytes at a time.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (mut done, mut at) = (0, 0);
    while at < text.len() {
        if let Some(eight) = text.get(at..at + 8) {
            let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
            let special = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
            if special == 0 {
                at += 8;
                continue;
            }
            // The lowest mark is exact; those above it may be carries.
            at += special.trailing_zeros() as usize / 8;
        } else if !matches!(text[at], b'"' | b'\\' | 0..=0x1f) {
            at += 1;
            continue;
        }
        out.extend_from_slice(&text[done..at]);
        match text[at] {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            sign @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', sign]),
            control => write!(out, "\\u{control:04x}").expect("memory takes everything"),
        }
        at += 1;
        done = at;
    }
    out.extend_from_slice(&text[done..]);
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// Processor time of this thread, in nanoseconds' precision.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_gives_a_json_string_of_the_same_text() {
        for text in
            ["", "plain text that is longer than eight", "a\"b\\c\td\u{1}e\r", "\"\"\"\"\"\"\"\"\"", "é木\"xé木xxxx"]
        {
            let mut out = b"\"".to_vec();
            escape(text.as_bytes(), &mut out);
            out.push(b'"');
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn a_form_is_learnt_from_a_body_and_makes_it_again() {
        let input = b"first \"line\"\nsecond line\nthird\n";
        let sample = "{\"create\":{\"_id\":\"j.a.1.0\"}}\n{\"@timestamp\":\"T\",\"message\":\"first \\\"line\\\"\",\"log\":{\"offset\":0}}\n\
                      {\"create\":{\"_id\":\"j.a.1.13\"}}\n{\"@timestamp\":\"T\",\"message\":\"second line\",\"log\":{\"offset\":13}}\n";
        let form = Form::learn(Work::W1, sample.as_bytes(), input).unwrap();
        assert!(form.run(input).raw_bytes > sample.len() as u64);
        assert!(Form::learn(Work::W1, sample.replace("\\\"", "'").as_bytes(), input).is_err());
    }
}
