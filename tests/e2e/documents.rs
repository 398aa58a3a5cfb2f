//! What a line becomes, whatever it is made of.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use e2e::agent::{Agent, PATIENCE, Room};
use e2e::endpoint::Endpoint;
use e2e::oracle::{Oracle, field};
use e2e::seed::Rng;
use e2e::writer::Writer;
use e2e::{process, wait};
use serde_json::{Value, json};

const INDEX: &str = "logs-documents";

fn large() -> bool {
    std::env::var("LARGE").is_ok_and(|value| value == "1")
}

/// An agent over `logs/*.log` with these lines in `[source]` and this `[decode]`.
fn agent(room: &Room, endpoint: &Endpoint, source: &str, decode: &str) -> Agent {
    let job = room.raw_job("*.log", &endpoint.url(), INDEX, "");
    room.agent(&job.replace("[decode]\nformat = \"raw\"", &format!("{source}\n[decode]\n{decode}")))
}

fn messages(endpoint: &Endpoint) -> Vec<String> {
    let documents = endpoint.documents(|documents| documents.in_order(INDEX));
    documents.iter().map(|document| field(document, "message").unwrap().as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_raw_line_becomes_an_ecs_document() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let path = room.file("logs/app.log", "first\nsecond \"quoted\" \\ \t tab\r\n\nfourth é木\u{1}\n");
    let decode = "format = \"raw\"\nhost = \"web1\"\nfields = { service = { name = \"shop\" }, tags = [\"a\"] }";
    agent(&room, &endpoint, "", decode).once_well();
    let mut documents = endpoint.documents(|documents| documents.in_order(INDEX));
    assert_eq!(messages(&endpoint), ["first", "second \"quoted\" \\ \t tab", "", "fourth é木\u{1}"]);
    let offsets: Vec<u64> = documents.iter().map(|d| field(d, "log.offset").unwrap().as_u64().unwrap()).collect();
    assert_eq!(offsets, [0, 6, 31, 32]);
    let mut second = documents.swap_remove(1);
    let time = second.as_object_mut().unwrap().remove("@timestamp").unwrap();
    assert!(time.as_str().unwrap().starts_with("20") && time.as_str().unwrap().ends_with('Z'), "{time}");
    assert_eq!(
        second,
        json!({
            "message": "second \"quoted\" \\ \t tab",
            "log": { "file": { "path": path.to_str().unwrap() }, "offset": 6 },
            "host": { "name": "web1" }, "service": { "name": "shop" }, "tags": ["a"],
        })
    );
}

#[test]
fn ids_are_made_of_job_agent_source_and_offset() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.log", "first\nsecond\n");
    agent(&room, &endpoint, "", "format = \"raw\"").once_well();
    let mut ids: Vec<String> =
        endpoint.documents(|documents| documents.of(INDEX).map(|(id, _)| id.to_owned()).collect());
    ids.sort();
    let parts: Vec<Vec<&str>> = ids.iter().map(|id| id.split('.').collect()).collect();
    assert_eq!((parts[0][0], parts[0][3], parts[1][3]), ("job", "0", "6"), "{ids:?}");
    assert_eq!(parts[0][..3], parts[1][..3]);
}

#[test]
fn json_lines_keep_their_bytes_and_win_over_added_fields() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let lines = [
        r#"{"a":1.50,"b":{"c":[1, 2 ,3]},"big":12345678901234567890123}"#,
        r#"{"@timestamp":"2020-01-01T00:00:00Z","host":"own","log":{"level":"x"},"service":"mine","n":1}"#,
        "  {\"spaced\" : true }  ",
        "{}",
    ];
    room.file("logs/app.log", lines.join("\n") + "\n");
    let decode = "format = \"json\"\nhost = \"web1\"\nfields = { service = \"added\" }";
    agent(&room, &endpoint, "", decode).once_well();
    let documents = endpoint.documents(|documents| documents.in_order(INDEX));
    assert_eq!(documents.len(), 4);
    assert!(
        endpoint.documents(|d| d.of(INDEX).any(|(_, doc)| doc.source.windows(8).any(|w| w == b"\"a\":1.50"))),
        "numbers keep their digits"
    );
    assert_eq!(field(&documents[0], "service"), Some(&json!("added")));
    assert_eq!(field(&documents[0], "host.name"), Some(&json!("web1")));
    assert_eq!(
        documents[1],
        json!({
            "@timestamp": "2020-01-01T00:00:00Z", "host": "own", "log": { "level": "x" }, "service": "mine", "n": 1
        })
    );
    assert_eq!(field(&documents[2], "spaced"), Some(&json!(true)));
    assert_eq!(
        field(&documents[3], "log.offset").and_then(Value::as_u64),
        Some(lines[..3].iter().map(|l| l.len() as u64 + 1).sum())
    );
}

#[test]
fn a_line_that_is_no_json_object_becomes_a_message_with_the_error() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let lines = ["plain text", "[1,2]", "{\"a\":1", "{\"a\":1}{\"b\":2}", "{\"a\":01}", "\"text\"", "{\"ok\":1}"];
    room.file("logs/app.log", lines.join("\n") + "\n");
    agent(&room, &endpoint, "", "format = \"json\"").once_well();
    let documents = endpoint.documents(|documents| documents.in_order(INDEX));
    assert_eq!(documents.len(), lines.len());
    for (document, line) in documents.iter().zip(lines).take(6) {
        assert_eq!(field(document, "message"), Some(&json!(line)));
        assert!(field(document, "error.type").is_some(), "{document}");
    }
    assert!(field(&documents[6], "error.type").is_none() && documents[6]["ok"] == 1);
}

#[test]
fn invalid_utf8_is_replaced_and_counted_in_raw_and_in_json() {
    for format in ["raw", "json"] {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        room.file(
            "logs/app.log",
            b"{\"text\":\"a\xff\xfeb\",\"n\":1}\n{\"text\":\"fine\",\"n\":2}\n{\"k\xc3\":3,\"n\":3}\n",
        );
        let mut agent = agent(&room, &endpoint, "", &format!("format = \"{format}\""));
        agent.start_ready();
        endpoint.wait_count(INDEX, 3, PATIENCE);
        let documents = endpoint.documents(|documents| documents.in_order(INDEX));
        if format == "json" {
            assert_eq!(documents[0]["text"], "a\u{fffd}\u{fffd}b", "{documents:?}");
            assert_eq!(documents[2]["n"], 3);
        } else {
            assert_eq!(messages(&endpoint)[0], "{\"text\":\"a\u{fffd}\u{fffd}b\",\"n\":1}");
        }
        assert_eq!(agent.ctl().metric("invalid_utf8_records_total"), 2, "{format}");
    }
}

#[test]
fn the_timestamp_comes_from_the_field_that_the_job_names() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let lines = [
        r#"{"t":{"at":"2024-03-05T06:07:08.9+02:00"}}"#,
        r#"{"t":{"at":1709618828}}"#,
        r#"{"t":{"at":1709618828123}}"#,
        r#"{"t":{"at":"never"}}"#,
    ];
    room.file("logs/app.log", lines.join("\n") + "\n");
    agent(&room, &endpoint, "", "format = \"json\"\ntimestamp = \"t.at\"").once_well();
    let documents = endpoint.documents(|documents| documents.in_order(INDEX));
    let times: Vec<&str> = documents.iter().map(|d| d["@timestamp"].as_str().unwrap()).collect();
    assert_eq!(times[..3], ["2024-03-05T04:07:08.900Z", "2024-03-05T06:07:08.000Z", "2024-03-05T06:07:08.123Z"]);
    assert!(times[3] > "2025", "a time that can't be read gives the time of the commit");
}

#[test]
fn records_without_a_readable_time_are_counted_told_and_kept_out_of_todays_index() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut lines = vec![r#"{"t":"2024-03-05T06:07:08Z"}"#.to_owned(), r#"{"n":1}"#.to_owned(), "no json".to_owned()];
    lines.extend((0..500).map(|number| format!(r#"{{"t":"yesterday","n":{number}}}"#)));
    room.file("logs/app.log", lines.join("\n") + "\n");
    let job = room.raw_job("*.log", &endpoint.url(), "logs-%Y.%m.%d", "");
    let mut agent = room.agent(&job.replace("format = \"raw\"", "format = \"json\"\ntimestamp = \"t\""));
    agent.start_ready();
    endpoint.wait_count("logs-fallback", 502, PATIENCE);
    endpoint.wait_count("logs-2024.03.05", 1, PATIENCE);
    let ctl = agent.ctl();
    assert_eq!((ctl.metric("untimed_records_total"), ctl.metric("undecodable_records_total")), (501, 1));
    assert_eq!(ctl.number("untimed_records"), Some(501));
    assert!(ctl.run(&["status"]).contains("no time can be read in 501 records"), "{}", ctl.run(&["status"]));
    let documents = endpoint.documents(|documents| documents.in_order("logs-fallback"));
    assert!(
        documents.iter().all(|document| document["@timestamp"].as_str().unwrap() > "2025"),
        "not the time of reading"
    );
    let log = agent.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("no readable time")).collect();
    assert_eq!(said.len(), 1, "{log}");
    for word in ["field=t", "found=nothing", "expected=RFC 3339", "the time of reading, index logs-fallback"] {
        assert!(said[0].contains(word), "{word} is not in {}", said[0]);
    }
}

#[test]
fn an_index_is_made_of_event_time_and_fields_within_its_prefix() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let lines = [
        r#"{"service":"shop","@timestamp":"2024-03-05T06:07:08Z"}"#,
        r#"{"service":"../evil","@timestamp":"2024-03-05T06:07:08Z"}"#,
        r#"{"@timestamp":"2024-03-05T06:07:08Z"}"#,
        r#"{"service":"shop","@timestamp":"nonsense"}"#,
    ];
    room.file("logs/app.log", lines.join("\n") + "\n");
    let job = room.raw_job("*.log", &endpoint.url(), "logs-%{service}-%Y.%m.%d", "");
    room.agent(&job.replace("\"raw\"", "\"json\"")).once_well();
    let indices = endpoint.documents(|documents| {
        documents.indices().iter().map(|index| (index.to_string(), documents.of(index).count())).collect::<Vec<_>>()
    });
    assert!(indices.contains(&("logs-shop-2024.03.05".to_owned(), 1)), "{indices:?}");
    assert!(
        indices.iter().all(|(index, _)| index.starts_with("logs-") && !index.contains(['/', '.', ' '])
            || index == "logs-shop-2024.03.05"),
        "{indices:?}"
    );
    assert_eq!(indices.iter().map(|(_, count)| count).sum::<usize>(), 4);
    assert!(indices.iter().any(|(index, _)| index == "logs-fallback"), "{indices:?}");
}

#[test]
fn t07_a_nul_hole_is_passed_over_quickly_and_counted() {
    let hole: u64 = if large() { 2 << 30 } else { 64 << 20 };
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let path = room.logs().join("app.log");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).unwrap();
    let mut agent = agent(&room, &endpoint, "", "format = \"raw\"");
    agent.start_ready();
    file.write_all(b"before\n").unwrap();
    endpoint.wait_count(INDEX, 1, PATIENCE);
    // A writer that does not append goes on at its old offset after the file was emptied.
    file.set_len(0).unwrap();
    file.seek(SeekFrom::Start(hole)).unwrap();
    file.write_all(b"after the hole\nand on\n").unwrap();
    endpoint.wait_count(INDEX, 3, PATIENCE);
    assert_eq!(messages(&endpoint), ["before", "after the hole", "and on"]);
    assert_eq!(agent.ctl().metric("nul_bytes_total"), hole);
    let peak = process::peak_resident(agent.pid()).unwrap();
    assert!(peak < 100_000_000, "{peak} bytes at its peak");
}

#[test]
fn t08_a_line_that_grows_slowly_is_one_document() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = agent(&room, &endpoint, "partial_after = \"5s\"", "format = \"raw\"");
    agent.start_ready();
    let mut file = OpenOptions::new().create(true).append(true).open(room.logs().join("app.log")).unwrap();
    for byte in b"slowly written\nnext\n" {
        file.write_all(&[*byte]).unwrap();
        wait::pass(Duration::from_millis(20));
    }
    endpoint.wait_count(INDEX, 2, PATIENCE);
    assert_eq!(messages(&endpoint), ["slowly written", "next"]);
    assert_eq!(agent.ctl().metric("partial_lines_total"), 0);
}

#[test]
fn t08_a_part_shipped_by_timeout_is_flagged_and_continued_and_never_sent_again() {
    for crash in [false, true] {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        let mut agent = agent(&room, &endpoint, "partial_after = \"300ms\"", "format = \"raw\"");
        agent.start_ready();
        let mut file = OpenOptions::new().create(true).append(true).open(room.logs().join("app.log")).unwrap();
        file.write_all(b"whole\nbegin of").unwrap();
        endpoint.wait_count(INDEX, 2, PATIENCE);
        if crash {
            agent.kill();
            agent.start_ready();
        }
        file.write_all(b" a line\nnext\n").unwrap();
        endpoint.wait_count(INDEX, 4, PATIENCE);
        assert_eq!(messages(&endpoint), ["whole", "begin of", " a line", "next"]);
        let documents = endpoint.documents(|documents| documents.in_order(INDEX));
        assert_eq!(field(&documents[1], "log.flags"), Some(&json!(["partial"])), "{}", documents[1]);
        assert_eq!(field(&documents[2], "log.continues"), Some(&json!(6)), "{}", documents[2]);
        assert_eq!(field(&documents[2], "log.offset"), Some(&json!(14)));
        agent.stop();
        assert_eq!(endpoint.count(INDEX), 4);
    }
}

#[test]
fn t08_with_once_a_last_line_without_newline_is_shipped_and_its_completion_is_not_doubled() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    room.file("logs/app.log", "one\ntwo");
    let mut agent = agent(&room, &endpoint, "", "format = \"raw\"");
    agent.once_well();
    assert_eq!(messages(&endpoint), ["one", "two"]);
    agent.once_well();
    assert_eq!(endpoint.count(INDEX), 2);
    room.file("logs/app.log", "one\ntwo\nthree\n");
    agent.once_well();
    assert_eq!(messages(&endpoint).last().unwrap(), "three");
    // The rest of the second line is its newline alone: no document, or an empty continuation.
    let words: Vec<String> = messages(&endpoint).into_iter().filter(|message| !message.is_empty()).collect();
    assert_eq!(words, ["one", "two", "three"]);
}

#[test]
fn t08_a_half_json_line_is_no_part_while_it_grows_and_waits_for_its_newline_over_runs() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut agent = agent(&room, &endpoint, "", "format = \"json\"");
    let mut file = OpenOptions::new().create(true).append(true).open(room.logs().join("app.log")).unwrap();
    agent.start_ready();
    file.write_all(b"{\"n\":1}\n").unwrap();
    endpoint.wait_count(INDEX, 1, PATIENCE);
    // Longer than a raw line waits (5 s), and it grows meanwhile.
    for byte in b"{\"n\":2" {
        file.write_all(&[*byte]).unwrap();
        wait::pass(Duration::from_secs(1));
    }
    assert_eq!((endpoint.count(INDEX), agent.ctl().metric("partial_lines_total")), (1, 0));
    agent.stop();
    // A bounded run leaves it, and what looks like a whole object without its newline, to the next one.
    agent.once_well();
    file.write_all(b"}").unwrap();
    agent.once_well();
    assert_eq!(endpoint.count(INDEX), 1);
    file.write_all(b"\n{\"n\":3}\n").unwrap();
    agent.once_well();
    let documents = endpoint.documents(|documents| documents.in_order(INDEX));
    assert_eq!(documents.iter().map(|d| d["n"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert!(documents.iter().all(|d| field(d, "error").is_none() && field(d, "log.flags").is_none()), "{documents:?}");
}

#[test]
fn t09_long_lines_follow_the_policy_and_are_never_held_in_memory() {
    let length: usize = if large() { 1 << 30 } else { 48 << 20 };
    for policy in ["truncate", "split", "dead-letter"] {
        let (room, endpoint) = (Room::new(), Endpoint::start());
        let path = room.logs().join("app.log");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(b"short\n").unwrap();
        let block = vec![b'x'; 1 << 20];
        (0..length >> 20).for_each(|_| file.write_all(&block).unwrap());
        file.write_all(b"\nafter\n").unwrap();
        let source = format!("max_line_bytes = \"256 KiB\"\nlong_lines = \"{policy}\"");
        let mut agent = agent(&room, &endpoint, &source, "format = \"raw\"");
        agent.start_ready();
        let expected = match policy {
            "truncate" => 3,
            "split" => 2 + length / (256 << 10),
            _ => 2,
        };
        endpoint.wait_count(INDEX, expected, PATIENCE);
        let all = messages(&endpoint);
        assert!(all.contains(&"short".to_owned()) && all.contains(&"after".to_owned()), "{policy}");
        match policy {
            "truncate" => {
                let documents = endpoint.documents(|documents| documents.in_order(INDEX));
                assert_eq!(all[1].len(), 256 << 10);
                assert_eq!(field(&documents[1], "log.flags"), Some(&json!(["truncated"])));
            }
            "split" => assert_eq!(all.iter().map(String::len).sum::<usize>(), length + 10),
            _ => {
                wait::holds("there is a dead letter", PATIENCE, || agent.ctl().dead_letters().len() == 1);
                let letter = &agent.ctl().dead_letters()[0];
                assert_eq!(letter["status"], 0, "{letter}");
            }
        }
        assert_eq!(endpoint.count(INDEX), expected, "{policy}");
        let peak = process::peak_resident(agent.pid()).unwrap();
        assert!(peak < 120_000_000, "{policy}: {peak} bytes at its peak");
        agent.stop();
    }
}

#[test]
fn t09_strange_encodings_make_valid_documents() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let mut bytes = Vec::new();
    bytes.extend("UTF-16: ä\n".encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend_from_slice(b"\nGBK: \xc4\xe3\xba\xc3\nlone\rreturn\ncut \xe6\x9c\n\xf0\x9f\x98\n");
    bytes.extend_from_slice(&[0xff; 1000]);
    bytes.push(b'\n');
    room.file("logs/app.log", &bytes);
    agent(&room, &endpoint, "", "format = \"raw\"").once_well();
    let all = messages(&endpoint);
    assert!(
        all.contains(&"GBK: \u{fffd}\u{fffd}\u{fffd}\u{fffd}".to_owned()) || all.iter().any(|m| m.starts_with("GBK: "))
    );
    assert!(all.contains(&"lone\rreturn".to_owned()), "{all:?}");
    assert_eq!(all.len(), bytes.iter().filter(|byte| **byte == b'\n').count());
}

#[test]
fn standard_input_is_shipped_to_its_end() {
    let (room, endpoint) = (Room::new(), Endpoint::start());
    let oracle = Oracle::new(Rng::for_test("stdin"));
    let input = room.path().join("input.txt");
    Writer::new(&input, &oracle).lines(5000);
    let job = room.raw_job("x", &endpoint.url(), INDEX, "");
    let (_, rest) = job.split_once("[decode]").unwrap();
    let mut agent = room.agent(&format!("[source]\ntype = \"stdin\"\n[decode]{rest}")).stdin(input.clone());
    agent.start();
    assert!(agent.wait(PATIENCE).success(), "{}", agent.log());
    assert_eq!(oracle.compare(&endpoint, INDEX).missing, Vec::<u64>::new());
    assert_eq!(endpoint.count(INDEX), 5000);
    // Another run is another input, though it looks the same.
    agent.once_well();
    assert_eq!(endpoint.count(INDEX), 10_000);
}
