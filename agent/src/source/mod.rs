//! (being built)
use crate::metrics::PipelineMetrics;
use crate::plan::SourcePlan;
use crate::record::*;
use std::time::Instant;
pub(crate) enum Source {}
#[derive(Clone)]
pub(crate) struct Waker;
impl Waker {
    pub(crate) fn wake(&self) {}
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub(crate) struct SourceError;
pub(crate) struct Progress {
    pub(crate) read: u64,
    pub(crate) total: u64,
}
pub(crate) struct FilePosition {
    pub(crate) path: String,
    pub(crate) source: SourceId,
    pub(crate) offset: u64,
    pub(crate) size: Option<u64>,
    pub(crate) state: &'static str,
}
impl Source {
    pub(crate) fn open(
        plan: &SourcePlan,
        rows: Vec<(u64, Box<[u8]>)>,
        once: bool,
        metrics: PipelineMetrics,
    ) -> Result<Source, SourceError> {
        unimplemented!()
    }
    pub(crate) fn poll(&mut self, budget: usize, now: Instant) -> Result<Step, SourceError> {
        unimplemented!()
    }
    pub(crate) fn next_look(&self, now: Instant) -> Instant {
        unimplemented!()
    }
    pub(crate) fn wait(&mut self, until: Instant) {
        unimplemented!()
    }
    pub(crate) fn waker(&self) -> Waker {
        unimplemented!()
    }
    pub(crate) fn finished(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn progress(&self) -> Progress {
        unimplemented!()
    }
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        unimplemented!()
    }
    pub(crate) fn positions(rows: &[(u64, Box<[u8]>)]) -> Vec<FilePosition> {
        unimplemented!()
    }
}
