//! Random calls over random values: never a panic, every row as if it had come alone, and always the same result.

use proptest::prelude::*;

use crate::record::{Batch, Column, Type, Value};
use crate::sql::eval::eval;
use crate::sql::expr::{Context, Expr, ExprKind};
use crate::sql::functions::{FAMILIES, chance, resolve};
use crate::sql::plan::Settings;

/// The columns that expressions are made over.
fn columns() -> Vec<Type> {
    let string = || Box::new(Type::STRING);
    vec![
        Type::Boolean,
        Type::TinyInt,
        Type::Int,
        Type::BigInt,
        Type::Float,
        Type::Double,
        Type::Decimal(10, 2),
        Type::Decimal(38, 18),
        Type::STRING,
        Type::STRING,
        Type::BYTES,
        Type::Date,
        Type::Time(3),
        Type::Timestamp(3),
        Type::TimestampLtz(3),
        Type::IntervalMonths,
        Type::IntervalTime,
        Type::Array(string()),
        Type::Array(Box::new(Type::Int)),
        Type::Map(string(), string()),
        Type::Row(vec![("x".to_owned(), Type::Int), ("y".to_owned(), Type::STRING)]),
    ]
}

fn value(ty: &Type) -> BoxedStrategy<Value> {
    let some: BoxedStrategy<Value> = match ty {
        Type::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::TinyInt => any::<i8>().prop_map(|x| Value::Int(x.into())).boxed(),
        Type::Int => prop_oneof![any::<i32>(), -3..4_i32].prop_map(|x| Value::Int(x.into())).boxed(),
        Type::Float => any::<f32>().prop_map(Value::Float).boxed(),
        Type::Double => prop_oneof![any::<f64>(), -1e3..1e3].prop_map(Value::Double).boxed(),
        Type::Decimal(p, _) => {
            let max = 10_i128.pow(u32::from(*p)) - 1;
            prop_oneof![-max..=max, -500..500_i128].prop_map(Value::Decimal).boxed()
        }
        Type::Varchar(_) => prop_oneof![
            "[ -~äß€😀]{0,12}",
            "[0-9+.-]{0,8}",
            Just("2020-02-29 10:20:30.5".to_owned()),
            Just("yyyy-MM-dd".to_owned()),
            Just("{\"a\": [1, {\"b\": null}]}".to_owned()),
            Just("$.a[0].b".to_owned()),
            Just("(a|b)+[^c]".to_owned()),
            Just("k=v;x=y".to_owned()),
        ]
        .prop_map(|text| Value::Text(text.into()))
        .boxed(),
        Type::Varbinary(_) => prop::collection::vec(any::<u8>(), 0..6).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Type::Array(of) => prop::collection::vec(value(of), 0..3).prop_map(Value::Array).boxed(),
        Type::Map(k, v) => prop::collection::vec((value(k), value(v)), 0..3).prop_map(Value::Map).boxed(),
        Type::Row(fields) => fields.iter().map(|(_, ty)| value(ty)).collect::<Vec<_>>().prop_map(Value::Row).boxed(),
        _ => prop_oneof![any::<i64>(), -100_000..100_000_i64, Just(1_580_466_030_123_000)].prop_map(Value::Int).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 7 => some].boxed()
}

fn batch() -> impl Strategy<Value = Batch> {
    let row = columns().iter().map(value).collect::<Vec<_>>();
    prop::collection::vec(row, 1..6).prop_map(|rows| {
        let mut made: Vec<Column> = columns().iter().map(|ty| Column::of(ty, rows.len())).collect();
        for row in &rows {
            made.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        Batch { columns: made, rows: rows.len(), origin: None }
    })
}

/// A call of a function (its number) with arguments from these seeds; inner calls down to `depth`.
fn expression(seeds: &mut dyn Iterator<Item = u32>, depth: u32) -> Option<Expr> {
    let names = FAMILIES.iter().copied().flatten().map(|f| f.name);
    // What chance gives is another value each time.
    let functions: Vec<&'static str> = names.filter(|name| !chance::NAMES.contains(name)).collect();
    let types = columns();
    let leaf = |seeds: &mut dyn Iterator<Item = u32>| {
        let seed = seeds.next()? as usize;
        if seed % 5 == 4 {
            let texts = ["", ",", "a", "yyyy", "DAY", "%a_", "UTC", "$.a", "HOST", "BOTH", "NULL"];
            return Some(match seed / 5 % 4 {
                0 => Expr::literal(Value::Int(seed as i64 % 7 - 3), Type::Int),
                1 => Expr::literal(Value::Null, Type::Null),
                _ => Expr::literal(Value::Text(texts[seed / 20 % texts.len()].into()), Type::Varchar(9)),
            });
        }
        let column = seed / 5 % types.len();
        Some(Expr { kind: ExprKind::Column(column), ty: types[column].clone() })
    };
    let name = functions[seeds.next()? as usize % functions.len()];
    let count = seeds.next()? % 5;
    let mut args = Vec::new();
    for _ in 0..count {
        let inner = if depth > 0 && seeds.next()? % 3 == 0 { expression(seeds, depth - 1) } else { None };
        args.push(match inner {
            Some(expr) => expr,
            None => leaf(seeds)?,
        });
    }
    resolve(name, args, &Settings::default()).ok()
}

/// Equal, NaN to itself too.
fn shown(column: &Column) -> Vec<String> {
    (0..column.len()).map(|row| format!("{:?}", column.value(row))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(3000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn a_column_gives_what_its_rows_give_one_by_one(
        batch in batch(),
        seeds in prop::collection::vec(any::<u32>(), 60),
        shanghai in any::<bool>(),
    ) {
        // Most arguments fit no function: one seed gives many tries.
        let tried = (0..40_u32).find_map(|n| {
            expression(&mut seeds.iter().map(|seed| seed.wrapping_mul(2 * n + 1).rotate_left(n)), 2)
        });
        let Some(expr) = tried else { return Ok(()) };
        let zone = jiff::tz::TimeZone::get(if shanghai { "Asia/Shanghai" } else { "UTC" }).unwrap();
        let mut context = Context::new(1_600_000_000_000_000, zone.clone());
        let whole = eval(&expr, &batch, &mut context);
        prop_assert_eq!(whole.len(), batch.rows);
        prop_assert!(whole.nulls.as_ref().is_none_or(|nulls| nulls.len() == batch.rows));
        let whole = shown(&whole);
        let failed: std::collections::BTreeSet<usize> = context.errors.iter().map(|(row, _)| *row).collect();
        for (row, together) in whole.iter().enumerate() {
            let mut context = Context::new(1_600_000_000_000_000, zone.clone());
            let alone = eval(&expr, &batch.take(&[row as u32]), &mut context);
            prop_assert_eq!(&shown(&alone)[0], together, "{:?}", expr);
            prop_assert_eq!(!context.errors.is_empty(), failed.contains(&row), "{:?}", expr);
        }
    }
}
