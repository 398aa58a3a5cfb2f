//! Files in memory that forget what was not synced: a power cut at any call, torn and reordered writes, full
//! disks, failing syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::frame::Header;
use crate::store::fs::{Disk, Fs};

/// Small, seeded, good enough.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below.max(1)
    }
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Since the last sync.
    pending: Vec<Change>,
    /// A sync failed when these were pending: the system forgets to write them, and no later sync will.
    forgotten: Vec<Change>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, data) => {
            let end = *at as usize + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at as usize..end].copy_from_slice(data);
        }
        Change::Truncate(len) => bytes.resize(*len as usize, 0),
    }
}

#[derive(Clone)]
enum Name {
    Set(PathBuf, usize),
    Gone(PathBuf),
}

#[derive(Default)]
struct World {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<Name>,
    calls: u64,
    crash_at: Option<u64>,
    crashed: bool,
    dice: u64,
    capacity: Option<u64>,
    failing_syncs: u32,
    seen: BTreeSet<String>,
    /// What was done, in order, for who looks for the reason of a failure.
    diary: Vec<String>,
}

/// The file system; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Sim(Arc<Mutex<World>>);

struct SimFile {
    sim: Sim,
    id: usize,
    kind: String,
}

fn set_name(names: &mut BTreeMap<PathBuf, usize>, change: &Name) {
    match change {
        Name::Set(path, id) => names.insert(path.clone(), *id),
        Name::Gone(path) => names.remove(path),
    };
}

/// `segments/….seg`: "segment"; the file's kind for a call's name.
fn kind(path: &Path) -> String {
    let dir = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    dir.trim_end_matches('s').to_owned()
}

impl World {
    /// Counts a call that changes something. An error: the power is gone (after `torn`, perhaps).
    fn call(&mut self, name: &str, kind: &str) -> io::Result<()> {
        if self.crashed {
            return Err(io::Error::other("the power is gone"));
        }
        self.calls += 1;
        self.seen.insert(format!("{name} {kind}"));
        self.diary.push(format!("{} {name} {kind}", self.calls));
        if self.crash_at == Some(self.calls) {
            self.crashed = true;
            self.tell(" and the power goes".to_owned());
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    /// More about the latest call.
    fn tell(&mut self, more: String) {
        self.diary.last_mut().into_iter().for_each(|line| line.push_str(&more));
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| self.files[*id].current.len() as u64).sum()
    }
}

impl Sim {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics in here")
    }

    /// The power goes at the `calls`-th changing call from now.
    pub(crate) fn crash_after(&self, calls: u64) {
        let mut world = self.world();
        world.crash_at = Some(world.calls + calls);
    }

    pub(crate) fn crashed(&self) -> bool {
        self.world().crashed
    }

    pub(super) fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    pub(super) fn used(&self) -> u64 {
        self.world().used()
    }

    pub(super) fn fail_syncs(&self, count: u32) {
        self.world().failing_syncs = count;
    }

    /// Writes into the diary.
    pub(super) fn note(&self, line: String) {
        self.world().diary.push(line);
    }

    /// The end of the diary.
    pub(super) fn diary(&self) -> Vec<String> {
        let diary = &self.world().diary;
        diary[diary.len().saturating_sub(1000)..].to_vec()
    }

    /// Names of all calls made so far.
    pub(super) fn seen(&self) -> BTreeSet<String> {
        self.world().seen.clone()
    }

    /// The process was killed: all that it wrote is there, synced or not.
    pub(crate) fn after_kill(&self) -> Sim {
        let world = self.world();
        Sim(Arc::new(Mutex::new(World {
            files: world.files.clone(),
            names: world.names.clone(),
            durable_names: world.durable_names.clone(),
            pending_names: world.pending_names.clone(),
            seen: world.seen.clone(),
            diary: world.diary.clone(),
            dice: world.dice,
            ..World::default()
        })))
    }

    /// What a disk may hold after the power came back: of what was not synced, anything in any order, torn.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Sim {
        let world = self.world();
        let mut dice = Dice(seed | 1);
        let mut files = world.files.clone();
        let mut names = world.durable_names.clone();
        // A journal keeps the order of names.
        let kept = dice.roll(world.pending_names.len() as u64 + 1) as usize;
        world.pending_names[..kept].iter().for_each(|change| set_name(&mut names, change));
        for file in &mut files {
            let mut bytes = std::mem::take(&mut file.durable);
            let forgotten = std::mem::take(&mut file.forgotten);
            for change in forgotten.into_iter().chain(std::mem::take(&mut file.pending)) {
                match (dice.roll(3), change) {
                    (0, change) => apply(&mut bytes, &change),
                    (1, Change::Write(at, mut data)) => {
                        data.truncate(dice.roll(data.len() as u64) as usize);
                        apply(&mut bytes, &Change::Write(at, data));
                    }
                    _ => {}
                }
            }
            *file = Content { durable: bytes.clone(), current: bytes, ..Content::default() };
        }
        let (seen, diary) = (world.seen.clone(), world.diary.clone());
        let durable_names = names.clone();
        let world = World { files, names, durable_names, dice: seed | 1, seen, diary, ..World::default() };
        Sim(Arc::new(Mutex::new(world)))
    }
}

impl Fs for Sim {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        let mut world = self.world();
        let kind = kind(path);
        world.call("create", &kind)?;
        let id = world.files.len();
        world.tell(format!(": {id} is {}", path.display()));
        world.files.push(Content::default());
        let change = Name::Set(path.to_path_buf(), id);
        set_name(&mut world.names, &change);
        world.pending_names.push(change);
        Ok(Arc::new(SimFile { sim: self.clone(), id, kind }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        let id = self.world().names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { sim: self.clone(), id, kind: kind(path) }))
    }

    fn make_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("rename", &kind(to))?;
        world.tell(format!(": to {}", to.display()));
        let id = world.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        for change in [Name::Gone(from.to_path_buf()), Name::Set(to.to_path_buf(), id)] {
            set_name(&mut world.names, &change);
            world.pending_names.push(change);
        }
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("unlink", &kind(path))?;
        world.tell(format!(": {}", path.display()));
        let change = Name::Gone(path.to_path_buf());
        if !world.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        set_name(&mut world.names, &change);
        world.pending_names.push(change);
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("sync names", "")?;
        world.durable_names = world.names.clone();
        world.pending_names.clear();
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let world = self.world();
        Ok(world.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used())))
    }
}

impl Disk for SimFile {
    fn write_at(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut world = self.sim.world();
        let mut data = parts.concat();
        let mut result = world.call("write", &self.kind);
        if result.is_err() && world.crash_at == Some(world.calls) {
            // The call at which the power went may have done a part.
            let mut dice = Dice(world.dice ^ world.calls);
            data.truncate(dice.roll(data.len() as u64 + 1) as usize);
            world.crash_at = None;
        } else if result.is_err() {
            return result;
        }
        let frame = data.first_chunk().and_then(Header::decode).map(|h| (h.kind, h.seq, h.frontier));
        world.tell(format!(": {} at {offset}, {} bytes, {frame:?}", self.id, data.len()));
        let grows = (offset + data.len() as u64).saturating_sub(world.files[self.id].current.len() as u64);
        let free = world.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used()));
        if grows > free {
            data.truncate((data.len() as u64 - (grows - free)) as usize);
            result = Err(io::ErrorKind::StorageFull.into());
        }
        let change = Change::Write(offset, data);
        apply(&mut world.files[self.id].current, &change);
        world.files[self.id].pending.push(change);
        result
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let world = self.sim.world();
        let from = world.files[self.id].current.get(offset as usize..).unwrap_or_default();
        let bytes = from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.sim.world().files[self.id].current.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut world = self.sim.world();
        world.call("truncate", &self.kind)?;
        world.tell(format!(": {} to {len}", self.id));
        apply(&mut world.files[self.id].current, &Change::Truncate(len));
        world.files[self.id].pending.push(Change::Truncate(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.sim.world();
        world.call("sync", &self.kind)?;
        let (pending, failing) = (world.files[self.id].pending.len(), world.failing_syncs);
        world.tell(format!(": {} with {pending} changes, {failing} are to fail", self.id));
        if world.failing_syncs > 0 && self.kind == "segment" {
            world.failing_syncs -= 1;
            let file = &mut world.files[self.id];
            file.forgotten.append(&mut file.pending);
            return Err(io::Error::other("the disk failed"));
        }
        let mut dice = Dice((world.dice ^ world.calls) | 1);
        let file = &mut world.files[self.id];
        // What was forgotten lies below what was written since, or does not exist; a length is never forgotten.
        for change in std::mem::take(&mut file.forgotten) {
            if matches!(change, Change::Truncate(_)) || dice.roll(2) == 0 {
                apply(&mut file.durable, &change);
            }
        }
        for change in std::mem::take(&mut file.pending) {
            apply(&mut file.durable, &change);
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.write_at(0, &[&vec![0; len as usize]])
    }
}
