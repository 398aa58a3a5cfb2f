//! Text becomes a typed plan: Flink SQL, legacy and current (pure).
//!
//! `front` reads a script's statements, `bind` resolves names and types and makes a [`plan::Query`], `functions` and
//! `eval` compute expressions column by column, `explain` prints a plan. Promises: what is not supported is refused by
//! name, never run wrongly; all of a script's errors at once, each with its place. It reads no table and keeps no state.

pub(crate) mod aggregates;
pub(crate) mod bind;
pub(crate) mod calendar;
pub(crate) mod cast;
pub(crate) mod decimal;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod expr;
pub(crate) mod front;
pub(crate) mod functions;
mod nearest;
pub(crate) mod plan;
pub(crate) mod script;
pub(crate) mod types;
