//! macros: see the crate's description.
