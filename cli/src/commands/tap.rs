//! `splashctl tap JOB`: documents as they pass, a line each, until Ctrl-C.
//!
//! Promises: data to stdout, talk to stderr; whatever is not shown is told by its number. Nobody waits for it: the agent
//! passes over what is not fetched in time.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use splashdam_api::words::{count, plural};
use splashdam_api::{Client, ClientError, Tap, Tapped, TappedDocument};

use crate::args::Tapping;
use crate::exit::Exit;
use crate::output::{Output, Tone, harmless, paint};

/// What is passed over is told so often at most, while it goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A conversation that broke off is begun again after this: the agent may only have ended it to stop.
const AGAIN: Duration = Duration::from_millis(300);

pub(crate) async fn run(asked: &Tapping, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let mut tap = Tap {
        pipeline: asked.job.clone(),
        text: asked.text.clone(),
        from: None,
        limit: asked.limit.filter(|n| *n > 0),
    };
    tap.from = Some(client.tap(&tap).await?.next);
    output.say(&format!("tapping {}; Ctrl-C ends", asked.job));
    let mut seen = Seen::default();
    let ended = tokio::select! {
        ended = follow(&mut tap, &mut seen, client, output) => ended?,
        told = tokio::signal::ctrl_c() => { told?; "" }
    };
    output.say(&seen.told(ended));
    Ok(Exit::Done)
}

/// What a reader has seen, and what not.
#[derive(Debug, Default)]
struct Seen {
    shown: u64,
    skipped: u64,
    lapsed: bool,
    /// When it was told last that something was passed over, and how much had been then.
    told: Option<(Instant, u64)>,
}

/// Shows what passes; gives why it ended.
async fn follow(tap: &mut Tap, seen: &mut Seen, client: &Client, output: &mut Output) -> anyhow::Result<&'static str> {
    loop {
        let page = match client.tap(tap).await {
            Ok(page) => page,
            Err(ClientError::Http { .. }) => {
                tokio::time::sleep(AGAIN).await;
                match client.tap(tap).await {
                    Err(error) if error.is_unreachable() => return Ok("the agent has stopped; "),
                    again => again?,
                }
            }
            Err(error) if error.is_unreachable() => return Ok("the agent has stopped; "),
            Err(error) => return Err(error.into()),
        };
        if page.lapsed {
            output.say("what passed until now was not kept: the job was started anew, or this was held up for long");
        }
        if let Some(told) = seen.take(&page, Instant::now()) {
            output.say(&told);
        }
        tap.from = Some(page.next);
        if let Some(limit) = &mut tap.limit {
            *limit = limit.saturating_sub(page.documents.len() as u64);
        }
        if !page.documents.is_empty() {
            let (json, colour) = (output.is_json(), output.colour());
            output.stream(page.documents.iter().map(|document| line(document, json, colour)).collect()).await?;
        }
        if tap.limit == Some(0) {
            return Ok("");
        }
    }
}

impl Seen {
    /// Counts a page in; gives what is to be said of it, if it is time for that.
    fn take(&mut self, page: &Tapped, now: Instant) -> Option<String> {
        self.shown += page.documents.len() as u64;
        self.skipped += page.skipped;
        self.lapsed |= page.lapsed;
        let before = self.told.map_or(0, |(_, skipped)| skipped);
        let due = self.told.is_none_or(|(at, _)| now.duration_since(at) >= TELL_EVERY);
        if self.skipped == before || !due {
            return None;
        }
        self.told = Some((now, self.skipped));
        Some(format!("{} passed too fast to be shown", plural(self.skipped - before, "document")))
    }

    /// The last words.
    fn told(&self, ended: &str) -> String {
        let shown = plural(self.shown, "document");
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {} passed too fast to be shown", count(skipped)),
        };
        let lapsed = if self.lapsed { ", and for a while nothing was kept" } else { "" };
        format!("{ended}{shown} shown{skipped}{lapsed}")
    }
}

/// One document as a line.
fn line(document: &TappedDocument, json: bool, colour: bool) -> String {
    let TappedDocument { index, id, action, document: text } = document;
    if json {
        return json_line(document);
    }
    let tone = if action == "delete" { Tone::Warning } else { Tone::Good };
    let [action, index, id] =
        [(format!("{action:<6}"), tone), (harmless(index), Tone::Faint), (harmless(id), Tone::Faint)]
            .map(|(text, tone)| paint(&text, tone, colour));
    format!("{action} {index} {id} {}", harmless(text)).trim_end().to_owned() + "\n"
}

/// The document stands in it as it is, whatever its numbers and the order of its fields; a `delete` has none.
fn json_line(document: &TappedDocument) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        index: &'a str,
        id: &'a str,
        action: &'a str,
        document: Option<Box<RawValue>>,
    }
    let TappedDocument { index, id, action, document: text } = document;
    let document = RawValue::from_string(text.clone()).or_else(|_| serde_json::value::to_raw_value(text));
    let document = document.ok().filter(|_| !text.is_empty());
    serde_json::to_string(&Line { index, id, action, document }).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(action: &str, document: &str) -> TappedDocument {
        TappedDocument {
            index: "logs".to_owned(),
            id: "web.a.1.0".to_owned(),
            action: action.to_owned(),
            document: document.to_owned(),
        }
    }

    #[test]
    fn a_document_is_a_line_that_keeps_what_it_says() {
        let (create, delete) = (document("create", "{\"b\":1.00,\"a\":\"\u{7f}\"}"), document("delete", ""));
        assert_eq!(line(&create, false, false), "create logs web.a.1.0 {\"b\":1.00,\"a\":\"\u{fffd}\"}\n");
        assert_eq!(line(&delete, false, false), "delete logs web.a.1.0\n");
        assert_eq!(
            line(&create, true, true),
            "{\"index\":\"logs\",\"id\":\"web.a.1.0\",\"action\":\"create\",\"document\":{\"b\":1.00,\"a\":\"\u{7f}\"}}\n"
        );
        assert!(line(&delete, true, false).ends_with("\"action\":\"delete\",\"document\":null}\n"));
        assert!(line(&document("create", "{"), true, false).ends_with("\"document\":\"{\"}\n"));
        assert!(line(&delete, false, true).starts_with("\x1b[33mdelete\x1b[0m "));
    }

    #[test]
    fn what_is_passed_over_is_told_now_and_then_and_all_of_it_at_the_end() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let page = |skipped| Tapped { skipped, documents: vec![document("create", "{}")], ..Tapped::default() };
        assert_eq!(seen.take(&page(0), now), None);
        assert_eq!(seen.take(&page(1), now).as_deref(), Some("1 document passed too fast to be shown"));
        assert_eq!(seen.take(&page(1000), now), None);
        let told = seen.take(&page(0), now + TELL_EVERY);
        assert_eq!(told.as_deref(), Some("1,000 documents passed too fast to be shown"));
        assert_eq!(
            seen.told("the agent has stopped; "),
            "the agent has stopped; 4 documents shown, 1,001 passed too fast to be shown"
        );
    }
}
