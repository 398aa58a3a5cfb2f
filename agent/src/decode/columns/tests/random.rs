//! The quick scanner and serde_json agree on everything; no bytes make decoding panic.

use proptest::prelude::*;

use super::scan::{Memory, Names, Slot, parse, scan};
use super::*;

fn space() -> impl Strategy<Value = String> {
    "[ \t\r]{0,2}"
}

/// JSON texts of every shape, most of them well-formed.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:e}")),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        string(),
        "[-+.0-9eEa-z\"]{0,6}",
    ];
    scalar.prop_recursive(4, 32, 5, |inner| {
        let member = (string(), space(), inner.clone(), space());
        prop_oneof![
            prop::collection::vec((inner, space()), 0..5).prop_map(|elements| {
                let texts: Vec<String> = elements.into_iter().map(|(json, space)| format!("{space}{json}")).collect();
                format!("[{}]", texts.join(","))
            }),
            prop::collection::vec(member, 0..5).prop_map(object),
        ]
    })
}

fn object(members: Vec<(String, String, String, String)>) -> String {
    let texts: Vec<String> = members.into_iter().map(|(key, a, json, b)| format!("{a}{key}{b}:{a}{json}{b}")).collect();
    format!("{{{}}}", texts.join(","))
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("\"a\"".to_owned()),
        4 => Just("\"key\"".to_owned()),
        1 => Just("\"\\u0061\"".to_owned()),
        3 => "[^\"\\\\\u{0}-\u{1f}]{0,20}".prop_map(|text| format!("\"{text}\"")),
        2 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => "\"[\\\\a-fu0-9nrt\"/]{0,12}\"",
        1 => "\"\\\\u[0-9a-fD]{4}(\\\\uD[c-f][0-9a-f]{2})?\"",
    ]
}

fn line() -> impl Strategy<Value = String> {
    let member = (string(), space(), json(), space());
    prop_oneof![
        8 => (space(), prop::collection::vec(member, 0..8), space()).prop_map(|(a, members, b)| format!("{a}{}{b}", object(members))),
        1 => json(),
        1 => "[{}\\[\\]:,\"a-c0-9 \\\\-]{0,30}",
    ]
}

/// A line with a byte of it changed, dropped or doubled: mostly a mistake.
fn damaged() -> impl Strategy<Value = String> {
    (line(), any::<prop::sample::Index>(), "[{}\\[\\],:\"\\\\0-9a-z\t\u{1}]?").prop_map(|(line, at, with)| {
        let mut chars: Vec<char> = line.chars().collect();
        if !chars.is_empty() {
            let at = at.index(chars.len());
            chars.splice(at..=at, with.chars());
        }
        chars.into_iter().collect()
    })
}

fn agree(lines: &[String]) -> Result<(), TestCaseError> {
    let names = Names::new(["a", "key", "", "é", "zzz"].into_iter());
    let mut quick = vec![Slot::default(); names.len()];
    let mut slow = quick.clone();
    // kept from line to line, as in a chunk
    let mut memory = Memory::default();
    for line in lines {
        let understood = scan(line, &names, &mut quick, &mut memory);
        let parsed = parse(line, &names, &mut slow);
        match (understood, parsed) {
            (Some(()), Ok(())) => prop_assert_eq!(&quick, &slow),
            (Some(()), Err(error)) => prop_assert!(false, "{}: {}", error, line),
            (None, Ok(())) => prop_assert!(line.contains('\\'), "left to the slow way without need: {}", line),
            (None, Err(_)) => {}
        }
    }
    Ok(())
}

/// A line, and again with other scalars in the same places, and cut off.
fn alike() -> impl Strategy<Value = Vec<String>> {
    (line(), any::<prop::sample::Index>()).prop_map(|(line, at)| {
        let at = if line.is_empty() { 0 } else { at.index(line.chars().count()) };
        let cut: String = line.chars().take(at).collect();
        vec![line.clone(), line.replace('1', "22"), line.replace("true", "[\"a\"]"), cut, line]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_scanner_and_serde_json_take_the_same_lines_and_find_the_same_values(
        lines in prop::collection::vec(line(), 1..4),
    ) {
        agree(&lines)?;
    }

    #[test]
    fn what_is_remembered_of_earlier_lines_changes_nothing(lines in alike()) {
        agree(&lines)?;
    }

    #[test]
    fn the_scanner_takes_no_line_that_serde_json_refuses(lines in prop::collection::vec(damaged(), 1..3)) {
        agree(&lines)?;
    }
}

fn any_type() -> impl Strategy<Value = Type> {
    let scalar = prop::sample::select(vec![
        Type::Null,
        Type::Boolean,
        Type::TinyInt,
        Type::Int,
        Type::BigInt,
        Type::Float,
        Type::Double,
        Type::Decimal(38, 38),
        Type::Decimal(38, 0),
        Type::Decimal(4, 2),
        Type::STRING,
        Type::BYTES,
        Type::Date,
        Type::Time(3),
        Type::Timestamp(0),
        Type::TimestampLtz(6),
        Type::IntervalTime,
    ]);
    scalar.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| Type::Array(Box::new(ty))),
            inner.clone().prop_map(|ty| Type::Map(Box::new(Type::STRING), Box::new(ty))),
            inner.prop_map(|ty| Type::Row(vec![("a".into(), ty)])),
        ]
    })
}

fn any_format() -> impl Strategy<Value = TableFormat> {
    let json = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(missing, ignore, iso)| {
        TableFormat::Json(JsonFormat {
            fail_on_missing_field: missing,
            ignore_parse_errors: ignore,
            iso_timestamps: iso,
        })
    });
    let csv = (any::<bool>(), prop::option::of(Just('\\')), "[;,é]?").prop_map(|(ignore, escape, element)| {
        TableFormat::Csv(CsvFormat {
            ignore_parse_errors: ignore,
            escape,
            element_delimiter: element,
            null_literal: Some("a".into()),
            ..CsvFormat::default()
        })
    });
    prop_oneof![json, csv, Just(TableFormat::Raw)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_decoding_panic_or_lose_count(
        format in any_format(),
        ty in any_type(),
        lines in prop::collection::vec(prop_oneof![
            line().prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..40),
            "[\"\\\\,;a0-9:. TZ-]{0,30}".prop_map(String::into_bytes),
        ], 0..4),
    ) {
        let plan = table(format, &[("a", ty), ("key", Type::STRING)]);
        decode(&plan, lines.join(&b'\n'));
    }

    #[test]
    fn numbers_and_times_read_back_as_they_were_printed(micros in -60_000_000_000_000_000..250_000_000_000_000_000_i64, x: f64, d in -99_999..99_999_i128) {
        let mut out = Vec::new();
        crate::record::print::push_timestamp(micros, b' ', &mut out);
        prop_assert_eq!(temporal::sql_timestamp(std::str::from_utf8(&out).unwrap()), Some(micros));
        out.clear();
        crate::record::print::push_double(x, &mut out);
        let back: f64 = super::text::float(std::str::from_utf8(&out).unwrap()).unwrap();
        prop_assert!(back == x || back.is_nan() && x.is_nan());
        out.clear();
        crate::record::print::push_decimal(d, 3, &mut out);
        prop_assert_eq!(super::text::decimal(std::str::from_utf8(&out).unwrap(), 5, 3), Some(Some(d)));
    }
}
