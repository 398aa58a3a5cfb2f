//! Ids: what they look like, and that no two keys share one.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn id(plan: &RowsPlan, key: Vec<Value>) -> String {
    let changes = changes(plan, ChangeKind::Delete, &[key]);
    let item = RowEncoder::new("job", "agent", None, plan).item(&changes, 0, 1, NOW, &mut 0).unwrap();
    let action: serde_json::Value = serde_json::from_slice(&item.action).unwrap();
    action["delete"]["_id"].as_str().unwrap().to_owned()
}

#[test]
fn one_key_column_is_its_plain_text() {
    for (ty, value, expected) in [
        (Type::STRING, text("a_b \"%"), "a_b \"%"),
        (Type::STRING, text("%null"), "%25null"),
        (Type::STRING, text(""), "%empty"),
        (Type::STRING, Value::Null, "%null"),
        (Type::Int, Value::Int(-5), "-5"),
        (Type::Boolean, Value::Bool(true), "true"),
        (Type::Double, Value::Double(1.0), "1.0"),
        (Type::Decimal(4, 2), Value::Decimal(150), "1.50"),
        (Type::Date, Value::Int(0), "1970-01-01"),
        (Type::Time(0), Value::Int(0), "00:00"),
        (Type::Timestamp(3), Value::Int(1_795_248_060_000_000), "2026-11-21T08:01"),
        (Type::Timestamp(3), Value::Int(1_795_248_061_500_000), "2026-11-21T08:01:01.500"),
        (Type::TimestampLtz(6), Value::Int(1_795_248_061_500_001), "2026-11-21T08:01:01.500001"),
    ] {
        assert_eq!(id(&plan(&[("k", ty)], &[0]), vec![value]), expected);
    }
}

#[test]
fn a_log_has_its_place_in_its_group_in_its_id() {
    let plan = RowsPlan { key: Vec::new(), ..plan(&[("a", Type::Int)], &[]) };
    let mut changes = changes(&plan, ChangeKind::Insert, &[vec![Value::Int(1)], vec![Value::Int(2)]]);
    if let Some(origin) = &mut changes.batch.origin {
        (origin.offsets, origin.places) = (vec![700, 700], vec![0, 1]);
    }
    let lines = lines(&plan, &changes);
    assert!(lines[0].contains("\"job.agent.3.700.0\"") && lines[2].contains("\"job.agent.3.700.1\""), "{lines:?}");
}

#[test]
fn several_key_columns_are_joined_and_what_could_be_the_delimiter_is_escaped() {
    let mut plan = plan(&[("a", Type::STRING), ("b", Type::STRING)], &[0, 1]);
    let mut check = |delimiter: &str, a: &str, b: &str, expected: &str| {
        plan.key_delimiter = delimiter.into();
        assert_eq!(id(&plan, vec![text(a), text(b)]), expected);
    };
    check("_", "host", "x_y", "host_x_y");
    check("_", "ho_st%", "%x", "ho%5Fst%25_%25x");
    check("", "a", "b", "a_b");
    check("%", "a%", "~b", "a~25%~7Eb");
    check("→", "a…→", "b", "a…%E2%86%92→b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn two_keys_never_share_an_id(
        delimiter in prop::sample::select(vec!["_", "__", "_a", "%", "%2", "~", "n", "2", "→", "5F", ""]),
        keys in prop::collection::vec(
            prop::collection::vec(prop::option::of("[_%~na25F→]{0,4}|%null|%empty|null"), 3), 2..150),
        width in 1..4_usize,
    ) {
        let columns = [("a", Type::STRING), ("b", Type::STRING), ("c", Type::STRING)];
        let mut plan = plan(&columns[..width], &(0..width).collect::<Vec<_>>());
        plan.key_delimiter = delimiter.into();
        let mut seen: HashMap<String, Vec<Option<String>>> = HashMap::new();
        for key in keys {
            let key = key[..width].to_vec();
            let values = key.iter().map(|k| k.as_deref().map_or(Value::Null, text)).collect();
            let other = seen.insert(id(&plan, values), key.clone());
            prop_assert!(other.is_none_or(|other| other == key));
        }
    }
}
