//! Models of the protocols between threads.

pub mod support;
