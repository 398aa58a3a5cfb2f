//! The files that are followed, and the ways to find one: by what the file system calls it, by where it lies,
//! by how it begins.
//!
//! Built for 100,000 idle files: an entry holds no descriptor and no buffer, the indices hold numbers only.
//! Promises: the indices agree with the entries, whatever is moved; a number is used again only after
//! [`Table::remove`].

use std::path::Path;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::Print;
use super::stat::Identity;
use super::tracked::{State, Tracked};

/// An entry's number.
pub(super) type Slot = u32;

/// No entry.
pub(super) const NONE: Slot = Slot::MAX;

/// All entries with their indices, which hold slots only and look at the entries for the rest. Entries are changed
/// through the methods where an index depends on it.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Tracked>,
    free: Vec<Slot>,
    by_inode: HashTable<Slot>,
    by_place: HashTable<Slot>,
    /// The first of each list of entries that begin alike.
    by_start: HashTable<Slot>,
    lag: u64,
    live: usize,
}

impl Table {
    pub(super) fn insert(&mut self, tracked: Tracked) -> Slot {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = tracked;
                slot
            }
            None => {
                self.entries.push(tracked);
                (self.entries.len() - 1) as Slot
            }
        };
        let entry = &self.entries[slot as usize];
        let state = entry.state;
        if !matches!(state, State::Gone { .. }) {
            self.live += 1;
            self.lag += entry.unread();
            self.index_inode(slot);
            if state != State::Nameless {
                self.index_place(slot);
            }
        }
        self.index_start(slot);
        slot
    }

    /// Of two stored sources that name the same inode it is that of the file that was born later: it was given to
    /// that one when the other's file had gone.
    fn index_inode(&mut self, slot: Slot) {
        let Table { entries, by_inode, .. } = self;
        let entry = |slot: Slot| &entries[slot as usize];
        let age = |slot: Slot| (entry(slot).identity.btime, entry(slot).source);
        let key = number(entry(slot).identity);
        match by_inode.entry(
            hash_of(key),
            |other| number(entry(*other).identity) == key,
            |other| hash_of(number(entry(*other).identity)),
        ) {
            Entry::Occupied(found) if entry(slot).state == State::Stored && age(*found.get()) > age(slot) => {}
            Entry::Occupied(mut found) => *found.get_mut() = slot,
            Entry::Vacant(room) => {
                room.insert(slot);
            }
        }
    }

    fn index_place(&mut self, slot: Slot) {
        let Table { entries, by_place, .. } = self;
        let place = |slot: &Slot| entries[*slot as usize].place();
        match by_place.entry(hash(place(&slot)), |other| place(other) == place(&slot), |other| hash(place(other))) {
            Entry::Occupied(mut found) => *found.get_mut() = slot,
            Entry::Vacant(room) => {
                room.insert(slot);
            }
        }
    }

    /// Puts the entry before those that begin as it does. One without a head begins like nothing.
    fn index_start(&mut self, slot: Slot) {
        let Table { entries, by_start, .. } = self;
        let Tracked { start, head, .. } = entries[slot as usize];
        if head.len == 0 {
            return;
        }
        let same = |other: &Slot| entries[*other as usize].start == start;
        let next = match by_start.entry(start, same, |other| entries[*other as usize].start) {
            Entry::Occupied(mut first) => std::mem::replace(first.get_mut(), slot),
            Entry::Vacant(room) => {
                room.insert(slot);
                NONE
            }
        };
        entries[slot as usize].alike = (NONE, next);
        if let Some(next) = entries.get_mut(next as usize) {
            next.alike.0 = slot;
        }
    }

    fn forget_start(&mut self, slot: Slot) {
        let Table { entries, by_start, .. } = self;
        let Tracked { start, head, alike: (before, next), .. } = entries[slot as usize];
        if head.len == 0 {
            return;
        }
        if let Some(next) = entries.get_mut(next as usize) {
            next.alike.0 = before;
        }
        if let Some(before) = entries.get_mut(before as usize) {
            before.alike.1 = next;
        } else if let Ok(mut first) = by_start.find_entry(start, |first| *first == slot) {
            if next == NONE {
                first.remove();
            } else {
                *first.get_mut() = next;
            }
        }
        entries[slot as usize].alike = (NONE, NONE);
    }

    pub(super) fn get(&self, slot: Slot) -> &Tracked {
        &self.entries[slot as usize]
    }

    /// For changes that no index and no sum depends on; the rest goes through [`Table::change`] and its kin.
    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut Tracked {
        &mut self.entries[slot as usize]
    }

    /// Changes sizes, positions, state.
    pub(super) fn change<T>(&mut self, slot: Slot, change: impl FnOnce(&mut Tracked) -> T) -> T {
        let entry = &mut self.entries[slot as usize];
        let counted = |entry: &Tracked| !matches!(entry.state, State::Gone { .. } | State::Free);
        if counted(entry) {
            self.lag -= entry.unread();
            self.live -= 1;
        }
        let result = change(entry);
        if counted(entry) {
            self.lag += entry.unread();
            self.live += 1;
        }
        result
    }

    pub(super) fn set_identity(&mut self, slot: Slot, identity: Identity) {
        self.forget_identity(slot);
        self.entries[slot as usize].identity = identity;
        self.index_inode(slot);
    }

    /// The file with this inode is another one now.
    pub(super) fn forget_identity(&mut self, slot: Slot) {
        let key = number(self.entries[slot as usize].identity);
        if let Ok(found) = self.by_inode.find_entry(hash_of(key), |other| *other == slot) {
            found.remove();
        }
    }

    pub(super) fn set_place(&mut self, slot: Slot, place: &Path) {
        self.forget_place(slot);
        let entry = &mut self.entries[slot as usize];
        entry.place = if *place == *entry.path { None } else { Some(place.into()) };
        self.index_place(slot);
    }

    /// Another file lies there now, or none.
    pub(super) fn forget_place(&mut self, slot: Slot) {
        let key = hash(self.entries[slot as usize].place());
        if let Ok(found) = self.by_place.find_entry(key, |other| *other == slot) {
            found.remove();
        }
    }

    /// Sets the head print and the hash of the file's first bytes; `bytes` are what the print covers.
    pub(super) fn set_head(&mut self, slot: Slot, bytes: &[u8]) {
        self.forget_start(slot);
        let entry = &mut self.entries[slot as usize];
        entry.head = Print::of(bytes);
        entry.start = start_of(bytes);
        self.index_start(slot);
    }

    pub(super) fn at_inode(&self, identity: Identity) -> Option<Slot> {
        let key = number(identity);
        self.by_inode.find(hash_of(key), |other| number(self.get(*other).identity) == key).copied()
    }

    pub(super) fn at_place(&self, path: &Path) -> Option<Slot> {
        self.by_place.find(hash(path), |other| self.get(*other).place() == path).copied()
    }

    /// Entries that begin as `bytes` do, as far as the first bytes tell.
    pub(super) fn alike(&self, bytes: &[u8]) -> impl Iterator<Item = Slot> + '_ {
        let start = start_of(bytes);
        let short = if start == SHORT { NONE } else { self.first_alike(SHORT) };
        let listed = |slot: Slot| Some(slot).filter(|slot| *slot != NONE);
        let from = move |first| std::iter::successors(listed(first), move |slot| listed(self.get(*slot).alike.1));
        from(self.first_alike(start)).chain(from(short))
    }

    fn first_alike(&self, start: u64) -> Slot {
        self.by_start.find(start, |first| self.get(*first).start == start).copied().unwrap_or(NONE)
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.forget_identity(slot);
        self.forget_place(slot);
        self.forget_start(slot);
        self.change(slot, |entry| entry.state = State::Free);
        let entry = &mut self.entries[slot as usize];
        *entry = Tracked::new(Path::new(""), Identity::default());
        entry.state = State::Free;
        self.free.push(slot);
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        0..self.entries.len() as Slot
    }

    /// Above every slot in use.
    pub(super) fn end(&self) -> Slot {
        self.entries.len() as Slot
    }

    /// Bytes known and not handed out.
    pub(super) fn lag(&self) -> u64 {
        self.lag
    }

    /// Entries with a file, or with something left to read.
    pub(super) fn live(&self) -> usize {
        self.live
    }
}

/// The `start` of files with fewer than [`START`] bytes.
const SHORT: u64 = 0;
const START: usize = 8;

fn start_of(bytes: &[u8]) -> u64 {
    bytes.get(..START).map_or(SHORT, |first| xxh3_64(first) | 1)
}

/// What the index of inodes is keyed by.
fn number(identity: Identity) -> (u64, u64) {
    (identity.dev, identity.ino)
}

fn hash_of((dev, ino): (u64, u64)) -> u64 {
    xxh3_64(&((u128::from(dev) << 64) | u128::from(ino)).to_le_bytes())
}

pub(super) fn hash(path: &Path) -> u64 {
    use std::os::unix::ffi::OsStrExt;
    xxh3_64(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SourceId;

    #[test]
    fn of_two_stored_sources_with_one_inode_it_is_the_younger_files() {
        let stored = |source: u64, btime: i64| {
            let mut entry = Tracked::new(Path::new("/a"), Identity { dev: 1, ino: 2, btime });
            (entry.source, entry.state) = (SourceId(source), State::Stored);
            entry
        };
        for rows in [[(1, 30), (2, 20)], [(1, 20), (2, 30)], [(1, 0), (2, 0)]] {
            let mut table = Table::default();
            let slots = rows.map(|(source, btime)| table.insert(stored(source, btime)));
            let younger = if rows[0].1 > rows[1].1 { slots[0] } else { slots[1] };
            assert_eq!(table.at_inode(Identity { dev: 1, ino: 2, btime: 0 }), Some(younger));
        }
    }

    #[test]
    fn entries_that_begin_alike_are_found_while_others_come_and_go() {
        let mut table = Table::default();
        let heads: [&[u8]; 4] = [b"the first one", b"another", b"short", b"the first, again"];
        let mut slots = Vec::new();
        for number in 0..200 {
            let mut entry = Tracked::new(Path::new("/a"), Identity { dev: 1, ino: number, btime: 0 });
            entry.source = SourceId(number + 1);
            let slot = table.insert(entry);
            table.set_head(slot, heads[number as usize % 4]);
            slots.push(slot);
        }
        let alike = |table: &Table, bytes: &[u8]| {
            let mut found: Vec<Slot> = table.alike(bytes).collect();
            found.sort_unstable();
            found
        };
        // Fewer than 8 bytes may be the beginning of anything.
        let expected = |slots: &[Slot], kinds: &[usize]| {
            let mut found: Vec<Slot> =
                slots.iter().enumerate().filter(|(at, _)| kinds.contains(&(at % 4))).map(|(_, slot)| *slot).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(alike(&table, b"the first of all"), expected(&slots, &[0, 1, 2, 3]));
        assert_eq!(alike(&table, b"tiny"), expected(&slots, &[1, 2]));
        for number in (0..200).step_by(3) {
            table.remove(slots[number]);
            slots[number] = NONE;
        }
        for (at, head) in heads.iter().enumerate() {
            let left: Vec<Slot> =
                alike(&table, head).into_iter().filter(|slot| table.get(*slot).start == start_of(head)).collect();
            let same = |other: usize| start_of(heads[other]) == start_of(head);
            let kinds: Vec<usize> = (0..4).filter(|other| same(*other)).collect();
            let expected: Vec<Slot> = expected(&slots, &kinds).into_iter().filter(|slot| *slot != NONE).collect();
            assert_eq!(left, expected, "{at}");
        }
    }
}
