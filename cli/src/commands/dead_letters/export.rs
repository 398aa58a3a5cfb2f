//! `splashctl dead-letters export`: all of a job, one JSON object on a line.
//!
//! Promises: in the order of their numbers, each once, whatever is replayed or dropped meanwhile; a page of them is held
//! in memory; a file is there whole or not at all, for its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::value::RawValue;
use splashdam_api::words::plural;
use splashdam_api::{Client, DeadLetter};

use crate::args::Exporting;
use crate::exit::Exit;
use crate::output::Output;

/// Asked for at once; the agent ends a page early where they are large.
const PAGE: u64 = 500;

pub(crate) async fn run(
    pipeline: &str,
    asked: &Exporting,
    client: &Client,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let (mut exported, mut from) = (0, asked.from);
    let mut target = match &asked.to {
        Some(file) => Some(Target::make(file, asked.force)?),
        None => None,
    };
    loop {
        let page = client.dead_letters(pipeline, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.number.saturating_add(1);
        let lines = page.iter().map(line).collect::<serde_json::Result<String>>()?;
        match &mut target {
            Some(target) => target.write(&lines)?,
            None => output.data(&lines)?,
        }
        exported += page.len() as u64;
    }
    let to = match target {
        Some(target) => format!(" to {}", target.finish()?.display()),
        None => String::new(),
    };
    output.say(&format!("{} of {pipeline} exported{to}", plural(exported, "dead letter")));
    Ok(Exit::Done)
}

/// The document stands in it as it is where it is JSON, as text where it is not.
fn line(letter: &DeadLetter) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        job: &'a str,
        number: u64,
        at: &'a str,
        index: &'a str,
        id: &'a str,
        kind: &'a str,
        reason: &'a str,
        status: u16,
        action: Box<RawValue>,
        document: Box<RawValue>,
    }
    let line = Line {
        job: &letter.pipeline,
        number: letter.number,
        at: &letter.at,
        index: &letter.index,
        id: &letter.id,
        kind: &letter.kind,
        reason: &letter.reason,
        status: letter.status,
        action: json(letter.action.trim_end())?,
        document: json(&letter.document)?,
    };
    Ok(serde_json::to_string(&line)? + "\n")
}

fn json(text: &str) -> serde_json::Result<Box<RawValue>> {
    // A line that was pretty-printed would not be one line any more.
    let one_line = !text.contains(['\n', '\r']);
    let raw = RawValue::from_string(text.to_owned()).ok().filter(|_| one_line);
    raw.map_or_else(|| serde_json::value::to_raw_value(text), Ok)
}

/// The file beside the one that is meant, until it is whole.
struct Target {
    file: PathBuf,
    part: PathBuf,
    writer: File,
}

impl Target {
    fn make(file: &Path, force: bool) -> anyhow::Result<Target> {
        match file.symlink_metadata() {
            // A rename would put a file in the place of a device.
            Ok(there) if !there.is_file() => {
                bail!(
                    "{} is no regular file: name another one, or leave --to out and send stdout there",
                    file.display()
                )
            }
            Ok(_) if !force => bail!("{} is there already; --force replaces it", file.display()),
            _ => {}
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = file.with_file_name(name);
        let writer = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let writer = writer.with_context(|| format!("{} can't be written", part.display()))?;
        Ok(Target { file: file.to_owned(), part, writer })
    }

    fn write(&mut self, lines: &str) -> anyhow::Result<()> {
        self.writer.write_all(lines.as_bytes()).with_context(|| format!("{} can't be written", self.part.display()))
    }

    fn finish(mut self) -> anyhow::Result<PathBuf> {
        let whole = self.writer.sync_all().and_then(|()| std::fs::rename(&self.part, &self.file));
        whole.with_context(|| format!("{} can't be written", self.file.display()))?;
        Ok(std::mem::take(&mut self.file))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                writeln!(io::stderr(), "{} stays behind: {error}", self.part.display()).ok();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_of_a_dead_letter_and_documents_as_they_are() {
        let letter = |document: &str| DeadLetter {
            pipeline: "web".to_owned(),
            number: 7,
            status: 400,
            action: "{\"create\":{\"_id\":\"a\"}}\n".to_owned(),
            document: document.to_owned(),
            ..DeadLetter::default()
        };
        let text = line(&letter("{\"n\":1.0}")).unwrap();
        let want = "{\"job\":\"web\",\"number\":7,\"at\":\"\",\"index\":\"\",\"id\":\"\",\"kind\":\"\",\"reason\":\"\",\"status\":400,\
            \"action\":{\"create\":{\"_id\":\"a\"}},\"document\":{\"n\":1.0}}\n";
        assert_eq!(text, want);
        for text in ["half a li", "{\n}", ""] {
            let line = line(&letter(text)).unwrap();
            let back: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((back["document"].as_str(), line.lines().count()), (Some(text), 1));
        }
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all_and_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dead.ndjson");
        let mut target = Target::make(&file, false).unwrap();
        target.write("one\n").unwrap();
        drop(target);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut target = Target::make(&file, false).unwrap();
        target.write("two\n").unwrap();
        assert_eq!(target.finish().unwrap(), file);
        assert!(Target::make(&file, false).is_err_and(|error| error.to_string().contains("--force")));
        Target::make(&file, true).unwrap().finish().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }
}
