//! Splashdam's floor plan: the rooms in the order in which data walks through them.
//!
//! `source` brings bytes with positions, `decode` makes documents of them, `encode` makes gzip bulk bodies,
//! `store` commits bodies and positions in one step, `deliver` talks to Elasticsearch. Rooms do not know each
//! other; `pipeline` is the corridor that connects them, `control` lets an operator look in.

#![allow(dead_code, unused_imports)] // while the house is being built

pub mod bench;
pub mod commands;
mod config;
mod log;
mod metrics;

mod job; //       the scripts people write ──► plan
mod plan; //      what a job means: plain data

mod decode; // 2  bytes become documents (pure)
mod deliver;
mod encode; // 3  documents become gzip bulk bodies (pure)
mod record; //    what is carried from room to room
mod source; // 1  bytes come in, with positions
mod store; //  4  one commit: bodies, positions, dead letters // 5 requests go out, verdicts come back

mod control;
mod pipeline;
