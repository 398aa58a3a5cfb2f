//! Reads a gzip file by offsets of its decompressed content.
//!
//! A position in a compressed file can't be jumped to: it is reached by decompressing what lies before it, in
//! steps, so that a large file does not hold up the others. Memory: one step's bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::fingerprint::{HEAD, TAIL};
use crate::record::gzip;

/// How every gzip file begins: the magic and the only method that exists.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Decompresses in order, from the beginning of the file.
pub(super) struct GzipReader {
    decoder: gzip::Reader<Compressed>,
    /// Offset of `rest[0]` in the decompressed content.
    offset: u64,
    /// The bytes before `offset`, at most [`TAIL`].
    before: Vec<u8>,
    /// Decompressed and not taken yet.
    rest: Vec<u8>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last member is complete.
    Whole,
    /// It ends in the middle of a member: perhaps it is still being written.
    Early,
    /// It is not gzip, or damaged.
    Broken,
}

impl GzipReader {
    pub(super) fn new(file: Arc<File>) -> GzipReader {
        let decoder = gzip::reader(Compressed { file, taken: 0 });
        GzipReader { decoder, offset: 0, before: Vec::new(), rest: Vec::new(), end: None }
    }

    /// Decompresses until `want` bytes are at hand, or the end is.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<()> {
        while self.rest.len() < want && self.end.is_none() {
            let filled = self.rest.len();
            self.rest.resize(want, 0);
            let result = self.decoder.read(&mut self.rest[filled..]);
            self.rest.truncate(filled + result.as_ref().map_or(0, |read| *read));
            match result {
                Ok(0) => self.end = Some(End::Whole),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::UnexpectedEof => self.end = Some(End::Early),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => self.end = Some(End::Broken),
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Moves towards `offset` by at most `step` bytes. True when it is reached; the end may come first.
    pub(super) fn skip(&mut self, offset: u64, step: usize) -> io::Result<bool> {
        let mut left = step as u64;
        while self.offset < offset && left > 0 {
            self.fill(64 << 10)?;
            let len = (offset - self.offset).min(self.rest.len() as u64);
            if len == 0 {
                break;
            }
            self.take(len as usize);
            left = left.saturating_sub(len);
        }
        Ok(self.offset == offset)
    }

    /// What is at hand.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// The bytes before the offset, at most [`TAIL`].
    pub(super) fn before(&self) -> &[u8] {
        &self.before
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes over `len` bytes of what is at hand.
    pub(super) fn take(&mut self, len: usize) {
        self.before.extend_from_slice(&self.rest[len.saturating_sub(TAIL)..len]);
        self.before.drain(..self.before.len().saturating_sub(TAIL));
        self.rest.drain(..len);
        self.offset += len as u64;
    }

    /// How it ends, once everything before the end is at hand.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// Bytes of the compressed file that were read.
    pub(super) fn compressed(&self) -> u64 {
        self.decoder.get_ref().taken
    }
}

impl std::fmt::Debug for GzipReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GzipReader").field("offset", &self.offset).field("end", &self.end).finish_non_exhaustive()
    }
}

/// The compressed bytes, read by position so that the descriptor can be shared.
struct Compressed {
    file: Arc<File>,
    taken: u64,
}

impl Read for Compressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.taken)?;
        self.taken += read as u64;
        Ok(read)
    }
}

/// The first decompressed bytes, at most [`HEAD`], and whether there may be more of them later, because the file
/// is still being written.
pub(super) fn head(file: &Arc<File>) -> io::Result<(Vec<u8>, bool)> {
    let mut reader = GzipReader::new(Arc::clone(file));
    reader.fill(HEAD)?;
    reader.rest.truncate(HEAD);
    let early = reader.rest.len() < HEAD && reader.end == Some(End::Early);
    Ok((reader.rest, early))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: &[u8]) -> Arc<File> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.gz"), bytes).unwrap();
        Arc::new(File::open(folder.path().join("x.gz")).unwrap())
    }

    #[test]
    fn members_are_one_content_and_a_position_is_reached_in_steps() {
        let text: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let (a, b) = text.split_at(500_000);
        let file = opened(&[gzip::compress(a, 1).unwrap(), gzip::compress(b, 1).unwrap()].concat());
        let mut reader = GzipReader::new(Arc::clone(&file));
        let mut steps = 0;
        while !reader.skip(700_001, 100_000).unwrap() {
            steps += 1;
        }
        assert!(steps > 3);
        assert_eq!(reader.before(), &text[700_001 - TAIL..700_001]);
        reader.fill(10 << 20).unwrap();
        assert_eq!((reader.rest(), reader.end()), (&text[700_001..], Some(End::Whole)));
        assert_eq!(head(&file).unwrap(), (text[..HEAD].to_vec(), false));
    }

    #[test]
    fn an_early_end_and_damage_are_told_apart() {
        let text: Vec<u8> = (0..30_000u32).flat_map(u32::to_le_bytes).collect();
        let mut packed = gzip::compress(&text, 1).unwrap();
        let mut reader = GzipReader::new(opened(&packed[..packed.len() - 9]));
        reader.fill(10 << 20).unwrap();
        assert_eq!(reader.end(), Some(End::Early));
        let middle = packed.len() / 2;
        packed[middle..middle + 64].fill(0xff);
        let mut reader = GzipReader::new(opened(&packed));
        reader.fill(10 << 20).unwrap();
        assert_eq!(reader.end(), Some(End::Broken));
    }
}
