//! Waiting for a condition with a deadline. The only place in the tests that sleeps.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Looks every 20 ms until `look` gives something.
///
/// # Panics
/// After `limit`, naming `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Like [`until`] for a condition.
pub fn holds(what: &str, limit: Duration, mut look: impl FnMut() -> bool) {
    until(what, limit, || look().then_some(()));
}

/// Lets time pass where the time itself is what is tested ("nothing happens for so long"), or paces a writer.
pub fn pass(time: Duration) {
    sleep(time);
}
