//! Where reading can go on in one file on an operator's word.
//!
//! Promises: nothing is begun in the midst of a line, and no file is taken for another. Changes nothing.

use std::fs::File;
use std::path::Path;

use super::fingerprint::read_range;
use super::rows::{Kind, Stored};
use super::stat::Stat;

/// The beginning of a line is looked for so far back.
const BACK: u64 = 1 << 20;

/// The offset to go on from in the file that is shown as `path`: `wanted`, or behind its last whole line.
///
/// # Errors
/// Why that can't be, with where a line begins.
pub(in crate::source) fn find(rows: &[(u64, Box<[u8]>)], path: &str, wanted: Option<u64>) -> Result<u64, String> {
    let stored = rows.iter().find_map(|(key, value)| super::rows::of_path(*key, value, path));
    let stored = stored.ok_or_else(|| {
        format!("{path} is no file that this job reads; `splashctl positions ls` shows those it reads")
    })?;
    if stored.kind == Kind::Gzip {
        return Err(format!(
            "{path} is compressed: it can only be read again as a whole (`splashctl positions reset`)"
        ));
    }
    look(stored.place.as_deref().unwrap_or(&stored.path), &stored, wanted).map_err(|why| format!("{path}: {why}"))
}

fn look(place: &Path, stored: &Stored, wanted: Option<u64>) -> Result<u64, String> {
    let file = File::open(place).map_err(|error| error.to_string())?;
    let stat = Stat::of_open(&file).map_err(|error| error.to_string())?;
    if !stat.identity.is_likely(stored.identity) {
        return Err("another file has its name now; try again when that one is read, too".to_owned());
    }
    let to = wanted.unwrap_or(stat.size);
    if to > stat.size {
        return Err(format!("it ends at {}", stat.size));
    }
    let from = to.saturating_sub(BACK);
    let before = read_range(&file, from, (to - from) as usize).map_err(|error| error.to_string())?;
    let begins = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => Some(from + newline as u64 + 1),
        None => (from == 0).then_some(0),
    };
    match (begins, wanted) {
        (Some(begins), None) => Ok(begins),
        (Some(begins), Some(to)) if begins == to => Ok(to),
        (Some(begins), Some(to)) => Err(format!("{to} is in the midst of a line, which begins at {begins}")),
        (None, _) => Err(format!("the line before {to} is longer than {BACK} bytes")),
    }
}
