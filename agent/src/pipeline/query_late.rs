//! Rows that came too late for all their windows, for the side index of the sink that their results would have gone to.
//!
//! Promises: they are members of the commit that counts them, in lanes of that sink, so that a late row becomes just one
//! document; its `_id` is `JOB.AGENT.late%3AOPERATOR.` and where the row came from, the same at every reading.

use std::io;

use super::query_outputs::lane_prefix;
use crate::encode::{EncodedRows, RowEncoder, Scratch};
use crate::plan::{QueryPlan, RowIndex, RowsPlan, SinkPlan, UpdateMode, late_columns};
use crate::query::LateRows;
use crate::record::{ChangeKind, Changes, Identity, Kinds, Member, Timestamp};
use crate::sql::plan::Scan;

/// All side indices of a script.
#[derive(Default)]
pub(super) struct LateOutputs {
    outputs: Vec<LateOutput>,
}

/// Late rows of one scan, for one operator and one sink.
struct LateOutput {
    table: usize,
    node: usize,
    scan: usize,
    prefix: String,
    encoder: RowEncoder,
}

/// A row that can be no document, and whose it was.
pub(super) struct Refused {
    pub(super) index: String,
    pub(super) reason: String,
    pub(super) document: Vec<u8>,
}

impl LateOutputs {
    pub(super) fn new(plan: &QueryPlan, agent: &str) -> LateOutputs {
        let mut outputs = Vec::new();
        for (sink, index) in plan.sinks.iter().filter_map(|sink| Some((sink, sink.late.as_ref()?))) {
            let windowed = plan.query.nodes.iter().enumerate().filter(|(_, node)| node.kind.window().is_some());
            for (node, _) in windowed {
                for (scan, columns) in plan.query.scans.iter().enumerate() {
                    let rows = rows_plan(sink, index, columns);
                    outputs.push(LateOutput {
                        table: sink.table,
                        node,
                        scan,
                        prefix: lane_prefix(&sink.name),
                        encoder: RowEncoder::new(&plan.id, agent, Some(&format!("late:{node}")), &rows),
                    });
                }
            }
        }
        LateOutputs { outputs }
    }

    /// Members of late rows, and those that can't be documents.
    ///
    /// # Errors
    /// Only what compressing into memory can fail with.
    pub(super) fn encode(
        &self,
        late: Vec<LateRows>,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> io::Result<(Vec<Member>, Vec<Refused>)> {
        let (mut members, mut refused) = (Vec::new(), Vec::new());
        for LateRows { node, scan, to, batch } in late {
            let changes =
                Changes { output: 0, batch, kinds: Kinds::All(ChangeKind::Insert), identity: Identity::Origin };
            let of = |output: &&LateOutput| output.node == node && output.scan == scan && to.contains(&output.table);
            for LateOutput { prefix, encoder, .. } in self.outputs.iter().filter(of) {
                let mut rows = encoder.begin(scratch);
                rows.changes(&changes, 0, now)?;
                let EncodedRows { members: encoded, refused: unencoded, .. } = rows.finish()?;
                let marked = |member: Member| Member { index: format!("{prefix}{}", member.index).into(), ..member };
                members.extend(encoded.into_iter().map(marked));
                let index = || format!("{prefix}{}", encoder.fallback());
                let dead = unencoded.into_iter();
                refused.extend(dead.map(|row| Refused { index: index(), reason: row.reason, document: row.document }));
            }
        }
        Ok((members, refused))
    }
}

/// Documents as the sink's own are, but for their columns and index.
fn rows_plan(sink: &SinkPlan, index: &RowIndex, scan: &Scan) -> RowsPlan {
    let read = scan.columns.iter().map(|column| (column.name.clone(), column.ty.clone()));
    RowsPlan {
        columns: late_columns().into_iter().chain(read).collect(),
        key: Vec::new(),
        routing: Vec::new(),
        update: UpdateMode::Full,
        retry_on_conflict: None,
        index: index.clone(),
        ..sink.rows.clone()
    }
}
