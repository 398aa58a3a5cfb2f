//! The promises of the room, on texts and on real files: every key (`keys.rs`), what an operator reads after a
//! mistake (`mistakes.rs`, `scripts.rs` for SQL), that no secret is ever shown and nothing panics (`secrets.rs`, `soak.rs`), files (`files.rs`),
//! Logstores in both dialects (`sls.rs`).

use super::*;
use crate::plan::Plan;

mod files;
mod keys;
mod mistakes;
mod scripts;
mod secrets;
mod sls;
mod soak;

const SMALLEST: &str = r#"
[source]
type  = "file"
paths = ["/var/log/nginx/*.log"]        # globs; exclude = ["*.tmp"]; start = "beginning" (default) | "end" | "last 1 MiB"

[decode]
format = "raw"                          # raw | json | …

[sink]
type     = "elasticsearch"
endpoint = "http://127.0.0.1:9200"      # or endpoints = [...]; or datasource = "name"
index    = "logs-nginx"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2".to_owned()),
        "INDEX" => Some("logs-env".to_owned()),
        "UPPER" => Some("Hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        "CREDENTIALS_DIRECTORY" => Some("/run/credentials/unit".to_owned()),
        _ => None,
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    match path.to_str() {
        Some("/etc/jobs.d/secret.txt" | "/run/credentials/unit/es-key") => Ok("hunter2\n".to_owned()),
        Some("/etc/jobs.d/empty.txt") => Ok("\n".to_owned()),
        Some("/etc/jobs.d/template.json") => Ok("{\"index_patterns\": [\"logs-*\"]}".to_owned()),
        Some("/etc/jobs.d/list.json") => Ok("[]".to_owned()),
        Some("/etc/ca.pem" | "/etc/jobs.d/../ca.pem") => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    }
}

fn outside() -> Outside<'static> {
    Outside { folder: Path::new("/etc/jobs.d"), env: &env, read: &read, vars: &super::NO_VARS, exposed: false }
}

/// The plan of `text` as the file `nginx.toml` in `/etc/jobs.d`, and what is said about it.
fn parse(text: &str) -> (Option<Plan>, Problems) {
    native::parse(text, "nginx.toml", "nginx", &outside(), &Datasources::default())
}

/// The smallest job with lines put in, each by its section: `source: start = "end"`, or `: id = "x"` at the top.
fn job_with(lines: &[&str]) -> String {
    let mut text = SMALLEST.replace("index    = \"logs-nginx\"", "");
    let has = |section: &str, key: &str| {
        lines.iter().any(|line| line.strip_prefix(section).is_some_and(|rest| rest.trim().starts_with(key)))
    };
    if !has("sink:", "index") {
        text.push_str("index = \"logs-nginx\"\n");
    }
    for line in lines {
        let (section, line) = line.split_once(':').unwrap();
        let key = line.split('=').next().unwrap().trim();
        if section.is_empty() {
            text = format!("{line}\n{text}");
            continue;
        }
        let head = format!("[{section}]\n");
        if !text.contains(&head) {
            text.push_str(&head);
        }
        let (before, after) = text.split_once(&head).unwrap();
        let end = after.find("\n[").map_or(after.len(), |end| end + 1);
        let (body, behind) = after.split_at(end);
        let replaced = |l: &&str| l.split('=').next().unwrap().trim() != key || l.trim().is_empty();
        let mut body: String = body.lines().filter(replaced).map(|l| format!("{l}\n")).collect();
        body.push_str(&format!("{line}\n"));
        text = format!("{before}{head}{body}{behind}");
    }
    text
}

#[test]
fn the_smallest_job_works_as_it_stands() {
    let (plan, problems) = parse(SMALLEST);
    assert_eq!(problems.to_string(), "");
    let paths = vec!["/var/log/nginx/*.log".to_owned()];
    let source = crate::plan::FilePlan { paths, ..Default::default() };
    let expected = Plan {
        id: "nginx".to_owned(),
        source: crate::plan::SourcePlan::File(source),
        decode: crate::plan::DecodePlan::default(),
        sink: crate::plan::ElasticsearchPlan::new("http://127.0.0.1:9200", "logs-nginx"),
        buffer: crate::plan::BufferPlan::default(),
    };
    assert_eq!(plan, Some(expected));
}
