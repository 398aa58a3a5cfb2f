-- 7:5 unknown type INTT; did you mean INT?
-- 9:3 expected "," or ")", found c; is a comma missing before it?
-- 12:10 expected "=" and the value of path, found a text in quotes
-- 14:1 nothing outlives a script here, so nothing is dropped; take it out
-- 15:15 expected a query, found SELCT; did you mean SELECT?
CREATE TABLE s (
  a INTT,
  b STRING
  c INT
) WITH (
  'connector' = 'filesystem',
  'path' '/x'
);
DROP TABLE x;
INSERT INTO t SELCT a FROM s;
