//! What `splashdam` can be told to do, one file per command.

pub(crate) mod check;
mod matches;
