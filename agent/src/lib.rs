//! Splashdam's floor plan: the rooms in the order in which data walks through them.
//!
//! `source` brings bytes with positions, `decode` makes documents of them, `encode` makes gzip bulk bodies,
//! `store` commits bodies and positions in one step, `deliver` talks to Elasticsearch. Rooms do not know each
//! other; `pipeline` is the corridor that connects them, `control` lets an operator look in.

// How it is started, and what every room may use.
pub mod bench;
pub mod commands;
mod config;
mod log;
mod metrics;

// The scripts people write become plans: plain data.
mod job;
mod plan;

// What is carried from room to room.
mod record;

// 1. Bytes come in, with positions.
mod source;

// 2. Bytes become documents or columns (pure).
mod decode;

// Text becomes a typed plan (pure).
mod sql;

// 3. Rows become changes (pure).
mod query;

// 4. Documents and changes become gzip bulk bodies (pure).
mod encode;

// 5. One commit: bodies, positions, dead letters, a query's state.
mod store;

// 6. Requests go out, verdicts come back.
mod deliver;

// The corridor that connects the rooms, and the bell.
mod pipeline;

mod control;
