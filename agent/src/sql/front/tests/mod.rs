//! Promises of the front.

use super::*;

fn ok(text: &str) -> Script {
    parse(text, &|_| None).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

#[test]
fn smallest() {
    let script = ok(
        "create table s(a int, c VARCHAR) WITH (type ='sls', endPoint ='<x>');\nINSERT INTO t SELECT a, count(*) as cnt FROM s GROUP BY a",
    );
    assert!(script.legacy);
    assert_eq!((script.tables.len(), script.inserts.len()), (1, 1));
}
