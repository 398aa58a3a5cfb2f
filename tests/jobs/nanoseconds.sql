-- 2:47 TIMESTAMP(9) has nanoseconds, which are not in this version; write TIMESTAMP(6), microseconds
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(9), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
