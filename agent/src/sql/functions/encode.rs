//! Digests, base64, hexadecimal, character sets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::signature::{Function, f};
use super::{Args, Site, binaries, rows, texts};
use crate::sql::expr::Kernel;

pub(super) const TABLE: &[Function] = &[
    f("MD5", "STRING -> STRING", |_| Ok(digest::<Md5>())),
    f("SHA1", "STRING -> STRING", |_| Ok(digest::<Sha1>())),
    f("SHA224", "STRING -> STRING", |_| Ok(digest::<Sha224>())),
    f("SHA256", "STRING -> STRING", |_| Ok(digest::<Sha256>())),
    f("SHA384", "STRING -> STRING", |_| Ok(digest::<Sha384>())),
    f("SHA512", "STRING -> STRING", |_| Ok(digest::<Sha512>())),
    f("MD5", "BYTES -> STRING", |_| Ok(digest::<Md5>())),
    f("SHA1", "BYTES -> STRING", |_| Ok(digest::<Sha1>())),
    f("SHA256", "BYTES -> STRING", |_| Ok(digest::<Sha256>())),
    f("SHA512", "BYTES -> STRING", |_| Ok(digest::<Sha512>())),
    f("SHA2", "STRING, INTEGER -> STRING", |_| Ok(texts(sha2_of))),
    f("HASH_CODE", "STRING -> INT", |_| {
        Ok(rows(|args| {
            let hash = args.text(0).encode_utf16().fold(0_i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
            Some(i64::from(hash))
        }))
    }),
    f("TO_BASE64", "STRING -> STRING", to_base64),
    f("TO_BASE64", "BYTES -> STRING", to_base64),
    f("FROM_BASE64", "STRING -> STRING", |_| {
        Ok(texts(|args, out| match STANDARD.decode(args.bytes(0)) {
            Ok(bytes) => {
                out.extend_from_slice(String::from_utf8_lossy(&bytes).as_bytes());
                Some(())
            }
            Err(_) => args.fail("FROM_BASE64 of a text that is not base64"),
        }))
    }),
    f("HEX", "STRING -> STRING", hex_of),
    f("HEX", "BYTES -> STRING", hex_of),
    f("UNHEX", "STRING -> BYTES", |_| Ok(binaries(unhex))),
    f("ENCODE", "STRING, STRING -> BYTES", |_| Ok(binaries(encode))),
    f("DECODE", "BYTES, STRING -> STRING", |_| Ok(texts(decode))),
];

fn push_hex(bytes: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]));
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn digest<D: Digest>() -> Kernel {
    texts(|args, out| {
        push_hex(&D::digest(args.bytes(0)), LOWER, out);
        Some(())
    })
}

fn sha2_of(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let text = args.bytes(0);
    match args.int(1) {
        224 => push_hex(&Sha224::digest(text), LOWER, out),
        256 => push_hex(&Sha256::digest(text), LOWER, out),
        384 => push_hex(&Sha384::digest(text), LOWER, out),
        512 => push_hex(&Sha512::digest(text), LOWER, out),
        other => return args.fail(format!("SHA2 with {other} bits: there are 224, 256, 384 and 512")),
    }
    Some(())
}

fn to_base64(_: &Site<'_>) -> Result<Kernel, String> {
    Ok(texts(|args, out| {
        out.extend_from_slice(STANDARD.encode(args.bytes(0)).as_bytes());
        Some(())
    }))
}

fn hex_of(_: &Site<'_>) -> Result<Kernel, String> {
    Ok(texts(|args, out| {
        push_hex(args.bytes(0), UPPER, out);
        Some(())
    }))
}

/// An odd number of digits has a 0 before it.
fn unhex(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let digits = args.bytes(0).iter().map(|b| char::from(*b).to_digit(16)).collect::<Option<Vec<u32>>>()?;
    let (head, pairs) = digits.split_at(digits.len() % 2);
    out.extend(head.iter().map(|digit| *digit as u8));
    out.extend(pairs.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)));
    Some(())
}

fn encode(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let text = args.text(0);
    match args.text(1).to_uppercase().as_str() {
        "UTF-8" | "UTF8" => out.extend_from_slice(text.as_bytes()),
        "UTF-16" => {
            out.extend_from_slice(&[0xFE, 0xFF]);
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        }
        "UTF-16BE" => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
        "UTF-16LE" => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        "ISO-8859-1" => out.extend(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'))),
        "US-ASCII" => out.extend(text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' })),
        other => return args.fail(format!("there is no character set {other}")),
    }
    Some(())
}

fn decode(args: &Args<'_>, out: &mut Vec<u8>) -> Option<()> {
    let bytes = args.bytes(0);
    let wide = |bytes: &[u8], make: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| make([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match args.text(1).to_uppercase().as_str() {
        "UTF-8" | "UTF8" => String::from_utf8_lossy(bytes).into_owned(),
        "UTF-16" => wide(bytes.strip_prefix(&[0xFE, 0xFF]).unwrap_or(bytes), u16::from_be_bytes),
        "UTF-16BE" => wide(bytes, u16::from_be_bytes),
        "UTF-16LE" => wide(bytes, u16::from_le_bytes),
        "ISO-8859-1" => bytes.iter().map(|b| char::from(*b)).collect(),
        "US-ASCII" => bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{FFFD}' }).collect(),
        other => return args.fail(format!("there is no character set {other}")),
    };
    out.extend_from_slice(text.as_bytes());
    Some(())
}
