//! The promises of the room, on texts and on real files.

use super::*;
use std::collections::BTreeMap;

const SMALLEST: &str = r#"
[source]
type  = "file"
paths = ["/var/log/nginx/*.log"]        # globs

[decode]
format = "raw"

[sink]
type     = "elasticsearch"
endpoint = "http://127.0.0.1:9200"
index    = "logs-nginx"
"#;

fn parse(text: &str) -> (Option<Plan>, String) {
    let env = |name: &str| match name {
        "SECRET" => Some("hunter2".to_owned()),
        "INDEX" => Some("logs-env".to_owned()),
        _ => None,
    };
    let read = |path: &Path| match path.to_str() {
        Some("/etc/splashdam/jobs.d/secret.txt") => Ok("hunter3\n".to_owned()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let outside = Outside { folder: Path::new("/etc/splashdam/jobs.d"), env: &env, read: &read, exposed: false };
    let (plan, problems) = native::parse(text, "nginx.toml", "nginx", &outside, &Datasources::default());
    (plan, problems.to_string())
}

#[test]
fn the_smallest_job_works_as_it_stands() {
    let (plan, problems) = parse(SMALLEST);
    assert_eq!(problems, "");
    let mut expected = crate::plan::FilePlan::default();
    expected.paths = vec!["/var/log/nginx/*.log".to_owned()];
    assert_eq!(
        plan,
        Some(Plan {
            id: "nginx".to_owned(),
            source: crate::plan::SourcePlan::File(expected),
            decode: crate::plan::DecodePlan::default(),
            sink: crate::plan::ElasticsearchPlan::new("http://127.0.0.1:9200", "logs-nginx"),
            buffer: crate::plan::BufferPlan::default(),
        })
    );
}
