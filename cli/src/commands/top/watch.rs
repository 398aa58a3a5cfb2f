//! What has been seen of the agent: its newest status, and rates and lags of the last minute.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use splashdam_api::{PipelineStatus, Status};

/// Looks that are remembered of a job.
const REMEMBERED: usize = 60;

#[derive(Default)]
pub(super) struct Watch {
    pub(super) status: Status,
    jobs: HashMap<String, Past>,
    seen: Option<Instant>,
    chosen: usize,
    /// What a key led to, or why the agent does not answer.
    pub(super) said: String,
    pub(super) missing: bool,
}

/// The last minute of a job.
#[derive(Default)]
pub(super) struct Past {
    read_bytes: u64,
    acknowledged: u64,
    /// Bytes read and records acknowledged in a second, as it was last.
    pub(super) read_rate: f64,
    pub(super) rate: f64,
    /// Bytes behind, newest last.
    pub(super) lags: VecDeque<u64>,
}

impl Watch {
    /// Takes in a new status, as it was at `now`.
    pub(super) fn see(&mut self, status: Status, now: Instant) {
        let same = self.status.started_at == status.started_at;
        let seconds = self.seen.filter(|_| same).map(|seen| now.duration_since(seen).as_secs_f64());
        self.jobs.retain(|id, _| status.pipelines.iter().any(|job| job.id == *id));
        for job in &status.pipelines {
            let known = self.jobs.contains_key(&job.id);
            let past = self.jobs.entry(job.id.clone()).or_default();
            if let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0 && known) {
                past.read_rate = job.read_bytes.saturating_sub(past.read_bytes) as f64 / seconds;
                past.rate = job.acknowledged_records.saturating_sub(past.acknowledged) as f64 / seconds;
            }
            (past.read_bytes, past.acknowledged) = (job.read_bytes, job.acknowledged_records);
            past.lags.push_back(job.lag_bytes);
            if past.lags.len() > REMEMBERED {
                past.lags.pop_front();
            }
        }
        // Others may have come before it.
        let same = self.chosen().and_then(|job| status.pipelines.iter().position(|other| other.id == job.id));
        self.chosen = same.unwrap_or(self.chosen).min(status.pipelines.len().saturating_sub(1));
        if std::mem::take(&mut self.missing) {
            self.said.clear();
        }
        (self.status, self.seen) = (status, Some(now));
    }

    /// The agent did not answer.
    pub(super) fn miss(&mut self, why: &str) {
        (self.missing, self.said) = (true, why.to_owned());
    }

    pub(super) fn say(&mut self, what: String) {
        self.said = what;
    }

    pub(super) fn past(&self, job: &str) -> Option<&Past> {
        self.jobs.get(job)
    }

    /// Goes up or down in the list of jobs.
    pub(super) fn choose(&mut self, step: isize) {
        let last = self.status.pipelines.len().saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(step).min(last);
    }

    pub(super) fn chosen_row(&self) -> usize {
        self.chosen
    }

    pub(super) fn chosen(&self) -> Option<&PipelineStatus> {
        self.status.pipelines.get(self.chosen)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(super) fn status(acknowledged: u64, lag: u64) -> Status {
        let job = PipelineStatus {
            id: "web".to_owned(),
            acknowledged_records: acknowledged,
            lag_bytes: lag,
            ..PipelineStatus::default()
        };
        Status { started_at: "2026-01-31T08:00:00Z".to_owned(), pipelines: vec![job], ..Status::default() }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks_and_none_of_a_new_agent() {
        let (mut watch, begin) = (Watch::default(), Instant::now());
        watch.see(status(1000, 5), begin);
        assert_eq!(watch.past("web").unwrap().rate, 0.0);
        watch.see(status(3000, 7), begin + Duration::from_secs(2));
        assert_eq!(watch.past("web").unwrap().rate, 1000.0);
        assert_eq!(watch.past("web").unwrap().lags, [5, 7]);
        let anew = Status { started_at: "2026-01-31T09:00:00Z".to_owned(), ..status(10, 0) };
        watch.see(anew, begin + Duration::from_secs(3));
        watch.see(Status { pipelines: Vec::new(), ..status(0, 0) }, begin + Duration::from_secs(4));
        assert!(watch.past("web").is_none() && watch.chosen().is_none());
    }

    #[test]
    fn the_chosen_job_stays_chosen_when_others_come_before_it() {
        let of = |ids: &[&str]| {
            let job = |id: &&str| PipelineStatus { id: (*id).to_owned(), ..PipelineStatus::default() };
            Status { pipelines: ids.iter().map(job).collect(), ..Status::default() }
        };
        let mut watch = Watch::default();
        watch.see(of(&["a", "c"]), Instant::now());
        watch.choose(1);
        watch.see(of(&["a", "b", "c"]), Instant::now());
        assert_eq!(watch.chosen().unwrap().id, "c");
        watch.see(of(&["a", "b"]), Instant::now());
        assert_eq!(watch.chosen().unwrap().id, "b");
    }

    #[test]
    fn an_agent_that_is_back_is_not_called_missing() {
        let mut watch = Watch::default();
        watch.see(status(1, 0), Instant::now());
        watch.miss("is splashdam running?");
        assert!(watch.missing);
        watch.see(status(1, 0), Instant::now());
        assert!(!watch.missing && watch.said.is_empty());
    }
}
