//! Who runs: the pipelines and the jobs that were set aside, as one list that is exchanged as a whole.
//!
//! Promises: whoever looks sees the list of one moment, and what is in it lives while it is looked at.

use std::sync::{Arc, Mutex, PoisonError};

use super::running::Running;
use super::set_aside::SetAside;
use crate::store;

/// All jobs of one moment.
#[derive(Clone, Default)]
pub(super) struct Roster {
    pub(super) running: Vec<Arc<Running>>,
    pub(super) set_aside: Vec<Arc<SetAside>>,
    /// What became of the last reload, where someone must know it: a line each.
    pub(super) notes: Vec<String>,
}

impl Roster {
    pub(super) fn of(&self, id: &str) -> Option<&Arc<Running>> {
        self.running.iter().find(|running| running.id() == id)
    }

    /// The doors of all jobs, also of those that were set aside.
    pub(super) fn doors(&self) -> impl Iterator<Item = (&str, &store::Pipeline)> {
        let running = self.running.iter().map(|p| (p.id(), &p.door));
        running.chain(self.set_aside.iter().map(|job| (job.id.as_str(), &job.door)))
    }
}

/// The roster that holds now.
#[derive(Default)]
pub(super) struct Shown(Mutex<Arc<Roster>>);

impl Shown {
    pub(super) fn now(&self) -> Arc<Roster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn show(&self, roster: Roster) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(roster);
    }
}
