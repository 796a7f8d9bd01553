//! process: see the crate's description.
