//! Reading again on an operator's word: where to, and what becomes of documents that are there already.
//!
//! Promises: what is read again has the same ids (`fill`, `overwrite`) unless new ones are asked for (`again`); the new
//! positions are committed behind everything that was read before; nothing is changed by a look. A query's positions
//! belong to its state and are never reset alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use splashdam_api::{Reset, ResetHow, ResetSource, ResetSources, ResetTo};
use tokio::sync::oneshot;

use super::running::Running;
use super::versions::{OWN_ROWS, is_own};
use crate::plan::{JobPlan, SourcePlan};
use crate::record::{Chunk, Row};
use crate::source::{Again, Source};

/// The loop looks whether it is to go back between two of its turns.
const WITHIN: Duration = Duration::from_secs(30);
/// Up to where documents are replaced that are there already.
const ROW: u64 = (OWN_ROWS as u64) << 56 | 3;

/// What the ingest loop is asked to do.
#[derive(Debug)]
pub(super) struct Order {
    how: ResetHow,
    what: What,
    reply: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug)]
enum What {
    /// All files from their beginning.
    Files,
    /// One file from a line's beginning.
    Place { path: String, offset: u64 },
    /// Shards.
    Shards(Vec<Again>),
}

impl What {
    /// `rows`: those of the last commit.
    fn rows(&self, rows: &[(u64, Box<[u8]>)], how: ResetHow) -> Vec<Again> {
        match self {
            What::Files => Source::reread(rows, how == ResetHow::Again),
            What::Place { path, offset } => Source::put(rows, path, *offset).into_iter().collect(),
            What::Shards(again) => again.clone(),
        }
    }
}

/// How far a source is read again, and whether its documents replace those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    until: u64,
    replace: bool,
}

/// What is read again at present, by source number.
#[derive(Clone, Debug, Default)]
pub(super) struct Overwrites {
    marks: Arc<BTreeMap<u64, Mark>>,
    /// Shared with delivery: that a document is there already is no surprise.
    filling: Arc<AtomicBool>,
}

impl Overwrites {
    /// `rows`: those of the last commit.
    pub(super) fn new(rows: &[(u64, Box<[u8]>)], filling: Arc<AtomicBool>) -> Overwrites {
        let kept = rows.iter().find(|(key, _)| *key == ROW).map_or(&[][..], |(_, value)| value);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        let mark = |bytes: &[u8]| {
            let mark = Mark { until: number(bytes.get(8..16)?)?, replace: *bytes.get(16)? != 0 };
            Some((number(bytes.get(..8)?)?, mark))
        };
        let overwrites = Overwrites { marks: Arc::new(kept.chunks(17).filter_map(mark).collect()), filling };
        overwrites.begin();
        overwrites
    }

    fn row(&self) -> Row {
        let mut bytes = Vec::with_capacity(17 * self.marks.len());
        for (source, mark) in &*self.marks {
            bytes.extend_from_slice(&source.to_le_bytes());
            bytes.extend_from_slice(&mark.until.to_le_bytes());
            bytes.push(u8::from(mark.replace));
        }
        Row { key: ROW, value: (!bytes.is_empty()).then(|| bytes.into()) }
    }

    /// Whether documents of this chunk replace those that are there.
    pub(super) fn replaces(&self, chunk: &Chunk) -> bool {
        self.marks.get(&chunk.source.0).is_some_and(|mark| mark.replace && chunk.offset < mark.until)
    }

    /// Once a source is read past its mark there is nothing special about it any more: the row to commit then.
    pub(super) fn passed(&mut self, chunks: &[Chunk]) -> Option<Row> {
        let past = |source: u64, mark: &Mark| chunks.iter().any(|c| c.source.0 == source && c.offset >= mark.until);
        if !self.marks.iter().any(|(source, mark)| past(*source, mark)) {
            return None;
        }
        Arc::make_mut(&mut self.marks).retain(|source, mark| !past(*source, mark));
        Some(self.row())
    }

    fn begin(&self) {
        if self.marks.values().any(|mark| !mark.replace) {
            self.filling.store(true, Ordering::Relaxed);
        }
    }

    /// Nothing is under way or owed. `read`: how far a source is read.
    pub(super) fn rest(&self, read: impl Fn(u64) -> u64) {
        if self.filling.load(Ordering::Relaxed)
            && self.marks.iter().all(|(source, mark)| mark.replace || read(*source) >= mark.until)
        {
            self.filling.store(false, Ordering::Relaxed);
        }
    }
}

impl Order {
    /// The rows to commit, and what is replaced from then on. `rows`: those of the last commit.
    pub(super) fn carry_out(&self, rows: &[(u64, Box<[u8]>)], overwrites: &Overwrites) -> (Vec<Row>, Overwrites) {
        let again = self.what.rows(rows, self.how);
        let mut overwrites = overwrites.clone();
        let marks = Arc::make_mut(&mut overwrites.marks);
        let of_sources: Vec<_> = rows.iter().filter(|(key, _)| !is_own(*key)).cloned().collect();
        let positions = Source::positions(&of_sources);
        for one in again.iter().filter(|one| !one.path.is_empty()) {
            let read = positions.iter().find(|known| known.source.0 == one.row.key).map_or(0, |known| known.offset);
            let before = marks.remove(&one.row.key).map_or(0, |mark| mark.until);
            if self.how != ResetHow::Again {
                let replace = self.how == ResetHow::Overwrite;
                // It may not have come to the end of what a former word said.
                marks.insert(one.row.key, Mark { until: read.max(before), replace });
            }
        }
        let mut rows: Vec<Row> = again.into_iter().map(|one| one.row).collect();
        rows.push(overwrites.row());
        overwrites.begin();
        (rows, overwrites)
    }

    pub(super) fn in_a_word(&self) -> &'static str {
        match self.how {
            ResetHow::Fill => "fill",
            ResetHow::Overwrite => "overwrite",
            ResetHow::Again => "again",
        }
    }

    pub(super) fn done(self, outcome: Result<(), String>) {
        // Whoever asked has gone: it is done all the same.
        drop(self.reply.send(outcome));
    }
}

/// Shows what a reset would do, or does it.
///
/// # Errors
/// Why it can't be done.
pub(super) async fn reset(running: &Running, wanted: &Reset) -> Result<ResetSources, String> {
    let plan = match &running.job {
        JobPlan::Ship(plan) => plan,
        JobPlan::Query(_) => {
            return Err("the positions of a SQL job belong to what it has counted: it begins anew as a whole, by \
                        `splashdam run --reset-state` (`serve --begin-anew JOB-ID`)"
                .to_owned());
        }
    };
    if wanted.how == ResetHow::Overwrite && plan.sink.bootstrap.data_stream {
        return Err("documents of a data stream can't be replaced: --fill adds those that are missing".to_owned());
    }
    if running.ended() || running.failure().is_some() {
        return Err("the job reads no more: it has ended".to_owned());
    }
    let what = what(running, &plan.source, wanted).await?;
    let shown = shown(&what.rows(&running.door.rows(), wanted.how));
    if shown.sources.is_empty() {
        return Err("nothing of it has been read here yet".to_owned());
    }
    if !wanted.only_look {
        let (reply, done) = oneshot::channel();
        if let Ok(mut order) = running.signals.reset.lock() {
            *order = Some(Order { how: wanted.how, what, reply });
        }
        running.signals.reset_wanted.store(true, Ordering::Release);
        running.waker.wake();
        match tokio::time::timeout(WITHIN, done).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) => return Err("the job has ended meanwhile".to_owned()),
            Err(_) => {
                return Err(format!("the job was busy for {} s; it is done as soon as it can be", WITHIN.as_secs()));
            }
        }
    }
    Ok(shown)
}

/// What is to be read again, or why that can't be.
async fn what(running: &Running, source: &SourcePlan, wanted: &Reset) -> Result<What, String> {
    match (source, wanted.how, &wanted.to) {
        (SourcePlan::Stdin(_), ..) => Err("what came by standard input can't be read again".to_owned()),
        (SourcePlan::File(_), _, ResetTo::At(_)) => Err("the lines of a file have no time before they are read: files are read again from their beginning \
             (--to beginning), or one from a place in it (`splashctl positions set`)"
            .to_owned()),
        (SourcePlan::File(_), ResetHow::Again, ResetTo::Place(_)) => {
            Err("new ids are given to whole files only (`splashctl positions reset`)".to_owned())
        }
        (SourcePlan::File(_), _, ResetTo::Beginning) => Ok(What::Files),
        (SourcePlan::File(_), _, ResetTo::Place(place)) => {
            let (rows, path, wanted) = (running.door.rows(), place.path.clone(), place.offset);
            let found = tokio::task::spawn_blocking(move || {
                let offset = Source::find_place(&rows, &path, wanted)?;
                Ok(What::Place { path, offset })
            });
            found.await.map_err(|error| error.to_string())?
        }
        (SourcePlan::Sls(_), ResetHow::Again, _) => Err("a log's id names the log, whoever reads it and how often: to have it twice, run the job a second time with \
             another \"id\""
            .to_owned()),
        (SourcePlan::Sls(_), _, ResetTo::Place(_)) => {
            Err("a shard is read from a time on: `splashctl positions reset JOB --to TIME`".to_owned())
        }
        (SourcePlan::Sls(_), _, to) => {
            let second = if let ResetTo::At(second) = to { Some(*second) } else { None };
            let watch = running.signals.watches.first().ok_or("nothing is read yet")?;
            Ok(What::Shards(watch.again_from(second).await?))
        }
    }
}

fn shown(rows: &[Again]) -> ResetSources {
    let sources = rows.iter().filter(|one| !one.path.is_empty());
    let sources = sources.map(|one| ResetSource { path: one.path.clone(), from: one.from, to: one.to });
    ResetSources { sources: sources.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Piece, SourceId};

    #[test]
    fn documents_are_replaced_up_to_where_it_had_been_read_and_no_farther() {
        let chunk = |source, offset| Chunk {
            source: SourceId(source),
            path: "p".into(),
            offset,
            data: Vec::new(),
            piece: Piece::Lines,
        };
        let mark = |until, replace| Mark { until, replace };
        let marks = BTreeMap::from([(7, mark(100, true)), (8, mark(50, true)), (9, mark(5, false))]);
        let kept = [(ROW, Overwrites { marks: Arc::new(marks), ..Overwrites::default() }.row().value.unwrap())];
        let filling = Arc::new(AtomicBool::new(false));
        let mut overwrites = Overwrites::new(&kept, filling.clone());
        assert!(overwrites.replaces(&chunk(7, 99)) && !overwrites.replaces(&chunk(7, 100)));
        assert!(!overwrites.replaces(&chunk(9, 0)) && filling.load(Ordering::Relaxed));
        assert_eq!(overwrites.passed(&[chunk(7, 99)]), None);
        assert!(overwrites.passed(&[chunk(7, 100)]).unwrap().value.is_some());
        assert!(!overwrites.replaces(&chunk(7, 0)) && overwrites.replaces(&chunk(8, 0)));
        overwrites.rest(|_| 4);
        assert!(filling.load(Ordering::Relaxed), "it is still being filled");
        overwrites.rest(|_| 5);
        assert!(!filling.load(Ordering::Relaxed));
        assert_eq!(overwrites.passed(&[chunk(8, 60), chunk(9, 5)]), Some(Row { key: ROW, value: None }));
    }
}
