-- 2:8 functions of one's own are not in this version; write the query with built-in functions
CREATE FUNCTION f AS 'org.example.F';
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
