//! sled as the materialised view of the log: every pipeline's rows, and how far the log was applied.
//!
//! It is applied after the durable frame and may lag; losing it costs a longer open and nothing else, because
//! bases and frames have the same rows. sled 0.34.7 has traps, each found by a failing run: a half-written
//! snapshot makes open fail, damage makes it panic, its flush does not reach the disk, and a full disk leaves
//! a handle that can do nothing. So snapshots are removed first, every call is caught, its file is synced by
//! our own hand, and nobody calls it while the disk is full. Values stay below 4 KiB: a pipeline with a larger
//! row, or with thousands of rows, is marked and read from its base.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Rows longer than this are not given to sled.
pub(super) const VALUE_MAX: usize = 4000;
const APPLIED: &[u8] = b"\0applied";
const REACHED: &[u8] = b"\0reached";
const LARGE: &[u8] = b"\0large\0";

/// How long sled's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The open view.
pub(super) struct View {
    db: sled::Db,
    /// Our own handle of sled's file: its flush ends in `sync_file_range`, which is no promise.
    file: File,
}

/// A pipeline's rows in the view.
type Rows = Vec<(u64, Box<[u8]>)>;

/// What the view held when it was opened.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The sequence up to which the log was applied; 0: nothing.
    pub(super) applied: u64,
    /// Some rows may be as late as this sequence.
    pub(super) reached: u64,
    pub(super) rows: HashMap<String, Rows>,
    /// Pipelines with rows that are too large or too many for sled.
    pub(super) large: HashSet<String>,
}

/// Changes for one atomic write.
#[derive(Default)]
pub(super) struct Changes(sled::Batch);

impl Changes {
    pub(super) fn row(&mut self, pipeline: &str, key: u64, value: Option<&[u8]>) {
        match value {
            Some(value) if value.len() <= VALUE_MAX => self.0.insert(row_key(pipeline, key), value),
            Some(_) => self.without_rows(pipeline),
            None => self.0.remove(row_key(pipeline, key)),
        }
    }

    /// The view does not have all rows of this pipeline: its base has.
    pub(super) fn without_rows(&mut self, pipeline: &str) {
        self.0.insert([LARGE, pipeline.as_bytes()].concat(), &[]);
    }

    /// Goes with changes that are not all up to `seq`: whatever is found later, the log was durable up to there.
    pub(super) fn reached(&mut self, seq: u64) {
        self.0.insert(REACHED, &seq.to_be_bytes());
    }

    pub(super) fn applied(&mut self, seq: u64) {
        self.0.insert(APPLIED, &seq.to_be_bytes());
    }
}

fn row_key(pipeline: &str, key: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(pipeline.len() + 9);
    out.extend_from_slice(pipeline.as_bytes());
    out.push(0);
    out.extend_from_slice(&key.to_be_bytes());
    out
}

impl View {
    /// Opens the view and reads all of it. A view that can't be opened is moved to `aside` and begun anew; the
    /// second value then says why.
    pub(super) fn open(dir: &Path, aside: &Path) -> Result<(View, Content, Option<String>), String> {
        match open_unlocked(dir) {
            Ok((view, content)) => Ok((view, content, None)),
            Err(error) => {
                move_aside(dir, aside).map_err(|e| format!("{error}; moving it aside: {e}"))?;
                let (view, content) = try_open(dir)?;
                Ok((view, content, Some(error)))
            }
        }
    }

    /// Writes `changes` whole. Not durable before [`View::flush`].
    pub(super) fn apply(&self, changes: Changes) -> Result<(), String> {
        caught(|| self.db.apply_batch(changes.0))
    }

    pub(super) fn flush(&self) -> Result<(), String> {
        caught(|| self.db.flush())?;
        self.file.sync_data().map_err(|e| e.to_string())
    }

    /// Removes all rows of a pipeline, whole. Until the next changes that go up to a sequence, the view says of no
    /// pipeline that it has all rows: this may be durable long before those. The log was durable up to `frontier`.
    pub(super) fn clear(&self, pipeline: &str, frontier: u64) -> Result<(), String> {
        let prefix = [pipeline.as_bytes(), b"\0"].concat();
        caught(|| {
            let mut changes = Changes::default();
            changes.reached(frontier);
            changes.0.remove(APPLIED);
            changes.0.remove([LARGE, pipeline.as_bytes()].concat());
            for key in self.db.scan_prefix(&prefix).keys() {
                changes.0.remove(key?);
            }
            self.db.apply_batch(changes.0)
        })
    }
}

/// Runs a call of sled; a panic in it is an error like any other.
fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

/// sled's threads may still hold its lock for a moment after it was closed in this process. (Another process
/// can't have it: the data directory has a lock of its own.)
fn open_unlocked(dir: &Path) -> Result<(View, Content), String> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match try_open(dir) {
            Err(error) if error.contains("could not acquire lock") && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

fn try_open(dir: &Path) -> Result<(View, Content), String> {
    remove_half_snapshots(dir).map_err(|e| e.to_string())?;
    let config = sled::Config::new().path(dir).cache_capacity(8 << 20).flush_every_ms(None);
    let db = caught(|| config.open())?;
    let content = caught(|| read_all(&db))?;
    let file = OpenOptions::new().write(true).open(dir.join("db")).map_err(|e| e.to_string())?;
    Ok((View { db, file }, content))
}

fn read_all(db: &sled::Db) -> sled::Result<Content> {
    let mut content = Content::default();
    for pair in db.iter() {
        let (key, value) = pair?;
        if key == APPLIED {
            content.applied = value.as_ref().try_into().map(u64::from_be_bytes).unwrap_or(0);
        } else if key == REACHED {
            content.reached = value.as_ref().try_into().map(u64::from_be_bytes).unwrap_or(0);
        } else if let Some(pipeline) = key.strip_prefix(LARGE) {
            content.large.insert(String::from_utf8_lossy(pipeline).into_owned());
        } else if let Some((front, number)) = key.split_last_chunk::<8>()
            && let Some((0, pipeline)) = front.split_last()
        {
            let pipeline = String::from_utf8_lossy(pipeline).into_owned();
            let row = (u64::from_be_bytes(*number), Box::from(value.as_ref()));
            content.rows.entry(pipeline).or_default().push(row);
        }
    }
    Ok(content)
}

fn remove_half_snapshots(dir: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The latest damaged view is kept for whoever wants to look; the one before it goes.
fn move_aside(dir: &Path, aside: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(aside)?;
    let to = aside.join("sled");
    match std::fs::remove_dir_all(&to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::rename(dir, to)
}
