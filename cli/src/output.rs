//! Where text goes: data to stdout, talk to stderr, colour only to a person.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Meaning, not paint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    /// Column heads and what is only remarked.
    Faint,
}

pub(crate) struct Output {
    data: Box<dyn Write>,
    /// Programs read it: JSON instead of words.
    json: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn stdout(json: bool) -> Output {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Output { data: Box::new(io::stdout()), json, colour: wanted && io::stdout().is_terminal() }
    }

    /// What was asked for: as JSON, or in the words that `render` finds for it (told whether in colour).
    pub(crate) fn show(&mut self, value: &impl Serialize, render: impl FnOnce(bool) -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? + "\n" } else { render(self.colour) };
        self.data(&text)
    }

    /// What was asked for, as it is.
    pub(crate) fn data(&mut self, text: &str) -> anyhow::Result<()> {
        self.data.write_all(text.as_bytes())?;
        self.data.flush()?;
        Ok(())
    }

    /// The same, for who has to be told to end while nobody reads: given up, it goes on writing what it began.
    pub(crate) async fn stream(&self, text: String) -> anyhow::Result<()> {
        let written = tokio::task::spawn_blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        });
        Ok(written.await??)
    }

    /// Whether stdout is looked at by a person who likes colours.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Whether what is asked for is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Talk. If stderr is gone, nobody is there to be told so.
    pub(crate) fn say(&self, text: &str) {
        writeln!(io::stderr(), "{text}").ok();
    }
}

/// `splashctl … | head` is a way to end, no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `text` in the colour of its tone.
pub(crate) fn paint(text: &str, tone: Tone, colour: bool) -> String {
    let code = match tone {
        _ if !colour => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Warning => "33",
        Tone::Bad => "31",
        Tone::Faint => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Control characters of strangers (a log line, a file name) must not reach the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
