//! Files that went while nobody held them open, perhaps with lines that were never seen.
//!
//! The kernel's events tell whether such a file was written to since the last look. Where they do not (none are to be
//! had, some were lost, the whole folder was moved away, the agent was down) nothing can be known. Promises: each such
//! file is counted, and the log speaks of it once; of thousands it speaks in one line.

use std::collections::HashMap;
use std::path::Path;

use super::FileSource;
use super::rows::Kind;
use super::table::Slot;
use super::tracked::{State, Tick};
use crate::metrics::PipelineMetrics;
use crate::record::{SourceId, Timestamp};

/// The event of a deletion comes at most so long after the deletion was noticed otherwise.
const EVENT_MS: Tick = 2_000;
/// Between two lines of the log.
const EVERY_MS: Tick = 10_000;

/// What is known of the files that went, and not said yet.
#[derive(Debug)]
pub(super) struct Unseen {
    metrics: PipelineMetrics,
    /// By their place: files whose end no event has told of yet, or whose content may turn up in a copy.
    waiting: HashMap<Box<Path>, Vanished>,
    /// When the first of them is to be judged.
    due: Tick,
    /// Unix seconds when events were lost: of what was not looked at since, they know nothing.
    doubt: u32,
    unsaid: Option<Unsaid>,
    /// The next line is not said before this.
    next_line: Tick,
}

#[derive(Debug)]
struct Vanished {
    slot: Slot,
    source: SourceId,
    /// Unix seconds of the last look, 0: none since the agent was started.
    since: u32,
    until: Tick,
    /// Was it written to since the last look? `None`: nobody knows, so far.
    written: Option<bool>,
}

#[derive(Debug)]
struct Unsaid {
    files: u64,
    written: u64,
    example: Box<Path>,
    since: u32,
}

impl Unseen {
    pub(super) fn new(metrics: PipelineMetrics) -> Unseen {
        Unseen { metrics, waiting: HashMap::new(), due: Tick::MAX, doubt: 0, unsaid: None, next_line: 0 }
    }

    /// Events were lost before `unix_seconds`.
    pub(super) fn doubt(&mut self, unix_seconds: u32) {
        self.doubt = unix_seconds;
    }

    /// The file at `place` is gone, as an event says; `written`: another one said before that it was written to.
    pub(super) fn ended(&mut self, place: &Path, written: bool) {
        if let Some(vanished) = self.waiting.get_mut(place) {
            let known = vanished.since > self.doubt || written;
            vanished.written = known.then_some(written).or(vanished.written);
            (vanished.until, self.due) = (0, 0);
        }
    }

    fn wait_for(&mut self, place: Box<Path>, vanished: Vanished) {
        self.due = self.due.min(vanished.until);
        if let Some((place, before)) = self.waiting.remove_entry(&place) {
            self.judge(&place, &before);
        }
        self.waiting.insert(place, vanished);
    }

    fn judge(&mut self, place: &Path, vanished: &Vanished) {
        if vanished.written == Some(false) {
            return;
        }
        self.metrics.vanished_files.inc();
        let first = || Unsaid { files: 0, written: 0, example: place.into(), since: vanished.since };
        let unsaid = self.unsaid.get_or_insert_with(first);
        unsaid.files += 1;
        unsaid.written += u64::from(vanished.written == Some(true));
    }

    /// Says what is not said yet, if it is time. Gives the number of files it speaks of.
    fn say(&mut self, now: Tick) -> Option<u64> {
        if now < self.next_line {
            return None;
        }
        let Unsaid { files, written, example, since } = self.unsaid.take()?;
        self.next_line = now.saturating_add(EVERY_MS);
        let since = match since {
            0 => "the agent was stopped".to_owned(),
            since => Timestamp(i64::from(since) * 1000).to_rfc3339(),
        };
        let path = example.display();
        match (files, written) {
            (1, 1) => {
                tracing::warn!(%path, %since, "file was written to and deleted while it was not held open: what was written since is lost");
            }
            (1, _) => {
                tracing::warn!(%path, %since, "file was deleted or moved away while it was not held open: what was written to it since can't be known");
            }
            _ => {
                tracing::warn!(files, written, example = %path, %since, "files were deleted or moved away while they were not held open: what was last written to them is lost (to so many something was: written) or can't be known");
            }
        }
        Some(files)
    }

    /// When something is to be judged or said.
    pub(super) fn next(&self) -> Tick {
        self.due.min(if self.unsaid.is_some() { self.next_line } else { Tick::MAX })
    }
}

/// What is known is said before it is forgotten.
impl Drop for Unseen {
    fn drop(&mut self) {
        for (place, vanished) in std::mem::take(&mut self.waiting) {
            self.judge(&place, &vanished);
        }
        self.say(Tick::MAX);
    }
}

impl FileSource {
    /// The entry's file is there, and its size and time are those of this moment.
    pub(super) fn seen(&mut self, slot: Slot) {
        let now = self.unix_seconds();
        let entry = self.table.get_mut(slot);
        (entry.looked_at, entry.written, entry.end_told) = (now, false, false);
    }

    /// Neither a place nor a descriptor leads to the entry's file any more.
    pub(super) fn went_unseen(&mut self, slot: Slot) {
        let entry = self.table.get(slot);
        let whole = entry.kind == Kind::Gzip && entry.unread() == 0;
        let nobody_held = matches!(entry.state, State::Live | State::Adrift | State::Held { .. });
        if entry.open.is_some() || !nobody_held || whole {
            return;
        }
        let heard = entry.end_told && entry.looked_at > self.unseen.doubt;
        let unread = !entry.is_minted() && entry.size > 0;
        let written = if entry.written || unread { Some(true) } else { heard.then_some(false) };
        if written == Some(false) {
            return;
        }
        // An event that tells more may be under way, where there are events.
        let wait = if written.is_none() && self.watch.has_events() { EVENT_MS } else { 0 };
        let vanished = Vanished { slot, source: entry.source, since: entry.looked_at, until: self.now + wait, written };
        self.unseen.wait_for(entry.place().into(), vanished);
    }

    /// Judges the files that went, and says what is due.
    pub(super) fn tell_unseen(&mut self) {
        let Self { unseen, table, now, .. } = self;
        if *now >= unseen.due {
            unseen.due = Tick::MAX;
            for (place, vanished) in std::mem::take(&mut unseen.waiting) {
                let same = vanished.source.0 != 0 && table.source_at(vanished.slot) == Some(vanished.source);
                let state = same.then(|| table.get(vanished.slot).state);
                match state {
                    // Its content may turn up in a copy.
                    Some(State::Missing { .. }) => {
                        unseen.due = unseen.due.min(*now + EVENT_MS);
                        unseen.waiting.insert(place, vanished);
                    }
                    None | Some(State::Gone { .. }) if vanished.until > *now => {
                        unseen.due = unseen.due.min(vanished.until);
                        unseen.waiting.insert(place, vanished);
                    }
                    None | Some(State::Gone { .. }) => unseen.judge(&place, &vanished),
                    Some(_) => {}
                }
            }
        }
        unseen.say(*now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_thousands_of_files_the_log_speaks_in_one_line_and_each_is_counted() {
        let metrics = PipelineMetrics::default();
        let mut unseen = Unseen::new(metrics.clone());
        let vanished = |written| Vanished { slot: 0, source: SourceId(0), since: 7, until: 0, written };
        let mut said = Vec::new();
        for second in 0..100 {
            for number in 0..50 {
                let written = [None, Some(true), Some(false)][number % 3];
                unseen.judge(Path::new(&format!("/{number}")), &vanished(written));
            }
            said.extend(unseen.say(second * 1000));
        }
        assert_eq!(said.len(), 10, "once in ten seconds");
        assert_eq!((said[0], said[1]), (34, 340));
        assert_eq!(metrics.vanished_files.get(), 3400);
        assert_eq!(unseen.next(), 100_000);
    }
}
