//! The format of segments, stated once: frames, the index at a sealed segment's end, and their checks.
//!
//! ```text
//! segment  := head frame, frames…, [index, summary, trailer]          all integers little-endian
//! frame    := header (64 bytes), meta, bodies
//! header   := magic[8] check:u32 meta_len:u32 bodies_len:u64 seq:u64 frontier:u64 previous:u32
//!             kind:u8 version:u8 0:u16 segment:u64 0:u64
//! ```
//! `check` is the CRC32C of the header behind it and of the meta; the meta holds the CRC32C of every body, so
//! it vouches for all of the frame. `previous` is the `check` of the frame before. `frontier` is the durable
//! frontier known when the frame was written. A member is addressed by (segment, ordinal); ordinals are stated,
//! so a damaged frame does not move those behind it, and a rewritten segment keeps them.
//!
//! Promises: what `encode` writes, `decode` reads; anything else is `None`, whatever the bytes. Does no I/O.

use crate::record::{Bitmap, Row};

use super::bytes::{Reader, put_bitmap, put_counters, put_lanes, put_rows, put_str, put_u16, put_u32, put_u64};

pub(super) const MAGIC: [u8; 8] = *b"\x93SplFrm\n";
const TRAILER_MAGIC: [u8; 8] = *b"\x93SplEnd\n";
pub(super) const VERSION: u8 = 1;
pub(super) const HEADER_LEN: usize = 64;
pub(super) const TRAILER_LEN: usize = 48;
/// A meta longer than this is not read: no commit of the agent comes near it.
const META_MAX: u32 = 256 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A commit: members, rows, settlements, counters.
    Commit = 1,
    /// The first frame of a segment: what was known when it began.
    Head = 2,
    /// Members kept when the rest of their segment was dropped.
    Kept = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) check: u32,
    pub(super) meta_len: u32,
    pub(super) bodies_len: u64,
    pub(super) seq: u64,
    pub(super) frontier: u64,
    pub(super) previous: u32,
    pub(super) kind: Kind,
    pub(super) segment: u64,
}

impl Header {
    pub(super) fn frame_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.meta_len) + self.bodies_len
    }

    /// `None`: these bytes do not begin a frame of this version.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        let mut read = Reader(bytes);
        let magic = read.take(8)?;
        let (check, meta_len, bodies_len) = (read.u32()?, read.u32()?, read.u64()?);
        let (seq, frontier, previous) = (read.u64()?, read.u64()?, read.u32()?);
        let kind = match read.u8()? {
            1 => Kind::Commit,
            2 => Kind::Head,
            3 => Kind::Kept,
            _ => return None,
        };
        let version = read.u8()?;
        read.u16()?;
        let segment = read.u64()?;
        (magic == MAGIC && version == VERSION && meta_len <= META_MAX).then_some(Header {
            check,
            meta_len,
            bodies_len,
            seq,
            frontier,
            previous,
            kind,
            segment,
        })
    }
}

/// What a damaged header says of its frame's length and sequence.
pub(super) fn len_and_seq(header: &[u8]) -> Option<(u64, u64)> {
    let mut read = Reader(header.get(12..)?);
    let (meta_len, bodies_len, seq) = (read.u32()?, read.u64()?, read.u64()?);
    Some(((HEADER_LEN as u64 + u64::from(meta_len)).checked_add(bodies_len)?, seq))
}

/// The check of a whole frame: its header behind the check, and its meta.
pub(super) fn check(header: &[u8], meta: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header.get(12..).unwrap_or_default()), meta)
}

/// Header and meta as they are written in front of the bodies. Returns the frame's check as well.
pub(super) fn encode(mut header: Header, meta: &[u8]) -> (Vec<u8>, u32) {
    header.meta_len = meta.len() as u32;
    let mut out = Vec::with_capacity(HEADER_LEN + meta.len());
    out.extend_from_slice(&MAGIC);
    put_u32(&mut out, 0);
    put_u32(&mut out, header.meta_len);
    put_u64(&mut out, header.bodies_len);
    put_u64(&mut out, header.seq);
    put_u64(&mut out, header.frontier);
    put_u32(&mut out, header.previous);
    out.extend_from_slice(&[header.kind as u8, VERSION, 0, 0]);
    put_u64(&mut out, header.segment);
    put_u64(&mut out, 0);
    let check = check(&out, meta);
    out[8..12].copy_from_slice(&check.to_le_bytes());
    out.extend_from_slice(meta);
    (out, check)
}

/// One member as a frame's meta describes it. Its body lies behind those of the members before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberMeta {
    pub(super) ordinal: u32,
    /// The commit that brought it, and its number there.
    pub(super) seq: u64,
    pub(super) member: u16,
    /// Number in the frame's table of lanes.
    pub(super) lane: u16,
    pub(super) sent_before: bool,
    pub(super) items: u32,
    pub(super) raw_len: u32,
    pub(super) gzip_len: u32,
    pub(super) crc: u32,
}

/// A settlement: what is still owed of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) segment: u64,
    pub(super) ordinal: u32,
    pub(super) still: Option<Bitmap>,
}

/// Things that happened to a pipeline and must not be forgotten; absolute, so that the latest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Documents dropped because the buffer was full (`when_full`).
    pub(crate) dropped_items: u64,
    pub(crate) dropped_bytes: u64,
    /// Documents whose stored bytes were damaged.
    pub(crate) quarantined_items: u64,
}

/// The meta of a `Commit` or `Kept` frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// (pipeline, index); the first is the committing pipeline with the index "".
    pub(super) lanes: Vec<(String, String)>,
    pub(super) members: Vec<MemberMeta>,
    pub(super) rows: Vec<Row>,
    pub(super) settled: Vec<Mark>,
    /// Numbers of dead letters that are owed again by this commit.
    pub(super) replayed: Vec<u64>,
    pub(super) counters: Option<Counters>,
}

impl Meta {
    pub(super) fn encode(&self) -> Vec<u8> {
        let rows: usize = self.rows.iter().map(|r| 12 + r.value.as_ref().map_or(0, |v| v.len())).sum();
        let mut out = Vec::with_capacity(128 + rows + self.members.len() * 35);
        put_lanes(&mut out, &self.lanes);
        put_u32(&mut out, self.members.len() as u32);
        for m in &self.members {
            put_u32(&mut out, m.ordinal);
            put_u64(&mut out, m.seq);
            put_u16(&mut out, m.member);
            put_u16(&mut out, m.lane);
            out.push(u8::from(m.sent_before));
            for n in [m.items, m.raw_len, m.gzip_len, m.crc] {
                put_u32(&mut out, n);
            }
        }
        put_rows(&mut out, self.rows.iter().map(|r| (r.key, r.value.as_deref())));
        put_u32(&mut out, self.settled.len() as u32);
        for mark in &self.settled {
            put_u64(&mut out, mark.segment);
            put_u32(&mut out, mark.ordinal);
            put_bitmap(&mut out, mark.still.as_ref());
        }
        put_u32(&mut out, self.replayed.len() as u32);
        self.replayed.iter().for_each(|n| put_u64(&mut out, *n));
        out.push(u8::from(self.counters.is_some()));
        if let Some(counters) = &self.counters {
            put_counters(&mut out, counters);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Meta> {
        let mut read = Reader(bytes);
        let lanes = read.lanes()?;
        let count = read.count(35)?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            members.push(MemberMeta {
                ordinal: read.u32()?,
                seq: read.u64()?,
                member: read.u16()?,
                lane: read.u16()?,
                sent_before: read.u8()? != 0,
                items: read.u32()?,
                raw_len: read.u32()?,
                gzip_len: read.u32()?,
                crc: read.u32()?,
            });
        }
        let rows = read.rows()?;
        let count = read.u32()?;
        let mut settled = Vec::new();
        for _ in 0..count {
            settled.push(Mark { segment: read.u64()?, ordinal: read.u32()?, still: read.bitmap()? });
        }
        let count = read.u32()?;
        let mut replayed = Vec::new();
        for _ in 0..count {
            replayed.push(read.u64()?);
        }
        let counters = if read.u8()? == 0 { None } else { Some(read.counters()?) };
        let known = members.iter().all(|m: &MemberMeta| usize::from(m.lane) < lanes.len());
        (read.0.is_empty() && known && !lanes.is_empty()).then_some(Meta {
            lanes,
            members,
            rows,
            settled,
            replayed,
            counters,
        })
    }
}

/// Settled marks of one live segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentMarks {
    pub(super) segment: u64,
    /// One bit per ordinal.
    pub(super) done: Vec<u64>,
    pub(super) partial: Vec<(u32, Bitmap)>,
}

/// The meta of a `Head` frame: what the segments before this one said and what may be gone with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Frames of earlier segments with a higher sequence were written again behind this head.
    pub(super) follows: u64,
    pub(super) marks: Vec<SegmentMarks>,
    /// (pipeline, the sequence at which its newest base began).
    pub(super) bases: Vec<(String, u64)>,
    pub(super) counters: Vec<(String, Counters)>,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u64(&mut out, self.follows);
        put_u32(&mut out, self.marks.len() as u32);
        for marks in &self.marks {
            put_u64(&mut out, marks.segment);
            put_u32(&mut out, marks.done.len() as u32);
            marks.done.iter().for_each(|word| put_u64(&mut out, *word));
            put_u32(&mut out, marks.partial.len() as u32);
            for (ordinal, still) in &marks.partial {
                put_u32(&mut out, *ordinal);
                put_bitmap(&mut out, Some(still));
            }
        }
        put_u32(&mut out, self.bases.len() as u32);
        for (pipeline, began) in &self.bases {
            put_str(&mut out, pipeline);
            put_u64(&mut out, *began);
        }
        put_u32(&mut out, self.counters.len() as u32);
        for (pipeline, counters) in &self.counters {
            put_str(&mut out, pipeline);
            put_counters(&mut out, counters);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Head> {
        let mut read = Reader(bytes);
        let mut head = Head { follows: read.u64()?, ..Head::default() };
        for _ in 0..read.u32()? {
            let mut marks = SegmentMarks { segment: read.u64()?, ..SegmentMarks::default() };
            for _ in 0..read.u32()? {
                marks.done.push(read.u64()?);
            }
            for _ in 0..read.u32()? {
                marks.partial.push((read.u32()?, read.bitmap()??));
            }
            head.marks.push(marks);
        }
        for _ in 0..read.u32()? {
            head.bases.push((read.str()?, read.u64()?));
        }
        for _ in 0..read.u32()? {
            head.counters.push((read.str()?, read.counters()?));
        }
        read.0.is_empty().then_some(head)
    }
}

/// One member in a sealed segment's index, and in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) offset: u64,
    pub(super) ordinal: u32,
    /// On disk a number in the summary's table, in memory the process's lane number.
    pub(super) lane: u32,
    pub(super) items: u32,
    pub(super) raw_len: u32,
    pub(super) gzip_len: u32,
    pub(super) crc: u32,
    pub(super) member: u16,
    pub(super) sent_before: bool,
}

const ENTRY_LEN: usize = 43;

/// What a lane has in a segment, settled or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LaneSum {
    pub(super) pipeline: String,
    pub(super) index: String,
    pub(super) members: u32,
    pub(super) items: u64,
    pub(super) bytes: u64,
}

/// All of a sealed segment that must be known at open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Ordinals in use are below this.
    pub(super) ordinals: u32,
    /// The check of the last frame.
    pub(super) check: u32,
    pub(super) lanes: Vec<LaneSum>,
    /// (pipeline, bytes of its row changes in this segment).
    pub(super) rows: Vec<(String, u64)>,
}

/// Where a sealed segment's index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) index_offset: u64,
    pub(super) index_len: u32,
    pub(super) index_crc: u32,
    pub(super) summary_len: u32,
    pub(super) summary_crc: u32,
}

/// Index, summary and trailer of a segment whose frames end at `offset`.
pub(super) fn encode_footer(offset: u64, entries: &[Entry], summary: &Summary) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * ENTRY_LEN + 512);
    for e in entries {
        put_u64(&mut out, e.seq);
        put_u64(&mut out, e.offset);
        for n in [e.ordinal, e.lane, e.items, e.raw_len, e.gzip_len, e.crc] {
            put_u32(&mut out, n);
        }
        put_u16(&mut out, e.member);
        out.push(u8::from(e.sent_before));
    }
    let index_len = out.len();
    put_u64(&mut out, summary.first_seq);
    put_u64(&mut out, summary.last_seq);
    put_u32(&mut out, summary.ordinals);
    put_u32(&mut out, summary.check);
    put_u32(&mut out, summary.lanes.len() as u32);
    for lane in &summary.lanes {
        put_str(&mut out, &lane.pipeline);
        put_str(&mut out, &lane.index);
        put_u32(&mut out, lane.members);
        put_u64(&mut out, lane.items);
        put_u64(&mut out, lane.bytes);
    }
    put_u32(&mut out, summary.rows.len() as u32);
    for (pipeline, bytes) in &summary.rows {
        put_str(&mut out, pipeline);
        put_u64(&mut out, *bytes);
    }
    let end = out.len();
    let (index_crc, summary_crc) = (crc32c::crc32c(&out[..index_len]), crc32c::crc32c(&out[index_len..end]));
    out.extend_from_slice(&TRAILER_MAGIC);
    put_u64(&mut out, offset);
    for n in [index_len as u32, index_crc, (end - index_len) as u32, summary_crc, u32::from(VERSION), 0, 0] {
        put_u32(&mut out, n);
    }
    let crc = crc32c::crc32c(&out[end..]);
    put_u32(&mut out, crc);
    out
}

impl Trailer {
    pub(super) fn decode(bytes: &[u8; TRAILER_LEN]) -> Option<Trailer> {
        let (body, crc) = bytes.split_at(TRAILER_LEN - 4);
        let mut read = Reader(body);
        let magic = read.take(8)?;
        let index_offset = read.u64()?;
        let (index_len, index_crc, summary_len, summary_crc) = (read.u32()?, read.u32()?, read.u32()?, read.u32()?);
        let version = read.u32()?;
        let sound =
            magic == TRAILER_MAGIC && version == u32::from(VERSION) && Reader(crc).u32()? == crc32c::crc32c(body);
        sound.then_some(Trailer { index_offset, index_len, index_crc, summary_len, summary_crc })
    }
}

/// The index of a sealed segment. `None` if it is damaged.
pub(super) fn decode_index(bytes: &[u8], crc: u32) -> Option<Vec<Entry>> {
    if crc32c::crc32c(bytes) != crc || !bytes.len().is_multiple_of(ENTRY_LEN) {
        return None;
    }
    let mut read = Reader(bytes);
    let mut entries = Vec::with_capacity(bytes.len() / ENTRY_LEN);
    while !read.0.is_empty() {
        entries.push(Entry {
            seq: read.u64()?,
            offset: read.u64()?,
            ordinal: read.u32()?,
            lane: read.u32()?,
            items: read.u32()?,
            raw_len: read.u32()?,
            gzip_len: read.u32()?,
            crc: read.u32()?,
            member: read.u16()?,
            sent_before: read.u8()? != 0,
        });
    }
    Some(entries)
}

pub(super) fn decode_summary(bytes: &[u8], crc: u32) -> Option<Summary> {
    if crc32c::crc32c(bytes) != crc {
        return None;
    }
    let mut read = Reader(bytes);
    let mut summary = Summary {
        first_seq: read.u64()?,
        last_seq: read.u64()?,
        ordinals: read.u32()?,
        check: read.u32()?,
        ..Summary::default()
    };
    for _ in 0..read.u32()? {
        let (pipeline, index) = (read.str()?, read.str()?);
        summary.lanes.push(LaneSum { pipeline, index, members: read.u32()?, items: read.u64()?, bytes: read.u64()? });
    }
    for _ in 0..read.u32()? {
        summary.rows.push((read.str()?, read.u64()?));
    }
    read.0.is_empty().then_some(summary)
}
