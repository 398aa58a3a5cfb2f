//! `splashctl positions reset JOB` and `set JOB PATH`: read again or from another place, after a yes.

use anyhow::bail;
use splashdam_api::words::{count, plural};
use splashdam_api::{Client, Place, Reset, ResetHow, ResetSources, ResetTo};

use super::ask::{self, Answer};
use crate::args::{Resetting, Setting};
use crate::exit::Exit;
use crate::output::{Output, Tone};
use crate::table::{Column, Table};

pub(crate) async fn run(asked: &Resetting, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let reset = Reset { pipeline: asked.job.clone(), to: to(&asked.to)?, how: asked.how(), only_look: true };
    go(reset, asked.yes, client, output).await
}

/// `splashctl positions set JOB PATH`: one file from another place, after a yes.
pub(crate) async fn set(asked: &Setting, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let place = Place { path: asked.path.clone(), offset: offset(&asked.to)? };
    let how = if asked.overwrite { ResetHow::Overwrite } else { ResetHow::Fill };
    let reset = Reset { pipeline: asked.job.clone(), to: ResetTo::Place(place), how, only_look: true };
    go(reset, asked.yes, client, output).await
}

async fn go(mut reset: Reset, yes: bool, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let sources = client.reset_positions(&reset).await?;
    if !yes {
        output.say(&render(&sources, output.colour()));
        let what =
            format!("to read {} of {} from there", plural(sources.sources.len() as u64, "source"), reset.pipeline);
        output.say(consequence(reset.how));
        match ask::ask(output, &what, &format!("Read {} on from there? [y/N]", reset.pipeline))? {
            Answer::Yes => {}
            Answer::No => {
                output.say("Nothing was changed.");
                return Ok(Exit::NotConfirmed);
            }
        }
    }
    reset.only_look = false;
    let done = client.reset_positions(&reset).await?;
    let words = format!(
        "{} of {} read on from there; `splashctl status` counts what was there already apart from what was shipped\n",
        plural(done.sources.len() as u64, "source"),
        reset.pipeline
    );
    output.show(&done, |_| words)?;
    Ok(Exit::Done)
}

/// What becomes of the documents that are there.
fn consequence(how: ResetHow) -> &'static str {
    match how {
        ResetHow::Fill => "Documents that are there stay as they are; those that are missing are added.",
        ResetHow::Overwrite => "Documents that are there are replaced; those that are missing are added.",
        ResetHow::Again => "All of it is shipped under new ids: what is there will be there twice.",
    }
}

/// `beginning`, or a time.
fn to(text: &str) -> anyhow::Result<ResetTo> {
    if text == "beginning" {
        return Ok(ResetTo::Beginning);
    }
    let time = humantime::parse_rfc3339_weak(text);
    let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    match since {
        Some(since) => Ok(ResetTo::At(since.as_secs().cast_signed())),
        None => bail!("--to is \"beginning\" or a time (in UTC) like 2026-11-21T08:00:00Z, found \"{text}\""),
    }
}

/// A byte, or `end`.
fn offset(text: &str) -> anyhow::Result<Option<u64>> {
    match text.replace([',', '_'], "").parse() {
        _ if text == "end" => Ok(None),
        Ok(offset) => Ok(Some(offset)),
        Err(_) => bail!("--to is \"end\" or the byte at which a line begins, like 0 or 4096, found \"{text}\""),
    }
}

fn render(sources: &ResetSources, colour: bool) -> String {
    use Column::{Left, Right};
    let mut table = Table::new(&[Right("READ TO"), Right("GOES TO"), Right("AGAIN"), Left("SOURCE")]);
    for source in &sources.sources {
        let numbers = [source.from, source.to, source.from.saturating_sub(source.to)].map(count);
        let cells = numbers.into_iter().chain([source.path.clone()]);
        table.row(cells.map(|cell| (cell, Tone::Plain)).collect());
        if source.to > source.from {
            let passed = format!("that is forward: {} are not read", count(source.to - source.from));
            table.remark(&passed, Tone::Bad);
        }
    }
    table.render(colour).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use splashdam_api::ResetSource;

    use super::*;

    #[test]
    fn a_place_is_the_beginning_or_a_time() {
        assert_eq!(to("beginning").unwrap(), ResetTo::Beginning);
        assert_eq!(to("1970-01-01T00:01:00Z").unwrap(), ResetTo::At(60));
        assert_eq!(to("1970-01-01 00:01:00").unwrap(), ResetTo::At(60));
        assert!(to("yesterday").unwrap_err().to_string().contains("2026-11-21T08:00:00Z"));
    }

    #[test]
    fn a_place_in_a_file_is_a_byte_or_its_end() {
        assert_eq!((offset("end").unwrap(), offset("4,096").unwrap()), (None, Some(4096)));
        assert!(offset("beginning").unwrap_err().to_string().contains("like 0"));
    }

    #[test]
    fn going_forward_says_what_is_passed_over() {
        let source = |from, to| ResetSource { path: "p/l/0".to_owned(), from, to };
        let sources = ResetSources { sources: vec![source(1000, 7), source(5, 8)] };
        let want = "\
READ TO  GOES TO  AGAIN  SOURCE
  1,000        7    993  p/l/0
      5        8      0  p/l/0
    that is forward: 3 are not read";
        assert_eq!(render(&sources, false), want);
    }
}
