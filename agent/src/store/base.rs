//! Bases: one file with all rows of a pipeline, so that the log before it is not needed for them.
//!
//! ```text
//! base := magic[8] version:u32 began:u64 pipeline:str count:u32 {key:u64 len:u32 value}… end[8] crc:u32
//! ```
//! `began` is the sequence of the last commit whose changes are in it; base + the changes behind it is the
//! state. A base is valid if its crc (of all before it) is: it is written under another name, synced, and
//! only then given its own. The older one goes after that.

use std::io;
use std::path::Path;

use super::bytes::{Reader, put_str, put_u32, put_u64};
use super::fs::Fs;

const MAGIC: [u8; 8] = *b"\x93SplBas\n";
const END: [u8; 8] = *b"\x93SplFin\n";
const VERSION: u32 = 1;
/// Rows are handed to the file in pieces of about this size.
const PIECE: usize = 1 << 20;

/// All rows of a pipeline after commit `began`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) pipeline: String,
    pub(super) began: u64,
    pub(super) rows: Vec<(u64, Box<[u8]>)>,
    pub(super) bytes: u64,
}

pub(super) fn name(pipeline: &str, began: u64) -> String {
    format!("{pipeline}@{began:016x}.base")
}

/// (pipeline, began) of a base's file name.
pub(super) fn parse_name(name: &str) -> Option<(&str, u64)> {
    let (pipeline, began) = name.strip_suffix(".base")?.rsplit_once('@')?;
    Some((pipeline, u64::from_str_radix(began, 16).ok()?))
}

/// Writes a base durably and removes the pipeline's older ones. Returns its size.
pub(super) fn write(
    fs: &dyn Fs,
    dir: &Path,
    pipeline: &str,
    began: u64,
    rows: impl ExactSizeIterator<Item = (u64, impl AsRef<[u8]>)>,
) -> io::Result<u64> {
    let (to, new) = (dir.join(name(pipeline, began)), dir.join("base.new"));
    let bytes = match write_rows(fs, &new, pipeline, began, rows) {
        Ok(bytes) => bytes,
        Err(error) => {
            // On a full disk what was written of it is in the way.
            if let Err(left) = fs.unlink(&new) {
                tracing::debug!(%left, "an unfinished base is left behind");
            }
            return Err(error);
        }
    };
    fs.rename(&new, &to)?;
    fs.sync_dir(dir)?;
    for old in fs.list(dir)? {
        if parse_name(&old).is_some_and(|(of, at)| of == pipeline && at != began) {
            fs.unlink(&dir.join(old))?;
        }
    }
    Ok(bytes)
}

fn write_rows(
    fs: &dyn Fs,
    path: &Path,
    pipeline: &str,
    began: u64,
    rows: impl ExactSizeIterator<Item = (u64, impl AsRef<[u8]>)>,
) -> io::Result<u64> {
    let disk = fs.create(path)?;
    let mut piece = Vec::with_capacity(PIECE + 4096);
    piece.extend_from_slice(&MAGIC);
    put_u32(&mut piece, VERSION);
    put_u64(&mut piece, began);
    put_str(&mut piece, pipeline);
    put_u32(&mut piece, rows.len() as u32);
    let (mut at, mut crc) = (0, 0);
    for (key, value) in rows {
        put_u64(&mut piece, key);
        put_u32(&mut piece, value.as_ref().len() as u32);
        piece.extend_from_slice(value.as_ref());
        if piece.len() >= PIECE {
            crc = crc32c::crc32c_append(crc, &piece);
            disk.write_at(at, &[&piece])?;
            at += piece.len() as u64;
            piece.clear();
        }
    }
    piece.extend_from_slice(&END);
    crc = crc32c::crc32c_append(crc, &piece);
    put_u32(&mut piece, crc);
    disk.write_at(at, &[&piece])?;
    disk.sync()?;
    Ok(at + piece.len() as u64)
}

/// Reads a base. `None`: it is damaged.
pub(super) fn read(fs: &dyn Fs, path: &Path) -> io::Result<Option<Base>> {
    let disk = fs.open(path)?;
    let mut bytes = vec![0; disk.len()? as usize];
    disk.read_at(0, &mut bytes)?;
    Ok(decode(&bytes))
}

fn decode(bytes: &[u8]) -> Option<Base> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut read = Reader(body);
    if read.take(8)? != MAGIC || read.u32()? != VERSION {
        return None;
    }
    let (began, pipeline) = (read.u64()?, read.str()?);
    let count = read.count(12)?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        let key = read.u64()?;
        rows.push((key, read.bytes()?.into()));
    }
    (read.0 == END).then_some(Base { pipeline, began, rows, bytes: bytes.len() as u64 })
}
