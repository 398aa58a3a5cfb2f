//! Promises of the front: the forms that scripts have (`forms.rs`), what is said of mistakes (`mistakes.rs`), that
//! every text ends in a script or in errors (`hostile.rs`).

use super::*;

mod forms;
mod hostile;
mod mistakes;

/// The script of the product's first user, as it was published.
pub(super) const SEED: &str = "
        create table sls_stream(
          a int,
          b int,
          c VARCHAR
        )
        WITH (
          type ='sls',  
          endPoint ='<yourEndpoint>',
          accessId ='<yourAccessId>',
          accessKey ='<yourAccessKey>',
          startTime = '<yourStartTime>',
          project ='<yourProjectName>',
          logStore ='<yourLogStoreName>',
          consumerGroup ='<yourConsumerGroupName>'
        );
        CREATE TABLE es_stream_sink(
          a int,
          cnt BIGINT,
          PRIMARY KEY(a)
        )
        WITH(
          type ='elasticsearch',
          endPoint = 'http://<instanceid>.public.elasticsearch.aliyuncs.com:<port>',
          accessId = '<yourAccessId>',
          accessKey = '<yourAccessSecret>',
          index = '<yourIndex>',
          typeName = '<yourTypeName>'
        );
        INSERT INTO es_stream_sink
        SELECT 
          a,
          count(*) as cnt
        FROM sls_stream GROUP BY a
        ";

pub(super) fn variables(name: &str) -> Option<String> {
    match name {
        "size" => Some("'5' MINUTE".to_owned()),
        "long" => Some("a\n, b".to_owned()),
        "quote" => Some("it''s".to_owned()),
        _ => None,
    }
}

pub(super) fn ok(text: &str) -> Script {
    parse(text, &variables).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"))
}

pub(super) fn errors(text: &str) -> Vec<SqlError> {
    match parse(text, &variables) {
        Ok(script) => panic!("{text}\n{script:#?}"),
        Err(errors) => errors,
    }
}
