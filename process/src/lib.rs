//! process: see the crate's description.
#![forbid(unsafe_code)]
