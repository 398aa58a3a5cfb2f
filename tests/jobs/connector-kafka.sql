-- 2:54 Kafka can't be read in this version; read files with 'connector' = 'filesystem'
CREATE TABLE s (a INT, b STRING) WITH ('connector' = 'kafka', 'topic' = 'x');
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
