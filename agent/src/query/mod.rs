//! Runs a script's plan: rows of tables in, changes of sinks out, with keyed state between (no I/O, no clock).
//!
//! [`Program`] is the plan made ready; [`Program::prepare`] computes what needs no state and may run on many threads.
//! [`Engine`] holds the state: it takes prepared batches in the order of the commit, and at each step gives the
//! changes and the state rows that are new. Promises: results are Flink's; they depend on the order of the input,
//! never on how it was cut into batches; state rows written are enough to go on as if nothing had been. It doesn't
//! read text, render documents or decide when to commit.

mod accumulate;
mod aggregation;
mod clock;
mod codec;
mod engine;
mod first;
mod flow;
mod groups;
mod keyed;
mod late;
mod members;
mod program;
mod result;
mod rows;
mod sessions;
mod stored;
mod windows;

#[cfg(test)]
mod tests;

pub(crate) use engine::{Cursor, Engine, Tick};
pub(crate) use late::LateRows;
pub(crate) use program::{Prepared, Program};
