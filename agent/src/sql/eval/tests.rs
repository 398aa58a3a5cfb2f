//! AND, OR and CASE guard what stands behind them; constants are folded, errors keep their rows.

use crate::record::{Batch, Column, Data, Type, Value};
use crate::sql::expr::{Context, Expr, ExprKind};
use crate::sql::functions::{case, resolve};
use crate::sql::plan::Settings;

use super::{eval, fold, selected};

fn settings() -> Settings {
    Settings::default()
}

fn int(value: i64) -> Expr {
    Expr::literal(Value::Int(value), Type::Int)
}

fn column() -> Expr {
    Expr { kind: ExprKind::Column(0), ty: Type::Int }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    resolve(name, args, &settings()).unwrap()
}

fn batch(values: &[i64]) -> Batch {
    let column = Column { data: Data::Int(values.to_vec()), nulls: None };
    Batch { columns: vec![column], rows: values.len(), origin: None }
}

fn context() -> Context {
    Context::new(0, jiff::tz::TimeZone::UTC)
}

#[test]
fn a_guard_keeps_rows_from_failing() {
    let quotient = call("=", vec![call("/", vec![int(10), column()]), int(5)]);
    let guarded = call("AND", vec![call("<>", vec![column(), int(0)]), quotient.clone()]);
    let batch = batch(&[0, 2, 5, 0]);
    let mut safe = context();
    assert_eq!(selected(&guarded, &batch, &mut safe), [1]);
    assert!(safe.errors.is_empty());
    let mut bare = context();
    assert_eq!(selected(&quotient, &batch, &mut bare), [1]);
    let failed: Vec<usize> = bare.errors.iter().map(|(row, _)| *row).collect();
    assert_eq!(failed, [0, 3]);
}

#[test]
fn errors_behind_a_guard_name_the_rows_of_the_whole_batch() {
    let risky = call("=", vec![call("/", vec![int(10), call("-", vec![column(), int(3)])]), int(5)]);
    let either = call("OR", vec![call("<", vec![column(), int(2)]), risky]);
    let mut context = context();
    assert_eq!(selected(&either, &batch(&[1, 3, 5, 3]), &mut context), [0, 2]);
    let failed: Vec<usize> = context.errors.iter().map(|(row, _)| *row).collect();
    assert_eq!(failed, [1, 3]);
}

#[test]
fn case_computes_each_branch_for_its_rows_only() {
    let by_zero = call("/", vec![int(1), column()]);
    let expr = case(vec![(call("=", vec![column(), int(0)]), int(-1))], Some(by_zero)).unwrap();
    let mut context = context();
    let column = eval(&expr, &batch(&[0, 1, 0]), &mut context);
    assert_eq!(column.data, Data::Int(vec![-1, 1, -1]));
    assert!(context.errors.is_empty());
}

#[test]
fn constants_are_folded_but_not_what_fails_or_changes() {
    let folded = fold(call("+", vec![int(1), call("*", vec![int(2), int(3)])]), &settings());
    assert_eq!(folded.as_literal(), Some(&Value::Int(7)));
    assert_eq!(fold(call("/", vec![int(1), int(0)]), &settings()).as_literal(), None);
    assert_eq!(fold(call("NOW", vec![]), &settings()).as_literal(), None);
}
