//! The groups of one keyed operator: dense numbers for keys, what is known of each group beside its accumulators, and
//! which ones have changed since the last step. A number is given again once its group is gone.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use crate::record::{Column, Data, Value};

use super::codec;

/// The start and end of a group's window, in microseconds as they are shown.
pub(super) type Span = (i64, i64);

const ALIVE: u8 = 1;
/// Its row has been written: going needs a tombstone.
const STORED: u8 = 2;
/// Changed since it was last emitted early.
pub(super) const PENDING: u8 = 4;

/// Emitted once and for all.
pub(super) const FINAL: u8 = 8;

#[derive(Debug, Default)]
pub(super) struct Groups {
    keys: Keys,
    keeps: Keeps,
    /// Empty without windows.
    pub(super) spans: Vec<Span>,
    /// The step that changed the group last.
    pub(super) changed: Vec<u64>,
    /// Processing time of the last change, in microseconds; empty without a TTL.
    pub(super) seen: Vec<i64>,
    /// A bit for each output that holds the group's row; empty where nothing can take rows back.
    pub(super) sent: Vec<u32>,
    flags: Vec<u8>,
    /// The interval in which the group changed last: in `dirty` if that is the present one.
    touched: Vec<u32>,
    interval: u32,
    dirty: Vec<u32>,
    /// Keys of rows that are stored and must go.
    dead: Vec<Box<[u8]>>,
    free: Vec<u32>,
    alive: usize,
    heap: usize,
}

/// Which of [`Groups`]' optional columns are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keeps {
    pub(super) spans: bool,
    pub(super) seen: bool,
    pub(super) sent: bool,
}

/// Keys by group number.
#[derive(Debug)]
enum Keys {
    /// One column of integers; true for NULL.
    Ints(Vec<i64>, Vec<bool>),
    /// Encoded columns one behind the other.
    Bytes(Vec<Key>),
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::Bytes(Vec::new())
    }
}

/// An encoded key; short ones lie in place.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Short(u8, [u8; 22]),
    Long(Box<[u8]>),
}

impl Key {
    pub(super) fn new(bytes: &[u8]) -> Key {
        let mut short = [0; 22];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Key::Short(bytes.len() as u8, short)
            }
            None => Key::Long(bytes.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Key::Short(len, bytes) => &bytes[..usize::from(*len)],
            Key::Long(bytes) => bytes,
        }
    }

    pub(super) fn heap(&self) -> usize {
        if let Key::Long(bytes) = self { bytes.len() + 16 } else { 0 }
    }
}

/// Finds groups by key: one for each window, or one for all.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The upper half of the key's hash, and the group.
    table: HashTable<(u32, u32)>,
    /// The group of a single integer key that is NULL.
    null: Option<u32>,
}

impl Index {
    pub(super) fn groups(&self) -> impl Iterator<Item = u32> {
        self.table.iter().map(|(_, group)| *group).chain(self.null)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.null.is_none()
    }

    /// A group with half of this hash: almost always the one that is meant.
    fn likely(&self, hash: u64) -> Option<u32> {
        let upper = (hash >> 32) as u32;
        self.table.find(hash, |(half, _)| *half == upper).map(|(_, group)| *group)
    }
}

/// Spreads an integer over 64 bits (the finaliser of MurmurHash3).
fn mix(number: i64) -> u64 {
    let mut h = (number as u64) ^ 0x9e37_79b9_7f4a_7c15;
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

impl Groups {
    /// `single_int`: the key is one column that lies in `Data::Int`.
    pub(super) fn new(single_int: bool, keeps: Keeps) -> Groups {
        let keys = if single_int { Keys::Ints(Vec::new(), Vec::new()) } else { Keys::default() };
        Groups { keys, keeps, interval: 1, ..Groups::default() }
    }

    pub(super) fn slots(&self) -> u32 {
        self.flags.len() as u32
    }

    pub(super) fn is_alive(&self, group: u32) -> bool {
        self.flags[group as usize] & ALIVE != 0
    }

    pub(super) fn has(&self, group: u32, flag: u8) -> bool {
        self.flags[group as usize] & flag != 0
    }

    pub(super) fn set(&mut self, group: u32, flag: u8, on: bool) {
        let flags = &mut self.flags[group as usize];
        *flags = if on { *flags | flag } else { *flags & !flag };
    }

    pub(super) fn set_stored(&mut self, group: u32) {
        self.set(group, STORED, true);
    }

    pub(super) fn is_stored(&self, group: u32) -> bool {
        self.has(group, STORED)
    }

    /// Marks groups as changed in this interval.
    pub(super) fn touch(&mut self, groups: &[u32]) {
        for group in groups {
            let touched = &mut self.touched[*group as usize];
            if *touched != self.interval {
                *touched = self.interval;
                self.dirty.push(*group);
            }
        }
    }

    /// The groups that changed since the last call, each once, in the order of their first change.
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        let mut dirty = std::mem::take(&mut self.dirty);
        let interval = self.interval;
        // A number that was freed and given again stands here twice.
        dirty.retain(|group| {
            let touched = &mut self.touched[*group as usize];
            let first = *touched == interval && self.flags[*group as usize] & ALIVE != 0;
            *touched = 0;
            first
        });
        self.interval = self.interval.wrapping_add(1).max(1);
        dirty
    }

    pub(super) fn is_dirty(&self, group: u32) -> bool {
        self.touched[group as usize] == self.interval
    }

    /// What is known of a group beside its accumulators, for its row.
    pub(super) fn put_head(&self, group: u32, out: &mut Vec<u8>) {
        let at = group as usize;
        out.push(super::rows::VERSION);
        out.push(self.flags[at] & (PENDING | FINAL));
        codec::put_varint(self.changed[at], out);
        codec::put_signed(self.seen.get(at).copied().unwrap_or(0), out);
        codec::put_varint(self.sent.get(at).copied().unwrap_or(0).into(), out);
    }

    /// Reads what [`Groups::put_head`] wrote.
    pub(super) fn load_head(&mut self, group: u32, input: &mut &[u8]) -> Option<()> {
        let at = group as usize;
        let [version, flags] = codec::fixed(input)?;
        if version != super::rows::VERSION {
            return None;
        }
        self.flags[at] = ALIVE | STORED | flags;
        self.changed[at] = codec::varint(input)?;
        let (seen, sent) = (codec::signed(input)?, codec::varint(input)?);
        self.seen.get_mut(at).into_iter().for_each(|place| *place = seen);
        self.sent.get_mut(at).into_iter().for_each(|place| *place = sent as u32);
        Some(())
    }

    /// Keys of stored rows that are gone since the last call.
    pub(super) fn take_dead(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.dead)
    }

    pub(super) fn bury(&mut self, key: &[u8]) {
        self.dead.push(key.into());
    }

    pub(super) fn count(&self) -> usize {
        self.alive
    }

    /// About the bytes that groups take here, without accumulators.
    pub(super) fn heap(&self) -> usize {
        let optional = 16 * usize::from(!self.spans.is_empty())
            + 8 * usize::from(!self.seen.is_empty())
            + 4 * usize::from(!self.sent.is_empty());
        // The index has about 10 bytes a slot and is 7/8 full at best.
        self.flags.len() * (24 + 8 + 1 + 4 + 14 + optional) + self.heap
    }

    /// A group's key, encoded.
    pub(super) fn put_key(&self, group: u32, out: &mut Vec<u8>) {
        match &self.keys {
            Keys::Ints(values, nulls) => {
                let value = if nulls[group as usize] { Value::Null } else { Value::Int(values[group as usize]) };
                codec::put_value(&value, out);
            }
            Keys::Bytes(keys) => out.extend_from_slice(keys[group as usize].bytes()),
        }
    }

    /// Finds the group of each row by the key columns and makes the ones that are missing; appends their numbers.
    pub(super) fn find(
        &mut self,
        index: &mut Index,
        span: Span,
        columns: &[&Column],
        rows: &[u32],
        found: &mut Vec<u32>,
    ) {
        found.reserve(rows.len());
        if let (Keys::Ints(..), [Column { data: Data::Int(values), nulls }]) = (&self.keys, columns) {
            for row in rows {
                let row = *row as usize;
                let null = nulls.as_ref().is_some_and(|nulls| nulls[row]);
                found.push(self.find_int(index, span, (!null).then(|| values[row])));
            }
            return;
        }
        // All keys and hashes, then all look-ups by hash, then all comparisons: so that the processor waits for many
        // cache lines at a time.
        let mut keys = Vec::with_capacity(16 * rows.len());
        let mut ends = Vec::with_capacity(rows.len());
        for row in rows {
            columns.iter().for_each(|column| codec::put_cell(column, *row as usize, &mut keys));
            ends.push(keys.len());
        }
        let mut from = 0;
        let spans = ends.iter().map(|end| (std::mem::replace(&mut from, *end), *end));
        let hashed: Vec<(u64, &[u8])> = spans.map(|(from, to)| (xxh3_64(&keys[from..to]), &keys[from..to])).collect();
        let likely: Vec<Option<u32>> = hashed.iter().map(|(hash, _)| index.likely(*hash)).collect();
        for ((hash, key), likely) in hashed.into_iter().zip(likely) {
            found.push(match likely {
                Some(group) if self.has_key(group, key) => group,
                _ => self.find_bytes(index, span, hash, key),
            });
        }
    }

    fn has_key(&self, group: u32, key: &[u8]) -> bool {
        let Keys::Bytes(keys) = &self.keys else { return false };
        keys[group as usize].bytes() == key
    }

    /// Finds or makes the group of an encoded key.
    pub(super) fn find_key(&mut self, index: &mut Index, span: Span, mut key: &[u8]) -> Option<u32> {
        match &self.keys {
            Keys::Bytes(_) => Some(self.find_bytes(index, span, xxh3_64(key), key)),
            Keys::Ints(..) => match codec::value(&mut key)? {
                Value::Int(value) => Some(self.find_int(index, span, Some(value))),
                Value::Null => Some(self.find_int(index, span, None)),
                _ => None,
            },
        }
    }

    fn find_int(&mut self, index: &mut Index, span: Span, value: Option<i64>) -> u32 {
        let Some(value) = value else {
            return match index.null {
                Some(group) => group,
                None => {
                    let group = self.make(span);
                    index.null = Some(group);
                    self.set_int(group, 0, true);
                    group
                }
            };
        };
        let hash = mix(value);
        let upper = (hash >> 32) as u32;
        let Keys::Ints(values, _) = &self.keys else { return 0 };
        let same = |(half, group): &(u32, u32)| *half == upper && values[*group as usize] == value;
        match index.table.entry(hash, same, |(_, group)| mix(values[*group as usize])) {
            Entry::Occupied(at) => at.get().1,
            Entry::Vacant(at) => {
                let group = self.make(span);
                at.insert((upper, group));
                self.set_int(group, value, false);
                group
            }
        }
    }

    fn find_bytes(&mut self, index: &mut Index, span: Span, hash: u64, key: &[u8]) -> u32 {
        let upper = (hash >> 32) as u32;
        let Keys::Bytes(keys) = &self.keys else { return 0 };
        let same = |(half, group): &(u32, u32)| *half == upper && keys[*group as usize].bytes() == key;
        match index.table.entry(hash, same, |(_, group)| xxh3_64(keys[*group as usize].bytes())) {
            Entry::Occupied(at) => at.get().1,
            Entry::Vacant(at) => {
                let group = self.make(span);
                at.insert((upper, group));
                self.set_bytes(group, key);
                group
            }
        }
    }

    /// A group that no index knows.
    pub(super) fn make_apart(&mut self, span: Span, key: &[u8]) -> u32 {
        let group = self.make(span);
        self.set_bytes(group, key);
        group
    }

    fn set_int(&mut self, group: u32, value: i64, null: bool) {
        if let Keys::Ints(values, nulls) = &mut self.keys {
            let slots = self.flags.len();
            values.resize(slots, 0);
            nulls.resize(slots, false);
            values[group as usize] = value;
            nulls[group as usize] = null;
        }
    }

    fn set_bytes(&mut self, group: u32, key: &[u8]) {
        if let Keys::Bytes(keys) = &mut self.keys {
            keys.resize(self.flags.len(), Key::Short(0, [0; 22]));
            keys[group as usize] = Key::new(key);
            self.heap += keys[group as usize].heap();
        }
    }

    fn make(&mut self, span: Span) -> u32 {
        self.alive += 1;
        let group = match self.free.pop() {
            Some(group) => group,
            None => {
                self.flags.push(0);
                self.touched.push(0);
                self.changed.push(0);
                if self.keeps.spans {
                    self.spans.push(span);
                }
                if self.keeps.seen {
                    self.seen.push(0);
                }
                if self.keeps.sent {
                    self.sent.push(0);
                }
                self.flags.len() as u32 - 1
            }
        };
        let at = group as usize;
        self.flags[at] = ALIVE;
        self.touched[at] = 0;
        self.changed[at] = 0;
        self.spans.get_mut(at).into_iter().for_each(|place| *place = span);
        self.seen.get_mut(at).into_iter().for_each(|place| *place = 0);
        self.sent.get_mut(at).into_iter().for_each(|place| *place = 0);
        group
    }

    /// Takes a group out of its index.
    pub(super) fn forget(&self, index: &mut Index, group: u32) {
        if index.null == Some(group) {
            index.null = None;
            return;
        }
        let hash = match &self.keys {
            Keys::Ints(values, _) => mix(values[group as usize]),
            Keys::Bytes(keys) => xxh3_64(keys[group as usize].bytes()),
        };
        if let Ok(at) = index.table.find_entry(hash, |(_, other)| *other == group) {
            at.remove();
        }
    }

    /// Frees a group's number. Its index, its accumulators and its stored row are the caller's.
    pub(super) fn release(&mut self, group: u32) {
        if let Keys::Bytes(keys) = &mut self.keys
            && let Some(key) = keys.get_mut(group as usize)
        {
            self.heap = self.heap.saturating_sub(key.heap());
            *key = Key::Short(0, [0; 22]);
        }
        self.flags[group as usize] = 0;
        self.touched[group as usize] = 0;
        self.free.push(group);
        self.alive = self.alive.saturating_sub(1);
    }
}
