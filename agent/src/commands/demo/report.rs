//! What a demo says: live talk to stderr, the table to stdout; and the temporary folder it is played in.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use splashdam_api::words::{count, plural};

use super::Args;
use super::cluster::{Access, Cluster};
use super::ledger::Tally;
use crate::log::{self, say};
use crate::record::fill_random;

/// The progress line: so often on a terminal, so often elsewhere.
const LIVE: Duration = Duration::from_millis(250);
const LOGGED: Duration = Duration::from_secs(3);

/// The temporary folder of a demo; removed in the end unless it is kept.
#[derive(Debug)]
pub(super) struct Stage {
    folder: PathBuf,
    remove: bool,
}

impl Stage {
    pub(super) fn new() -> anyhow::Result<Stage> {
        let mut random = [0_u8; 4];
        fill_random(&mut random).map_err(|error| anyhow!("no random numbers: {error}"))?;
        let name = format!("splashdam-demo-{:08x}", u32::from_le_bytes(random));
        let folder = std::env::temp_dir().join(name);
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(&folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
        Ok(Stage { folder, remove: true })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// It stays, for someone to look at, unless [`Stage::clear`] says otherwise.
    pub(super) fn keep(&mut self) {
        self.remove = false;
    }

    pub(super) fn clear(&mut self) {
        self.remove = true;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.remove {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            say(&format!("{} stays behind: {error}", self.folder.display()));
        }
    }
}

/// The talk of one demo.
#[derive(Debug)]
pub(super) struct Report {
    began: Instant,
    live: bool,
    shown: Option<Instant>,
}

impl Report {
    pub(super) fn new(began: Instant) -> Report {
        Report { began, live: io::stderr().is_terminal(), shown: None }
    }

    pub(super) fn opening(&self, args: &Args, log: &Path, target: &str, restarts: u64) {
        say(&format!("A log of {} grows in {} within {} s.", plural(args.lines, "line"), log.display(), args.seconds));
        say(&format!("An agent ships them to {target}."));
        say(&format!("The log is rotated while it grows, and the agent is killed with kill -9, {restarts} times.\n"));
    }

    /// Something happened.
    pub(super) fn event(&mut self, text: &str) {
        say(&format!("{:6.1} s  {text}", self.began.elapsed().as_secs_f64()));
    }

    /// Shows how far it is, if it is time to; `received` is asked only then.
    pub(super) async fn progress(&mut self, written: u64, lines: u64, received: impl AsyncFnOnce() -> u64) {
        let pause = if self.live { LIVE } else { LOGGED };
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        let received = received().await;
        self.shown = Some(Instant::now());
        let text = format!(
            "{} of {} written, {} received",
            count(written),
            plural(lines, "line"),
            plural(received, "document")
        );
        if self.live {
            log::progress(&format!("          {text}"));
        } else {
            self.event(&text);
        }
    }

    /// The table, from the ledger alone.
    pub(super) fn closing(&mut self, tally: &Tally, seconds: Duration, restarts: u64) -> io::Result<()> {
        say("");
        let mut out = io::stdout().lock();
        out.write_all(table(tally, seconds, restarts).as_bytes())?;
        out.flush()
    }

    pub(super) fn left_behind(&self, cluster: &Cluster) {
        say(&format!("The documents stay in the index {}; to remove them:", cluster.index()));
        let Access { url, user, ca } = cluster.access();
        let ca = ca.as_ref().map_or_else(String::new, |ca| format!(" --cacert {}", ca.display()));
        let user = user.as_ref().map_or_else(String::new, |(user, _)| format!(" -u {user}"));
        say(&format!("  curl{ca}{user} -X DELETE {url}/{}", cluster.index()));
    }

    pub(super) fn wrong(&self, tally: &Tally, folder: &Path, log: &Path) {
        if tally.missing > 0 {
            let lines: Vec<String> = tally.missing_lines.iter().map(u64::to_string).collect();
            let more = if tally.missing > lines.len() as u64 { ", …" } else { "" };
            say(&format!("Missing: the lines seq={}{more}", lines.join(", ")));
        }
        if tally.strange > 0 {
            say(&format!("Received and never written: {}.", plural(tally.strange, "document")));
        }
        say(&format!(
            "This is wrong. Everything is kept in {}; the agent's log is {}.",
            folder.display(),
            log.display()
        ));
    }
}

fn table(tally: &Tally, seconds: Duration, restarts: u64) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str, remark: &str| {
        text.push_str(format!("{name:<14} {value:>12}  {remark}").trim_end());
        text.push('\n');
    };
    row("lines written", &count(tally.written), "");
    row("documents", &count(tally.documents), "");
    row("missing", &count(tally.missing), "");
    row("double", &count(tally.double), "");
    row("seconds", &format!("{:.1}", seconds.as_secs_f64()), "");
    row("restarts", &count(restarts), "after kill -9");
    if tally.resent > 0 {
        row("sent again", &count(tally.resent), "after a kill, with the same _id: refused by the index, not doubled");
    }
    if let Some((id, source)) = &tally.sample {
        let pretty = serde_json::from_str::<serde_json::Value>(source)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_else(|_| source.clone());
        text.push_str(&format!("\nOne of the documents, _id {id}:\n{pretty}\n"));
    }
    let verdict =
        if tally.is_exact() { "Nothing is missing, nothing is double." } else { "That is not every line once." };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_the_ledgers_figures() {
        let tally = Tally {
            written: 100_000,
            documents: 100_000,
            resent: 1_204,
            sample: Some(("demo.a.1.0".to_owned(), "{\"message\":\"x\"}".to_owned())),
            ..Tally::default()
        };
        let want = "\
lines written       100,000
documents           100,000
missing                   0
double                    0
seconds                15.3
restarts                  3  after kill -9
sent again            1,204  after a kill, with the same _id: refused by the index, not doubled

One of the documents, _id demo.a.1.0:
{
  \"message\": \"x\"
}

Nothing is missing, nothing is double.
";
        assert_eq!(table(&tally, Duration::from_millis(15_310), 3), want);
        let wrong = Tally { missing: 1, ..tally };
        assert!(table(&wrong, Duration::ZERO, 3).ends_with("That is not every line once.\n"));
    }

    #[test]
    fn the_folder_goes_unless_it_is_kept() {
        let stage = Stage::new().unwrap();
        let folder = stage.folder().to_owned();
        std::fs::write(folder.join("x"), "x").unwrap();
        drop(stage);
        assert!(!folder.exists());
        let mut stage = Stage::new().unwrap();
        stage.keep();
        let folder = stage.folder().to_owned();
        drop(stage);
        assert!(folder.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
