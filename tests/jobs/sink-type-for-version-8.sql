-- 4:134 document-type is for elasticsearch-6; elasticsearch-8 has none, take it out
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'elasticsearch-8', 'hosts' = 'http://es:9200', 'index' = 'x', 'document-type' = '_doc');
INSERT INTO t SELECT a, b FROM s;
