-- 5:35 the table s lacks the option accessId; write for example accessId = '${env:ACCESS_ID}'
-- 5:35 the table s lacks the option accessKey; write for example accessKey = '${file:/etc/splashdam/access-key}'
-- 5:35 the table s lacks the option project; write for example project = 'my-project'
-- 5:35 the table s lacks the option logStore; write for example logStore = 'my-logstore'
CREATE TABLE s (a INT, b VARCHAR) WITH (type = 'sls', endPoint = 'http://x');
CREATE TABLE t (a INT, b VARCHAR) WITH (type = 'print');
INSERT INTO t SELECT a, b FROM s;
