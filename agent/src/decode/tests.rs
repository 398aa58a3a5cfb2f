//! What decoding promises, on documents that a person can read.

use serde_json::{Value, json};

use super::*;
use crate::record::{Part, Piece, SourceId};

const NOW: Timestamp = Timestamp(1_767_225_600_123);

fn chunk(data: &[u8], piece: Piece) -> Chunk {
    Chunk { source: SourceId(1), path: "/var/log/a \"b\".log".into(), offset: 100, data: data.to_vec(), piece }
}

fn decode(plan: &DecodePlan, chunk: &Chunk) -> Vec<(Value, Facts)> {
    let decoder = Decoder::new(plan, "h1");
    let decoding = decoder.begin(chunk, NOW);
    let mut documents = Vec::new();
    for record in records(chunk) {
        let mut out = Vec::new();
        let facts = decoding.document(&record, &mut out);
        assert!(!out.contains(&b'\n'));
        documents.push((strict(&out), facts));
    }
    documents
}

/// Parses and refuses duplicate top-level keys, as Elasticsearch does.
fn strict(document: &[u8]) -> Value {
    let text = std::str::from_utf8(document).unwrap();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let keys: Vec<String> = serde_json::from_str::<Pairs>(text).unwrap().0;
    let unique: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "duplicate key in {text}");
    value
}

struct Pairs(Vec<String>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Pairs, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Pairs(keys))
            }
        }
        d.deserialize_map(V)
    }
}

fn json_plan() -> DecodePlan {
    DecodePlan { format: Format::Json, fields: vec![("env".into(), json!("prod"))], ..DecodePlan::default() }
}

#[test]
fn a_raw_line_becomes_an_ecs_document() {
    let plan = DecodePlan { fields: vec![("env".into(), json!({"a": [1]}))], ..DecodePlan::default() };
    let got = decode(&plan, &chunk(b"one\r\ntwo \"q\" \\ \x01\xc3\xa4\n\n", Piece::Lines));
    let document = |message: &str, offset: u64| {
        json!({"@timestamp": "2026-01-01T00:00:00.123Z", "message": message, "env": {"a": [1]}, "host": {"name": "h1"},
               "log": {"file": {"path": "/var/log/a \"b\".log"}, "offset": offset}})
    };
    assert_eq!(got[0].0, document("one", 100));
    assert_eq!(got[1].0, document("two \"q\" \\ \u{1}ä", 105));
    assert_eq!(got[2].0, document("", 119));
    assert_eq!(got.len(), 3);
    assert_eq!(got[0].1, Facts { invalid_utf8: false, undecodable: false, time_ms: Some(NOW.0) });
}

#[test]
fn a_part_says_that_it_is_one() {
    let part = Part { partial: true, truncated: false, continues: Some(7) };
    let got = decode(&DecodePlan::default(), &chunk(b"half", Piece::Part(part)));
    assert_eq!(got[0].0["log"]["flags"], json!(["partial"]));
    assert_eq!(got[0].0["log"]["continues"], json!(7));
    assert_eq!(got[0].0["message"], "half");
}

#[test]
fn invalid_utf8_is_replaced_and_said_for_its_record_alone() {
    let got = decode(&DecodePlan::default(), &chunk(b"ok\na\xffb\n", Piece::Lines));
    assert_eq!((got[0].1.invalid_utf8, got[1].1.invalid_utf8), (false, true));
    assert_eq!(got[1].0["message"], "a\u{fffd}b");
    let got = decode(&json_plan(), &chunk(b"{\"a\":\"x\xffy\"}\n", Piece::Lines));
    assert_eq!(got[0].0["a"], "x\u{fffd}y");
    assert!(got[0].1.invalid_utf8 && !got[0].1.undecodable);
}

#[test]
fn a_json_line_keeps_its_own_bytes_and_gets_the_added_fields() {
    let got = decode(&json_plan(), &chunk(b" {\"a\": 1.50, \"b\":{\"log\":2}} \n{}\n", Piece::Lines));
    assert_eq!(got[0].0["b"]["log"], 2);
    assert_eq!(got[0].0["log"]["offset"], 100);
    assert_eq!(got[0].0["env"], "prod");
    assert_eq!(got[0].0["@timestamp"], "2026-01-01T00:00:00.123Z");
    assert_eq!(got[1].0["host"]["name"], "h1");
}

#[test]
fn where_a_line_has_an_added_key_the_lines_own_wins() {
    let line = br#"{"@timestamp":"2020-02-03T04:05:06Z","log":"x","host.ip":"1.2.3.4","e\u006ev":"test"}
"#;
    let (document, facts) = decode(&json_plan(), &chunk(line, Piece::Lines)).remove(0);
    assert_eq!(
        document,
        json!({"@timestamp": "2020-02-03T04:05:06Z", "log": "x", "host.ip": "1.2.3.4", "env": "test"})
    );
    assert_eq!(facts.time_ms, Some(1_580_702_706_000));
}

#[test]
fn a_line_that_is_no_object_is_shipped_as_a_message_with_an_error() {
    for line in ["[1]", "", "null", "{\"a\":1", "{\"a\":1} x", "{a:1}", "\"s\"", "{\"a\":01}"] {
        let (document, facts) = decode(&json_plan(), &chunk(format!("{line}\n").as_bytes(), Piece::Lines)).remove(0);
        assert_eq!(document["message"], *line);
        assert_eq!(document["error"]["type"], "json");
        assert!(facts.undecodable);
    }
}

#[test]
fn the_event_time_comes_from_the_named_field() {
    for (field, formats, line, want) in [
        ("t", vec![], r#"{"t":"2026-01-01T00:00:00+01:00"}"#, Some(1_767_222_000_000)),
        ("t", vec![], r#"{"t":"2026-01-01 00:00:00"}"#, Some(1_767_225_600_000)),
        ("t", vec![], r#"{"t":1767225600}"#, Some(1_767_225_600_000)),
        ("t", vec![], r#"{"t":"1767225600123"}"#, Some(1_767_225_600_123)),
        ("a.t", vec![], r#"{"a":{"x":0,"t":1767225600}}"#, Some(1_767_225_600_000)),
        ("a.t", vec![], r#"{"a.t":1767225600}"#, Some(1_767_225_600_000)),
        ("log.t", vec![], r#"{"log":{"t":1767225600}}"#, Some(1_767_225_600_000)),
        ("t", vec!["%d/%b/%Y:%T %z"], r#"{"t":"01/Jan/2026:01:00:00 +0100"}"#, Some(1_767_225_600_000)),
        ("t", vec!["%s", "%Y%m%d %H%M%S"], r#"{"t":"20260101 000000"}"#, Some(1_767_225_600_000)),
        ("t", vec![], r#"{"t":"yesterday"}"#, None),
        ("t", vec![], r#"{"x":1}"#, None),
    ] {
        let plan = DecodePlan {
            timestamp_field: Some(field.into()),
            timestamp_formats: formats.into_iter().map(String::from).collect(),
            ..json_plan()
        };
        let (document, facts) = decode(&plan, &chunk(format!("{line}\n").as_bytes(), Piece::Lines)).remove(0);
        assert_eq!(facts.time_ms, want, "{field} {line}");
        if let Some(ms) = want {
            assert_eq!(document["@timestamp"], Timestamp(ms).to_rfc3339(), "{line}");
        }
    }
}

#[test]
fn why_a_record_has_no_time_is_said_with_what_is_there_instead() {
    let long = format!(r#"{{"a":{{"t":"{}"}}}}"#, "é".repeat(100));
    let quoted = format!("\"{}…", "é".repeat(79));
    for (field, line, found) in [
        (Some("t"), r#"{"t":"yesterday"}"#, Some("\"yesterday\"")),
        (Some("t"), r#"{"t":null}"#, Some("null")),
        (Some("t"), r#"{"x":1}"#, None),
        (Some("a.t"), r#"{"a":{"x":1}}"#, None),
        (Some("a.t"), r#"{"a":7}"#, None),
        (Some("a.t"), &long, Some(&*quoted)),
        (None, r#"{"@timestamp":"x"}"#, Some("\"x\"")),
    ] {
        let plan = DecodePlan { timestamp_field: field.map(str::to_owned), ..json_plan() };
        let chunk = chunk(format!("{line}\n").as_bytes(), Piece::Lines);
        assert_eq!(decode(&plan, &chunk)[0].1.time_ms, None, "{line}");
        let decoder = Decoder::new(&plan, "h1");
        let untimed = decoder.begin(&chunk, NOW).untimed(&records(&chunk).next().unwrap());
        assert_eq!((untimed.field.as_str(), untimed.found.as_deref()), (field.unwrap_or("@timestamp"), found));
        assert_eq!(untimed.expected, "RFC 3339, or seconds or milliseconds since 1970");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_become_one_valid_document_for_each_line(data: Vec<u8>, lines in "[{}\":a,\n\\[\\]\\\\0]{0,60}") {
        let data = [data, lines.into_bytes()].concat();
        for plan in [DecodePlan::default(), json_plan()] {
            let want = data.split(|b| *b == b'\n').count() - usize::from(data.is_empty() || data.ends_with(b"\n"));
            let decoder = Decoder::new(&plan, "h");
            let chunk = chunk(&data, Piece::Lines);
            let decoding = decoder.begin(&chunk, NOW);
            let mut count = 0;
            for record in records(&chunk) {
                let mut out = Vec::new();
                decoding.document(&record, &mut out);
                let text = std::str::from_utf8(&out).unwrap();
                proptest::prop_assert!(serde_json::from_str::<Value>(text).is_ok(), "{}", text);
                count += 1;
            }
            proptest::prop_assert_eq!(count, want);
        }
    }
}
