//! What goes to stderr: the agent's own log, one line per thing someone must know; what a command says itself; and
//! on a terminal one progress line below both, which is wiped before anything else is written.
//!
//! Under systemd (which stamps lines itself) the log is without time; coloured only on a terminal. The last lines of all
//! that was said are kept in memory, for a support bundle.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, StderrLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::LogLevel;

/// A progress line stands on the terminal. Changed only by who holds the lock of stderr.
static STANDS: AtomicBool = AtomicBool::new(false);
const WIPE: &[u8] = b"\r\x1b[2K";

/// Starts logging; a second call changes nothing.
pub(crate) fn to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let shown = fmt::layer().with_writer(|| Stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let shown = if under_systemd { shown.without_time().boxed() } else { shown.boxed() };
    let kept = fmt::layer().with_writer(|| Kept).with_ansi(false).with_target(false);
    let started = registry().with(LevelFilter::from_level(level)).with(shown).with(kept).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
}

/// Says something in lines of its own. If stderr is gone, nobody is there to be told.
pub(crate) fn say(text: &str) {
    keep(text);
    let mut lock = io::stderr().lock();
    drop(wipe(&mut lock, &STANDS).and_then(|()| writeln!(lock, "{text}")));
}

/// The last lines that were said, oldest first.
pub(crate) fn recent() -> Vec<String> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// So many lines are kept, so long at most.
const MOST_LINES: usize = 500;
const LONGEST: usize = 2000;
static LINES: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

fn keep(text: &str) {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    for line in text.lines() {
        if lines.len() >= MOST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(LONGEST).collect());
    }
}

/// What is kept, as the log writes to it.
struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows `text` as the progress line, over the one that stands there. Only for a terminal.
pub(crate) fn progress(text: &str) {
    let mut lock = io::stderr().lock();
    // In one piece, so that it does not flicker.
    let line = [WIPE, text.as_bytes()].concat();
    drop(lock.write_all(&line).and_then(|()| lock.flush()));
    STANDS.store(true, Ordering::Relaxed);
}

/// The progress line that stands there, if one does, is to stay.
pub(crate) fn end_progress() {
    let mut lock = io::stderr().lock();
    if STANDS.swap(false, Ordering::Relaxed) {
        drop(writeln!(lock));
    }
}

fn wipe(out: &mut impl Write, stands: &AtomicBool) -> io::Result<()> {
    if stands.swap(false, Ordering::Relaxed) { out.write_all(WIPE) } else { Ok(()) }
}

/// stderr as the log writes to it: each line in one piece.
struct Stderr;

impl Stderr {
    fn locked() -> io::Result<StderrLock<'static>> {
        let mut lock = io::stderr().lock();
        wipe(&mut lock, &STANDS)?;
        Ok(lock)
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Stderr::locked()?.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        (0..MOST_LINES + 10).for_each(|n| keep(&format!("line {n}\n{}", "x".repeat(LONGEST + 1))));
        let lines = recent();
        assert_eq!(lines.len(), MOST_LINES);
        assert!(lines.contains(&format!("line {}", MOST_LINES + 9)) && !lines.contains(&"line 0".to_owned()));
        assert!(lines.iter().all(|line| line.len() <= LONGEST));
    }

    #[test]
    fn a_progress_line_is_wiped_once_before_something_else_is_said() {
        let stands = AtomicBool::new(true);
        let mut out = b"read 1.0 MiB".to_vec();
        for line in ["one\n", "two\n"] {
            wipe(&mut out, &stands).unwrap();
            out.extend_from_slice(line.as_bytes());
        }
        assert_eq!(out, b"read 1.0 MiB\r\x1b[2Kone\ntwo\n");
    }
}
