//! Dead letters: one log of their own, rewritten when most of it was dropped.
//!
//! ```text
//! dead/NNNNNNNN.dead := record…
//! record := mark[4] len:u32 crc:u32 body           crc of body
//! body   := 0 next:u64                             first in a file: the next number
//!         | 1 number:u64 pipeline:str index:str id:str kind:str reason:str status:u16 at:u64 action:bytes document:bytes
//!         | 2 count:u32 number:u64…                dropped
//! ```
//! The index in memory (48 bytes a letter) is rebuilt by reading the log at open; its size is bounded by the
//! quota. Promises: letters with the same (pipeline, index, id) are kept once; a number is never given twice;
//! a damaged record loses that letter alone, and is counted.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::record::{DeadLetter, Member};

use super::bytes::{Reader, put_bytes, put_str, put_u16, put_u32, put_u64};
use super::fs::{Disk, Fs};

const MARK: [u8; 4] = *b"\x93DL\n";
const FRONT: usize = 12;
/// Garbage below this is not worth a rewrite.
const GARBAGE_MIN: u64 = 1 << 20;
/// A replayed member has about this many bytes before compression.
const MEMBER_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Slot {
    pipeline: u32,
    len: u32,
    offset: u64,
    key: u64,
}

/// The open log.
pub(super) struct DeadLog {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    number: u64,
    len: u64,
    next: u64,
    slots: BTreeMap<u64, Slot>,
    keys: HashMap<u64, u64>,
    live: HashMap<u32, u64>,
    unsynced: bool,
    /// Bytes that were no record.
    pub(super) damaged: u64,
}

/// Why letters were not taken.
#[derive(Debug)]
pub(super) enum Refused {
    Full,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.dead"))
}

fn key(pipeline: u32, index: &str, id: &str) -> u64 {
    let mut text = Vec::with_capacity(index.len() + id.len() + 5);
    put_u32(&mut text, pipeline);
    text.extend_from_slice(index.as_bytes());
    text.push(0);
    text.extend_from_slice(id.as_bytes());
    xxhash_rust::xxh3::xxh3_64(&text)
}

fn record(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRONT + body.len());
    out.extend_from_slice(&MARK);
    put_u32(&mut out, body.len() as u32);
    put_u32(&mut out, crc32c::crc32c(body));
    out.extend_from_slice(body);
    out
}

fn encode(number: u64, pipeline: &str, letter: &DeadLetter) -> Vec<u8> {
    let mut body = Vec::with_capacity(128 + letter.document.len() + letter.reason.len());
    body.push(1);
    put_u64(&mut body, number);
    for text in [pipeline, &letter.index, &letter.id, &letter.kind, &letter.reason] {
        put_str(&mut body, text);
    }
    put_u16(&mut body, letter.status);
    put_u64(&mut body, letter.at_ms.cast_unsigned());
    put_bytes(&mut body, &letter.action);
    put_bytes(&mut body, &letter.document);
    record(&body)
}

enum Record {
    Next(u64),
    Letter(u64, String, DeadLetter),
    Dropped(Vec<u64>),
}

fn decode(body: &[u8]) -> Option<Record> {
    let mut read = Reader(body);
    match read.u8()? {
        0 => Some(Record::Next(read.u64()?)),
        1 => {
            let (number, pipeline) = (read.u64()?, read.str()?);
            let (index, id, kind, reason) = (read.str()?, read.str()?, read.str()?, read.str()?);
            let (status, at_ms) = (read.u16()?, read.u64()?.cast_signed());
            let (action, document) = (read.bytes()?.to_vec(), read.bytes()?.to_vec());
            let letter = DeadLetter { index, id, kind, reason, status, action, document, at_ms };
            Some(Record::Letter(number, pipeline, letter))
        }
        2 => {
            let count = read.count(8)?;
            Some(Record::Dropped((0..count).map_while(|_| read.u64()).collect()))
        }
        _ => None,
    }
}

/// The body at the start of `bytes`, and the record's length.
fn sound(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut read = Reader(bytes);
    if read.take(4)? != MARK {
        return None;
    }
    let (len, crc) = (read.u32()? as usize, read.u32()?);
    let body = read.take(len)?;
    (crc32c::crc32c(body) == crc).then_some((body, FRONT + len))
}

impl DeadLog {
    /// Opens or makes the log; `pipeline` gives a pipeline's number.
    pub(super) fn open(fs: Arc<dyn Fs>, dir: &Path, mut pipeline: impl FnMut(&str) -> u32) -> io::Result<DeadLog> {
        fs.make_dir(dir)?;
        let mut numbers: Vec<u64> = Vec::new();
        for name in fs.list(dir)? {
            match name.strip_suffix(".dead").and_then(|n| n.parse().ok()) {
                Some(number) => numbers.push(number),
                None => fs.unlink(&dir.join(name))?,
            }
        }
        numbers.sort_unstable();
        let Some(number) = numbers.pop() else { return DeadLog::create(fs, dir, 1, 1) };
        // A rewrite is renamed into place when it is complete, so older files are what it was made from.
        for old in numbers {
            fs.unlink(&path(dir, old))?;
        }
        let disk = fs.open(&path(dir, number))?;
        let mut bytes = vec![0; disk.len()? as usize];
        disk.read_at(0, &mut bytes)?;
        let mut log = DeadLog {
            fs,
            dir: dir.to_path_buf(),
            disk,
            number,
            len: 0,
            next: 1,
            slots: BTreeMap::new(),
            keys: HashMap::new(),
            live: HashMap::new(),
            unsynced: false,
            damaged: 0,
        };
        let end = log.scan(&bytes, &mut pipeline);
        if end < bytes.len() {
            log.disk.truncate(end as u64)?;
        }
        log.disk.sync()?;
        log.len = end as u64;
        Ok(log)
    }

    fn create(fs: Arc<dyn Fs>, dir: &Path, number: u64, next: u64) -> io::Result<DeadLog> {
        let mut body = vec![0];
        put_u64(&mut body, next);
        let first = record(&body);
        let new = dir.join("dead.new");
        let disk = fs.create(&new)?;
        disk.write_at(0, &[&first])?;
        disk.sync()?;
        fs.rename(&new, &path(dir, number))?;
        fs.sync_dir(dir)?;
        Ok(DeadLog {
            fs,
            dir: dir.to_path_buf(),
            disk,
            number,
            len: first.len() as u64,
            next,
            slots: BTreeMap::new(),
            keys: HashMap::new(),
            live: HashMap::new(),
            unsynced: false,
            damaged: 0,
        })
    }

    /// Takes in all records; returns the end of the last sound one.
    fn scan(&mut self, bytes: &[u8], pipeline: &mut impl FnMut(&str) -> u32) -> usize {
        let (mut at, mut end) = (0, 0);
        while at < bytes.len() {
            let Some((body, len)) = sound(&bytes[at..]) else {
                at += 1;
                at += memchr::memmem::find(&bytes[at..], &MARK).unwrap_or(bytes.len() - at);
                continue;
            };
            self.damaged += (at - end) as u64;
            match decode(body) {
                Some(Record::Next(next)) => self.next = self.next.max(next),
                Some(Record::Letter(number, name, letter)) => {
                    let of = pipeline(&name);
                    let key = key(of, &letter.index, &letter.id);
                    self.insert(number, Slot { pipeline: of, len: len as u32, offset: at as u64, key });
                }
                Some(Record::Dropped(numbers)) => numbers.iter().for_each(|n| self.remove(*n)),
                None => self.damaged += len as u64,
            }
            at += len;
            end = at;
        }
        end
    }

    fn insert(&mut self, number: u64, slot: Slot) {
        self.next = self.next.max(number + 1);
        self.keys.insert(slot.key, number);
        *self.live.entry(slot.pipeline).or_default() += u64::from(slot.len);
        self.slots.insert(number, slot);
    }

    fn remove(&mut self, number: u64) {
        let Some(slot) = self.slots.remove(&number) else { return };
        self.keys.remove(&slot.key);
        if let Some(live) = self.live.get_mut(&slot.pipeline) {
            *live -= u64::from(slot.len);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.disk.write_at(self.len, &[bytes]) {
            self.disk.truncate(self.len)?;
            return Err(error);
        }
        self.len += bytes.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Appends all of `letters` (those that are new) or none. Not durable before [`DeadLog::sync`].
    pub(super) fn append(
        &mut self,
        pipeline: u32,
        name: &str,
        letters: &[DeadLetter],
        max: u64,
    ) -> Result<u64, Refused> {
        let mut bytes = Vec::new();
        let mut slots: Vec<(u64, Slot)> = Vec::new();
        for letter in letters {
            let key = key(pipeline, &letter.index, &letter.id);
            let known = self.keys.contains_key(&key) || slots.iter().any(|(_, slot)| slot.key == key);
            if known {
                continue;
            }
            let number = self.next + slots.len() as u64;
            let record = encode(number, name, letter);
            let (offset, len) = (self.len + bytes.len() as u64, record.len() as u32);
            slots.push((number, Slot { pipeline, len, offset, key }));
            bytes.extend_from_slice(&record);
        }
        if slots.is_empty() {
            return Ok(0);
        }
        if self.bytes(pipeline) + bytes.len() as u64 > max {
            return Err(Refused::Full);
        }
        self.write(&bytes)?;
        let count = slots.len() as u64;
        slots.into_iter().for_each(|(number, slot)| self.insert(number, slot));
        Ok(count)
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.disk.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Forgets letters of `pipeline`, durably; says how many there were.
    pub(super) fn forget(&mut self, pipeline: u32, numbers: &[u64]) -> io::Result<u64> {
        let ours = |n: &&u64| self.slots.get(n).is_some_and(|slot| slot.pipeline == pipeline);
        let mut numbers: Vec<u64> = numbers.iter().filter(ours).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(0);
        }
        let mut body = vec![2];
        put_u32(&mut body, numbers.len() as u32);
        numbers.iter().for_each(|n| put_u64(&mut body, *n));
        self.write(&record(&body))?;
        self.sync()?;
        numbers.iter().for_each(|n| self.remove(*n));
        if self.len > 2 * self.live.values().sum::<u64>() + GARBAGE_MIN {
            self.rewrite()?;
        }
        Ok(numbers.len() as u64)
    }

    /// Copies what is live into a new file and removes the old one.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut body = vec![0];
        put_u64(&mut body, self.next);
        let first = record(&body);
        let new = self.dir.join("dead.new");
        let disk = self.fs.create(&new)?;
        disk.write_at(0, &[&first])?;
        let mut len = first.len() as u64;
        let mut offsets = Vec::with_capacity(self.slots.len());
        for slot in self.slots.values() {
            let mut bytes = vec![0; slot.len as usize];
            self.disk.read_at(slot.offset, &mut bytes)?;
            disk.write_at(len, &[&bytes])?;
            offsets.push(len);
            len += bytes.len() as u64;
        }
        disk.sync()?;
        let old = path(&self.dir, self.number);
        self.number += 1;
        self.fs.rename(&new, &path(&self.dir, self.number))?;
        self.fs.sync_dir(&self.dir)?;
        self.slots.values_mut().zip(offsets).for_each(|(slot, offset)| slot.offset = offset);
        (self.disk, self.len) = (disk, len);
        self.fs.unlink(&old)
    }

    /// Live bytes of a pipeline's letters.
    pub(super) fn bytes(&self, pipeline: u32) -> u64 {
        self.live.get(&pipeline).copied().unwrap_or(0)
    }

    pub(super) fn count(&self, pipeline: u32) -> u64 {
        self.slots.values().filter(|slot| slot.pipeline == pipeline).count() as u64
    }

    /// Letters of `pipeline` from number `from` on. A letter whose bytes are damaged is passed over.
    pub(super) fn list(&self, pipeline: u32, from: u64, limit: usize) -> io::Result<Vec<(u64, DeadLetter)>> {
        let mut letters = Vec::new();
        for (number, slot) in self.slots.range(from..).filter(|(_, s)| s.pipeline == pipeline) {
            if letters.len() == limit {
                break;
            }
            let mut bytes = vec![0; slot.len as usize];
            self.disk.read_at(slot.offset, &mut bytes)?;
            if let Some(Record::Letter(_, _, letter)) = sound(&bytes).and_then(|(body, _)| decode(body)) {
                letters.push((*number, letter));
            }
        }
        Ok(letters)
    }
}

/// Letters as bulk bodies again, at most about 2 MiB each, in order within each index.
pub(super) fn members(letters: impl Iterator<Item = DeadLetter>) -> io::Result<Vec<Member>> {
    let mut bodies: BTreeMap<String, (Vec<u8>, u32)> = BTreeMap::new();
    let mut members = Vec::new();
    for letter in letters {
        let (raw, items) = bodies.entry(letter.index.clone()).or_default();
        for part in [&letter.action, &letter.document] {
            raw.extend_from_slice(part);
            raw.push(b'\n');
        }
        *items += 1;
        if raw.len() >= MEMBER_BYTES {
            members.push(member(&letter.index, &std::mem::take(raw), std::mem::take(items))?);
        }
    }
    for (index, (raw, items)) in bodies.iter().filter(|(_, (_, items))| *items > 0) {
        members.push(member(index, raw, *items)?);
    }
    Ok(members)
}

fn member(index: &str, raw: &[u8], items: u32) -> io::Result<Member> {
    let gzip = crate::record::gzip::compress(raw, 1)?;
    Ok(Member { index: index.into(), items, raw_len: raw.len() as u32, gzip, sent_before: true })
}
