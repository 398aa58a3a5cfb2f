-- 6:45 SESSION windows that take late rows (table.exec.emit.allow-lateness, or EMIT … AFTER WATERMARK, also of another INSERT) are not supported: take that out, or raise the delay of the watermark
SET 'table.exec.emit.allow-lateness' = '20 s';
CREATE TABLE s (a INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, n BIGINT) WITH (type = 'elasticsearch', endPoint = 'http://es:9200', index = 'x', typeName = '_doc');
INSERT INTO t SELECT a, COUNT(*) FROM TABLE(SESSION(TABLE s PARTITION BY a, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY a, window_start, window_end;
