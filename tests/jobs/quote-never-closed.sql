-- 3:17 this ' is never closed; a ' inside of the text is written ''
CREATE TABLE s (a INT, b STRING) WITH (
  'connector' = 'filesystem,
  'path' = '/x',
  'format' = 'json'
);
CREATE TABLE t (a INT, b STRING) WITH ('connector' = 'print');
INSERT INTO t SELECT a, b FROM s;
