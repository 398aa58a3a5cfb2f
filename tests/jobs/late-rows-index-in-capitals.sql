-- 5:28 sink.late-rows.index: the name has upper-case letters; index names are lower-case
CREATE TABLE s (a INT, b STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = '/var/log/app.log', 'format' = 'json');
CREATE TABLE t (a INT, n BIGINT) WITH (type = 'elasticsearch', endPoint = 'http://es:9200', index = 'x', typeName = '_doc',
  'sink.late-rows.index' = 'Late');
INSERT INTO t SELECT a, COUNT(*) FROM s GROUP BY a, TUMBLE(ts, INTERVAL '1' MINUTE);
