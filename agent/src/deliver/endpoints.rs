//! Which host gets the next request: round robin; a host that failed is rested, longer each time.
//!
//! Pure: time is an argument. When all are resting, the one that wakes first is taken: how often a dead
//! cluster is asked is the caller's backoff.

use std::time::{Duration, Instant};

use super::retry::Backoff;

const REST_FIRST: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Endpoints {
    hosts: Vec<Host>,
    turn: usize,
}

#[derive(Debug)]
struct Host {
    /// Base URL without a slash at its end.
    base: String,
    rest: Backoff,
    until: Option<Instant>,
}

impl Endpoints {
    pub(crate) fn new(urls: &[String]) -> Endpoints {
        let hosts = urls.iter().map(|url| Host {
            base: url.trim_end_matches('/').to_owned(),
            rest: Backoff::new(REST_FIRST, REST_MAX),
            until: None,
        });
        Endpoints { hosts: hosts.collect(), turn: 0 }
    }

    /// The next host's number and base URL; `None` only if there are no hosts at all.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(usize, String)> {
        let count = self.hosts.len();
        let awake = (0..count).map(|i| (self.turn + i) % count).find(|i| self.hosts[*i].until.is_none_or(|t| t <= now));
        let chosen = awake.or_else(|| (0..count).min_by_key(|i| self.hosts[*i].until))?;
        self.turn = (chosen + 1) % count;
        Some((chosen, self.hosts.get(chosen)?.base.clone()))
    }

    pub(crate) fn failed(&mut self, host: usize, now: Instant) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.until = Some(now + host.rest.next());
        }
    }

    pub(crate) fn worked(&mut self, host: usize) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.rest.reset();
            host.until = None;
        }
    }

    /// Every host is resting.
    pub(crate) fn all_resting(&self, now: Instant) -> bool {
        self.hosts.iter().all(|host| host.until.is_some_and(|until| until > now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_turns_and_a_failing_one_rests() {
        let now = Instant::now();
        let mut hosts = Endpoints::new(&["http://a/".to_owned(), "http://b".to_owned()]);
        let next = |hosts: &mut Endpoints, at| hosts.next(at).map(|(_, base)| base).unwrap_or_default();
        assert_eq!([next(&mut hosts, now), next(&mut hosts, now)], ["http://a", "http://b"]);
        hosts.failed(0, now);
        assert_eq!([next(&mut hosts, now), next(&mut hosts, now)], ["http://b", "http://b"]);
        assert!(!hosts.all_resting(now));
        hosts.failed(1, now + REST_MAX);
        assert_eq!(next(&mut hosts, now + REST_MAX), "http://a");
        hosts.failed(0, now + REST_MAX);
        hosts.failed(1, now + REST_MAX);
        assert!(hosts.all_resting(now + REST_MAX));
        assert!(!next(&mut hosts, now + REST_MAX).is_empty());
        hosts.worked(0);
        assert_eq!(next(&mut hosts, now + REST_MAX), "http://a");
    }
}
