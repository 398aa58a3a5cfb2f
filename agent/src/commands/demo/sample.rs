//! A web server's access log that grows, and is rotated by rename while it grows.
//!
//! Promises: exactly `lines` lines, numbered from 0, each in the ledger before a byte of it is in the file. Like a
//! real server, it writes in pieces that end within lines and keeps writing to the renamed file for a moment.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use super::ledger::{Ledger, MARK};

pub(super) const NAME: &str = "access.log";

const TICK: Duration = Duration::from_millis(20);

/// How the log is to grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) lines: u64,
    pub(super) over: Duration,
    /// Evenly spread.
    pub(super) rotations: u64,
}

/// A growing log. Stops growing when it is dropped.
#[derive(Debug)]
pub(super) struct Sample {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    rotations: AtomicU64,
    stop: AtomicBool,
}

impl Sample {
    pub(super) fn grow(folder: &Path, growth: Growth, ledger: Arc<Ledger>) -> io::Result<Sample> {
        let shared = Arc::new(Shared::default());
        let mut log = Log::create(folder)?;
        let counters = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sample log".to_owned())
            .spawn(move || log.grow(growth, &ledger, &counters))?;
        Ok(Sample { shared, thread: Some(thread) })
    }

    pub(super) fn rotations(&self) -> u64 {
        self.shared.rotations.load(Ordering::Relaxed)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the last line.
    ///
    /// # Errors
    /// The log could not be written to its end.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written.context("the sample log can't be written"),
            Some(Err(_panic)) => Err(anyhow!("the sample log's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

struct Log {
    path: PathBuf,
    file: File,
    /// Bytes that are not in the file yet: the end of a line that was begun.
    pending: Vec<u8>,
}

impl Log {
    fn create(folder: &Path) -> io::Result<Log> {
        let path = folder.join(NAME);
        let file = File::create_new(&path)?;
        Ok(Log { path, file, pending: Vec::new() })
    }

    fn grow(&mut self, growth: Growth, ledger: &Ledger, shared: &Shared) -> io::Result<()> {
        let began = Instant::now();
        let mut written = 0;
        let mut rotations = 0;
        while written < growth.lines && !shared.stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            let part = began.elapsed().as_secs_f64() / growth.over.as_secs_f64();
            let due = ((growth.lines as f64 * part) as u64).min(growth.lines);
            let rotate = due >= growth.lines * (rotations + 1) / (growth.rotations + 1) && rotations < growth.rotations;
            if rotate {
                self.rename()?;
            }
            // The descriptor still leads to the renamed file: so do these lines.
            self.write_lines(written..due, ledger)?;
            written = due;
            if rotate {
                self.reopen()?;
                rotations += 1;
                shared.rotations.store(rotations, Ordering::Relaxed);
            }
        }
        self.file.write_all(&self.pending)
    }

    /// Writes these lines but for the second half of the last one, which goes with the next.
    fn write_lines(&mut self, numbers: std::ops::Range<u64>, ledger: &Ledger) -> io::Result<()> {
        let Some(last) = numbers.clone().last() else { return Ok(()) };
        let now = jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let lines: Vec<String> = numbers.map(|number| line(number, &now)).collect();
        ledger.write_down(lines.iter().map(String::as_str));
        let mut bytes = std::mem::take(&mut self.pending);
        for line in &lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        let held = (last % 80) as usize;
        self.pending = bytes.split_off(bytes.len().saturating_sub(held));
        self.file.write_all(&bytes)
    }

    /// `access.log.1` becomes `access.log.2`, and so on; `access.log` becomes `access.log.1`.
    fn rename(&self) -> io::Result<()> {
        let numbered = |number: u64| self.path.with_file_name(format!("{NAME}.{number}"));
        let mut free = 1;
        while numbered(free).exists() {
            free += 1;
        }
        for number in (1..free).rev() {
            std::fs::rename(numbered(number), numbered(number + 1))?;
        }
        std::fs::rename(&self.path, numbered(1))
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file.write_all(&std::mem::take(&mut self.pending))?;
        self.file = File::create_new(&self.path)?;
        Ok(())
    }
}

/// A line in nginx's combined format; its number makes it different from all others.
fn line(number: u64, now: &str) -> String {
    const PATHS: [&str; 6] =
        ["/", "/search", "/articles/floods-of-1894", "/images/log drive.jpg", "/api/v2/orders", "/login"];
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
        "curl/8.9.1 \\\"übung\\\"",
    ];
    // Mixed so that lines are not all alike; the multiplier is Knuth's.
    let mixed = (number + 1).wrapping_mul(2_654_435_761) >> 7;
    let pick = |list: &[&'static str], salt: u64| list[((mixed >> salt) % list.len() as u64) as usize];
    let status = if mixed.is_multiple_of(50) { 404 } else { 200 };
    format!(
        "203.0.113.{} - - [{now}] \"GET {}?{MARK}{number} HTTP/1.1\" {status} {} \"https://example.com{}\" \"{}\"",
        mixed % 254 + 1,
        pick(&PATHS, 3),
        mixed % 90_000,
        pick(&PATHS, 11),
        pick(&AGENTS, 17),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_together_hold_exactly_the_lines_of_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::default());
        let growth = Growth { lines: 5_000, over: Duration::from_millis(400), rotations: 3 };
        Sample::grow(folder.path(), growth, Arc::clone(&ledger)).unwrap().finish().unwrap();
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 4, "{files:?}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.ends_with('\n'), "{}", file.display());
            for line in text.lines() {
                assert!(ledger.receive(line, line, ""), "twice: {line}");
            }
        }
        let tally = ledger.tally();
        assert!(tally.is_exact(), "{tally:?}");
        assert_eq!(tally.written, 5_000);
    }

    #[test]
    fn a_log_that_nobody_wants_any_more_stops_growing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::default());
        let growth = Growth { lines: 1_000_000, over: Duration::from_secs(3600), rotations: 3 };
        let mut sample = Sample::grow(folder.path(), growth, ledger).unwrap();
        let thread = sample.thread.take().unwrap();
        drop(sample);
        thread.join().unwrap().unwrap();
    }
}
