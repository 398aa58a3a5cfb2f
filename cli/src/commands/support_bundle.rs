//! `splashctl support-bundle [--to FILE]`: the agent makes the archive, and it is written here, for its owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use splashdam_api::Client;
use splashdam_api::words::bytes;

use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(to: Option<&Path>, client: &Client, output: &mut Output) -> anyhow::Result<Exit> {
    let file = to.map_or_else(|| name(SystemTime::now()), Path::to_owned);
    // Before the agent is put to work.
    if file.symlink_metadata().is_ok() {
        bail!("{} is there already and stays as it is: name another with --to FILE", file.display());
    }
    let archive = client.support_bundle().await?;
    let mut options = std::fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .with_context(|| format!("{} can't be written", file.display()))?;
    if let Err(error) = written.write_all(&archive).and_then(|()| written.sync_all()) {
        // Half an archive is of no use, and would be in the way of the next one.
        std::fs::remove_file(&file).ok();
        return Err(error).with_context(|| format!("{} can't be written", file.display()));
    }
    let made = serde_json::json!({ "file": file, "bytes": archive.len() });
    output.show(&made, |_| format!("{}\n", file.display()))?;
    output.say(&format!(
        "{}: versions, status, positions, metrics, configuration, what the doctor finds, why documents were refused, the\n\
         last lines of the log, facts about the machine. No document, password, key or token is in it; names of files,\n\
         indices and hosts are. `tar xzf` and look before you give it away: only you can read it now (mode 0600).",
        bytes(archive.len() as u64)
    ));
    Ok(Exit::Done)
}

/// `splashdam-support-2026-01-31T12-00-00Z.tar.gz`
fn name(now: SystemTime) -> PathBuf {
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(':', "-");
    PathBuf::from(format!("splashdam-support-{time}.tar.gz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_called_by_its_time() {
        let at = humantime::parse_rfc3339("2026-01-31T12:10:00Z").unwrap();
        assert_eq!(name(at), Path::new("splashdam-support-2026-01-31T12-10-00Z.tar.gz"));
    }
}
