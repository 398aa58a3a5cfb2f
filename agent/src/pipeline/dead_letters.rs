//! What an operator does with dead letters: look, owe them again, forget them. Also those of jobs that were set aside.
//!
//! Promises: a number is a letter's own until it is gone. Nothing here runs on an async thread but the asking.

use splashdam_api as api;

use super::agent::Agent;
use super::query_outputs::Sinks;
use super::status;
use crate::store::{self, StoreError};

impl Agent {
    pub(crate) async fn dead_letters(
        &self,
        pipeline: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<api::DeadLetter>, String> {
        // Of a job that was set aside every sink is named.
        let unknown = Sinks::default();
        let running = self.roster.now().of(pipeline).cloned();
        let sinks = running.as_ref().map_or(&unknown, |p| &p.sinks);
        let letters = self.blocking(pipeline, move |door| door.dead_letters(from, limit)).await?;
        let shown = |(number, letter): (u64, _)| status::dead_letter(pipeline, number, &letter, sinks);
        Ok(letters.into_iter().map(shown).collect())
    }

    /// Owes dead letters again; `None`: all. Returns how many.
    pub(crate) async fn replay_dead_letters(&self, pipeline: &str, numbers: Option<Vec<u64>>) -> Result<u64, String> {
        self.for_numbers(pipeline, numbers, replay).await
    }

    /// Forgets dead letters; `None`: all. Returns how many.
    pub(crate) async fn drop_dead_letters(&self, pipeline: &str, numbers: Option<Vec<u64>>) -> Result<u64, String> {
        self.for_numbers(pipeline, numbers, store::Pipeline::drop_dead_letters).await
    }

    async fn for_numbers(
        &self,
        pipeline: &str,
        numbers: Option<Vec<u64>>,
        act: fn(&store::Pipeline, &[u64]) -> Result<u64, StoreError>,
    ) -> Result<u64, String> {
        self.blocking(pipeline, move |door| {
            if let Some(numbers) = numbers {
                return act(&door, &numbers);
            }
            let (mut from, mut done) = (0, 0);
            loop {
                let page = door.dead_letters(from, 1000)?;
                let numbers: Vec<u64> = page.iter().map(|(number, _)| *number).collect();
                let Some(last) = numbers.last() else { return Ok(done) };
                from = last + 1;
                done += act(&door, &numbers)?;
            }
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        pipeline: &str,
        work: impl FnOnce(store::Pipeline) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let door = self.door(pipeline)?;
        let done = tokio::task::spawn_blocking(move || work(door)).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }
}

/// Owes letters again, but for partial updates: what they say may have been overtaken, and they have no version by
/// which Elasticsearch could tell. (The next change of the row brings all of it.)
fn replay(door: &store::Pipeline, numbers: &[u64]) -> Result<u64, StoreError> {
    let mut chosen = Vec::with_capacity(numbers.len());
    for number in numbers {
        let listed = door.dead_letters(*number, 1)?;
        let whole = |letter: &crate::record::DeadLetter| !letter.action.starts_with(b"{\"update\":");
        chosen.extend(listed.into_iter().filter(|(n, letter)| n == number && whole(letter)).map(|(n, _)| n));
    }
    door.replay_dead_letters(&chosen)
}
