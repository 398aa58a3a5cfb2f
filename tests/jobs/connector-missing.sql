-- 4:34 the table t does not say what it is; write 'connector' = 'filesystem' or 'elasticsearch-7'
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ();
INSERT INTO t SELECT a, b FROM s;
