-- 4:111 index: begin with literal text, such as logs-{…}, so that no row can choose an index outside of it
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'http://es:9200', 'index' = '{b}');
INSERT INTO t SELECT a, b FROM s;
