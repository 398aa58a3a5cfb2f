//! `splashctl dead-letters show N`: one, whole.

use serde_json::Value;
use splashdam_api::{Client, DeadLetter};

use super::refused_by;
use crate::exit::Exit;
use crate::output::{Output, Tone, harmless, paint};

pub(crate) async fn run(pipeline: &str, number: u64, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let letter = client.dead_letter(pipeline, number).await?;
    output.show(&letter, |colour| render(&letter, colour))?;
    Ok(Exit::Done)
}

fn render(letter: &DeadLetter, colour: bool) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("number", letter.number.to_string()),
        ("job", letter.pipeline.clone()),
        ("at", letter.at.clone()),
        ("index", letter.index.clone()),
        ("_id", letter.id.clone()),
        ("refused by", refused_by(letter)),
        ("kind", letter.kind.clone()),
        ("reason", letter.reason.clone()),
        ("action", letter.action.trim_end().to_owned()),
    ] {
        text.push_str(&format!("{} {}\n", paint(&format!("{name:<10}"), Tone::Faint, colour), harmless(&value)));
    }
    text.push('\n');
    text.push_str(&document(&letter.document));
    text.push('\n');
    text
}

/// Indented where it is JSON, as it is where it is not. A pretty-printed document has control characters only as
/// escapes, and its own line breaks.
fn document(text: &str) -> String {
    let pretty = serde_json::from_str::<Value>(text).and_then(|value| serde_json::to_string_pretty(&value));
    let text = pretty.unwrap_or_else(|_| text.to_owned());
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_indented_if_it_is_one() {
        let letter = DeadLetter {
            pipeline: "web".to_owned(),
            number: 7,
            at: "2026-01-31T12:05:00.123Z".to_owned(),
            index: "logs".to_owned(),
            id: "web.a.1.0".to_owned(),
            kind: "mapper_parsing_exception".to_owned(),
            reason: "no number".to_owned(),
            status: 400,
            action: "{\"create\":{\"_id\":\"web.a.1.0\"}}\n".to_owned(),
            document: "{\"n\":\"x\"}".to_owned(),
        };
        let want = "\
number     7
job        web
at         2026-01-31T12:05:00.123Z
index      logs
_id        web.a.1.0
refused by 400
kind       mapper_parsing_exception
reason     no number
action     {\"create\":{\"_id\":\"web.a.1.0\"}}

{
  \"n\": \"x\"
}
";
        assert_eq!(render(&letter, false), want);
        assert_eq!(document("half a li\x1b[2Jne"), "half a li\u{fffd}[2Jne");
    }
}
