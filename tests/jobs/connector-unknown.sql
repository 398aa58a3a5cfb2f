-- 4:54 this version knows no sink of this kind; did you mean elasticsearch-7?
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'elastic-search-7');
INSERT INTO t SELECT a, b FROM s;
