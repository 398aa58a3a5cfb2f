-- 4:113 index: bce is no column of this table; did you mean bcd?
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, bcd STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'http://es:9200', 'index' = 'x-{bce}');
INSERT INTO t SELECT a, b FROM s;
