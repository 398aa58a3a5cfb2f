//! The progress line of `run`: one line on a terminal, written over itself; nothing elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use splashdam_api::words::plural;

use crate::log;
use crate::pipeline::{Agent, Progress};

const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct ProgressLine {
    shown: Option<(Instant, u64)>,
    enabled: bool,
    once: bool,
    rate: u64,
}

impl ProgressLine {
    /// `once`: the end is known.
    pub(super) fn new(once: bool) -> ProgressLine {
        ProgressLine { shown: None, enabled: std::io::stderr().is_terminal(), once, rate: 0 }
    }

    /// Shows how far it is, if it is time to.
    pub(super) fn show(&mut self, agent: &Agent) {
        let now = Instant::now();
        let due = self.shown.is_none_or(|(at, _)| now.duration_since(at) >= PAUSE);
        if !self.enabled || !due {
            return;
        }
        let progress = agent.progress();
        if let Some((at, records)) = self.shown {
            self.rate = (progress.records.saturating_sub(records) as f64 / now.duration_since(at).as_secs_f64()) as u64;
        }
        self.shown = Some((now, progress.records));
        log::progress(&self.text(&progress));
    }

    fn text(&self, p: &Progress) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let read = if self.once {
            format!("read {:.1} of {:.1} MiB", mib(p.read), mib(p.total))
        } else {
            format!("read {:.1} MiB, {:.1} to go", mib(p.read), mib(p.total.saturating_sub(p.read)))
        };
        let dead = match p.dead_letters {
            0 => String::new(),
            letters => format!(" · {}", plural(letters, "dead letter")),
        };
        format!("{read} · {} lines/s · {} owed · {} acknowledged{dead}", self.rate, p.owed, p.acknowledged)
    }

    /// Shows it a last time; it stays.
    pub(super) fn end(&mut self, agent: &Agent) {
        self.shown = None;
        self.show(agent);
        log::end_progress();
    }
}
