//! Whose data directory this is: the lock, the format's version, the agent's id and its machine.
//!
//! Promises: one process per data directory; a directory of a newer format is refused untouched; a copied
//! directory gets a new agent id on its new machine. The files are small texts, replaced whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::StoreError;
use crate::record::fill_random;

/// The version of everything below the data directory.
const FORMAT: u32 = 1;

/// The directory's folders.
#[derive(Clone, Debug)]
pub(super) struct Dirs {
    pub(super) root: PathBuf,
    pub(super) segments: PathBuf,
    pub(super) bases: PathBuf,
    pub(super) dead: PathBuf,
    pub(super) quarantine: PathBuf,
    pub(super) sled: PathBuf,
}

impl Dirs {
    pub(super) fn new(root: &Path) -> Dirs {
        let root = root.to_path_buf();
        Dirs {
            segments: root.join("segments"),
            bases: root.join("bases"),
            dead: root.join("dead"),
            quarantine: root.join("quarantine"),
            sled: root.join("sled"),
            root,
        }
    }
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io { path, error }
}

/// Takes the directory for this process until the file is dropped.
pub(super) fn lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let options = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = options.map_err(io_error(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(root.to_path_buf())),
        Err(error) => Err(StoreError::Io { path, error: error.into() }),
    }
}

/// Whether the directory is still the one in which `lock` was taken.
pub(super) fn is_ours(root: &Path, lock: &File) -> bool {
    let here = std::fs::symlink_metadata(root.join("lock"));
    match (here, lock.metadata()) {
        (Ok(here), Ok(taken)) => (here.dev(), here.ino()) == (taken.dev(), taken.ino()),
        (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
        (_, Err(_)) => true,
    }
}

/// Whether the directory was removed: whoever opened a store in it made this file.
pub(super) fn is_gone(root: &Path) -> bool {
    std::fs::symlink_metadata(root.join("lock")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Refuses a newer format; writes the version into a new directory.
pub(super) fn check_format(root: &Path) -> Result<(), StoreError> {
    let path = root.join("format");
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(version) if version <= FORMAT => Ok(()),
            Ok(found) => Err(StoreError::Newer { dir: root.to_path_buf(), found, known: FORMAT }),
            Err(_) => Err(StoreError::Io { path, error: io::Error::other("expected a version number") }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace(&path, &format!("{FORMAT}\n")).map_err(io_error(&path))
        }
        Err(error) => Err(StoreError::Io { path, error }),
    }
}

/// The agent's id, and a line for the operator if the directory came from another machine.
pub(super) fn agent_id(
    root: &Path,
    configured: Option<&str>,
    machine: &str,
) -> Result<(Arc<str>, Option<String>), StoreError> {
    let path = root.join("agent");
    let known = match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StoreError::Io { path, error }),
    };
    let machine = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(machine.trim().as_bytes()));
    let (id, note) = match (configured, known) {
        (Some(id), Some((old, old_machine))) if old == id && old_machine == machine => return Ok((id.into(), None)),
        (None, Some((old, old_machine))) if old_machine == machine => return Ok((old.into(), None)),
        (Some(id), _) => (id.to_owned(), None),
        (None, None) => (random_id()?, None),
        (None, Some((old, _))) => {
            let id = random_id()?;
            let note = format!("the data directory came from another machine: agent id {old} is now {id}");
            (id, Some(note))
        }
    };
    replace(&path, &format!("{id} {machine}\n")).map_err(io_error(&path))?;
    Ok((id.into(), note))
}

fn parse(text: &str) -> Option<(String, String)> {
    let (id, machine) = text.trim().split_once(' ')?;
    Some((id.to_owned(), machine.to_owned()))
}

fn random_id() -> Result<String, StoreError> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(|error| StoreError::Io { path: "getrandom".into(), error })?;
    let mut number = u128::from_le_bytes(bytes);
    let mut id = String::with_capacity(10);
    for _ in 0..10 {
        id.push(char::from(LETTERS[(number % 36) as usize]));
        number /= 36;
    }
    Ok(id)
}

/// Replaces a small text durably.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_id_is_kept_on_its_machine_and_made_anew_on_another() -> Result<(), StoreError> {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, note) = agent_id(dir.path(), None, "a\n")?;
        assert!(first.len() == 10 && first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_eq!(note, None);
        assert_eq!(agent_id(dir.path(), None, "a")?, (first.clone(), None));
        let (second, note) = agent_id(dir.path(), None, "b")?;
        assert_ne!(first, second);
        assert!(note.is_some_and(|n| n.contains(&*first) && n.contains(&*second)));
        assert_eq!(agent_id(dir.path(), Some("web-1"), "b")?, ("web-1".into(), None));
        Ok(())
    }

    #[test]
    fn a_directory_of_a_newer_format_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        check_format(dir.path()).expect("a new directory");
        check_format(dir.path()).expect("our own version");
        std::fs::write(dir.path().join("format"), format!("{}\n", FORMAT + 1)).expect("writable");
        assert!(
            matches!(check_format(dir.path()), Err(StoreError::Newer { found, known: FORMAT, .. }) if found == FORMAT + 1)
        );
    }
}
