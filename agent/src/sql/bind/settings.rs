//! `SET`: which keys mean something here, which need nothing, and which are refused.

use std::time::Duration;

use crate::sql::plan::{Emission, Settings};
use crate::sql::script::{Setting, SqlError};

use super::did_you_mean;

/// What the settings of a script come to.
pub(super) struct Read {
    pub(super) settings: Settings,
    /// Emission before or after the watermark for all windows of GROUP BY.
    pub(super) emission: Option<Emission>,
    pub(super) materialize: Materialize,
    pub(super) notes: Vec<String>,
}

/// `table.exec.sink.upsert-materialize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Materialize {
    Auto,
    /// A PRIMARY KEY other than the query's key is the script's own risk.
    None,
}

/// Keys that are obeyed.
const OBEYED: [&str; 14] = [
    "table.exec.legacy-cast-behaviour",
    "table.local-time-zone",
    "blink.job.timeZone",
    "table.exec.state.ttl",
    "blink.state.ttl.ms",
    "table.exec.source.idle-timeout",
    "table.exec.emit.allow-lateness",
    "table.exec.emit.early-fire.enabled",
    "table.exec.emit.early-fire.delay",
    "table.exec.emit.late-fire.enabled",
    "table.exec.emit.late-fire.delay",
    "table.exec.sink.not-null-enforcer",
    "table.exec.sink.upsert-materialize",
    "execution.runtime-mode",
];

/// Keys (or beginnings of keys) that tune how Flink runs a job and never what comes out of it.
const NEEDLESS: [&str; 36] = [
    "table.exec.mini-batch.",
    "table.exec.resource.",
    "table.exec.async-",
    "table.exec.disabled-operators",
    "table.exec.shuffle-mode",
    "table.exec.spill-compression.",
    "table.exec.sink.keyed-shuffle",
    "table.exec.simplify-operator-name-enabled",
    "table.exec.uid.",
    "table.exec.deduplicate.mini-batch.",
    "table.optimizer.",
    "table.generated-code.",
    "table.plan.",
    "table.dml-sync",
    "table.display.",
    "pipeline.",
    "parallelism.",
    "execution.checkpointing.",
    "execution.savepoint.",
    "execution.buffer-timeout",
    "execution.attached",
    "execution.target",
    "execution.shutdown-on-attached-exit",
    "state.",
    "restart-strategy",
    "taskmanager.",
    "jobmanager.",
    "cluster.",
    "metrics.",
    "rest.",
    "yarn.",
    "kubernetes.",
    "sql-client.",
    "blink.miniBatch.",
    "blink.microBatch.",
    "blink.checkpoint.",
];

/// The values of the emission keys as they come in.
#[derive(Default)]
struct Fire {
    early: bool,
    early_delay: Option<Duration>,
    late: bool,
    late_delay: Option<Duration>,
}

pub(super) fn read(written: &[Setting], errors: &mut Vec<SqlError>) -> Read {
    let mut read =
        Read { settings: Settings::default(), emission: None, materialize: Materialize::Auto, notes: Vec::new() };
    let mut fire = Fire::default();
    for setting in written {
        if let Err((at_value, message)) = set(setting, &mut read, &mut fire) {
            let at = if at_value { &setting.value } else { &setting.key };
            errors.push(SqlError { place: at.place, length: at.text.chars().count() as u32 + 2, message });
        }
    }
    let before = fire.early.then(|| fire.early_delay.unwrap_or_default());
    let lateness = read.settings.allowed_lateness;
    let after = (fire.late || !lateness.is_zero()).then(|| fire.late_delay.unwrap_or_default());
    if before.is_some() || after.is_some() {
        read.emission = Some(Emission { before_watermark: before, after_watermark: after });
    }
    read
}

/// Obeys one setting; an error says whether it is about the value, and what is wrong.
fn set(setting: &Setting, read: &mut Read, fire: &mut Fire) -> Result<(), (bool, String)> {
    let (key, value) = (setting.key.text.as_str(), setting.value.text.as_str());
    let settings = &mut read.settings;
    let wrong = |message: String| (true, format!("{key}: {message}"));
    let time = || duration(value).map_err(wrong);
    match OBEYED.iter().copied().find(|known| known.eq_ignore_ascii_case(key)) {
        Some("table.exec.legacy-cast-behaviour") => {
            settings.legacy_cast = one_of(value, &["ENABLED", "DISABLED"]).map_err(wrong)? == 0;
        }
        Some("table.local-time-zone" | "blink.job.timeZone") => settings.zone = zone(value).map_err(wrong)?,
        Some("table.exec.state.ttl" | "blink.state.ttl.ms") => settings.state_ttl = time()?,
        Some("table.exec.source.idle-timeout") => settings.idle_timeout = time()?,
        Some("table.exec.emit.allow-lateness") => settings.allowed_lateness = time()?,
        Some("table.exec.emit.early-fire.enabled") => fire.early = boolean(value).map_err(wrong)?,
        Some("table.exec.emit.early-fire.delay") => fire.early_delay = Some(time()?),
        Some("table.exec.emit.late-fire.enabled") => fire.late = boolean(value).map_err(wrong)?,
        Some("table.exec.emit.late-fire.delay") => fire.late_delay = Some(time()?),
        Some("table.exec.sink.not-null-enforcer") => {
            settings.drop_nulls = one_of(value, &["ERROR", "DROP"]).map_err(wrong)? == 1;
        }
        Some("table.exec.sink.upsert-materialize") => {
            read.materialize = match one_of(value, &["AUTO", "NONE"]).map_err(wrong)? {
                0 => Materialize::Auto,
                _ => Materialize::None,
            };
        }
        Some("execution.runtime-mode") => {
            one_of(value, &["STREAMING"]).map_err(|_| {
                wrong(format!(
                    "'{value}' is not supported, a script runs as a stream; with `--once` it ends with its input"
                ))
            })?;
        }
        _ if NEEDLESS.iter().any(|needless| begins(key, needless)) => {
            read.notes.push(format!("SET '{key}': not needed here"));
        }
        _ => {
            let known = OBEYED.into_iter().chain(NEEDLESS.into_iter().filter(|known| !known.ends_with('.')));
            return Err((false, format!("unknown setting '{key}'{}", did_you_mean(key, known))));
        }
    }
    Ok(())
}

fn begins(key: &str, with: &str) -> bool {
    key.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
}

fn one_of(value: &str, known: &[&str]) -> Result<usize, String> {
    let found = known.iter().position(|known| known.eq_ignore_ascii_case(value.trim()));
    found.ok_or_else(|| format!("'{value}' is not one of {}", known.join(", ")))
}

fn boolean(value: &str) -> Result<bool, String> {
    Ok(one_of(value, &["true", "false"])? == 0)
}

fn zone(value: &str) -> Result<jiff::tz::TimeZone, String> {
    let offset = value.strip_prefix("GMT").or_else(|| value.strip_prefix("UTC")).unwrap_or(value);
    if let Some((sign, rest)) = offset.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-")) {
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
        let seconds = hours.parse::<i32>().ok().zip(minutes.parse::<i32>().ok());
        let seconds = seconds.filter(|(h, m)| (0..=18).contains(h) && (0..60).contains(m));
        let seconds = seconds.map(|(h, m)| (h * 3600 + m * 60) * if sign == "-" { -1 } else { 1 });
        if let Some(offset) = seconds.and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok()) {
            return Ok(jiff::tz::TimeZone::fixed(offset));
        }
    }
    if value.eq_ignore_ascii_case("UTC") || value.eq_ignore_ascii_case("default") {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    jiff::tz::TimeZone::get(value)
        .map_err(|_| format!("'{value}' is no time zone, expected one such as 'Asia/Shanghai', 'UTC' or 'GMT+08:00'"))
}

/// Flink's durations: `1 h`, `90 min`, `500ms`; a bare number counts milliseconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let micros = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000,
        "d" | "day" | "days" => 86_400_000_000,
        "h" | "hour" | "hours" => 3_600_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000,
        "us" | "micro" | "micros" | "microsecond" | "microseconds" | "µs" => 1,
        _ => 0,
    };
    let value = number.parse::<u64>().ok().filter(|_| micros > 0).and_then(|number| number.checked_mul(micros));
    value
        .filter(|micros| *micros < i64::MAX as u64)
        .map(Duration::from_micros)
        .ok_or_else(|| format!("'{text}' is no duration, expected one such as '1 h', '90 s' or '500 ms'"))
}
