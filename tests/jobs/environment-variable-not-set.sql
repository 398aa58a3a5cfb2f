-- 3:44 path: the environment variable "NO_SUCH" is not set
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '${env:NO_SUCH}', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
