-- 2:48 Log Service (sls) can't be read in this version; read files with 'connector' = 'filesystem'
CREATE TABLE s (a INT, b VARCHAR) WITH (type = 'sls', endPoint = 'http://x');
CREATE TABLE t (a INT, b VARCHAR) WITH (type = 'print');
INSERT INTO t SELECT a, b FROM s;
