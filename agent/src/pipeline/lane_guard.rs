//! The systemic guard: one mistake in a template must not turn a backlog into dead letters.
//!
//! Pure. Remembers what became of a lane's last thousand documents.

use std::collections::VecDeque;

/// Documents looked back on.
const WINDOW: usize = 1000;
/// With fewer than this nothing is systemic: a handful of bad lines is just that.
const ENOUGH: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Guard {
    /// What became of documents, newest last: 0 for done, else 1 + the place in `kinds`.
    window: VecDeque<u16>,
    kinds: Vec<String>,
}

impl Guard {
    /// Notes that `documents` went well.
    pub(super) fn well(&mut self, documents: u32) {
        if self.kinds.is_empty() && self.window.len() == WINDOW {
            return; // nothing but good news in it already
        }
        for _ in 0..(documents as usize).min(WINDOW) {
            self.push(0);
        }
    }

    /// Notes a document that would become a dead letter of this kind.
    pub(super) fn refused(&mut self, kind: &str) {
        let at = self.kinds.iter().position(|k| k == kind).unwrap_or_else(|| {
            self.kinds.push(kind.to_owned());
            self.kinds.len() - 1
        });
        self.push(at as u16 + 1);
    }

    /// The kind of which half of the last documents would be dead letters, and how many of how many.
    pub(super) fn systemic(&self) -> Option<(&str, usize, usize)> {
        let seen = self.window.len();
        if seen < ENOUGH || self.kinds.is_empty() {
            return None;
        }
        let mut counts = vec![0; self.kinds.len() + 1];
        for outcome in &self.window {
            counts[usize::from(*outcome)] += 1;
        }
        let (at, count) = counts.iter().enumerate().skip(1).max_by_key(|(_, count)| **count)?;
        (count * 2 >= seen).then(|| (self.kinds[at - 1].as_str(), *count, seen))
    }

    /// The cause is gone: what was seen before says nothing any more.
    pub(super) fn forget(&mut self) {
        *self = Guard::default();
    }

    fn push(&mut self, outcome: u16) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_last_documents_trip_it_and_a_handful_does_not() {
        let mut guard = Guard::default();
        (0..20).for_each(|_| guard.refused("a"));
        assert_eq!(guard.systemic(), None, "twenty bad lines are just that");
        guard.well(2000);
        (0..499).for_each(|_| guard.refused("a"));
        assert_eq!(guard.systemic(), None);
        guard.refused("a");
        assert_eq!(guard.systemic(), Some(("a", 500, 1000)));
        guard.forget();
        assert_eq!(guard.systemic(), None);
    }

    #[test]
    fn different_kinds_are_not_one_mistake() {
        let mut guard = Guard::default();
        (0..300).for_each(|i| guard.refused(["a", "b", "c"][i % 3]));
        assert_eq!(guard.systemic(), None);
        (0..100).for_each(|_| guard.refused("b"));
        assert_eq!(guard.systemic(), Some(("b", 200, 400)));
    }
}
