//! What the engine promises, against hand-computed tables and a naive reference.

mod basics;
mod build;
mod random;
mod reference;
