//! The agent's own log: one line per thing someone must know, on stderr.
//!
//! Under systemd (which stamps lines itself) without time; coloured only on a terminal.

use std::io::IsTerminal;

use tracing::Level;

/// Starts logging; a second call changes nothing. `level`: `info` if `None`.
pub(crate) fn to_stderr(level: Option<Level>) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(level.unwrap_or(Level::INFO));
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = if under_systemd { builder.without_time().try_init() } else { builder.try_init() };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
}
