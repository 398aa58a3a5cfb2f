//! Where a bounded run ends, and when all of it has been read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::error::{SlsError, Verdict};
use super::fetch::STOP_MARGIN;
use super::keeper::Keeper;

/// In a bounded run, between looks at what others have read.
const OTHERS_LOOK: Duration = Duration::from_secs(2);

impl Keeper {
    /// Where a bounded run ends, once that can be known, and whether all of it was read, here or by others.
    pub(super) async fn find_ends(&mut self, now: Instant) -> Result<(), SlsError> {
        let context = self.context.clone();
        if !context.bounded() || now < self.ends_due {
            return Ok(());
        }
        if context.shared.state().ends.is_none() {
            let service_now = context.client.now().0 / 1000;
            let passed = context.plan.stop.is_some_and(|stop| service_now >= stop + STOP_MARGIN);
            if !context.once && !passed {
                return Ok(());
            }
            // children of a last split belong to the run
            self.list().await?;
            let from = context.plan.stop.filter(|_| passed).map_or_else(|| "end".to_owned(), |stop| stop.to_string());
            let mut ends = BTreeMap::new();
            for shard in &self.listed {
                match context.client.cursor(shard.number, &from).await {
                    Ok(end) => drop(ends.insert(shard.number, end.number())),
                    Err(error) if error.verdict() == Verdict::ShardGone => {}
                    Err(error) => return Err(error),
                }
            }
            context.shared.state().ends = Some(ends);
        }
        self.ends_due = now + OTHERS_LOOK;
        let Some(group) = &self.group else { return Ok(()) };
        let checkpoints = context.client.checkpoints(&group.plan.name, None).await?;
        let mut state = context.shared.state();
        let state = &mut *state;
        let read = |(shard, end): (&u32, &u64)| {
            let here = state.shards.get(shard).and_then(|held| held.handed.as_ref()).map(|handed| handed.next);
            let there = checkpoints.iter().find(|(of, _)| of == shard).map(|(_, cursor)| cursor.number());
            here.max(there).is_some_and(|read| read >= *end)
        };
        // what is to be read again is not done, whatever the group was told
        state.others_done = state.marks.is_empty() && state.ends.as_ref().is_some_and(|ends| ends.iter().all(read));
        context.shared.waker.wake();
        Ok(())
    }
}
