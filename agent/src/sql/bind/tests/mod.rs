//! Scripts are bound; what comes of them is read as `explain` prints it.

use crate::sql::script::SqlError;
use crate::sql::{explain, front};

mod accepted;

/// The plan of a script, or its errors.
fn plan(script: &str) -> Result<String, Vec<SqlError>> {
    let script = front::parse(script, &|_| None)?;
    super::bind(&script).map(|query| explain::explain(&query))
}

/// Tables that the tests read and write, of the current dialect.
const TABLES: &str = "
CREATE TABLE t (
  a INT, b INT, c STRING, d DOUBLE, n DECIMAL(10, 2), ms BIGINT, tags ARRAY<STRING>,
  r ROW<x INT, y STRING>, m MAP<STRING, INT>, items ARRAY<ROW<sku STRING, qty INT>>,
  ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'json');
";
