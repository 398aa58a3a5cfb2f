//! `splashctl doctor`: what the agent finds around it, a line each, with what to do next; exit code 7 if something is bad.

use splashdam_api::words::plural;
use splashdam_api::{Check, Client, Diagnosis, Verdict};

use crate::exit::Exit;
use crate::output::{Output, Tone, harmless, paint};

pub(crate) async fn run(client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let diagnosis = client.doctor().await?;
    output.show(&diagnosis, |colour| render(&diagnosis, colour))?;
    if !output.is_json() {
        output.say(&sum(&diagnosis));
    }
    Ok(if diagnosis.well() { Exit::Done } else { Exit::Unwell })
}

fn render(diagnosis: &Diagnosis, colour: bool) -> String {
    let width = diagnosis.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut of: Option<&Option<String>> = None;
    // The jobs' own states come before what was looked at for each: all of a job stands together here.
    let mut checks: Vec<&Check> = diagnosis.checks.iter().collect();
    checks.sort_by(|a, b| a.job.cmp(&b.job));
    for check in checks {
        if of != Some(&check.job) {
            let head =
                check.job.as_ref().map_or("machine and agent".to_owned(), |job| format!("job {}", harmless(job)));
            text.push_str(&format!("{head}\n"));
            of = Some(&check.job);
        }
        let (word, tone) = match check.verdict {
            Verdict::Ok => ("ok  ", Tone::Good),
            Verdict::Warn => ("warn", Tone::Warning),
            Verdict::Bad => ("bad ", Tone::Bad),
            Verdict::Unknown => ("?   ", Tone::Plain),
        };
        let name = harmless(&check.name);
        let verdict = paint(word, tone, colour);
        text.push_str(&format!("  {verdict}  {name:width$}  {}\n", harmless(&check.found)));
        if let Some(advice) = &check.advice {
            text.push_str(&format!("  {:4}  {:width$}  → {}\n", "", "", harmless(advice)));
        }
    }
    text
}

/// `2 bad, 1 to know, 9 well`
fn sum(diagnosis: &Diagnosis) -> String {
    let (bad, warn) = (diagnosis.count(Verdict::Bad), diagnosis.count(Verdict::Warn));
    match (bad, warn) {
        (0, 0) => "all is well".to_owned(),
        (0, warn) => format!("nothing is bad; {} to know of", plural(warn, "thing")),
        (bad, 0) => format!("{} bad", plural(bad, "thing")),
        (bad, warn) => format!("{} bad, {warn} to know of", plural(bad, "thing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_a_line_and_what_is_wrong_its_advice() {
        let check = |job: Option<&str>, name: &str, verdict, found: &str, advice: Option<&str>| Check {
            job: job.map(str::to_owned),
            name: name.to_owned(),
            verdict,
            found: found.to_owned(),
            advice: advice.map(str::to_owned),
        };
        let diagnosis = Diagnosis {
            checks: vec![
                check(Some("web"), "state", Verdict::Ok, "running", None),
                check(None, "disk", Verdict::Warn, "tight", Some("make room")),
                check(Some("web"), "mapping", Verdict::Bad, "n is of type long", Some("mend it")),
            ],
        };
        let want = "\
machine and agent
  warn  disk     tight
                 → make room
job web
  ok    state    running
  bad   mapping  n is of type long
                 → mend it
";
        assert_eq!(render(&diagnosis, false), want);
        assert_eq!(sum(&diagnosis), "1 thing bad, 1 to know of");
        assert!(!diagnosis.well());
    }
}
