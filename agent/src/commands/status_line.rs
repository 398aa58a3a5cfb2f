//! The agent in one line for a human, as `systemctl status` shows it.

use splashdam_api::words::{count, plural};
use splashdam_api::{Health, PipelineStatus, State, Status};

/// Longest line; systemd takes more, people don't.
const LONGEST: usize = 200;

/// `3 jobs, 1 failed (web: …); 1,200 records acknowledged, 3 owed`
pub(super) fn of(status: &Status) -> String {
    let jobs = &status.pipelines;
    if jobs.is_empty() {
        return "no job to run".to_owned();
    }
    let mut line = plural(jobs.len() as u64, "job");
    for state in [State::Failed, State::Parked, State::DiskFull, State::Full] {
        line.push_str(&standing(jobs, state));
    }
    let unreachable = jobs.iter().find(|job| job.state == State::Waiting && job.why.is_some() && job.owed_records > 0);
    if let Some(job) = unreachable {
        line.push_str(&format!(", {}", named(job, "waits")));
    }
    if status.health == Health::Degraded
        && let Some(note) = status.notes.first()
    {
        line.push_str(&format!(", degraded ({note})"));
    }
    let sum = |of: fn(&PipelineStatus) -> u64| jobs.iter().map(of).sum::<u64>();
    let (acknowledged, owed) = (sum(|job| job.acknowledged_records), sum(|job| job.owed_records));
    let (records, dead) = (plural(acknowledged, "record"), sum(|job| job.dead_letters));
    let mut end = format!("; {records} acknowledged, {} owed", count(owed));
    if dead > 0 {
        end.push_str(&format!(", {}", plural(dead, "dead letter")));
    }
    let room = LONGEST.saturating_sub(end.chars().count());
    if line.chars().count() > room {
        line = line.chars().take(room.saturating_sub(1)).chain(['…']).collect();
    }
    // A line of one's own is all there is: no control characters.
    line.push_str(&end);
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `, 2 parked (web: the index is closed)`
fn standing(jobs: &[PipelineStatus], state: State) -> String {
    let mut of = jobs.iter().filter(|job| job.state == state);
    let Some(first) = of.next() else { return String::new() };
    match of.count() {
        0 => format!(", {}", named(first, &state.to_string())),
        others => format!(", {} {state} ({})", others + 1, why(first)),
    }
}

fn named(job: &PipelineStatus, word: &str) -> String {
    format!("1 {word} ({})", why(job))
}

fn why(job: &PipelineStatus) -> String {
    match &job.why {
        Some(why) => format!("{}: {why}", job.id),
        None => job.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, state: State, why: Option<&str>) -> PipelineStatus {
        let why = why.map(str::to_owned);
        PipelineStatus { id: id.to_owned(), state, why, acknowledged_records: 600, ..PipelineStatus::default() }
    }

    #[test]
    fn the_line_says_what_runs_what_stands_and_why() {
        let mut status = Status::default();
        assert_eq!(of(&status), "no job to run");
        status.pipelines = vec![job("web", State::Running, None), job("db", State::Waiting, None)];
        assert_eq!(of(&status), "2 jobs; 1,200 records acknowledged, 0 owed");
        status.pipelines[0] = job("web", State::Parked, Some("the index\nis closed"));
        status.pipelines[0].owed_records = 7;
        assert_eq!(of(&status), "2 jobs, 1 parked (web: the index is closed); 1,200 records acknowledged, 7 owed");
    }

    #[test]
    fn a_long_reason_leaves_room_for_the_figures() {
        let long = "x".repeat(500);
        let status = Status { pipelines: vec![job("web", State::Failed, Some(&long))], ..Status::default() };
        let line = of(&status);
        assert!(line.chars().count() <= LONGEST && line.ends_with("…; 600 records acknowledged, 0 owed"), "{line}");
    }
}
