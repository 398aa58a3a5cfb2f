//! The real binaries, end to end; each module is one promise.
