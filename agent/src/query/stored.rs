//! An aggregate's state rows: written whole when a group has changed, read back in any number of pieces.

use super::aggregation::Aggregation;
use super::groups::{PENDING, Span};
use super::{codec, rows};

impl Aggregation {
    /// The key of a group's row of this kind.
    pub(super) fn row_key(&self, group: u32, kind: u8) -> Vec<u8> {
        let mut row = Vec::with_capacity(48);
        codec::put_varint(self.node as u64, &mut row);
        row.push(kind);
        if let Some((start, end)) = self.groups.spans.get(group as usize) {
            codec::put_ordered(*start, &mut row);
            codec::put_ordered(*end, &mut row);
        }
        let mut key = Vec::with_capacity(24);
        self.groups.put_key(group, &mut key);
        codec::put_bytes(&key, &mut row);
        row
    }

    /// The key of a member's row.
    pub(super) fn member_row(&self, group: u32, call: usize, member: &[u8]) -> Vec<u8> {
        let mut row = self.row_key(group, rows::MEMBER);
        codec::put_varint(call as u64, &mut row);
        row.extend_from_slice(member);
        row
    }

    /// Writes rows that are gone, then those of the groups that changed and the members that are new.
    pub(super) fn write(&mut self, changed: &[u32], out: &mut Vec<u8>) {
        self.groups.take_dead().iter().for_each(|row| codec::put_entry(row, None, out));
        for group in changed {
            self.groups.set_stored(*group);
            self.write_group(*group, out);
        }
        for i in 0..self.members.len() {
            let fresh = self.members[i].as_mut().map(|members| members.take_fresh()).unwrap_or_default();
            for (group, member) in fresh {
                codec::put_entry(&self.member_row(group, i, member.bytes()), Some(&[rows::VERSION]), out);
            }
        }
    }

    fn write_group(&self, group: u32, out: &mut Vec<u8>) {
        let mut value = Vec::with_capacity(64);
        self.groups.put_head(group, &mut value);
        self.accumulators.iter().for_each(|accumulator| accumulator.put(group, &mut value));
        codec::put_entry(&self.row_key(group, rows::GROUP), Some(&value), out);
    }

    /// Writes a group with its members, as part of a base; nothing if there is none with this number.
    pub(super) fn write_all(&self, group: u32, out: &mut Vec<u8>) {
        if !self.groups.is_alive(group) {
            return;
        }
        self.write_group(group, out);
        for (i, members) in self.members.iter().enumerate() {
            for member in members.iter().flat_map(|members| members.of(group)) {
                codec::put_entry(&self.member_row(group, i, member), Some(&[rows::VERSION]), out);
            }
        }
    }

    /// Takes a row of this aggregate. `None`: it is no row that this build can read.
    pub(super) fn load(&mut self, kind: u8, mut key: &[u8], value: Option<&[u8]>) -> Option<()> {
        let span = match self.windowed() {
            true => (codec::ordered(&mut key)?, codec::ordered(&mut key)?),
            false => (0, 0),
        };
        let group_key = codec::bytes(&mut key)?;
        let group = self.loaded(span, group_key)?;
        self.resize();
        match (kind, value) {
            (rows::GROUP, Some(mut value)) => {
                self.groups.load_head(group, &mut value)?;
                for accumulator in &mut self.accumulators {
                    accumulator.load(group, &mut value)?;
                }
                if self.groups.has(group, PENDING) {
                    self.remember_pending(group);
                }
            }
            (rows::GROUP, None) => self.unload(span, group),
            (rows::MEMBER, value) => {
                let call = usize::try_from(codec::varint(&mut key)?).ok()?;
                let members = self.members.get_mut(call)?.as_mut()?;
                match value {
                    Some(_) => {
                        members.add(group, key, true);
                    }
                    None => {
                        members.remove(group, key);
                        self.unload_if_blank(span, group);
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The group of a row, made if it is not there.
    fn loaded(&mut self, span: Span, key: &[u8]) -> Option<u32> {
        if self.sessions.is_some() {
            return Some(self.loaded_session(span, key));
        }
        let mut index = self.take_index(span);
        let group = self.groups.find_key(&mut index, span, key);
        self.put_index(span, index);
        group
    }

    /// A tombstone: the group goes without leaving one itself.
    fn unload(&mut self, span: Span, group: u32) {
        if self.sessions.is_some() {
            self.forget_session(group);
        } else {
            let mut index = self.take_index(span);
            self.groups.forget(&mut index, group);
            self.put_index(span, index);
        }
        self.members.iter_mut().flatten().for_each(|members| drop(members.clear(group)));
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.reset(group));
        self.groups.release(group);
    }

    /// A member's tombstone may come behind its group's and must not leave an empty group.
    fn unload_if_blank(&mut self, span: Span, group: u32) {
        let empty = self.members.iter().flatten().all(|members| members.of(group).next().is_none());
        if empty && !self.groups.is_stored(group) {
            self.unload(span, group);
        }
    }
}
