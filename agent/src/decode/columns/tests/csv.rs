//! Lines of separated values: Flink's conversions.

use super::*;

fn rows(format: CsvFormat, columns: &[Type], data: &str) -> Result<Vec<Vec<Value>>, String> {
    let columns: Vec<(&str, Type)> = columns.iter().map(|ty| ("c", ty.clone())).collect();
    let (batch, facts) = decode(&table(TableFormat::Csv(format), &columns), data);
    match facts.refused.first() {
        Some(refused) => Err(refused.reason.clone()),
        None => Ok((0..batch.rows).map(|row| batch.columns.iter().map(|c| c.value(row)).collect()).collect()),
    }
}

fn texts(format: CsvFormat, count: usize, line: &str) -> Result<Vec<String>, String> {
    let rows = rows(format, &vec![Type::STRING; count], &format!("{line}\n"))?;
    let shown = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    Ok(rows.iter().flatten().map(shown).collect())
}

#[test]
fn fields_are_cut_as_rfc_4180_and_jackson_do() {
    let plain = CsvFormat::default;
    let escape = || CsvFormat { escape: Some('\\'), ..plain() };
    let no_quote = || CsvFormat { quote: None, ..plain() };
    let odd = || CsvFormat { delimiter: '‖', quote: Some('«'), ..plain() };
    let tab = || CsvFormat { delimiter: '\t', ..plain() };
    let cases: Vec<(CsvFormat, &str, Vec<&str>)> = vec![
        (plain(), "a,b", vec!["a", "b"]),
        (plain(), " a , b ", vec![" a ", " b "]),
        (plain(), ",", vec!["", ""]),
        (plain(), "\"a,b\",\"c\"\"d\"", vec!["a,b", "c\"d"]),
        (plain(), "\"a\"  ,\" b \"", vec!["a", " b "]),
        (plain(), "a\"b\",c", vec!["a\"b\"", "c"]),
        (plain(), "\"\",\"é\"", vec!["", "é"]),
        (plain(), "a\\,b", vec!["a\\", "b"]),
        (plain(), "a,b,", vec!["a", "b"]),
        (escape(), "a\\,b,\"c\\\"\\n\\é\"", vec!["a,b", "c\"\né"]),
        (escape(), "\\\"a,b", vec!["\"a", "b"]),
        (no_quote(), "\"a,b\"", vec!["\"a", "b\""]),
        (odd(), "é‖«b‖««c«", vec!["é", "b‖«c"]),
        (tab(), "a\t\"b\"\t", vec!["a", "b"]),
    ];
    for (format, line, expected) in cases {
        assert_eq!(texts(format, 2, line), Ok(expected.into_iter().map(str::to_owned).collect()), "{line}");
    }
    for (format, line, reason) in [
        (plain(), "\"a,b", "missing closing quote"),
        (plain(), "\"a\"x,b", "text behind a closing quote"),
        (escape(), "a,b\\", "nothing behind an escape"),
        (plain(), "a", "2 fields expected, found 1"),
        (plain(), "a,b,c", "2 fields expected, found 3"),
        (plain(), "a,b,,", "2 fields expected, found 4"),
    ] {
        assert_eq!(texts(format, 2, line), Err(reason.to_owned()), "{line}");
    }
}

#[test]
fn fields_become_what_flink_makes_of_them() {
    use Type::*;
    for (ty, field, expected) in [
        (Int, " 5 ", Some(Value::Int(5))),
        (Int, "", None),
        (Int, "5.0", None),
        (BigInt, "-7", Some(Value::Int(-7))),
        (Boolean, "True", Some(Value::Bool(true))),
        (Boolean, "", Some(Value::Bool(false))),
        (Double, "1e3", Some(Value::Double(1000.0))),
        (Decimal(4, 1), "1.25", Some(Value::Decimal(13))),
        (Decimal(4, 1), " 1", None),
        (Date, "2026-1-2", Some(Value::Int(20_455))),
        (Date, "2026-02-30", Some(Value::Int(20_514))),
        (Time(0), "08:01", Some(Value::Int(28_860_000_000))),
        (Timestamp(3), " 2026-11-21 08:01:00 ", Some(Value::Int(1_795_248_060_000_000))),
        (TimestampLtz(3), "2026-11-21 08:01:00Z", Some(Value::Int(1_795_248_060_000_000))),
        (Type::BYTES, "aGk=", Some(Value::Bytes(b"hi".as_slice().into()))),
        (Array(Box::new(Int)), "1; 2", Some(Value::Array(vec![Value::Int(1), Value::Int(2)]))),
        (Array(Box::new(Int)), " ", Some(Value::Array(vec![]))),
        (Array(Box::new(Int)), "1;x", None),
        (
            Row(vec![("a".into(), Int), ("b".into(), Type::STRING)]),
            "1;x;y",
            Some(Value::Row(vec![Value::Int(1), text("x")])),
        ),
        (Row(vec![("a".into(), Int), ("b".into(), Type::STRING)]), "1", None),
        (Map(Box::new(Type::STRING), Box::new(Int)), "a", None),
    ] {
        let got = rows(CsvFormat::default(), &[ty.clone(), Type::STRING], &format!("{field},x\n"));
        assert_eq!(got.clone().ok().map(|rows| rows[0][0].clone()), expected, "{field} as {ty}: {got:?}");
        if expected.is_none() {
            let ignoring = CsvFormat { ignore_parse_errors: true, ..CsvFormat::default() };
            let got = rows(ignoring, &[ty.clone(), Type::STRING], &format!("{field},x\n")).unwrap();
            let Value::Null = got[0][0] else {
                assert!(matches!(ty, Array(_) | Row(_)), "{got:?}");
                continue;
            };
        }
    }
}

#[test]
fn null_literals_comments_and_missing_fields() {
    let format = CsvFormat { null_literal: Some("n/a".into()), allow_comments: true, ..CsvFormat::default() };
    let got = rows(format, &[Type::Int, Type::STRING], "# x\nn/a,\"n/a\"\n\n1,#\n").unwrap();
    assert_eq!(got, [[Value::Null, Value::Null], [Value::Int(1), text("#")]]);
    let ignoring = CsvFormat { ignore_parse_errors: true, ..CsvFormat::default() };
    let plan = table(TableFormat::Csv(ignoring), &[("a", Type::Int), ("b", Type::STRING)]);
    let (batch, facts) = decode(&plan, "1\nx,y\n1,2,3\n\"\n");
    assert_eq!(batch.columns[0].nulls, Some(vec![false, true]));
    assert_eq!(batch.columns[1].nulls, Some(vec![true, false]));
    assert_eq!((facts.skipped, facts.null_fields), (2, 1));
}

#[test]
fn only_the_columns_that_are_read_are_converted() {
    let mut plan =
        table(TableFormat::Csv(CsvFormat::default()), &[("a", Type::Int), ("b", Type::Int), ("c", Type::Int)]);
    plan.columns.remove(1);
    plan.columns.swap(0, 1);
    let (batch, facts) = decode(&plan, "1,x,3\n1,2\n");
    assert_eq!((batch.columns[0].value(0), batch.columns[1].value(0)), (Value::Int(3), Value::Int(1)));
    assert_eq!((batch.rows, facts.refused.len()), (1, 1));
}

#[test]
fn a_first_line_that_names_the_columns_is_passed_over_where_the_table_says_so() {
    let read = |format: CsvFormat, data: &str| {
        let columns = [("name", Type::STRING), ("number", Type::Int)];
        let (batch, facts) = decode_first(&table(TableFormat::Csv(format), &columns), data);
        (batch.rows, facts.blank, facts.refused.len())
    };
    let header = CsvFormat { header: true, ..CsvFormat::default() };
    assert_eq!(read(header.clone(), "name,number\nx,1\n"), (1, 1, 0));
    assert_eq!(read(header.clone(), "\u{feff}name,number\r\nx,1\r\n"), (1, 1, 0));
    assert_eq!(read(CsvFormat::default(), "name,number\nx,1\n"), (1, 0, 1));
    // Only a file's own first line.
    let later = decode(&table(TableFormat::Csv(header), &[("name", Type::STRING), ("number", Type::Int)]), "x,1\n");
    assert_eq!(later.0.rows, 1);
}
