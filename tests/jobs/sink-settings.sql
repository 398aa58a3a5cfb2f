-- 4:106 the option settings is not in this version: put the settings into an index template of the cluster
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH (type = 'file', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH (type = 'elasticsearch', endPoint = 'http://es:9200', index = 'x', settings = '{}');
INSERT INTO t SELECT a, b FROM s;
