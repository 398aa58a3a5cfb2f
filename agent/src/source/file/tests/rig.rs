//! A folder, a source that follows it, and everything that it has handed out.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::FileSource;
use crate::metrics::PipelineMetrics;
use crate::plan::FilePlan;
use crate::record::{Gap, GapReason, Part, Piece, Refused};

/// One record as the next room would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) source: u64,
    pub(super) offset: u64,
    pub(super) path: String,
    pub(super) text: String,
    pub(super) part: Option<Part>,
}

pub(super) struct Rig {
    folder: tempfile::TempDir,
    pub(super) plan: FilePlan,
    pub(super) source: Option<FileSource>,
    pub(super) rows: BTreeMap<u64, Box<[u8]>>,
    pub(super) records: Vec<Record>,
    pub(super) gaps: Vec<Gap>,
    pub(super) refused: Vec<Refused>,
    /// Numbers of sources that are told to be finished.
    pub(super) finished: Vec<u64>,
    pub(super) now: Instant,
    pub(super) budget: usize,
    pub(super) once: bool,
    pub(super) metrics: PipelineMetrics,
}

impl Rig {
    /// Follows `globs` (relative to a fresh folder) by looking alone: no event can come in between.
    pub(super) fn new(globs: &[&str]) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let paths = globs.iter().map(|glob| format!("{}/{glob}", folder.path().display())).collect();
        let plan = FilePlan { paths, watch: false, rescan: Duration::from_millis(40), ..FilePlan::default() };
        Rig {
            folder,
            plan,
            source: None,
            rows: BTreeMap::new(),
            records: Vec::new(),
            gaps: Vec::new(),
            refused: Vec::new(),
            finished: Vec::new(),
            now: Instant::now(),
            budget: 64 << 20,
            once: false,
            metrics: PipelineMetrics::default(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn delete(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub(super) fn copytruncate(&self, name: &str, to: &str) {
        std::fs::copy(self.path(name), self.path(to)).unwrap();
        self.truncate(name, 0);
    }

    pub(super) fn truncate(&self, name: &str, len: u64) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(len).unwrap();
    }

    pub(super) fn gzip(&self, name: &str, to: &str) {
        let raw = std::fs::read(self.path(name)).unwrap();
        self.write(to, crate::record::gzip::compress(&raw, 1).unwrap());
        self.delete(name);
    }

    /// One poll, whose step is committed.
    pub(super) fn poll(&mut self) {
        let rows = || self.rows.iter().map(|(key, value)| (*key, value.clone())).collect();
        if self.source.is_none() {
            self.source = Some(FileSource::open(&self.plan, rows(), self.once, self.metrics.clone()).unwrap());
        }
        let Some(source) = &mut self.source else { return };
        let step = source.poll(self.budget, self.now);
        for row in step.rows {
            match row.value {
                Some(value) => self.rows.insert(row.key, value),
                None => self.rows.remove(&row.key),
            };
        }
        for chunk in step.chunks {
            let mut offset = chunk.offset;
            let record = |offset: u64, text: &[u8], part| Record {
                source: chunk.source.0,
                offset,
                path: Path::new(&*chunk.path).file_name().unwrap().to_string_lossy().into_owned(),
                text: String::from_utf8_lossy(text).into_owned(),
                part,
            };
            match chunk.piece {
                Piece::Part(part) => self.records.push(record(offset, &chunk.data, Some(part))),
                Piece::LogGroups => panic!("a file has no log groups"),
                Piece::Lines => {
                    assert_eq!(chunk.data.last(), Some(&b'\n'), "lines end with a newline");
                    for line in chunk.data.split_inclusive(|byte| *byte == b'\n') {
                        self.records.push(record(offset, &line[..line.len() - 1], None));
                        offset += line.len() as u64;
                    }
                }
            }
            source.recycle(chunk.data);
        }
        self.gaps.extend(step.gaps);
        self.refused.extend(step.refused);
        self.finished.extend(step.finished.iter().map(|source| source.0));
    }

    /// Polls every 20 ms of virtual time.
    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(20) {
            self.poll();
            self.now += Duration::from_millis(20);
        }
    }

    /// Long enough for everything that waits for nothing but a look.
    pub(super) fn settle(&mut self) {
        self.run(400);
    }

    /// What is not in the rows is forgotten.
    pub(super) fn crash(&mut self) {
        self.source = None;
    }

    /// The records' texts in the order in which they came.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.text.as_str()).collect()
    }

    pub(super) fn sorted(&self) -> Vec<&str> {
        let mut texts = self.texts();
        texts.sort_unstable();
        texts
    }

    pub(super) fn sources(&self) -> Vec<u64> {
        let mut sources: Vec<u64> = self.records.iter().map(|record| record.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// Bytes lost, without what was passed over on purpose.
    pub(super) fn lost(&self) -> u64 {
        let lost = |gap: &&Gap| !matches!(gap.reason, GapReason::NulHole | GapReason::LongLine);
        self.gaps.iter().filter(lost).map(|gap| gap.bytes).sum()
    }

    /// Lines `from..upto`, each of 100 bytes with its newline.
    pub(super) fn lines(from: usize, upto: usize) -> String {
        (from..upto).map(|number| format!("{}\n", Rig::line(number))).collect()
    }

    pub(super) fn line(number: usize) -> String {
        format!("{number:08} {}", "x".repeat(90))
    }

    /// Every line of `0..upto` came exactly once, in order.
    pub(super) fn assert_lines(&self, upto: usize) {
        let wanted: Vec<String> = (0..upto).map(Rig::line).collect();
        let seen = self.texts();
        let numbers =
            |texts: &[&str]| texts.iter().map(|text| text.get(..8).unwrap_or(text).to_owned()).collect::<Vec<_>>();
        assert!(seen == wanted, "seen {:?}, gaps {:?}", numbers(&seen), self.gaps);
    }
}
