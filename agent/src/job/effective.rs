//! What holds where a native job's file says nothing: the plan's values, in the words of the file. Pure.
//!
//! Only keys whose value can't come from anywhere but the file or a default; none of a connection, so that nothing is
//! shown here that may be secret.

use std::time::Duration;

use serde_json::Value;

use super::quantity::{parse_size, show_duration, show_size};
use crate::plan::{
    BufferPlan, BulkPlan, FilePlan, Format, IndexPlan, LinePlan, LongLines, Plan, SlsCheckpoint, SlsPlan, SourcePlan,
    Start, WhenFull,
};

/// Dotted keys with their values.
pub(crate) fn effective(plan: &Plan) -> Vec<(&'static str, Value)> {
    let mut settings = vec![("id", Value::from(plan.id.as_str()))];
    match &plan.source {
        SourcePlan::File(files) => of_files(files, &mut settings),
        SourcePlan::Stdin(lines) => of_lines(lines, &mut settings),
        SourcePlan::Sls(logs) => of_logs(logs, &mut settings),
    }
    if !matches!(plan.source, SourcePlan::Sls(_)) {
        settings.push(("decode.format", word(if plan.decode.format == Format::Json { "json" } else { "raw" })));
    }
    if let IndexPlan::Template { fallback, .. } = &plan.sink.index {
        settings.push(("sink.fallback_index", Value::from(fallback.as_str())));
    }
    settings.push(("sink.park_for", or_never(plan.sink.park_for)));
    settings.push(("sink.data_stream", Value::from(plan.sink.bootstrap.data_stream)));
    if plan.sink.endpoints.iter().any(|url| url.starts_with("https")) {
        settings.push(("sink.tls.verify", Value::from(!plan.sink.tls.insecure)));
    }
    of_bulk(&plan.sink.bulk, &mut settings);
    settings.extend(of_buffer(&plan.buffer));
    settings
}

/// The same of any job's buffer.
pub(crate) fn of_buffer(buffer: &BufferPlan) -> [(&'static str, Value); 3] {
    let when_full = match buffer.when_full {
        WhenFull::Block => "block",
        WhenFull::DropOldest => "drop_oldest",
        WhenFull::DropNewest => "drop_newest",
    };
    [
        ("buffer.max_bytes", size(buffer.max_bytes)),
        ("buffer.when_full", word(when_full)),
        ("buffer.dead_letters_max_bytes", size(buffer.dead_letters_max_bytes)),
    ]
}

/// A size as files have it.
pub(crate) fn size(bytes: u64) -> Value {
    Value::from(show_size(bytes))
}

/// The bytes that a size in a file stands for.
pub(crate) fn size_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| parse_size(value.as_str()?).ok())
}

fn of_files(plan: &FilePlan, into: &mut Vec<(&'static str, Value)>) {
    let start = match plan.start {
        Start::Beginning => word("beginning"),
        Start::End => word("end"),
        Start::Last(bytes) => Value::from(format!("last {}", show_size(bytes))),
    };
    into.push(("source.start", start));
    of_lines(&plan.lines, into);
    into.push(("source.hold", duration(plan.hold)));
    into.push(("source.hold_deleted_bytes", size(plan.hold_deleted_bytes)));
    into.push(("source.rescan", duration(plan.rescan)));
    into.push(("source.watch", Value::from(plan.watch)));
}

fn of_lines(plan: &LinePlan, into: &mut Vec<(&'static str, Value)>) {
    let long_lines = match plan.long_lines {
        LongLines::Truncate => "truncate",
        LongLines::Split => "split",
        LongLines::DeadLetter => "dead-letter",
    };
    into.push(("source.partial_after", or_never(plan.partial_after)));
    into.push(("source.max_line_bytes", size(plan.max_line_bytes)));
    into.push(("source.long_lines", word(long_lines)));
}

fn of_logs(plan: &SlsPlan, into: &mut Vec<(&'static str, Value)>) {
    into.push(("source.batch", Value::from(plan.batch)));
    into.push(("source.discover", or_never(plan.discover)));
    into.push(("source.timeout", duration(plan.reach.timeout)));
    into.push(("source.cname", Value::from(plan.reach.own_name)));
    if let Some(group) = &plan.group {
        let durable = group.checkpoint == SlsCheckpoint::Durable;
        into.push(("source.heartbeat", duration(group.heartbeat)));
        into.push(("source.checkpoint", word(if durable { "durable" } else { "acknowledged" })));
    }
}

fn of_bulk(plan: &BulkPlan, into: &mut Vec<(&'static str, Value)>) {
    into.push(("sink.bulk.max_bytes", size(plan.max_bytes)));
    into.push(("sink.bulk.linger", duration(plan.linger)));
    into.push(("sink.bulk.compression", Value::from(plan.compression)));
    into.push(("sink.bulk.max_in_flight", Value::from(plan.max_in_flight)));
    into.push(("sink.bulk.timeout", duration(plan.timeout)));
}

fn word(text: &str) -> Value {
    Value::from(text)
}

fn duration(length: Duration) -> Value {
    Value::from(show_duration(length))
}

fn or_never(length: Option<Duration>) -> Value {
    length.map_or_else(|| word("never"), duration)
}
