//! A job that could not be started, beside those that run: a script that does not fit its state, a state that is
//! damaged, a source that can't be opened.
//!
//! Promises: nothing of it is touched. Its positions, its state, what it owes and its dead letters stay in the store as
//! they were, for the next start. Does not try again by itself.

use splashdam_api::{FlushedPipeline, PipelineStatus, State};

use crate::plan::JobPlan;
use crate::store;

pub(super) struct SetAside {
    pub(super) id: String,
    /// Why, as a person has to know it; may have several lines.
    pub(super) why: String,
    pub(super) door: store::Pipeline,
    /// What it was to do.
    pub(super) plan: JobPlan,
}

impl SetAside {
    /// Records that it owes. (Rows that a query owes from its state are not known.)
    pub(super) fn owed_records(&self) -> u64 {
        self.door.lanes().iter().map(|lane| lane.items).sum()
    }

    pub(super) fn status(&self) -> PipelineStatus {
        let (dead_letters, dead_letter_bytes) = self.door.dead_letter_count();
        PipelineStatus {
            id: self.id.clone(),
            state: State::Failed,
            why: Some(self.why_in_a_line()),
            owed_records: self.owed_records(),
            owed_bytes: self.door.owed_bytes(),
            dead_letters,
            dead_letter_bytes,
            dropped_records: self.door.counters().dropped_items,
            ..PipelineStatus::default()
        }
    }

    /// What a flush could do for it: nothing.
    pub(super) fn flushed(&self) -> FlushedPipeline {
        FlushedPipeline {
            id: self.id.clone(),
            acknowledged_records: 0,
            owed_records: self.owed_records(),
            owed_bytes: self.door.owed_bytes(),
            why: Some(self.why_in_a_line()),
        }
    }

    fn why_in_a_line(&self) -> String {
        let lines: Vec<&str> = self.why.lines().map(str::trim).collect();
        format!("it could not be started: {}", lines.join(" "))
    }
}
