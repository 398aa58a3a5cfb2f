//! What is kept as text or values by group: extremes of texts, lists, multisets.

use std::collections::{BTreeMap, HashMap};

use xxhash_rust::xxh3::xxh3_64;

use crate::query::codec;
use crate::record::{Column, Strings, Value};
use crate::sql::functions::write_json_text;

use super::numbers::{Fold, add_decimals};

/// Adds a DECIMAL; a sum that does not fit in 38 digits is NULL, and the next value begins anew, as in Flink.
pub(super) fn add_decimal(fold: &mut Fold<i128>, group: u32, value: i128) {
    let sum = match fold.get(group) {
        Some(sum) => add_decimals(*sum, value),
        None => Some(value),
    };
    fold.set(group, sum);
}

/// MIN or MAX of texts, by bytes. Gives the bytes by which the heap grew (it counts what was ever needed).
pub(super) fn best(fold: &mut Fold<Box<[u8]>>, texts: &Strings, rows: &[u32], groups: &[u32], max: bool) -> usize {
    let mut grown = 0;
    for (row, group) in rows.iter().zip(groups) {
        let new = texts.get(*row as usize);
        let old = fold.get(*group).map(AsRef::as_ref);
        if old.is_none_or(|old| if max { new > old } else { new < old }) {
            grown += new.len().saturating_sub(old.map_or(0, <[u8]>::len));
            fold.set(*group, Some(new.into()));
        }
    }
    grown
}

pub(super) fn append(fold: &mut Fold<String>, group: u32, column: &Column, row: usize, separator: &str) {
    let Value::Text(text) = column.value(row) else { return };
    if fold.has[group as usize] {
        let list = &mut fold.values[group as usize];
        list.push_str(separator);
        list.push_str(&text);
    } else {
        fold.set(group, Some(text.into()));
    }
}

/// A value's hash for sketches; stored, so it must stay as it is.
pub(super) fn hash(column: &Column, row: usize) -> u64 {
    let mut bytes = Vec::with_capacity(32);
    codec::put_cell(column, row, &mut bytes);
    xxh3_64(&bytes)
}

/// A multiset in order of arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Bag {
    pairs: Vec<(Value, i64)>,
    /// Places in `pairs` by the value's bytes.
    places: HashMap<Box<[u8]>, usize>,
    heap: usize,
}

impl Bag {
    pub(super) fn add(&mut self, value: Value, count: i64) {
        let mut bytes = Vec::new();
        codec::put_value(&value, &mut bytes);
        match self.places.get(bytes.as_slice()) {
            Some(at) => self.pairs[*at].1 += count,
            None => {
                self.heap += 2 * bytes.len() + 80;
                self.places.insert(bytes.into(), self.pairs.len());
                self.pairs.push((value, count));
            }
        }
    }

    pub(super) fn pairs(&self) -> &[(Value, i64)] {
        &self.pairs
    }

    pub(super) fn into_pairs(self) -> Vec<(Value, i64)> {
        self.pairs
    }

    pub(super) fn heap(&self) -> usize {
        self.heap
    }
}

/// A JSON object: its members by key, whose values are JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    members: BTreeMap<Box<str>, Box<str>>,
    heap: usize,
}

/// What a member takes beside its bytes.
const MEMBER: usize = 48;

impl Object {
    /// The later value of a key wins.
    pub(super) fn set(&mut self, key: Value, value: Value) {
        let (Value::Text(key), Value::Text(value)) = (key, value) else { return };
        let (of_key, of_value) = (key.len(), value.len());
        match self.members.insert(key, value) {
            Some(old) => self.heap = self.heap + of_value - old.len(),
            None => self.heap += of_key + of_value + MEMBER,
        }
    }

    pub(super) fn join(&mut self, later: Object) {
        later.members.into_iter().for_each(|(key, value)| self.set(Value::Text(key), Value::Text(value)));
    }

    pub(super) fn written(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (key, value) in &self.members {
            if out.len() > 1 {
                out.push(b',');
            }
            write_json_text(key, &mut out);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.push(b'}');
        out
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        codec::put_varint(self.members.len() as u64, out);
        for (key, value) in &self.members {
            codec::put_bytes(key.as_bytes(), out);
            codec::put_bytes(value.as_bytes(), out);
        }
    }

    pub(super) fn load(input: &mut &[u8]) -> Option<Object> {
        let mut object = Object::default();
        let count = codec::varint(input)?;
        let mut text = || Some(Value::Text(std::str::from_utf8(codec::bytes(input)?).ok()?.into()));
        for _ in 0..count {
            let key = text()?;
            object.set(key, text()?);
        }
        Some(object)
    }

    pub(super) fn heap(&self) -> usize {
        self.heap
    }
}
