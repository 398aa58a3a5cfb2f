//! What systemd's watchdog is fed by: progress of every pipeline, not the mere life of the process.
//!
//! A pipeline that has nothing to do sleeps, perhaps for long. So one that has not turned since the last look is woken,
//! and is stuck only if it has not turned by the next one. Whether Elasticsearch answers plays no part.

use std::collections::HashMap;
use std::time::Duration;

/// How often is looked, at most.
const LOOK: Duration = Duration::from_secs(5);

/// Turns of each pipeline at the last look, and whether it was woken then.
#[derive(Default)]
pub(super) struct Watchdog {
    seen: HashMap<String, (u64, bool)>,
}

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Have not turned since the last look.
    pub(super) asleep: Vec<String>,
    /// Have not turned although they were woken.
    pub(super) stuck: Vec<String>,
}

impl Watchdog {
    /// How often to look so that a watchdog which waits for `limit` is fed in time by pipelines that sleep.
    pub(super) fn every(limit: Option<Duration>) -> Duration {
        limit.map_or(LOOK, |limit| LOOK.min(limit / 4)).max(Duration::from_millis(10))
    }

    pub(super) fn look(&mut self, turns: Vec<(String, u64)>) -> Look {
        let mut found = Look::default();
        let mut seen = HashMap::with_capacity(turns.len());
        for (id, turns) in turns {
            let still = self.seen.get(&id).filter(|(before, _)| *before == turns);
            match still {
                Some((_, true)) => found.stuck.push(id.clone()),
                Some((_, false)) => found.asleep.push(id.clone()),
                None => {}
            }
            seen.insert(id, (turns, still.is_some()));
        }
        self.seen = seen;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(watchdog: &mut Watchdog, turns: &[(&str, u64)]) -> (Vec<String>, Vec<String>) {
        let found = watchdog.look(turns.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect());
        (found.asleep, found.stuck)
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn only_a_pipeline_that_does_not_turn_although_it_was_woken_is_stuck() {
        let mut watchdog = Watchdog::default();
        assert_eq!(look(&mut watchdog, &[("busy", 1), ("idle", 1), ("stuck", 1)]), (ids(&[]), ids(&[])));
        assert_eq!(look(&mut watchdog, &[("busy", 9), ("idle", 1), ("stuck", 1)]), (ids(&["idle", "stuck"]), ids(&[])));
        // The idle one was woken and has turned.
        assert_eq!(look(&mut watchdog, &[("busy", 12), ("idle", 2), ("stuck", 1)]), (ids(&[]), ids(&["stuck"])));
        assert_eq!(look(&mut watchdog, &[("busy", 13), ("idle", 2), ("stuck", 1)]), (ids(&["idle"]), ids(&["stuck"])));
        // It moves again, and one that has ended is not asked any more.
        assert_eq!(look(&mut watchdog, &[("busy", 14), ("stuck", 2)]), (ids(&[]), ids(&[])));
    }

    #[test]
    fn a_short_watchdog_is_looked_after_often_enough() {
        assert_eq!(Watchdog::every(None), LOOK);
        assert_eq!(Watchdog::every(Some(Duration::from_secs(30))), LOOK);
        assert_eq!(Watchdog::every(Some(Duration::from_secs(2))), Duration::from_millis(500));
    }
}
