//! Several sources of one pipeline, as a query over several tables needs them.
//!
//! Each source's numbers (of sources and of rows) get the source's place in their highest byte, so that they are
//! one pipeline's and each its own. Promises what [`Source`] promises; a busy source does not keep the others from
//! being read.

use std::time::Instant;

use super::{Progress, Source, SourceError, Waker};
use crate::record::{Chunk, Row, SourceId, Step};

/// Where the place lies in a number.
const SHIFT: u32 = 56;

/// Which of a pipeline's sources a number belongs to; 0 where there is only one.
pub(crate) fn place(source: SourceId) -> usize {
    (source.0 >> SHIFT) as usize
}

/// A number as the source itself knows it.
pub(super) fn own(number: u64) -> u64 {
    number & ((1 << SHIFT) - 1)
}

/// A number of the source at `place`, as the pipeline knows it.
pub(super) fn placed(place: usize, number: u64) -> u64 {
    (place as u64) << SHIFT | number
}

#[derive(Debug)]
pub(crate) struct SeveralSources {
    /// Each with its place, which a source keeps whatever others come and go.
    sources: Vec<(usize, Source)>,
    /// Whose turn it is to be read first.
    turn: usize,
    waker: Waker,
}

impl SeveralSources {
    /// Places below 255, each once.
    pub(super) fn new(sources: Vec<(usize, Source)>) -> SeveralSources {
        let waker = Waker::default();
        sources.iter().for_each(|(_, source)| source.waker().pass_on(waker.clone()));
        SeveralSources { sources, turn: 0, waker }
    }

    /// The rows of the source at `place`, as it knows them.
    pub(super) fn rows_of(rows: &[(u64, Box<[u8]>)], place: usize) -> Vec<(u64, Box<[u8]>)> {
        let ours = rows.iter().filter(|(key, _)| key >> SHIFT == place as u64);
        ours.map(|(key, value)| (own(*key), value.clone())).collect()
    }

    pub(super) fn set_back(&mut self, rows: &[(u64, Box<[u8]>)]) -> Result<(), SourceError> {
        let mut sources = self.sources.iter_mut();
        sources.try_for_each(|(place, source)| source.set_back(SeveralSources::rows_of(rows, *place)))
    }

    pub(super) fn wants_news(&self) -> bool {
        self.sources.iter().any(|(_, source)| source.wants_news())
    }

    pub(super) fn settled(&mut self, rows: &[Row], acknowledged: bool) {
        for (place, source) in &mut self.sources {
            let ours = rows.iter().filter(|row| row.key >> SHIFT == *place as u64);
            let ours: Vec<Row> = ours.map(|row| Row { key: own(row.key), value: row.value.clone() }).collect();
            source.settled(&ours, acknowledged);
        }
    }

    pub(super) fn parked(&self) -> Option<String> {
        self.sources.iter().find_map(|(_, source)| source.parked())
    }

    pub(super) fn watches(&self) -> Vec<super::sls::SlsWatch> {
        self.sources.iter().flat_map(|(_, source)| source.watches()).collect()
    }

    pub(super) fn close(&mut self) {
        self.sources.iter_mut().for_each(|(_, source)| source.close());
    }

    pub(super) fn poll(&mut self, budget: usize, now: Instant) -> Result<Step, SourceError> {
        let (count, mut left, mut all) = (self.sources.len(), budget, Step::default());
        for at in (0..count).map(|i| (self.turn + i) % count) {
            let (place, source) = &mut self.sources[at];
            let step = source.poll(left, now)?;
            left = left.saturating_sub(step.chunks.iter().map(|chunk| chunk.data.len()).sum());
            add(&mut all, step, *place);
        }
        self.turn = (self.turn + 1) % count.max(1);
        Ok(all)
    }

    pub(super) fn next_look(&self, now: Instant) -> Instant {
        self.sources.iter().map(|(_, source)| source.next_look(now)).min().unwrap_or(now)
    }

    pub(super) fn wait(&self, until: Instant) {
        self.waker.wait(until);
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn finished(&self) -> bool {
        self.sources.iter().all(|(_, source)| source.finished())
    }

    pub(super) fn progress(&self) -> Progress {
        let sum = |sum: Progress, one: Progress| Progress { read: sum.read + one.read, total: sum.total + one.total };
        self.sources.iter().map(|(_, source)| source.progress()).fold(Progress::default(), sum)
    }

    /// Logstores are all there is.
    pub(crate) fn are_logstores(&self) -> bool {
        self.sources.iter().all(|(_, source)| matches!(source, Source::Sls(_)))
    }

    /// Standard input is all there is.
    pub(crate) fn are_stdin(&self) -> bool {
        self.sources.iter().all(|(_, source)| matches!(source, Source::Stdin(_)))
    }

    pub(super) fn unread(&self) -> Vec<SourceId> {
        let with_place = |(place, source): &(usize, Source)| {
            let place = *place;
            source.unread().into_iter().map(move |id| SourceId(placed(place, id.0)))
        };
        self.sources.iter().flat_map(with_place).collect()
    }

    pub(super) fn living(&self) -> Vec<SourceId> {
        let with_place = |(place, source): &(usize, Source)| {
            let place = *place;
            source.living().into_iter().map(move |id| SourceId(placed(place, id.0)))
        };
        self.sources.iter().flat_map(with_place).collect()
    }

    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if let Some((_, source)) = self.sources.get_mut(self.turn) {
            source.recycle(buffer);
        }
    }
}

fn add(all: &mut Step, mut step: Step, place: usize) {
    let high = (place as u64) << SHIFT;
    let mark = |chunk: &mut Chunk| chunk.source = SourceId(chunk.source.0 | high);
    step.chunks.iter_mut().for_each(mark);
    step.refused.iter_mut().for_each(|refused| mark(&mut refused.head));
    step.rows.iter_mut().for_each(|row| row.key |= high);
    all.finished.extend(step.finished.iter().map(|source| SourceId(source.0 | high)));
    all.chunks.append(&mut step.chunks);
    all.refused.append(&mut step.refused);
    all.rows.append(&mut step.rows);
    all.gaps.append(&mut step.gaps);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PipelineMetrics;
    use crate::plan::{FilePlan, SourcePlan};
    use crate::source::Reader;

    fn open(dir: &std::path::Path, rows: Rows) -> Source {
        open_at(dir, &[(0, "a.log"), (1, "b.log")], rows)
    }

    fn open_at(dir: &std::path::Path, files: &[(usize, &str)], rows: Rows) -> Source {
        let plan = |(place, name): &(usize, &str)| {
            let paths = vec![dir.join(name).display().to_string()];
            (*place, SourcePlan::File(FilePlan { paths, watch: false, ..FilePlan::default() }))
        };
        let plans: Vec<_> = files.iter().map(plan).collect();
        let reader = Reader { agent: "a", job: "j" };
        Source::open_all(&plans, rows, true, reader, PipelineMetrics::default()).unwrap()
    }

    type Rows = Vec<(u64, Box<[u8]>)>;

    fn read(source: &mut Source) -> (Vec<(usize, String)>, Rows) {
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        while !source.finished() {
            let step = source.poll(1 << 20, Instant::now()).unwrap();
            for chunk in step.chunks {
                lines.push((place(chunk.source), String::from_utf8(chunk.data).unwrap()));
            }
            rows.extend(step.rows.into_iter().filter_map(|row| Some((row.key, row.value?))));
        }
        lines.sort();
        (lines, rows)
    }

    #[test]
    fn each_source_is_read_from_where_it_stopped_and_known_by_its_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.log"), "one\n").unwrap();
        std::fs::write(dir.path().join("b.log"), "two\n").unwrap();
        let (lines, rows) = read(&mut open(dir.path(), Vec::new()));
        assert_eq!(lines, [(0, "one\n".to_owned()), (1, "two\n".to_owned())]);
        std::fs::write(dir.path().join("b.log"), "two\nthree\n").unwrap();
        let (lines, _) = read(&mut open(dir.path(), rows));
        assert_eq!(lines, [(1, "three\n".to_owned())]);
    }
    #[test]
    fn a_source_alone_sees_only_the_rows_of_its_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.log"), "one\n").unwrap();
        std::fs::write(dir.path().join("b.log"), "two\n").unwrap();
        let (_, mut rows) = read(&mut open(dir.path(), Vec::new()));
        rows.push((placed(255, 1), vec![1; 8].into())); // of the pipeline's own
        let mut alone = open_at(dir.path(), &[(1, "b.log")], rows.clone());
        assert_eq!(read(&mut alone).0, []);
        std::fs::write(dir.path().join("b.log"), "two\nthree\n").unwrap();
        let mut alone = open_at(dir.path(), &[(1, "b.log")], rows.clone());
        assert_eq!(read(&mut alone).0, [(1, "three\n".to_owned())]);
        alone.set_back(rows).unwrap();
        assert_eq!(read(&mut alone).0, [(1, "three\n".to_owned())]);
    }
}
