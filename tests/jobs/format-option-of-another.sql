-- 3:111 json.ignore-parse-errors is for 'format' = 'json', which this table has not
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'csv', 'json.ignore-parse-errors' = 'true');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
