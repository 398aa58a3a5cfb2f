//! The file source on real files in temporary folders, driven by hand: time is virtual, a crash is reopening with
//! the rows committed so far.

mod basics;
mod figures;
mod owed;
mod random;
mod rig;
mod rotation;
mod watching;
