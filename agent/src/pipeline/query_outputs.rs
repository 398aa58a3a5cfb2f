//! What a query's changes become: members of a commit, documents that an upsert stream owes, lines to print.
//!
//! Promises: rows of an append stream are stored with the commit; of an upsert stream only the newest row of a key is
//! owed, in memory, since the state can make it again. Does not decide when.

use std::io::{self, Write};
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::query_late::LateOutputs;
use super::upserts::Document;
use crate::encode::{RowEncoder, Scratch, UnencodedRow};
use crate::plan::{QueryPlan, RowIndex, SinkPlan, SinkTarget};
use crate::query::LateRows;
use crate::record::{ChangeKind, Changes, DeadLetter, Member, RefusedRow, Timestamp};
use crate::sql::plan::{Changelog, NodeKind, Query};
use crate::store::Lane;

/// Stands between a sink's name and an index; no index has it in its name.
pub(super) const SINK_MARK: char = '#';

/// The sinks that a job delivers to, as its lanes name them: `SINK#INDEX` of a script, the index alone else.
#[derive(Clone, Debug, Default)]
pub(super) struct Sinks {
    /// `None`: not a script.
    names: Option<Vec<String>>,
    /// The only one there is needs not be named.
    alone: bool,
}

impl Sinks {
    pub(super) fn of(plan: &QueryPlan) -> Sinks {
        let delivering = plan.sinks.iter().filter(|sink| matches!(sink.target, SinkTarget::Elasticsearch(_)));
        Sinks { names: Some(delivering.map(|sink| sink.name.clone()).collect()), alone: plan.sinks.len() == 1 }
    }

    /// There is a sink of this name.
    pub(super) fn has(&self, sink: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|name| name == sink))
    }

    /// The sink of a lane, if it is none that there is.
    pub(super) fn gone(&self, lane: &str) -> Option<String> {
        let names = self.names.as_ref()?;
        let sink = lane.split_once(SINK_MARK).map_or("", |(sink, _)| sink);
        (!names.iter().any(|name| name == sink)).then(|| sink.to_owned())
    }

    /// Something is owed to a sink that there is.
    pub(super) fn any_owed(&self, lanes: &[Lane]) -> bool {
        lanes.iter().any(|lane| self.gone(&lane.index).is_none())
    }

    /// A lane as it is shown.
    pub(super) fn shown<'l>(&self, lane: &'l str) -> &'l str {
        match lane.split_once(SINK_MARK) {
            Some((_, index)) if self.alone && self.gone(lane).is_none() => index,
            _ => lane,
        }
    }
}

/// All outputs of a script, shared by the workers and the commit.
pub(super) struct Outputs {
    outputs: Vec<Output>,
    late: LateOutputs,
    job: String,
}

struct Output {
    target: Target,
    /// Before the names of its lanes.
    prefix: String,
    encoder: RowEncoder,
    /// An upsert stream: only the newest row of a key is owed.
    newest: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Elasticsearch,
    Print,
    Blackhole,
}

/// Changes made ready for a commit.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) members: Vec<Member>,
    pub(super) documents: Vec<Document>,
    pub(super) dead: Vec<DeadLetter>,
    /// What is written to standard output when the commit is durable.
    pub(super) printed: Vec<u8>,
    pub(super) rows: u64,
    /// Rows whose newest documents there was no room for.
    pub(super) left: u64,
    /// What `documents` take in memory.
    pub(super) bytes: u64,
}

impl Ready {
    /// What comes later goes behind.
    pub(super) fn add(&mut self, mut other: Ready) {
        self.members.append(&mut other.members);
        self.documents.append(&mut other.documents);
        self.dead.append(&mut other.dead);
        self.printed.append(&mut other.printed);
        self.rows += other.rows;
        self.left += other.left;
        self.bytes += other.bytes;
    }
}

impl Outputs {
    pub(super) fn new(plan: &QueryPlan, agent: &str) -> Outputs {
        let mut outputs = Vec::new();
        let mut named = Named::default();
        for output in &plan.query.outputs {
            let Some(sink) = plan.sinks.iter().find(|sink| sink.table == output.table) else { continue };
            let name = named.of(sink, &output.name);
            let changes = plan.query.nodes.get(output.input).map(|node| &node.changes);
            outputs.push(Output {
                target: match &sink.target {
                    SinkTarget::Elasticsearch(_) => Target::Elasticsearch,
                    SinkTarget::Print => Target::Print,
                    SinkTarget::Blackhole => Target::Blackhole,
                },
                prefix: lane_prefix(&sink.name),
                encoder: RowEncoder::new(&plan.id, agent, name.as_deref(), &sink.rows),
                newest: matches!(changes, Some(Changelog::Upsert(_))) && !is_windowed(&plan.query, output.input),
            });
        }
        Outputs { outputs, late: LateOutputs::new(plan, agent), job: plan.id.clone() }
    }

    /// Makes changes ready. Their versions are `version` and as many after it as there are rows. `room`: the bytes that
    /// newest documents may take.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(super) fn encode(
        &self,
        changes: &[Changes],
        version: u64,
        now: Timestamp,
        room: u64,
        scratch: &mut Scratch,
    ) -> io::Result<Ready> {
        let mut ready = Ready::default();
        let mut from = version;
        for (number, output) in self.outputs.iter().enumerate() {
            let ours = changes.iter().filter(|changes| changes.output == number);
            match output.target {
                Target::Elasticsearch if output.newest => {
                    for changes in ours {
                        self.documents(output, changes, (from, room), now, &mut ready);
                        from += changes.batch.rows as u64;
                    }
                }
                Target::Elasticsearch => {
                    let mut rows = output.encoder.begin(scratch);
                    for changes in ours {
                        rows.changes(changes, from, now)?;
                        from += changes.batch.rows as u64;
                        ready.rows += changes.batch.rows as u64;
                    }
                    let encoded = rows.finish()?;
                    ready.members.extend(encoded.members.into_iter().map(|member| output.marked(member)));
                    let dead = encoded.refused.into_iter();
                    let letter = |row: UnencodedRow| dead_letter(output.fallback(), row.reason, row.document, now);
                    ready.dead.extend(dead.map(letter));
                }
                Target::Print => ours.for_each(|changes| output.print(changes, &mut ready)),
                Target::Blackhole => ready.rows += ours.map(|changes| changes.batch.rows as u64).sum::<u64>(),
            }
        }
        Ok(ready)
    }

    fn documents(&self, output: &Output, changes: &Changes, of: (u64, u64), now: Timestamp, ready: &mut Ready) {
        let (version, room) = of;
        // All rows of most outputs go to one index.
        let mut lane: Option<(Arc<str>, Arc<str>)> = None;
        for row in 0..changes.batch.rows {
            if ready.bytes > room {
                ready.left += (changes.batch.rows - row) as u64;
                return;
            }
            ready.rows += 1;
            match output.encoder.item(changes, row, version + row as u64, now, &mut 0) {
                Ok(item) => {
                    let mut lines = item.action;
                    let document = item.document.as_deref();
                    lines.reserve_exact(1 + document.map_or(0, |document| document.len() + 1));
                    lines.push(b'\n');
                    if let Some(document) = document {
                        lines.extend_from_slice(document);
                        lines.push(b'\n');
                    }
                    let index = match &lane {
                        Some((index, lane)) if **index == *item.index => lane.clone(),
                        _ => {
                            let name: Arc<str> = format!("{}{}", output.prefix, item.index).into();
                            lane = Some((item.index, name.clone()));
                            name
                        }
                    };
                    let document = Document { index, id: item.id, item: lines.into() };
                    ready.bytes += document.bytes();
                    ready.documents.push(document);
                }
                Err(reason) => {
                    let document = output.encoder.shown(changes, row);
                    ready.dead.push(dead_letter(output.fallback(), reason, document, now));
                }
            }
        }
    }

    /// Makes late rows ready for the commit that counts them.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(super) fn encode_late(&self, late: Vec<LateRows>, now: Timestamp, scratch: &mut Scratch) -> io::Result<Ready> {
        let (members, refused) = self.late.encode(late, now, scratch)?;
        let rows = members.iter().map(|member| u64::from(member.items)).sum();
        let dead = refused.into_iter().map(|row| dead_letter(row.index, row.reason, row.document, now)).collect();
        Ok(Ready { members, dead, rows, ..Ready::default() })
    }

    /// A row that the query could not compute.
    pub(super) fn refused(&self, row: &RefusedRow, now: Timestamp) -> DeadLetter {
        let document = match row.at {
            Some((source, offset)) => format!("{{\"log.source\":{},\"log.offset\":{offset}}}", source.0),
            None => "{}".to_owned(),
        };
        DeadLetter {
            index: self.job.clone(),
            id: match row.at {
                Some((source, offset)) => format!("{}.{offset}.{:x}", source.0, xxh3_64(row.reason.as_bytes())),
                None => format!("{}.{:x}", now.0, xxh3_64(row.reason.as_bytes())),
            },
            kind: "query_error".to_owned(),
            reason: row.reason.clone(),
            status: 0,
            action: Vec::new(),
            document: document.into_bytes(),
            at_ms: now.0,
        }
    }
}

/// A row that can't be a document of a lane.
fn dead_letter(lane: String, reason: String, document: Vec<u8>, now: Timestamp) -> DeadLetter {
    DeadLetter {
        index: lane,
        // The same for the same row, so that one that is read again is no second letter.
        id: format!("row.{:032x}", xxh3_128(&[reason.as_bytes(), &document].concat())),
        kind: "row_refused".to_owned(),
        reason,
        status: 0,
        action: Vec::new(),
        document,
        at_ms: now.0,
    }
}

/// What tells the ids of outputs apart that may write to one index, so that an INSERT more changes no id of those before.
#[derive(Default)]
struct Named<'p> {
    known: Vec<(&'p RowIndex, Option<String>)>,
}

impl<'p> Named<'p> {
    /// Nothing for the first one that writes to an index, the table's name for another, with a number if it has that, too.
    fn of(&mut self, sink: &'p SinkPlan, table: &str) -> Option<String> {
        if !matches!(sink.target, SinkTarget::Elasticsearch(_)) {
            return None;
        }
        let index = &sink.rows.index;
        let beside: Vec<&Option<String>> =
            self.known.iter().filter(|(known, _)| may_meet(known, index)).map(|(_, name)| name).collect();
        let names = std::iter::once(table.to_owned()).chain((2..).map(|n| format!("{table}:{n}")));
        let name = names.map(Some).find(|name| !beside.contains(&name)).filter(|_| !beside.is_empty()).flatten();
        self.known.push((index, name.clone()));
        name
    }
}

/// Two outputs may have rows for one index.
fn may_meet(one: &RowIndex, other: &RowIndex) -> bool {
    let begins = |template: &RowIndex, name: &str| match template {
        RowIndex::Literal(index) => index == name,
        RowIndex::Template { prefix, fallback, .. } => name.starts_with(prefix.as_str()) || fallback == name,
    };
    match (one, other) {
        (RowIndex::Literal(name), template) | (template, RowIndex::Literal(name)) => begins(template, name),
        (
            RowIndex::Template { prefix: a, fallback: one, .. },
            RowIndex::Template { prefix: b, fallback: other, .. },
        ) => a.starts_with(b.as_str()) || b.starts_with(a.as_str()) || one == other,
    }
}

/// A node's rows are those of windows: once they are emitted the state can't make them again.
fn is_windowed(query: &Query, node: usize) -> bool {
    match query.nodes.get(node).map(|node| &node.kind) {
        Some(NodeKind::Project { input, .. } | NodeKind::Filter { input, .. }) => is_windowed(query, *input),
        Some(NodeKind::Aggregate(aggregate)) => aggregate.window.is_some(),
        Some(NodeKind::First(first)) => first.window.is_some(),
        _ => false,
    }
}

/// What the names of a sink's lanes begin with, however many sinks there are: another may come.
pub(super) fn lane_prefix(sink: &str) -> String {
    format!("{sink}{SINK_MARK}")
}

impl Output {
    /// The lane of rows that have no index of their own.
    fn fallback(&self) -> String {
        format!("{}{}", self.prefix, self.encoder.fallback())
    }

    fn marked(&self, member: Member) -> Member {
        Member { index: format!("{}{}", self.prefix, member.index).into(), ..member }
    }

    /// One line a row: `+I`, `+U` or `-D` and the document.
    fn print(&self, changes: &Changes, ready: &mut Ready) {
        for row in 0..changes.batch.rows {
            let sign = match changes.kinds.of(row) {
                ChangeKind::Insert => "+I",
                ChangeKind::Upsert => "+U",
                ChangeKind::Delete => "-D",
            };
            let document = self.encoder.shown(changes, row);
            ready.rows += 1;
            ready.printed.extend_from_slice(sign.as_bytes());
            ready.printed.push(b' ');
            ready.printed.extend_from_slice(&document);
            ready.printed.push(b'\n');
        }
    }
}

/// Writes what is to be printed; nobody is told if standard output is gone.
pub(super) fn print(lines: &[u8]) {
    if !lines.is_empty() {
        let mut out = io::stdout().lock();
        drop(out.write_all(lines).and_then(|()| out.flush()));
    }
}
