//! The unit of delivery: some items of some stored members of one index, sent in one request.
//!
//! Pure data. A member's items may be spread over several works after halving; `Lane` knows how many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deliver::Backoff;
use crate::record::Bitmap;
use crate::store::Owed;

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Frame sequence and number of the member within it.
pub(super) type Key = (u64, u16);

/// Items of one stored member.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) owed: Arc<Owed>,
    /// `None`: all items of the stored member.
    pub(super) items: Option<Bitmap>,
    /// They may have reached the cluster.
    pub(super) sent: bool,
}

impl Piece {
    pub(super) fn key(&self) -> Key {
        (self.owed.seq, self.owed.member)
    }

    pub(super) fn count(&self) -> u32 {
        self.items.as_ref().map_or(self.owed.items, Bitmap::count)
    }

    /// The numbers of its items within the stored member.
    pub(super) fn numbers(&self) -> Vec<u32> {
        match &self.items {
            Some(items) => items.iter().collect(),
            None => (0..self.owed.items).collect(),
        }
    }

    /// Bytes before compression, as far as can be told without looking.
    pub(super) fn raw_len(&self) -> u64 {
        share(self.owed.raw_len, self.count(), self.owed.items)
    }

    /// The same, after compression.
    pub(super) fn wire_len(&self) -> u64 {
        share(self.owed.gzip_len, self.count(), self.owed.items)
    }
}

/// `part` of `length`.
fn share(length: u32, part: u32, of: u32) -> u64 {
    u64::from(length) * u64::from(part) / u64::from(of.max(1))
}

/// One request's worth of pieces, and its history.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) pieces: Vec<Piece>,
    /// Not tried again before this.
    pub(super) not_before: Option<Instant>,
    pub(super) backoff: Backoff,
    /// Failures in a row that may be due to what is sent.
    pub(super) failures: u32,
    /// The lane's passes when the first of them happened.
    pub(super) passes_then: u64,
    /// The sink's passes when the whole request was first refused; its halves inherit it.
    pub(super) refused_at: Option<u64>,
    /// Sent outside the usual number of requests, because its lane or the sink is in trouble.
    pub(super) probe: bool,
    /// The index behind the alias or data stream that took writes when it was first sent.
    pub(super) write_index: Option<Arc<str>>,
    /// Its documents' versions must be at least this: the index has later ones that are not ours.
    pub(super) least_version: Option<u64>,
}

impl Work {
    pub(super) fn new(pieces: Vec<Piece>) -> Work {
        Work {
            pieces,
            not_before: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            failures: 0,
            passes_then: 0,
            refused_at: None,
            probe: false,
            write_index: None,
            least_version: None,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.pieces.iter().map(Piece::count).sum()
    }

    pub(super) fn raw_len(&self) -> u64 {
        self.pieces.iter().map(Piece::raw_len).sum()
    }

    pub(super) fn wire_len(&self) -> u64 {
        self.pieces.iter().map(Piece::wire_len).sum()
    }

    pub(super) fn sent_before(&self) -> bool {
        self.pieces.iter().any(|piece| piece.sent)
    }

    pub(super) fn due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// Two halves: at a member border near the middle of the bytes, else in the middle of the one member's items.
    /// `None` for a single document.
    pub(super) fn halves(self) -> Result<(Work, Work), Box<Work>> {
        let (left, right) = match self.pieces.as_slice() {
            [] => return Err(Box::new(self)),
            [piece] => match split(piece) {
                Some((left, right)) => (vec![left], vec![right]),
                None => return Err(Box::new(self)),
            },
            pieces => {
                let half = pieces.iter().map(Piece::raw_len).sum::<u64>() / 2;
                let mut bytes = 0;
                let before = pieces.iter().take_while(|piece| {
                    bytes += piece.raw_len();
                    bytes <= half
                });
                let at = before.count().clamp(1, pieces.len() - 1);
                let (left, right) = pieces.split_at(at);
                (left.to_vec(), right.to_vec())
            }
        };
        // A half is a new request: what failed before was another one.
        let fresh = Work::new(Vec::new());
        let with = |pieces| Work {
            pieces,
            failures: 0,
            not_before: None,
            backoff: fresh.backoff,
            refused_at: self.refused_at,
            passes_then: self.passes_then,
            probe: self.probe,
            write_index: self.write_index.clone(),
            least_version: self.least_version,
        };
        Ok((with(left), with(right)))
    }
}

fn split(piece: &Piece) -> Option<(Piece, Piece)> {
    let numbers = piece.numbers();
    if numbers.len() < 2 {
        return None;
    }
    let (first, second) = numbers.split_at(numbers.len() / 2);
    let with = |numbers: &[u32]| {
        let mut items = Bitmap::none(piece.owed.items);
        numbers.iter().for_each(|i| items.set(*i));
        Piece { items: Some(items), ..piece.clone() }
    };
    Some((with(first), with(second)))
}
