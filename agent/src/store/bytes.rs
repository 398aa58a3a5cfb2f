//! Little-endian fields of the store's formats: how they are put down and picked up again.
//!
//! Promises: a `Reader` never reads beyond its bytes and never allocates more than they could hold.

use crate::record::{Bitmap, Row};

use super::frame::Counters;

pub(super) fn put_u16(out: &mut Vec<u8>, n: u16) {
    out.extend_from_slice(&n.to_le_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

pub(super) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Tombstones have the length `u32::MAX`.
pub(super) fn put_rows<'a>(out: &mut Vec<u8>, rows: impl ExactSizeIterator<Item = (u64, Option<&'a [u8]>)>) {
    put_u32(out, rows.len() as u32);
    for (key, value) in rows {
        put_u64(out, key);
        match value {
            Some(value) => put_bytes(out, value),
            None => put_u32(out, u32::MAX),
        }
    }
}

/// The length of "nothing is owed" is 0, and a bitmap of 0 bits owes nothing.
pub(super) fn put_bitmap(out: &mut Vec<u8>, map: Option<&Bitmap>) {
    put_u32(out, map.map_or(0, Bitmap::len));
    if let Some(map) = map {
        out.extend_from_slice(&map.to_bytes());
    }
}

pub(super) fn put_lanes(out: &mut Vec<u8>, lanes: &[(String, String)]) {
    put_u32(out, lanes.len() as u32);
    for (pipeline, index) in lanes {
        put_str(out, pipeline);
        put_str(out, index);
    }
}

pub(super) fn put_counters(out: &mut Vec<u8>, counters: &Counters) {
    put_u64(out, counters.dropped_items);
    put_u64(out, counters.dropped_bytes);
    put_u64(out, counters.quarantined_items);
}

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    pub(super) fn str(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    /// The number of things to come, each at least `least` bytes long: refused if they can't all be there.
    pub(super) fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count.checked_mul(least)? <= self.0.len()).then_some(count)
    }

    pub(super) fn rows(&mut self) -> Option<Vec<Row>> {
        let count = self.count(12)?;
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let key = self.u64()?;
            let len = self.u32()?;
            let value = if len == u32::MAX { None } else { Some(self.take(len as usize)?.into()) };
            rows.push(Row { key, value });
        }
        Some(rows)
    }

    pub(super) fn bitmap(&mut self) -> Option<Option<Bitmap>> {
        let len = self.u32()?;
        if len == 0 {
            return Some(None);
        }
        let bytes = self.take(len.div_ceil(64) as usize * 8)?;
        Some(Some(Bitmap::from_bytes(len, bytes)?))
    }

    pub(super) fn lanes(&mut self) -> Option<Vec<(String, String)>> {
        let count = self.count(8)?;
        (0..count).map(|_| Some((self.str()?, self.str()?))).collect()
    }

    pub(super) fn counters(&mut self) -> Option<Counters> {
        Some(Counters { dropped_items: self.u64()?, dropped_bytes: self.u64()?, quarantined_items: self.u64()? })
    }
}
