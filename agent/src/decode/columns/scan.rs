//! Finds the wanted fields of a JSON line without building anything.
//!
//! Two ways with one answer. [`scan`] goes over the line once and checks all of JSON's grammar on the way, also in
//! what it passes over; whatever is odd (an escape in a key, a mistake anywhere) it leaves to [`parse`], which is
//! serde_json and says what is wrong. A line is good for both or for neither. Of a key that comes twice the last wins.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::escape::plain_length;

/// Where a field's value lies in its line. `to` is 0 where the field is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    from: u32,
    to: u32,
    /// It is a string without escapes.
    plain: bool,
}

impl Slot {
    /// The value's JSON text; `None` where the field is missing.
    pub(super) fn of<'a>(&self, line: &'a str) -> Option<&'a str> {
        if self.to == 0 { None } else { line.get(self.from as usize..self.to as usize) }
    }

    /// The text of a string without escapes; `None` for any other value.
    pub(super) fn plain<'a>(&self, line: &'a str) -> Option<&'a str> {
        if self.plain { line.get(self.from as usize + 1..self.to as usize - 1) } else { None }
    }
}

/// The wanted top-level names; a slot for each.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    /// A bit for each length that a name has (63 and longer share one), to turn most keys away at once.
    lengths: u64,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Names {
        let names: Vec<Box<str>> = names.map(Box::from).collect();
        let lengths = names.iter().fold(0, |lengths, name| lengths | 1 << name.len().min(63));
        Names { names, lengths }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        if self.lengths >> key.len().min(63) & 1 == 0 {
            return None;
        }
        self.names.iter().position(|name| name.as_bytes() == key)
    }
}

/// What is remembered from line to line. Lines of one program mostly have the same keys in the same order: what stood
/// before a value in the line before is only compared, not looked at again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    nesting: Vec<bool>,
    leads: Vec<Lead>,
}

/// What stood between two values (`,"key":`), and which name its key is.
#[derive(Debug, Default)]
struct Lead {
    bytes: Vec<u8>,
    name: Option<usize>,
}

/// Leads are remembered of so many values of a line, if they are no longer than this.
const LEADS: usize = 128;
const LONGEST_LEAD: usize = 256;

impl Memory {
    fn remember(&mut self, value: usize, bytes: &[u8], name: Option<usize>) {
        if value >= LEADS || bytes.len() > LONGEST_LEAD {
            return;
        }
        if self.leads.len() <= value {
            self.leads.resize_with(value + 1, Lead::default);
        }
        if let Some(lead) = self.leads.get_mut(value) {
            lead.bytes.clear();
            lead.bytes.extend_from_slice(bytes);
            lead.name = name;
        }
    }
}

/// Fills `slots` (one for each name). `None`: it is no object, or one that [`parse`] must look at. `memory` belongs to
/// `names`.
pub(super) fn scan(line: &str, names: &Names, slots: &mut [Slot], memory: &mut Memory) -> Option<()> {
    slots.fill(Slot::default());
    let mut cursor = Cursor { bytes: line.as_bytes(), at: 0 };
    for value in 0.. {
        let rest = cursor.bytes.get(cursor.at..)?;
        let name = match memory.leads.get(value) {
            // an empty one was never seen, and no lead is empty
            Some(lead) if !lead.bytes.is_empty() && rest.starts_with(&lead.bytes) => {
                cursor.at += lead.bytes.len();
                cursor.space(); // there may be more of it than in the line before
                lead.name
            }
            _ => {
                let from = cursor.at;
                let Some(key) = cursor.lead(value == 0)? else { break };
                let name = names.find(key);
                memory.remember(value, cursor.bytes.get(from..cursor.at)?, name);
                name
            }
        };
        let start = cursor.at;
        let plain = match cursor.peek()? {
            b'{' | b'[' => {
                cursor.nested(&mut memory.nesting)?;
                false
            }
            _ => cursor.scalar()?,
        };
        if let Some(slot) = name.and_then(|i| slots.get_mut(i)) {
            *slot = Slot { from: start as u32, to: cursor.at as u32, plain };
        }
    }
    cursor.space();
    (cursor.at == cursor.bytes.len()).then_some(())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// From the line's start or a value's end to the next value; its key, `Some(None)` where the object ends.
    fn lead(&mut self, first: bool) -> Option<Option<&'a [u8]>> {
        self.space();
        if first {
            self.take(b'{')?;
        }
        match (self.peek()?, first) {
            (b'}', _) => {
                self.at += 1;
                return Some(None);
            }
            (b',', false) => self.at += 1,
            (_, true) => {}
            _ => return None,
        }
        self.space();
        // `{}` with white space inside; behind a comma a key must come
        if first && self.peek()? == b'}' {
            self.at += 1;
            return Some(None);
        }
        self.take(b'"')?;
        let from = self.at;
        if !self.string()? {
            return None;
        }
        let key = self.bytes.get(from..self.at - 1)?;
        self.colon()?;
        Some(Some(key))
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    /// From behind the opening quote to behind the closing one; whether it had no escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        let mut plain = true;
        loop {
            self.at += plain_length(self.bytes.get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(plain);
                }
                b'\\' => {
                    plain = false;
                    self.at += self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// The length of the escape that begins here.
    fn escape(&self) -> Option<usize> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
            b'u' => self.bytes.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
            _ => None,
        }
    }

    /// Whether it was a string without escapes.
    #[inline]
    fn scalar(&mut self) -> Option<bool> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                return self.string();
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Some(false)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(word);
        self.at += word.len();
        found.then_some(())
    }

    #[inline]
    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    #[inline]
    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        self.next()?.is_ascii_digit().then_some(())?;
        self.digits();
        Some(())
    }

    /// An array or object to its end. `open` has what is open: true for an object.
    fn nested(&mut self, open: &mut Vec<bool>) -> Option<()> {
        open.clear();
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    let object = bracket == b'{';
                    self.at += 1;
                    self.space();
                    if self.peek()? == (if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        open.push(object);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.scalar()?;
                }
            }
            // a value has ended: on to the next one, or out of what ends with it
            loop {
                let Some(object) = open.last().copied() else { return Some(()) };
                self.space();
                match self.next()? {
                    b',' => {
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if object => open.truncate(open.len() - 1),
                    b']' if !object => open.truncate(open.len() - 1),
                    _ => return None,
                }
            }
        }
    }

    /// A key inside a nested object, and its colon.
    fn key(&mut self) -> Option<()> {
        self.take(b'"')?;
        self.string()?;
        self.colon()
    }
}

/// As [`scan`], by serde_json.
///
/// # Errors
/// What is wrong with the line and where.
pub(super) fn parse(line: &str, names: &Names, slots: &mut [Slot]) -> Result<(), serde_json::Error> {
    slots.fill(Slot::default());
    let mut parser = serde_json::Deserializer::from_str(line);
    parser.deserialize_map(Object { line, names, slots })?;
    parser.end()
}

struct Object<'a, 'b> {
    line: &'a str,
    names: &'b Names,
    slots: &'b mut [Slot],
}

impl<'de> Visitor<'de> for Object<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(Key(self.names))? {
            let Some(slot) = found.and_then(|i| self.slots.get_mut(i)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            let json = value.get();
            let from = json.as_ptr().addr() - self.line.as_ptr().addr();
            let plain = json.starts_with('"') && !json.contains('\\');
            *slot = Slot { from: from as u32, to: (from + json.len()) as u32, plain };
        }
        Ok(())
    }
}

/// Recognises a key without making a string of it.
struct Key<'b>(&'b Names);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.find(key.as_bytes()))
    }
}
