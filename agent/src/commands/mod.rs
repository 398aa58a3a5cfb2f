//! (being built)
pub(crate) mod demo;
