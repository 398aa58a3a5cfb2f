//! The real binaries, end to end; each module is one kind of promise.
//!
//! Fault tests carry the numbers of the fault table: `t01_…` to `t33_…`. Seeds are random, printed on stderr, and
//! brought back by `SEED=…`. Lengths are short; `SOAK_MINUTES=30` lengthens the kill loop, `MANY_FILES=100000` the
//! count of idle files, `LARGE=1` the sizes of holes and lines. `SPLASHDAM_SERVICES=1` adds real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod answers; //    whatever Elasticsearch answers: verdicts, parking, retries
mod bounds; //     memory, disk and time have limits: full buffer, full disk, SIGTERM
mod connections; // what is told of wrong keys, names, addresses, permissions
mod crash; //      kill -9, torn and damaged files, two agents on one folder
mod doctor; //    what it runs with, the doctor, a look at the index, a bundle
mod documents; //  what a line becomes: raw, json, long, partial, broken
mod gone_sinks; // what is owed to a sink that is no more
mod listing; //   jobs and dead letters, written out
mod many; //       many files, short-lived files
mod mistakes; //  what people do wrong, and what they are told
mod moving; //    the page for those who come from other shippers
mod network; //    cut, slow and lying connections, expired keys, too large requests
mod newcomers; // every command without an agent, rights, the right job or the right words
mod operating; //  what an operator types and reads
mod packaging; // what the packages bring, and what systemd is told
mod queries; //   SQL scripts: counts, windows, state over kills
mod reload; //    other jobs for a running service
mod resets; //   reading again on an operator's word
mod rotation; //   every style of rotation
mod scripts; //   SQL scripts whose final rows are those of a real Flink
mod secrets; //  none is told, whatever fails
mod services; //  real Elasticsearch, OpenSearch and Flink
mod set_aside; // a job that can't start beside those that can
mod sls; //       Logstores: groups, kills, faults of the service
mod sls_ends; //  Logstores: ends of runs, checkpoints by the local disk, damage
mod sls_faults; //   what a Logstore refuses, cuts, garbles, deletes
mod tapping; //  documents as they pass, for whoever watches
mod windows; //   windows over input out of order, over kills
