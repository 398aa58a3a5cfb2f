//! Room 1: bytes come in, with positions.
//!
//! A source hands out chunks of whole lines together with the rows that describe the positions *behind* them.
//! Both go into one commit, so after a crash the source is reopened with the rows of the last commit and reads
//! on from there. Promises: every byte of a source is handed out exactly once or counted as a gap; reading
//! never blocks on a file system that answers; memory does not depend on how long lines, files or holes are.
//! It does not decode, and it does not know where records go.

mod emit;
pub(crate) mod file;
mod lines;
mod several;
pub(crate) mod sls;
pub(crate) mod stdin;
mod wake;

use std::time::Instant;

use crate::metrics::PipelineMetrics;
use crate::plan::SourcePlan;
use crate::record::{Row, SourceId, Step, Timestamp};

pub(crate) use several::{SeveralSources, place};
pub(crate) use wake::Waker;

/// Who reads: the agent and the job, by their ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) agent: &'a str,
    pub(crate) job: &'a str,
}

/// An open source of one pipeline.
#[derive(Debug)]
pub(crate) enum Source {
    File(Box<file::FileSource>),
    Stdin(Box<stdin::StdinSource>),
    Sls(Box<sls::SlsSource>),
    Several(SeveralSources),
}

/// Why a source can't be opened. What happens to single files later is never an error: it is logged, tried
/// again, and counted as a gap if bytes are lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("\"{pattern}\" is not a valid glob: {reason}")]
    Glob { pattern: String, reason: String },
    #[error("\"{pattern}\" is not an absolute path: paths of files begin with \"/\"")]
    Relative { pattern: String },
    #[error("the stored position of source {key} can't be read: {reason}")]
    Row { key: u64, reason: &'static str },
    #[error("the thread that reads standard input can't be started: {0}")]
    Thread(std::io::Error),
    #[error("the Logstore can't be read: {0}")]
    Logstore(String),
    #[error("a Logstore can only be read where a runtime is running")]
    NoRuntime,
}

/// Bytes handed out since the source was opened, and those plus what is known to be unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) read: u64,
    pub(crate) total: u64,
}

/// Something to be read again: the row that says from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) row: Row,
    /// Empty: a row that goes with the others and is no source.
    pub(crate) path: String,
    /// How far it is read, and where it is read from.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What an operator sees of one stored position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePosition {
    pub(crate) source: SourceId,
    /// The name under which the file was found, invalid UTF-8 replaced.
    pub(crate) path: String,
    /// Where it lies now, if it was renamed since.
    pub(crate) moved_to: Option<String>,
    pub(crate) offset: u64,
    /// The size in bytes when it was last looked at (of the compressed file, where it is one).
    pub(crate) size: Option<u64>,
    /// `following`, `compressed` or `gone`; of a shard `elsewhere`, as far as its row can tell.
    pub(crate) state: &'static str,
}

impl Source {
    /// Opens a source where the committed rows say that it stopped. `once`: a bounded run, which reads every
    /// file up to its size at the first look and ships last lines without newline at once.
    ///
    /// # Errors
    /// A path that is not an absolute glob, a row that can't be read, no thread for standard input.
    pub(crate) fn open(
        plan: &SourcePlan,
        rows: Vec<(u64, Box<[u8]>)>,
        once: bool,
        reader: Reader<'_>,
        metrics: PipelineMetrics,
    ) -> Result<Source, SourceError> {
        match plan {
            SourcePlan::File(plan) => {
                file::FileSource::open(plan, rows, once, metrics).map(|source| Source::File(Box::new(source)))
            }
            SourcePlan::Stdin(plan) => stdin::StdinSource::open(plan, &rows, std::io::stdin(), metrics)
                .map(|source| Source::Stdin(Box::new(source))),
            SourcePlan::Sls(plan) => {
                sls::SlsSource::open(plan, &rows, once, reader, metrics).map(|source| Source::Sls(Box::new(source)))
            }
        }
    }

    /// Opens sources as one, each at its place (below 255): the highest byte of its numbers, see [`place`]. It sees
    /// the rows of its place alone, also where there is no other source.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub(crate) fn open_all(
        plans: &[(usize, SourcePlan)],
        rows: Vec<(u64, Box<[u8]>)>,
        once: bool,
        reader: Reader<'_>,
        metrics: PipelineMetrics,
    ) -> Result<Source, SourceError> {
        let open = |(place, plan): &(usize, SourcePlan)| {
            let rows = SeveralSources::rows_of(&rows, *place);
            Ok((*place, Source::open(plan, rows, once, reader, metrics.clone())?))
        };
        let sources = plans.iter().map(open).collect::<Result<Vec<_>, SourceError>>()?;
        Ok(Source::Several(SeveralSources::new(sources)))
    }

    /// Looks at whatever is due and reads about `budget` bytes (more only where a single line is longer), in
    /// chunks of whole lines. With a budget of 0 nothing is read, but files are found, followed through
    /// rotation and held open. `now` must not go backwards.
    ///
    /// # Errors
    /// None at present; a file that can't be read is logged and tried again.
    pub(crate) fn poll(&mut self, budget: usize, now: Instant) -> Result<Step, SourceError> {
        match self {
            Source::File(source) => Ok(source.poll(budget, now)),
            Source::Stdin(source) => Ok(source.poll(budget, now)),
            Source::Sls(source) => Ok(source.poll(budget)),
            Source::Several(sources) => sources.poll(budget, now),
        }
    }

    /// When [`Source::poll`] should be called next if nobody wakes us.
    pub(crate) fn next_look(&self, now: Instant) -> Instant {
        match self {
            Source::File(source) => source.next_look(now),
            Source::Stdin(source) => source.next_look(now),
            Source::Sls(source) => source.next_look(now),
            Source::Several(sources) => sources.next_look(now),
        }
    }

    /// Blocks until `until`, or until something happened that makes a poll worth while.
    pub(crate) fn wait(&mut self, until: Instant) {
        match self {
            Source::File(source) => source.wait(until),
            Source::Stdin(source) => source.wait(until),
            Source::Sls(source) => source.wait(until),
            Source::Several(sources) => sources.wait(until),
        }
    }

    /// Ends [`Source::wait`] from any thread. Cheap to clone.
    pub(crate) fn waker(&self) -> Waker {
        match self {
            Source::File(source) => source.waker(),
            Source::Stdin(source) => source.waker(),
            Source::Sls(source) => source.waker(),
            Source::Several(sources) => sources.waker(),
        }
    }

    /// A bounded source has handed out everything up to its ends.
    pub(crate) fn finished(&self) -> bool {
        match self {
            Source::File(source) => source.finished(),
            Source::Stdin(source) => source.finished(),
            Source::Sls(source) => source.finished(),
            Source::Several(sources) => sources.finished(),
        }
    }

    /// Sources with bytes that were seen and not handed out.
    pub(crate) fn unread(&self) -> Vec<SourceId> {
        match self {
            Source::File(source) => source.unread(),
            Source::Stdin(source) => source.unread(),
            Source::Sls(source) => source.unread(),
            Source::Several(sources) => sources.unread(),
        }
    }

    /// Sources that may have more; every other that has been read is finished.
    pub(crate) fn living(&self) -> Vec<SourceId> {
        match self {
            Source::File(source) => source.living(),
            Source::Stdin(source) => source.living(),
            Source::Sls(source) => source.living(),
            Source::Several(sources) => sources.living(),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        match self {
            Source::File(source) => source.progress(),
            Source::Stdin(source) => source.progress(),
            Source::Sls(source) => source.progress(),
            Source::Several(sources) => sources.progress(),
        }
    }

    /// Takes a used chunk's buffer back, so that the next large read needs no fresh memory. Optional.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        match self {
            Source::File(source) => source.recycle(buffer),
            Source::Stdin(_) | Source::Sls(_) => drop(buffer),
            Source::Several(sources) => sources.recycle(buffer),
        }
    }

    /// Reads on from other rows: everything that was handed out is committed, and a part of it was lost.
    ///
    /// # Errors
    /// A row that can't be read.
    pub(crate) fn set_back(&mut self, rows: Vec<(u64, Box<[u8]>)>) -> Result<(), SourceError> {
        match self {
            Source::File(source) => source.set_back(rows),
            // Its rows hold no position, because what it gave can't be had again.
            Source::Stdin(_) => Ok(()),
            Source::Sls(source) => source.set_back(&rows),
            Source::Several(sources) => sources.set_back(&rows),
        }
    }

    /// Whether it is told what became of its rows, by [`Source::settled`].
    pub(crate) fn wants_news(&self) -> bool {
        match self {
            Source::File(_) | Source::Stdin(_) => false,
            Source::Sls(_) => true,
            Source::Several(sources) => sources.wants_news(),
        }
    }

    /// These committed rows are on the local disk; if `acknowledged`, everything before them has arrived as well.
    pub(crate) fn settled(&mut self, rows: &[Row], acknowledged: bool) {
        match self {
            Source::File(_) | Source::Stdin(_) => {}
            Source::Sls(source) => source.settled(rows, acknowledged),
            Source::Several(sources) => sources.settled(rows, acknowledged),
        }
    }

    /// Why nothing is read until an operator does something.
    pub(crate) fn parked(&self) -> Option<String> {
        match self {
            Source::File(_) | Source::Stdin(_) => None,
            Source::Sls(source) => source.parked(),
            Source::Several(sources) => sources.parked(),
        }
    }

    /// To look at it while another thread reads it.
    pub(crate) fn watches(&self) -> Vec<sls::SlsWatch> {
        match self {
            Source::File(_) | Source::Stdin(_) => Vec::new(),
            Source::Sls(source) => vec![source.watch()],
            Source::Several(sources) => sources.watches(),
        }
    }

    /// Leaves whatever it shares with others. Blocking, for about a second at most.
    pub(crate) fn close(&mut self) {
        match self {
            Source::File(_) | Source::Stdin(_) => {}
            Source::Sls(source) => source.close(),
            Source::Several(sources) => sources.close(),
        }
    }

    /// What committed rows say, for an operator. Rows that can't be read are left out.
    pub(crate) fn positions(rows: &[(u64, Box<[u8]>)]) -> Vec<FilePosition> {
        let own: Vec<_> = rows.iter().map(|(key, value)| (several::own(*key), value.clone())).collect();
        let mut positions = file::positions(&own);
        positions.extend(sls::positions(&own));
        positions
    }

    /// Rows with which all files that are there are read from their beginning, under new numbers if `anew`.
    pub(crate) fn reread(rows: &[(u64, Box<[u8]>)], anew: bool) -> Vec<Again> {
        file::rows::reread(rows, anew)
    }

    /// Where one file can be read on: at `wanted`, or behind its last whole line. Blocking.
    ///
    /// # Errors
    /// Why it can't.
    pub(crate) fn find_place(rows: &[(u64, Box<[u8]>)], path: &str, wanted: Option<u64>) -> Result<u64, String> {
        file::place::find(rows, path, wanted)
    }

    /// The row with which one file is read on from there; none if it is gone by now.
    pub(crate) fn put(rows: &[(u64, Box<[u8]>)], path: &str, offset: u64) -> Option<Again> {
        file::rows::put(rows, path, offset)
    }

    /// Rows for a pipeline that has lost its own: it begins as if it were new, but gives its sources numbers that no
    /// source of it can have had (from the present millisecond on, since they are given out one by one from 1).
    /// `places`: of its sources.
    pub(crate) fn anew(now: Timestamp, places: impl IntoIterator<Item = usize>) -> Vec<(u64, Box<[u8]>)> {
        let next_source = u64::try_from(now.0).unwrap_or_default();
        let row = file::rows::Counters { next_source, ..Default::default() }.encode();
        places.into_iter().map(|place| (several::placed(place, file::rows::COUNTERS), row.clone())).collect()
    }

    /// Whether rows say that something was read, and not only which numbers were given out.
    pub(crate) fn has_positions(rows: &[(u64, Box<[u8]>)]) -> bool {
        rows.iter().any(|(key, _)| several::own(*key) != file::rows::COUNTERS)
    }

    /// The row to go on with after the commits from `before` to `latest` were lost: what is read again gets the
    /// same ids, and no source number is given out twice.
    pub(crate) fn rewind(key: u64, before: Option<&[u8]>, latest: &[u8]) -> Option<Box<[u8]>> {
        match sls::rows::is_ours(latest) {
            true => sls::rows::rewind(several::own(key), before, latest),
            false => file::rows::rewind(several::own(key), before, latest),
        }
    }
}
