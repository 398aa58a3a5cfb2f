//! What damages an agent's disk: where its segments are, and a bit of them that is not what it was.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The segments below an agent's data directory that have something in them, oldest first, without those of dead letters.
pub fn segments(data: &Path) -> Vec<PathBuf> {
    fn look(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                look(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "seg") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    look(data, &mut found);
    found.retain(|path| path.metadata().unwrap().len() > 0 && !path.to_string_lossy().contains("dead"));
    found.sort();
    assert!(!found.is_empty(), "there are no segments in {}", data.display());
    found
}

/// Where the written part of a file ends (segments may be allocated ahead).
pub fn written_end(path: &Path) -> u64 {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1)
}

/// Turns one bit (0 to 7) of the byte at `at`.
pub fn flip_bit(path: &Path, at: u64, bit: u64) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 1 << bit;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
}
