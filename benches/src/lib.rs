//! benches: see the crate's description.
