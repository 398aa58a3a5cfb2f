//! `GET /jobs`: what each job is, and how it is in a word. Also of those that do not run.

use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientError};

/// One job, also one that was set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Of a file that is refused its stem.
    pub id: String,
    /// As `status` has it; `refused`: there are mistakes in its file.
    pub state: String,
    /// Why it stands still, if it does.
    pub why: Option<String>,
    /// `file`, `stdin`, `logstore` or `SQL`; empty: not known.
    pub kind: String,
    /// Paths, or `project/logstore`.
    pub sources: Vec<String>,
    /// Indices as they are written in the job, with what stands for times and fields.
    pub targets: Vec<String>,
    pub file: Option<String>,
}

impl Client {
    pub async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
        self.get("/jobs", &[]).await
    }
}
