-- 4:47 PRIMARY KEY names c, which is no column of this table
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING, PRIMARY KEY (c) NOT ENFORCED) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
