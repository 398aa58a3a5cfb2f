//! The loop goes back: behind what turned out to be damaged on the local disk, or where an operator wants it.
//!
//! Promises: all that was read is committed before, so that nothing under way is lost or comes twice.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{IngestError, Running};
use crate::pipeline::resets::Order;
use crate::pipeline::versions::is_own;
use crate::source::Source;
use crate::store::{Commit, Room, StoreError};

/// Going back behind damage is tried again after so long.
const SET_BACK_AGAIN: Duration = Duration::from_secs(5);

impl Running {
    /// Something stored turned out to be damaged, and it can be gone back behind it now.
    pub(super) fn is_set_back_due(&self) -> bool {
        let room = || matches!(self.ingest.door.room(), Room::Yes | Room::Full);
        !self.stopped() && self.ingest.door.is_damaged() && Instant::now() >= self.set_back_due && room()
    }

    /// Reads on from before what is damaged. All that was read is committed.
    pub(super) fn set_back(&mut self) -> Result<(), IngestError> {
        match self.ingest.door.set_back() {
            Ok(true) => {
                self.go_on_from_rows()?;
            }
            Ok(false) => {}
            Err(error @ StoreError::Stopped) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(job = %self.ingest.job, %error, "can't go back behind what is damaged; it is tried again");
                self.set_back_due = Instant::now() + SET_BACK_AGAIN;
            }
        }
        Ok(())
    }

    /// The source goes on from what the store has.
    fn go_on_from_rows(&mut self) -> Result<(), IngestError> {
        let rows = self.ingest.door.rows().into_iter().filter(|(key, _)| !is_own(*key)).collect();
        self.ingest.source.set_back(rows)?;
        self.arrivals.begin_again(&self.ingest.door);
        Ok(())
    }

    /// How far a source is read, by its committed row.
    pub(super) fn read_to(&self, source: u64) -> u64 {
        let row: Vec<_> = self.ingest.door.rows().into_iter().filter(|(key, _)| *key == source).collect();
        Source::positions(&row).first().map_or(0, |position| position.offset)
    }

    pub(super) fn is_reset_due(&self) -> bool {
        !self.stopped()
            && self.ingest.signals.reset_wanted.load(Ordering::Acquire)
            && self.ingest.door.room() == Room::Yes
    }

    pub(super) fn ordered(&self) -> Option<Order> {
        if !self.is_reset_due() {
            return None;
        }
        self.ingest.signals.reset_wanted.store(false, Ordering::Release);
        self.ingest.signals.reset.lock().ok()?.take()
    }

    /// Reads again what an operator wants read again. All that was read is committed.
    pub(super) fn reset(&mut self, order: &Order) -> Result<(), IngestError> {
        let (rows, overwrites) = order.carry_out(&self.ingest.door.rows(), &self.ingest.overwrites);
        let receipt = self.ingest.door.commit(Commit { rows, ..Commit::default() })?;
        receipt.blocking_recv().unwrap_or(Err(StoreError::Stopped))?;
        self.ingest.overwrites = overwrites;
        tracing::info!(job = %self.ingest.job, how = order.in_a_word(), "an operator wants it read again");
        self.go_on_from_rows()
    }
}
