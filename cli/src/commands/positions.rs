//! `splashctl positions ls`: how far every source is read.

use splashdam_api::words::count;
use splashdam_api::{Client, PipelinePositions, Position};

use crate::exit::Exit;
use crate::output::{Output, Tone};
use crate::table::{Column, Table};

pub(crate) async fn run(pipeline: Option<&str>, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let positions = client.positions(pipeline).await?;
    output.show(&positions, |colour| render(&positions, colour))?;
    Ok(Exit::Done)
}

fn render(pipelines: &[PipelinePositions], colour: bool) -> String {
    use Column::{Left, Right};
    let mut table =
        Table::new(&[Left("JOB"), Right("SOURCE"), Right("OFFSET"), Right("SIZE"), Left("STATE"), Left("PATH")]);
    for pipeline in pipelines {
        for position in &pipeline.positions {
            let behind = position.size.is_some_and(|size| size > position.offset);
            let cells = [
                (pipeline.pipeline.clone(), Tone::Plain),
                (position.source.to_string(), Tone::Plain),
                (count(position.offset), if behind { Tone::Warning } else { Tone::Plain }),
                (position.size.map_or_else(|| "-".to_owned(), count), Tone::Plain),
                (state(position), Tone::Plain),
                (position.path.clone(), Tone::Plain),
            ];
            table.row(cells.to_vec());
        }
    }
    table.render(colour)
}

/// A shard is told of by how late it is: its end is known to the service alone.
fn state(position: &Position) -> String {
    match position.lag_seconds {
        Some(0) => format!("{}, at its end", position.state),
        Some(seconds) => format!("{}, {} s behind", position.state, count(seconds)),
        None => position.state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_and_shard_has_a_line() {
        let position = |path: &str, offset, size, state: &str| Position {
            path: path.to_owned(),
            source: offset % 7,
            offset,
            size,
            state: state.to_owned(),
            lag_seconds: None,
        };
        let positions = vec![
            position("/var/log/access.log", 123_456, Some(200_000), "active"),
            Position { lag_seconds: Some(75), ..position("p/l/1", 20, None, "reading") },
            Position { lag_seconds: Some(0), ..position("p/l/2", 20, None, "reading") },
            position("/var/log/old\x1b[2J.log", 9, None, "gone"),
        ];
        let text = render(&[PipelinePositions { pipeline: "web".to_owned(), positions }], false);
        let want = "\
JOB  SOURCE   OFFSET     SIZE  STATE                 PATH
web       4  123,456  200,000  active                /var/log/access.log
web       6       20        -  reading, 75 s behind  p/l/1
web       6       20        -  reading, at its end   p/l/2
web       2        9        -  gone                  /var/log/old\u{fffd}[2J.log
";
        assert_eq!(text, want);
    }
}
