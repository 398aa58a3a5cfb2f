//! The body of a pull: decompressed, checked, and cut into pieces between log groups.
//!
//! Promises: what is handed on is exactly as long as the service said, holds as many groups as it said and can be
//! read to its end; nothing is decompressed beyond that length. Pure.

use std::ops::Range;

use super::error::SlsError;
use crate::record::{gzip, log_group};

/// Longest body after decompression that is believed. (A log group has 5 MB at most, an answer some 10 MB.)
pub(super) const LONGEST: u64 = 64 << 20;

/// What the headers of an answer say of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// Length after decompression.
    pub(super) raw_size: u64,
    /// `lz4`, `zstd`, `deflate`, `gzip`, or nothing.
    pub(super) compression: Option<String>,
    /// Log groups.
    pub(super) groups: Option<u64>,
}

/// Whole log groups in the order in which they lie in their shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The cursor of the first group; the others follow in steps of 1.
    pub(super) first: u64,
    pub(super) groups: u64,
    pub(super) logs: u64,
    /// When the service received the last group, unix seconds, if it says so.
    pub(super) received: Option<i64>,
    pub(super) data: Vec<u8>,
}

/// Decompresses and checks a body.
///
/// # Errors
/// [`SlsError::Unusable`]: it is not what its headers say.
pub(super) fn open(body: &[u8], declared: &Declared) -> Result<(Vec<u8>, log_group::Counts), SlsError> {
    if declared.raw_size > LONGEST {
        return Err(unusable(format!("it would have {} bytes", declared.raw_size)));
    }
    if declared.raw_size == 0 {
        return expect_groups(Vec::new(), log_group::Counts::default(), declared);
    }
    let size = usize::try_from(declared.raw_size).unwrap_or(usize::MAX);
    let data = match declared.compression.as_deref() {
        None | Some("") => body.to_vec(),
        Some("lz4") => lz4_flex::block::decompress(body, size).map_err(|error| unusable(format!("lz4: {error}")))?,
        Some("zstd") => zstd::bulk::decompress(body, size).map_err(|error| unusable(format!("zstd: {error}")))?,
        Some("deflate") => {
            gzip::inflate_zlib(body, declared.raw_size).map_err(|e| unusable(format!("deflate: {e}")))?
        }
        Some("gzip") => gzip::decompress(body, declared.raw_size).map_err(|e| unusable(format!("gzip: {e}")))?,
        Some(other) => return Err(unusable(format!("compressed with {other}"))),
    };
    if data.len() != size {
        return Err(unusable(format!("{} bytes instead of {size}", data.len())));
    }
    let counts = log_group::check(&data).map_err(|error| unusable(error.to_owned()))?;
    expect_groups(data, counts, declared)
}

fn expect_groups(
    data: Vec<u8>,
    counts: log_group::Counts,
    declared: &Declared,
) -> Result<(Vec<u8>, log_group::Counts), SlsError> {
    match declared.groups {
        Some(groups) if groups != counts.groups => {
            Err(unusable(format!("{} log groups instead of {groups}", counts.groups)))
        }
        _ => Ok((data, counts)),
    }
}

fn unusable(why: String) -> SlsError {
    SlsError::Unusable(why)
}

/// Cuts checked groups into pieces of about `bytes`: those with cursors in `keep`. `first` is the cursor of the first
/// group.
pub(super) fn cut(data: Vec<u8>, first: u64, bytes: usize, keep: &Range<u64>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut open: Option<(Piece, Range<usize>)> = None;
    let mut from = 0;
    for (cursor, (border, group)) in (first..).zip(log_group::groups(&data)) {
        let at = std::mem::replace(&mut from, border);
        if !keep.contains(&cursor) {
            continue;
        }
        if open.as_ref().is_some_and(|(_, span)| border - span.start > bytes) {
            pieces.extend(open.take().map(|(piece, span)| closed(piece, &data[span])));
        }
        let empty = Piece { first: cursor, groups: 0, logs: 0, received: None, data: Vec::new() };
        let (piece, span) = open.get_or_insert((empty, at..at));
        span.end = border;
        piece.groups += 1;
        piece.logs += group.logs().count() as u64;
        piece.received = received(&group).or(piece.received);
    }
    match open {
        // the common case: nothing to cut, nothing to copy
        Some((piece, span)) if span == (0..data.len()) => pieces.push(Piece { data, ..piece }),
        Some((piece, span)) => pieces.push(closed(piece, &data[span])),
        None => {}
    }
    pieces
}

fn closed(piece: Piece, data: &[u8]) -> Piece {
    Piece { data: data.to_vec(), ..piece }
}

fn received(group: &log_group::LogGroup<'_>) -> Option<i64> {
    std::str::from_utf8(group.tag(b"__receive_time__")?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::log_group::write;

    fn list(groups: usize) -> Vec<u8> {
        let mut list = Vec::new();
        for _ in 0..groups {
            write::group(
                "t",
                "s",
                &[("__receive_time__", "77")],
                &[(1, None, &[(b"k", b"a value that is some bytes long")])],
                &mut list,
            );
        }
        list
    }

    fn declared(raw_size: usize, compression: Option<&str>, groups: u64) -> Declared {
        Declared { raw_size: raw_size as u64, compression: compression.map(str::to_owned), groups: Some(groups) }
    }

    fn packed(raw: &[u8], how: &str) -> Vec<u8> {
        match how {
            "lz4" => lz4_flex::block::compress(raw),
            "zstd" => zstd::bulk::compress(raw, 1).unwrap(),
            "deflate" => gzip::deflate_zlib(raw).unwrap(),
            "gzip" => gzip::compress(raw, 1).unwrap(),
            _ => raw.to_vec(),
        }
    }

    #[test]
    fn every_compression_of_the_service_is_read() {
        let raw = list(20);
        for how in ["lz4", "zstd", "deflate", "gzip", ""] {
            let (data, counts) = open(&packed(&raw, how), &declared(raw.len(), Some(how), 20)).unwrap();
            assert_eq!((data == raw, counts.groups, counts.logs), (true, 20, 20), "{how}");
        }
        assert_eq!(open(b"", &declared(0, Some("lz4"), 0)).unwrap().0, b"");
        assert_eq!(open(&raw, &Declared { raw_size: raw.len() as u64, ..Declared::default() }).unwrap().0, raw);
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        let raw = list(20);
        for how in ["lz4", "zstd", "deflate", "gzip", ""] {
            let body = packed(&raw, how);
            for (body, declared) in [
                (&body[..body.len() / 2], declared(raw.len(), Some(how), 20)),
                (&body[..], declared(raw.len() + 1, Some(how), 20)),
                (&body[..], declared(raw.len() - 1, Some(how), 20)),
                (&body[..], declared(raw.len(), Some(how), 19)),
                (&b"garbage garbage garbage"[..], declared(raw.len(), Some(how), 20)),
            ] {
                let error = open(body, &declared).unwrap_err();
                assert!(matches!(error, SlsError::Unusable(_)), "{how}: {error}");
            }
        }
        assert!(open(&raw, &declared(raw.len(), Some("br"), 20)).is_err());
        assert!(open(&raw, &declared(usize::MAX / 2, Some("lz4"), 20)).is_err());
        assert!(open(b"", &declared(0, None, 3)).is_err());
    }

    #[test]
    fn pieces_together_are_the_whole_and_know_their_cursors() {
        let raw = list(20);
        let one = raw.len() / 20;
        let pieces = cut(raw.clone(), 100, one * 3, &(0..u64::MAX));
        assert_eq!(pieces.iter().flat_map(|piece| piece.data.clone()).collect::<Vec<u8>>(), raw);
        let mut next = 100;
        for piece in &pieces {
            assert_eq!((piece.first, piece.received), (next, Some(77)));
            assert_eq!(log_group::check(&piece.data).unwrap().groups, piece.groups);
            next += piece.groups;
        }
        assert_eq!((next, pieces.len()), (120, 7));
        assert_eq!(cut(raw.clone(), 100, 1 << 20, &(0..u64::MAX)).len(), 1);
    }

    #[test]
    fn what_lies_before_or_behind_is_left_out() {
        let raw = list(20);
        let groups = |pieces: Vec<Piece>| pieces.iter().map(|piece| piece.groups).sum::<u64>();
        assert_eq!(groups(cut(raw.clone(), 100, 1 << 20, &(0..107))), 7);
        assert_eq!(groups(cut(raw.clone(), 100, 10, &(103..107))), 4);
        assert_eq!(cut(raw.clone(), 100, 10, &(0..100)), []);
        let late = cut(raw.clone(), 100, 1 << 20, &(118..500));
        assert_eq!((late[0].first, late[0].groups, log_group::check(&late[0].data).unwrap().groups), (118, 2, 2));
        assert_eq!(groups(cut(raw, 100, 10, &(0..500))), 20);
    }
}
