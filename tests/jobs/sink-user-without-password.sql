-- 4:129 username needs password beside it
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'http://es:9200', 'index' = 'x', 'username' = 'u');
INSERT INTO t SELECT a, b FROM s;
