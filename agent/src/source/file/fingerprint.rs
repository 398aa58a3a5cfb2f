//! Hashes of a file's head and of the bytes before the position: they decide which stored source a file is, and
//! whether the bytes already shipped are still there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::xxh3_64;

/// The head grows with the file up to this many bytes.
pub(super) const HEAD: usize = 1024;
/// The tail is at most this many bytes before the position.
pub(super) const TAIL: usize = 256;

/// A hash with the number of bytes that it covers. Of no bytes it matches anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Print {
    pub(super) len: u16,
    pub(super) hash: u64,
}

impl Print {
    /// `bytes` are at most [`HEAD`].
    pub(super) fn of(bytes: &[u8]) -> Print {
        if bytes.is_empty() {
            return Print::default();
        }
        Print { len: bytes.len() as u16, hash: xxh3_64(bytes) }
    }

    pub(super) fn len(self) -> usize {
        usize::from(self.len)
    }

    /// `bytes` begin with what was hashed.
    pub(super) fn begins(self, bytes: &[u8]) -> bool {
        bytes.get(..self.len()).is_some_and(|prefix| Print::of(prefix) == self)
    }

    /// The tail behind `taken`, which followed `before` (at least the old tail's bytes).
    pub(super) fn tail_of(before: &[u8], taken: &[u8]) -> Print {
        if taken.len() >= TAIL {
            return Print::of(&taken[taken.len() - TAIL..]);
        }
        let kept = before.len().min(TAIL - taken.len());
        let mut joined = [0; TAIL];
        joined[..kept].copy_from_slice(&before[before.len() - kept..]);
        joined[kept..kept + taken.len()].copy_from_slice(taken);
        Print::of(&joined[..kept + taken.len()])
    }
}

/// The first bytes of a file, at most [`HEAD`].
pub(super) fn read_head(file: &File, size: u64) -> io::Result<Vec<u8>> {
    read_range(file, 0, size.min(HEAD as u64) as usize)
}

/// The tail print of a file at `offset`.
pub(super) fn read_tail(file: &File, offset: u64) -> io::Result<Print> {
    let len = offset.min(TAIL as u64);
    let bytes = read_range(file, offset - len, len as usize)?;
    if bytes.len() as u64 == len { Ok(Print::of(&bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The bytes before `offset` are those of `tail`.
pub(super) fn has_tail(file: &File, offset: u64, tail: Print) -> io::Result<bool> {
    let bytes = read_range(file, offset - offset.min(u64::from(tail.len)), tail.len())?;
    Ok(Print::of(&bytes) == tail)
}

/// Up to `len` bytes from `offset`; fewer where the file ends.
pub(super) fn read_range(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_grows_over_what_was_there_before() {
        let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut tail = (Vec::new(), Print::default());
        for piece in all.chunks(77) {
            tail.1 = Print::tail_of(&tail.0, piece);
            tail.0.extend_from_slice(piece);
            let len = tail.0.len();
            assert_eq!(tail.1, Print::of(&tail.0[len.saturating_sub(TAIL)..]));
        }
        assert!(Print::of(b"ab").begins(b"abc"));
        assert!(!Print::of(b"ab").begins(b"a"));
        assert!(Print::default().begins(b""));
    }
}
