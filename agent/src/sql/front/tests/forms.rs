//! Statement forms of both dialects, and what is made of them.

use super::super::super::script::{ColumnKind, Emit};
use super::super::parse;
use super::{SEED, ok, variables};
use crate::record::Type;

/// Queries as they stand behind INSERT INTO.
const QUERIES: &[&str] = &[
    "SELECT a, COUNT(*) AS cnt FROM s GROUP BY a",
    "SELECT a, b FROM s WHERE c LIKE 'x%' AND NOT (b > 3 OR b IS NULL)",
    "SELECT DISTINCT a FROM s",
    "SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE), COUNT(*) FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), a",
    "SELECT HOP_END(ts, INTERVAL '1' MINUTES, INTERVAL '5' MINUTES) FROM s GROUP BY HOP(ts, INTERVAL '1' MINUTES, INTERVAL '5' MINUTES)",
    "SELECT SESSION_ROWTIME(ts, INTERVAL '30' SECOND), a FROM s GROUP BY SESSION(ts, INTERVAL '30' SECOND), a",
    "SELECT window_start, a, COUNT(*) FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, a",
    "SELECT window_start FROM TABLE(TUMBLE(DATA => TABLE s, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' MINUTES)) GROUP BY window_start, window_end",
    "SELECT window_start FROM TABLE(HOP(TABLE s, DESCRIPTOR(ts), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)) AS w GROUP BY window_start, window_end",
    "SELECT window_start FROM TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES)) GROUP BY window_start, window_end",
    "SELECT window_start FROM TABLE(SESSION(TABLE s PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, a",
    "SELECT window_start FROM TABLE(SESSION(TABLE s PARTITION BY a, b, DESCRIPTOR(ts), INTERVAL '5' MINUTES)) GROUP BY window_start, window_end, a",
    "SELECT window_start FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL ${size})) GROUP BY window_start, window_end",
    "SELECT a, COUNT(*) FILTER (WHERE b > 500), COUNT(DISTINCT c), SUM(b) FROM s GROUP BY a HAVING COUNT(*) > 1",
    "SELECT a, b, COUNT(*) FROM s GROUP BY GROUPING SETS ((a), (b), ())",
    "SELECT a FROM (SELECT a, ROW_NUMBER() OVER (PARTITION BY a ORDER BY ts DESC) AS rn FROM s) WHERE rn = 1",
    "SELECT a FROM s UNION ALL SELECT b FROM s2",
    "WITH x AS (SELECT a FROM s) SELECT a FROM x",
    "SELECT s.a, w FROM s, LATERAL TABLE(STRING_SPLIT(c, ',')) AS T(w)",
    "SELECT a, tag FROM s CROSS JOIN UNNEST(tags) AS t (tag)",
    "SELECT a, tag FROM s LEFT JOIN LATERAL TABLE(STRING_SPLIT(c, ',')) AS T(tag) ON TRUE",
    "SELECT a.x, b.y FROM a JOIN b ON a.id = b.id AND a.ts BETWEEN b.ts - INTERVAL '1' HOUR AND b.ts",
    "SELECT a.x FROM a JOIN d FOR SYSTEM_TIME AS OF a.ts AS e ON a.id = e.id",
    "SELECT CASE WHEN b > 500 THEN 'slow' WHEN b IS NULL THEN '?' ELSE 'ok' END, CASE a WHEN 1 THEN 2 END FROM s",
    "SELECT CAST(a AS VARCHAR), CAST(b AS DECIMAL(10, 2)), TRY_CAST(c AS INT), CAST(c AS TIMESTAMP_LTZ(3)) FROM s",
    "SELECT CAST(x AS ROW<a INT, b ARRAY<ROW<c STRING>>>), CAST(y AS MAP<STRING, ARRAY<INT>>) FROM s",
    "SELECT CAST(NULL AS TIMESTAMP(3) WITH LOCAL TIME ZONE), CAST(a AS DOUBLE PRECISION) FROM s",
    "SELECT JSON_VALUE(c, '$.a'), JSON_VALUE(c, '$.n' RETURNING BIGINT NULL ON EMPTY DEFAULT 0 ON ERROR) FROM s",
    "SELECT JSON_QUERY(c, '$.a' WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON ERROR), JSON_EXISTS(c, '$.b' FALSE ON ERROR) FROM s",
    "SELECT JSON_OBJECT('a' VALUE a, KEY 'b' VALUE b ABSENT ON NULL), JSON_ARRAY(a, b NULL ON NULL), JSON_OBJECT() FROM s",
    "SELECT c IS JSON, c IS NOT JSON, c IS JSON OBJECT FROM s",
    "SELECT MAP['k', a, 'l', b], ARRAY[1, 2, 3], ROW(a, b), m['k'], arr[1], r.f.g FROM s",
    "SELECT FLOOR(ts TO HOUR), CEIL(ts TO DAY), EXTRACT(HOUR FROM ts), TIMESTAMPADD(DAY, 1, ts), TIMESTAMPDIFF(SECOND, ts, ts2) FROM s",
    "SELECT DATE '2026-11-21', TIME '08:00:00', TIMESTAMP '2026-11-21 08:00:00', INTERVAL '1 02' DAY TO HOUR, INTERVAL '3' MONTH FROM s",
    "SELECT IF(a > 1, 'x', 'y'), COALESCE(a, b), NULLIF(a, b), IFNULL(a, 0), a IS DISTINCT FROM b FROM s",
    "SELECT SUBSTRING(c FROM 2 FOR 3), SUBSTRING(c, 2), TRIM(BOTH ' ' FROM c), TRIM(c), POSITION('a' IN c), OVERLAY(c PLACING 'x' FROM 1 FOR 2) FROM s",
    "SELECT LEFT(c, 2), RIGHT(c, 2), REPLACE(c, 'a', 'b'), TRUNCATE(d, 2), MOD(a, 3), a % 3, UPPER(c), CHAR_LENGTH(c) FROM s",
    "SELECT c SIMILAR TO 'a(b|c)*', c NOT LIKE 'x\\_%' ESCAPE '\\', a BETWEEN 1 AND 2, a IN (1, 2), a NOT IN (3) FROM s",
    "SELECT CURRENT_TIMESTAMP, LOCALTIMESTAMP, NOW(), PROCTIME(), CURRENT_DATE, YEAR(ts), DAYOFWEEK(ts), UNIX_TIMESTAMP() FROM s",
    "SELECT DATE_FORMAT(ts, 'yyyy-MM-dd'), FROM_UNIXTIME(a), TO_TIMESTAMP(c, 'yyyy'), CONCAT_WS('-', a, b), c || 'x' FROM s",
    "SELECT a IS TRUE, a IS NOT FALSE, a IS UNKNOWN, -a, +b, a <> b, a != b FROM s",
    "SELECT COLLECT(a), LISTAGG(c, ';'), FIRST_VALUE(a), STDDEV_POP(b), APPROX_COUNT_DISTINCT(a) FROM s",
    "SELECT COUNT(*) OVER (PARTITION BY a ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM s",
    "SELECT `user`, `value`, `end` AS `date`, s.* FROM s AS s WHERE `timestamp` > 0",
    "SELECT watermark, period, path, offset, level, status, host FROM s WHERE path = '/' AND offset > 0",
    "SELECT t.user, t.value, t.date, t.timestamp, t.end, t.set FROM t",
    "SELECT timestamp, date, value, level, message FROM t WHERE timestamp > 1",
    "SELECT 'it''s', '\\', '', U&'\\0041', X'4142', 1.5E3, .5, 100000000000 FROM s",
    "SELECT a -- comment with 'a quote and ${undefined}\n, b /* and ; here */ FROM s",
    "SELECT /*+ STATE_TTL('s'='1d') */ a FROM s /*+ OPTIONS('path'='/x') */ WHERE a = 1",
    "SELECT ${long} FROM s WHERE c = '${quote}'",
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT a FROM s ORDER BY a LIMIT 10",
    "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY a ORDER BY ts MEASURES A.b AS x PATTERN (A B+) DEFINE A AS A.b > 1)",
    "SELECT a FROM s EMIT WITH DELAY '1' MINUTE BEFORE WATERMARK, WITHOUT DELAY AFTER WATERMARK",
    "SELECT a FROM s WHERE a IN (SELECT b FROM t) AND EXISTS (SELECT 1 FROM u)",
    "(SELECT a FROM s) UNION ALL (SELECT b FROM t)",
];

/// Whole statements.
const STATEMENTS: &[&str] = &[
    SEED,
    "CREATE TABLE s (ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem')",
    "CREATE TABLE s (ts TIMESTAMP, WATERMARK wk FOR ts AS withOffset(ts, 5000)) WITH (type = 'file')",
    "CREATE TEMPORARY TABLE IF NOT EXISTS s (a INT COMMENT 'x' , b AS a + 1 COMMENT 'y', p AS PROCTIME()) COMMENT 'z' WITH ()",
    "CREATE TABLE s (a INT NOT NULL PRIMARY KEY NOT ENFORCED, b STRING NULL) WITH ('connector'='print')",
    "CREATE TABLE s (a INT, CONSTRAINT pk PRIMARY KEY (a) NOT ENFORCED) WITH ('connector'='print')",
    "CREATE TABLE s (`__topic__` VARCHAR HEADER, h VARCHAR) WITH (type='sls')",
    "CREATE TABLE s (a STRING METADATA FROM 'path' VIRTUAL, b BIGINT METADATA, c INT METADATA VIRTUAL) WITH ('a'='b')",
    "CREATE TABLE s (a INT, d STRING) PARTITIONED BY (d) WITH ('connector'='filesystem')",
    "CREATE TABLE s (a TINYINT, b SMALLINT, c LONG, d INTEGER, e NUMERIC(5,2), f DEC, g CHAR(3), h CHAR VARYING(5), i BINARY(2), j VARBINARY, k BYTES) WITH (x=y)",
    "CREATE TABLE s (a TIME, b TIME(3), c TIMESTAMP_LTZ, d TIMESTAMP(3) WITH LOCAL TIME ZONE, e TIMESTAMP(0) WITHOUT TIME ZONE) WITH (x=1)",
    "CREATE TABLE s (a ROW<x INT 'c', y ROW(z STRING)>, b ARRAY<ARRAY<INT NOT NULL>>, c MAP<STRING, MAP<INT, INT>>, d MULTISET<INT>, e INT ARRAY) WITH (x=true)",
    "CREATE TABLE s (watermark INT, period STRING, end INT, set INT, timestamp BIGINT, user STRING, value DOUBLE, date DATE, offset INT, path STRING, primary INT, constraint STRING, comment STRING) WITH ('a'='b')",
    "CREATE TABLE s (a INT) WITH (bootstrap.servers = 'h:9092', `group.id` = 'g', security.protocol = SASL_PLAINTEXT, retries = -1, a.b-c = 1.5)",
    "CREATE TABLE default_catalog.default_database.s (a INT) WITH ('a' = 'it''s \\')",
    "CREATE TEMPORARY VIEW IF NOT EXISTS v (x COMMENT 'c', y) COMMENT 'd' AS SELECT a, b FROM s",
    "CREATE VIEW v AS (SELECT a FROM s)",
    "INSERT INTO t (a, b) SELECT a, b FROM s",
    "INSERT INTO default_database.t /*+ OPTIONS('sink.parallelism'='2') */ SELECT a FROM s",
    "BEGIN STATEMENT SET; INSERT INTO a SELECT * FROM s; INSERT INTO b SELECT * FROM s; END;",
    "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT * FROM s; INSERT INTO b SELECT * FROM s; END;",
    "SET 'table.exec.state.ttl' = '1 d'; SET table.local-time-zone = Asia/Shanghai; SET execution.checkpointing.interval = 3min;;",
    "-- only a comment",
    "",
];

#[test]
fn queries_of_both_dialects_are_read() {
    let texts = QUERIES.iter().map(|query| format!("INSERT INTO t {query};"));
    let wrong: Vec<_> = texts.filter_map(|text| Some((parse(&text, &variables).err()?, text))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn statements_of_both_dialects_are_read() {
    let wrong: Vec<_> = STATEMENTS.iter().filter_map(|text| Some((parse(text, &variables).err()?, text))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn columns_have_the_types_that_their_dialect_gives_them() {
    let types = |text: &str| -> Vec<String> {
        let script = ok(text);
        let ty = |kind: &ColumnKind| match kind {
            ColumnKind::Physical(ty) | ColumnKind::Metadata { ty, .. } => ty.to_string(),
            ColumnKind::Computed(expr) => expr.to_string(),
        };
        script.tables[0].columns.iter().map(|column| ty(&column.kind)).collect()
    };
    let columns = "a VARCHAR, b TIMESTAMP, c DECIMAL, d CHAR, e TIME, f LONG, g ROW<x INT, y ARRAY<STRING>>, h AS CAST(a AS TIMESTAMP)";
    let legacy = types(&format!("CREATE TABLE s ({columns}) WITH (type = 'file')"));
    let current = types(&format!("CREATE TABLE s ({columns}) WITH ('connector' = 'filesystem')"));
    let rest = ["DECIMAL(10, 0)", "CHAR(1)", "TIME(0)", "BIGINT", "ROW<`x` INT, `y` ARRAY<STRING>>"];
    assert_eq!(legacy[..2], ["STRING", "TIMESTAMP(3)"]);
    assert_eq!(current[..2], ["STRING", "TIMESTAMP(6)"]);
    assert_eq!((&legacy[2..7], &current[2..7]), (&rest.map(str::to_owned)[..], &rest.map(str::to_owned)[..]));
    assert!(legacy[7].contains("TIMESTAMP(3)") && current[7].contains("TIMESTAMP(6)"), "{legacy:?} {current:?}");
}

#[test]
fn a_casts_type_is_read_back_from_the_tree() {
    for text in
        ["INT", "VARCHAR(3)", "ROW<a INT, `b c` ARRAY<MAP<STRING, DECIMAL(3, 1)>>>", "TIMESTAMP_LTZ(3)", "BYTES"]
    {
        let script = ok(&format!("INSERT INTO t SELECT CAST(a AS {text}) FROM s"));
        let shown = format!("{:?}", script.inserts[0].query);
        let sqlparser::ast::SetExpr::Select(select) = &*script.inserts[0].query.body else { panic!("{shown}") };
        let sqlparser::ast::SelectItem::UnnamedExpr(sqlparser::ast::Expr::Cast { data_type, .. }) =
            &select.projection[0]
        else {
            panic!("{shown}")
        };
        let declared = ok(&format!("CREATE TABLE s (x {text}) WITH ('connector'='c')"));
        let ColumnKind::Physical(ty) = &declared.tables[0].columns[0].kind else { panic!() };
        assert_eq!(super::super::type_of(data_type).as_ref(), Ok(ty), "{text}");
    }
    assert_eq!(super::super::type_of(&sqlparser::ast::DataType::BigInt(None)), Ok(Type::BigInt));
}

#[test]
fn a_table_has_its_options_key_and_watermark() {
    let script = ok(SEED);
    let (source, sink) = (&script.tables[0], &script.tables[1]);
    assert!(script.legacy);
    assert_eq!(source.options.len(), 8);
    assert_eq!(
        (source.options[1].key.text.as_str(), source.options[1].value.text.as_str()),
        ("endPoint", "<yourEndpoint>")
    );
    assert_eq!((source.options_at.line, source.options_at.column), (7, 9));
    assert_eq!(sink.primary_key[0].text, "a");
    assert_eq!((script.inserts[0].place.line, script.inserts[0].place.column), (30, 9));
    let script = ok("CREATE TABLE s (ts TIMESTAMP(3), watermark FOR ts AS ts) WITH (a.b-c.d = x-1.5m, 'A' = '')");
    let options: Vec<_> =
        script.tables[0].options.iter().map(|o| (o.key.text.as_str(), o.value.text.as_str())).collect();
    assert_eq!(options, [("a.b-c.d", "x-1.5m"), ("A", "")]);
    assert_eq!(script.tables[0].watermark.as_ref().unwrap().column.text, "ts");
}

#[test]
fn settings_are_read_with_and_without_quotes() {
    let script = ok("SET 'a.b' = 'it''s'; SET table.local-time-zone = Asia/Shanghai ; SET c.d=10 min -- ten\n;");
    let settings: Vec<_> = script.settings.iter().map(|s| (s.key.text.as_str(), s.value.text.as_str())).collect();
    assert_eq!(settings, [("a.b", "it's"), ("table.local-time-zone", "Asia/Shanghai"), ("c.d", "10 min")]);
}

#[test]
fn emit_says_when_rows_go_out() {
    let emit = |tail: &str| ok(&format!("INSERT INTO t SELECT a FROM s EMIT {tail}")).inserts[0].emit.unwrap();
    let minute = Some(60_000_000);
    assert_eq!(
        emit("WITH DELAY '1' MINUTE BEFORE WATERMARK"),
        Emit { before_watermark: minute, after_watermark: None }
    );
    assert_eq!(
        emit("WITH DELAY '60' SECONDS BEFORE WATERMARK, WITHOUT DELAY AFTER WATERMARK"),
        Emit { before_watermark: minute, after_watermark: Some(0) }
    );
    assert_eq!(emit("WITHOUT DELAY"), Emit { before_watermark: Some(0), after_watermark: Some(0) });
}

#[test]
fn hints_belong_to_the_table_before_them() {
    let script = ok(
        "INSERT INTO t /*+ OPTIONS('a'='1', b.c='2') */ SELECT /*+ STATE_TTL('s'='1d') */ x FROM s /*+ OPTIONS('p'='q') */",
    );
    let hints: Vec<_> =
        script.inserts[0].hints.iter().map(|h| (h.table.as_str(), h.name.as_str(), h.values.len())).collect();
    assert_eq!(hints, [("t", "OPTIONS", 2), ("", "STATE_TTL", 1), ("s", "OPTIONS", 1)]);
    assert_eq!(script.inserts[0].hints[0].values[0].key.place.column, 27);
}

#[test]
fn a_table_like_another_takes_its_columns_and_options() {
    let base =
        "CREATE TABLE a (x INT, ts TIMESTAMP(3), y AS x + 1, WATERMARK FOR ts AS ts) WITH ('connector'='c', 'p'='1');";
    let script = ok(&format!("{base} CREATE TABLE b (z INT) WITH ('p'='2') LIKE a;"));
    let b = &script.tables[1];
    let names: Vec<_> = b.columns.iter().map(|c| c.name.text.as_str()).collect();
    assert_eq!(names, ["x", "ts", "y", "z"]);
    let options: Vec<_> = b.options.iter().map(|o| (o.key.text.as_str(), o.value.text.as_str())).collect();
    assert_eq!(options, [("connector", "c"), ("p", "2")]);
    assert!(b.watermark.is_some());
    let script = ok(&format!("{base} CREATE TABLE b WITH ('connector'='d') LIKE a (EXCLUDING ALL);"));
    assert_eq!((script.tables[1].columns.len(), script.tables[1].options.len()), (2, 1));
    assert!(script.tables[1].watermark.is_none());
}

#[test]
fn places_are_those_of_the_script_as_written_though_variables_are_longer() {
    let script = ok("INSERT INTO t\nSELECT ${long} FROM s;\nINSERT INTO u SELECT 1;");
    assert_eq!(script.inserts[1].place.line, 3);
    let errors = super::errors("INSERT INTO t SELECT ${long} FORM s");
    assert_eq!((errors[0].place.line, errors[0].place.column), (1, 30), "{errors:?}");
}
