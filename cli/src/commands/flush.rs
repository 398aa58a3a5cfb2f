//! `splashctl flush`: ship what was read, now; exit code 4 if something is still owed after waiting.

use splashdam_api::words::{bytes, count, plural};
use splashdam_api::{Client, Flushed};

use crate::exit::Exit;
use crate::output::{Output, harmless};

pub(crate) async fn run(pipeline: Option<&str>, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let flushed = client.flush(pipeline).await?;
    if flushed.pipelines.is_empty() {
        output.say("no job is running");
    }
    output.show(&flushed, |_| render(&flushed))?;
    Ok(if flushed.complete() { Exit::Done } else { Exit::StillOwed })
}

fn render(flushed: &Flushed) -> String {
    let mut text = String::new();
    for pipeline in &flushed.pipelines {
        if pipeline.owed_records == 0 {
            let acknowledged = plural(pipeline.acknowledged_records, "record");
            text.push_str(&format!("{}: all is acknowledged ({acknowledged} just now)\n", pipeline.id));
        } else {
            let acknowledged = count(pipeline.acknowledged_records);
            let (records, size) = (plural(pipeline.owed_records, "record"), bytes(pipeline.owed_bytes));
            text.push_str(&format!("{}: still owed: {records} ({size})", pipeline.id));
            if let Some(why) = &pipeline.why {
                text.push_str(&format!(": {}", harmless(why)));
            }
            text.push_str(&format!(" ({acknowledged} acknowledged just now)\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use splashdam_api::FlushedPipeline;

    use super::*;

    #[test]
    fn what_is_still_owed_is_said_with_the_reason() {
        let done = FlushedPipeline { id: "web".to_owned(), acknowledged_records: 1200, ..FlushedPipeline::default() };
        let owed = FlushedPipeline {
            id: "audit".to_owned(),
            owed_records: 3,
            owed_bytes: 900,
            why: Some("connection refused".to_owned()),
            ..FlushedPipeline::default()
        };
        assert_eq!(
            render(&Flushed { pipelines: vec![done, owed] }),
            "web: all is acknowledged (1,200 records just now)\n\
             audit: still owed: 3 records (900 B): connection refused (0 acknowledged just now)\n"
        );
        let one = FlushedPipeline { id: "a".to_owned(), acknowledged_records: 1, ..FlushedPipeline::default() };
        let last = FlushedPipeline { id: "b".to_owned(), owed_records: 1, owed_bytes: 9, ..FlushedPipeline::default() };
        assert_eq!(
            render(&Flushed { pipelines: vec![one, last] }),
            "a: all is acknowledged (1 record just now)\n\
             b: still owed: 1 record (9 B) (0 acknowledged just now)\n"
        );
    }
}
