//! What the engine promises, against hand-computed tables and a naive reference.

mod basics;
mod behaviour;
mod build;
mod late;
mod random;
mod reference;
mod scripts;
