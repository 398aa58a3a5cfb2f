//! The home of flate2: gzip members in and out.
//!
//! Promises: a compressed member is one complete gzip member, so members laid end to end are one stream;
//! decompression stops at a limit. Does no I/O.

use std::io::{self, Read, Write};

use flate2::{Compression, write::GzEncoder};

/// Compresses `raw` as one gzip member.
pub(crate) fn compress(raw: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 4 + 64), Compression::new(level));
    encoder.write_all(raw)?;
    encoder.finish()
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

/// Reads the decompressed content of `R`, all its members.
pub(crate) type Reader<R> = flate2::read::MultiGzDecoder<R>;

/// A reader of the decompressed content of `inner`, all its members.
pub(crate) fn reader<R: Read>(inner: R) -> Reader<R> {
    flate2::read::MultiGzDecoder::new(inner)
}
