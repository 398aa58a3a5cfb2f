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

// 2. Bytes become documents (pure).
mod decode;

// The columns way: a script becomes a typed plan (pure).
#[allow(dead_code, unused_imports)]
mod sql;

#[allow(dead_code, unused_imports)]
mod query;

// 3. Documents become gzip bulk bodies (pure).
mod encode;

// 4. One commit: bodies, positions, dead letters.
mod store;

// 5. Requests go out, verdicts come back.
mod deliver;

// The corridor that connects the rooms, and the bell.
mod pipeline;

mod control;
