//! The agent's own log: one line per thing someone must know, on stderr.
//!
//! Under systemd (which stamps lines itself) without time; coloured only on a terminal.

use std::io::IsTerminal;

use tracing::Level;

use crate::config::LogLevel;

/// Starts logging; a second call changes nothing.
pub(crate) fn to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(level);
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = if under_systemd { builder.without_time().try_init() } else { builder.try_init() };
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
}
