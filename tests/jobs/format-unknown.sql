-- 3:75 format must be one of json, csv, raw (did you mean json?), found 'jsn'
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'jsn');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
