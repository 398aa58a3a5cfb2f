//! Log Service's `LogGroupList` as it comes over the wire (protobuf 2), read where it lies: nothing is copied.
//!
//! Promises: unknown fields are passed over, values may be any bytes; [`check`] says whether all of it can be read,
//! and what it has found readable the rest of this file reads to its end. Does not interpret texts.

/// Deepest nesting is fixed: list, group, log, content.
const MALFORMED: &str = "the log groups are no valid protobuf";

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of one message. Ends at what can't be read.
#[derive(Clone, Debug)]
struct Fields<'a> {
    bytes: &'a [u8],
    /// What was left could not be read.
    bad: bool,
}

/// One log group. Keys and values are bytes as the producer wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogGroup<'a> {
    bytes: &'a [u8],
    pub(crate) topic: &'a [u8],
    pub(crate) source: &'a [u8],
    /// `__receive_time__`, `__client_ip__`, and whatever the producer set.
    pub(crate) tags: Vec<(&'a [u8], &'a [u8])>,
}

/// One log without its contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogTime {
    /// Unix seconds.
    pub(crate) seconds: u32,
    /// Nanoseconds within the second.
    pub(crate) nanos: Option<u32>,
}

/// What is in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) groups: u64,
    pub(crate) logs: u64,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, bad: false }
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        // Keys of fields and most lengths are one byte.
        if let Some((byte, rest)) = self.bytes.split_first()
            && *byte < 0x80
        {
            self.bytes = rest;
            return Some(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for (i, byte) in self.bytes.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(i + 1..).unwrap_or_default();
                return Some(number);
            }
        }
        None
    }

    #[inline]
    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(len).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    #[inline]
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed64
            }
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(len)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Wire<'a>);

    #[inline]
    fn next(&mut self) -> Option<(u64, Wire<'a>)> {
        if self.bytes.is_empty() || self.bad {
            return None;
        }
        let field = self.field();
        self.bad = field.is_none();
        field
    }
}

/// The groups of a list in order, each with where it ends in `list`. A prefix that ends there is a list again, and
/// so is what follows it.
pub(crate) fn groups(list: &[u8]) -> impl Iterator<Item = (usize, LogGroup<'_>)> {
    let mut fields = Fields::of(list);
    std::iter::from_fn(move || {
        loop {
            if let (1, Wire::Bytes(bytes)) = fields.next()? {
                return Some((list.len() - fields.bytes.len(), LogGroup::read(bytes)));
            }
        }
    })
}

impl<'a> LogGroup<'a> {
    fn read(bytes: &'a [u8]) -> LogGroup<'a> {
        let mut group = LogGroup { bytes, ..LogGroup::default() };
        for field in Fields::of(bytes) {
            match field {
                (3, Wire::Bytes(topic)) => group.topic = topic,
                (4, Wire::Bytes(source)) => group.source = source,
                (6, Wire::Bytes(tag)) => group.tags.push(pair(tag)),
                _ => {}
            }
        }
        group
    }

    /// A tag's value. Of several, the last.
    pub(crate) fn tag(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.tags.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The logs in order: their bytes, for [`contents`].
    pub(crate) fn logs(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Fields::of(self.bytes).filter_map(|field| match field {
            (1, Wire::Bytes(log)) => Some(log),
            _ => None,
        })
    }
}

/// A log's time; its keys and values in order go into `to`, which is emptied first.
pub(crate) fn contents<'a>(log: &'a [u8], to: &mut Vec<(&'a [u8], &'a [u8])>) -> LogTime {
    to.clear();
    let mut time = LogTime::default();
    for field in Fields::of(log) {
        match field {
            (1, Wire::Varint(seconds)) => time.seconds = seconds as u32,
            (2, Wire::Bytes(content)) => to.push(pair(content)),
            (4, Wire::Fixed32(nanos)) if nanos < 1_000_000_000 => time.nanos = Some(nanos),
            _ => {}
        }
    }
    time
}

fn pair(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(bytes) {
        match field {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    (key, value)
}

/// Reads all of a list and counts what is in it.
///
/// # Errors
/// If any of it can't be read.
pub(crate) fn check(list: &[u8]) -> Result<Counts, &'static str> {
    let mut counts = Counts::default();
    walk(list, |number, group| {
        let Some(group) = group.filter(|_| number == 1) else { return Ok(()) };
        counts.groups += 1;
        walk(group, |number, bytes| match (number, bytes) {
            (1, Some(log)) => {
                counts.logs += 1;
                walk(log, |number, content| match content.filter(|_| number == 2) {
                    Some(content) => walk(content, |_, _| Ok(())),
                    None => Ok(()),
                })
            }
            (6, Some(tag)) => walk(tag, |_, _| Ok(())),
            _ => Ok(()),
        })
    })?;
    Ok(counts)
}

fn walk<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(u64, Option<&'a [u8]>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut fields = Fields::of(bytes);
    for (number, value) in &mut fields {
        let bytes = if let Wire::Bytes(bytes) = value { Some(bytes) } else { None };
        each(number, bytes)?;
    }
    if fields.bad { Err(MALFORMED) } else { Ok(()) }
}

/// Writes lists, for tests of whoever reads them.
#[cfg(test)]
pub(crate) mod write {
    /// A log: unix seconds, nanoseconds, keys and values.
    pub(crate) type Log<'a> = (u32, Option<u32>, &'a [(&'a [u8], &'a [u8])]);

    fn varint(mut number: u64, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
        varint(field << 3 | 2, out);
        varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }

    fn pair(field: u64, (key, value): (&[u8], &[u8]), out: &mut Vec<u8>) {
        let mut inner = Vec::new();
        bytes(1, key, &mut inner);
        bytes(2, value, &mut inner);
        bytes(field, &inner, out);
    }

    /// Appends one group to a list.
    pub(crate) fn group(topic: &str, source: &str, tags: &[(&str, &str)], logs: &[Log<'_>], list: &mut Vec<u8>) {
        let mut group = Vec::new();
        for (seconds, nanos, contents) in logs {
            let mut log = Vec::new();
            varint(1 << 3, &mut log);
            varint(u64::from(*seconds), &mut log);
            contents.iter().for_each(|content| pair(2, *content, &mut log));
            if let Some(nanos) = nanos {
                varint(4 << 3 | 5, &mut log);
                log.extend_from_slice(&nanos.to_le_bytes());
            }
            bytes(1, &log, &mut group);
        }
        bytes(2, b"reserved", &mut group);
        bytes(3, topic.as_bytes(), &mut group);
        bytes(4, source.as_bytes(), &mut group);
        bytes(5, b"machine", &mut group);
        tags.iter().for_each(|(key, value)| pair(6, (key.as_bytes(), value.as_bytes()), &mut group));
        bytes(1, &group, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<u8> {
        let mut list = Vec::new();
        let logs: &[write::Log<'_>] =
            &[(1_700_000_000, Some(5), &[(b"a", b"1"), (b"b", b"\xff\xfe")]), (1_700_000_001, None, &[])];
        write::group("t", "10.0.0.1", &[("__receive_time__", "1700000002")], logs, &mut list);
        write::group("u", "", &[], &[(7, None, &[(b"k", b"")])], &mut list);
        list
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_can_be_cut_between_groups() {
        let list = list();
        assert_eq!(check(&list), Ok(Counts { groups: 2, logs: 3 }));
        let all: Vec<_> = groups(&list).collect();
        let (first, second) = (&all[0].1, &all[1].1);
        assert_eq!((first.topic, first.source), (&b"t"[..], &b"10.0.0.1"[..]));
        assert_eq!((first.tag(b"__receive_time__"), first.tag(b"x")), (Some(&b"1700000002"[..]), None));
        let mut fields = Vec::new();
        let logs: Vec<_> = first.logs().collect();
        assert_eq!(contents(logs[0], &mut fields), LogTime { seconds: 1_700_000_000, nanos: Some(5) });
        assert_eq!(fields, [(&b"a"[..], &b"1"[..]), (b"b", b"\xff\xfe")]);
        assert_eq!(contents(logs[1], &mut fields), LogTime { seconds: 1_700_000_001, nanos: None });
        assert!(fields.is_empty());
        let (head, tail) = list.split_at(all[0].0);
        assert_eq!(groups(head).map(|(_, group)| group).collect::<Vec<_>>(), std::slice::from_ref(first));
        assert_eq!(groups(tail).map(|(_, group)| group).collect::<Vec<_>>(), std::slice::from_ref(second));
        assert_eq!(all[1].0, list.len());
    }

    #[test]
    fn what_is_cut_or_altered_is_refused_or_read_to_its_end_but_never_a_panic() {
        let list = list();
        for len in 1..list.len() {
            let whole = check(&list[..len]);
            assert!(whole.is_err() || groups(&list).any(|(end, _)| end == len), "{len}: {whole:?}");
        }
        for at in 0..list.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bad = list.clone();
                bad[at] ^= flip;
                let counts = check(&bad);
                let mut fields = Vec::new();
                let logs = groups(&bad).flat_map(|(_, group)| group.logs().collect::<Vec<_>>());
                let seen = logs.map(|log| contents(log, &mut Vec::from_iter(fields.drain(..)))).count() as u64;
                assert!(counts.is_err() || counts.is_ok_and(|counts| counts.logs == seen), "{at}");
            }
        }
    }
}
