-- 5:1 this STATEMENT SET has no END; write END; behind its last INSERT
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
BEGIN STATEMENT SET;
INSERT INTO t SELECT a, b FROM s;
