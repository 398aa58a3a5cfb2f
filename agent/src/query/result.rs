//! Rows that reach an output become its changes; NULLs in NOT NULL columns stop here.

use crate::record::{ChangeKind, Changes, Identity, Kinds, RefusedRow};
use crate::sql::plan::Query;

use super::flow::Flow;
use super::program::Facts;

/// Adds an output's rows to its changes.
pub(super) fn append(query: &Query, output: usize, flow: Flow, facts: &mut Facts) {
    let flow = without_nulls(query, output, flow, facts);
    if flow.batch.rows == 0 {
        return;
    }
    let kinds = match flow.kinds.first() {
        None => Kinds::All(ChangeKind::Insert),
        Some(first) if flow.kinds.iter().all(|kind| kind == first) => Kinds::All(*first),
        Some(_) => Kinds::Each(flow.kinds),
    };
    let identity = match flow.ids {
        Some(ids) => Identity::Given(ids),
        None => Identity::Origin,
    };
    facts.changes.push(Changes { output, batch: flow.batch, kinds, identity });
}

/// Flink's not-null enforcer: a NULL in a NOT NULL column fails the row, or drops it if so set.
fn without_nulls(query: &Query, output: usize, flow: Flow, facts: &mut Facts) -> Flow {
    let to = &query.outputs[output];
    let columns: Vec<usize> = to
        .not_null
        .iter()
        .copied()
        .filter(|column| flow.batch.columns.get(*column).is_some_and(|column| column.nulls.is_some()))
        .collect();
    if columns.is_empty() {
        return flow;
    }
    let mut keep = Vec::with_capacity(flow.batch.rows);
    for row in 0..flow.batch.rows {
        // Of a delete only the key counts.
        let counts = |column: &usize| flow.kinds.get(row) != Some(&ChangeKind::Delete) || to.key.contains(column);
        let null = columns.iter().find(|column| flow.batch.columns[**column].is_null(row) && counts(column));
        match null {
            None => keep.push(row as u32),
            Some(_) if query.settings.drop_nulls => facts.null_columns += 1,
            Some(column) => {
                let name = query.nodes[to.input].fields.get(*column).map_or("", |field| field.name.as_str());
                let reason = format!("column {name} of {} is NOT NULL, but the row has NULL there", to.name);
                facts.refused.push(RefusedRow { at: flow.at(row), reason });
            }
        }
    }
    if keep.len() == flow.batch.rows { flow } else { flow.take(&keep) }
}
