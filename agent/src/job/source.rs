//! `[source]` of a native job. Pure.

use std::path::Path;
use std::time::Duration;

use super::native::{DAY, SECOND};
use super::quantity::parse_size;
use super::reader::{Reader, Section};
use super::sls;
use crate::plan::{FilePlan, Format, LinePlan, LongLines, SourcePlan, Start};

const OWN_KEYS: &[&str] = &[
    "type",
    "paths",
    "exclude",
    "start",
    "partial_after",
    "max_line_bytes",
    "long_lines",
    "hold",
    "hold_deleted_bytes",
    "rescan",
    "watch",
];
/// With those of a Logstore.
pub(crate) const KEYS: &[&str] = &joined::<{ OWN_KEYS.len() + sls::KEYS.len() }>(OWN_KEYS, sls::KEYS);
/// Those that speak of files.
const FILE_KEYS: &[&str] = &["paths", "exclude", "hold", "hold_deleted_bytes", "rescan", "watch"];
const LINE_KEYS: &[&str] = &["partial_after", "max_line_bytes", "long_lines"];

const fn joined<const N: usize>(first: &[&'static str], second: &[&'static str]) -> [&'static str; N] {
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Stdin,
    Sls,
}

/// Its records have fields of their own.
pub(crate) fn is_structured<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> bool {
    reader.entry(section, "type").is_some_and(|entry| entry.item.as_str() == Some("sls"))
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, section: &Section<'d>, format: Format) -> Option<SourcePlan> {
    let kinds = &[("file", Kind::File), ("stdin", Kind::Stdin), ("sls", Kind::Sls)];
    let kind = if section.has("type") {
        reader.choice(section, "type", kinds)
    } else {
        reader.refuse_missing(section, "type", "type = \"file\"");
        None
    };
    if kind == Some(Kind::Sls) {
        refuse_keys(reader, section, &[FILE_KEYS, LINE_KEYS], "files and lines; a Logstore has none");
        return sls::read(reader, section).map(|plan| SourcePlan::Sls(Box::new(plan)));
    }
    if kind.is_some() {
        refuse_keys(reader, section, &[sls::KEYS], "type = \"sls\"");
    }
    let lines = read_lines(reader, section, format);
    if kind == Some(Kind::Stdin) {
        refuse_keys(reader, section, &[FILE_KEYS, &["start"]], "type = \"file\"; stdin has none");
        return Some(SourcePlan::Stdin(lines));
    }
    let default = FilePlan::default();
    let paths = read_globs(reader, section, "paths", true);
    if !section.has("paths") && kind.is_some() {
        reader.refuse_missing(section, "paths", "paths = [\"/var/log/nginx/*.log\"]");
    }
    let plan = FilePlan {
        paths: paths.unwrap_or_default(),
        exclude: read_globs(reader, section, "exclude", false).unwrap_or_default(),
        start: read_start(reader, section).unwrap_or(default.start),
        lines,
        hold: reader.duration(section, "hold", Duration::ZERO..=DAY).unwrap_or(default.hold),
        hold_deleted_bytes: reader
            .size(section, "hold_deleted_bytes", 0..=1 << 60)
            .unwrap_or(default.hold_deleted_bytes),
        rescan: reader.duration(section, "rescan", SECOND / 10..=DAY).unwrap_or(default.rescan),
        watch: reader.boolean(section, "watch").unwrap_or(default.watch),
    };
    kind.map(|_| SourcePlan::File(plan))
}

/// Refuses keys that another type of source knows.
fn refuse_keys<'d>(reader: &mut Reader<'d>, section: &Section<'d>, keys: &[&[&str]], whose: &str) {
    for key in keys.iter().copied().flatten().filter(|key| section.has(key)) {
        let message = format!("{} is for {whose}", section.called(key));
        reader.refuse(reader.key_at(section, key), section.path(key), message);
    }
}

fn read_lines<'d>(reader: &mut Reader<'d>, section: &Section<'d>, format: Format) -> LinePlan {
    let default = LinePlan::default();
    let words =
        &[("truncate", LongLines::Truncate), ("split", LongLines::Split), ("dead-letter", LongLines::DeadLetter)];
    let wait = reader.duration_or_never(section, "partial_after", SECOND / 100..=DAY, true);
    let partial_after = match (format, wait) {
        (Format::Raw, wait) => wait.unwrap_or(default.partial_after),
        (Format::Json, Some(Some(_))) => {
            let message = format!(
                "{} is for format = \"raw\": a part of a JSON line is not JSON; leave it out or write \"never\"",
                section.called("partial_after")
            );
            let at = reader.key_at(section, "partial_after");
            reader.refuse(at, section.path("partial_after"), message);
            None
        }
        (Format::Json, _) => None,
    };
    LinePlan {
        partial_after,
        max_line_bytes: reader.size(section, "max_line_bytes", 16..=16 << 20).unwrap_or(default.max_line_bytes),
        long_lines: reader.choice(section, "long_lines", words).unwrap_or(default.long_lines),
    }
}

fn read_start<'d>(reader: &mut Reader<'d>, section: &Section<'d>) -> Option<Start> {
    let text = reader.text(section, "start")?;
    let wrong = match text.value.trim() {
        "beginning" => return Some(Start::Beginning),
        "end" => return Some(Start::End),
        value => match value.strip_prefix("last ").map(parse_size) {
            Some(Ok(bytes)) => return Some(Start::Last(bytes)),
            Some(Err(advice)) => format!("; {advice}"),
            None => String::new(),
        },
    };
    let message = format!(
        "{} must be \"beginning\", \"end\" or a size like \"last 1 MiB\", found {}{wrong}",
        section.called("start"),
        text.quoted()
    );
    reader.refuse(text.at.clone(), section.path("start"), message);
    None
}

/// Globs, made absolute unless they match by the file's name alone.
fn read_globs<'d>(
    reader: &mut Reader<'d>,
    section: &Section<'d>,
    key: &str,
    always_absolute: bool,
) -> Option<Vec<String>> {
    let texts = reader.texts(section, key)?;
    let mut globs = Some(Vec::new());
    for text in texts {
        if let Err(why) = check_glob(&text.value) {
            let quoted = text.quoted();
            let message = format!("{}: {quoted} is no glob: {why}", section.called(key));
            reader.refuse(text.at.clone(), section.path(key), message);
            globs = None;
            continue;
        }
        if text.value == "~" || text.value.starts_with("~/") {
            let (called, quoted) = (section.called(key), text.quoted());
            let message = format!("{called}: {quoted} begins with ~, which only a shell knows; write ${{env:HOME}}");
            reader.refuse(text.at.clone(), section.path(key), message);
            globs = None;
            continue;
        }
        let by_name = !always_absolute && !text.value.contains('/');
        let glob = if by_name { text.value } else { absolute(reader.outside.folder, &text.value) };
        globs.iter_mut().for_each(|globs| globs.push(glob.clone()));
    }
    globs
}

/// What is wrong with a glob.
pub(crate) fn check_glob(glob: &str) -> Result<(), String> {
    globset::GlobBuilder::new(glob).literal_separator(true).build().map(drop).map_err(|e| e.kind().to_string())
}

/// As files are matched: by plain absolute paths, so without `.`, `..` and empty components.
pub(crate) fn absolute(folder: &Path, glob: &str) -> String {
    let folder = if glob.starts_with('/') { String::new() } else { globset::escape(&folder.to_string_lossy()) };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(glob.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
