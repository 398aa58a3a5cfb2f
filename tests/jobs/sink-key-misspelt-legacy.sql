-- 4:64 unknown option endPont; did you mean endPoint?
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH (type = 'file', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH (type = 'elasticsearch', endPont = 'http://es:9200', index = 'x');
INSERT INTO t SELECT a, b FROM s;
