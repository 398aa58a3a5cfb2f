//! `splashctl drop-owed JOB`: forget what a job owes to sinks that its script has no more, after a yes.

use splashdam_api::words::{bytes, count, plural};
use splashdam_api::{Client, DropOwed, OwedToGone};

use super::ask::{self, Answer};
use crate::args::DroppingOwed;
use crate::exit::Exit;
use crate::output::{Output, Tone};
use crate::table::{Column, Table};

pub(crate) async fn run(asked: &DroppingOwed, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let (pipeline, sink) = (asked.job.clone(), asked.sink.clone());
    let mut drop = DropOwed { pipeline, sink, only_look: true };
    if !asked.yes {
        let owed = client.drop_owed(&drop).await?;
        output.say(&render(&owed, output.colour()));
        let what = format!("{} that {} owes to sinks which are gone", documents(&owed), drop.pipeline);
        if ask::ask(output, &format!("to drop {what}"), &format!("Drop {what} for good? [y/N]"))? == Answer::No {
            output.say("Nothing was dropped.");
            return Ok(Exit::NotConfirmed);
        }
    }
    drop.only_look = false;
    let done = client.drop_owed(&drop).await?;
    output.show(&done, |_| format!("{} of {} dropped\n", documents(&done), drop.pipeline))?;
    Ok(Exit::Done)
}

fn documents(owed: &OwedToGone) -> String {
    plural(owed.lanes.iter().map(|lane| lane.documents).sum(), "document")
}

fn render(owed: &OwedToGone, colour: bool) -> String {
    use Column::{Left, Right};
    let mut table = Table::new(&[Right("OWED"), Right("SIZE"), Left("SINK"), Left("INDEX")]);
    for lane in &owed.lanes {
        let sink = if lane.sink.is_empty() { "(another kind of job)".to_owned() } else { lane.sink.clone() };
        let cells = [count(lane.documents), bytes(lane.bytes), sink, lane.index.clone()];
        table.row(cells.map(|cell| (cell, Tone::Plain)).to_vec());
    }
    table.render(colour).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use splashdam_api::OwedLane;

    use super::*;

    #[test]
    fn it_is_shown_which_sink_and_index_would_lose_what() {
        let lane = |sink: &str, index: &str, documents| OwedLane {
            sink: sink.to_owned(),
            index: index.to_owned(),
            documents,
            bytes: 2048,
        };
        let owed = OwedToGone { lanes: vec![lane("old", "olds-1", 1200), lane("", "logs", 1)] };
        let want = " OWED     SIZE  SINK                   INDEX
1,200  2.0 KiB  old                    olds-1
    1  2.0 KiB  (another kind of job)  logs";
        assert_eq!(render(&owed, false), want);
        assert_eq!(documents(&owed), "1,201 documents");
    }
}
