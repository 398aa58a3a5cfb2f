//! Typical mistakes, and word for word what people are told.

use super::parse;

/// (what went wrong, the file, what is said).
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "a slip of the finger in a key",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = "http://es:9200"
indx = "logs-nginx"
"#,
        r#"
nginx.toml:7:1: unknown key "indx" in [sink]; did you mean "index"?
    7 | indx = "logs-nginx"
      | ^^^^
"#,
    ),
    (
        "words from another shipper",
        r#"
[input]
type = "file"
path = "/var/log/*.log"
[sink]
type = "elasticsearch"
hosts = ["http://es:9200"]
index = "a"
"#,
        r#"
nginx.toml:1:2: unknown section [input]; did you mean "source"?
    1 | [input]
      |  ^^^^^

nginx.toml:3:1: unknown key "path" in [input]; did you mean "paths"?
    3 | path = "/var/log/*.log"
      | ^^^^

nginx.toml:6:1: unknown key "hosts" in [sink]; did you mean "endpoints"?
    6 | hosts = ["http://es:9200"]
      | ^^^^^
"#,
    ),
    (
        "a string without quotes",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = http://es:9200
index = "a"
"#,
        r#"
nginx.toml:6:12: not TOML: a string must stand in quotes
    6 | endpoint = http://es:9200
      |            ^^^^^^^^^^^^^^
"#,
    ),
    (
        "YAML by habit",
        r#"
[source]
type: file
"#,
        r#"
nginx.toml:2:7: not TOML: this is no key = value
    2 | type: file
      |       ^
"#,
    ),
    (
        "a host without scheme, an index in capitals",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = "localhost:9200"
index = "Logs-Nginx"
"#,
        r#"
nginx.toml:6:12: "endpoint" in [sink]: "localhost:9200" has no scheme; it must begin with http:// or https://; did you mean "http://localhost:9200"?
    6 | endpoint = "localhost:9200"
      |            ^^^^^^^^^^^^^^^^

nginx.toml:7:9: "index" in [sink]: "Logs-Nginx" has upper-case letters; index names are lower-case
    7 | index = "Logs-Nginx"
      |         ^^^^^^^^^^^^
"#,
    ),
    (
        "a number without unit, a unit with two meanings, a number in quotes",
        r#"
[source]
type = "file"
paths = ["/a"]
partial_after = 5
[sink]
type = "elasticsearch"
endpoint = "http://es:9200"
index = "a"
[sink.bulk]
max_bytes = "8M"
max_in_flight = "4"
"#,
        r#"
nginx.toml:4:17: "partial_after" in [source] must be a duration like "200ms" or "5s", or "never", found the integer 5; which unit: "5ms", "5s", "5m"?
    4 | partial_after = 5
      |                 ^

nginx.toml:10:13: "max_bytes" in [sink.bulk] must be a size like "64 MiB" or a number of bytes, found the string "8M"; which is it, "8 MB" (1000) or "8 MiB" (1024)?
   10 | max_bytes = "8M"
      |             ^^^^

nginx.toml:11:17: "max_in_flight" in [sink.bulk] must be an integer from 1 to 256, found the string "4"
   11 | max_in_flight = "4"
      |                 ^^^
"#,
    ),
    (
        "the password in the URL",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = "https://elastic:hunter2@es:9200"
index = "a"
"#,
        r#"
nginx.toml:6:12: "endpoint" in [sink]: credentials don't belong in a URL, where logs would show them; write user = "…" and password = "${file:PATH}"
    6 | endpoint = ***
      |            ^^^
"#,
    ),
    (
        "a variable that is not set, a misspelt password",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = "${env:ES_URL}"
user = "elastic"
pasword = "hunter2"
index = "a"
"#,
        r#"
nginx.toml:6:12: "endpoint" in [sink]: the environment variable "ES_URL" is not set
    6 | endpoint = "${env:ES_URL}"
      |            ^^^^^^^^^^^^^^^

nginx.toml:8:1: unknown key "pasword" in [sink]; did you mean "password"?
    8 | pasword = ***
      | ^^^^^^^
"#,
    ),
    (
        "a word that nobody knows, without quotes",
        r#"
[sink]
type = "elasticsearch"
kennwort = hunter2
"#,
        r#"
nginx.toml:3:12: not TOML: a string must stand in quotes
    3 | kennwort = ***
      |            ^^^
"#,
    ),
    (
        "keys in the wrong section, no sink",
        r#"
[source]
type = "file"
paths = ["/a"]
index = "a"
max_bytes = "1 GiB"
"#,
        r#"
nginx.toml: the section [sink] is missing; write [sink] with type = "elasticsearch", endpoint = "http://127.0.0.1:9200" and index = "logs-nginx"

nginx.toml:4:1: unknown key "index" in [source]; it belongs in [sink]
    4 | index = "a"
      | ^^^^^

nginx.toml:5:1: unknown key "max_bytes" in [source]; it belongs in [sink.bulk] or [buffer]
    5 | max_bytes = "1 GiB"
      | ^^^^^^^^^
"#,
    ),
    (
        "a broken glob, an index that lines could choose",
        r#"
[source]
type = "file"
paths = ["/a", "/b/["]
[sink]
type = "elasticsearch"
endpoint = "http://es"
index = "%{app}-%Y"
"#,
        r#"
nginx.toml:3:16: "paths" in [source]: "/b/[" is no glob: unclosed character class; missing ']'
    3 | paths = ["/a", "/b/["]
      |                ^^^^^^

nginx.toml:6:12: warning: "endpoint" in [sink]: "http://es" has no port, so 80 is used; Elasticsearch usually listens on 9200
    6 | endpoint = "http://es"
      |            ^^^^^^^^^^^

nginx.toml:7:9: "index" in [sink]: "%{app}-%Y" begins with a variable part; begin with literal text, such as "logs-%…", so that no line can choose an index outside it
    7 | index = "%{app}-%Y"
      |         ^^^^^^^^^^^
"#,
    ),
    (
        "a list that is not closed",
        r#"
[source]
paths = ["/a"
[sink]
"#,
        r#"
nginx.toml:3:1: not TOML: a comma is missing here, or the list's "]" before it
    3 | [sink]
      | ^
"#,
    ),
    (
        "a key that is there twice",
        r#"
[source]
type = "file"
paths = ["/a"]
[sink]
type = "elasticsearch"
endpoint = "http://es:9200"
index = "a"
index = "b"
"#,
        r#"
nginx.toml:8:1: not TOML: this was already given above
    8 | index = "b"
      | ^^^^^
"#,
    ),
];

#[test]
fn typical_mistakes_are_told_in_these_words() {
    for (mistake, text, expected) in MISTAKES {
        let (plan, problems) = parse(text.trim_start());
        assert_eq!(problems.to_string(), expected.trim_start(), "{mistake}");
        assert!(plan.is_none(), "{mistake}");
    }
}
