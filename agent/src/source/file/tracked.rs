//! One followed file: what is known of it, in memory and as it is stored.
//!
//! Promises: nothing is lost between the two that a restart needs; an idle file holds no descriptor and no buffer.
//! It does not know the other files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::fingerprint::Print;
use super::gzip::GzipReader;
use super::rows::{Kind, Stored};
use super::stat::Identity;
use super::table::{NONE, Slot};
use crate::record::{Mode, Position, SourceId};

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
    pub(super) alike: (Slot, Slot),
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
