//! MURMUR_HASH and MURMUR_HASH_64, as the cloud product computes them: the 32- and 64-bit forms of MurmurHash3 that Apache
//! Commons Codec has, with its seed.
//!
//! Texts and FLOAT are those of the documented examples; what the other numbers give follows from the same library.

use super::kernel::map;
use super::signature::{Function, f};
use super::{Site, rows};
use crate::record::Type;
use crate::sql::expr::Kernel;

const SEED: u32 = 104_729;

pub(super) const TABLE: &[Function] = &[
    f("MURMUR_HASH", "STRING -> INT", |_| Ok(rows(|args| Some(short(args.bytes(0)))))),
    f("MURMUR_HASH", "INTEGER -> INT", |_| Ok(map(|value: i64| short(&value.to_be_bytes())))),
    f("MURMUR_HASH", "FLOAT -> INT", |_| {
        Ok(map(|value: f32| short(&i64::from(value.to_bits().cast_signed()).to_be_bytes())))
    }),
    f("MURMUR_HASH", "DOUBLE -> INT", |_| Ok(map(|value: f64| short(&value.to_bits().to_be_bytes())))),
    f("MURMUR_HASH_64", "STRING -> BIGINT", |_| Ok(rows(|args| Some(long(args.bytes(0)))))),
    f("MURMUR_HASH_64", "INTEGER -> BIGINT", long_of_integer),
    f("MURMUR_HASH_64", "FLOAT -> BIGINT", |_| Ok(map(|value: f32| long(&value.to_bits().to_be_bytes())))),
    f("MURMUR_HASH_64", "DOUBLE -> BIGINT", |_| Ok(map(|value: f64| long(&value.to_bits().to_be_bytes())))),
];

/// An integer is hashed with as many bytes as its type has.
fn long_of_integer(site: &Site<'_>) -> Result<Kernel, String> {
    Ok(match site.ty(0) {
        Type::TinyInt | Type::SmallInt => map(|value: i64| long(&(value as i16).to_be_bytes())),
        Type::Int => map(|value: i64| long(&(value as i32).to_be_bytes())),
        _ => map(|value: i64| long(&value.to_be_bytes())),
    })
}

/// MurmurHash3, x86, 32 bits.
fn short(bytes: &[u8]) -> i64 {
    let scrambled = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, rest) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(SEED, |hash, block| {
        (hash ^ scrambled(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let rest = rest.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
    hash ^= scrambled(rest);
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    i64::from((hash ^ hash >> 16).cast_signed())
}

/// Commons Codec's 64 bits: one half of the 128-bit form, by itself.
fn long(bytes: &[u8]) -> i64 {
    let scrambled =
        |block: u64| block.wrapping_mul(0x87c3_7b91_1142_53d5).rotate_left(31).wrapping_mul(0x4cf5_ad43_2745_937f);
    let (blocks, rest) = bytes.as_chunks::<8>();
    let mut hash = blocks.iter().fold(u64::from(SEED), |hash, block| {
        (hash ^ scrambled(u64::from_le_bytes(*block))).rotate_left(27).wrapping_mul(5).wrapping_add(0x52dc_e729)
    });
    let rest = rest.iter().rev().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    hash ^= scrambled(rest);
    hash ^= bytes.len() as u64;
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ hash >> 33).cast_signed()
}
