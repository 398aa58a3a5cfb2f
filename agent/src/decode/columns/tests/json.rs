//! JSON lines: Flink's conversions, one table.

use super::*;

fn one(ty: &Type, json: &str) -> Result<Value, String> {
    with(JsonFormat::default(), ty, json)
}

fn with(format: JsonFormat, ty: &Type, json: &str) -> Result<Value, String> {
    let plan = table(TableFormat::Json(format), &[("v", ty.clone())]);
    let (batch, facts) = decode(&plan, format!("{{\"v\":{json}}}\n"));
    match facts.refused.first() {
        Some(refused) => Err(refused.reason.clone()),
        None => Ok(batch.columns[0].value(0)),
    }
}

#[test]
fn scalars_become_what_flink_makes_of_them() {
    use Type::*;
    let int = Value::Int;
    let cases = [
        (Boolean, "true", Value::Bool(true)),
        (Boolean, "\" TRUE \"", Value::Bool(true)),
        (Boolean, "\"yes\"", Value::Bool(false)),
        (Boolean, "1", Value::Bool(false)),
        (TinyInt, "-128", int(-128)),
        (SmallInt, "\"32767\"", int(32_767)),
        (Int, "5", int(5)),
        (Int, "\" +5 \"", int(5)),
        (Int, "5.9", int(5)),
        (Int, "-5.9e0", int(-5)),
        (Int, "null", Value::Null),
        (BigInt, "9223372036854775807", int(i64::MAX)),
        (BigInt, "1e3", int(1000)),
        (Float, "0.1", Value::Float(0.1)),
        (Double, "1", Value::Double(1.0)),
        (Double, "\"1.5d\"", Value::Double(1.5)),
        (Double, "\"-Infinity\"", Value::Double(f64::NEG_INFINITY)),
        (Double, "1e400", Value::Double(f64::INFINITY)),
        (Decimal(5, 2), "1.005", Value::Decimal(101)),
        (Decimal(5, 2), "\" -1.004 \"", Value::Decimal(-100)),
        (Decimal(5, 2), "1e2", Value::Decimal(10_000)),
        (Decimal(5, 2), "12345", Value::Null),
        (
            Decimal(38, 0),
            "12345678901234567890123456789012345678",
            Value::Decimal(12_345_678_901_234_567_890_123_456_789_012_345_678),
        ),
        (Type::STRING, "\"a\\u00e9\\n\\ud83d\\ude00\\ud83d\"", text("aé\n😀\u{fffd}")),
        (Type::STRING, "1.50", text("1.50")),
        (Type::STRING, "true", text("true")),
        (
            Type::STRING,
            "{ \"b\" : [ 1.50, 1e2, -0, \"\\/\" ], \"a\" : null, \"b\" : { } }",
            text("{\"b\":{},\"a\":null}"),
        ),
        (Type::STRING, "[ 1.50, 1e2, -0, \"\\/\\\"\" ]", text("[1.5,100.0,0,\"/\\\"\"]")),
        (Type::BYTES, "\"aGk=\"", Value::Bytes(b"hi".as_slice().into())),
        (Date, "\"1970-01-02\"", int(1)),
        (Time(0), "\"00:00:01.5\"", int(1_000_000)),
        (Time(3), "\"00:00:01.5\"", int(1_500_000)),
        (Timestamp(3), "\"2026-11-21 08:01:00.123456789\"", int(1_795_248_060_123_000)),
        (Timestamp(6), "\"2026-11-21 08:01:00.123456789\"", int(1_795_248_060_123_456)),
        (Timestamp(3), "\"2026-11-21 08:01:00\"", int(1_795_248_060_000_000)),
        (Timestamp(0), "\"1969-12-31 23:59:59.9\"", int(-1_000_000)),
        (TimestampLtz(3), "\"2026-11-21 08:01:00Z\"", int(1_795_248_060_000_000)),
        (IntervalMonths, "14", int(14)),
        (IntervalTime, "1500", int(1_500_000)),
        (Null, "[1]", Value::Null),
    ];
    for (ty, json, expected) in cases {
        assert_eq!(one(&ty, json), Ok(expected), "{json} as {ty}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_or_null_where_errors_are_ignored() {
    use Type::*;
    let cases = [
        (Boolean, "[]"),
        (TinyInt, "128"),
        (TinyInt, "1.0"),
        (SmallInt, "\"\""),
        (Int, "2147483648"),
        (Int, "\"5.0\""),
        (Int, "true"),
        (Int, "{}"),
        (Int, "2147483647.5"),
        (BigInt, "9223372036854775808"),
        (BigInt, "1e30"),
        (Double, "\"inf\""),
        (Double, "\"0x1p3\""),
        (Double, "true"),
        (Decimal(5, 2), "\"1,5\""),
        (Decimal(5, 2), "\"\""),
        (Decimal(5, 2), "\".\""),
        (Type::BYTES, "\"*\""),
        (Type::BYTES, "5"),
        (Date, "\"2026-02-30\""),
        (Date, "\" 2026-02-03\""),
        (Time(0), "\"24:00:00\""),
        (Time(0), "\"08:01\""),
        (Timestamp(3), "\"2026-11-21T08:01:00\""),
        (Timestamp(3), "1795248060000"),
        (Timestamp(3), "\"2026-13-21 08:01:00\""),
        (TimestampLtz(3), "\"2026-11-21 08:01:00\""),
        (Array(Box::new(Int)), "{}"),
        (Row(vec![]), "[]"),
        (Map(Box::new(Int), Box::new(Int)), "{}"),
    ];
    let ignoring = JsonFormat { ignore_parse_errors: true, ..JsonFormat::default() };
    for (ty, json) in cases {
        let reason = one(&ty, json).unwrap_err();
        assert!(reason.starts_with("field \"v\": ") && reason.contains(&format!(" is no {ty}")), "{reason}");
        assert_eq!(with(ignoring.clone(), &ty, json), Ok(Value::Null), "{json} as {ty}");
    }
}

#[test]
fn the_31st_of_a_shorter_month_and_24_oclock_are_read_as_java_does() {
    let ty = Type::Timestamp(3);
    assert_eq!(one(&ty, "\"2026-02-31 00:00:00\""), one(&ty, "\"2026-02-28 00:00:00\""));
    assert_eq!(one(&ty, "\"2026-12-31 24:00:00\""), one(&ty, "\"2027-01-01 00:00:00\""));
}

#[test]
fn iso_timestamps_have_a_t_and_need_no_seconds() {
    let iso = JsonFormat { iso_timestamps: true, ..JsonFormat::default() };
    for (ty, json, micros) in [
        (Type::Timestamp(3), "\"2026-11-21T08:01:00.5\"", 1_795_248_060_500_000),
        (Type::Timestamp(3), "\"2026-11-21T08:01\"", 1_795_248_060_000_000),
        (Type::TimestampLtz(3), "\"2026-11-21T08:01:00Z\"", 1_795_248_060_000_000),
    ] {
        assert_eq!(with(iso.clone(), &ty, json), Ok(Value::Int(micros)), "{json}");
    }
    assert!(with(iso, &Type::Timestamp(3), "\"2026-11-21 08:01:00\"").is_err());
}

#[test]
fn nested_values_follow_their_types() {
    let ty = Type::Row(vec![
        ("list".into(), Type::Array(Box::new(Type::Int))),
        ("map".into(), Type::Map(Box::new(Type::STRING), Box::new(Type::Double))),
        ("set".into(), Type::Multiset(Box::new(Type::STRING))),
        ("text".into(), Type::STRING),
        ("gone".into(), Type::Int),
    ]);
    let json = "{\"map\":{\"a\":1,\"b\":null,\"a\":2},\"list\":[1,null,\"3\"],\"set\":{\"x\":2},\"text\":{ \"y\":[ ]}}";
    let expected = Value::Row(vec![
        Value::Array(vec![Value::Int(1), Value::Null, Value::Int(3)]),
        Value::Map(vec![(text("a"), Value::Double(2.0)), (text("b"), Value::Null)]),
        Value::Map(vec![(text("x"), Value::Int(2))]),
        text("{\"y\":[]}"),
        Value::Null,
    ]);
    assert_eq!(one(&ty, json), Ok(expected));
    let array = Type::Array(Box::new(Type::Int));
    assert!(one(&array, "[1,\"x\"]").is_err());
    let ignoring = JsonFormat { ignore_parse_errors: true, ..JsonFormat::default() };
    assert_eq!(with(ignoring, &array, "[1,\"x\"]"), Ok(Value::Array(vec![Value::Int(1), Value::Null])));
    let strict = JsonFormat { fail_on_missing_field: true, ..JsonFormat::default() };
    assert!(with(strict, &ty, json).is_err());
}

#[test]
fn a_line_that_is_no_object_is_refused_with_its_place_or_passed_over_and_counted() {
    let columns = [("a", Type::Int), ("b", Type::STRING)];
    let data = "{\"a\":1}\n5\n{\"a\":2} {}\n\n{\"a\":\n  \n{\"b\":\"x\",\"a\":3,\"c\":tru}\n{\"a\":\"x\"}\n{\"a\":4}\n";
    let plan = table(TableFormat::Json(JsonFormat::default()), &columns);
    let (batch, facts) = decode(&plan, data);
    assert_eq!(batch.columns[0].data, Data::Int(vec![1, 4]));
    assert_eq!(batch.columns[1].nulls, Some(vec![true, true]));
    assert_eq!((facts.records, facts.blank, facts.skipped), (9, 2, 0));
    assert_eq!(facts.refused.len(), 5);
    for refused in &facts.refused {
        assert_eq!(refused.offset, 100 + refused.bytes.start as u64);
        assert!(!refused.reason.is_empty());
    }
    assert_eq!(&data[facts.refused[4].bytes.clone()], "{\"a\":\"x\"}");
    let ignoring = JsonFormat { ignore_parse_errors: true, ..JsonFormat::default() };
    let (batch, facts) = decode(&table(TableFormat::Json(ignoring), &columns), data);
    assert_eq!((batch.rows, facts.skipped, facts.null_fields, facts.refused.len()), (3, 4, 1, 0));
    assert_eq!(batch.columns[0].nulls, Some(vec![false, true, false]));
}

#[test]
fn a_missing_field_is_null_or_refused() {
    let columns = [("a", Type::Int)];
    let (batch, _) = decode(&table(TableFormat::Json(JsonFormat::default()), &columns), "{}\n{\"A\":1}\n");
    assert_eq!(batch.columns[0].nulls, Some(vec![true, true]));
    let strict = JsonFormat { fail_on_missing_field: true, ..JsonFormat::default() };
    let (batch, facts) = decode(&table(TableFormat::Json(strict), &columns), "{}\n{\"a\":null}\n");
    assert_eq!((batch.rows, &*facts.refused[0].reason), (1, "field \"a\" is missing"));
}

#[test]
fn rows_are_counted_where_no_column_is_read() {
    let plan = table(TableFormat::Json(JsonFormat::default()), &[]);
    let (batch, facts) = decode(&plan, "{\"a\":1}\n{}\nx\n");
    assert_eq!((batch.rows, facts.refused.len()), (2, 1));
}

#[test]
fn invalid_utf8_is_replaced_and_counted() {
    let plan = table(TableFormat::Json(JsonFormat::default()), &[("a", Type::STRING)]);
    let (batch, facts) = decode(&plan, b"{\"a\":\"x\xff\"}\n{\"a\":\"\xc3\xa9\"}\n");
    assert_eq!(batch.columns[0].value(0), text("x\u{fffd}"));
    assert_eq!(batch.columns[0].value(1), text("é"));
    assert_eq!(facts.invalid_utf8, 1);
}

#[test]
fn keys_with_escapes_are_found_and_the_last_of_two_wins() {
    let plan = table(TableFormat::Json(JsonFormat::default()), &[("a\"é", Type::Int), ("b", Type::Int)]);
    let (batch, _) = decode(&plan, "{\"b\":1,\"a\\\"\\u00e9\":5,\"b\":2}\n");
    assert_eq!((batch.columns[0].value(0), batch.columns[1].value(0)), (Value::Int(5), Value::Int(2)));
}

#[test]
fn a_time_that_is_none_as_declared_says_what_the_table_must_say() {
    let reason = |iso_timestamps, ty: Type, text: &str| {
        let format = TableFormat::Json(JsonFormat { iso_timestamps, ..JsonFormat::default() });
        let line = format!("{{\"ts\":\"{text}\"}}\n");
        let (_, facts) = decode(&table(format, &[("ts", ty)]), &line);
        facts.refused.first().map(|refused| refused.reason.clone()).unwrap_or_default()
    };
    let (plain, zoned) = (Type::Timestamp(3), Type::TimestampLtz(3));
    let iso = "'json.timestamp-format.standard' = 'ISO-8601' in the table's WITH, for times with a T like 2026-11-21T08:01:00";
    for (standard, ty, text, expected) in [
        (false, &plain, "2026-11-21T08:01:00", iso.to_owned()),
        (
            false,
            &plain,
            "2026-11-21T08:01:00.5Z",
            format!("{iso}, and TIMESTAMP_LTZ(3) as its type, for times with a Z"),
        ),
        (false, &zoned, "2026-11-21T08:01:00Z", iso.to_owned()),
        (true, &plain, "2026-11-21T08:01:00Z", "TIMESTAMP_LTZ(3) as its type, for times with a Z".to_owned()),
        (true, &zoned, "2026-11-21T08:01:00", "TIMESTAMP(3) as its type, for times without a Z".to_owned()),
        (
            true,
            &plain,
            "2026-11-21T08:01:00+02:00",
            "STRING as its type, and a conversion in the query: only Z is taken for a zone".to_owned(),
        ),
    ] {
        let found = reason(standard, ty.clone(), text);
        assert_eq!(found, format!("field \"ts\": \"{text}\" is no {ty}; it needs {expected}"));
    }
    // What is no time at all gets no advice; what is one after the advice is read.
    assert_eq!(reason(false, plain.clone(), "yesterday"), "field \"ts\": \"yesterday\" is no TIMESTAMP(3)");
    assert_eq!(reason(true, plain, "2026-11-21T08:01:00"), "");
    assert_eq!(reason(true, zoned, "2026-11-21T08:01:00Z"), "");
}

#[test]
fn a_byte_order_mark_before_the_first_record_is_passed_over() {
    let (batch, facts) = decode_first(
        &table(TableFormat::Json(JsonFormat::default()), &[("a", Type::Int)]),
        "\u{feff}{\"a\":1}\n{\"a\":2}\n",
    );
    assert_eq!((batch.rows, facts.refused.len()), (2, 0));
}
