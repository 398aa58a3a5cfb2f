//! Every plan, whatever it was made of, hangs together: numbers of columns and nodes are there, types are what the
//! expressions give, an output has just its sink's columns.

use crate::record::Type;
use crate::sql::bind::rewrite;
use crate::sql::expr::{Expr, ExprKind};
use crate::sql::plan::{Aggregate, Changelog, Field, First, Node, NodeKind, Query, Window, WindowKind};

/// Panics with what is wrong.
pub(super) fn check(query: &Query) {
    for (number, node) in query.nodes.iter().enumerate() {
        for input in node.kind.inputs() {
            assert!(input < number, "node {number} reads {input}");
        }
        if let Changelog::Upsert(keys) = &node.changes {
            assert!(keys.iter().all(|key| *key < node.fields.len()), "{node:?}");
        }
        check_node(query, node);
    }
    let used: Vec<usize> = query.nodes.iter().flat_map(|node| node.kind.inputs()).collect();
    for number in 0..query.nodes.len() {
        assert!(
            used.contains(&number) || query.outputs.iter().any(|output| output.input == number),
            "{number} is not used"
        );
    }
    for output in &query.outputs {
        let node = &query.nodes[output.input];
        assert!(output.key.iter().chain(&output.not_null).all(|column| *column < node.fields.len()), "{output:?}");
        if let (Changelog::Upsert(keys), false) = (&node.changes, output.key.is_empty()) {
            assert_eq!(keys, &output.key, "{output:?}");
        }
    }
}

fn types(fields: &[Field]) -> Vec<&Type> {
    fields.iter().map(|field| &field.ty).collect()
}

fn check_node(query: &Query, node: &Node) {
    let below = |input: usize| query.nodes[input].fields.as_slice();
    match &node.kind {
        NodeKind::Scan(scan) => {
            let columns: Vec<&Type> = query.scans[*scan].columns.iter().map(|column| &column.ty).collect();
            assert_eq!(columns, types(&node.fields));
        }
        NodeKind::Watermark { input, column, watermark } => {
            assert_eq!(types(below(*input)), types(&node.fields));
            assert!(node.fields[*column].rowtime, "{node:?}");
            assert!(matches!(watermark.ty, Type::Timestamp(3) | Type::TimestampLtz(3)), "{node:?}");
            over(watermark, below(*input));
        }
        NodeKind::Filter { input, predicate } => {
            assert_eq!(types(below(*input)), types(&node.fields));
            assert_eq!(predicate.ty, Type::Boolean);
            over(predicate, below(*input));
        }
        NodeKind::Project { input, expressions } => {
            assert_eq!(expressions.iter().map(|expr| &expr.ty).collect::<Vec<_>>(), types(&node.fields), "{node:?}");
            expressions.iter().for_each(|expr| over(expr, below(*input)));
        }
        NodeKind::Union { inputs } => {
            inputs.iter().for_each(|input| assert_eq!(types(below(*input)), types(&node.fields), "{node:?}"));
        }
        NodeKind::Unnest { input, array, .. } => {
            over(array, below(*input));
            let width = below(*input).len();
            assert_eq!(types(below(*input)), types(&node.fields[..width]));
        }
        NodeKind::Window { input, window } => {
            assert_eq!(types(below(*input)), types(&node.fields[..node.fields.len() - 3]));
            check_window(window, below(*input));
        }
        NodeKind::Aggregate(aggregate) => check_aggregate(aggregate, below(aggregate.input), node),
        NodeKind::First(First { input, keys, order, window, .. }) => {
            assert_eq!(types(below(*input)), types(&node.fields));
            assert!(
                keys.iter().chain(order.iter().map(|order| &order.column)).all(|column| *column < node.fields.len())
            );
            window.iter().for_each(|window| check_window(window, below(*input)));
        }
    }
}

fn check_aggregate(aggregate: &Aggregate, below: &[Field], node: &Node) {
    let mut expected: Vec<&Type> = aggregate.keys.iter().map(|key| &below[*key].ty).collect();
    for call in &aggregate.calls {
        assert_eq!(
            call.args.iter().map(|arg| &below[*arg].ty).collect::<Vec<_>>(),
            call.arg_types.iter().collect::<Vec<_>>()
        );
        call.filter.iter().for_each(|filter| assert_eq!(below[*filter].ty, Type::Boolean));
        expected.push(&call.ty);
    }
    let width = expected.len();
    assert_eq!(expected, types(&node.fields[..width]));
    match &aggregate.window {
        None => assert_eq!(node.fields.len(), width),
        Some(window) => {
            assert_eq!(node.fields.len(), width + 3);
            check_window(window, below);
        }
    }
}

fn check_window(window: &Window, below: &[Field]) {
    match window.kind {
        WindowKind::Given { start, end } => {
            assert_eq!([&below[start].ty, &below[end].ty], [&Type::Timestamp(3), &Type::Timestamp(3)]);
        }
        _ => assert!(below[window.time].rowtime, "{window:?} over {below:?}"),
    }
}

fn over(expr: &Expr, below: &[Field]) {
    assert!(rewrite::columns(expr).into_iter().all(|column| column < below.len()), "{expr:?} over {below:?}");
    assert!(
        !rewrite::any(
            expr,
            &|part| matches!(part.kind, ExprKind::Column(column) if !is_read_as(&below[column].ty, &part.ty))
        ),
        "{expr:?} over {below:?}"
    );
}

/// A text may be read as one of another length.
fn is_read_as(column: &Type, read: &Type) -> bool {
    let text = |ty: &Type| matches!(ty, Type::Char(_) | Type::Varchar(_));
    column == read || (text(column) && text(read))
}
