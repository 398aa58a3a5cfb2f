//! Source tables: files and stdin. The settings of a native `[source]` are options with `source.` before them.

use std::time::Duration;

use super::super::native::{DAY, SECOND};
use super::super::nearest::nearest;
use super::super::quantity::parse_size;
use super::super::source::{absolute, check_glob};
use super::format;
use super::options::Options;
use super::sls;
use crate::plan::{FilePlan, LinePlan, LongLines, SourcePlan, Start, TableFormat, TablePlan};
use crate::record::Type;
use crate::sql::script::{ColumnKind, Name};

pub(super) const KEYS: &[&str] = &[
    "path",
    "source.exclude",
    "source.start",
    "source.hold",
    "source.hold_deleted_bytes",
    "source.rescan",
    "source.watch",
    "source.monitor-interval",
];
pub(super) const STDIN_KEYS: &[&str] =
    &["source.partial_after", "source.max_line_bytes", "source.long_lines", "source.host"];
const REFUSED: &[(&str, &str)] = &[
    ("source.path.regex-pattern", "name the files by a glob in path, as in '/var/log/*.log'"),
    ("source.report-statistics", "there is no optimizer that would use it"),
    ("scan.parallelism", "files are read in parallel as far as it helps"),
    ("partition.default-name", "partitions of folders are not read"),
    ("partition.time-extractor.kind", "partitions of folders are not read"),
    ("compression.type", "gzip files are recognised by their content"),
];

/// The table without the columns that are read: those are the query's.
/// `zone`: the job's.
pub(super) fn read(mut options: Options<'_, '_>, zone: &jiff::tz::TimeZone) -> Option<TablePlan> {
    let (kind, name) = options.kind()?;
    if kind == "sls" {
        return sls::read(&mut options, zone);
    }
    let is_file = match kind.as_str() {
        "filesystem" | "file" => true,
        "stdin" => false,
        _ => {
            refuse_kind(&mut options, &kind, &name);
            return None;
        }
    };
    let known: &[&[&'static str]] =
        if is_file { &[KEYS, STDIN_KEYS, format::KEYS] } else { &[STDIN_KEYS, format::KEYS] };
    let refused: Vec<(&str, &str)> = REFUSED.iter().chain(format::REFUSED).copied().collect();
    options.check_keys(known, &refused);
    check_columns(&mut options);
    let format = format::read(&mut options);
    let lines = read_lines(&mut options, format.as_ref());
    let source =
        if is_file { read_files(&mut options, lines).map(SourcePlan::File) } else { Some(SourcePlan::Stdin(lines)) };
    let host = options.text("source.host").map(|(host, _)| host);
    let physical = options.table.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Physical(_))).count();
    let name = options.table.name.text.clone();
    Some(TablePlan { name, source: source?, format: format?, columns: Vec::new(), physical, host })
}

fn refuse_kind(options: &mut Options<'_, '_>, kind: &str, value: &Name) {
    let table = &options.table.name.text;
    let message = match kind {
        _ if kind.contains("kafka") => {
            "Kafka can't be read in this version; read files with 'connector' = 'filesystem'".to_owned()
        }
        "print" | "blackhole" => format!("{kind} can only be written to, and no INSERT INTO {table} does"),
        _ if kind.starts_with("elasticsearch") => {
            format!(
                "Elasticsearch can only be written to, and no INSERT INTO {table} does: write one, or take its CREATE TABLE out, too"
            )
        }
        _ => {
            let meant = nearest(
                kind,
                ["filesystem", "file", "stdin", "sls", "elasticsearch-7", "elasticsearch", "print", "blackhole"],
            );
            let meant = meant.map_or_else(
                || "the sources are filesystem, stdin and sls".to_owned(),
                |m| format!("did you mean {m}?"),
            );
            format!("this version knows no source of this kind; {meant}")
        }
    };
    options.report.at(value, "connector", message);
}

fn check_columns(options: &mut Options<'_, '_>) {
    let table = options.table;
    for column in &table.columns {
        let ColumnKind::Metadata { ty, key, .. } = &column.kind else { continue };
        let (fits, wanted) = match key.as_str() {
            "path" | "host" => (matches!(ty, Type::Varchar(_)), "STRING"),
            "offset" => (*ty == Type::BigInt, "BIGINT"),
            "timestamp" => (matches!(ty, Type::TimestampLtz(_) | Type::Timestamp(_)), "TIMESTAMP_LTZ(3)"),
            // The binder says which there are.
            _ => continue,
        };
        if !fits {
            options.report.at(&column.name, "", format!("the metadata {key} is {wanted}, not {ty}"));
        }
    }
    if let Some(partition) = table.partitioned_by.first() {
        let message =
            "PARTITIONED BY is not in this version; the path is a METADATA column, from which partitions can be taken";
        options.report.at(partition, "", message.to_owned());
    }
}

fn read_lines(options: &mut Options<'_, '_>, format: Option<&TableFormat>) -> LinePlan {
    let default = LinePlan::default();
    let words =
        &[("truncate", LongLines::Truncate), ("split", LongLines::Split), ("dead-letter", LongLines::DeadLetter)];
    let wait = options.duration_or_never("source.partial_after", SECOND / 100..=DAY, true);
    let raw = matches!(format, Some(TableFormat::Raw));
    if !raw && format.is_some() && matches!(wait, Some(Some(_))) {
        let message =
            "source.partial_after is for 'format' = 'raw': a part of a record is none; take it out or write 'never'";
        options.refuse_value("source.partial_after", message.to_owned());
    }
    LinePlan {
        partial_after: if raw { wait.unwrap_or(default.partial_after) } else { None },
        max_line_bytes: options.size("source.max_line_bytes", 16..=16 << 20).unwrap_or(default.max_line_bytes),
        long_lines: options.choice("source.long_lines", words).unwrap_or(default.long_lines),
    }
}

fn read_files(options: &mut Options<'_, '_>, lines: LinePlan) -> Option<FilePlan> {
    let default = FilePlan::default();
    let path = read_path(options);
    let mut exclude = Vec::new();
    if let Some((globs, name)) = options.list("source.exclude") {
        for glob in globs {
            if is_glob(options, "source.exclude", &glob, &name) {
                exclude.push(by_name(options, glob));
            }
        }
    }
    let start = read_start(options).unwrap_or(default.start);
    let hold = options.duration("source.hold", Duration::ZERO..=DAY).unwrap_or(default.hold);
    let monitor = options.duration("source.monitor-interval", SECOND / 10..=DAY);
    if monitor.is_some() && options.has("source.rescan") {
        let message = "source.monitor-interval and source.rescan are the same; keep one";
        options.refuse_value("source.rescan", message.to_owned());
    }
    let rescan = options.duration("source.rescan", SECOND / 10..=DAY).or(monitor).unwrap_or(default.rescan);
    Some(FilePlan {
        hold_deleted_bytes: options
            .size("source.hold_deleted_bytes", 0..=1 << 60)
            .unwrap_or(default.hold_deleted_bytes),
        watch: options.boolean("source.watch").unwrap_or(default.watch),
        paths: vec![path?],
        exclude,
        start,
        lines,
        hold,
        rescan,
    })
}

fn by_name(options: &Options<'_, '_>, glob: String) -> String {
    if glob.contains('/') { absolute(options.report.outside.folder, &glob) } else { glob }
}

/// The glob of `path`: a folder stands for all files in it.
fn read_path(options: &mut Options<'_, '_>) -> Option<String> {
    if !options.has("path") {
        options.missing("path", "'path' = '/var/log/nginx/*.log'");
        return None;
    }
    let (text, name) = options.text("path")?;
    let path = match text.split_once("://") {
        Some(("file", path)) => path.to_owned(),
        Some((scheme, _)) => {
            let message = format!("path: files of {scheme} can't be read in this version, only those of this machine");
            options.report.at(&name, "path", message);
            return None;
        }
        None => text,
    };
    let path = if path.ends_with('/') { format!("{path}**/*") } else { path };
    is_glob(options, "path", &path, &name).then(|| absolute(options.report.outside.folder, &path))
}

fn is_glob(options: &mut Options<'_, '_>, key: &str, glob: &str, name: &Name) -> bool {
    match check_glob(glob) {
        Ok(()) => true,
        Err(why) => {
            options.report.at(name, key, format!("{key} is no glob: {why}"));
            false
        }
    }
}

fn read_start(options: &mut Options<'_, '_>) -> Option<Start> {
    let (text, name) = options.text("source.start")?;
    match text.trim() {
        "beginning" => return Some(Start::Beginning),
        "end" => return Some(Start::End),
        value => {
            if let Some(Ok(bytes)) = value.strip_prefix("last ").map(parse_size) {
                return Some(Start::Last(bytes));
            }
        }
    }
    let message = "source.start must be beginning, end or a size like last 1 MiB".to_owned();
    options.report.at(&name, "source.start", message);
    None
}
