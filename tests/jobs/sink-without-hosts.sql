-- 4:34 the table t lacks the option hosts; write for example 'hosts' = 'http://127.0.0.1:9200'
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'elasticsearch-7', 'index' = 'x');
INSERT INTO t SELECT a, b FROM s;
