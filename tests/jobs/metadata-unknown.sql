-- 2:24 invalid metadata key 'ofset' in column 'o'; did you mean offset?; there are path, offset, host, timestamp
CREATE TABLE s (a INT, o BIGINT METADATA FROM 'ofset' VIRTUAL, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
