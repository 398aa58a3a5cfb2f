//! What the control socket can ask of an agent. The agent is one implementation, the tests' stand-in the other.

use std::future::Future;

use splashdam_api::{
    Configuration, Connections, DeadLetter, Diagnosis, DropOwed, Flushed, Found, Job, OwedToGone, PipelinePositions,
    Reloaded, Reset, ResetSources, Search, Status, Steered, Tap, Tapped,
};

use crate::pipeline::Agent;

pub(super) trait Operations: Send + Sync + 'static {
    fn status(&self) -> Status;
    fn jobs(&self) -> Vec<Job>;
    fn metrics_text(&self) -> String;
    /// What it runs with, of one job or of all.
    fn configuration(&self, job: Option<&str>) -> Result<Configuration, String>;
    fn positions(&self, pipeline: Option<&str>) -> Vec<PipelinePositions>;
    /// `paused`: nothing more is read; else it goes on.
    fn pause(&self, pipeline: Option<&str>, paused: bool) -> Result<Steered, String>;
    fn flush(&self, pipeline: Option<&str>) -> impl Future<Output = Result<Flushed, String>> + Send;
    /// Has the configuration read again; an error is why nothing was changed.
    fn reload(&self) -> impl Future<Output = Result<Reloaded, String>> + Send;
    fn reset_positions(&self, reset: &Reset) -> impl Future<Output = Result<ResetSources, String>> + Send;
    /// What is owed to sinks that are gone.
    fn drop_owed(&self, asked: &DropOwed) -> impl Future<Output = Result<OwedToGone, String>> + Send;
    /// Of a job or a named connection.
    fn test_connection(&self, name: &str) -> impl Future<Output = Result<Connections, String>> + Send;
    /// What is around the agent, looked at.
    fn doctor(&self) -> impl Future<Output = Result<Diagnosis, String>> + Send;
    /// Documents that have arrived.
    fn search(&self, search: &Search) -> impl Future<Output = Result<Found, String>> + Send;
    /// Waits some seconds for documents to pass.
    fn tap(&self, tap: &Tap) -> impl Future<Output = Result<Tapped, String>> + Send;
    /// Those with numbers of `from` and above, in order.
    fn dead_letters(
        &self,
        pipeline: &str,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, String>> + Send;
    /// `None`: all.
    fn replay_dead_letters(
        &self,
        pipeline: &str,
        numbers: Option<Vec<u64>>,
    ) -> impl Future<Output = Result<u64, String>> + Send;
    /// `None`: all.
    fn drop_dead_letters(
        &self,
        pipeline: &str,
        numbers: Option<Vec<u64>>,
    ) -> impl Future<Output = Result<u64, String>> + Send;
}

impl Operations for Agent {
    fn status(&self) -> Status {
        Agent::status(self)
    }

    fn jobs(&self) -> Vec<Job> {
        self.list_jobs()
    }

    fn metrics_text(&self) -> String {
        Agent::metrics_text(self)
    }

    fn configuration(&self, job: Option<&str>) -> Result<Configuration, String> {
        Agent::configuration(self, job)
    }

    fn positions(&self, pipeline: Option<&str>) -> Vec<PipelinePositions> {
        Agent::positions(self, pipeline)
    }

    fn pause(&self, pipeline: Option<&str>, paused: bool) -> Result<Steered, String> {
        Agent::pause(self, pipeline, paused)
    }

    async fn flush(&self, pipeline: Option<&str>) -> Result<Flushed, String> {
        Agent::flush(self, pipeline).await
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        Agent::ask_for_reload(self).await
    }

    async fn reset_positions(&self, reset: &Reset) -> Result<ResetSources, String> {
        Agent::reset_positions(self, reset).await
    }

    async fn drop_owed(&self, asked: &DropOwed) -> Result<OwedToGone, String> {
        Agent::drop_owed(self, asked).await
    }

    async fn test_connection(&self, name: &str) -> Result<Connections, String> {
        Agent::test_connection(self, name).await
    }

    async fn doctor(&self) -> Result<Diagnosis, String> {
        Agent::doctor(self).await
    }

    async fn search(&self, search: &Search) -> Result<Found, String> {
        Agent::search(self, search).await
    }

    async fn tap(&self, tap: &Tap) -> Result<Tapped, String> {
        Agent::tap(self, tap).await
    }

    async fn dead_letters(&self, pipeline: &str, from: u64, limit: usize) -> Result<Vec<DeadLetter>, String> {
        Agent::dead_letters(self, pipeline, from, limit).await
    }

    async fn replay_dead_letters(&self, pipeline: &str, numbers: Option<Vec<u64>>) -> Result<u64, String> {
        Agent::replay_dead_letters(self, pipeline, numbers).await
    }

    async fn drop_dead_letters(&self, pipeline: &str, numbers: Option<Vec<u64>>) -> Result<u64, String> {
        Agent::drop_dead_letters(self, pipeline, numbers).await
    }
}
