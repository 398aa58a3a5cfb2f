//! The service's own compressions of bodies: raw LZ4 blocks, zstd frames, zlib streams. Never gzip, never an HTTP coding.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::refusal::Refusal;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packing {
    Identity,
    /// A raw block: no frame, no size before it.
    Lz4,
    Zstd,
    /// RFC 1950.
    Deflate,
}

impl Packing {
    /// The value of `x-log-compresstype`; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Identity => "",
            Packing::Lz4 => "lz4",
            Packing::Zstd => "zstd",
            Packing::Deflate => "deflate",
        }
    }

    fn named(name: &str) -> Option<Packing> {
        [Packing::Lz4, Packing::Zstd, Packing::Deflate].into_iter().find(|packing| packing.name() == name)
    }

    /// What a body was sent in.
    pub(super) fn of_body(name: Option<&str>) -> Result<Packing, Refusal> {
        match name.unwrap_or("") {
            "" => Ok(Packing::Identity),
            name => Packing::named(name)
                .ok_or_else(|| Refusal::bad("InvalidCompressType", format!("unsupported compress type: {name}"))),
        }
    }

    /// What an answer may be sent in: the first known of the list.
    pub(super) fn accepted(accept_encoding: Option<&str>) -> Packing {
        let names = accept_encoding.unwrap_or("").split(',').map(|name| name.split(';').next().unwrap_or("").trim());
        names.into_iter().find_map(Packing::named).unwrap_or(Packing::Identity)
    }

    pub fn pack(self, raw: &[u8]) -> Bytes {
        match self {
            Packing::Identity => Bytes::copy_from_slice(raw),
            Packing::Lz4 => lz4_flex::block::compress(raw).into(),
            Packing::Zstd => zstd::bulk::compress(raw, 1).unwrap().into(),
            Packing::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(raw).unwrap();
                encoder.finish().unwrap().into()
            }
        }
    }

    /// `None` unless exactly `raw_size` bytes come out.
    pub fn unpack(self, packed: &Bytes, raw_size: usize) -> Option<Bytes> {
        let raw: Bytes = match self {
            Packing::Identity => packed.clone(),
            Packing::Lz4 => lz4_flex::block::decompress(packed, raw_size).ok()?.into(),
            Packing::Zstd => zstd::bulk::decompress(packed, raw_size).ok()?.into(),
            Packing::Deflate => {
                let mut raw = Vec::new();
                ZlibDecoder::new(packed.as_ref()).take(raw_size as u64 + 1).read_to_end(&mut raw).ok()?;
                raw.into()
            }
        };
        (raw.len() == raw_size).then_some(raw)
    }
}
