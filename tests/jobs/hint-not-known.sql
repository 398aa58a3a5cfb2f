-- 5:26 the hint STATE_TTL is not supported; for the life time of state write SET 'table.exec.state.ttl' = '1 d'
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT /*+ STATE_TTL('s' = '1d') */ a, b FROM s;
