//! The running agent as an operator sees it.

use splashdam_api::{DeadLetter, Flushed, PipelinePositions, Status};

pub(crate) struct Agent {}

impl Agent {
    pub(crate) fn status(&self) -> Status {
        Status::default()
    }
    pub(crate) fn metrics_text(&self) -> String {
        String::new()
    }
    pub(crate) fn positions(&self, _pipeline: Option<&str>) -> Vec<PipelinePositions> {
        Vec::new()
    }
    pub(crate) async fn flush(&self, _pipeline: Option<&str>) -> Result<Flushed, String> {
        Ok(Flushed::default())
    }
    pub(crate) async fn dead_letters(&self, _: &str, _from: u64, _limit: usize) -> Result<Vec<DeadLetter>, String> {
        Ok(Vec::new())
    }
    pub(crate) async fn replay_dead_letters(&self, _: &str, _numbers: Option<Vec<u64>>) -> Result<u64, String> {
        Ok(0)
    }
    pub(crate) async fn drop_dead_letters(&self, _: &str, _numbers: Option<Vec<u64>>) -> Result<u64, String> {
        Ok(0)
    }
}
