//! SQL jobs: what a good script becomes, and word for word what is said of broken ones. Those lie in `tests/jobs`, each
//! beginning with what is said of it: `-- LINE:COLUMN message`, a line for each problem.

use std::time::Duration;

use super::*;
use crate::plan::{
    Auth, ColumnFrom, IndexPlan, QueryPlan, RowIndex, RowIndexPart, SinkPlan, SinkTarget, SourcePlan, Start,
    TableFormat, UpdateMode,
};

const SOURCE: &str = "CREATE TABLE s (a INT, c STRING, ts TIMESTAMP(3), p STRING METADATA FROM 'path' VIRTUAL) WITH (
  'connector' = 'filesystem', 'path' = '/var/log/app/*.log', 'format' = 'json', 'json.ignore-parse-errors' = 'true',
  'source.start' = 'last 1 MiB', 'source.exclude' = '*.tmp;old/*', 'source.rescan' = '5s');
";

fn parse(text: &str) -> (Option<QueryPlan>, Problems) {
    flink::parse(text, "web.sql", "web", &outside(), &Datasources::default())
}

fn good(text: &str) -> QueryPlan {
    let (plan, problems) = parse(text);
    assert_eq!(problems.to_string(), "", "{text}");
    plan.unwrap()
}

/// The sink of a script that writes `columns` from `s` with these options.
fn sink(columns: &str, options: &str, query: &str) -> SinkPlan {
    let text = format!("{SOURCE}CREATE TABLE t ({columns}) WITH ({options});\nINSERT INTO t {query};");
    good(&text).sinks.remove(0)
}

fn said(text: &str) -> String {
    let (plan, problems) = parse(text);
    assert!(plan.is_none() || !problems.has_errors());
    problems.to_string()
}

#[test]
fn the_published_script_runs_when_its_source_is_a_file() {
    let plan = good(
        "create table s(
          a int,
          b int,
          c VARCHAR
        )
        WITH (
          type ='file',
          path = 'logs/*.json',
          FORMAT = 'json'
        );
        CREATE TABLE es_stream_sink(
          a int,
          cnt BIGINT,
          PRIMARY KEY(a)
        )
        WITH(
          type ='elasticsearch',
          endPoint = 'http://es:9200',
          accessID = 'elastic',
          accessKey = '${env:SECRET}',
          index = 'counts',
          typeName = '_doc'
        );
        INSERT INTO es_stream_sink
        SELECT 
          A,
          count(*) as cnt
        FROM S GROUP BY a
        ",
    );
    assert_eq!((plan.id.as_str(), plan.tables.len(), plan.sinks.len()), ("web", 1, 1));
    let SourcePlan::File(files) = &plan.tables[0].source else { panic!("files") };
    assert_eq!(files.paths, ["/etc/jobs.d/logs/*.json"]);
    assert_eq!(plan.tables[0].physical, 3);
    let sink = &plan.sinks[0];
    let SinkTarget::Elasticsearch(cluster) = &sink.target else { panic!("a cluster") };
    let Auth::Basic { user, password } = &cluster.auth else { panic!("a user") };
    assert_eq!((user.as_str(), password), ("elastic", &crate::plan::Secret::literal("hunter2")));
    assert_eq!((&sink.rows.key, sink.rows.update), (&vec![0], UpdateMode::Full));
    assert_eq!(sink.rows.index, RowIndex::Literal("counts".to_owned()));
    assert_eq!(sink.rows.document_type.as_deref(), Some("_doc"));
}

#[test]
fn a_legacy_sink_without_a_key_has_the_querys_own() {
    let legacy = "create table s (a int, b varchar, c varchar) with (type = 'file', path = '/l/*.json', format = 'json');
        create table t (n bigint, b varchar, a int) with (type = 'elasticsearch', endPoint = 'http://es:9200', index = 'i', accessId = 'u', accessKey = 'p');\n";
    let key = |inserts: &str| good(&format!("{legacy}{inserts}")).sinks.remove(0).rows.key;
    let group = "insert into t select count(*), b, a from s group by a, b;";
    assert_eq!(key(group), [2, 1]);
    assert_eq!(key(&format!("{group} {group}")), [2, 1]);
    assert!(key("insert into t select 1, b, a from s;").is_empty());
    let other = "insert into t select count(*), b, 1 from s group by b;";
    let said = said(&format!("{legacy}{group} {other}"));
    assert!(said.contains("have different keys") && said.contains("web.sql:2:22"), "{said}");
}

#[test]
fn a_files_settings_are_those_of_a_native_source() {
    let plan = good(&format!(
        "{SOURCE}CREATE TABLE t (a INT, p STRING) WITH ('connector'='print'); INSERT INTO t SELECT a, p FROM s"
    ));
    let table = &plan.tables[0];
    let SourcePlan::File(files) = &table.source else { panic!("files") };
    assert_eq!(files.exclude, ["*.tmp", "/etc/jobs.d/old/*"]);
    assert_eq!((files.start, files.rescan), (Start::Last(1 << 20), Duration::from_secs(5)));
    assert_eq!(files.lines.partial_after, None);
    assert!(matches!(&table.format, TableFormat::Json(json) if json.ignore_parse_errors));
    let from: Vec<_> = table.columns.iter().map(|column| column.from.clone()).collect();
    assert_eq!(from, [ColumnFrom::Field(0), ColumnFrom::Metadata("path".to_owned())]);
    assert_eq!(plan.sinks[0].target, SinkTarget::Print);
}

#[test]
fn hints_stand_above_a_tables_options() {
    let plan = good(&format!(
        "{SOURCE}CREATE TABLE t (a INT) WITH ('connector'='blackhole');
         INSERT INTO t SELECT a FROM s /*+ OPTIONS('path'='/x/', 'source.start'='end') */"
    ));
    let SourcePlan::File(files) = &plan.tables[0].source else { panic!("files") };
    assert_eq!((&files.paths[..], files.start), (&["/x/**/*".to_owned()][..], Start::End));
}

#[test]
fn every_option_of_the_current_elasticsearch_sink_is_obeyed() {
    let sink = sink(
        "a INT, c STRING, ts TIMESTAMP(3), PRIMARY KEY (c, a) NOT ENFORCED",
        "'connector'='elasticsearch-6', 'hosts'='https://a:9200; https://b:9200', 'index'='logs-{ts|yyyy.MM.dd}', 'document-type'='_doc',
         'document-id.key-delimiter'='$', 'username'='u', 'password'='${file:secret.txt}', 'failure-handler'='ignore',
         'sink.flush-on-checkpoint'='true', 'sink.delivery-guarantee'='AT_LEAST_ONCE', 'sink.bulk-flush.max-actions'='1000',
         'sink.bulk-flush.max-size'='2mb', 'sink.bulk-flush.interval'='1 s', 'sink.bulk-flush.backoff.strategy'='EXPONENTIAL',
         'sink.bulk-flush.backoff.max-retries'='8', 'sink.bulk-flush.backoff.delay'='50ms', 'sink.retry-on-conflicts'='-1',
         'connection.path-prefix'='/es/', 'connection.request-timeout'='10s', 'connection.timeout'='10s', 'socket.timeout'='30 s',
         'ssl.certificate-fingerprint'='aa:bbccddeeff00112233445566778899aabbccddeeff00112233445566778899', 'format'='json',
         'routing-fields'='c;a', 'sink.ignore-null-when-update'='true', 'sink.delete-strategy'='DELETE_ROW_ON_PK',
         'sink.bulk-flush.max-buffered-actions'='10', 'sink.bulk-flush.max-in-flight-actions'='2', 'sink.parallelism'='1'",
        "SELECT a, c, ts FROM s",
    );
    let SinkTarget::Elasticsearch(cluster) = &sink.target else { panic!("a cluster") };
    assert_eq!(cluster.endpoints, ["https://a:9200/es", "https://b:9200/es"]);
    assert_eq!((cluster.bulk.max_bytes, cluster.bulk.max_in_flight), (2 << 20, 2));
    assert_eq!((cluster.bulk.linger, cluster.bulk.timeout), (Duration::from_secs(1), Duration::from_secs(30)));
    assert!(cluster.tls.fingerprint.as_ref().is_some_and(|hex| hex.starts_with("aabb")));
    assert_eq!(cluster.index, IndexPlan::Literal("logs-fallback".to_owned()));
    let rows = &sink.rows;
    assert_eq!((&rows.key, &rows.routing, rows.key_delimiter.as_str()), (&vec![0, 1], &vec![1, 0], "$"));
    assert_eq!((rows.update, rows.omit_nulls, rows.document_type.as_deref()), (UpdateMode::Inc, true, Some("_doc")));
    let RowIndex::Template { parts, prefix, .. } = &rows.index else { panic!("a template") };
    assert_eq!(prefix, "logs-");
    assert!(matches!(&parts[1], RowIndexPart::Date { column: 2, pattern, .. } if pattern == "yyyy.MM.dd"));
}

#[test]
fn every_option_of_the_legacy_elasticsearch_sink_is_obeyed() {
    let source = SOURCE.replace("'connector' = 'filesystem'", "type = 'file'");
    let text = format!(
        "{source}CREATE TABLE t (a INT, ts TIMESTAMP, PRIMARY KEY (a)) WITH (type='elasticsearch', endpoint='http://es:9200',
          accessId='u', accessKey='p', index='logs', typeName='_doc', bufferSize='10', maxRetryTimes='3', timeout='5000',
          discovery='false', compression='true', multiThread='true', ignoreWriteError='false', updateMode='inc', dynamicIndex='true',
          indexField='ts', indexInterval='m'); INSERT INTO t SELECT a, ts FROM s"
    );
    let plan = good(&text);
    let sink = &plan.sinks[0];
    let SinkTarget::Elasticsearch(cluster) = &sink.target else { panic!("a cluster") };
    assert_eq!(cluster.bulk.timeout, Duration::from_secs(5));
    assert_eq!(sink.rows.update, UpdateMode::Inc);
    let RowIndex::Template { parts, fallback, .. } = &sink.rows.index else { panic!("a template") };
    assert_eq!((fallback.as_str(), parts.len()), ("logs-fallback", 2));
    assert!(matches!(&parts[1], RowIndexPart::Date { column: 1, pattern, .. } if pattern == "yyyyMM"));
}

#[test]
fn the_name_of_a_wrong_option_is_shown_beside_a_secret_and_a_secret_is_not() {
    let table = |options: &str| said(&format!("CREATE TABLE t (a INT) WITH ({options});\nINSERT INTO t SELECT 1;\n"));
    for (options, shown) in [
        (
            "'connector'='elasticsearch-7','hostss'='http://es:9200','index'='i','password'='hunter2'",
            "'hostss'='http://es:9200'",
        ),
        ("'connector'='elasticsearch-7','indx'='i','password'='hunter2'", "'indx'='i','password'=***"),
        ("'connector'='elasticsearch-7','passwrod'='hunter2'", "'passwrod'=***"),
        ("'connector'='elasticsearch-7','kennwort'='hunter2'", "'kennwort'=***"),
        (
            "type='elasticsearch', endPiont='http://es:9200', accessKy='hunter2', index='i'",
            "endPiont='http://es:9200', accessKy=***",
        ),
    ] {
        let said = table(options);
        assert!(said.contains(shown) && !said.contains("hunter2"), "{options}: {shown} is not in\n{said}");
    }
}

#[test]
fn no_secret_is_shown_whatever_is_wrong() {
    let secrets = [
        "CREATE TABLE t (a INT) WITH ('connector'='elasticsearch-7', 'hosts'='http://u:hunter2@es:9200', 'index'='I', 'password'='hunter2');",
        "CREATE TABLE t (a INT) WITH ('connector' 'x', 'password' 'hunter2', 'my.thing' = 'hunter2'); INSERT INTO t SELECT 1",
        "CREATE TABLE t (a INTT) WITH (type='elasticsearch', endPoint='http://x:1, accessKey='hunter2', index=x); -- hunter2\nSELEC",
        "CREATE TABLE t (a INT) WITH (accessKey = hunter2, accessKy = hunter2 index) /* hunter2 */ x",
        "CREATE TABLE t (a INT) WITH ('connector'='elasticsearch-7', 'hosts'='', 'passwrod'='hunter2', 'username'='u', 'x'='hunter2'",
        "SET 'my.password' = 'hunter2' x; SET 'table.exec.state.tl' = '1';",
    ];
    for text in secrets {
        let said = said(text);
        assert!(!said.is_empty() && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn broken_scripts_are_told_what_is_wrong_and_where() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/jobs");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40, "{}", files.len());
    let mut wrong = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected: String =
            text.lines().take_while(|line| line.starts_with("-- ")).map(|line| format!("{line}\n")).collect();
        let said = said(&text);
        let head =
            |line: &str| line.strip_prefix("web.sql:").map(|rest| format!("-- {}\n", rest.replacen(": ", " ", 1)));
        let found: String = said.lines().filter_map(head).collect();
        if found != expected {
            wrong.push_str(&format!("{}\n{found}", file.file_name().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
