//! loom-tests: see the crate's description.
