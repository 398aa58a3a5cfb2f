//! Knows every line that was written, where, and compares with the documents that arrived.
//!
//! A line is a pure function of the oracle's seed and the line's number, so a million of them cost no memory
//! but their places.

use std::sync::{Arc, Mutex};

use memchr::memmem;
use serde_json::Value;

use crate::endpoint::{Documents, Endpoint};
use crate::seed::{Rng, mix};

/// Where a line was written: the running number of the content it is part of (a new file, or the same file after
/// it was emptied), and its offset there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    content: u32,
    offset: u64,
}

#[derive(Debug, Default)]
struct Written {
    places: Vec<Place>,
    contents: u32,
}

/// Cheap to clone; all clones are the same oracle.
#[derive(Clone, Debug)]
pub struct Oracle {
    seed: u64,
    filler: Arc<str>,
    written: Arc<Mutex<Written>>,
}

impl Oracle {
    pub fn new(mut rng: Rng) -> Oracle {
        const SIGNS: &[&str] =
            &["a", "b", "e", "k", "o", "t", " ", " ", "7", "0", "\"", "\\", "\t", "é", "木", "/", "=", "{"];
        let mut filler = String::new();
        while filler.len() < 16 << 10 {
            filler.push_str(SIGNS[rng.within(0, SIGNS.len() as u64) as usize]);
        }
        Oracle { seed: rng.number(), filler: filler.into(), written: Arc::default() }
    }

    /// The text of line `seq`, without newline.
    pub fn text(&self, seq: u64) -> String {
        let random = mix(self.seed ^ seq);
        let length = 20 + (random >> 32) as usize % 260;
        let mut from = random as usize % (self.filler.len() - 600);
        while !self.filler.is_char_boundary(from) {
            from += 1;
        }
        let mut to = from + length;
        while !self.filler.is_char_boundary(to) {
            to += 1;
        }
        format!("seq={seq:08} {}.", &self.filler[from..to])
    }

    /// A new content begins (an empty file); gives its number.
    pub fn content(&self) -> u32 {
        let mut written = self.written.lock().unwrap();
        written.contents += 1;
        written.contents - 1
    }

    /// The next line, to be written at `offset` of `content`; with its newline.
    pub fn line(&self, content: u32, offset: u64) -> String {
        let mut written = self.written.lock().unwrap();
        let seq = written.places.len() as u64;
        written.places.push(Place { content, offset });
        drop(written);
        let mut text = self.text(seq);
        text.push('\n');
        text
    }

    /// Lines so far.
    pub fn lines(&self) -> usize {
        self.written.lock().unwrap().places.len()
    }

    /// Compares with everything in `index`.
    pub fn compare(&self, endpoint: &Endpoint, index: &str) -> Report {
        endpoint.documents(|documents| self.compare_documents(documents, index))
    }

    fn compare_documents(&self, documents: &Documents, index: &str) -> Report {
        let written = self.written.lock().unwrap();
        let mut report = Report { lines: written.places.len(), ..Report::default() };
        let mut seen = vec![false; written.places.len()];
        let mut contents: std::collections::HashMap<String, u32> = std::collections::HashMap::new();
        for (id, document) in documents.of(index) {
            report.documents += 1;
            let json = document.json();
            let message = field(&json, "message").and_then(Value::as_str).unwrap_or("");
            let Some(seq) = sequence(message.as_bytes()).filter(|seq| (*seq as usize) < seen.len()) else {
                report.foreign.push(message.chars().take(60).collect());
                continue;
            };
            let place = written.places[seq as usize];
            if std::mem::replace(&mut seen[seq as usize], true) {
                report.double.push(seq);
            }
            if self.text(seq) != message {
                report.altered.push(seq);
            }
            if field(&json, "log.offset").and_then(Value::as_u64) != Some(place.offset) {
                report.misplaced.push(seq);
            }
            // One source is one content: offsets within it are then the order of its lines.
            let source = id.rsplit_once('.').map_or("", |(source, _)| source).to_owned();
            if *contents.entry(source).or_insert(place.content) != place.content {
                report.mixed.push(seq);
            }
        }
        report.collisions = documents.collisions.len();
        report.read_again = documents.read_again;
        report.resent = documents.resent;
        report.missing = (0..seen.len() as u64).filter(|seq| !seen[*seq as usize]).collect();
        report.missing_bytes = report.missing.iter().map(|seq| self.text(*seq).len() as u64 + 1).sum();
        report
    }
}

/// `a.b` as a key of its own, or as `b` in the object `a`.
pub fn field<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    document.get(path).or_else(|| path.split('.').try_fold(document, |value, key| value.get(key)))
}

/// The number behind `seq=`.
pub fn sequence(text: &[u8]) -> Option<u64> {
    let at = memmem::find(text, b"seq=")? + 4;
    std::str::from_utf8(text.get(at..at + 8)?).ok()?.parse().ok()
}

/// What the comparison found. All lists are of line numbers.
#[derive(Debug, Default)]
pub struct Report {
    pub lines: usize,
    pub documents: usize,
    pub missing: Vec<u64>,
    pub missing_bytes: u64,
    /// In more than one document.
    pub double: Vec<u64>,
    /// With another text than was written.
    pub altered: Vec<u64>,
    /// With another `log.offset` than the line had.
    pub misplaced: Vec<u64>,
    /// Under a source that began with another content.
    pub mixed: Vec<u64>,
    /// Documents that are no line.
    pub foreign: Vec<String>,
    /// Another content sent under an `_id` that was there.
    pub collisions: usize,
    /// Lines that were read and sent again with another time; only damage excuses that.
    pub read_again: usize,
    /// The same content sent again: no harm.
    pub resent: usize,
}

impl Report {
    /// # Panics
    /// If anything is lost, double or not as it was written.
    pub fn assert_clean(&self) {
        assert!(self.missing.is_empty(), "missing: {}", self.summary());
        self.assert_true();
    }

    /// What arrived is right, though something may be missing. Says what was found: a row of the run's table.
    pub fn assert_true(&self) {
        eprintln!("FOUND {}: {}", std::thread::current().name().unwrap_or("?"), self.summary());
        let wrong = [&self.double, &self.altered, &self.misplaced, &self.mixed];
        let right = wrong.iter().all(|list| list.is_empty())
            && self.foreign.is_empty()
            && self.collisions + self.read_again == 0;
        assert!(right, "{}", self.summary());
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let head = |list: &[u64]| format!("{} {:?}", list.len(), &list[..list.len().min(5)]);
        format!(
            "{} lines, {} documents, missing {} ({} bytes), double {}, altered {}, misplaced {}, mixed {}, \
             foreign {} {:?}, collisions {}, resent {}",
            self.lines,
            self.documents,
            head(&self.missing),
            self.missing_bytes,
            head(&self.double),
            head(&self.altered),
            head(&self.misplaced),
            head(&self.mixed),
            self.foreign.len(),
            &self.foreign[..self.foreign.len().min(3)],
            self.collisions,
            self.resent
        )
    }
}
