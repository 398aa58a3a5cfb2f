//! Lets an operator look in and step in: HTTP with JSON over a Unix socket, whose language is `splashdam_api`.
//!
//! Promises: a socket that another agent listens on is never taken, one left behind by a dead agent is; every
//! connection, request and answer has a bound in number, size and time, so that nobody who talks to the socket can
//! hold up shipping. On the port, if there is one, nothing can be changed and no document be read. Decides nothing: what is asked goes to [`crate::pipeline::Agent`].

mod bundle;
mod handlers;
mod looking;
mod machine;
mod operations;
mod quotes;
mod server;
mod tapping;

#[cfg(test)]
mod tests;

pub(crate) use server::{look, serve};
