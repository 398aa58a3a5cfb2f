//! `splashdam try JOB`: prints the bulk items that a job would send. Nothing is sent and no position is kept.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use splashdam_api::words::plural;

use super::Exit;
use super::run::{complain, failed, one_job};
use super::try_query;
use crate::config::LogLevel;
use crate::encode::Scratch;
use crate::job::Vars;
use crate::log;
use crate::metrics::PipelineMetrics;
use crate::pipeline::{Codec, Rendered, Untimed, host_name};
use crate::plan::{JobPlan, SourcePlan};
use crate::record::{Member, Timestamp, gzip};
use crate::source::file::matches;
use crate::source::{Reader, Source};

/// Stands in ids where a real run has its agent's id.
pub(super) const AGENT: &str = "AGENT";
const LOOK_BYTES: usize = 256 << 10;

pub(super) fn try_job(path: &Path, limit: u64, vars: &Vars) -> Exit {
    log::to_stderr(LogLevel::Warn);
    let plan = match one_job(path, vars) {
        Ok(JobPlan::Ship(plan)) => plan,
        Ok(JobPlan::Query(plan)) => return try_query::try_script(&plan, limit),
        Err(exit) => return exit,
    };
    let metrics = PipelineMetrics::default();
    let codec = Codec::new(&plan, AGENT, &host_name(), metrics.clone());
    let reader = Reader { agent: AGENT, job: &plan.id };
    let mut source = match Source::open(&plan.source.unshared(), Vec::new(), true, reader, metrics) {
        Ok(source) => source,
        Err(error) => return failed(&error),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut scratch = Scratch::default();
    let mut left = limit;
    while left > 0 {
        let step = match source.poll(LOOK_BYTES, Instant::now()) {
            Ok(step) => step,
            Err(error) => return failed(&error),
        };
        for refused in &step.refused {
            complain(format!("would be a dead letter ({}): {}", refused.kind, refused.reason));
        }
        let idle = step.chunks.is_empty();
        let Rendered { members, untimed } = match codec.encode(&step.chunks, Timestamp::now(), &mut scratch) {
            Ok(rendered) => rendered,
            Err(error) => return failed(&error),
        };
        if let Some(Untimed { records, example, instead }) = untimed {
            let found = example.found.as_deref().unwrap_or("nothing");
            let (field, expected) = (&example.field, &example.expected);
            let records = plural(records, "record");
            complain(format!(
                "{records} without a readable time, would get {instead}: {field} has {found}, expected {expected}"
            ));
        }
        for member in &members {
            match print(member, &mut left, &mut out) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Exit::Ok,
                Err(error) => return failed(&error),
            }
        }
        if idle && source.finished() {
            break;
        }
        if let Some(why) = source.parked() {
            return failed(&why);
        }
        if idle {
            source.wait(source.next_look(Instant::now()));
        }
    }
    if let Err(error) = out.flush() {
        return failed(&error);
    }
    if left == limit {
        let nothing = match &plan.source {
            SourcePlan::File(_) => "no file of this job has a line",
            SourcePlan::Stdin(_) => "standard input has no line",
            SourcePlan::Sls(_) => "the Logstore has no log",
        };
        complain(format!("there is nothing to send: {nothing}"));
        if let SourcePlan::File(files) = &plan.source {
            files.paths.iter().filter_map(|path| matches::why_nothing(path, &files.exclude)).for_each(complain);
        }
    }
    Exit::Ok
}

/// Prints up to `left` items: the action with its index, then the document.
fn print(member: &Member, left: &mut u64, out: &mut impl Write) -> std::io::Result<()> {
    let raw = gzip::decompress(&member.gzip, u64::from(member.raw_len))?;
    let mut rest = raw.as_slice();
    while *left > 0 && !rest.is_empty() {
        let lines: usize = rest.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum();
        let (item, behind) = rest.split_at(lines);
        print_item(&member.index, item, out)?;
        rest = behind;
        *left -= 1;
    }
    Ok(())
}

/// Prints one item: the action with its index, and the document if it has one.
pub(super) fn print_item(index: &str, lines: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    let mut lines = lines.splitn(2, |byte| *byte == b'\n');
    let mut action: serde_json::Value = serde_json::from_slice(lines.next().unwrap_or_default())?;
    if let Some(metadata) = action.as_object_mut().and_then(|verbs| verbs.values_mut().next()?.as_object_mut()) {
        metadata.insert("_index".to_owned(), index.into());
    }
    writeln!(out, "{action}")?;
    out.write_all(lines.next().unwrap_or_default())
}
