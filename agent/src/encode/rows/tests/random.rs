//! Whatever a row holds, its lines are lines of JSON.

use proptest::prelude::*;

use super::*;

fn typed() -> impl Strategy<Value = (Type, Value)> {
    let leaf = prop_oneof![
        Just((Type::Null, Value::Null)),
        any::<bool>().prop_map(|x| (Type::Boolean, Value::Bool(x))),
        any::<i64>().prop_map(|x| (Type::BigInt, Value::Int(x))),
        any::<i64>().prop_map(|x| (Type::Timestamp(3), Value::Int(x))),
        any::<i64>().prop_map(|x| (Type::TimestampLtz(3), Value::Int(x))),
        any::<i64>().prop_map(|x| (Type::Date, Value::Int(x))),
        any::<i64>().prop_map(|x| (Type::Time(3), Value::Int(x))),
        any::<i64>().prop_map(|x| (Type::IntervalTime, Value::Int(x))),
        any::<f32>().prop_map(|x| (Type::Float, Value::Float(x))),
        any::<f64>().prop_map(|x| (Type::Double, Value::Double(x))),
        (any::<i128>(), 0..=38_u8).prop_map(|(x, scale)| (Type::Decimal(38, scale), Value::Decimal(x))),
        any::<String>().prop_map(|x| (Type::STRING, Value::Text(x.into()))),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|x| (Type::BYTES, Value::Bytes(x.into()))),
        // of another kind than the type says
        any::<i64>().prop_map(|x| (Type::Row(vec![]), Value::Int(x))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|(ty, x)| (Type::Array(Box::new(ty)), Value::Array(vec![x, Value::Null]))),
            (inner.clone(), inner.clone())
                .prop_map(|((key, k), (ty, x))| { (Type::Map(Box::new(key), Box::new(ty)), Value::Map(vec![(k, x)])) }),
            (any::<String>(), inner)
                .prop_map(|(name, (ty, x))| (Type::Row(vec![(name, ty)]), Value::Row(vec![x, Value::Null]))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_line_is_json_and_every_row_is_an_item_or_handed_back(
        name in any::<String>(),
        (ty, value) in typed(),
        (key, inc, omit, iso) in any::<(bool, bool, bool, bool)>(),
        kind in prop::sample::select(vec![ChangeKind::Insert, ChangeKind::Upsert, ChangeKind::Delete]),
    ) {
        let mut plan = plan(&[("other", Type::Int), (&name, ty)], if key { &[1, 0] } else { &[] });
        plan.update = if inc { UpdateMode::Inc } else { UpdateMode::Full };
        (plan.omit_nulls, plan.iso_timestamps, plan.routing) = (omit, iso, vec![1]);
        plan.index = RowIndex::Template {
            parts: vec![RowIndexPart::Literal("p-".into()), RowIndexPart::Column(1)],
            prefix: "p-".into(),
            fallback: "p".into(),
        };
        let changes = changes(&plan, kind, &[vec![Value::Null, value.clone()], vec![Value::Int(1), value]]);
        let (members, encoded) = encode(&plan, &[changes]);
        let items: u32 = members.iter().map(|m| m.1).sum();
        prop_assert_eq!(items as usize + encoded.refused.len(), 2);
        for (index, count, body) in members {
            prop_assert!(index.starts_with('p') && index.to_lowercase() == index);
            let lines: Vec<&str> = body.lines().collect();
            prop_assert_eq!(lines.len() as u32, if kind == ChangeKind::Delete { count } else { 2 * count });
            for line in lines {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
                prop_assert!(parsed.is_ok_and(|json| json.is_object()), "{}", line);
            }
        }
    }
}
