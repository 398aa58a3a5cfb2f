//! `splashctl dead-letters ls`: one line for each.

use splashdam_api::words::count;
use splashdam_api::{Client, DeadLetter};

use super::refused_by;
use crate::exit::Exit;
use crate::output::{Output, Tone};
use crate::table::{Column, Table};

/// A reason is cut here; `show` has all of it.
const REASON: usize = 100;

pub(crate) async fn run(
    pipeline: Option<&str>,
    limit: u64,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let kept = client.status().await?.pipelines.into_iter().map(|job| (job.id, job.dead_letters));
    // A job that is not known is asked for nevertheless: the agent's refusal says which there are.
    let of: Vec<(String, u64)> = match pipeline {
        Some(named) => vec![kept.into_iter().find(|(id, _)| id == named).unwrap_or((named.to_owned(), 0))],
        None => kept.filter(|(_, kept)| *kept > 0).collect(),
    };
    let mut letters = Vec::new();
    let mut more = 0;
    for (id, kept) in of {
        let found = first(&id, limit, client).await?;
        more += kept.saturating_sub(found.len() as u64);
        letters.extend(found);
    }
    if letters.is_empty() && !output.is_json() {
        output.say("no dead letters");
        return Ok(Exit::Done);
    }
    output.show(&letters, |colour| render(&letters, colour))?;
    if more > 0 {
        output.say(&format!("{} more (--limit N)", count(more)));
    }
    Ok(Exit::Done)
}

/// The first `limit` of a job, page by page.
async fn first(pipeline: &str, limit: u64, client: &Client) -> anyhow::Result<Vec<DeadLetter>> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    let mut from = 0;
    while (letters.len() as u64) < limit {
        let page = client.dead_letters(pipeline, from, limit - letters.len() as u64).await?;
        let Some(last) = page.last() else { break };
        from = last.number.saturating_add(1);
        letters.extend(page);
    }
    Ok(letters)
}

fn render(letters: &[DeadLetter], colour: bool) -> String {
    use Column::{Left, Right};
    let mut table =
        Table::new(&[Right("N"), Left("JOB"), Left("AT"), Left("INDEX"), Left("BY"), Left("KIND"), Left("REASON")]);
    for letter in letters {
        let mut reason: String = letter.reason.chars().take(REASON).collect();
        if reason.len() < letter.reason.len() {
            reason.push('…');
        }
        let at = letter.at.get(..19).unwrap_or(&letter.at).replace('T', " ");
        let index = if letter.index.is_empty() { "-" } else { &letter.index };
        let cells = [
            (letter.number.to_string(), Tone::Plain),
            (letter.pipeline.clone(), Tone::Plain),
            (at, Tone::Faint),
            (index.to_owned(), Tone::Plain),
            (refused_by(letter), Tone::Plain),
            (letter.kind.clone(), Tone::Warning),
            (reason, Tone::Plain),
        ];
        table.row(cells.to_vec());
    }
    table.render(colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dead_letter_has_a_line_with_its_reason() {
        let refused = DeadLetter {
            pipeline: "web".to_owned(),
            number: 7,
            at: "2026-01-31T12:05:00.123Z".to_owned(),
            index: "logs".to_owned(),
            kind: "mapper_parsing_exception".to_owned(),
            reason: "failed to parse field [n]".to_owned(),
            status: 400,
            ..DeadLetter::default()
        };
        let ours = DeadLetter {
            number: 12,
            index: String::new(),
            kind: "line_too_long".to_owned(),
            reason: format!("{}\n", "x".repeat(120)),
            status: 0,
            ..refused.clone()
        };
        let want = format!(
            " N  JOB  AT                   INDEX  BY     KIND                      REASON
 7  web  2026-01-31 12:05:00  logs   400    mapper_parsing_exception  failed to parse field [n]
12  web  2026-01-31 12:05:00  -      agent  line_too_long             {}…
",
            "x".repeat(100)
        );
        assert_eq!(render(&[refused, ours], false), want);
    }
}
