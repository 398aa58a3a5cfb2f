//! Rows on their way from operator to operator, and what the stateless operators do to them.

use xxhash_rust::xxh3::xxh3_128;

use crate::record::{Batch, ChangeKind, Column, Data, RefusedRow, Strings, Type, Value};
use crate::sql::eval::{eval, selected};
use crate::sql::expr::{Context, Expr, ExprKind};

/// A batch with what operators must know of its rows. Vectors are as long as the batch or empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    pub(super) batch: Batch,
    /// The greatest watermark that the row's source has given in this batch before the row; empty where no
    /// watermark is declared, and for rows that operators made (they are never late).
    pub(super) marks: Vec<i64>,
    /// Empty: all are [`ChangeKind::Insert`].
    pub(super) kinds: Vec<ChangeKind>,
    /// What ids are made of, for rows that are no source's.
    pub(super) ids: Option<Strings>,
    /// The groups that the rows stand for, where their operator wants to know what was sent.
    pub(super) groups: Vec<u32>,
    /// The node whose groups they are.
    pub(super) owner: usize,
}

/// Where rows that could not be computed are collected.
pub(super) type Refusals = Vec<RefusedRow>;

impl Flow {
    pub(super) fn take(&self, rows: &[u32]) -> Flow {
        fn pick<T: Copy>(from: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().filter_map(|row| from.get(*row as usize)).copied().collect()
        }
        Flow {
            batch: self.batch.take(rows),
            marks: pick(&self.marks, rows),
            kinds: pick(&self.kinds, rows),
            ids: self.ids.as_ref().map(|ids| {
                let mut taken = Strings::with_capacity(rows.len(), 32 * rows.len());
                rows.iter().for_each(|row| taken.push(ids.get(*row as usize)));
                taken
            }),
            groups: pick(&self.groups, rows),
            owner: self.owner,
        }
    }

    /// Adds the rows of another flow of the same columns.
    pub(super) fn append(&mut self, other: Flow) {
        for (column, more) in self.batch.columns.iter_mut().zip(&other.batch.columns) {
            column.append(more);
        }
        self.batch.rows += other.batch.rows;
        self.marks.extend_from_slice(&other.marks);
        self.kinds.extend_from_slice(&other.kinds);
        self.groups.extend_from_slice(&other.groups);
        match (&mut self.batch.origin, other.batch.origin) {
            (Some(mine), Some(theirs)) => {
                mine.offsets.extend(theirs.offsets);
                mine.places.extend(theirs.places);
                mine.ordinals.extend(theirs.ordinals);
            }
            (mine, _) => *mine = None,
        }
        if let (Some(mine), Some(theirs)) = (&mut self.ids, other.ids) {
            theirs.iter().for_each(|id| mine.push(id));
        }
    }

    fn is_delete(&self, row: usize) -> bool {
        self.kinds.get(row) == Some(&ChangeKind::Delete)
    }

    /// Takes out the rows for which an expression failed (not those that are deletes: only their keys count).
    /// `columns` were computed from them and lose the same rows.
    pub(super) fn refuse(&mut self, columns: &mut [Column], cx: &mut Context, refused: &mut Refusals) {
        let failed = self.failed(cx, refused);
        if failed.is_empty() {
            return;
        }
        let keep: Vec<u32> = (0..self.batch.rows as u32).filter(|row| failed.binary_search(row).is_err()).collect();
        columns.iter_mut().for_each(|column| *column = column.take(&keep));
        *self = self.take(&keep);
    }

    /// The rows for which an expression failed, ascending; each is handed back with its reason.
    fn failed(&self, cx: &mut Context, refused: &mut Refusals) -> Vec<u32> {
        let mut errors = std::mem::take(&mut cx.errors);
        errors.retain(|(row, _)| !self.is_delete(*row) && *row < self.batch.rows);
        errors.sort_by_key(|(row, _)| *row);
        errors.dedup_by_key(|(row, _)| *row);
        let refuse = |(row, reason)| {
            refused.push(RefusedRow { at: self.at(row), reason });
            row as u32
        };
        errors.into_iter().map(refuse).collect()
    }

    /// The record that a row came from.
    pub(super) fn at(&self, row: usize) -> Option<(crate::record::SourceId, u64)> {
        let origin = self.batch.origin.as_ref()?;
        origin.offsets.get(row).map(|offset| (origin.source, *offset))
    }
}

/// Keeps the rows for which the predicate is true. Of an upsert stream the others become deletes.
pub(super) fn filter(mut flow: Flow, predicate: &Expr, cx: &mut Context, refused: &mut Refusals) -> Flow {
    let mut rows = selected(predicate, &flow.batch, cx);
    let failed = flow.failed(cx, refused);
    rows.retain(|row| failed.binary_search(row).is_err());
    if rows.len() == flow.batch.rows {
        return flow;
    }
    if flow.kinds.is_empty() {
        return flow.take(&rows);
    }
    let mut passed = rows.into_iter().peekable();
    for (row, kind) in flow.kinds.iter_mut().enumerate() {
        if passed.next_if_eq(&(row as u32)).is_none() {
            *kind = ChangeKind::Delete;
        }
    }
    if failed.is_empty() {
        return flow;
    }
    let keep: Vec<u32> = (0..flow.batch.rows as u32).filter(|row| failed.binary_search(row).is_err()).collect();
    flow.take(&keep)
}

/// One column for each expression.
pub(super) fn project(mut flow: Flow, expressions: &[Expr], cx: &mut Context, refused: &mut Refusals) -> Flow {
    let mut columns = Vec::with_capacity(expressions.len());
    for (i, expression) in expressions.iter().enumerate() {
        // A column that nothing after this needs is moved, not copied.
        columns.push(match &expression.kind {
            ExprKind::Column(at) if !used(&expressions[i + 1..], *at) && *at < flow.batch.columns.len() => {
                std::mem::replace(&mut flow.batch.columns[*at], Column { data: Data::Bool(Vec::new()), nulls: None })
            }
            _ => eval(expression, &flow.batch, cx),
        });
    }
    flow.batch.columns.clear();
    flow.refuse(&mut columns, cx, refused);
    flow.batch.columns = columns;
    flow
}

/// Whether a column is read by one of these expressions.
fn used(expressions: &[Expr], column: usize) -> bool {
    let reads = |expression: &Expr| used(std::slice::from_ref(expression), column);
    expressions.iter().any(|expression| match &expression.kind {
        ExprKind::Column(at) => *at == column,
        ExprKind::Literal(_) => false,
        ExprKind::And(parts) | ExprKind::Or(parts) => used(parts, column),
        ExprKind::Call(call) => used(&call.args, column),
        ExprKind::Case { branches, otherwise } => {
            reads(otherwise) || branches.iter().any(|(when, then)| reads(when) || reads(then))
        }
    })
}

/// For each element of `array` the input's row with the element's columns (`types`) behind it.
pub(super) fn unnest(
    mut flow: Flow,
    array: &Expr,
    outer: bool,
    types: &[Type],
    cx: &mut Context,
    refused: &mut Refusals,
) -> Flow {
    let mut computed = [eval(array, &flow.batch, cx)];
    flow.refuse(&mut computed, cx, refused);
    let [arrays] = &computed;
    let element_is_row = matches!(&array.ty, Type::Array(of) | Type::Multiset(of) if matches!(**of, Type::Row(_)));
    let mut rows = Vec::new();
    let mut counts = Vec::new();
    let mut added: Vec<Column> = types.iter().map(|ty| Column::of(ty, flow.batch.rows)).collect();
    for row in 0..flow.batch.rows {
        let elements = elements(arrays.value(row), element_is_row, matches!(array.ty, Type::Multiset(_)));
        let before = rows.len();
        for element in &elements {
            rows.push(row as u32);
            for (i, column) in added.iter_mut().enumerate() {
                column.push(element.get(i).unwrap_or(&Value::Null));
            }
        }
        if elements.is_empty() && outer {
            rows.push(row as u32);
            added.iter_mut().for_each(|column| column.push(&Value::Null));
        }
        counts.push((rows.len() - before) as u32);
    }
    let mut flow = repeat(&flow, &rows, &counts);
    flow.batch.columns.append(&mut added);
    flow
}

/// An array's elements, each as its columns.
fn elements(value: Value, element_is_row: bool, multiset: bool) -> Vec<Vec<Value>> {
    let spread = |value: Value| match value {
        Value::Row(fields) if element_is_row => fields,
        other => vec![other],
    };
    match value {
        Value::Array(values) => values.into_iter().map(spread).collect(),
        Value::Map(pairs) if multiset => {
            let times = |count: &Value| if let Value::Int(n) = count { (*n).max(0) as usize } else { 1 };
            pairs.into_iter().flat_map(|(of, n)| std::iter::repeat_n(spread(of), times(&n))).collect()
        }
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| vec![key, value]).collect(),
        _ => Vec::new(),
    }
}

/// The rows with these numbers (ascending), `counts[row]` of each: ids tell the copies apart.
pub(super) fn repeat(flow: &Flow, rows: &[u32], counts: &[u32]) -> Flow {
    let mut taken = flow.take(rows);
    let most = counts.iter().copied().max().unwrap_or(0);
    if most <= 1 {
        return taken;
    }
    let copies: Vec<u32> = counts.iter().flat_map(|n| 0..*n).collect();
    if let Some(origin) = &mut taken.batch.origin {
        // Of a record that gave several rows before, each takes its share of a wide range.
        let before = std::mem::take(&mut origin.ordinals);
        origin.ordinals = match before.is_empty() {
            true => copies,
            false => before.iter().zip(&copies).map(|(old, new)| old.wrapping_shl(16).wrapping_add(*new)).collect(),
        };
    } else if let Some(ids) = &mut taken.ids {
        let mut told = Strings::with_capacity(rows.len(), 32 * rows.len());
        for (i, copy) in copies.iter().enumerate() {
            push_id(&[ids.get(i), &copy.to_le_bytes()].concat(), &mut told);
        }
        *ids = told;
    }
    taken
}

/// Adds the 32 hexadecimal digits that stand for these bytes.
pub(super) fn push_id(bytes: &[u8], ids: &mut Strings) {
    let hash = xxh3_128(bytes);
    ids.push_with(|out| {
        for shift in (0..32).rev() {
            out.push(b"0123456789abcdef"[(hash >> (4 * shift)) as usize & 15]);
        }
    });
}
