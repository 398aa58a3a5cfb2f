//! The server itself, held against the reference and over real HTTP.
