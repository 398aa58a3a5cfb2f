//! `splashctl search INDEX QUERY`: documents that have arrived, one a line, by a connection of the agent's.

use serde_json::Value;
use splashdam_api::words::plural;
use splashdam_api::{Client, Found, Search};

use crate::exit::Exit;
use crate::output::{Output, harmless};

pub(crate) async fn run(search: &Search, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let found = client.search(search).await?;
    output.show(&found.hits, |_| render(&found))?;
    output.say(&sum(&found));
    Ok(Exit::Done)
}

/// `INDEX<tab>ID<tab>SOURCE`
fn render(found: &Found) -> String {
    let text = |hit: &Value, key: &str| harmless(hit.get(key).and_then(Value::as_str).unwrap_or("-"));
    let line = |hit: &Value| {
        let source = hit.get("_source").map_or_else(|| "{}".to_owned(), Value::to_string);
        format!("{}\t{}\t{}\n", text(hit, "_index"), text(hit, "_id"), harmless(&source))
    };
    found.hits.iter().map(line).collect()
}

fn sum(found: &Found) -> String {
    let least = if found.at_least { "at least " } else { "" };
    let shown = if found.total > found.hits.len() as u64 {
        format!(", {} shown (--limit N)", found.hits.len())
    } else {
        String::new()
    };
    format!("{least}{}{shown} (by the connection of job {})", plural(found.total, "document"), found.job)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_a_line_and_cannot_steer_the_terminal() {
        let hit = json!({ "_index": "logs", "_id": "a\u{1b}b", "_source": { "m": "x\ny\u{9b}" } });
        let found = Found { job: "web".to_owned(), total: 1200, at_least: false, hits: vec![hit] };
        assert_eq!(render(&found), "logs\ta\u{fffd}b\t{\"m\":\"x\\ny\u{fffd}\"}\n");
        assert_eq!(sum(&found), "1,200 documents, 1 shown (--limit N) (by the connection of job web)");
    }
}
