//! The files that are followed, and the ways to find one: by what the file system calls it, by where it lies,
//! by how it begins.
//!
//! Built for 100,000 idle files: an entry holds no descriptor and no buffer, the indices hold numbers only.
//! Promises: the indices agree with the entries, whatever is moved; a number is used again only after
//! [`Table::remove`].

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::Print;
use super::gzip::GzipReader;
use super::rows::{Kind, Stored};
use super::stat::Identity;
use crate::record::{Mode, Position, SourceId};

/// An entry's number.
pub(super) type Slot = u32;

/// No entry.
const NONE: Slot = Slot::MAX;

/// Milliseconds since the source was opened.
pub(super) type Tick = u64;

/// One file, or what is left of it.
#[derive(Debug)]
pub(super) struct Tracked {
    /// 0 until it is decided that the file is a source of its own.
    pub(super) source: SourceId,
    /// The name under which it was found. It stays when the file is renamed.
    pub(super) path: Box<Path>,
    /// Where it lies, if not at `path`.
    pub(super) place: Option<Box<Path>>,
    pub(super) identity: Identity,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) head: Print,
    /// Hash of the first bytes, by which files that begin alike are found.
    pub(super) start: u64,
    pub(super) tail: Print,
    pub(super) position: Position,
    /// The last size seen.
    pub(super) size: u64,
    /// So many bytes of this content were seen, here or in a file that it was copied from: what is missing of
    /// them is a gap. Of compressed files in bytes of the content.
    pub(super) known: u64,
    /// A bounded run reads up to here.
    pub(super) end: u64,
    pub(super) mtime: i64,
    /// Up to here the bytes were looked at; what lies between the position and here is an incomplete line.
    pub(super) examined: u64,
    /// When it last grew.
    pub(super) grown_at: Tick,
    /// When it is looked at next, and the distance to the look after that.
    pub(super) due: Tick,
    pub(super) interval: u32,
    pub(super) queued: bool,
    pub(super) dirty: bool,
    /// The copy in which the source goes on is not (yet) as long as what was seen of the source.
    pub(super) filling: bool,
    /// `known` has grown since the row was written.
    pub(super) unsaved: bool,
    /// A failure was logged; the next one of the same file is not.
    pub(super) warned: bool,
    pub(super) open: Option<Box<Open>>,
    /// The neighbours in the list of entries that begin alike.
    alike: (Slot, Slot),
}

/// A descriptor, and where decompression stands.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) gzip: Option<GzipReader>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It lies at its place.
    Live,
    /// A stored source whose file has not been seen since the agent was started.
    Stored,
    /// Its place is another file's or nobody's; being looked for.
    Adrift,
    /// It has no name that we know; the descriptor is all there is.
    Nameless,
    /// No file, no descriptor, perhaps with unread bytes: a copy may still turn up.
    Missing { since: Tick },
    /// Nothing is left to do but remember it for a while.
    Gone { at: u32 },
    /// It may be a copy of a source that is still being written to: waits.
    Held { since: Tick },
    /// The entry is free.
    Free,
}

impl Tracked {
    pub(super) fn new(path: &Path, identity: Identity) -> Tracked {
        Tracked {
            source: SourceId(0),
            path: path.into(),
            place: None,
            identity,
            kind: Kind::Plain,
            state: State::Live,
            head: Print::default(),
            start: 0,
            tail: Print::default(),
            position: Position { offset: 0, mode: Mode::LineStart },
            size: 0,
            known: 0,
            end: u64::MAX,
            mtime: 0,
            examined: 0,
            grown_at: 0,
            due: Tick::MAX,
            interval: 0,
            queued: false,
            dirty: false,
            filling: false,
            unsaved: false,
            warned: false,
            open: None,
            alike: (NONE, NONE),
        }
    }

    pub(super) fn place(&self) -> &Path {
        self.place.as_deref().unwrap_or(&self.path)
    }

    /// Up to where it can be read now.
    pub(super) fn limit(&self) -> u64 {
        self.size.min(self.end)
    }

    /// Bytes that are there and not handed out. For compressed files an estimate from the compressed size.
    pub(super) fn unread(&self) -> u64 {
        match self.kind {
            Kind::Plain => self.limit().saturating_sub(self.position.offset),
            Kind::Gzip => self.size.saturating_sub(self.examined),
        }
    }

    /// Bytes seen and not handed out: what would be lost with the file. For compressed files at least an estimate.
    pub(super) fn owed(&self) -> u64 {
        let known = self.known.min(self.end).saturating_sub(self.position.offset);
        match self.kind {
            Kind::Plain => known,
            Kind::Gzip => known.max(self.unread()),
        }
    }

    pub(super) fn is_minted(&self) -> bool {
        self.source.0 != 0
    }

    pub(super) fn stored(&self) -> Stored {
        Stored {
            path: self.path.to_path_buf(),
            place: self.place.as_deref().map(Path::to_path_buf),
            identity: self.identity,
            kind: self.kind,
            head: self.head,
            start: self.start,
            tail: self.tail,
            position: self.position,
            known: self.known.max(self.position.offset),
            filling: self.filling,
            compressed: if self.kind == Kind::Gzip { self.examined } else { 0 },
            mtime: self.mtime,
            gone_at: match self.state {
                State::Gone { at } => Some(at),
                _ => None,
            },
        }
    }

    pub(super) fn from_stored(source: SourceId, stored: Stored) -> Tracked {
        let mut tracked = Tracked::new(&stored.path, stored.identity);
        tracked.source = source;
        tracked.place = stored.place.map(Into::into);
        tracked.kind = stored.kind;
        tracked.state = stored.gone_at.map_or(State::Stored, |at| State::Gone { at });
        tracked.head = stored.head;
        tracked.start = stored.start;
        tracked.tail = stored.tail;
        tracked.position = stored.position;
        tracked.known = stored.known;
        tracked.filling = stored.filling;
        match tracked.kind {
            // What is not there yet did not get lost.
            Kind::Plain if stored.filling => tracked.size = stored.position.offset,
            Kind::Plain => tracked.size = stored.known,
            Kind::Gzip => (tracked.size, tracked.examined) = (stored.compressed, stored.compressed),
        }
        tracked.mtime = stored.mtime;
        tracked
    }
}

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
