//! A `LogGroup` of the service's protobuf: written for tests, and looked through when it is put.
//!
//! Keys and values are bytes, because the service does not insist on UTF-8. A group is kept as it came; what the
//! server adds to it is appended, which protobuf reads as further fields of the same message.

use bytes::Bytes;

/// Several logs with one topic and one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogGroup {
    pub topic: String,
    pub source: String,
    pub tags: Vec<(String, String)>,
    pub logs: Vec<Log>,
}

/// One log: a time and fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Seconds since 1970.
    pub time: u32,
    /// 0 to 999,999,999.
    pub time_ns: Option<u32>,
    pub contents: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Log {
    pub fn new(time: u32) -> Log {
        Log { time, ..Log::default() }
    }

    /// The same with another field; a key may repeat.
    #[must_use]
    pub fn with(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Log {
        self.contents.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }
}

impl LogGroup {
    pub fn of(logs: impl IntoIterator<Item = Log>) -> LogGroup {
        LogGroup { logs: logs.into_iter().collect(), ..LogGroup::default() }
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        for log in &self.logs {
            let mut inner = Vec::new();
            varint(&mut inner, 1 << 3);
            varint(&mut inner, log.time.into());
            for (key, value) in &log.contents {
                field(&mut inner, 2, &pair(key, value));
            }
            if let Some(ns) = log.time_ns {
                varint(&mut inner, 4 << 3 | 5);
                inner.extend_from_slice(&ns.to_le_bytes());
            }
            field(&mut out, 1, &inner);
        }
        if !self.topic.is_empty() {
            field(&mut out, 3, self.topic.as_bytes());
        }
        if !self.source.is_empty() {
            field(&mut out, 4, self.source.as_bytes());
        }
        for (key, value) in &self.tags {
            tag(&mut out, key, value);
        }
        out.into()
    }
}

/// Appends a tag to an encoded group.
pub(super) fn tag(group: &mut Vec<u8>, key: &str, value: &str) {
    field(group, 6, &pair(key.as_bytes(), value.as_bytes()));
}

/// Appends an encoded group to an encoded list.
pub(super) fn list_entry(list: &mut Vec<u8>, group: &[u8]) {
    field(list, 1, group);
}

/// The bytes that [`list_entry`] appends for a group of `len` bytes.
pub(super) fn list_entry_len(len: usize) -> usize {
    let digits = (usize::BITS - (len | 1).leading_zeros()).div_ceil(7) as usize;
    1 + digits + len
}

/// What is looked at when a group is put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) times: Vec<u32>,
    pub(super) longest_key: usize,
    pub(super) empty_key: bool,
    pub(super) longest_value: usize,
}

/// Walks through an encoded group; `None` if it is not one.
pub(super) fn look(group: &[u8]) -> Option<Seen> {
    let mut seen = Seen::default();
    for entry in Fields(group) {
        match entry? {
            (1, Value::Bytes(log)) => seen.log(log)?,
            (6, Value::Bytes(pair)) => drop(key_and_value(pair)?),
            _ => {}
        }
    }
    Some(seen)
}

impl Seen {
    fn log(&mut self, log: &[u8]) -> Option<()> {
        let mut time = None;
        for entry in Fields(log) {
            match entry? {
                (1, Value::Number(seconds)) => time = Some(u32::try_from(seconds).ok()?),
                (2, Value::Bytes(pair)) => {
                    let (key, value) = key_and_value(pair)?;
                    self.longest_key = self.longest_key.max(key.len());
                    self.empty_key |= key.is_empty();
                    self.longest_value = self.longest_value.max(value.len());
                }
                _ => {}
            }
        }
        // `required` in the schema.
        self.times.push(time?);
        Some(())
    }
}

/// Both fields of a pair are `required`.
fn key_and_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut key, mut value) = (None, None);
    for entry in Fields(pair) {
        match entry? {
            (1, Value::Bytes(bytes)) => key = Some(bytes),
            (2, Value::Bytes(bytes)) => value = Some(bytes),
            _ => {}
        }
    }
    Some((key?, value?))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message; `None` once where the bytes are no message.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.read();
        if found.is_none() {
            self.0 = &[];
        }
        Some(found)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Value<'a>)> {
        let head = self.number()?;
        let value = match head & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((head >> 3, value))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..10 {
            let byte = *self.0.get(at)?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + value.len() + 8);
    field(&mut out, 1, key);
    field(&mut out, 2, value);
    out
}

/// A field with a length.
fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
