//! Segment files: appending frames to the newest, walking through any, reading a sealed one's index.
//!
//! Promises: an append that failed leaves the file as it was (or says that it is broken); a walk meets every
//! sound frame, whatever lies between. Does not know what frames mean.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, Entry, HEADER_LEN, Head, Header, Kind, LaneSum, MAGIC, Meta, Summary, TRAILER_LEN, Trailer};
use super::fs::Disk;

/// More members than this in one segment would make its index too large to keep in memory.
pub(super) const MEMBERS_MAX: usize = 16_384;

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

/// The number in a segment's file name.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// The segment that frames are appended to.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) len: u64,
    /// The check of the last frame.
    pub(super) check: u32,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// The next free ordinal.
    pub(super) ordinals: u32,
    /// Pipeline → bytes of row changes.
    pub(super) rows: BTreeMap<String, u64>,
    /// Nothing can be appended any more: a write or sync went wrong in a way that can't be undone.
    pub(super) broken: bool,
}

impl Active {
    pub(super) fn new(number: u64, disk: Arc<dyn Disk>) -> Active {
        Active {
            number,
            disk,
            len: 0,
            check: 0,
            first_seq: 0,
            last_seq: 0,
            ordinals: 0,
            rows: BTreeMap::new(),
            broken: false,
        }
    }

    /// Appends one frame; returns the offset of its first body.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        seq: u64,
        frontier: u64,
        meta: &[u8],
        bodies: &[&[u8]],
    ) -> io::Result<u64> {
        let bodies_len = bodies.iter().map(|b| b.len() as u64).sum();
        let header = Header {
            check: 0,
            meta_len: 0,
            bodies_len,
            seq,
            frontier,
            previous: self.check,
            kind,
            segment: self.number,
        };
        let (front, check) = frame::encode(header, meta);
        let mut parts: Vec<&[u8]> = Vec::with_capacity(bodies.len() + 1);
        parts.push(&front);
        parts.extend_from_slice(bodies);
        if let Err(error) = self.disk.write_at(self.len, &parts) {
            self.broken |= self.disk.truncate(self.len).is_err();
            return Err(error);
        }
        let at = self.len + front.len() as u64;
        self.len = at + bodies_len;
        self.check = check;
        self.last_seq = seq;
        if self.first_seq == 0 {
            self.first_seq = seq;
        }
        Ok(at)
    }

    /// Writes index, summary and trailer behind the last frame, and syncs. `entries` bear numbers in `lanes`.
    pub(super) fn seal(&mut self, entries: &[Entry], lanes: Vec<LaneSum>) -> io::Result<()> {
        let summary = Summary {
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            ordinals: self.ordinals,
            check: self.check,
            lanes,
            rows: self.rows.iter().map(|(pipeline, bytes)| (pipeline.clone(), *bytes)).collect(),
        };
        let footer = frame::encode_footer(self.len, entries, &summary);
        if let Err(error) = self.disk.write_at(self.len, &[&footer]) {
            self.broken |= self.disk.truncate(self.len).is_err();
            return Err(error);
        }
        self.disk.sync()?;
        self.len += footer.len() as u64;
        Ok(())
    }
}

/// A sealed segment's summary and where its index lies. `None`: it is not sealed, or its end is damaged.
pub(super) fn read_summary(disk: &dyn Disk) -> io::Result<Option<(Trailer, Summary)>> {
    let len = disk.len()?;
    if len < TRAILER_LEN as u64 {
        return Ok(None);
    }
    let window = len.min(4096);
    let mut tail = vec![0; window as usize];
    disk.read_at(len - window, &mut tail)?;
    let Some(trailer) = tail.last_chunk().and_then(Trailer::decode) else { return Ok(None) };
    let behind = u64::from(trailer.summary_len) + TRAILER_LEN as u64;
    if trailer.index_offset + u64::from(trailer.index_len) + behind != len {
        return Ok(None);
    }
    if behind > window {
        tail = vec![0; behind as usize];
        disk.read_at(len - behind, &mut tail)?;
    }
    let from = tail.len() - behind as usize;
    let bytes = &tail[from..tail.len() - TRAILER_LEN];
    Ok(frame::decode_summary(bytes, trailer.summary_crc).map(|summary| (trailer, summary)))
}

/// The members of a sealed segment, with its own lane numbers. `None`: the index is damaged.
pub(super) fn read_index(disk: &dyn Disk, trailer: &Trailer) -> io::Result<Option<Vec<Entry>>> {
    let mut bytes = vec![0; trailer.index_len as usize];
    disk.read_at(trailer.index_offset, &mut bytes)?;
    Ok(frame::decode_index(&bytes, trailer.index_crc))
}

/// What a frame says.
pub(super) enum Content {
    Commit(Meta),
    Head(Head),
}

pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) offset: u64,
    pub(super) content: Content,
    /// Ordinals of members whose bodies are not as they were written; empty if bodies were not looked at.
    pub(super) harmed: Vec<u32>,
}

impl Frame {
    pub(super) fn bodies_at(&self) -> u64 {
        self.offset + HEADER_LEN as u64 + u64::from(self.header.meta_len)
    }
}

#[expect(clippy::large_enum_variant, reason = "one at a time, and nearly always a frame")]
pub(super) enum Item {
    Frame(Frame),
    /// Bytes that are not a frame, up to the next frame or the end.
    Bad {
        from: u64,
        to: u64,
    },
}

/// A walk through a segment's frames.
pub(super) struct Walk<'a> {
    disk: &'a dyn Disk,
    segment: u64,
    at: u64,
    end: u64,
    /// Whether bodies are read and checked.
    bodies: bool,
    window: Vec<u8>,
    window_at: u64,
}

const WINDOW: u64 = 256 << 10;
/// Where bodies are passed over, most of a window would be.
const WINDOW_BETWEEN_BODIES: u64 = 32 << 10;

impl<'a> Walk<'a> {
    /// From the beginning to `end` (the file's length, or where its index begins).
    pub(super) fn new(disk: &'a dyn Disk, segment: u64, end: u64, bodies: bool) -> Walk<'a> {
        Walk { disk, segment, at: 0, end, bodies, window: Vec::new(), window_at: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let from = self.at;
        if let Some(frame) = self.frame_at(from)? {
            self.at = from + frame.header.frame_len();
            return Ok(Some(Item::Frame(frame)));
        }
        let to = self.find_frame(from + 1)?;
        self.at = to;
        Ok(Some(Item::Bad { from, to }))
    }

    fn bytes(&mut self, at: u64, len: u64) -> io::Result<Option<&[u8]>> {
        if at.checked_add(len).is_none_or(|end| end > self.end) {
            return Ok(None);
        }
        if at < self.window_at || at + len > self.window_at + self.window.len() as u64 {
            let window = if self.bodies { WINDOW } else { WINDOW_BETWEEN_BODIES };
            let take = len.max(window.min(self.end - at));
            self.window.resize(take as usize, 0);
            self.window_at = at;
            if let Err(error) = self.disk.read_at(at, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
        }
        let from = (at - self.window_at) as usize;
        Ok(self.window.get(from..from + len as usize))
    }

    fn frame_at(&mut self, offset: u64) -> io::Result<Option<Frame>> {
        let Some(bytes) = self.bytes(offset, HEADER_LEN as u64)? else { return Ok(None) };
        let Some(raw) = bytes.first_chunk::<HEADER_LEN>().copied() else { return Ok(None) };
        let Some(header) = Header::decode(&raw) else { return Ok(None) };
        let end = offset.checked_add(header.frame_len());
        if header.segment != self.segment || end.is_none_or(|end| end > self.end) {
            return Ok(None);
        }
        let Some(meta) = self.bytes(offset + HEADER_LEN as u64, u64::from(header.meta_len))? else {
            return Ok(None);
        };
        if frame::check(&raw, meta) != header.check {
            return Ok(None);
        }
        let content = match header.kind {
            Kind::Head => Head::decode(meta).map(Content::Head),
            Kind::Commit | Kind::Kept => Meta::decode(meta).map(Content::Commit),
        };
        let Some(content) = content else { return Ok(None) };
        let mut frame = Frame { header, offset, content, harmed: Vec::new() };
        if self.bodies {
            frame.harmed = self.harmed(&frame)?;
        }
        Ok(Some(frame))
    }

    fn harmed(&mut self, frame: &Frame) -> io::Result<Vec<u32>> {
        let mut harmed = Vec::new();
        let Content::Commit(meta) = &frame.content else { return Ok(harmed) };
        let mut at = frame.bodies_at();
        for member in &meta.members {
            let body = self.bytes(at, u64::from(member.gzip_len))?;
            if body.is_none_or(|body| crc32c::crc32c(body) != member.crc) {
                harmed.push(member.ordinal);
            }
            at += u64::from(member.gzip_len);
        }
        Ok(harmed)
    }

    /// The offset of the next sound frame at or behind `from`, or the end.
    fn find_frame(&mut self, mut from: u64) -> io::Result<u64> {
        while from + HEADER_LEN as u64 <= self.end {
            let len = WINDOW.min(self.end - from);
            let Some(bytes) = self.bytes(from, len)? else { break };
            let Some(found) = memchr::memmem::find(bytes, &MAGIC) else {
                from += len - (MAGIC.len() as u64 - 1).min(len - 1);
                continue;
            };
            from += found as u64;
            if self.frame_at(from)?.is_some() {
                return Ok(from);
            }
            from += 1;
        }
        Ok(self.end)
    }
}
