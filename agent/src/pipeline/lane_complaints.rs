//! Which failures are worth a line in the log: the first of its kind, then one now and then with how often it was
//! not said, and one line when things go well again.
//!
//! Pure: time is an argument. Remembers a bounded number of kinds and logs nothing itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The same complaint is said at most this often.
const PAUSE: Duration = Duration::from_secs(30);
/// More kinds than this are not told apart: the one said longest ago is forgotten.
const KINDS_MAX: usize = 64;

/// What has been complained about, by index and reason.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    /// `None`: no host could be reached, which has nothing to do with an index.
    index: Option<Arc<str>>,
    reason: String,
    said: Instant,
    /// How often it happened since, without a word.
    unsaid: u64,
    /// Nothing has gone well since.
    open: bool,
}

impl Complaints {
    /// A request failed. If that is to be said: how often it was not said since the last time.
    pub(super) fn failed(&mut self, index: Option<&Arc<str>>, reason: &str, now: Instant) -> Option<u64> {
        let known = self.kinds.iter_mut().find(|kind| kind.index.as_ref() == index && kind.reason == reason);
        if let Some(kind) = known {
            if now.duration_since(kind.said) < PAUSE {
                kind.unsaid += 1;
                return None;
            }
            kind.said = now;
            kind.open = true;
            return Some(std::mem::take(&mut kind.unsaid));
        }
        if self.kinds.len() >= KINDS_MAX
            && let Some(oldest) = (0..self.kinds.len()).min_by_key(|i| self.kinds.get(*i).map(|kind| kind.said))
        {
            self.kinds.swap_remove(oldest);
        }
        let (index, reason) = (index.cloned(), reason.to_owned());
        self.kinds.push(Kind { index, reason, said: now, unsaid: 0, open: true });
        Some(0)
    }

    /// A request of `index` went well. If that ends what was complained about: how often it was not said.
    pub(super) fn went_well(&mut self, index: &Arc<str>) -> Option<u64> {
        let over = |kind: &&mut Kind| kind.open && kind.index.as_ref().is_none_or(|about| about == index);
        let mut unsaid = None;
        for kind in self.kinds.iter_mut().filter(over) {
            kind.open = false;
            *unsaid.get_or_insert(0) += std::mem::take(&mut kind.unsaid);
        }
        unsaid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_said_once_and_then_now_and_then_with_its_count() {
        let (mut complaints, begin) = (Complaints::default(), Instant::now());
        let index = Arc::<str>::from("logs");
        assert_eq!(complaints.failed(Some(&index), "503", begin), Some(0));
        let said: Vec<u64> = (1..=900)
            .filter_map(|n| complaints.failed(Some(&index), "503", begin + Duration::from_millis(n * 100)))
            .collect();
        assert_eq!(said, [299, 299, 299], "90 s, ten times a second");
    }

    #[test]
    fn other_reasons_and_other_indices_are_said_at_once() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        let (a, b) = (Arc::<str>::from("a"), Arc::<str>::from("b"));
        for (index, reason) in [(Some(&a), "503"), (Some(&b), "503"), (Some(&a), "timeout"), (None, "timeout")] {
            assert_eq!(complaints.failed(index, reason, now), Some(0), "{index:?} {reason}");
            assert_eq!(complaints.failed(index, reason, now), None, "{index:?} {reason}");
        }
    }

    #[test]
    fn it_goes_well_again_once_for_each_complaint_that_was_said() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        let (a, b) = (Arc::<str>::from("a"), Arc::<str>::from("b"));
        assert_eq!(complaints.went_well(&a), None);
        complaints.failed(Some(&a), "503", now);
        complaints.failed(Some(&a), "503", now);
        complaints.failed(None, "refused", now);
        assert_eq!(complaints.went_well(&b), Some(0), "the host is there");
        assert_eq!(complaints.went_well(&a), Some(1));
        assert_eq!(complaints.went_well(&a), None);
        // To and fro: neither is said again until the pause is over.
        assert_eq!(complaints.failed(Some(&a), "503", now), None);
        assert_eq!(complaints.went_well(&a), None);
        assert_eq!(complaints.failed(Some(&a), "503", now + PAUSE), Some(1));
        assert_eq!(complaints.went_well(&a), Some(0));
    }

    #[test]
    fn ever_new_reasons_do_not_grow_it() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        for number in 0..10 * KINDS_MAX {
            let at = now + Duration::from_millis(number as u64);
            assert_eq!(complaints.failed(None, &number.to_string(), at), Some(0));
        }
        assert_eq!(complaints.kinds.len(), KINDS_MAX);
    }
}
