//! Every way the program can end.

use std::process::{ExitCode, Termination};

/// What the exit code tells the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Jobs or configuration have problems; they were printed and nothing was started.
    Problems = 1,
    /// The command line is wrong (clap ends the program itself with this code).
    Usage = 2,
    /// Another process uses the data directory.
    Locked = 3,
    /// The data directory can't be used.
    Store = 4,
    /// A pipeline could not go on, something could not be started, or `--once` could not read a file.
    Failed = 5,
    /// A run with an end (`--once`, standard input) was ended by a signal before everything was acknowledged.
    Interrupted = 7,
    /// A run with an end can't reach it: the state of a query is as large as it may be.
    StateFull = 8,
    /// The data directory was written by a newer version; nothing in it was changed.
    Newer = 9,
    /// The demo found documents missing or doubled.
    Mismatch = 6,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
