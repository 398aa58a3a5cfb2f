//! No secret is ever shown, and no text makes the parser panic, whatever stands in a file.

use proptest::prelude::*;

use super::*;

/// A job with a secret in every place that may hold one.
const FULL: &str = r#"id = "full"
[source]
type = "file"
paths = ["/var/log/*.log", "/srv/**/x.log"]
start = "last 1 MiB"
[decode]
format = "json"
fields = { service = "web", n = [1, 2] }
timestamp = "time"
[sink]
type = "elasticsearch"
endpoints = ["https://es:9200"]
index = "logs-%{service}-%Y.%m.%d"
user = "elastic"
password = "hunter2" # hunter2
api_key = 'hunter2'
bearer_token = """hunter2
hunter2"""
proxy = "http://u:hunter2@proxy:3128"
headers = { X-Key = "hunter2", Authorization = "Bearer hunter2" }
[sink.tls]
verify = false
[sink.bulk]
linger = "200ms"
"#;

#[test]
fn no_message_about_a_secret_shows_it() {
    let long = "x".repeat(300);
    for text in [
        "password = \"hunter2\"",
        "pasword = \"hunter2\"",
        "passwd = 'hunter2' # hunter2",
        "api_key = [\"hunter2\"]",
        "apikey = \"hunter2\"",
        "bearer_token = \"${hunter2}\"",
        "bearer = { x = \"hunter2\" }",
        "secret_thing = \"hunter2\"",
        "endpoint = \"http://u:hunter2@es:9200\"",
        "endpoints = [\"http://u:hunter2@es:9200\", \"x\"]",
        "proxy = \"hunter2\"",
        "proxy = \"ftp://u:hunter2@x\"",
        "headers = { Host = \"hunter2\" }",
        "headers = \"hunter2\"",
        "index = \"${env:UPPER}\"",
        "datasource = \"${env:SECRET}\"",
        "park_for = \"${env:SECRET}\"",
        "pipeline = \"x\", password = \"hunter2\"",
        "password = hunter2",
        "password: hunter2",
        "password = \"hunter2",
        "password = \"\"\"\nhunter2",
        "tls = { password = \"hunter2\", x }",
        "sink.password = hunter2",
        "user = \"x\" hunter2 = hunter2",
        "bulk = { linger = 5, x = \"hunter2\" }",
        "hunter2_is_here",
    ] {
        for text in [format!("[sink]\n{text}\n"), format!("[sink]\nindex = \"{long}\"\n{text}\n")] {
            let (_, problems) = parse(&text);
            let shown = problems.to_string();
            assert!(!shown.is_empty(), "{text}");
            assert!(!shown.to_lowercase().contains("hunter2"), "{text}\ngives\n{shown}");
            assert!(!format!("{problems:?}").to_lowercase().contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn a_plan_does_not_tell_its_secrets_either() {
    let text = format!("{SMALLEST}user = \"u\"\npassword = \"hunter2\"\n");
    let plan = parse(&text).0.unwrap();
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn a_file_of_nothing_but_mistakes_is_told_of_a_hundred() {
    let text: String = (0..5000).map(|n| format!("zzz{n} = 1\n")).collect();
    let (_, problems) = parse(&text);
    assert_eq!(problems.errors(), 101);
    assert!(problems.to_string().ends_with("nginx.toml: and 4902 more like these\n"));
    let one_line = format!("x = [{}]\n[sink]\n", "{ a = 1 }, ".repeat(50_000));
    assert!(parse(&one_line).1.has_errors());
}

/// One change to a good file: cut out, put in, double, swap.
fn mutate(text: &str, at: usize, length: usize, put: &str) -> String {
    let boundary = |mut at: usize| {
        at %= text.len() + 1;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(at);
    let end = boundary((start + length).min(text.len())).max(start);
    format!("{}{put}{}", &text[..start], &text[end..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_either_a_plan_or_problems(text in any::<String>()) {
        let (plan, problems) = parse(&text);
        prop_assert_eq!(plan.is_none(), problems.has_errors());
        let escapes = problems.to_string().contains(char::from(27));
        prop_assert!(!escapes);
    }

    #[test]
    fn lines_of_toml_are_either_a_plan_or_problems(
        text in r#"((\[{1,2}(source|sink|sink\.tls|decode|x)\]{1,2}|(paths|type|index|linger|fields|"é") ?= ?("[a-zé$\{\}%:]{0,8}"|[0-9]{1,3}|\[.{0,6}\]|\{.{0,6}\})) ?(#.{0,5})?\n){0,12}"#
    ) {
        let (plan, problems) = parse(&text);
        prop_assert_eq!(plan.is_none(), problems.has_errors());
    }

    #[test]
    fn a_good_job_with_a_few_changes_never_panics_and_never_shows_a_secret(
        changes in prop::collection::vec(
            (any::<usize>(), 0_usize..12, prop::sample::select(vec![
                "", "\"", "'", "\n", "=", "[", "]", "{", "}", ",", "#", "é", "x", "\"\"\"", "\r", "\t", "5", "[sink]\n", "${",
            ])),
            1..6,
        )
    ) {
        let mut text = FULL.to_owned();
        for (at, length, put) in changes {
            text = mutate(&text, at, length, put);
        }
        let (plan, problems) = parse(&text);
        prop_assert_eq!(plan.is_none(), problems.has_errors());
        let shown = problems.to_string();
        prop_assert!(!shown.contains("hunter2"), "{}\ngives\n{}", text, shown);
    }
}
