//! The corridor: the only code that sees all rooms.

mod agent;

pub(crate) use agent::Agent;
