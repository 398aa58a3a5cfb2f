//! Opening a store, and reading what lies in its segments.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use super::commit::{self, Writer};
use super::dead_letters::DeadLog;
use super::frame::{Entry, Trailer};
use super::fs::Fs;
use super::identity::{self, Dirs, io_error};
use super::inbox::{Inbox, Op};
use super::lanes::LaneState;
use super::quota::{SLED_FREE_MIN, Space};
use super::recover::{self, Recovered};
use super::segment;
use super::view::{self, View};
use super::{Options, Owed, Shared, Store, StoreError};

/// Opens the store with `fs` below its segments, bases and dead letters.
pub(super) fn open(options: Options, fs: Arc<dyn Fs>) -> Result<Store, StoreError> {
    let dirs = Dirs::new(&options.dir);
    std::fs::create_dir_all(&dirs.root).map_err(io_error(&dirs.root))?;
    let lock = identity::lock(&dirs.root)?;
    identity::check_format(&dirs.root)?;
    let (agent_id, moved) = identity::agent_id(&dirs.root, options.agent_id.as_deref(), &options.machine)?;
    for dir in [&dirs.segments, &dirs.bases, &dirs.quarantine] {
        fs.make_dir(dir).map_err(io_error(dir))?;
    }
    let mut space = Space::new(fs.clone(), &dirs.root, options.ballast_bytes, options.min_free_bytes);
    if space.free() < SLED_FREE_MIN {
        // sled wants to write when it is opened, and so does a segment's head.
        space.drop_ballast();
    }
    let (view, seen, view_note) = open_view(&dirs, &space);
    let applied = seen.applied;
    let recovered = recover::recover(&*fs, &dirs, seen, options.rewind)?;
    let Recovered { mut state, active, unsealed, newest, replayed, repair } = recovered;
    let dead = DeadLog::open(fs.clone(), &dirs.dead, |name| state.pipeline(name)).map_err(io_error(&dirs.dead))?;
    for (key, note) in [("machine", moved), ("sled", view_note)] {
        state.notes.extend(note.map(|note| (key, note)));
    }
    if dead.damaged > 0 {
        state.notes.insert("dead", format!("{} bytes of dead letters were damaged", dead.damaged));
    }
    state.disk_full = space.is_full();
    let (born, frontier) = (state.born, state.frontier);
    let shared = Arc::new(Shared {
        options,
        dirs,
        fs,
        agent_id,
        state: Mutex::new(state),
        dead: Mutex::new(dead),
        inbox: Inbox::default(),
        ended: Mutex::new(false),
        end: Condvar::new(),
    });
    for (pipeline, numbers) in replayed {
        shared.dead().forget(pipeline, &numbers).map_err(io_error(&shared.dirs.dead))?;
    }
    let active = match active {
        Some(active) => active,
        None => commit::open_segment(&shared, newest + 1, born, frontier).map_err(io_error(&shared.dirs.segments))?,
    };
    let mut writer = Writer::new(shared.clone(), active, space, view, lock);
    writer.begin(applied, unsealed, repair)?;
    let thread = std::thread::Builder::new().name("store".to_owned());
    let path = shared.dirs.root.clone();
    thread.spawn(move || writer.run()).map_err(io_error(&path))?;
    Ok(Store { shared })
}

fn open_view(dirs: &Dirs, space: &Space) -> (Option<View>, view::Content, Option<String>) {
    if space.free() < SLED_FREE_MIN {
        let note = "sled was not opened: the disk is full".to_owned();
        return (None, view::Content::default(), Some(note));
    }
    match View::open(&dirs.sled, &dirs.quarantine) {
        Ok((view, content, None)) => (Some(view), content, None),
        Ok((view, content, Some(error))) => {
            tracing::warn!(%error, "sled could not be opened and was rebuilt");
            (Some(view), content, Some(format!("sled was damaged ({error}) and rebuilt from the log")))
        }
        Err(error) => {
            tracing::error!(%error, "the store runs without sled; the next open takes longer");
            (None, view::Content::default(), Some(format!("sled can't be opened: {error}")))
        }
    }
}

impl Shared {
    /// Reads a sealed segment's index into memory, unless the segment was rewritten or removed meanwhile.
    pub(super) fn load(&self, (number, trailer): (u64, Trailer)) -> Result<(), StoreError> {
        let path = segment::path(&self.dirs.segments, number);
        let read = self.fs.open(&path).and_then(|disk| Ok((segment::read_index(&*disk, &trailer)?, disk)));
        let mut state = self.state();
        if state.segments.get(&number).is_none_or(|s| s.trailer != Some(trailer)) {
            return Ok(());
        }
        if read.is_err() && identity::is_gone(&self.dirs.root) {
            return Err(StoreError::Gone(self.dirs.root.clone()));
        }
        let entries = match read.map_err(io_error(&path))? {
            (Some(entries), _) => entries,
            (None, disk) => {
                let note = format!("the index of segment {number} was damaged and is read from its frames");
                state.notes.insert("index", note);
                let walked = recover::walk_entries(&mut state, &*disk, number, trailer.index_offset);
                let walked = walked.map_err(io_error(&path))?;
                state.segments.get(&number).map_or_else(Vec::new, |s| walked.iter().map(|e| s.local(e)).collect())
            }
        };
        state.load(number, entries);
        Ok(())
    }

    /// What is live of a sealed segment: entries with new lane numbers, the table of these, its last sequence.
    #[expect(clippy::type_complexity, reason = "three things, used once")]
    pub(super) fn live_entries(&self, number: u64) -> io::Result<Option<(Vec<Entry>, Vec<(String, String)>, u64)>> {
        let trailer = self.state().segments.get(&number).and_then(|s| s.trailer);
        let Some(trailer) = trailer else { return Ok(None) };
        loop {
            self.load((number, trailer)).map_err(|error| io::Error::other(error.to_string()))?;
            let state = self.state();
            let Some(segment) = state.segments.get(&number) else { return Ok(None) };
            // Who delivers reads other indexes meanwhile, and this one may have been forgotten for them.
            let Some(live) = segment.live_entries() else { continue };
            if live.len() != segment.live as usize {
                let (found, owed) = (live.len(), segment.live);
                return Err(io::Error::other(format!("its index has {found} of the {owed} requests that are owed")));
            }
            return Ok(Some((live, state.table_of(segment), segment.last_seq)));
        }
    }

    /// The bytes of a handed-out member.
    pub(super) fn read(&self, pipeline: u32, owed: &Owed) -> Result<Vec<u8>, StoreError> {
        loop {
            let flight = self.state().flight(owed.seq, owed.member);
            let Some(flight) = flight else {
                return Err(StoreError::Damaged { seq: owed.seq, member: owed.member });
            };
            let path = segment::path(&self.dirs.segments, flight.segment);
            let mut bytes = vec![0; flight.entry.gzip_len as usize];
            let read = self.fs.open(&path).and_then(|disk| disk.read_at(flight.entry.offset, &mut bytes));
            if read.is_ok() && crc32c::crc32c(&bytes) == flight.entry.crc {
                return Ok(bytes);
            }
            let now = self.state().flight(owed.seq, owed.member);
            if now.is_some_and(|now| now.entry.offset != flight.entry.offset) {
                continue;
            }
            match read {
                // Gone or shorter than it was: damage. Anything else may pass.
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                    return Err(StoreError::Io { path, error });
                }
                Err(_) if identity::is_gone(&self.dirs.root) => return Err(StoreError::Gone(self.dirs.root.clone())),
                _ => {}
            }
            let (seq, member) = (owed.seq, owed.member);
            let owed = self.state().lanes.get(flight.entry.lane as usize).is_none_or(LaneState::is_owed);
            tracing::error!(segment = flight.segment, seq, member, "stored bytes are damaged");
            if owed {
                self.inbox.put(Op::Harmed { pipeline, seq, member })?;
            }
            return Err(StoreError::Damaged { seq, member });
        }
    }
}
