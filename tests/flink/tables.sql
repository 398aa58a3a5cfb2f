-- The tables that the scripts read. Real Flink and Splashdam read these very statements; /flink/ stands for the folder of the inputs.
CREATE TABLE t (k STRING, n INT, ts TIMESTAMP(3), i INT, d DOUBLE, m DECIMAL(10,2), b BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector'='filesystem', 'path'='/flink/t.csv', 'format'='csv', 'csv.null-literal'='NULL');
CREATE VIEW w AS SELECT k, window_time AS rt, COUNT(*) AS c
  FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY k, window_start, window_end, window_time;
-- Rows that come late: up to 14 s behind, of which 2 s are waited for.
CREATE TABLE late (k STRING, n INT, ts TIMESTAMP(3), i INT, d DOUBLE, m DECIMAL(10,2), b BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
  WITH ('connector'='filesystem', 'path'='/flink/late.csv', 'format'='csv', 'csv.null-literal'='NULL');
-- Two tables to be read beside t; the second is empty.
CREATE TABLE other (k STRING, n INT, ts TIMESTAMP(3), i INT, d DOUBLE, m DECIMAL(10,2), b BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '1' HOUR)
  WITH ('connector'='filesystem', 'path'='/flink/other.csv', 'format'='csv', 'csv.null-literal'='NULL');
CREATE TABLE nobody (k STRING, n INT, ts TIMESTAMP(3), i INT, d DOUBLE, m DECIMAL(10,2), b BOOLEAN,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector'='filesystem', 'path'='/flink/nobody.csv', 'format'='csv', 'csv.null-literal'='NULL');
CREATE TABLE numbers (k STRING, i1 TINYINT, i2 SMALLINT, i4 INT, i8 BIGINT, f4 FLOAT, f8 DOUBLE,
  d20 DECIMAL(20,0), d38 DECIMAL(38,18), d5 DECIMAL(5,3))
  WITH ('connector'='filesystem', 'path'='/flink/numbers.csv', 'format'='csv', 'csv.null-literal'='NULL');
CREATE TABLE texts (n INT, x STRING)
  WITH ('connector'='filesystem', 'path'='/flink/texts.jsonl', 'format'='json');
CREATE TABLE nested (id INT, k STRING, tags ARRAY<STRING>, items ARRAY<ROW<sku STRING, qty INT>>, r ROW<a INT, b STRING>,
  m MAP<STRING, INT>, line STRING, `at` STRING, ms BIGINT,
  ts AS TO_TIMESTAMP(`at`), lt AS TO_TIMESTAMP_LTZ(ms, 3), WATERMARK FOR lt AS lt - INTERVAL '1' SECOND)
  WITH ('connector'='filesystem', 'path'='/flink/nested.jsonl', 'format'='json');
