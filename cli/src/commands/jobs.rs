//! `splashctl jobs`: what there is to do, a line for each.

use splashdam_api::{Client, Job, State};

use super::status::tone;
use crate::exit::Exit;
use crate::output::{Output, Tone};
use crate::table::{Column, Table};

/// What a job reads, or writes to, is cut here; `--json` has all of it.
const WIDEST: usize = 48;

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let jobs = client.jobs().await?;
    if jobs.is_empty() && !output.is_json() {
        output.say("no job is running");
        return Ok(Exit::Done);
    }
    output.show(&jobs, |colour| render(&jobs, colour))?;
    Ok(Exit::Done)
}

fn render(jobs: &[Job], colour: bool) -> String {
    use Column::Left;
    let mut table =
        Table::new(&[Left("JOB"), Left("STATE"), Left("KIND"), Left("SOURCE"), Left("INDEX"), Left("FILE")]);
    for job in jobs {
        let file = job.file.clone().unwrap_or_else(|| "-".to_owned());
        let kind = if job.kind.is_empty() { "-".to_owned() } else { job.kind.clone() };
        let state = tone_of(&job.state);
        let cells = [
            (job.id.clone(), Tone::Plain),
            (job.state.clone(), state),
            (kind, Tone::Plain),
            (short(&job.sources), Tone::Plain),
            (short(&job.targets), Tone::Plain),
            (file, Tone::Faint),
        ];
        table.row(cells.to_vec());
        if let Some(why) = job.why.as_deref().filter(|_| state == Tone::Bad) {
            table.remark(why, state);
        }
    }
    table.render(colour)
}

/// As `status` colours it; a word that it does not have is a bad one.
fn tone_of(state: &str) -> Tone {
    let known: State = serde_json::from_value(state.into()).unwrap_or_default();
    if known == State::Unknown { Tone::Bad } else { tone(known) }
}

/// The first, and how many more there are.
fn short(names: &[String]) -> String {
    let Some(first) = names.first() else { return "-".to_owned() };
    let cut = first.chars().count() > WIDEST;
    let mut text: String = if cut { first.chars().take(WIDEST - 1).chain(['…']).collect() } else { first.clone() };
    if names.len() > 1 {
        text.push_str(&format!(" +{}", names.len() - 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_a_line_and_those_that_stand_still_their_reason() {
        let job = |id: &str, state: &str, kind: &str, sources: &[&str]| Job {
            id: id.to_owned(),
            state: state.to_owned(),
            why: Some("because".to_owned()),
            kind: kind.to_owned(),
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
            targets: vec!["logs-web".to_owned()],
            file: Some(format!("/etc/splashdam/jobs.d/{id}.toml")),
        };
        let refused = Job { targets: Vec::new(), ..job("bad", "refused", "", &[]) };
        let long = format!("/{}", "x".repeat(60));
        let jobs =
            [refused, job("shop", "waiting", "logstore", &["p/shop"]), job("web", "running", "file", &[&long, "/b"])];
        let want = format!(
            "\
JOB   STATE    KIND      SOURCE                                               INDEX     FILE
bad   refused  -         -                                                    -         /etc/splashdam/jobs.d/bad.toml
    because
shop  waiting  logstore  p/shop                                               logs-web  /etc/splashdam/jobs.d/shop.toml
web   running  file      /{}… +1  logs-web  /etc/splashdam/jobs.d/web.toml
",
            "x".repeat(46)
        );
        assert_eq!(render(&jobs, false), want);
        assert!(render(&jobs, true).contains("\x1b[31mrefused"));
    }
}
