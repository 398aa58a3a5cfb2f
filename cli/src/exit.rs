//! Every way to end, with its number.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is as it was asked for.
    Done = 0,
    /// The agent said no, or the answer could not be understood.
    Failed = 1,
    // 2 is clap's: the command line makes no sense.
    /// No agent was reached.
    Unreachable = 3,
    /// `flush` waited, and something is still owed.
    StillOwed = 4,
    /// The question before something irreversible was not answered with yes.
    NotConfirmed = 5,
    /// `test-connection` found something in the way.
    NotConnectable = 6,
    /// `doctor` found something bad.
    Unwell = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
