//! `splashctl pause` and `resume`: whether a job reads on.

use splashdam_api::Client;

use crate::exit::Exit;
use crate::output::{Output, harmless};

/// `pipeline`: the job; `None`: all.
pub(crate) async fn run(
    pipeline: Option<&str>,
    paused: bool,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let steered = if paused { client.pause(pipeline).await? } else { client.resume(pipeline).await? };
    output.show(&steered, |_| render(&steered.pipelines, paused))?;
    Ok(Exit::Done)
}

fn render(jobs: &[String], paused: bool) -> String {
    let jobs: Vec<String> = jobs.iter().map(|job| harmless(job)).collect();
    match (jobs.is_empty(), paused) {
        (true, true) => "nothing to pause: it is paused already\n".to_owned(),
        (true, false) => "nothing to resume: it was not paused\n".to_owned(),
        (false, true) => format!("{}: paused; what was read is shipped\n", jobs.join(", ")),
        (false, false) => format!("{}: reading goes on\n", jobs.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_which_jobs_stand_still_and_which_go_on() {
        let jobs = ["web".to_owned(), "syslog".to_owned()];
        assert_eq!(render(&jobs, true), "web, syslog: paused; what was read is shipped\n");
        assert_eq!(render(&jobs, false), "web, syslog: reading goes on\n");
        assert_eq!(render(&[], false), "nothing to resume: it was not paused\n");
    }
}
