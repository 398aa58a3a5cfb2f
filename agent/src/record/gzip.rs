//! The home of flate2: gzip members in and out.
//!
//! Promises: a compressed member is one complete gzip member, so members laid end to end are one stream;
//! decompression stops at a limit. Does no I/O.

use std::io::{self, Read};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Header of a member: no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A compressor whose state (some 300 KB) is used again from member to member.
#[derive(Debug)]
pub(crate) struct Compressor {
    state: Compress,
    out: Vec<u8>,
}

impl Compressor {
    /// `level`: 1 (fast) to 9 (small).
    pub(crate) fn new(level: u32) -> Compressor {
        Compressor { state: Compress::new(Compression::new(level), false), out: Vec::new() }
    }

    /// Compresses `raw` as one gzip member.
    ///
    /// # Errors
    /// If the compressor's state is broken.
    pub(crate) fn compress(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        self.state.reset();
        self.out.clear();
        self.out.extend_from_slice(&HEADER);
        loop {
            self.out.reserve(64 << 10);
            let done = self.state.total_in() as usize;
            let rest = raw.get(done..).unwrap_or_default();
            match self.state.compress_vec(rest, &mut self.out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(_) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let mut crc = Crc::new();
        crc.update(raw);
        self.out.extend_from_slice(&crc.sum().to_le_bytes());
        self.out.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(self.out.clone())
    }
}

/// Compresses `raw` as one gzip member, for the rare way.
///
/// # Errors
/// As [`Compressor::compress`].
pub(crate) fn compress(raw: &[u8], level: u32) -> io::Result<Vec<u8>> {
    Compressor::new(level).compress(raw)
}

/// Decompresses one or more members laid end to end.
///
/// # Errors
/// `InvalidData` if the content is damaged or longer than `limit` bytes.
pub(crate) fn decompress(gzip: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(gzip).take(limit + 1);
    reader.read_to_end(&mut raw)?;
    if raw.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than it says"));
    }
    Ok(raw)
}

/// Decompresses a zlib stream (what HTTP calls deflate).
///
/// # Errors
/// `InvalidData` if the content is damaged, cut or longer than `limit` bytes.
pub(crate) fn inflate_zlib(zlib: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(zlib).take(limit + 1);
    reader.read_to_end(&mut raw)?;
    if raw.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than it says"));
    }
    Ok(raw)
}

/// Compresses as a zlib stream, for tests of whoever reads one.
#[cfg(test)]
pub(crate) fn deflate_zlib(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut zlib = Vec::new();
    flate2::read::ZlibEncoder::new(raw, Compression::fast()).read_to_end(&mut zlib)?;
    Ok(zlib)
}

/// Reads the decompressed content of `R`, all its members.
pub(crate) type Reader<R> = flate2::read::MultiGzDecoder<R>;

/// A reader of the decompressed content of `inner`, all its members.
pub(crate) fn reader<R: Read>(inner: R) -> Reader<R> {
    flate2::read::MultiGzDecoder::new(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_laid_end_to_end_are_one_stream_and_the_limit_holds() {
        let mut compressor = Compressor::new(1);
        let large = b"0123456789abcdef".repeat(100_000);
        let two = [compressor.compress(b"one ").unwrap(), compressor.compress(&large).unwrap()].concat();
        let raw = [b"one ".as_slice(), &large].concat();
        assert_eq!(decompress(&two, raw.len() as u64).unwrap(), raw);
        assert!(decompress(&two, raw.len() as u64 - 1).is_err());
        assert!(decompress(&two[..two.len() - 1], 1 << 30).is_err());
        assert_eq!(decompress(&compress(b"", 6).unwrap(), 0).unwrap(), b"");
    }
}
