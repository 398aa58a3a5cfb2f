//! The house rules, as tests: who may import whom, which room is a crate's home, sizes, names, what is banned.
//! Each failure names the file, the line and the rule.
//!
//! It reads text, not syntax: comments and strings are blanked before looking. Clippy holds the finer rules.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod imports; // rooms and crates: the two tables
mod names; //   top level, paths, file heads
mod size; //    files and functions
mod sources; // the sources, with comments, strings and tests told apart
mod words; //   what is banned
