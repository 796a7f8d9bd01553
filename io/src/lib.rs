//! io: see the crate's description.
