[
    // Division of doubles by a literal 0 fails in Flink while the plan is made; computed from columns it is infinity.
    "1 / CAST(0 AS DOUBLE)",
    "-1 / CAST(0 AS DOUBLE)",
    "CAST(0 AS DOUBLE) / CAST(0 AS DOUBLE)",
    // Flink gives the narrower type of the two here; a DOUBLE loses nothing.
    "CAST(1.5 AS FLOAT) + CAST(1.5 AS DOUBLE)",
    // Flink computes these from the decimal literal, not from the FLOAT.
    "CAST(CAST(1.1 AS FLOAT) AS DOUBLE)",
    "CAST(CAST(1.1 AS FLOAT) AS DECIMAL(20,10))",
    "CAST(1.1 AS FLOAT) * 3",
    "CAST(0.1 AS FLOAT) = CAST(0.1 AS DOUBLE)",
    "CAST(0.1 AS FLOAT) = CAST(0.1 AS DECIMAL(3,1))",
    "ROUND(CAST(1.005 AS FLOAT), 2)",
    // A literal's own type: a minus and 2147483648, which is a BIGINT.
    "-2147483648 - 1",
    // The last digit of another mathematical library.
    "COSH(1)",
    // Flink cuts the result to the length of the literal, CHAR(3).
    "UPPER('aßc')",
    // NaN equals itself only where Flink sees the same literal twice.
    "CAST('NaN' AS DOUBLE) = CAST('NaN' AS DOUBLE)",
    // A text beside a number is read as one, as the cloud product does; Flink fails.
    "'1' = 1",
    "'a' = 1",
    "'01' = 1",
    "'1.0' = 1",
    // Refused here, see `alike`.
    "TRUE = 'true'",
    // Not built: refused by name.
    "UUID() IS NULL",
    "RAND_INTEGER(1)",
    "TYPEOF(1)",
    "TYPEOF('abc')",
    "TYPEOF(CAST(1 AS DECIMAL(10,2)))",
    "TYPEOF(NULL)",
    "MAP_ENTRIES(MAP['a', 1])",
    "MAP_UNION(MAP['a', 1], MAP['b', 2])",
    "JSON_QUERY('{\"a\": [1]}', '$.a' RETURNING ARRAY<STRING>)",
    "JSON_EXISTS('{\"a\": [{\"b\": 1}]}', '$.a[?(@.b == 1)]')",
    "JSON_EXISTS('{\"a\": [{\"b\": 1}]}', '$.a[?(@.b == 2)]')",
    "JSON_VALUE('{\"a\": [1, 2]}', '$.a[last]')",
    "JSON_VALUE('{\"a\": 1}', '$..a')",
    "(DATE '2020-01-01', DATE '2020-01-10') OVERLAPS (DATE '2020-01-05', DATE '2020-02-01')",
    "(TIMESTAMP '2020-01-31 10:20:30' - TIMESTAMP '2020-01-30 10:20:30') DAY TO SECOND",
    "DATE_FORMAT(TIMESTAMP '2020-05-03 10:20:30.123', 'w ww W F')",
    "DATE_FORMAT(TIMESTAMP '2020-05-03 10:20:30.123', '[yyyy]')",
    // Wrong patterns are refused when the plan is made; in Flink they match nothing.
    "REGEXP('foobar', '(')",
    "REGEXP_EXTRACT('foobar', '(', 1)",
    "REGEXP_REPLACE('abc', '(', 'x')",
    "DATE_FORMAT(TIMESTAMP '2020-05-03 10:20:30.123', 'b')",
    "TO_TIMESTAMP_LTZ(1580466030, 6)",
    // Hexadecimal doubles are not read.
    "TRY_CAST('0x1p3' AS DOUBLE)",
    // In Flink a TIME has milliseconds whatever its type says, and CAST AS TIME(3) gives a TIME(0).
    "TIME '10:20:30.123'",
    "CAST('10:20:30.123' AS TIME(3))",
    "CAST(TIME '10:20:30.123' AS STRING)",
    "EXTRACT(SECOND FROM TIME '10:20:30.5')",
    // A map keeps the order of arrival; in Flink it is that of a hash table.
    "CAST(MAP['a', 1, 'b', 2] AS STRING)",
    "MAP_KEYS(MAP['a', 1, 'b', 2])",
    "MAP_VALUES(MAP['a', 1, 'b', 2])",
    // The length of ENCODE's result in Flink is that of the text: it cuts bytes off.
    "ENCODE('ä', 'UTF-8')",
    "ENCODE('ä', 'UTF-16BE')",
    // Behind the end of an array, and for a key that there is not, Flink gives -1 if the element's type is INT NOT NULL.
    "ARRAY[1, 2][3]",
    "MAP['a', 1]['x']",
    // An unreadable text is NULL; Flink gives the year 5471.
    "TO_DATE('x', 'yyyy-MM-dd')",
    // Zones are written for TIMESTAMP_LTZ, Flink fails.
    "DATE_FORMAT(TO_TIMESTAMP_LTZ(1580466030123, 3), 'yyyy-MM-dd HH:mm:ss XXX')",
    "DATE_FORMAT(TO_TIMESTAMP_LTZ(1580466030123, 3), 'yyyy-MM-dd HH:mm:ss XXX VV')",
    // Times of both kinds are compared in UTC, Flink fails.
    "TIMESTAMPDIFF(HOUR, TO_TIMESTAMP_LTZ(1580466030123, 3), TIMESTAMP '2020-01-31 20:20:30')",
    "JSON_VALUE('{\"a\": \"1\"}', '$.a' RETURNING INT)",
    "JSON_VALUE('{\"a\": 1.5}', '$.a' RETURNING INT)",
    "JSON_VALUE('{\"a\": \"1.5\"}', '$.a' RETURNING DOUBLE)",
    "JSON_VALUE('{\"a\": \"true\"}', '$.a' RETURNING BOOLEAN)",
    "JSON_VALUE('{\"a\": 5000000000}', '$.a' RETURNING BIGINT)",
    // Dates are JSON texts, Flink fails.
    "JSON_OBJECT('a' VALUE DATE '2020-01-31')",
    // NULL has a type in a ROW, Flink fails.
    "CAST(ROW(1, 'abc', NULL) AS STRING)",
]
