-- 2:65 WATERMARK names tx, which is no column of this table; did you mean ts?
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR tx AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
