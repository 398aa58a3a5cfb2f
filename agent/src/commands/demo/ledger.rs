//! The truth of a demo: every line written, every document received, compared one by one.
//!
//! Promises: a line is in the ledger before it is in the file, so that a document can't be earlier than its line; a
//! document counts for a line only if its message is that line, byte for byte. Knows nothing of the agent.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

/// How a line tells its number; digits follow.
pub(super) const MARK: &str = "seq=";

#[derive(Debug, Default)]
pub(super) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By line number: the hash of the line, and how many documents have it.
    lines: Vec<(u64, u32)>,
    ids: HashSet<Box<str>>,
    /// Documents that no line stands for.
    strange: u64,
    resent: u64,
    sample: Option<(String, String)>,
}

/// What the ledger says in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) written: u64,
    pub(super) documents: u64,
    /// Lines without a document.
    pub(super) missing: u64,
    /// The first few of them.
    pub(super) missing_lines: Vec<u64>,
    /// Documents beyond the first of their line.
    pub(super) double: u64,
    /// Documents that are no line that was written.
    pub(super) strange: u64,
    /// Documents that came again under the same `_id` and were refused with 409.
    pub(super) resent: u64,
    /// `_id` and source of one document.
    pub(super) sample: Option<(String, String)>,
}

impl Tally {
    pub(super) fn is_exact(&self) -> bool {
        self.missing == 0 && self.double == 0 && self.strange == 0
    }
}

impl Ledger {
    /// Takes down the next lines (without newline), in order of their numbers from 0.
    pub(super) fn write_down<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        let mut inner = self.lock();
        inner.lines.extend(lines.map(|line| (xxh3_64(line.as_bytes()), 0)));
    }

    /// A document with this `_id` and message came; `source` is all of it. `false`: the id is there already, and
    /// nothing has changed.
    pub(super) fn receive(&self, id: &str, message: &str, source: &str) -> bool {
        let mut inner = self.lock();
        if inner.ids.contains(id) {
            inner.resent += 1;
            return false;
        }
        inner.ids.insert(id.into());
        let number = number_of(message);
        match number.and_then(|number| inner.lines.get_mut(number)) {
            Some((hash, documents)) if *hash == xxh3_64(message.as_bytes()) => *documents += 1,
            _ => inner.strange += 1,
        }
        if inner.sample.is_none() {
            inner.sample = Some((id.to_owned(), source.to_owned()));
        }
        true
    }

    pub(super) fn written(&self) -> u64 {
        self.lock().lines.len() as u64
    }

    pub(super) fn documents(&self) -> u64 {
        self.lock().ids.len() as u64
    }

    pub(super) fn tally(&self) -> Tally {
        let inner = self.lock();
        let without = |(_, (_, documents)): &(usize, &(u64, u32))| *documents == 0;
        let missing = inner.lines.iter().enumerate().filter(without);
        Tally {
            written: inner.lines.len() as u64,
            documents: inner.ids.len() as u64,
            missing: missing.clone().count() as u64,
            missing_lines: missing.map(|(number, _)| number as u64).take(10).collect(),
            double: inner.lines.iter().map(|(_, documents)| u64::from(documents.saturating_sub(1))).sum(),
            strange: inner.strange,
            resent: inner.resent,
            sample: inner.sample.clone(),
        }
    }

    /// Every change is whole in itself, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number_of(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once(MARK)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &[&str]) -> Ledger {
        let ledger = Ledger::default();
        ledger.write_down(lines.iter().copied());
        ledger
    }

    #[test]
    fn every_line_once_is_exact() {
        let ledger = written(&["a seq=0", "b seq=1 z"]);
        assert!(ledger.receive("x", "b seq=1 z", "{}"));
        assert!(ledger.receive("y", "a seq=0", "{}"));
        let tally = ledger.tally();
        assert!(tally.is_exact());
        assert_eq!((tally.written, tally.documents), (2, 2));
    }

    #[test]
    fn missing_and_double_lines_are_found() {
        let ledger = written(&["a seq=0", "b seq=1", "c seq=2"]);
        assert!(ledger.receive("x", "a seq=0", "{}"));
        assert!(ledger.receive("y", "a seq=0", "{}")); // another _id, the same line
        let tally = ledger.tally();
        assert!(!tally.is_exact());
        assert_eq!((tally.missing, tally.double, tally.documents), (2, 1, 2));
        assert_eq!(tally.missing_lines, [1, 2]);
    }

    #[test]
    fn a_resent_document_is_no_second_one() {
        let ledger = written(&["a seq=0"]);
        assert!(ledger.receive("x", "a seq=0", "{}"));
        assert!(!ledger.receive("x", "a seq=0", "{}"));
        let tally = ledger.tally();
        assert!(tally.is_exact());
        assert_eq!((tally.documents, tally.resent), (1, 1));
    }

    #[test]
    fn a_cut_or_foreign_line_is_not_taken_for_a_line() {
        let ledger = written(&["a seq=0 tail"]);
        assert!(ledger.receive("x", "a seq=0 ta", "{}"));
        assert!(ledger.receive("y", "no number", "{}"));
        assert!(ledger.receive("z", "seq=77", "{}"));
        let tally = ledger.tally();
        assert_eq!((tally.missing, tally.strange, tally.double), (1, 3, 0));
        assert!(!tally.is_exact());
    }
}
