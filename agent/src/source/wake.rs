//! How a waiting source is woken: by a file event, by bytes on standard input, or by whoever holds a [`Waker`].
//! A wake that comes while nobody waits is not lost: the next wait ends at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Ends a source's wait. Clones wake the same source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waker {
    signal: Arc<Signal>,
}

#[derive(Debug, Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
    /// Who else is woken.
    passed_on: OnceLock<Waker>,
}

impl Waker {
    pub(crate) fn wake(&self) {
        *lock(&self.signal.woken) = true;
        self.signal.changed.notify_one();
        if let Some(other) = self.signal.passed_on.get() {
            other.wake();
        }
    }

    /// From now on every wake wakes `other` as well. Only the first call counts.
    pub(super) fn pass_on(&self, other: Waker) {
        self.signal.passed_on.get_or_init(|| other);
    }

    /// Blocks until `until` or a wake, whichever is first.
    pub(super) fn wait(&self, until: Instant) {
        let mut woken = lock(&self.signal.woken);
        while !*woken {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            woken = match self.signal.changed.wait_timeout(woken, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        *woken = false;
    }
}

/// The flag holds no invariant that a panic could have broken, so poison is passed over.
fn lock(flag: &Mutex<bool>) -> MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wake_ends_a_wait_and_one_that_came_before_is_not_lost() {
        let waker = Waker::default();
        let far = Instant::now() + Duration::from_secs(60);
        waker.wake();
        waker.wait(far);
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        waker.wait(far);
        assert!(thread.join().is_ok());
        assert!(Instant::now() < far);
    }
}
