//! Writes an oracle's lines into a file and rotates it in every style there is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::oracle::Oracle;
use crate::wait;

/// One log file with its writer.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    oracle: Oracle,
    file: File,
    content: u32,
    offset: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Makes (or goes on with) the file `path`.
    pub fn new(path: impl Into<PathBuf>, oracle: &Oracle) -> Writer {
        let path = path.into();
        let file = open(&path);
        Writer { path, oracle: oracle.clone(), file, content: oracle.content(), offset: 0, buffer: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the present content.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes `count` lines in pieces of about 64 KiB, which end where they end.
    pub fn lines(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.oracle.line(self.content, self.offset);
            self.offset += line.len() as u64;
            self.buffer.extend_from_slice(line.as_bytes());
            if self.buffer.len() > 64 << 10 {
                self.file.write_all(&self.buffer[..64 << 10]).unwrap();
                self.buffer.drain(..64 << 10);
            }
        }
        self.file.write_all(&self.buffer).unwrap();
        self.buffer.clear();
    }

    /// Writes lines until there are `bytes` more.
    pub fn bytes(&mut self, bytes: u64) {
        let end = self.offset + bytes;
        while self.offset < end {
            self.lines(64);
        }
    }

    /// Writes at `rate` bytes a second for `time`, and lets `between` act on the writer about every 10 ms.
    pub fn paced(&mut self, rate: u64, time: Duration, mut between: impl FnMut(&mut Writer)) {
        let begin = Instant::now();
        let mut written = 0;
        while begin.elapsed() < time {
            let due = (begin.elapsed().as_secs_f64() * rate as f64) as u64;
            if due > written {
                let before = self.offset;
                self.bytes(due - written);
                written += self.offset - before;
            }
            between(self);
            wait::pass(Duration::from_millis(10));
        }
    }

    /// `PATH.N` of the Nth rotated file.
    pub fn rotated(&self, number: usize) -> PathBuf {
        PathBuf::from(format!("{}.{number}", self.path.display()))
    }

    /// Rename rotation: `app.log.1` becomes `app.log.2` …, `app.log` becomes `app.log.1`, a new `app.log` begins.
    /// What would be number `depth + 1` is deleted.
    pub fn rotate(&mut self, depth: usize) {
        for number in (1..=depth).rev() {
            if self.rotated(number).exists() {
                std::fs::rename(self.rotated(number), self.rotated(number + 1)).unwrap();
            }
        }
        if self.rotated(depth + 1).exists() {
            std::fs::remove_file(self.rotated(depth + 1)).unwrap();
        }
        std::fs::rename(&self.path, self.rotated(1)).unwrap();
        self.begin();
    }

    /// Renames the file to `to` and begins a new one.
    pub fn rotate_to(&mut self, to: &Path) {
        std::fs::rename(&self.path, to).unwrap();
        self.begin();
    }

    /// logrotate's `compress` without `delaycompress`: renamed, compressed, the renamed file deleted.
    pub fn rotate_and_compress(&mut self) -> PathBuf {
        self.rotate(8);
        let status = Command::new("gzip").arg("-f").arg(self.rotated(1)).status().expect("gzip runs");
        assert!(status.success());
        PathBuf::from(format!("{}.gz", self.rotated(1).display()))
    }

    /// copytruncate: the content is copied to `copy`, then the file is emptied.
    pub fn copytruncate(&mut self, copy: Option<&Path>) {
        if let Some(copy) = copy {
            std::fs::copy(&self.path, copy).unwrap();
        }
        self.truncate();
    }

    /// Empties the file under its writer, which appends.
    pub fn truncate(&mut self) {
        self.file.set_len(0).unwrap();
        self.content = self.oracle.content();
        self.offset = 0;
    }

    /// Deletes the file and begins a new one.
    pub fn recreate(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
        self.begin();
    }

    fn begin(&mut self) {
        self.file = open(&self.path);
        self.content = self.oracle.content();
        self.offset = 0;
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}
