//! What tests and benches share: the real binaries in fresh folders, stand-ins for Elasticsearch, writers that
//! know every line they wrote, and an oracle that compares those lines with the documents that arrived.
//!
//! Nothing here links the agent: it is driven from outside, as an operator would. Everything stops loudly at
//! the first surprise, so `unwrap` and `expect` are at home here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

pub mod agent; //         the real binary: start, kill -9, stop, look at its memory
mod answer_body; //       answers that are slow or end too early
pub mod binaries; //      builds it once
pub mod ctl;
pub mod damage; //           splashctl against a running agent
pub mod endpoint; //      an Elasticsearch that can be told to answer anything
pub mod flink; //         a real Flink as the judge of SQL scripts
pub mod logstore; //      an Aliyun Log Service to test against
pub mod naive; //         what generated queries must give, the slow way
pub mod null_endpoint; // a very cheap one that only counts, for benches
pub mod oracle; //        every line written against every document accepted
pub mod process; //       memory and processor time of a process, from /proc
pub mod scripts; //       SQL scripts, and rows that can be compared
pub mod seed; //          random, printed, replayable
pub mod service; //       the agent as a service
pub mod services; //      real Elasticsearch and OpenSearch
pub mod sql_random; //    generated scripts with their inputs and results
pub mod wait; //          conditions with deadlines
pub mod witness; //       the official Python SDK of Log Service
pub mod writer; //        seeded writers that rotate in every style
