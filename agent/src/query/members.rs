//! The values that a DISTINCT call has seen, group by group: each is a state row of its own.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::groups::Key;

/// The members of all groups of one call.
#[derive(Debug, Default)]
pub(super) struct Members {
    groups: Vec<HashTable<Key>>,
    /// Added since the last step.
    fresh: Vec<(u32, Key)>,
    heap: usize,
}

impl Members {
    pub(super) fn resize(&mut self, slots: u32) {
        self.groups.resize_with(slots as usize, HashTable::new);
    }

    /// Adds a member; false if it was there. `loaded`: its row is stored already.
    pub(super) fn add(&mut self, group: u32, value: &[u8], loaded: bool) -> bool {
        let Some(members) = self.groups.get_mut(group as usize) else { return false };
        let hash = xxh3_64(value);
        if members.find(hash, |member| member.bytes() == value).is_some() {
            return false;
        }
        let member = Key::new(value);
        self.heap += 40 + member.heap();
        if !loaded {
            self.fresh.push((group, member.clone()));
        }
        members.insert_unique(hash, member, |member| xxh3_64(member.bytes()));
        true
    }

    pub(super) fn remove(&mut self, group: u32, value: &[u8]) {
        let Some(members) = self.groups.get_mut(group as usize) else { return };
        if let Ok(member) = members.find_entry(xxh3_64(value), |member| member.bytes() == value) {
            let (member, _) = member.remove();
            self.heap = self.heap.saturating_sub(40 + member.heap());
        }
    }

    /// Forgets a group's members; gives them.
    pub(super) fn clear(&mut self, group: u32) -> Vec<Key> {
        let Some(members) = self.groups.get_mut(group as usize) else { return Vec::new() };
        let members = std::mem::take(members);
        self.heap = self.heap.saturating_sub(members.iter().map(|member| 40 + member.heap()).sum());
        members.into_iter().collect()
    }

    /// All of a group's members are to be written anew; gives them.
    pub(super) fn renew(&mut self, group: u32) -> Vec<Key> {
        let members: Vec<Key> = self.groups.get(group as usize).into_iter().flatten().cloned().collect();
        self.fresh.extend(members.iter().map(|member| (group, member.clone())));
        members
    }

    pub(super) fn of(&self, group: u32) -> impl Iterator<Item = &[u8]> {
        self.groups.get(group as usize).into_iter().flatten().map(Key::bytes)
    }

    /// The members added since the last call, with their groups.
    pub(super) fn take_fresh(&mut self) -> Vec<(u32, Key)> {
        let mut fresh = std::mem::take(&mut self.fresh);
        // Groups may have gone since, members with them.
        fresh.retain(|(group, member)| {
            let same = |other: &Key| other.bytes() == member.bytes();
            self.groups.get(*group as usize).is_some_and(|of| of.find(xxh3_64(member.bytes()), same).is_some())
        });
        fresh
    }

    pub(super) fn heap(&self) -> usize {
        32 * self.groups.len() + self.heap
    }
}
