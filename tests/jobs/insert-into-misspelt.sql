-- 5:8 expected INTO, found INOT; did you mean INTO?
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INOT t SELECT a, b FROM s;
