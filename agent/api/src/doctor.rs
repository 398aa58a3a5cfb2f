//! What the doctor has looked at: answer to `POST /doctor`.

use serde::{Deserialize, Serialize};

/// All checks, those of the machine first, then job by job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Diagnosis {
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// The job; `None`: of the machine or the agent.
    pub job: Option<String>,
    /// In a word or two: `disk`, `paths`, `mapping`, …
    pub name: String,
    pub verdict: Verdict,
    /// What was found, in one line.
    pub found: String,
    /// What to do next, where something is to be done.
    pub advice: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// It works, but someone should know.
    Warn,
    /// Something does not work, or is about to stop.
    Bad,
    /// A word of a newer agent.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Diagnosis {
    /// Nothing is bad.
    pub fn well(&self) -> bool {
        self.checks.iter().all(|check| check.verdict != Verdict::Bad)
    }

    pub fn count(&self, verdict: Verdict) -> u64 {
        self.checks.iter().filter(|check| check.verdict == verdict).count() as u64
    }
}
